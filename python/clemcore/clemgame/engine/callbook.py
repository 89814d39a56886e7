"""The calls of one episode: what was asked, where the answers are written, and which answers are known already.

Each call is in the store before its player sees the answer. Calls of an earlier attempt answer the same questions
again. At the first difference, the rest of them no longer counts. It does not know how a model is asked.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from clemcore.calls.encoding import FACTS, PROMPT, RESPONSE, JsonText, dumped, without_keys
from clemcore.calls.recorder import FinishedCall
from clemcore.clemgame.engine.growing import GrowingDialogue
from clemcore.clemgame.engine.kept_calls import KeptCalls
from clemcore.clemgame.moments import local_time
from clemcore.clemgame.store import StoredCall
from clemcore.clemgame.store.usage import Usage
from clemcore.errors import BudgetExceededError
from clemcore.messages import Messages
from clemcore.model import Reply

if TYPE_CHECKING:
    from clemcore.calls.request import Request
    from clemcore.clemgame.engine.tally import Tally
    from clemcore.clemgame.store import EpisodeWriter

MODEL, PROGRAM = "model", "program"


class CallBook:
    """The calls of one attempt at an episode. It is a sink of its scope, and a source of answers.

    Attributes:
        calls: all calls that count.
        differs_from: the number of the first call that differs from the earlier attempt, with the reason; or None.
        fault: what kept a call out of the store, or None.
        usage: what all calls of the episode took, those of earlier attempts included; None if that is not known.
        last: the last question that was asked, for errors.
    """

    def __init__(
        self,
        writer: EpisodeWriter,
        tally: Tally,
        is_closed: Callable[[], bool] = lambda: False,
        closing: AbstractContextManager[Any] | None = None,
    ) -> None:
        """Continue after the calls of earlier attempts.

        Args:
            writer: stores the calls.
            tally: counts them.
            is_closed: whether the episode was given up, so that nothing more is stored of it.
            closing: held while that is decided.
        """
        self._is_closed = is_closed
        self._closing = nullcontext() if closing is None else closing
        self._writer = writer
        self._tally = tally
        self._earlier: dict[int, StoredCall] = {call.number: call for call in writer.earlier}
        self._asked: dict[int, tuple[str, int, str]] = {}
        self._repeated: set[int] = set()
        self._compared: set[int] = set()
        self._ended: list[FinishedCall] = []
        self._lock = threading.Lock()
        self._dialogues: dict[str, GrowingDialogue] = {}
        self.calls = KeptCalls(writer.read_back)
        self.differs_from: dict[str, Any] | None = None
        self.fault: Exception | None = None
        self.last: dict[str, Any] | None = None
        self.usage: Usage | None = Usage() if writer.attempt == 1 else None

    def begin_with(self, other: CallBook) -> None:
        """Begin with the calls of an episode that goes on in another way; they are not usage of this one."""
        self.calls.begin_with(other.calls)

    # -- questions ---------------------------------------------------------------------------------------------
    def ask(
        self,
        number: int,
        player: str,
        round_: int,
        messages: Messages,
        gen_args: Mapping[str, Any],
        *,
        is_program: bool = False,
    ) -> bool:
        """Note a question to a model; tell whether its answer is known.

        A model that is a program is asked again, because its later answers may depend on this one. Its answer is
        compared with the known one.
        """
        request = self._request_of(player, messages, gen_args)
        self._asked[number] = player, round_, request
        self.last = {"number": number, "player": player, "round": round_, "kind": MODEL}
        earlier = self._earlier.get(number)
        if earlier is None:
            return False
        if earlier.kind != MODEL or earlier.request != request or earlier.player != player:
            self._differ(number, player, round_, "the request differs")
            return False
        if earlier.text is None:  # it failed: what came after it may come otherwise now
            self._earlier.clear()
            return False
        if is_program:
            self._compared.add(number)
        return not is_program

    def _differ(self, number: int, player: str, round_: int, why: str) -> None:
        self._earlier.clear()
        self._writer.differs_from(number)
        self.differs_from = {"number": number, "player": player, "round": round_, "reason": why}

    def _request_of(self, player: str, messages: Messages, gen_args: Mapping[str, Any]) -> str:
        dialogue = self._dialogues.get(player)
        if dialogue is None:
            dialogue = self._dialogues[player] = GrowingDialogue()
        digest = dialogue.request_of(messages)
        digest.update(dumped(dict(sorted(gen_args.items()))))
        return str(digest.hexdigest())

    # -- a source of answers -----------------------------------------------------------------------------------
    def find(self, request: Request) -> Reply | None:
        """Return the answer of an earlier attempt to a question that :meth:`ask` has noted."""
        number = request.scope.labels.get("call")
        earlier = self._earlier.get(number) if isinstance(number, int) else None
        if earlier is None or earlier.text is None or earlier.number not in self._asked:
            return None
        if earlier.number in self._compared:
            return None
        self._repeated.add(earlier.number)
        self.calls.append(earlier)
        return reply_of(self._writer.whole(earlier))

    # -- a sink ------------------------------------------------------------------------------------------------
    def put(self, call: FinishedCall) -> None:
        """Take a call that has ended."""
        if call.labels.get("call") not in self._repeated and not isinstance(call.failure, BudgetExceededError):
            with self._lock:
                self._ended.append(call)

    def flush(self) -> None:
        """Write the calls that have ended."""
        with self._lock:
            ended, self._ended = self._ended, []
            for call in ended:
                number = call.labels.get("call")
                number = number if isinstance(number, int) else len(self.calls)
                player, round_, request = self._asked.get(number, ("GM", 0, ""))
                facts = call.facts
                self._tally.count_call(facts, is_failed=call.failure is not None)
                if number in self._compared and number in self._earlier:
                    if self._earlier[number].text == call.response_text:
                        self.calls.append(self._earlier[number])
                        continue
                    self._differ(number, player, round_, "the answer of the program differs")
                if player in self._dialogues:
                    call.know_prompt(self._dialogues[player].text_of)
                record, attempt = call.to_json(), self._writer.attempt
                # A text that is not text ends the episode; the record has it.
                answer = call.response_text if isinstance(call.response_text, str) else None
                self._write(StoredCall(number, player, round_, MODEL, request, answer, record, attempt), facts)

    def _write(self, call: StoredCall, facts: Mapping[str, Any] | None = None) -> None:
        """Write a call; what its facts say counts, or what its record says if there are none."""
        usage, self.usage = self.usage, None  # not known if the write is interrupted
        try:
            with self._closing:
                if self._is_closed():
                    return
                self._writer.call(call)
        except Exception as error:
            self.fault = error
            raise
        self.calls.append(call)
        if usage is not None:
            usage.count_facts(facts) if facts else usage.count(call)
            self.usage = usage

    # -- programs and people ---------------------------------------------------------------------------------------
    def answered_itself(
        self, number: int, player: str, round_: int, text: str, call: tuple[Any, Any], *, is_person: bool
    ) -> None:
        """Write the answer of a person, or of a program, which is compared with that of the earlier attempt."""
        prompt = dumped(call[0])
        if is_person:
            request = self._asked[number][2]
            kind = MODEL
            self._tally.count_call({}, is_failed=False)
        else:
            request = hashlib.sha256(prompt).hexdigest()
            kind = PROGRAM
            self.last = {"number": number, "player": player, "round": round_, "kind": PROGRAM}
            earlier = self._earlier.get(number)
            if earlier is not None:
                if (earlier.kind, earlier.player, earlier.request, earlier.text) == (
                    PROGRAM,
                    player,
                    request,
                    text,
                ):
                    self.calls.append(earlier)
                    return
                what = "the request" if earlier.request != request else "the answer of the programmatic player"
                self._differ(number, player, round_, f"{what} differs")
            self._tally.count_program()
        record = _record_of(prompt, call[1])
        self._write(StoredCall(number, player, round_, kind, request, text, record, self._writer.attempt))

    def text_of(self, number: int) -> str:
        """Return the text of an answer that is known."""
        earlier = self._earlier[number]
        self.calls.append(earlier)
        return earlier.text or ""


def _record_of(prompt: bytes, response: Any) -> bytes:
    """Write the record of an answer that came from no model as 3.7.2 did: it has no facts to verify."""
    record = b'{"timestamp": "%s", "%s": %s, "%s": %s}' % (
        local_time(with_offset=True).encode(),
        PROMPT.encode(),
        prompt,
        RESPONSE.encode(),
        dumped(response),
    )
    return without_keys(record)


def reply_of(call: StoredCall) -> Reply:
    """Return the reply that a stored call had."""
    fields = json.loads(call.record)
    known = fields.get(FACTS)
    facts = known if isinstance(known, dict) else {}
    reply = Reply(fields.get(PROMPT), fields.get(RESPONSE), call.text or "", _facts_of(facts))
    reply.record = JsonText(call.record)
    return reply


# What a record adds to the facts of a reply.
_OF_THE_RECORD = frozenset({"record_version", "duration_seconds", "response_text", "model_spec", "hashes", "scope"})


def _facts_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in _OF_THE_RECORD and name != "gen_args"}
