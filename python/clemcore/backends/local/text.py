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

logger = logging.getLogger(__name__)

# "<|im_end|>" read as a pattern matches every "<" and every ">": nobody means that.
_BARE_TOKEN = re.compile(r"<\|[^|\\]*\|>")
# What the record calls the endings of an engine; on_tokens ends a reply where a stop string is found.
_FINISH_REASONS: Mapping[str, str] = {"on_tokens": "stop_string"}


@dataclass(frozen=True)
class Answer:
    """What a game gets to read, and what was split off.

    Attributes:
        text: the answer alone, stripped.
        finish_reason: "stop" (the model ended its reply), "stop_string", "length" (also when the answer after the
            thinking was cut to max_tokens) or "cancelled".
        thinking: what the model wrote before its answer, or None when the entry names no thinking.
        facts: for the record.
    """

    text: str
    finish_reason: str
    thinking: str | None
    facts: dict[str, Any]

    @property
    def outcome(self) -> Outcome:
        """What the reply brought."""
        if self.text:
            return "answer"
        return outcome_of("", cut=self.finish_reason == "length", reasoned=bool(self.thinking))


class TextCutter:
    """Cuts the answers of one model."""

    def __init__(self, entry: LocalEntry, engine: Engine, added_tokens: Collection[str]) -> None:
        """Compile what the entry says about ends and tags.

        Args:
            entry: the model's settings.
            engine: its tokens and texts.
            added_tokens: the texts of tokens that are not ordinary words of its vocabulary.
        """
        self._engine = engine
        self._prefix = entry.output_split_prefix
        self._end = end_pattern(entry, added_tokens)
        self._thinks = entry.cot_output
        self._think_start = entry.cot_start_tag
        self._think_end = re.compile(entry.cot_end_tag)

    def cut(self, generated: Generated, stops: Sequence[str], prompt: str, max_tokens: int) -> Answer:
        """Return the answer in a reply.

        Args:
            generated: the reply's tokens.
            stops: stop strings; the answer ends before the first of them. Those inside the thinking do not count.
            prompt: the prompt's text, whose end tells whether the model was already thinking.
            max_tokens: the most tokens that an answer after thinking may have.
        """
        text = self._decode_without_end(generated.ids, generated.ends)
        reason = _FINISH_REASONS.get(generated.ending, generated.ending)
        if not self._thinks:
            text = self._after_prefix(_before_first(text, stops))
            return Answer(text.strip(), reason, None, {})
        return self.split_thinking(self._after_prefix(text), reason, stops, prompt, max_tokens)

    def answer_start(self, text: str, prompt: str) -> int | None:
        """Return where the answer begins in what was generated so far; None while the model may still be thinking.

        Blanks between the thinking and the answer belong to neither.
        """
        if not self._thinks:
            return 0
        last = _last_match(self._think_end, text)
        if last is not None:
            return len(text) - len(text[last.end() :].lstrip())
        begun = text.strip()
        may_think = (
            not self._think_start or self._think_started(text, prompt) or self._think_start.startswith(begun)
        )
        return None if may_think else 0

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

    def split_thinking(
        self, text: str, finish_reason: str, stops: Sequence[str], prompt: str, max_tokens: int
    ) -> Answer:
        """Return thinking and answer of a reply without its end; the arguments are those of :meth:`cut`."""
        last = _last_match(self._think_end, text)
        if last is not None:
            thinking, answer = text[: last.start()], text[last.end() :]
        elif self._think_started(text, prompt) or finish_reason == "length":
            thinking, answer = text, ""
        else:
            # It answered at once: 3.7.2 lost such answers.
            thinking, answer = "", text
        facts: dict[str, Any] = {"end_tag_found": last is not None}
        answer = answer.lstrip() if last is not None else answer
        before_stop = _before_first(answer, stops)
        if before_stop != answer:
            answer, finish_reason = before_stop, "stop_string"
        if self._think_start:
            thinking = thinking.replace(self._think_start, "")
        ids = self._engine.encode(answer)
        if len(ids) > max_tokens:
            # The same room for every model's answer, whether it thinks or not.
            answer = self._engine.decode(ids[:max_tokens])
            facts["answer_tokens_cut"] = len(ids) - max_tokens
            finish_reason = "length"
        return Answer(answer.strip(), finish_reason, thinking, {"cot": facts})

    def _think_started(self, text: str, prompt: str) -> bool:
        return bool(self._think_start) and (
            self._think_start in text or prompt.rstrip().endswith(self._think_start.rstrip())
        )


class StopStrings:
    """Ends a reply as soon as its answer holds a stop string: the ``on_tokens`` of a job."""

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

    def __call__(self, ids: Sequence[int]) -> bool:
        """Tell whether the reply is to end here."""
        text = self._engine.decode(ids)
        if not any(stop in text for stop in self._stops):
            return False
        start = self._answer_start(text)
        return start is not None and any(stop in text[start:] for stop in self._stops)


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
