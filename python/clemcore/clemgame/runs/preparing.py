"""Everything that a command checks before its first call: games, line-ups, and the runs that it continues.

It does not know how episodes are played.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from clemcore.calls.encoding import to_json
from clemcore.clemgame.plan import EpisodeKey, PlannedGame, check_line_up, make_plan, unreadable_games
from clemcore.clemgame.reading.fingerprint import newer_files
from clemcore.clemgame.registry import ALL, GameRegistry
from clemcore.clemgame.runs.lineups import LineUp, line_ups_of
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.runs.shards import plain_states, plan_of, problems_of, shard_of_plan
from clemcore.clemgame.store import EpisodeState, RunReader, manifest, run_folder
from clemcore.clemgame.store.shards import Shard
from clemcore.errors import ClemcoreError, GameError, RunError, StoreError
from clemcore.spelling import misspelling_of

_Say = Callable[[str], None]
# With more episodes, the files of the classic layout are a burden for the file system: the user must choose.
MOST_CLASSIC = 50_000
# Changes that are shown one by one.
_SHOWN = 5


@dataclass
class PlannedRun:
    """One line-up, and what is played in the folder of its run.

    Attributes:
        line_up: who plays.
        games: what is played.
        text: the content of ``run.json``, as JSON: the dicts of many instances take several times the memory.
        states: how far each episode is.
        is_fresh: whether an old run in the folder is moved aside.
        shard: which part of the run is played, or None.
        plan: what all shards of the run play, or None.
    """

    line_up: LineUp
    games: list[PlannedGame]
    text: bytes
    states: dict[EpisodeKey, EpisodeState]
    is_fresh: bool = False
    shard: Shard | None = None
    plan: manifest.Json | None = None

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.line_up.folder

    @property
    def layout(self) -> str:
        """The layout of the files: "classic" or "store"."""
        return str(self.section["layout"])

    @cached_property
    def section(self) -> manifest.Json:
        """What this version adds to 3.7.2's ``run.json``, without the instances of experiments."""
        return manifest.without_instances(json.loads(self.text)[manifest.SECTION])

    def still_to_play(self, game: PlannedGame, settings: RunSettings) -> int:
        """Count the episodes of a game that a command plays."""
        return sum(is_open(self.states.get(key), settings) for key in game.episode_keys())


def planned_games(
    settings: RunSettings, instances_filter: Callable[[dict[str, Any]], bool] | None = None
) -> list[PlannedGame]:
    """Return the games of a command with their episodes.

    Raises:
        RunError: no game is given.
        GameError: a game or an experiment is unknown; all problems at once.
    """
    if not settings.games:
        raise RunError("no game is given: name one (-g taboo); 'clem list games' shows all")
    registry = GameRegistry.from_directories_and_cwd_files()
    plan = make_plan(
        registry.select(settings.games),
        experiment=settings.experiment,
        instances=settings.instances,
        epochs=settings.epochs,
        instances_filter=instances_filter,
    )
    return plan + unreadable_games(registry) if ALL in settings.games else plan


def refused_games(games: Sequence[PlannedGame]) -> list[str]:
    """Return a line for each game that cannot be played."""
    return [
        f"game '{game.spec.game_name}' is left out: {game.problem}" for game in games if game.problem is not None
    ]


def checked_runs(
    settings: RunSettings, line_ups: Sequence[LineUp], games: list[PlannedGame], say: _Say
) -> list[PlannedRun]:
    """Compare every line-up with its folder, before anything is sent.

    Raises:
        RunError: something that determines results has changed, or a folder is not a run; all problems at once.
        GameError: a line-up does not have the models that a game needs.
    """
    results = Path(settings.results_dir)
    problems = _role_problems(line_ups, games)
    if (results / run_folder.FILE).exists() and _is_our_run(results):
        problems.append(f"{results}: is itself a run; name the folder around it with -r {results.parent}")
    count = sum(len(game.episodes) for game in games) * len(line_ups)
    if settings.rng == "process" and settings.concurrency != 1:
        problems.append(
            "rng = process: all episodes draw from one stream, so their order must not change; add --concurrency 1"
        )
    shard = _shard_of(settings)
    plan = None if shard is None else plan_of(games)
    runs = []
    for line_up in line_ups:
        try:
            run = _checked_run(settings, line_up, games, say)
            problems += _shard_problems(settings, run, shard, plan)
            runs.append(run if shard is None else _part(settings, run, shard, plan))
        except (RunError, ClemcoreError) as fault:
            problems.append(str(fault))
    if settings.layout is None and count > MOST_CLASSIC and any(run.layout == "classic" for run in runs):
        problems.append(
            f"the plan has {count:,} episodes, and the classic layout would write six files for each: choose with "
            "--layout store (one file; 'clem export' writes the others later) or --layout classic"
        )
    if problems:
        raise RunError("\n".join(dict.fromkeys(problems)))
    _say_unknown_kinds(settings, runs, say)
    return runs


