"""Which recorded call comes next.

The calls of one file come in their order. Where calls were under way at the same time, their order was chance: any
of them may come first. Of several files none comes before another. It compares dialogues and raises what differs;
it does not know what is made of a call.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clemcore import forks
from clemcore.backends.replay.dialogue import Dialogue, Turns, asked_turns, recorded_dialogue
from clemcore.backends.replay.difference import DialogueDifference, compare_arguments, compare_text, compare_turns
from clemcore.backends.replay.index import Index, labels_of
from clemcore.calls.encoding import PROMPT
from clemcore.calls.reader import RecordedCall
from clemcore.errors import ReplayError
from clemcore.messages import Messages, sha256_of


@dataclass(frozen=True)
class Asked:
    """One call that is asked for.

    Attributes:
        messages: its messages.
        arguments: the generation arguments that were asked for.
        labels: the labels of its scope.
        batch_index: its place in its batch, or None.
    """

    messages: Messages
    arguments: dict[str, Any]
    labels: Mapping[str, Any] = field(default_factory=dict)
    batch_index: int | None = None

    @functools.cached_property
    def sha256(self) -> str:
        """The messages' SHA-256."""
        return sha256_of(self.messages)

    def turns(self, dialogue: Dialogue) -> Turns:
        """Return the turns in the form of a recorded dialogue."""
        form = (dialogue.system, dialogue.is_last_only)
        if form not in self._forms:
            self._forms[form] = dialogue.of(self.messages)
        return self._forms[form]

    @functools.cached_property
    def _forms(self) -> dict[tuple[str, bool], Turns]:
        return {}


class Awaited:
    """A recorded call that has not come yet."""

    def __init__(self, call: RecordedCall, stream: Stream, number: int) -> None:
        self.call = call
        self.stream = stream
        self.number = number

    @functools.cached_property
    def dialogue(self) -> Dialogue | None:
        """The dialogue of its prompt, or None where the prompt is a text."""
        return recorded_dialogue(self.call.prompt, is_ours=bool(self.call.facts))

    def difference(self, asked: Asked) -> DialogueDifference | None:
        """Return the first difference to what is asked, or None."""
        arguments = self.call.facts.get("gen_args")
        recorded = arguments.get("all") if isinstance(arguments, dict) else None
        return self._of_messages(asked) or compare_arguments(recorded, asked.arguments)

    def _of_messages(self, asked: Asked) -> DialogueDifference | None:
        digest = self.call.facts.get("messages_sha256")
        if digest is not None and digest == asked.sha256:
            return None
        if PROMPT in self.call.left_out:
            what = "(left out of the record, because it holds a key)"
            return DialogueDifference(None, "messages", None, what, f"SHA-256 {asked.sha256}", None, (0, 0))
        if self.dialogue is not None:
            return compare_turns(self.dialogue.turns, asked.turns(self.dialogue))
        text = text_of_prompt(self.call.prompt)
        if not text:
            return None  # 3.7.2 recorded an empty prompt for players of its own: there is nothing to compare
        found = compare_text(text, asked_turns(asked.messages), self.stream.ends_a_prompt)
        if found is None and digest is not None:
            return DialogueDifference(
                None, "messages", None, f"SHA-256 {digest}", f"SHA-256 {asked.sha256}", None, (len(text), 0)
            )
        return found


