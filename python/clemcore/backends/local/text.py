"""From new token ids to the answer's text: end tokens culled, thinking split off, stop strings cut.

Only tokens that the model generated are ever looked at, so an answer that repeats its prompt stays whole. It knows
an engine's tokens and texts, and neither messages nor prompts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.arguments.outcome import Outcome, outcome_of
from clemcore.backends.local.engine import Engine, Generated
from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.tags import Tags
from clemcore.backends.local.thought import Limit, Thought

logger = logging.getLogger(__name__)

# "<|im_end|>" read as a pattern matches every "<" and every ">": nobody means that.
_BARE_TOKEN = re.compile(r"<\|[^|\\]*\|>")
# What the record calls the endings of an engine; on_tokens ends an undivided reply where a stop string is found.
_FINISH_REASONS: Mapping[str, str] = {"on_tokens": "stop_string"}
# Characters at the beginning of a decoded part that the tokens before it may change: half a character, a blank.
_UNCERTAIN_CHARACTERS = 8


@dataclass(frozen=True)
class Answer:
    """What a game gets to read, and what was split off.

    Attributes:
        text: the answer alone: stripped, or exactly as generated if it is under a constraint.
        finish_reason: "stop" (the model ended its reply), "stop_string", "length", "budget" (the thought used up
            its budget and left no answer) or "cancelled".
        thinking: what the model wrote before its answer, or None where its reply is not divided.
        thinking_tokens: how many tokens the thought has, without its tags; None where the reply is not divided.
        facts: for the record.
    """

    text: str
    finish_reason: str
    thinking: str | None
    thinking_tokens: int | None
    facts: dict[str, Any]

    @property
    def outcome(self) -> Outcome:
        """What the reply brought."""
        if self.text:
            return "answer"
        is_cut = self.finish_reason in ("length", "budget")
        return outcome_of("", cut=is_cut, reasoned=bool(self.thinking))


class TextCutter:
    """Cuts the answers of one model."""

    def __init__(self, entry: LocalEntry, engine: Engine, added_tokens: Collection[str]) -> None:
        """Compile what the entry says about ends.

        Args:
            entry: the model's settings.
            engine: its tokens and texts.
            added_tokens: the texts of tokens that are not ordinary words of its vocabulary.
        """
        self._engine = engine
        self._prefix = entry.output_split_prefix
        self._end = end_pattern(entry, added_tokens)

    def cut(
        self, generated: Generated, stops: Sequence[str], thought: Thought | None, *, is_exact: bool = False
    ) -> Answer:
        """Return the answer in a reply.

        Args:
            generated: the reply's tokens.
            stops: stop strings; the answer ends before the first of them. Those inside the thinking do not count.
            thought: the thought of the reply, or None where it is not divided.
            is_exact: whether every character of the answer counts, as under a constraint: nothing is stripped, and
                the entry's patterns for ends and beginnings are not applied.
        """
        text = self._decode_without_end(generated.ids, generated.ends)
        reason = _FINISH_REASONS.get(generated.ending, generated.ending)
        if thought is None:
            if is_exact:
                return Answer(_before_first(self._spelt(generated, 0), stops), reason, None, None, {})
            answer = self._after_prefix(_before_first(text, stops))
            return Answer(answer.strip(), reason, None, None, {})
        thought.follow(generated.ids)
        return self._divided(text, generated, stops, thought, is_exact=is_exact)

    def _spelt(self, generated: Generated, begin: int) -> str:
        """Return the text of the tokens from ``begin`` on by their bytes, without the token that ended the reply.

        A tokenizer may drop a blank at the beginning of what it decodes.
        """
        ids = generated.ids[begin:]
        if ids and ids[-1] in generated.ends:
            ids = ids[:-1]
        return b"".join(map(self._engine.bytes_of, ids)).decode("utf-8", errors="replace")

    def _divided(
        self, text: str, generated: Generated, stops: Sequence[str], thought: Thought, *, is_exact: bool
    ) -> Answer:
        """Return thought and answer of a reply without its end."""
        is_cut = generated.ending == "length" or thought.is_exceeded
        thinking, answer = thought.split(text, is_cut=is_cut)
        reason: str = generated.ending
        most, ids = thought.limit.answer, generated.ids
        if is_exact and answer:
            answer = self._spelt(generated, thought.answer or 0)
        if reason == "on_tokens":
            is_stop = bool(ids) and ids[-1] in generated.ends
            ended = "length" if thought.is_full else "stop_string"
            reason = "budget" if thought.is_exceeded else "stop" if is_stop else ended
        if thought.answer is None and answer and len(ids) - (reason == "stop") > most:
            # Only now is it known that the model did not think: its answer has the room of any other.
            answer, reason = self._engine.decode(ids[:most]), "length"
        before_stop = _before_first(answer, stops)
        if before_stop != answer:
            answer, reason = before_stop, "stop_string"
        facts = {"thinking": thought.facts(is_cut=is_cut)}
        tokens = thought.tokens(is_cut=is_cut)
        answer = answer if is_exact else self._after_prefix(answer).strip()
        return Answer(answer, reason, thinking, tokens, facts)

    def _after_prefix(self, text: str) -> str:
        if self._prefix and self._prefix in text:
            return text.rsplit(self._prefix, maxsplit=1)[1]
        return text

    def _decode_without_end(self, ids: list[int], ends: frozenset[int]) -> str:
        text = self._engine.decode(ids)
        culled = cull_end(text, self._end)
        if culled == text and ids and ids[-1] in ends:
            # The entry's pattern is for another end token than the one that ended this reply.
            return self._engine.decode(ids[:-1])
        return culled

    def split_text(self, text: str, tags: Tags, most: int) -> tuple[str, str]:
        """Return thought and answer of a reply of which only the text is known.

        Args:
            text: the reply, tags included.
            tags: what stands around its thought.
            most: the most tokens that the answer keeps.
        """
        thought = Thought(tags, Limit(most), self._engine, "")
        thought.follow(self._engine.encode(text))
        thinking, answer = thought.split(text, is_cut=False)
        ids = self._engine.encode(answer)
        return thinking, (answer if len(ids) <= most else self._engine.decode(ids[:most])).strip()


class StopStrings:
    """Ends a reply as soon as its answer holds a stop string: the ``on_tokens`` of a job.

    It looks at the last tokens only, so that the time for a whole reply grows with its length and not with its
    square.
    """

    def __init__(self, stops: Sequence[str], engine: Engine, answer_start: Callable[[str], int | None]) -> None:
        """Take what is looked for.

        Args:
            stops: the stop strings.
            engine: has the tokens.
            answer_start: returns where the answer begins in a text, or None.
        """
        self._stops = stops
        self._engine = engine
        self._answer_start = answer_start
        self._needed = max(map(len, stops), default=0) + _UNCERTAIN_CHARACTERS
        self._seen = 0
        self._before = 1

    def __call__(self, ids: Sequence[int]) -> bool:
        """Tell whether the reply is to end here."""
        tail = self._tail(ids)
        if not any(stop in tail for stop in self._stops):
            return False
        text = self._engine.decode(ids)
        start = self._answer_start(text)
        return start is not None and any(stop in text[start:] for stop in self._stops)

    def _tail(self, ids: Sequence[int]) -> str:
        """Return the text of the tokens since the last call, and as much before it as a stop string may reach."""
        new = len(ids) - self._seen if len(ids) > self._seen else len(ids)
        self._seen = len(ids)
        old = ids[: len(ids) - new]
        while self._before < len(old) and len(self._engine.decode(old[-self._before :])) < self._needed:
            self._before *= 2
        return self._engine.decode(ids[max(0, len(old) - self._before) :])


def end_pattern(entry: LocalEntry, added_tokens: Collection[str]) -> re.Pattern[str] | None:
    """Compile ``eos_to_cull``: a regular expression, or the text itself in the flat layout of 2024.

    A bare special token is taken for the text that it is, with a warning.
    """
    written = entry.eos_to_cull
    if not written:
        return None
    if entry.eos_is_literal:
        return re.compile(re.escape(written))
    if _BARE_TOKEN.fullmatch(written) or (written in added_tokens and re.fullmatch(written, written) is None):
        logger.warning(
            "model '%s': eos_to_cull %r is a token, not a pattern that matches it; taken as %r",
            entry.model_name,
            written,
            re.escape(written),
        )
        return re.compile(re.escape(written))
    return re.compile(written)


def cull_end(text: str, pattern: re.Pattern[str] | None) -> str:
    r"""Remove matches of the pattern from the end of a text, with whitespace after them; never from its middle.

    Examples:
        >>> cull_end("a <eos> b<eos>\n<eos>\n", re.compile("<eos>"))
        'a <eos> b'
    """
    if pattern is None:
        return text
    while True:
        stripped = text.rstrip()
        last = _last_match(pattern, stripped)
        if last is None or last.end() != len(stripped) or not last.group():
            return text
        text = stripped[: last.start()]


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return max(pattern.finditer(text), key=lambda match: match.end(), default=None)


def _before_first(text: str, stops: Iterable[str]) -> str:
    places = [place for place in (text.find(stop) for stop in stops) if place >= 0]
    return text[: min(places)] if places else text
