"""What determines the results of a run: ``run.json``, and what may change when the run is continued.

More games, experiments, instances or epochs and higher limits only extend a run. Other versions of Python and
packages are noted. Anything else would mix results that do not belong together. It does not know who plays.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore._core import __version__
from clemcore.calls.encoding import sha256_of_value, to_json

if TYPE_CHECKING:
    from clemcore.clemgame.plan import PlannedGame
    from clemcore.clemgame.runs.settings import RunSettings

VERSION = 1
# How facts about a model begin. A file that says nothing about one of them has no value for it.
MODEL = "model "
# The key of what this version adds to 3.7.2's file.
SECTION = "clemcore"

Json = dict[str, Any]

# Fields of an entry that describe the model, or how often and how long it is asked: results do not depend on them.
_WITHOUT_EFFECT = frozenset(
    {
        "aliases",
        "attempt_timeout",
        "bad_reply_attempts",
        "deprecation_date",
        "family",
        "idle_timeout",
        "join_timeout",
        "languages",
        "license",
        "lint",
        "lookup_source",
        "max_connections",
        "open_weight",
        "parameters",
        "prices",
        "release_date",
        "requests_per_minute",
        "response_timeout",
        "timeout",
        "tokens_per_minute",
        "torch_num_threads",
        "total_timeout",
    }
)
_LIMITS = ("max_calls", "episode_timeout", "step_timeout")
_SCALARS = ("seed", "rng", "keep_context")
_HASH_SEED, _CLEMCORE = "hash_seed (PYTHONHASHSEED)", "the version of clemcore"
_NONE = object()


@dataclass(frozen=True)
class Change:
    """Something that is not as it was when the run began."""

    what: str
    old: Any
    new: Any

    def __str__(self) -> str:
        """Show old and new."""
        return f"{self.what}: {_shown(self.old)} → {_shown(self.new)}"

    def to_dict(self) -> Json:
        """Return it as JSON."""
        return {"what": self.what, "old": _plain(self.old), "new": _plain(self.new)}


@dataclass
class Comparison:
    """How a command differs from the run that it continues.

    Attributes:
        refused: what would mix results.
        noted: other versions of Python and packages.
    """

    refused: list[Change] = field(default_factory=list)
    noted: list[Change] = field(default_factory=list)


def _shown(value: Any) -> str:
    if value is _NONE:
        return "nothing"
    text = value if isinstance(value, str) else to_json(value).decode("utf-8")
    return text if len(text) <= 80 else text[:77] + "…"  # noqa: PLR2004 - a line of an error


def _plain(value: Any) -> Any:
    return None if value is _NONE else value


# -- making one ------------------------------------------------------------------------------------------------
def describe(
    settings: RunSettings, games: Sequence[PlannedGame], player_models: Json, hash_seed: str | None
) -> Json:
    """Return the content of ``run.json`` for a command.

    Args:
        settings: the settings of the command.
        games: the games that are played, with their episodes.
        player_models: specification and generation arguments of each model, by the number of its role.
        hash_seed: the process's hash seed; None where it is random.
    """
    return {
        "clem_version": __version__,
        "created": datetime.now().astimezone().isoformat(),
        "player_models": player_models,
        "games": {game.spec.game_name: {"game_path": str(game.spec.game_path)} for game in games},
        SECTION: {
            "manifest_version": VERSION,
            **{name: getattr(settings, name) for name in _SCALARS},
            "epochs": settings.epochs,
            "layout": settings.layout or "classic",
            "hash_seed": hash_seed,
            "limits": {name: getattr(settings, name) for name in _LIMITS},
            "versions": versions(),
            "games": {game.spec.game_name: _game(game) for game in games},
            "changes": [],
        },
    }


def versions() -> Json:
    """Return the versions of clemcore, of Python and of all installed packages."""
    import platform  # by the writer alone

    return {"clemcore": __version__, "python": platform.python_version(), "packages": _packages()}


def _packages() -> dict[str, str]:
    """Read names and versions from the names of folders: opening a file per package would take its time."""
    found: dict[str, str] = {}
    for folder in dict.fromkeys(sys.path):
        try:
            names = sorted(path.name for path in Path(folder or ".").glob("*.dist-info"))
        except OSError:  # an entry that cannot be read holds no packages for anybody
            continue
        for name in names:
            package, _, version = name.removesuffix(".dist-info").partition("-")
            found.setdefault(package.lower().replace("_", "-"), version)
    found.pop("clemcore", None)  # its version stands beside them
    return dict(sorted(found.items()))


def _game(game: PlannedGame) -> Json:
    experiments: dict[str, Json] = {}
    for episode in game.episodes:
        known = experiments.get(episode.key.experiment)
        if known is None:
            known = {"sha256": sha256_of_value(episode.experiment), "instances": {}}
            experiments[episode.key.experiment] = known
        number = str(episode.key.game_id)
        if number not in known["instances"]:  # further epochs repeat it
            known["instances"][number] = sha256_of_value(episode.instance)[:16]
    return {"sha256": dict(game.sha256), "experiments": experiments}


def without_instances(section: Json) -> Json:
    """Return what a manifest says under its section, without the instances of experiments: there may be many."""
    games = {name: {**game, "experiments": {}} for name, game in section["games"].items()}
    return {**section, "games": games}


# -- comparing two ---------------------------------------------------------------------------------------------
def compare(old: Json, new: Json) -> Comparison:
    """Compare a run with a command that continues it."""
    before, now = old[SECTION], new[SECTION]
    found = Comparison()
    refused = found.refused
    for name in _SCALARS:
        if before.get(name) != now.get(name):
            refused.append(Change(name, before.get(name), now.get(name)))
    seeds = before.get("hash_seed"), now.get("hash_seed")
    if seeds[0] != seeds[1]:
        (found.noted if None in seeds else refused).append(Change(_HASH_SEED, *seeds))
    refused += _lowered(before.get("limits", {}), now["limits"])
    refused += _models(old.get("player_models", {}), new["player_models"])
    for game in now["games"]:
        if game in before["games"]:
            refused += game_changes(game, before["games"][game], now["games"][game])
    was, is_ = before.get("versions", {}), now["versions"]
    if was.get("clemcore") != is_["clemcore"]:
        refused.append(Change(_CLEMCORE, was.get("clemcore"), is_["clemcore"]))
    if was.get("python") != is_["python"]:
        found.noted.append(Change("the version of Python", was.get("python"), is_["python"]))
    found.noted += _differences("the package {}", was.get("packages", {}), is_["packages"])
    return found


def _lowered(before: Json, now: Json) -> Iterator[Change]:
    for name in _LIMITS:
        old, new = before.get(name), now[name]
        if old != new and new is not None and (old is None or new < old):
            yield Change(name, old, new)


def _models(before: Json, now: Json) -> Iterator[Change]:
    for index in sorted({*before, *now}, key=int):
        for old, new in zip(*(_of_model(index, each.get(index, {})) for each in (before, now)), strict=True):
            yield from _differences("{}", old, new)


def _of_model(index: str, about: Json) -> tuple[Json, Json]:
    """Return what determines the answers of a model: its entry, and its generation arguments."""
    place, args = f"{MODEL}{int(index) + 1}", about.get("gen_args", {})
    spec = _flat(about.get("model_spec", {}))
    return (
        {f"{place}, {name}": value for name, value in spec.items() if name not in args},  # they say what is sent
        {f"{place}, generation argument {name}": value for name, value in args.items()},
    )


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if name in _WITHOUT_EFFECT:
            continue
        if isinstance(item, Mapping) and item:
            flat.update(_flat(item, f"{path}{name}."))
        else:
            flat[f"{path}{name}"] = item
    return flat


def game_changes(game: str, before: Json, now: Json) -> Iterator[Change]:
    """Give what differs between the descriptions of a game in two manifests, in what both have."""
    old = _of_game(game, before)
    for what, value in _of_game(game, now).items():
        if old.get(what, value) != value:
            yield Change(what, old[what], value)


def _of_game(game: str, about: Json, *, with_instances: bool = True) -> dict[str, str]:
    found = {f"game '{game}', {part}": _short(about["sha256"].get(part)) for part in ("code", "resources")}
    for name, experiment in about["experiments"].items():
        found[f"{_experiment(game, name)}, settings"] = _short(experiment["sha256"])
        for number, digest in experiment["instances"].items() if with_instances else ():
            found[_instance(game, name, number)] = digest
    return found


def _experiment(game: str, name: str) -> str:
    return f"game '{game}', experiment '{name}'"


def _instance(game: str, experiment: str, game_id: int | str) -> str:
    return f"{_experiment(game, experiment)}, instance {game_id}"


def _short(digest: str | None) -> str:
    return "unknown" if digest is None else f"SHA-256 {digest[:12]}…"


def _differences(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name, _NONE), now.get(name, _NONE)
        if old is _NONE or new is _NONE or old != new or type(old) is not type(new):
            yield Change(what.format(name), old, new)


def histories(content: Json, *, with_instances: bool = True) -> dict[str, list[Any]]:
    """Return each fact that determines results, with all values that it has had in a run, the newest last.

    Changes that were accepted are in it: a file of the run that was written before them has an earlier value.

    Args:
        content: the content of ``run.json``.
        with_instances: whether the content of instances is among the facts; there may be many.
    """
    section = content[SECTION]
    now: Json = {name: section.get(name) for name in _SCALARS}
    now[_HASH_SEED] = section.get("hash_seed")
    now[_CLEMCORE] = section.get("versions", {}).get("clemcore")
    for index, model in content.get("player_models", {}).items():
        for part in _of_model(index, model):
            now.update(part)
    for game, about in section["games"].items():
        now.update(_of_game(game, about, with_instances=with_instances))
    found: dict[str, list[Any]] = {}
    for change in section.get("changes", []):
        if change["what"] in now or change["what"].startswith(MODEL):
            _add(found, change["what"], change["old"])
            _add(found, change["what"], change["new"])
            now.setdefault(change["what"], None)
    for what, value in now.items():
        _add(found, what, value)
    return found


def histories_of_instances(
    content: Json, game: str, played: Mapping[str, Container[int]]
) -> Iterator[tuple[str, list[Any]]]:
    """Give the facts about instances that :func:`histories` has, one by one.

    Args:
        content: the content of ``run.json``.
        game: the game.
        played: by the names of experiments, the IDs of the instances.
    """
    changes: dict[str, list[Json]] = {}
    for change in content[SECTION].get("changes", []):
        changes.setdefault(change["what"], []).append(change)
    for name, experiment in content[SECTION]["games"].get(game, {}).get("experiments", {}).items():
        chosen = played.get(name, ())
        for number, digest in experiment["instances"].items():
            if int(number) in chosen:
                what, found = _instance(game, name, number), dict[str, list[Any]]()
                for change in changes.get(what, ()):
                    _add(found, what, change["old"])
                    _add(found, what, change["new"])
                _add(found, what, digest)
                yield what, found[what]


def _add(found: dict[str, list[Any]], what: str, value: Any) -> None:
    values = found.setdefault(what, [])
    is_random = what == _HASH_SEED and value is None  # which tells nothing
    if not is_random and (not values or values[-1] != value):
        values.append(value)


# -- continuing one --------------------------------------------------------------------------------------------
def extended(old: Json, new: Json, changes: Sequence[Change]) -> Json:
    """Return the content of ``run.json`` after a command has extended or changed a run.

    Args:
        old: what the run has.
        new: what the command describes.
        changes: what is different now; it is listed with the time.
    """
    before, now = old[SECTION], new[SECTION]
    games = {**before["games"]}
    for name, game in now["games"].items():
        games[name] = _extended_game(games[name], game) if name in games else game
    when = new["created"]
    # Games that this command plays are planned as a whole again, and stop early only if it says so.
    stopped = {name: cell for name, cell in before.get("until", {}).items() if name not in now["games"]}
    return {
        **new,
        "created": old["created"],
        "games": {**new["games"], **old["games"]},
        SECTION: {
            **now,
            "epochs": max(before["epochs"], now["epochs"]),
            "games": games,
            **({"until": stopped} if stopped else {}),
            "changes": [*before.get("changes", []), *({"time": when, **each.to_dict()} for each in changes)],
        },
    }


def add_command(manifest: Json, command: Json) -> None:
    """Add what a command plays to the content of ``run.json``, which other shards may have written meanwhile."""
    if manifest == command:
        return
    times = {name: {**game} for name, game in manifest["games"].items()}
    known = {to_json(change) for change in manifest[SECTION].get("changes", [])}
    new = [change for change in command[SECTION]["changes"] if to_json(change) not in known]
    whole = extended(manifest, command, [])
    whole[SECTION]["changes"] += new
    manifest.update({**whole, "games": {**whole["games"], **times}})


def _extended_game(before: Json, now: Json) -> Json:
    experiments = {**before["experiments"]}
    for name, one in now["experiments"].items():
        known = experiments.get(name, {"instances": {}})
        experiments[name] = {**one, "instances": {**known["instances"], **one["instances"]}}
    return {**now, "experiments": experiments}


# -- when games were played -------------------------------------------------------------------------------------
@dataclass
class GameTimes:
    """When a command has played a game, how many episodes, and for how many seconds, also if clocks are changed."""

    begin: datetime
    end: datetime
    seconds: float = 0.0
    episodes: int = 0


def add_times(manifest: Json, times: Mapping[str, GameTimes]) -> None:
    """Note when games were played, in the fields of 3.7.2; later commands add to earlier ones."""
    for name, each in times.items():
        game = manifest["games"].setdefault(name, {})
        seconds = game.get("duration_seconds", 0.0) + each.seconds
        game.setdefault("benchmark_start", each.begin.isoformat())
        game["benchmark_end"] = each.end.isoformat()
        game["duration"] = str(timedelta(seconds=seconds))
        game["duration_seconds"] = seconds
        game["num_instances"] = game.get("num_instances", 0) + each.episodes
