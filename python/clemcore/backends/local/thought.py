"""Where the thought of a reply begins and ends, followed token by token while the reply is generated.

All that depends on it asks the same object: the step that forces the end of a thought, the constraint that starts
after it, the limit on the answer, the pieces of a stream, and the text at the end. It knows the tokens and texts of
an engine, and neither entries nor messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clemcore.backends.local.engine import Engine
from clemcore.backends.local.tags import Tags

Ended = Literal["model", "budget", "never"]
# Tokens that an end tag may be spelt with, beside one for each byte of its text.
_MORE = 16
_OF_A_PATTERN = 128
# Characters at the end of a prompt in which a tag is looked for.
_LONGEST_TAG = 1000


@dataclass(frozen=True)
class Limit:
    """How long a reply may be.

    Attributes:
        answer: the most tokens of the answer.
        thought: the most tokens of the thought, or None for no limit.
        on_exceed: what follows where the thought has used them up: ``close``, ``empty`` or ``error``.
        closing: ids of the tokens that close the thought: a closing sentence, if there is one, and the end tag.
        tag: ids of the end tag alone.
        has_sentence: whether a closing sentence stands before the tag.
    """

    answer: int
    thought: int | None = None
    on_exceed: str = "close"
    closing: tuple[int, ...] = ()
    tag: tuple[int, ...] = ()

    @property
    def has_sentence(self) -> bool:
        """Whether a closing sentence stands before the end tag."""
        return self.closing != self.tag


def continues(ids: Sequence[int], before: list[int]) -> bool:
    """Tell whether ids begin with those before, without a copy where they are a list."""
    begin = ids[: len(before)]
    return (begin if isinstance(begin, list) else list(begin)) == before


def is_closed(tags: Tags, prompt: str) -> bool:
    """Tell whether a prompt ends with an end tag, as templates write it where thinking is switched off."""
    end = prompt.rstrip()
    last = tags.last(end[-_LONGEST_TAG:])
    return last is not None and last.end() == len(end[-_LONGEST_TAG:]) and not is_opened(tags, prompt)


def is_opened(tags: Tags, prompt: str) -> bool:
    """Tell whether a prompt ends with a start tag."""
    return bool(tags.start) and prompt.rstrip().endswith(tags.start.rstrip())


class Thought:
    """The thought of one reply.

    Attributes:
        tags: what stands around it.
        limit: how long thought and answer may be.
        answer: number of the first token of the answer, from 0; None while the model may still think.
    """

    def __init__(self, tags: Tags, limit: Limit, engine: Engine, prompt: str) -> None:
        """Look at the end of the prompt.

        Args:
            tags: what stands around thoughts.
            limit: how long thought and answer may be.
            engine: has the tokens.
            prompt: the text of the prompt, which may have opened the thought or have closed it.
        """
        self.tags = tags
        self.limit = limit
        self._engine = engine
        self._is_closed_by_prompt = is_closed(tags, prompt)
        self._is_opened = is_opened(tags, prompt)
        closing = tags.closing
        self._window = _OF_A_PATTERN if closing is None else len(closing.encode()) + _MORE
        self._restart()

    def _restart(self) -> None:
        self._ids: list[int] = []
        may_think = self._is_opened or (not self.tags.start and not self._is_closed_by_prompt)
        self._begin: int | None = 0 if may_think else None
        self._end: int | None = None
        self._forced: int | None = None  # where forcing began
        self._queue: tuple[int, ...] = ()
        self._is_sure = self._is_opened
        self._searched = 0  # no end tag that counts is before this token
        self.answer: int | None = 0 if self._is_closed_by_prompt else None

    @property
    def has_begun(self) -> bool:
        """Whether the model thinks, or may think because it is not known how its thoughts begin."""
        return self._begin is not None

    # -- while the reply is generated --------------------------------------------------------------------------
    def follow(self, ids: Sequence[int]) -> None:
        """Take all new ids so far. Those that do not continue the ids before begin a reply anew.

        What was forced follows from the ids alone: a padded batch asks for more tokens of a reply that has ended,
        so that the last call may have fewer ids than the one before.
        """
        if not continues(ids, self._ids):
            self._restart()
        for token in ids[len(self._ids) :]:
            self._take(token)

    def forced(self) -> int | None:
        """Return the token that must be next, because it closes the thought; None where the model is free."""
        limit = self.limit
        if self._queue:
            return self._queue[0]
        if limit.on_exceed != "close" or not limit.closing or not self._is_used_up():
            return None
        # An end tag that the model has begun is finished.
        size, rest = (0, limit.closing) if limit.has_sentence else self._begun()
        self._forced = len(self._ids)
        self._end = self._forced - size
        self._queue = rest
        return self._queue[0]

    def banned(self) -> tuple[int, ...]:
        """Return the tokens that must not be next: those that would open or close a thought once more.

        That is only known of an end tag that is one token, after a thought that was closed by its budget.
        """
        is_over = self._forced is not None and self.answer is not None
        return self.limit.tag if is_over and len(self.limit.tag) == 1 else ()

    @property
    def is_exceeded(self) -> bool:
        """Whether the thought has more tokens than it may have, and is not to be closed by us."""
        limit = self.limit
        if limit.thought is None or limit.on_exceed == "close" or not self._is_used_up():
            return False
        return self._spent() > limit.thought + self._begun()[0]

    @property
    def is_full(self) -> bool:
        """Whether the answer has as many tokens as it may have."""
        return self.answer is not None and len(self._ids) - self.answer >= self.limit.answer

    @property
    def is_settled(self) -> bool:
        """Whether the answer has begun for good: no later end tag can count."""
        limit = self.limit.thought
        return self.answer is not None and limit is not None and self._begin is not None and self._spent() > limit

    def _take(self, token: int) -> None:
        forced = self.forced()
        self._ids.append(token)
        length = len(self._ids)
        if forced is not None and token == forced:
            self._queue = self._queue[1:]
            if not self._queue:
                self.answer = self._searched = length
            return
        if forced is not None:  # nobody forces the tokens of this reply
            self._queue, self._forced, self._end = (), None, None
        first = max(self._searched, length - self._window)
        tail = self._engine.decode(self._ids[first:])
        if self._begin is None:
            self._look_for_start(tail, length, first)
        last = self.tags.last(tail)
        if last is None or not last.group():
            return
        end = self._first_token_of(last.start(), first)
        spent = end - (self._begin or 0)
        if self.answer is not None and self.limit.thought is not None and spent > self.limit.thought:
            return  # the budget is used up: it is a text in the answer
        self._end = end
        self.answer = self._searched = length

    def _look_for_start(self, tail: str, length: int, first: int) -> None:
        start = self.tags.start
        if start and start in tail:
            self._begin, self.answer, self._is_sure = length, None, True
        elif self.answer is None and not (first == 0 and start.startswith(tail.strip())):
            self.answer = 0  # it answers at once

    def _first_token_of(self, place: int, first: int) -> int:
        """Return the number of the first token that lies wholly behind a place in the text of the last tokens."""
        for number in range(len(self._ids) - 1, first, -1):
            before = len(self._engine.decode(self._ids[first:number]))
            if before <= place:
                return number if before == place else number + 1
        return first

    def _spent(self) -> int:
        return 0 if self._begin is None else len(self._ids) - self._begin

    def _is_used_up(self) -> bool:
        limit = self.limit.thought
        is_thinking = self._begin is not None and self.answer is None
        return is_thinking and limit is not None and self._spent() >= limit

    def _begun(self) -> tuple[int, tuple[int, ...]]:
        """Return how many tokens at the end are the beginning of an end tag, and the tokens that finish it.

        A token that has a part of the thought, too, counts as one of the thought.
        """
        tag, ids = self.tags.closing or "", self.limit.tag
        first = max(self._searched, len(self._ids) - self._window)
        tail = self._engine.decode(self._ids[first:])
        for size in range(len(tag) - 1, 0, -1):
            if tail.endswith(tag[:size]):
                begun = tuple(self._engine.encode(tag[:size]))
                # "<" is not the beginning of a tag that is a token of its own.
                if begun == ids[: len(begun)] != ids:
                    number = self._first_token_of(len(tail) - size, first)
                    return len(self._ids) - number, ids[len(begun) :]
        return 0, ids

    # -- afterwards --------------------------------------------------------------------------------------------
    def split(self, text: str, *, is_cut: bool) -> tuple[str, str]:
        """Return thought and answer in the text of all tokens that were followed.

        Args:
            text: their text; what ended the reply may be left out of it.
            is_cut: whether a limit ended the reply; without an end tag, it ended among the thoughts.
        """
        end = self._last_end(text)
        if end is not None:
            thought, answer = text[: end[0]], text[end[1] :].lstrip()
        elif self._is_sure or (is_cut and self.answer is None):
            thought, answer = text, ""
        else:
            thought, answer = "", text
        return thought.replace(self.tags.start, "") if self.tags.start else thought, answer

    def _last_end(self, text: str) -> tuple[int, int] | None:
        """Return where in a text the end tag that counts begins and ends; None where there is none."""
        if self._end is None or self.answer is None:
            return None
        begun = self._engine.decode(self._ids[: self.answer])
        last = self.tags.last(begun)
        if last is None:  # it was forced, and its text is not what it is elsewhere
            return len(self._engine.decode(self._ids[: self._end])), len(begun)
        longest = self.tags.end.match(text, last.start())
        return last.start(), last.end() if longest is None else max(last.end(), longest.end())

    def answer_start(self, text: str) -> int | None:
        """Return where the answer begins in a text that was generated so far; None while the model may be thinking.

        Blanks between the thought and the answer belong to neither.
        """
        last = self.tags.last(text)
        if last is not None:
            return len(text) - len(text[last.end() :].lstrip())
        if self._is_closed_by_prompt:
            return 0
        start = self.tags.start
        may_think = not start or self._is_opened or start in text or start.startswith(text.strip())
        return None if may_think else 0

    def settled_start(self, text: str) -> int | None:
        """Return where the answer begins in a text, or None where a later end tag could still move that place."""
        if not self.is_settled:
            return None
        end = self._last_end(text)
        return 0 if end is None else end[1]

    def settled_token(self) -> int | None:
        """Return the number of the first token of the answer, or None where a later end tag could still move it."""
        return self.answer if self.is_settled else None

    def facts(self, *, is_cut: bool) -> dict[str, Any]:
        """Return what the record says about it.

        Args:
            is_cut: as for :meth:`split`.
        """
        limit = self.limit
        ended: Ended | None
        if self.is_exceeded or self._forced is not None:
            ended = "budget"
        elif self._end is not None:
            ended = "model"
        else:
            ended = "never" if self._is_sure or (is_cut and self.answer is None) else None
        facts: dict[str, Any] = {"ended": ended, "tokens": self.tokens(is_cut=is_cut)}
        if limit.thought is not None:
            facts |= {"budget": limit.thought, "on_exceed": limit.on_exceed}
        if self._forced is not None:
            last = len(self._ids) if self.answer is None else self.answer
            facts["forced_tokens"] = last - self._forced
        return facts

    def tokens(self, *, is_cut: bool) -> int:
        """Return how many tokens the thought has, without its tags."""
        if self._end is not None:
            return max(self._end - (self._begin or 0), 0)
        return self._spent() if self._is_sure or (is_cut and self.answer is None) else 0
