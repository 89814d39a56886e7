"""What a run is asked to do: one set of settings, whether they come from flags, a run file or Python.

It knows the settings' names, types and defaults. It does not know games, models or files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from clemcore.errors import RunError
from clemcore.spelling import misspelling_of

# A name, a table of fields, or a specification.
Selector: TypeAlias = Any

PAIRS = ("self", "all", "given")
LAYOUTS = ("classic", "store")
RNGS = ("episode", "process")
CONTEXTS = ("episode", "experiment")


@dataclass
class RunSettings:
    """The settings of ``clem run``; each is a flag and a key of a run file.

    Attributes:
        games: names or selectors of games.
        models: one line-up in the order of the roles, or the models that ``pairs`` combines.
        pairs: ``self`` (each model in all roles), ``all`` (every ordered pair), or ``given`` (``line_ups``).
        line_ups: the line-ups of ``pairs = "given"``.
        experiment: plays only the experiments of these names; one name may stand without a list.
        instances: the name of an instance file in each game's folder ``in``, instead of the usual one.
        results_dir: the folder that gets one folder per line-up.
        temperature: sampling temperature of all models; None leaves it to their entries.
        max_tokens: most tokens of an answer; None leaves it to their entries.
        gen_args: further generation arguments of all models.
        players: generation arguments by role; they take precedence.
        epochs: how often each instance is played.
        shard: plays only this part of the run, ``I/N``, into a file of its own.
        jobs: plays so many parts of the run, each in a process of its own.
        seed: where the random numbers of all episodes start.
        rng: ``episode`` gives each episode its own random numbers, ``process`` all episodes one stream.
        concurrency: most episodes that are live at once; None chooses.
        batch_size: largest batch of a local model; None chooses.
        layout: ``classic`` writes 3.7.2's files, ``store`` only the store; None chooses.
        max_calls: most calls of an episode.
        episode_timeout: most seconds of an episode.
        step_timeout: most seconds in a game's code without a call.
        retry_errors: True plays failed episodes again, a list only those with these errors.
        keep_context: ``experiment`` lets players remember the episodes of an experiment.
        budget: most USD of the run, with what was spent before.
        budget_per_model: most USD of each model.
        until: plays each game only until the 95 % interval of its clemscore is at most so wide.
        pilot: with ``dry_run``: episodes that are played to estimate the rest.
        dry_run: shows the plan and plays nothing.
        accept_changes: continues although something that determines results has changed.
        fresh: moves an existing run aside and starts anew.
        source: the run file that the settings come from, for errors; it is not a setting itself.
    """

    games: list[Selector] = field(default_factory=list)
    models: list[Selector] = field(default_factory=list)
    pairs: str | None = None
    line_ups: list[list[Selector]] = field(default_factory=list)
    experiment: str | list[str] | None = None
    instances: str | None = None
    results_dir: str = "results"
    temperature: float | None = None
    max_tokens: int | None = None
    gen_args: dict[str, Any] = field(default_factory=dict)
    players: list[dict[str, Any]] = field(default_factory=list)
    epochs: int = 1
    shard: str | None = None
    jobs: int | None = None
    seed: int = 0
    rng: str = "episode"
    concurrency: int | None = None
    batch_size: int | None = None
    layout: str | None = None
    max_calls: int = 500
    episode_timeout: float | None = None
    step_timeout: float = 300.0
    retry_errors: bool | list[str] = False
    keep_context: str | None = None
    budget: float | None = None
    budget_per_model: float | dict[str, float] | None = None
    until: float | None = None
    pilot: int | None = None
    dry_run: bool = False
    accept_changes: bool = False
    fresh: bool = False
    source: str | None = None

    def updated(self, given: Mapping[str, Any]) -> RunSettings:
        """Return a copy with other values.

        Raises:
            RunError: a name is unknown or a value is invalid; all problems at once.
        """
        values, problems = checked(given)
        if problems:
            raise RunError("\n".join(text for _, text in problems))
        return RunSettings(**{**self.__dict__, **values})

    def of_all_models(self) -> dict[str, Any]:
        """Return the generation arguments that were asked of every model."""
        asked = {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.gen_args}
        return {name: value for name, value in asked.items() if value is not None}

    def line_up_selectors(self) -> list[list[Selector]]:
        """Return every line-up, in the order in which they are played.

        Raises:
            RunError: models are missing, or given twice, or do not go with ``pairs``.
        """
        if self.models and self.line_ups:
            raise RunError(
                "models and line_ups are both given, and only one of them would be played: keep 'line_ups' for "
                "whole line-ups, or 'models' for one line-up or for pairs"
            )
        pairs = self.pairs or ("given" if self.line_ups else None)
        if pairs == "given":
            if not self.line_ups:
                raise RunError("pairs = given takes the line-ups of the run file, which has none: add 'line_ups'")
            return [list(line_up) for line_up in self.line_ups]
        if not self.models:
            raise RunError("no model is given: name one for each role of the games (-m A B)")
        if pairs == "self":
            return [[model] for model in self.models]
        if pairs == "all":
            return [[first, second] for first in self.models for second in self.models]
        return [list(self.models)]


Problem: TypeAlias = "tuple[tuple[str | int, ...], str]"


def checked(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Read settings by their names; return those that are valid, and a problem with its path for each other."""
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in given.items():
        plain = _OLD_NAMES.get(name.replace("-", "_"), name.replace("-", "_"))
        read = _READERS.get(plain)
        if read is None:
            near = misspelling_of(plain, [*_READERS, *_OLD_NAMES])
            hint = f"did you mean '{near}'?" if near else f"settings are {', '.join(_READERS)}"
            problems.append(((name,), f"there is no setting '{name}': {hint}"))
            continue
        if plain in values:
            problems.append(((name,), f"'{name}' is given twice: it means '{plain}'"))
            continue
        try:
            values[plain] = read(value)
        except _InvalidError as fault:
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault.path)
            problems.append(((name, *fault.path), f"{name}{place} {fault}"))
    return values, problems


