"""Where two dialogues first differ: message, field, character, with what stands around it on both sides.

It compares what it is given and does not know records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.backends.replay.dialogue import Turn, Turns

# Characters shown before and after the first one that differs.
_BEFORE, _AFTER = 30, 30


@dataclass(frozen=True)
class DialogueDifference:
    """The first difference of two calls.

    Attributes:
        index: index of the asked message, or None where it is not in a message.
        field: ``role``, ``content``, ``images``, ``fields``, ``messages``, or ``gen_args.NAME``.
        position: the first character that differs, counted from 0, or None.
        recorded: what was recorded, around that place.
        asked: what is asked, around that place.
        caret: how far into both excerpts the difference begins.
        alike: how much is the same before, to tell which of several recorded calls is meant.
    """

    index: int | None
    field: str
    position: int | None
    recorded: str
    asked: str
    caret: int | None
    alike: tuple[int, int]

    def __str__(self) -> str:
        """Show both sides, one below the other."""
        where = self.field
        if self.index is not None:
            where = f"messages[{self.index}]" + ("" if self.field == "messages" else f"['{self.field}']")
        if self.position is not None:
            where += f", character {self.position}"
        lines = [f"{where}:", f"  recorded: {self.recorded}", f"  asked:    {self.asked}"]
        if self.caret is not None:
            lines.append(" " * (len("  recorded: ") + self.caret) + "^")
        return "\n".join(lines)


def compare_turns(recorded: Turns, asked: Turns) -> DialogueDifference | None:
    """Return the first difference of two dialogues, or None."""
    for number, (there, here) in enumerate(zip(recorded, asked, strict=False)):
        found = _compare(there, here, number)
        if found is not None:
            return found
    if len(recorded) == len(asked):
        return None
    number = min(len(recorded), len(asked))
    rest = recorded[number:] or asked[number:]
    shown = f"{rest[0].role}: {_escaped(rest[0].text[:_AFTER])}"
    if len(asked) > len(recorded):
        return DialogueDifference(
            asked[number].origins[0][0], "messages", None, "(ends before)", shown, None, (number, 0)
        )
    last = asked[-1].origins[-1][0] + 1 if asked else 0
    return DialogueDifference(last, "messages", None, shown, "(ends before)", None, (number, 0))


def _compare(there: Turn, here: Turn, number: int) -> DialogueDifference | None:
    first = here.origins[0][0] if here.origins else number
    if there.role != here.role:
        return DialogueDifference(first, "role", None, repr(there.role), repr(here.role), None, (number, 0))
    if there.text != here.text:
        return _texts(there.text, here, number)
    if not _same_images(there.images, here.images):
        return DialogueDifference(
            first, "images", None, str(there.images), str(here.images), None, (number, len(here.text))
        )
    if there.more and there.more != here.more:
        shown = there.more[:200], here.more[:200] or "(none)"
        return DialogueDifference(first, "fields", None, *shown, None, (number, len(here.text)))
    return None


def _texts(there: str, here: Turn, number: int) -> DialogueDifference:
    at = common_prefix(there, here.text)
    index, position = here.origin(at)
    before, there_after, here_after = _around(there, here.text, at)
    return DialogueDifference(
        index, "content", position, before + there_after, before + here_after, len(before), (number, at)
    )


def _around(there: str, here: str, at: int) -> tuple[str, str, str]:
    """Return what both have in front of a place, and what each has from there on."""
    begin = max(at - _BEFORE, 0)
    before = ("…" if begin else "") + _escaped(here[begin:at])
    return before, _cut(there[at:]), _cut(here[at:])


def _cut(text: str, size: int = _AFTER) -> str:
    return (_escaped(text[:size]) + ("…" if len(text) > size else "")) or "(ends here)"


def _escaped(text: str) -> str:
    """Return text on one line."""
    return json.dumps(text, ensure_ascii=not text.isprintable())[1:-1]


def common_prefix(one: str, other: str) -> int:
    """Return how many characters two texts have in common from their beginning on.

    Examples:
        >>> common_prefix("abc", "abd"), common_prefix("ab", "abc"), common_prefix("", "x")
        (2, 2, 0)
    """
    return longest(min(len(one), len(other)), lambda length: one.startswith(other[:length]))


def longest(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the greatest number up to a limit that fits, where every smaller one fits too."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _same_images(recorded: Sequence[str], asked: Sequence[str]) -> bool:
    """Compare images; an address and the bytes that were fetched from it cannot be compared here."""
    if len(recorded) != len(asked):
        return False
    return all(
        there == here or ("://" in here and there.startswith("sha256:"))
        for there, here in zip(recorded, asked, strict=True)
    )


def compare_text(recorded: str, asked: Turns, endings: Callable[[str], bool]) -> DialogueDifference | None:
    """Compare asked turns with a prompt that is recorded as text: all must stand there, in their order.

    Args:
        recorded: the prompt.
        asked: the turns.
        endings: tells whether a text is how prompts of this model end after the last message.
    """
    at = 0
    for number, turn in enumerate(asked):
        # A chat template may take away the white space around a message.
        text = turn.text if turn.text in recorded else turn.text.strip()
        found = recorded.find(text, at)
        if found < 0:
            return _missing(recorded, at, turn, text, number)
        at = found + len(text)
    if endings(recorded[at:]):
        return None
    last = asked[-1].origins[-1][0] + 1
    return DialogueDifference(
        last, "messages", None, _cut(recorded[at:], 4 * _AFTER), "(ends before)", None, (len(asked), 0)
    )


def _missing(recorded: str, at: int, turn: Turn, text: str, number: int) -> DialogueDifference:
    length = longest(len(text), lambda size: text[:size] in recorded[at:])
    place = recorded.find(text[:length], at) + length
    index, position = turn.origin(min(turn.text.find(text) + length, len(turn.text)))
    before, _, here_after = _around(text, text, length)
    return DialogueDifference(
        index,
        "content",
        position,
        before + _cut(recorded[place:]),
        before + here_after,
        len(before),
        (number, length),
    )


def compare_arguments(recorded: Any, asked: dict[str, Any]) -> DialogueDifference | None:
    """Compare the generation arguments that the caller asks for with the recorded ones.

    Args:
        recorded: all recorded ones, or None where the record does not say.
        asked: the asked ones.
    """
    if not isinstance(recorded, dict):
        return None
    for name, value in asked.items():
        here = json.dumps(value, sort_keys=True, default=repr)
        there = json.dumps(recorded[name], sort_keys=True) if name in recorded else "(not given)"
        if here != there:
            return DialogueDifference(None, f"gen_args.{name}", None, there, here, None, (0, 0))
    return None
