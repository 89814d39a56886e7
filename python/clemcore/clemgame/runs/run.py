"""What ``clem run`` does: plan, store, engine, summary. A Python program can call it too.

Everything is checked before the first call is sent. It does not know how episodes are played, nor how a run is
shown: what it has to say goes to a :class:`Voice`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from clemcore import backends
from clemcore.calls.budget import Budget
from clemcore.calls.encoding import to_json
from clemcore.clemgame import engine
from clemcore.clemgame.layout import FinishedEpisode, component, episode_folder, write_episode
from clemcore.clemgame.plan import PlannedGame
from clemcore.clemgame.runs import until, watching
from clemcore.clemgame.runs.estimate import Estimate, earlier_usage, estimate
from clemcore.clemgame.runs.lineups import LineUp, LoadedModels, line_ups_of
from clemcore.clemgame.runs.outcome import (
    ENDED_BADLY,
    INTERRUPTED,
    OUT_OF_BUDGET,
    PLAYED,
    REFUSED,
    lines_of,
    status_of,
)
from clemcore.clemgame.runs.preparing import (
    PlannedRun,
    checked_runs,
    is_open,
    planned_games,
    refused_games,
    states_of,
)
from clemcore.clemgame.runs.replaying import MODELS_NOTE, noted_models
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.runs.shards import PLAN_NOTE
from clemcore.clemgame.store import RunStore, belonging, manifest, run_folder
from clemcore.clemgame.store.shards import Shard
from clemcore.clemgame.store.usage import Usage, spent_in
from clemcore.errors import ClemcoreError, RunError, StoreError
from clemcore.model import Model

if TYPE_CHECKING:
    from clemcore.clemgame.engine import Summary
    from clemcore.clemgame.plan import EpisodeKey
    from clemcore.clemgame.store import EpisodeState

logger = logging.getLogger(__name__)

# In place of a budget where only its parts are limited.
_ANY_AMOUNT = 1e12
# Seconds between two notes of how far the run is.
_NOTE_EVERY = 2.0


class Voice(Protocol):
    """Where a run says things to a person."""

    def say(self, text: str) -> None:
        """Say something about the run, such as a warning."""

    def show_plan(self, rows: Sequence[tuple[LineUp, str, Estimate]]) -> None:
        """Show what will be played: line-up, game and estimate of each row."""


class LoggedVoice:
    """Speaks through the log, as programs expect."""

    def say(self, text: str) -> None:
        """Log a message."""
        logger.warning("%s", text)

    def show_plan(self, rows: Sequence[tuple[LineUp, str, Estimate]]) -> None:
        """Log a line for each game of each line-up."""
        for line_up, game, found in rows:
            logger.warning("%s, %s: %d episodes to play, %s", line_up.folder, game, found.episodes, found)


@dataclass
class Result:
    """What came out of a command.

    Attributes:
        status: the exit status: 0 all played, 1 some ended by an error or a limit, 3 stopped by the budget,
            130 interrupted.
        runs: the folder of each line-up that was played, with its summary.
        has_problem: whether a game was left out.
    """

    status: int
    runs: list[tuple[Path, Summary]] = field(default_factory=list)
    has_problem: bool = False


def play(
    settings: RunSettings,
    voice: Voice | None = None,
    *,
    instances_filter: Callable[[dict[str, Any]], bool] | None = None,
) -> Result:
    """Play what the settings describe, and continue what is there already.

    Args:
        settings: the settings of the command.
        voice: where it speaks to a person; by default the log.
        instances_filter: play only the instances whose row, with ``experiment`` and ``game_instance``, passes.

    Raises:
        RunError: the run cannot start or continue as asked; nothing was sent.
        GameError: games are unknown or unreadable, or do not go with the line-ups; nothing was sent.
        StoreError: another process writes the run, or its store is damaged.
    """
    voice = voice or LoggedVoice()
    if settings.pilot is not None and not settings.dry_run:
        raise RunError("--pilot plays some episodes for the estimate of --dry-run: add it, or leave out --pilot")
    if settings.until is not None:
        until.check(settings)
    line_ups, games = _chosen(settings, instances_filter)
    for line in refused_games(games):
        voice.say(line)
    playable = [game for game in games if game.problem is None]
    if not playable:
        return Result(REFUSED, has_problem=True)
    runs = checked_runs(settings, line_ups, playable, voice.say)
    has_problem = len(playable) < len(games)
    if settings.dry_run:
        return _dry_run(settings, runs, voice)
    return _play_all(settings, runs, voice, has_problem=has_problem)


def _chosen(
    settings: RunSettings, instances_filter: Callable[[dict[str, Any]], bool] | None
) -> tuple[list[LineUp], list[PlannedGame]]:
    """Return models and games of a command. If both are wrong, one error says so."""
    try:
        line_ups = line_ups_of(settings)
    except ClemcoreError as wrong_models:
        try:
            planned_games(settings, instances_filter)
        except ClemcoreError as wrong_games:
            raise RunError(f"{wrong_games}\n{wrong_models}") from wrong_models
        raise
    return line_ups, planned_games(settings, instances_filter)


# -- the dry run -----------------------------------------------------------------------------------------------
def _dry_run(settings: RunSettings, runs: Sequence[PlannedRun], voice: Voice) -> Result:
    """Show the plan; with ``pilot``, play some episodes of each game before, which the run keeps."""
    result = Result(PLAYED)
    if settings.pilot is not None:
        pilots = [replace(run, games=[_first(game, run, settings) for game in run.games]) for run in runs]
        result = _play_all(settings, pilots, voice, has_problem=False)
        for run in runs:
            run.states = states_of(run.folder)
    names = [game.spec.game_name for run in runs for game in run.games]
    seen: dict[str, Usage] = earlier_usage(Path(settings.results_dir), dict.fromkeys(names))
    rows = []
    for run in runs:
        for game in run.games:
            name, left = game.spec.game_name, run.still_to_play(game, settings)
            rows.append((run.line_up, name, estimate(left, seen.get(name), run.line_up)))
    voice.show_plan(rows)
    return result


def _first(game: PlannedGame, run: PlannedRun, settings: RunSettings) -> PlannedGame:
    """Return a game with its first episodes that are still to be played."""
    chosen = [each for each in game.episodes if is_open(run.states.get(each.key), settings)]
    return replace(game, episodes=chosen[: settings.pilot])


# -- playing ---------------------------------------------------------------------------------------------------
def _play_all(settings: RunSettings, runs: Sequence[PlannedRun], voice: Voice, *, has_problem: bool) -> Result:
    models = LoadedModels([run.line_up for run in runs])
    result = Result(PLAYED, has_problem=has_problem)
    statuses = [ENDED_BADLY] if has_problem else []
    shard = runs[0].shard if runs else None
    with backends.shared_limits(*((1, 1) if shard is None else (shard.number, shard.count))):
        models.load_remote(settings, voice.say)  # what is wrong with them is said before anything is sent
    with _budget(settings, [run.folder for run in runs], shard):
        for run in runs:
            play_run = _play_one if settings.until is None else _play_until
            summary, status = play_run(settings, run, models, voice)
            result.runs.append((run.folder, summary))
            statuses.append(status)
            models.release()
            if status in (OUT_OF_BUDGET, INTERRUPTED) or summary.stopped_by is not None:
                break
    result.status = max(statuses)
    return result


@contextlib.contextmanager
def _budget(settings: RunSettings, folders: Sequence[Path], shard: Shard | None) -> Iterator[None]:
    """Limit what the calls cost, with what earlier commands have spent in these runs.

    A shard may spend its part of what was left before there were shards. So all of them together keep the budget,
    although none knows of the others.
    """
    per_model = settings.budget_per_model
    if settings.budget is None and per_model is None:
        yield
        return
    spent, before, count = spent_in(folders, None if shard is None else shard.name), Usage(), 1
    if shard is not None:
        before, count = spent_in(folders, ""), shard.count
    parts: dict[str, float] = {}
    if per_model is not None:
        names = {role.name for line_up in line_ups_of(settings) for role in line_up.roles}
        parts = dict(per_model) if isinstance(per_model, dict) else dict.fromkeys(sorted(names), per_model)
        unknown = sorted(set(parts) - names)
        if unknown:
            raise RunError(
                f"budget_per_model names '{unknown[0]}', which does not play: models are {', '.join(sorted(names))}"
            )
    usd = _ANY_AMOUNT if settings.budget is None else max(settings.budget - before.usd, 0.0) / count
    parts = {name: max(each - before.usd_by_model.get(name, 0.0), 0.0) / count for name, each in parts.items()}
    with Budget(usd, spent=spent.usd, parts=parts, spent_by_part=spent.usd_by_model):
        yield


def _play_one(settings: RunSettings, run: PlannedRun, models: LoadedModels, voice: Voice) -> tuple[Summary, int]:
    """Play one line-up; return the summary and the exit status that it would have alone."""
    loaded = models.load(run.line_up)
    if run.is_fresh:
        voice.say(f"{run.folder}: the old run is now {run_folder.move_aside(run.folder)}")
    store = RunStore.open(run.folder, shard="" if run.shard is None else run.shard.name)
    summary, states = None, {}
    try:
        _write_plan(run, store)
        _give_epochs_folders(run)
        store.note(MODELS_NOTE, noted_models(loaded))
        if changes := run.section["changes"]:
            store.facts = {"changes": len(changes)}  # so many of the list in run.json hold for what is played now
        summary = _play_episodes(settings, run, loaded, store, voice)
        if summary.stopped_by != "store":
            states = store.states(begun=True)
    finally:
        is_full = summary is not None and summary.stopped_by == "store"
        with contextlib.suppress(StoreError) if is_full else contextlib.nullcontext():
            store.close()
    for line in lines_of(run, summary, states):
        voice.say(line)
    if missing := _line_of_missing_files(run, states):
        voice.say(missing)
    return summary, status_of(summary, run, states)


def _write_plan(run: PlannedRun, store: RunStore) -> None:
    """Write ``run.json``, and note in the store what its episodes are played with."""
    if run.shard is not None:
        store.note(PLAN_NOTE, run.plan)
    earlier = store.notes().get(belonging.NOTE, {})
    # The content is dropped before the store copies the note: both are large if there are many instances.
    store.note(belonging.NOTE, belonging.played_with(_written_manifest(run), run.games, earlier))


def _written_manifest(run: PlannedRun) -> manifest.Json:
    content: manifest.Json = json.loads(run.text)
    if run.shard is None:
        run_folder.write(run.folder, content)
        return content
    return run_folder.add(run.folder, run.text, lambda now: manifest.add_command(now, content))


def _play_until(settings: RunSettings, run: PlannedRun, models: LoadedModels, voice: Voice) -> tuple[Summary, int]:
    """Play one line-up in parts, each game until its interval is narrow enough."""
    cells = [until.Cell(game, settings.until or 0.0, settings.seed) for game in run.games]
    statuses = []
    while True:
        left = [cell for cell in cells if not cell.has_ended]
        summary, status = _play_one(settings, replace(run, games=[cell.part() for cell in left]), models, voice)
        statuses.append(status)
        run.is_fresh = False
        for cell in left:
            if cell.game.spec.game_name in summary.failed_games:
                cell.give_up()
        playable = [cell for cell in left if not cell.has_ended]
        if summary.stopped_by is None:
            for fault in until.look(run.folder, playable):
                voice.say(f"warning: not scored: {fault}")
        run.text = to_json(run_folder.add(run.folder, run.text, lambda now: until.note_cells(now, cells)))
        if summary.stopped_by is not None or all(cell.has_ended for cell in cells):
            break
    for cell in cells:
        voice.say(f"{run.folder}: {cell}")
    return summary, max(statuses)


def _play_episodes(
    settings: RunSettings, run: PlannedRun, models: Sequence[Model], store: RunStore, voice: Voice
) -> Summary:
    log = engine.RunLog(run.folder / ("run.log" if run.shard is None else f"run-{run.shard.name}.log"))
    progress, files = _NotedProgress(store), _Files(run)
    options = _options(settings, run)
    try:
        return engine.play(run.games, models, store, options, layout=files, progress=progress, log=log)
    finally:
        log.close()
        try:
            run_folder.add(run.folder, run.text, lambda current: manifest.add_times(current, files.times))
        except OSError as fault:  # the old one stays
            voice.say(f"warning: {fault.filename}: {fault.strerror}; the times of this command are missing in it")


def _line_of_missing_files(run: PlannedRun, states: Mapping[EpisodeKey, EpisodeState]) -> str | None:
    """Say how many completed episodes have no files, which an earlier command or somebody else has left so."""
    if run.layout == "store":
        return None
    has_epochs = run.section["epochs"] > 1
    folders = [
        episode_folder(run.folder, key, has_epochs=has_epochs)
        for key, each in states.items()
        if each.state == "played"
    ]
    missing = sum(not (folder / "interactions.json").is_file() for folder in folders)
    if not missing:
        return None
    return (
        f"{run.folder}: {missing} of {len(folders)} completed episodes have no files; the store has them: "
        f"'clem export {run.folder} --to classic' writes them"
    )


class _NotedProgress(engine.Progress):
    """Shows progress, and notes it in the store for ``clem status``."""

    def __init__(self, store: RunStore) -> None:
        super().__init__()
        self._store = store
        self._began = datetime.now().astimezone().isoformat()
        self._next_note = 0.0

    def update(self, tally: engine.Tally, *, now: bool = False) -> None:
        """Show the numbers if it is time, and note them every few seconds."""
        super().update(tally, now=now)
        if now or time.monotonic() >= self._next_note:
            self._next_note = time.monotonic() + _NOTE_EVERY
            noted = {"pid": os.getpid(), "began": self._began, "ended": tally.ended}
            with contextlib.suppress(StoreError):  # the run itself finds out that nothing can be written
                self._store.note(watching.NOTE, noted)


def _options(settings: RunSettings, run: PlannedRun) -> engine.Options:
    return engine.Options(
        concurrency=_concurrency(settings, run.shard),
        batch_size=settings.batch_size,
        max_calls=settings.max_calls,
        episode_timeout=settings.episode_timeout,
        step_timeout=settings.step_timeout,
        rng=settings.rng,
        seed=settings.seed,
        keep_context=settings.keep_context,
        retry_errors=settings.retry_errors,
        run=run.folder.name,
    )


def _concurrency(settings: RunSettings, shard: Shard | None) -> int | None:
    if shard is None or settings.concurrency is None:
        return settings.concurrency
    return max(1, shard.part_of(settings.concurrency))


class _Files:
    """Writes the files of episodes that have ended, and knows when each game was played."""

    def __init__(self, run: PlannedRun) -> None:
        self._folder = None if run.layout == "store" else run.folder.absolute()  # a game may call os.chdir
        # Also if this command plays one epoch only.
        self._has_epochs = run.section["epochs"] > 1
        self._lock = threading.Lock()
        self._last = datetime.now(), time.monotonic()
        self._began = 0.0
        self.times: dict[str, manifest.GameTimes] = {}

    def __call__(self, episode: FinishedEpisode) -> None:
        """Take an episode that has ended."""
        if self._folder is not None:
            write_episode(self._folder, replace(episode, has_epochs=self._has_epochs))
        with self._lock:
            game, now = episode.key.game, (datetime.now(), time.monotonic())
            if game not in self.times:  # games are played one after another
                self.times[game], self._began = manifest.GameTimes(self._last[0], now[0]), self._last[1]
            known, self._last = self.times[game], now
            known.end, known.seconds, known.episodes = now[0], now[1] - self._began, known.episodes + 1


def _give_epochs_folders(run: PlannedRun) -> None:
    """Move the files of a run that had one epoch until now to where those of its first epoch belong."""
    if run.section["epochs"] == 1:
        return
    target = run.folder / "epoch_00001"
    for game in run.section["games"]:
        place = run.folder / component(game)
        if place.is_dir() and not (target / place.name).exists():
            target.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another shard has moved it
                place.rename(target / place.name)
