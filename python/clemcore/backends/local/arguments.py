"""Generation arguments of local models: checked, accounted for, and brought into the form that engines take.

An engine says which arguments it honours and what it calls them; their types and ranges are the same for all. The
account of what was changed is that of :mod:`clemcore.arguments`. It knows no engine and no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.arguments.account import ledger_of
from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning
from clemcore.backends.local.constraints.forms import read_constraint
from clemcore.model import DEFAULT_GEN_ARGS
from clemcore.registry.spec import ModelSpec

LARGEST_SEED = 2**63 - 1
# Arguments that are carried out above the engines.
_NOT_OF_ENGINES = ("constraint",)
# Values with which greedy decoding and these arguments agree.
_NEUTRAL = {"top_p": 1, "top_k": 0, "min_p": 0}


@dataclass(frozen=True)
class Arguments:
    """Generation arguments, checked; None means that the model's own default holds."""

    temperature: float
    max_tokens: int
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


def _no_reasoning(_wish: Reasoning) -> Mapping[str, Any]:
    raise NotExpressibleError("the engine cannot be asked for it")


def read_arguments(
    gen_args: Mapping[str, Any],
    asked: Collection[str],
    spec: ModelSpec,
    names: Mapping[str, str],
    fields_for: Callable[[Reasoning], Mapping[str, Any]] = _no_reasoning,
) -> tuple[Arguments, Ledger]:
    """Check generation arguments.

    Args:
        gen_args: the arguments; None is as absent, and temperature and max_tokens have defaults.
        asked: names of those that the caller asked for.
        spec: the entry; its ``on_unsupported`` decides about arguments that cannot be honoured.
        names: the arguments that the engine honours, each with the engine's own name for it.
        fields_for: returns how reasoning is asked for, or raises :class:`NotExpressibleError`.

    Returns:
        The arguments, and the account of what became of those that were asked for.

    Raises:
        GenerationArgumentError: one is unknown, has a value that cannot be honoured, or would have no effect; the
            message names all of them.
    """
    given = {name: value for name, value in gen_args.items() if value is not None}
    ledger = ledger_of({**DEFAULT_GEN_ARGS, **given}, asked, spec, _LocalFormat(names, fields_for))
    kept = {name: ledger.value(name) for name in names if name in ledger and name not in _NOT_OF_ENGINES}
    kept["stop"] = tuple(kept.get("stop", ()))
    return Arguments(**{**DEFAULT_GEN_ARGS, **kept}), ledger


class _LocalFormat:
    """Describes the arguments of one engine to the account."""

    takes_any = False
    own_fields: frozenset[str] = frozenset()

    def __init__(self, names: Mapping[str, str], fields_for: Callable[[Reasoning], Mapping[str, Any]]) -> None:
        self._fields_for = fields_for
        self.parameters: Mapping[str, Parameter] = {
            argument: Parameter((name,), convert=_CHECKS[argument].convert) for argument, name in names.items()
        }

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:  # noqa: ARG002 - the same for all
        """Return a budget, or variables of the chat template."""
        return self._fields_for(wish)

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:  # noqa: ARG002 - as above
        """Return None: there are no fields about reasoning."""
        return None

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:  # noqa: ARG002 - greedy decoding is the same for all
        """Refuse or leave out what has no effect because decoding is greedy."""
        if ledger.value("temperature", DEFAULT_GEN_ARGS["temperature"]) != 0:
            return
        for name, neutral in _NEUTRAL.items():
            value = ledger.value(name)
            if value is not None and value != neutral:
                ledger.unsupported(
                    name,
                    f"{value!r} has no effect at temperature 0 (greedy decoding): "
                    f"set a temperature above 0 or leave {name} out",
                )


@dataclass(frozen=True)
class _Check:
    """What the value of an argument must be."""

    words: str
    holds: Callable[[Any], bool]
    nearest: Callable[[Any], Any] = lambda _value: None

    def convert(self, value: Any) -> Any:
        """Return the value; raise where it is not what it must be."""
        if not self.holds(value):
            raise NotExpressibleError(f"must be {self.words}, not {value!r}", self.nearest(value))
        return value


class _ConstraintCheck(_Check):
    """A constraint has several forms, each with its own faults."""

    def convert(self, value: Any) -> Any:
        """Return the constraint."""
        try:
            read_constraint(value)
        except ValueError as fault:
            raise NotExpressibleError(str(fault)) from None
        return value


class _StopCheck(_Check):
    """A single stop string may stand alone."""

    def convert(self, value: Any) -> Any:
        """Return the list of stop strings."""
        return super().convert([value] if isinstance(value, str) else value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _at_least(least: float) -> Callable[[Any], Any]:
    return lambda value: least if _is_number(value) and value < least else None


def _within(low: float | None, high: float) -> Callable[[Any], Any]:
    """Return what finds the nearest value in a range; below a range without a lowest value there is none."""
    return lambda value: None if not _is_number(value) else high if value > high else low


_CHECKS = {
    "constraint": _ConstraintCheck("a constraint", lambda _value: True),
    "temperature": _Check("a number of at least 0", lambda v: _is_number(v) and v >= 0, _at_least(0)),
    "max_tokens": _Check("an integer of at least 1", lambda v: _is_integer(v) and v >= 1, _at_least(1)),
    "top_p": _Check("a number above 0 and up to 1", lambda v: _is_number(v) and 0 < v <= 1, _within(None, 1)),
    "top_k": _Check(
        "an integer of at least 0 (0 means no limit)", lambda v: _is_integer(v) and v >= 0, _at_least(0)
    ),
    "min_p": _Check("a number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1, _within(0, 1)),
    "repetition_penalty": _Check("a number above 0 (1 means none)", lambda v: _is_number(v) and v > 0),
    "seed": _Check(
        "an integer from 0 to 2**63 - 1",
        lambda v: _is_integer(v) and 0 <= v <= LARGEST_SEED,
        lambda v: _within(0, LARGEST_SEED)(v) if _is_integer(v) else None,
    ),
    "stop": _StopCheck(
        "a non-empty string or a list of such",
        lambda v: isinstance(v, list) and all(isinstance(text, str) and text for text in v),
    ),
}