class _InvalidError(Exception):
    """A value is not what its setting takes; the message follows the setting's name."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


# -- readers of values -----------------------------------------------------------------------------------------
_Reader: TypeAlias = Callable[[Any], Any]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - a line of an error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _InvalidError(f"must be a text, not {_shown(value)}")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _InvalidError(f"must be true or false, not {_shown(value)}")
    return value


def _whole(least: int, most: int | None = None) -> _Reader:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise _InvalidError(f"must be a whole number ≥ {least}, not {_shown(value)}")
        if most is not None and value > most:
            raise _InvalidError(f"must be at most {most:,}, not {_shown(value)}")
        return value

    return read


def _number(least: float, *, above: bool = False) -> _Reader:
    def read(value: Any) -> float:
        if not _is_number(value) or value < least or (above and value == least):
            raise _InvalidError(f"must be a number {'>' if above else '≥'} {least:g}, not {_shown(value)}")
        return float(value)

    return read


def _one_of(*known: str) -> _Reader:
    def read(value: Any) -> str:
        if value not in known:
            near = misspelling_of(value, known) if isinstance(value, str) else None
            hint = f": did you mean '{near}'?" if near else ""
            raise _InvalidError(f"must be one of {', '.join(known)}, not {_shown(value)}{hint}")
        return str(value)

    return read


def _optional(read: _Reader) -> _Reader:
    return lambda value: None if value is None else read(value)


def _list_of(read: _Reader, *, single: tuple[type, ...] = ()) -> _Reader:
    def read_all(value: Any) -> list[Any]:
        items = [value] if isinstance(value, single) else value
        if not isinstance(items, (list, tuple)):
            raise _InvalidError(f"must be a list, not {_shown(value)}")
        found = []
        for index, item in enumerate(items):
            try:
                found.append(read(item))
            except _InvalidError as fault:
                raise _InvalidError(str(fault), index, *fault.path) from None
        return found

    return read_all


def _selector(value: Any) -> Selector:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, Mapping) and value and all(isinstance(name, str) for name in value):
        return value
    raise _InvalidError(f"must be a name or a table of fields, not {_shown(value)}")


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise _InvalidError(f"must be a table, not {_shown(value)}")
    return dict(value)


def _arguments(value: Any) -> dict[str, Any]:
    """Read generation arguments. Those that every model has are checked here, where their place is known."""
    found = _table(value)
    for name, read in _ARGUMENTS.items():
        if name in found:
            try:
                found[name] = read(found[name])
            except _InvalidError as fault:
                raise _InvalidError(str(fault), name) from None
    return found


def _amounts(value: Any) -> float | dict[str, float]:
    usd = _number(0.0)
    if not isinstance(value, Mapping):
        return float(usd(value))
    found = {}
    for name, amount in value.items():
        try:
            found[str(name)] = float(usd(amount))
        except _InvalidError as fault:
            raise _InvalidError(str(fault), str(name)) from None
    return found


def _names(value: Any) -> str | list[str]:
    if isinstance(value, (list, tuple)) and value:
        return list(_list_of(_text)(value))
    if isinstance(value, str):
        return _text(value)
    raise _InvalidError(f"must be a text or a list of texts, not {_shown(value)}")


def _kinds(value: Any) -> bool | list[str]:
    if isinstance(value, bool):
        return value
    return list(_list_of(_text, single=(str,))(value))


_ARGUMENTS: dict[str, _Reader] = {"temperature": _number(0.0), "max_tokens": _whole(1)}
_MANY = _list_of(_selector, single=(str, Mapping))
_READERS: dict[str, _Reader] = {
    "games": _MANY,
    "models": _MANY,
    "pairs": _optional(_one_of(*PAIRS)),
    "line_ups": _list_of(_MANY),
    "experiment": _optional(_names),
    "instances": _optional(_text),
    "results_dir": _text,
    "temperature": _optional(_ARGUMENTS["temperature"]),
    "max_tokens": _optional(_ARGUMENTS["max_tokens"]),
    "gen_args": _arguments,
    "players": _list_of(_arguments),
    "epochs": _whole(1, 1_000_000),
    "shard": _optional(_text),
    "jobs": _optional(_whole(1)),
    "seed": _whole(0),
    "rng": _one_of(*RNGS),
    "concurrency": _optional(_whole(1)),
    "batch_size": _optional(_whole(1)),
    "layout": _optional(_one_of(*LAYOUTS)),
    "max_calls": _whole(1),
    "episode_timeout": _optional(_number(0.0, above=True)),
    "step_timeout": _number(0.0, above=True),
    "retry_errors": _kinds,
    "keep_context": _optional(_one_of(*CONTEXTS)),
    "budget": _optional(_number(0.0)),
    "budget_per_model": _optional(_amounts),
    "until": _optional(_number(0.0, above=True)),
    "pilot": _optional(_whole(1)),
    "dry_run": _truth,
    "accept_changes": _truth,
    "fresh": _truth,
}
# Names that 3.7.2's flags have.
_OLD_NAMES = {
    "game": "games",
    "model": "models",
    "experiment_name": "experiment",
    "instances_filename": "instances",
}

if {each.name for each in fields(RunSettings)} - {"source"} != set(_READERS):  # pragma: no cover - a slip of ours
    raise AssertionError("the settings and their readers have different names")
