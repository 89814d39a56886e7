"""Two renderers and the same conversations: do they make the same text, the same errors, the same token ids?

A renderer is a function from a case to a text; it may raise. This module knows no template engine.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from clemcore.errors import TemplateError
from clemcore.prompts.proof.cases import Case

Renderer = Callable[[Case], str]
Encoder = Callable[[str], Sequence[int]]

# Characters of context on each side of a difference.
_CONTEXT = 30
_TOKENS = 4


class RefusalError(TemplateError):
    """The template itself refused the messages (``raise_exception``); the text counts, to the letter."""


class BoundsError(TemplateError):
    """A render would have taken more time or memory than any prompt does; who has no bounds must not be asked."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        text: the rendered text, or None.
        error: the error's text, or "".
        refused: whether it is known to be the template's own ``raise_exception``.
    """

    text: str | None
    error: str = ""
    refused: bool = False


@dataclass(frozen=True)
class PromptDifference:
    """The first place where two renderers part.

    Attributes:
        case: id of the case.
        what: ``text``, ``error``, ``token ids`` or ``double BOS``.
        byte: offset in the UTF-8 of the text (or of the error's text), or None where there is no place.
        line: line of that text, counted from 1, or None.
        before: the end of what is the same on both sides.
        ours: our side from there on, shortened; "" at its end.
        theirs: the other side from there on, shortened.
        token: for token ids the index of the first that differs, else None.
    """

    case: str
    what: str
    byte: int | None
    line: int | None
    before: str
    ours: str
    theirs: str
    token: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dataclasses.asdict(self)


@dataclass
class Comparison:
    """The result of comparing.

    Attributes:
        cases: how many were compared.
        rendered: how many gave a text on both sides.
        differing: ids of cases that differ.
        first: the first difference, or None.
        agreed: the cases that gave the same text.
    """

    cases: int = 0
    rendered: int = 0
    differing: list[str] = field(default_factory=list)
    first: PromptDifference | None = None
    agreed: list[Case] = field(default_factory=list)


def compare(
    ours: Renderer,
    theirs: Renderer,
    cases: Iterable[Case],
    *,
    check_ids: Callable[[Case, str], PromptDifference | None] | None = None,
) -> Comparison:
    """Render every case twice.

    Args:
        ours: the renderer to be proven.
        theirs: the one that is right by definition.
        cases: what to render.
        check_ids: compares the token ids of a case whose texts are equal.

    Raises:
        BoundsError: ours breaks a bound; the other renderer was not asked for that case.
    """
    result = Comparison()
    for case in cases:
        result.cases += 1
        left, right = outcome(ours, case), outcome(theirs, case)
        difference = difference_of(case.id, left, right)
        if difference is None and left.text is not None:
            result.rendered += 1
            if check_ids is not None:
                difference = check_ids(case, left.text)
        if difference is not None:
            result.differing.append(case.id)
            result.first = result.first or difference
        elif left.text is not None:
            result.agreed.append(case)
    return result


def outcome(render: Renderer, case: Case) -> Outcome:
    """Render one case; whatever is raised becomes an outcome, but for a :class:`BoundsError`."""
    try:
        return Outcome(render(case))
    except BoundsError:
        raise
    except TemplateError as fault:
        _forget(fault)
        return Outcome(None, str(fault), isinstance(fault, RefusalError))
    except Exception as fault:  # noqa: BLE001 - a renderer that is broken in any way is to be found out, not to end this
        return Outcome(None, f"{type(fault).__name__}: {fault}")


def _forget(fault: BaseException | None) -> None:
    """Clear the frames that an error came through.

    jinja2 leaves frames behind that hold the error itself, and so each other and all their callers: whatever these
    have in hand (a model that is being loaded) would stay until the garbage collector comes by.
    """
    while fault is not None:
        trace = fault.__traceback__
        while trace is not None:
            frame: FrameType | None = trace.tb_frame
            with contextlib.suppress(RuntimeError):  # a frame that is still running, as all from there on
                while frame is not None:
                    frame.clear()
                    frame = frame.f_back
            trace = trace.tb_next
        fault.__traceback__ = None
        fault = fault.__cause__


def difference_of(case: str, ours: Outcome, theirs: Outcome) -> PromptDifference | None:
    """Return the first difference of two outcomes, or None."""
    if ours.text is not None and theirs.text is not None:
        return text_difference(case, "text", ours.text, theirs.text)
    if ours.text is None and theirs.text is None:
        # Python's own texts of errors (TypeError …) differ between versions; the template's do not.
        if theirs.refused:
            return text_difference(case, "error", ours.error, theirs.error)
        return None
    return PromptDifference(case, "error", None, None, "", _said(ours), _said(theirs))


def text_difference(case: str, what: str, ours: str, theirs: str) -> PromptDifference | None:
    """Return the first difference of two texts, or None."""
    if ours == theirs:
        return None
    at = first_difference(ours, theirs)
    return PromptDifference(
        case,
        what,
        len(ours[:at].encode("utf-8", "surrogatepass")),
        ours.count("\n", 0, at) + 1,
        ours[max(0, at - _CONTEXT) : at],
        ours[at : at + _CONTEXT],
        theirs[at : at + _CONTEXT],
    )


def first_difference(one: str, other: str) -> int:
    """Return the index of the first character that differs; the shorter one's length where it is a beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # slices are compared at the speed of memory, characters are not
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def ids_difference(
    case: str, ours: Sequence[int], theirs: Sequence[int], show: Callable[[Sequence[int]], str]
) -> PromptDifference | None:
    """Return the first difference of two lists of token ids, or None; its place in the text is not known here.

    Args:
        case: id of the case.
        ours: token ids of our text.
        theirs: the ids that are right by definition.
        show: writes tokens.
    """
    if list(ours) == list(theirs):
        return None
    ends = min(len(ours), len(theirs))
    at = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), ends)
    before = show(ours[max(0, at - _TOKENS) : at])
    end = at + _TOKENS
    return PromptDifference(case, "token ids", None, None, before, show(ours[at:end]), show(theirs[at:end]), at)


def _said(outcome: Outcome) -> str:
    return f"error: {outcome.error}" if outcome.text is None else f"text: {outcome.text[: 2 * _CONTEXT]}"