def text_of_prompt(prompt: Any) -> str:
    """Return all text of a prompt that is not a list of messages."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, dict):
        inputs = prompt.get("inputs")
        return inputs if isinstance(inputs, str) else "\n".join(text_of_prompt(value) for value in prompt.values())
    if isinstance(prompt, list):
        return "\n".join(text_of_prompt(value) for value in prompt)
    return ""


class Stream:
    """The calls of one file, in their order."""

    def __init__(self, calls: Sequence[RecordedCall]) -> None:
        self._awaited = [Awaited(call, self, number) for number, call in enumerate(calls)]
        self._is_taken = [False] * len(calls)
        self._head = 0
        # The earliest start from each call on: behind it nothing can have begun before that.
        self._earliest: list[float] = []
        earliest = float("inf")
        for call in reversed(calls):
            earliest = min(earliest, float("inf") if call.started is None else call.started)
            self._earliest.append(earliest)
        self._earliest.reverse()

    def may_come(self, awaited: Awaited) -> bool:
        """Tell whether a call may come now: it is the first, or was under way together with it."""
        self._advance()
        if self._is_taken[awaited.number]:
            return False
        if awaited.number == self._head:
            return True
        end, started = self._awaited[self._head].call.ended, awaited.call.started
        return end is not None and started is not None and started < end

    def _advance(self) -> None:
        while self._head < len(self._awaited) and self._is_taken[self._head]:
            self._head += 1

    def next(self) -> Iterator[Awaited]:
        """Give the calls that may come now: the first, and those that were under way together with it."""
        awaited, taken = self._awaited, self._is_taken
        self._advance()
        if self._head == len(awaited):
            return
        first = awaited[self._head]
        yield first
        end = first.call.ended
        for number in range(self._head + 1, len(awaited) if end is not None else 0):
            if self._earliest[number] >= float(end or 0):
                break
            started = awaited[number].call.started
            if not taken[number] and started is not None and started < float(end or 0):
                yield awaited[number]

    def is_taken(self, awaited: Awaited) -> bool:
        """Tell whether a call has come."""
        return self._is_taken[awaited.number]

    def take(self, awaited: Awaited) -> None:
        """Strike a call out."""
        self._is_taken[awaited.number] = True

    def give_back(self, awaited: Awaited) -> None:
        """Take a strike back."""
        self._is_taken[awaited.number] = False
        self._head = min(self._head, awaited.number)

    @property
    def remaining(self) -> int:
        """Number of calls that have not come yet."""
        return self._is_taken.count(False)

    def __iter__(self) -> Iterator[Awaited]:
        """Give all calls."""
        return iter(self._awaited)

    def ends_a_prompt(self, text: str) -> bool:
        """Tell whether every prompt of this file ends like this."""
        return all(prompt.endswith(text) for prompt in self._prompts)

    @functools.cached_property
    def _prompts(self) -> list[str]:
        return [text_of_prompt(one.call.prompt) for one in self._awaited]


class Order:
    """The calls of one model, from one file or several; threads may ask at once."""

    def __init__(self, files: Sequence[Sequence[RecordedCall]], what: str) -> None:
        """Take the calls.

        Args:
            files: the calls of each file.
            what: names record and model in messages.
        """
        self._streams = [Stream(calls) for calls in files]
        self._size = sum(len(calls) for calls in files)
        self._what = what
        self._lock = threading.Lock()
        forks.guard(self, "_lock")
        self._index: Index[Awaited] = Index(lambda one: one.stream.is_taken(one))
        for stream in self._streams:
            for awaited in stream:
                self._index.add(awaited, awaited.call, awaited.dialogue)
        self._stop: Callable[[], ReplayError] | None = None

    @property
    def remaining(self) -> int:
        """Number of calls that have not come yet."""
        return sum(stream.remaining for stream in self._streams)

    @property
    def is_untouched(self) -> bool:
        """Whether no call has been asked for yet."""
        return self.remaining == self._size and self._stop is None

    def take(self, batch: Sequence[Asked]) -> list[RecordedCall]:
        """Return the recorded calls of those that are asked for, in their order, and strike them out.

        Raises:
            ReplayError: one differs from what was recorded, or none is left. Nothing is struck out then, and every
                later call gets the same error: a game that goes on after an error must not go on with a replay.
        """
        with self._lock:
            if self._stop is not None:
                raise self._stop()
            taken: list[Awaited | None] = [None] * len(batch)
            # First what had the same place in a batch as well, so that equal dialogues keep their places.
            for at_its_place in (True, False):
                for number, asked in enumerate(batch):
                    if taken[number] is None:
                        taken[number] = self._found(asked, at_its_place=at_its_place)
            whole = [one for one in taken if one is not None]
            if len(whole) == len(batch):
                return [one.call for one in whole]
            self._stop = self._refusal(batch[taken.index(None)])
            for one in whole:
                one.stream.give_back(one)
            raise self._stop()

    def _found(self, asked: Asked, *, at_its_place: bool) -> Awaited | None:
        """Take the recorded call that is meant, or None. Of equal ones it is that which started first."""
        if at_its_place and asked.batch_index is None:
            return None
        best: Awaited | None = None
        turns = ((form, asked.turns(dialogue)) for form, dialogue in self._index.forms.items())
        known = self._index.find(labels_of(asked.labels), asked.sha256, turns)
        for one in itertools.chain(known, (one for one in self._index.others if not at_its_place)):
            if best is not None and one.stream is not best.stream:
                break  # the files have no order: the first that fits is as good as any
            if not one.stream.may_come(one) or (at_its_place and not _same_place(one, asked)):
                continue
            if (best is None or _start(one) < _start(best)) and one.difference(asked) is None:
                best = one
        if best is not None:
            best.stream.take(best)
        return best

    def _next(self) -> Iterator[Awaited]:
        for stream in self._streams:
            yield from stream.next()

    def _refusal(self, asked: Asked) -> Callable[[], ReplayError]:
        candidates = list(self._next())
        where = "" if asked.batch_index is None else f" (batch index {asked.batch_index})"
        if not candidates:
            return functools.partial(
                ReplayError,
                f"{self._what}: a call is asked for{where}, but all of its {self._size} recorded calls were "
                "answered",
            )
        found = [(one.difference(asked), one) for one in candidates]
        best, meant = max(
            ((difference, one) for difference, one in found if difference is not None),
            key=lambda pair: (_same_place(pair[1], asked), pair[0].alike),
        )
        others = f"; it is the nearest of {len(found)} that could come here" if len(found) > 1 else ""
        return functools.partial(
            ReplayError,
            f"{self._what}: the call{where} differs from the recorded {meant.call.place}{others}, at {best}",
            place=meant.call.place,
            message_index=best.index,
            field=best.field,
            position=best.position,
        )


def _start(awaited: Awaited) -> float:
    return float("inf") if awaited.call.started is None else awaited.call.started


def _same_place(awaited: Awaited, asked: Asked) -> bool:
    """Tell whether a recorded call had the same place in its batch."""
    batch = awaited.call.facts.get("batch")
    return isinstance(batch, dict) and asked.batch_index is not None and batch.get("index") == asked.batch_index