def _shard_of(settings: RunSettings) -> Shard | None:
    """Return the shard that a command plays, or None.

    Raises:
        RunError: there is no such shard, or the episodes of the run cannot be divided.
    """
    if settings.shard is None:
        if settings.jobs is not None:
            raise RunError(
                "jobs are started by the command 'clem run --jobs N'; a program starts a process per shard"
            )
        return None
    shard = replace(Shard.parse(settings.shard), keeps_experiments=settings.keep_context == "experiment")
    if settings.jobs is not None:
        raise RunError(
            f"--jobs {settings.jobs} plays all {settings.jobs} shards, and --shard {shard} plays one: leave out one"
        )
    if settings.fresh:
        raise RunError("--fresh would begin anew in every shard: move the folder of the run away, and leave it out")
    if settings.pilot is not None:
        raise RunError("--pilot is for the whole run: leave out --shard and --jobs")
    if settings.rng == "process":
        raise RunError(
            "rng = process: all episodes draw from one stream, so one process plays them: leave out --shard"
        )
    return shard


def _shard_problems(
    settings: RunSettings, run: PlannedRun, shard: Shard | None, plan: manifest.Json | None
) -> list[str]:
    if run.is_fresh:
        return []
    found = problems_of(
        run.folder, shard, plan or {}, plain_states(run.folder), accepts_changes=settings.accept_changes
    )
    return list(found)


def _part(settings: RunSettings, run: PlannedRun, shard: Shard, plan: manifest.Json | None) -> PlannedRun:
    """Return a run with the episodes of one shard."""
    games = shard_of_plan(run.games, shard, run.folder, lambda state: is_open(state, settings))
    return replace(run, games=games, shard=shard, plan=plan)


def _say_unknown_kinds(settings: RunSettings, runs: Sequence[PlannedRun], say: _Say) -> None:
    """Say which errors no episode has: a misspelt name would retry nothing."""
    if not isinstance(settings.retry_errors, list):
        return
    states = (state for run in runs for state in run.states.values())
    known = sorted({str((state.error or {}).get("type")) for state in states if state.state == "error"})
    by_lower = {name.lower(): name for name in known}
    for kind in settings.retry_errors:
        if kind not in known:
            near = misspelling_of(kind, by_lower)
            hint = f"did you mean '{by_lower[near]}'?" if near else f"errors are {', '.join(known) or 'none'}"
            say(f"no failed episode has the error '{kind}': {hint}")


def _role_problems(line_ups: Sequence[LineUp], games: Sequence[PlannedGame]) -> list[str]:
    problems = []
    for line_up in line_ups:
        for game in games:
            try:
                check_line_up(game.spec, [role.name for role in line_up.roles])
            except GameError as fault:
                problems.append(str(fault))
    return problems


def _is_our_run(folder: Path) -> bool:
    try:
        return run_folder.read(folder) is not None
    except RunError:
        return False


