"""From generation arguments to the fields of a request body, with an account of every change.

Nothing asked for is dropped unless the entry allows it: an argument that cannot be sent as asked is an error before
anything is sent. Only defaults that the caller did not ask for are left out, and that is noted. It knows what
entries say about their models, and neither messages nor any wire format.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from clemcore.arguments.fitting import as_json, fit, plain
from clemcore.arguments.ledger import Ledger, OnUnsupported, Path, check_names, leaves, merge, value_at
from clemcore.arguments.parameter import SAMPLING_FIELDS, NotExpressibleError, Parameter
from clemcore.arguments.reasoning import (
    EFFORTS,
    MANNERS,
    WISH_FORM,
    WISHES,
    Reasoning,
    efforts_of,
    impossible,
    misspelt,
    read_closing,
    read_on_exceed,
    read_wish,
    thinking_of,
)
from clemcore.errors import GenerationArgumentError, SpecError
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec
from clemcore.spelling import misspelling_of

# Arguments of the SDKs' own calls that never were part of a body.
_NOT_IN_BODY = ("extra_headers", "extra_query", "timeout")
# What an entry's `sampling_parameters` decides about; the rest (seed, stop, …) it does not mention.
SAMPLING = frozenset(SAMPLING_FIELDS) - {"max_tokens", "seed", "stop", "reasoning", "reasoning_effort"}


class Format(Protocol):
    """What has to be known of a wire format, or of a local engine, to fill its ledger.

    Attributes:
        parameters: the generation arguments that it knows, by their uniform or native name.
        takes_any: whether an argument that it does not know is sent under its own name.
        own_fields: fields of the request that clemcore writes itself; they are not generation arguments. A local
            engine has none: it is sent no body, so ``extra_body`` is an argument like any that it does not know.
    """

    parameters: Mapping[str, Parameter]
    takes_any: bool
    own_fields: frozenset[str]

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:
        """Return the fields that ask for reasoning; raise :class:`NotExpressibleError` where there are none."""

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:
        """Return the reasoning that fields ask for in the format's own words, or None."""

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:
        """Adjust arguments that depend on each other, after each has its place."""


def ledger_of(gen_args: Mapping[str, Any], asked: Collection[str], spec: ModelSpec, dialect: Format) -> Ledger:
    """Decide which fields the body gets.

    Args:
        gen_args: all generation arguments, defaults included.
        asked: names of those that the caller asked for.
        spec: the entry; what it says about the model's abilities, and ``extra_body``, are read from it.
        dialect: says which arguments the service knows and where they stand in the body.

    Raises:
        GenerationArgumentError: an argument cannot be sent as asked.
        SpecError: the entry says something that cannot be sent.
    """
    from_caller, given = _divided(gen_args) if dialect.own_fields else ({}, gen_args)
    check_names({**given, **from_caller})
    asked_names = set(asked) & given.keys()
    if twice := sorted(asked_names & from_caller.keys()):
        raise GenerationArgumentError(f"asked for twice, by name and in 'extra_body': {', '.join(twice)}")
    if dialect.own_fields:
        _check_ours({**given, **from_caller}, spec, dialect)
    ledger = Ledger(spec["model_name"], asked_names | from_caller.keys(), _policy(spec))
    filling = _Filling(ledger, spec, dialect)
    for name, value in {**given, **from_caller}.items():
        try:
            as_sent = plain(value)
        except NotExpressibleError as fault:
            ledger.refuse(f"{name}{fault}")
        else:
            filling.add(name, as_sent, is_native=name in from_caller)
    return filling.finish()


