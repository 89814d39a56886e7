"""Plays one episode after another, with callbacks. All models can be played so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallback
from clemcore.clemgame.engine import Options
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.runners.observing import CallbackObserver
from clemcore.clemgame.runners.playing import play

if TYPE_CHECKING:
    from clemcore.clemgame.benchmark import GameBenchmark
    from clemcore.model import Model

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(__name__, "GameBenchmark", "GameBenchmarkCallbackList", "GameInstances", "Model")

__all__ = ["run"]


def run(
    game_benchmark: GameBenchmark,
    game_instances: Iterable[dict[str, Any]],
    player_models: Sequence[Model],
    *,
    callbacks: GameBenchmarkCallback,
    seed: int = 0,
) -> None:
    """Play instances one after another.

    An episode that fails is logged, and the next one is played.

    Args:
        game_benchmark: the game, loaded.
        game_instances: a row for each episode, as ``GameInstances`` gives them.
        player_models: a model for each role in the order of the roles, or one for all.
        callbacks: called for the benchmark, for each episode and for each step.
        seed: the random numbers of episodes and the seeds of calls depend on it. Another call of a runner on the
            same instances gives other numbers.

    Raises:
        GameError: rows or models do not fit the game; nothing was played.
        RunError: the results folder belongs to 'clem run'.
        StoreError: another process writes to the results folder, or it cannot be written.
        BudgetExceededError: no further call can be paid for.
    """
    play(
        game_benchmark,
        game_instances,
        player_models,
        callbacks=callbacks,
        observer=CallbackObserver(game_benchmark, callbacks),
        options=Options(concurrency=1, seed=seed),
        runner="sequential",
    )
