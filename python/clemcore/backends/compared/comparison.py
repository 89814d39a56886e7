"""Compares two engines on the same dialogues: prompt ids, greedy answers, and the scores of each other's answers.

It does not know how an engine works, nor where comparisons are stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from clemcore.backends.compared.engines import Answered, ComparedEngine, LocalEngine, Prompted, finite
from clemcore.backends.local.audit.prompts import naming
from clemcore.messages import Messages

# So many tokens are shown on each side of a difference.
_AROUND = 4


@dataclass(frozen=True)
class IdDifference:
    """The first token id of a prompt that differs.

    Attributes:
        token: its place, from 0; the length of the shorter prompt if the longer one begins with it.
        ids: by engine: the ids around that place.
        texts: by engine: the text of these ids.
    """

    token: int
    ids: dict[str, list[int]]
    texts: dict[str, str]


@dataclass(frozen=True)
class AnswerDifference:
    """The first token of an answer that differs.

    Attributes:
        token: its place, from 0.
        texts: by engine: the token's text; empty where the answer has ended before.
        margins: by engine that scores: by how much the log-probability of its own token is above that of the other.
    """

    token: int
    texts: dict[str, str]
    margins: dict[str, float | None]


@dataclass(frozen=True)
class Row:
    """What was found with one dialogue.

    Attributes:
        prompt: ``equal``, ``differs``, ``equal in number`` (one engine only tells how many ids there are), or
            ``unknown``.
        prompt_tokens: by engine: the number of ids.
        first_id: where the prompts differ.
        answers: by engine: the answer's text; empty where only the prompts were compared.
        equal: whether the answers are equal.
        first_token: where the answers differ.
        sums: by scoring engine, by answering engine: the log-probability of the answer; None where it is unknown.
    """

    prompt: str
    prompt_tokens: dict[str, int | None]
    first_id: IdDifference | None
    answers: dict[str, str]
    equal: bool
    first_token: AnswerDifference | None
    sums: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class EngineComparison:
    """Two engines of one model, compared.

    Attributes:
        model: the model's name.
        engines: the names of both.
        formats: by engine: the format of its weights; None where it does not say it.
        made: when, as an ISO time.
        new_tokens: the most tokens of an answer.
        rows: one for each dialogue.
        notes: what could not be compared, and why.
    """

    model: str
    engines: tuple[str, str]
    formats: dict[str, str | None]
    made: str
    new_tokens: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def prompts(self) -> int:
        """How many dialogues were compared."""
        return len(self.rows)

    @property
    def equal_prompts(self) -> int:
        """How many prompts have the same ids on both sides."""
        return sum(row.prompt == "equal" for row in self.rows)

    @property
    def differing_prompts(self) -> int:
        """How many prompts are known to differ."""
        return sum(row.prompt == "differs" for row in self.rows)

    @property
    def equal_answers(self) -> float:
        """The share of equal answers."""
        return sum(row.equal for row in self.answered) / max(len(self.answered), 1)

    @property
    def answered(self) -> list[Row]:
        """The dialogues that were answered, not only written as prompts."""
        return [row for row in self.rows if row.answers]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        counts = {name: getattr(self, name) for name in ("prompts", "equal_prompts", "differing_prompts")}
        return {**asdict(self), **counts, "equal_answers": self.equal_answers}


def compare(
    model: str,
    one: ComparedEngine,
    other: ComparedEngine,
    dialogues: Sequence[Messages],
    *,
    new_tokens: int,
    progress: Callable[[str], None] = lambda _: None,
    answers: int | None = None,
) -> EngineComparison:
    """Compare two engines.

    Args:
        model: the model's name.
        one: an engine.
        other: another one.
        dialogues: what both are asked.
        new_tokens: the most tokens of an answer.
        progress: told each dialogue before it begins.
        answers: how many dialogues are answered; by default all. Of the others, only the prompts are compared.

    Raises:
        ClemcoreError: an engine failed.
    """
    engines = (one, other)
    rows = []
    for index, messages in enumerate(dialogues):
        progress(f"dialogue {index + 1} of {len(dialogues)}")
        with naming(index):
            rows.append(_row(engines, messages, new_tokens if answers is None or index < answers else 0))
    notes = [f"{engine.name}: {words}" for engine in engines for words in dict.fromkeys(engine.cannot)]
    notes += _format_notes(engines)
    return EngineComparison(
        model,
        (one.name, other.name),
        {engine.name: engine.format for engine in engines},
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        new_tokens,
        tuple(rows),
        tuple(notes),
    )


def _format_notes(engines: Sequence[ComparedEngine]) -> Iterator[str]:
    one, other = engines
    for engine in engines:
        if engine.format is None:
            yield f"{engine.name}: it does not say in which format it computes, so equal answers cannot be expected"
    if one.format is not None and other.format is not None and one.format != other.format:
        yield f"the formats differ ({one.format} and {other.format}), so equal answers cannot be expected"


def _row(engines: tuple[ComparedEngine, ComparedEngine], messages: Messages, new_tokens: int) -> Row:
    prompts = {engine.name: engine.prompt(messages) for engine in engines}
    local = next((engine for engine in engines if isinstance(engine, LocalEngine)), None)
    word, first_id = _prompts_compared(prompts, local)
    counts = {name: each.count for name, each in prompts.items()}
    if not new_tokens:
        return Row(word, counts, first_id, {}, False, None, {})
    answers = {engine.name: engine.answer(messages, new_tokens) for engine in engines}
    ids = {name: _ids_of(answer, messages, local) for name, answer in answers.items()}
    scores = {engine.name: {name: _scored(engine, messages, ids[name]) for name in ids} for engine in engines}
    mine, theirs = (ids[engine.name] for engine in engines)
    if mine is not None and theirs is not None:
        equal = mine == theirs
    else:
        equal = len({answer.text.strip() for answer in answers.values()}) == 1
    first = None if equal or mine is None or theirs is None else _first_token(engines, mine, theirs, scores, local)
    lengths = {name: None if each is None else len(each) for name, each in ids.items()}
    sums = {
        scorer: {name: _sum(row, lengths[name]) for name, row in by_name.items()}
        for scorer, by_name in scores.items()
    }
    texts = {name: answer.text for name, answer in answers.items()}
    return Row(word, counts, first_id, texts, equal, first, sums)


def _ids_of(answer: Answered, messages: Messages, local: LocalEngine | None) -> list[int] | None:
    if answer.ids is not None or local is None:
        return answer.ids
    return local.ids_of(messages, answer.text)


def _scored(engine: ComparedEngine, messages: Messages, ids: list[int] | None) -> list[float] | None:
    return None if ids is None else engine.scored(messages, ids)


def _sum(row: list[float] | None, length: int | None) -> float | None:
    return None if row is None or length is None else finite(math.fsum(row[:length]))


def _prompts_compared(prompts: dict[str, Prompted], local: LocalEngine | None) -> tuple[str, IdDifference | None]:
    (one, mine), (other, theirs) = prompts.items()
    if mine.ids is None or theirs.ids is None:
        if mine.count is None or theirs.count is None:
            return "unknown", None
        return ("equal in number" if mine.count == theirs.count else "differs"), None
    if mine.ids == theirs.ids:
        return "equal", None
    at = first_difference(mine.ids, theirs.ids)
    around = slice(max(0, at - _AROUND), at + _AROUND + 1)
    shown = {one: mine.ids[around], other: theirs.ids[around]}
    texts = {name: "" if local is None else _raw(local, ids) for name, ids in shown.items()}
    return "differs", IdDifference(at, shown, texts)


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the first place at which two lists differ.

    Examples:
        >>> first_difference([1, 2, 3], [1, 4]), first_difference([1], [1, 2])
        (1, 1)
    """
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _first_token(
    engines: tuple[ComparedEngine, ComparedEngine],
    mine: list[int],
    theirs: list[int],
    scores: dict[str, dict[str, list[float] | None]],
    local: LocalEngine | None,
) -> AnswerDifference:
    at = first_difference(mine, theirs)
    one, other = engines
    tokens = {one.name: mine[at : at + 1], other.name: theirs[at : at + 1]}
    texts = {name: "" if local is None else _raw(local, token) for name, token in tokens.items()}
    margins: dict[str, float | None] = {}
    for engine, rival in ((one, other), (other, one)):
        own, others = scores[engine.name][engine.name], scores[engine.name][rival.name]
        known = own is not None and others is not None and at < len(own) and at < len(others)
        margins[engine.name] = finite(own[at] - others[at]) if known and own and others else None
    return AnswerDifference(at, texts, margins)


def _raw(local: LocalEngine, ids: Sequence[int]) -> str:
    text: str = local.model._front.tokenizer.decode(list(ids), skip_special_tokens=False)
    return text
