"""Plays the instances that a program gives, on the engine. It is what all runners have in common.

It does not know which episodes are live at the same time.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from clemcore.clemgame import engine
from clemcore.clemgame.callbacks.base import GameBenchmarkCallback
from clemcore.clemgame.engine.branches import BranchObserver
from clemcore.clemgame.plan import PlannedGame, check_line_up
from clemcore.clemgame.reading.fingerprint import fingerprint_of
from clemcore.clemgame.runners import store as stores
from clemcore.clemgame.runs.replaying import MODELS_NOTE, noted_models
from clemcore.clemgame.store import manifest
from clemcore.errors import ClemcoreError, GameError, RunError
from clemcore.model import Model

if TYPE_CHECKING:
    from clemcore.clemgame.benchmark import GameBenchmark
    from clemcore.clemgame.engine import Options, Summary
    from clemcore.clemgame.runners.observing import CallbackObserver

Branching: TypeAlias = Callable[[stores.Epochs], BranchObserver]

logger = logging.getLogger("clemcore.run")

# Rows with faults that are shown.
_SHOWN = 5
NOTE = "runner"


def play(
    game_benchmark: GameBenchmark,
    game_instances: Iterable[dict[str, Any]],
    player_models: Sequence[Model],
    *,
    callbacks: GameBenchmarkCallback,
    observer: CallbackObserver,
    options: Options,
    runner: str,
    branching: Branching | None = None,
) -> None:
    """Play instances, and tell callbacks what happens.

    Args:
        game_benchmark: the game, loaded.
        game_instances: a row for each episode, with ``experiment`` and ``game_instance``.
        player_models: a model for each role, or one for all.
        callbacks: what hears of the benchmark; its results folder gets the store.
        observer: what hears of episodes.
        options: how to play.
        runner: the name of the runner, which is kept with each episode.
        branching: makes an observer that says where episodes branch; by default they do not.

    Raises:
        GameError: rows or models do not go with the game; nothing was played.
        RunError: the results folder belongs to 'clem run', or the run was stopped.
        StoreError: the store cannot be written.
        BudgetExceededError: no further call can be paid for.
        KeyboardInterrupt: somebody pressed Ctrl-C.
    """
    models = checked_models(game_benchmark, player_models, callbacks)
    rows = checked_rows(game_benchmark.game_name, game_instances)
    folder = stores.folder_of(callbacks)
    callbacks.on_benchmark_start(game_benchmark)
    with stores.opened(folder) as store:
        epochs = stores.Epochs(store, game_benchmark.game_name)
        episodes = [epochs.next(experiment, instance) for experiment, instance in rows]
        note(store, game_benchmark, models, runner)
        game = PlannedGame(game_benchmark.game_spec, episodes, benchmark=game_benchmark)
        named = replace(options, run="" if folder is None else folder.name)
        tree = None if branching is None else branching(epochs)
        # Trainers call runners often, and a log file needs no line for each call.
        shown = engine.Progress() if sys.stderr is not None and sys.stderr.isatty() else None
        summary = engine.play([game], models, store, named, observer=observer, branching=tree, progress=shown)
    report(game_benchmark.game_name, summary)
    callbacks.on_benchmark_end(game_benchmark)


def note(store: Any, game_benchmark: GameBenchmark, models: Sequence[Model], runner: str) -> None:
    """Keep in a store what its next episodes are played with."""
    store.facts = {"runner": runner}
    store.note(MODELS_NOTE, noted_models(models))
    about: dict[str, Any] = {"versions": manifest.versions(), "models": Model.to_infos(models)}
    if game_benchmark.game_spec.game_file_exists():
        about["sha256"] = fingerprint_of(game_benchmark.game_spec)
    store.note(f"{NOTE}:{game_benchmark.game_name}", about)


def report(game: str, summary: Summary) -> None:
    """Log the episodes that have failed, and raise what has stopped a run."""
    for key, error in summary.errors:
        logger.error("%s: the episode has failed: %s: %s", key, error.get("type"), error.get("message"))
    failed = summary.counts["error"] + summary.counts["limit"]
    if failed:
        logger.error("%s: %d of %d episodes have failed", game, failed, summary.counts.total())
    if summary.stopped_by == "interrupt":
        raise KeyboardInterrupt
    if isinstance(summary.error, ClemcoreError):
        raise summary.error
    if summary.stopped_by is not None:
        raise RunError(f"{game}: the run was stopped: {summary.stopped_by}") from summary.error


def checked_models(
    game_benchmark: GameBenchmark, player_models: Sequence[Model], callbacks: GameBenchmarkCallback
) -> list[Model]:
    """Return the models of a line-up.

    Raises:
        GameError: they are not what the game needs.
        TypeError: a model or the callbacks are something else.
    """
    for model in player_models:
        if not isinstance(model, Model):
            raise TypeError(
                f"player_models must be models, not {type(model).__name__}: load them with "
                "clemcore.backends.load_models([…])"
            )
    if not isinstance(callbacks, GameBenchmarkCallback):
        raise TypeError(
            f"callbacks must be a GameBenchmarkCallbackList, not {type(callbacks).__name__}: put your callbacks "
            "into GameBenchmarkCallbackList([…])"
        )
    check_line_up(game_benchmark.game_spec, [model.name for model in player_models])
    return list(player_models)


def checked_rows(game: str, rows: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return experiment and instance of each row.

    Raises:
        GameError: rows are not what ``GameInstances`` gives; the message shows the first ones.
    """
    found, faults = [], []
    for place, row in enumerate(rows):
        fault = _fault_of(row)
        if fault is None:
            found.append((row["experiment"], row["game_instance"]))
        else:
            faults.append(f"  row {place}: {fault}")
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise GameError(
            f"{game}: {len(faults)} of the game_instances cannot be played:\n" + "\n".join(faults[:_SHOWN]) + more
        )
    return found


def _fault_of(row: Any) -> str | None:
    parts = [row.get(name) if isinstance(row, dict) else None for name in ("experiment", "game_instance")]
    experiment, instance = parts
    if not isinstance(experiment, dict) or not isinstance(instance, dict):
        return "it needs an 'experiment' and a 'game_instance', as the rows of GameInstances have"
    if not isinstance(experiment.get("name"), str):
        return f"the 'name' of its experiment must be a text, not {experiment.get('name')!r}"
    number = instance.get("game_id")
    if not isinstance(number, int) or isinstance(number, bool):
        return f"the 'game_id' of its instance must be an integer, not {number!r}"
    return None