def _divided(gen_args: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the fields that the caller names in the service's own words, and the other arguments."""
    from_caller = gen_args.get("extra_body") or {}
    if not isinstance(from_caller, Mapping):
        raise GenerationArgumentError(f"'extra_body' must be a dict, not {type(from_caller).__name__}")
    return from_caller, {name: value for name, value in gen_args.items() if name != "extra_body"}


class _Filling:
    """Fills one ledger."""

    def __init__(self, ledger: Ledger, spec: ModelSpec, dialect: Format) -> None:
        self._ledger = ledger
        self._spec = spec
        self._dialect = dialect
        self._wish: tuple[str, Reasoning] | None = None
        self._wished: Any = None  # the wish as it was written
        self._extra = {name: as_json(name, value) for name, value in _extra_body(spec, dialect).items()}
        merge(ledger.fields, json.loads(json.dumps(self._extra)))

    def add(self, name: str, value: Any, *, is_native: bool) -> None:
        """Find the place of one argument, whose value is what JSON carries."""
        ledger = self._ledger
        parameter = None if is_native else self._dialect.parameters.get(name)
        if not is_native and self._is_wish(name, value, parameter):
            self._wish_for(name, value)
            return
        if name == "reasoning_effort" and (why := misspelt(value, efforts_of(self._spec))):
            ledger.refuse(f"{name}: {why}")
            return
        if parameter is None and not is_native and name not in self._extra:
            why = self._unknown(name, value)
            if why is not None:
                ledger.unsupported(name, why)
                return
        path = (name,) if parameter is None else parameter.path
        if self._is_taken(name, value, path):
            return
        before = value_at(self._extra, path, _ABSENT)
        if before is not _ABSENT:
            if not ledger.was_asked(name):
                ledger.drop(name, "default; model_config.extra_body of the entry gives another value")
                return
            if before != value and not isinstance(value, dict):
                where = ".".join(("extra_body", *path))
                ledger.dropped[where] = "asked for with another value as a generation argument"
        if isinstance(value, dict) and is_native and isinstance(value_at(ledger.fields, path), dict):
            merge(ledger.fields, {name: value})
            return
        ledger.put(name, path, value)
        if parameter is not None and value is not None:
            fit(ledger, name, value, parameter)

    def _is_taken(self, name: str, value: Any, path: Path) -> bool:
        """Tell whether another argument has the place already; a default makes room for what was asked for."""
        ledger = self._ledger
        for inside in leaves(value) if isinstance(value, dict) else [()]:
            other = ledger.overlapping((*path, *inside), name)
            if other is None:
                continue
            if not ledger.was_asked(name):
                ledger.drop(name, f"default; {other} was given")
                return True
            if ledger.was_asked(other):
                ledger.refuse(f"{other} and {name} are sent in the same place: ask for one of them")
                return True
            ledger.drop(other, f"default; {name} was given")
        return False

    def _is_wish(self, name: str, value: Any, parameter: Parameter | None) -> bool:
        """Tell whether an argument asks for reasoning in the uniform way, and not in the service's own."""
        if name == "reasoning":
            if isinstance(value, dict) and value:
                return value.keys() <= {*WISHES, *MANNERS}
            return parameter is None and not self._dialect.takes_any  # its form is refused
        return name == "reasoning_effort" and parameter is None and not self._dialect.takes_any

    def _wish_for(self, name: str, value: Any) -> None:
        ledger = self._ledger
        if self._wish is not None:
            ledger.refuse(f"{self._wish[0]} and {name} both ask for reasoning: ask once")
            return
        if name == "reasoning" and (not isinstance(value, dict) or not value):
            ledger.refuse(f"{name}: it must be {WISH_FORM}, not {value!r}")
            return
        try:
            wish = read_wish(name, value, efforts_of(self._spec))
            if isinstance(value, dict):
                self._read_manners(name, value)
        except ValueError as fault:
            ledger.refuse(f"{name}: {fault}")
        else:
            self._wish = (name, wish) if wish.words else None
            self._wished = value

    def _read_manners(self, name: str, wish: Mapping[str, Any]) -> None:
        """Read what follows where reasoning has used up its tokens; only thoughts of local models can be closed."""
        ledger = self._ledger
        can_close = not self._dialect.own_fields
        on_exceed = read_on_exceed(wish["on_exceed"], can_close=can_close) if "on_exceed" in wish else None
        closing = read_closing(wish["closing"]) if "closing" in wish else ""
        if (on_exceed == "close" or closing) and not can_close:
            why = (
                "a service's thoughts cannot be closed (on_exceed 'close', closing): only those of local models can"
            )
            if not ledger.was_asked(name):
                raise ValueError(f"{name}: {why}")
            nearest = {key: value for key, value in wish.items() if key not in MANNERS} | {"on_exceed": "empty"}
            if not ledger.unsupported(name, why, nearest, value=dict(wish)) and name in ledger.dropped:
                ledger.dropped[f"{name}.on_exceed"] = ledger.dropped.pop(name)
            on_exceed, closing = None, ""
        ledger.on_exceed, ledger.closing = on_exceed, closing

    def finish(self) -> Ledger:
        """Decide what depends on all arguments together."""
        ledger, spec = self._ledger, self._spec
        self._reason()
        self._check_sampling()
        most = spec.get("max_output_tokens")
        limit = ledger.value("max_tokens")
        if isinstance(most, int) and isinstance(limit, int) and limit > most:
            ledger.unsupported("max_tokens", f"the model answers with {most} tokens at most, not {limit}", most)
        self._dialect.settle(ledger, spec)
        ledger.require()
        return ledger

    def _reason(self) -> None:
        """Ask for the reasoning that the call asks for, or else the entry."""
        ledger = self._ledger
        own = self._dialect.reasoning_in(ledger.fields)
        if self._wish is None and own is not None:
            ledger.reasoning = self._fitted(own) if "reasoning_effort" in ledger else own
            return
        if self._wish is None:
            self._wish = self._wish_of_entry()
        if self._wish is None:
            return
        name, wish = self._wish
        if "reasoning_effort" in ledger and ledger.was_asked("reasoning_effort"):
            ledger.refuse(f"reasoning_effort and {name} both ask for reasoning: ask once")
            return
        found = self._expressed(name, wish)
        if found is None:
            return
        ledger.reasoning, fields = found
        places = [".".join(path) for path in leaves(fields)]
        for path in leaves(fields):
            other = ledger.overlapping(path, name)
            if other is not None:
                ledger.refuse(f"{other} and {name} both ask for reasoning: ask once")
                return
            before = value_at(self._extra, path, _ABSENT)
            if before is not _ABSENT and before != value_at(fields, path):
                where = ".".join(("extra_body", *path))
                ledger.dropped[where] = f"asked for with another value as '{name}'"
        merge(ledger.fields, fields)
        if places != [name]:
            ledger.renamed[name] = ", ".join(places)

    def _fitted(self, own: Reasoning) -> Reasoning | None:
        """Hold an effort that stands in the body already against what the entry says."""
        found = impossible(own, self._spec)
        if found is None:
            return own
        why, near = found
        nearest = () if near is None else (near.effort,)
        return near if self._ledger.unsupported("reasoning_effort", why, *nearest) else None

    def _expressed(self, name: str, wish: Reasoning) -> tuple[Reasoning, Mapping[str, Any]] | None:
        """Return the reasoning that can be asked for, and how, or None where the wish is refused or left out."""
        ledger, spec = self._ledger, self._spec
        for _ in EFFORTS:
            found = impossible(wish, spec)
            if found is None:
                try:
                    return wish, self._dialect.reasoning(wish, spec)
                except NotExpressibleError as fault:
                    found = str(fault), fault.nearest
            why, near = found
            if not ledger.was_asked(name):
                raise SpecError(f"model '{spec['model_name']}': model_config.{name}: {why}")
            nearest = () if near is None or near == wish else (near.in_words(name),)
            if not ledger.unsupported(name, why, *nearest, value=self._wished) or near is None:
                return None
            wish = near
        return None

    def _wish_of_entry(self) -> tuple[str, Reasoning] | None:
        """Return the reasoning that the entry asks for; its flag counts by value."""
        spec = self._spec
        wish, effort = setting(spec, "reasoning"), setting(spec, "reasoning_effort")
        budget = setting(spec, "thinking_budget")
        try:
            if wish is not None:
                self._read_manners("reasoning", wish)
                found = read_wish("reasoning", wish, efforts_of(spec))
                return ("reasoning", found) if found.words else None
            if effort is not None:
                return "reasoning_effort", read_wish("reasoning_effort", effort, efforts_of(spec))
            if setting(spec, "thinking_mode", False):
                wish = {} if budget is None else {"budget": budget}
                return "thinking_mode", read_wish("reasoning", wish)
        except ValueError as fault:
            raise SpecError(f"model '{spec['model_name']}': model_config: {fault}") from None
        return None

    def _check_sampling(self) -> None:
        """Leave out the sampling parameters that the entry does not list."""
        ledger, spec = self._ledger, self._spec
        allowed, when = _names(spec, "sampling_parameters"), "'sampling_parameters' of the entry does not list it"
        if allowed is None:
            allowed = _names(spec, "sampling_parameters_without_thinking")
            if allowed is None:
                return
            when = "'sampling_parameters_without_thinking' of the entry does not list it"
            if thinks(ledger, spec):
                allowed, when = [], "the model takes it only while it does not think"
        for name in sorted(SAMPLING):
            if name in ledger and name not in allowed:
                ledger.unsupported(name, when)

    def _unknown(self, name: str, value: Any) -> str | None:
        """Return why a name that no list has is not sent, or a wish of another form; None where any is taken."""
        dialect = self._dialect
        if name == "reasoning" and not dialect.takes_any:
            keys = {*WISHES, *MANNERS}
            others = [(key, misspelling_of(key, keys)) for key in sorted(value.keys() - keys)]
            told = ", ".join(f"{key!r}" + (f" (did you mean {near!r}?)" if near else "") for key, near in others)
            return f"it must be {WISH_FORM}; it has {told}"
        near = misspelling_of(name, {*dialect.parameters, *SAMPLING_FIELDS})
        if near is None and dialect.takes_any:
            return None
        hint = f"did you mean {near!r}?{' ' if dialect.own_fields or dialect.takes_any else ''}" if near else ""
        if dialect.takes_any:
            hint += "If the service takes it, ask for it in 'extra_body'"
        elif dialect.own_fields:
            hint += "if the service takes it, list it with a value in model_config.extra_body of the entry"
        elif near is None:
            known = [name for name, parameter in dialect.parameters.items() if not parameter.is_refused]
            hint = f"it knows {', '.join(known)}"
        backend = self._spec.get("backend")
        who = "the backend" if backend is None else f"backend '{backend}'"
        return f"{who} does not know the generation argument {name!r}: {hint}"


_ABSENT: Any = object()


def _policy(spec: ModelSpec) -> OnUnsupported:
    policy: OnUnsupported = setting(spec, "on_unsupported", "error")
    return policy


def thinks(ledger: Ledger, spec: ModelSpec) -> bool:
    """Tell whether the model will reason, as far as the call and the entry say it."""
    if ledger.reasoning is not None:
        return not ledger.reasoning.is_off
    thinking = thinking_of(spec)
    return bool(thinking.get("always") or thinking.get("on_by_default"))


def _extra_body(spec: ModelSpec, dialect: Format) -> dict[str, Any]:
    if not dialect.own_fields:
        return {}
    extra: dict[str, Any] = setting(spec, "extra_body", {})
    effort = setting(spec, "reasoning_effort")
    place = dialect.parameters.get("reasoning_effort")
    is_field = dialect.takes_any if place is None else place.path == ("reasoning_effort",)
    if why := misspelt(effort, efforts_of(spec)):
        raise SpecError(f"model '{spec['model_name']}': model_config.reasoning_effort: {why}")
    if effort is not None and is_field:
        extra = {"reasoning_effort": effort, **extra}
    if taken := sorted(name for name in (*dialect.own_fields, "stream") if name in extra):
        raise SpecError(f"model '{spec['model_name']}': extra_body must not hold {', '.join(taken)}")
    return extra


def _check_ours(given: Mapping[str, Any], spec: ModelSpec, dialect: Format) -> None:
    if outside := sorted(name for name in given if name in _NOT_IN_BODY):
        raise GenerationArgumentError(
            f"{', '.join(outside)}: no generation argument of model '{spec['model_name']}'; "
            "a time limit is model_config.timeout in the entry"
        )
    if taken := sorted(name for name in dialect.own_fields if name in given and name not in dialect.parameters):
        raise GenerationArgumentError(
            f"{', '.join(taken)}: no generation argument: the entry's model_id and the call's messages are sent"
        )
    if given.get("stream"):
        raise GenerationArgumentError(
            "'stream' is not available as an argument: leave it out, and call stream_response"
        )


def _names(spec: ModelSpec, field: str) -> list[str] | None:
    value = spec.get(field)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SpecError(f"model '{spec['model_name']}': '{field}' must be a list of names, not {value!r}")
    return value