def _checked_run(settings: RunSettings, line_up: LineUp, games: list[PlannedGame], say: _Say) -> PlannedRun:
    folder = line_up.folder
    new = manifest.describe(settings, games, line_up.infos(), hash_seed())
    old = run_folder.read(folder)
    begun = old is None and any(state.attempts for state in states_of(folder).values())
    if begun:
        old = run_folder.read(folder)  # another shard may have written it just now
        begun = old is None
    if settings.fresh and (old is not None or begun):
        _refuse_writers(folder)
        return PlannedRun(line_up, games, to_json(new), {}, is_fresh=True)
    if begun:
        raise RunError(
            f"{folder}: has a store and no {run_folder.FILE}, so nothing says what its episodes were played with. "
            "Put the file back, or begin anew with --fresh"
        )
    if old is None:
        return PlannedRun(line_up, games, to_json(new), {})
    found = manifest.compare(old, new)
    if found.refused and not settings.accept_changes:
        lines = "\n".join([*(f"  {change}" for change in found.refused), *_newer_files(old, found.refused, games)])
        raise RunError(
            f"{folder}: the run was begun with something else, and results of both would be mixed:\n{lines}\n"
            "  Undo these changes, continue anyway with --accept-changes, or start over with --fresh"
        )
    if found.noted:
        shown = "; ".join(str(change) for change in found.noted[:_SHOWN])
        more = f"; and {len(found.noted) - _SHOWN} more" if len(found.noted) > _SHOWN else ""
        say(f"warning: {folder}: continued with other versions, which is noted per episode: {shown}{more}")
    whole = manifest.extended(old, new, [*found.refused, *found.noted])
    _keep_layout(settings, old, whole, lambda text: say(f"{folder}: {text}"))
    return PlannedRun(line_up, games, to_json(whole), states_of(folder))


def _newer_files(old: manifest.Json, refused: Sequence[manifest.Change], games: list[PlannedGame]) -> list[str]:
    """Name the files of changed games that are newer than their run: the game may have written them itself."""
    try:
        since = datetime.fromisoformat(old["created"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return []
    changed = {change.what for change in refused}
    lines = []
    for game in games:
        name = game.spec.game_name
        if changed & {f"game '{name}', code", f"game '{name}', resources"}:
            files = newer_files(game.spec, since)
            more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
            if files:
                lines.append(
                    f"  written since the run began: {', '.join(files[:_SHOWN])}{more}. If '{name}' itself writes "
                    "there while it plays, delete these files, and let it write to another folder"
                )
    return lines


def _keep_layout(settings: RunSettings, old: manifest.Json, whole: manifest.Json, say: _Say) -> None:
    """Continue a run in the layout of the last command, unless this one names another."""
    before = old[manifest.SECTION].get("layout", "classic")
    if settings.layout is None:
        whole[manifest.SECTION]["layout"] = before
        if before == "store":
            say("continued with the store alone, as before; --layout classic writes files from now on")
    elif settings.layout == "store" and before == "classic":
        say("from now on, episodes have no files; 'clem export' writes them later")


def _refuse_writers(folder: Path) -> None:
    try:
        with RunReader(folder) as reader:
            writers = reader.writers()
    except StoreError:  # a store that cannot be read is moved aside all the same
        return
    for writer in writers:
        raise RunError(
            f"{folder}: process {writer.get('pid')} on {writer.get('host')} is writing this run: wait for it, or "
            "end it, before --fresh"
        )


def states_of(folder: Path) -> dict[EpisodeKey, EpisodeState]:
    """Return how far each episode of a run is; nothing if it has no store yet."""
    try:
        with RunReader(folder) as reader:
            return reader.states()
    except StoreError:
        if any(folder.glob("store*.sqlite3")):
            raise
        return {}  # killed before the store was made


def is_open(state: EpisodeState | None, settings: RunSettings) -> bool:
    """Tell whether an episode is still to be played."""
    if state is None or state.state in ("planned", "live"):
        return True
    error = state.error or {}
    if state.state == "limit":
        limit, value = getattr(settings, str(error.get("limit")), None), error.get("value")
        return limit is None or (isinstance(value, (int, float)) and limit > value)
    kinds = settings.retry_errors
    return state.state == "error" and (error.get("type") in kinds if isinstance(kinds, list) else kinds)


def hash_seed() -> str | None:
    """Return this process's hash seed; None where it is random."""
    given = os.environ.get("PYTHONHASHSEED", "")
    return given if given.isdigit() else (None if sys.flags.hash_randomization else "0")


def wanted_hash_seed(settings: RunSettings) -> str:
    """Return the hash seed that a run needs: that of the environment, or of the existing run, or 0.

    Raises:
        RunError: a folder is not a run.
    """
    given = os.environ.get("PYTHONHASHSEED", "")
    if given.isdigit():
        return given
    try:
        line_ups = line_ups_of(settings)
    except RunError:
        return "0"  # the run says what is wrong, together with what is wrong with its games
    for line_up in line_ups:
        seed = None if settings.fresh else run_folder.hash_seed_of(line_up.folder)
        if seed is not None:
            return seed
    return "0"
