"""Chooses how instances are played: side by side if a batch size above 1 is given, else one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallback, GameBenchmarkCallbackList
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.runners import batchwise, sequential

if TYPE_CHECKING:
    from clemcore.clemgame.benchmark import GameBenchmark
    from clemcore.model import Model

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(__name__, "BatchGenerativeModel", "GameBenchmark", "GameInstances", "Model")

__all__ = ["run"]


def run(
    game_benchmark: GameBenchmark,
    game_instances: Iterable[dict[str, Any]],
    player_models: Sequence[Model],
    *,
    callbacks: GameBenchmarkCallback | None = None,
    batch_size: int = 1,
    seed: int = 0,
) -> None:
    """Play instances with the runner that fits: ``batchwise`` if all models answer batches, else ``sequential``.

    Args:
        game_benchmark: the game, loaded.
        game_instances: a row for each episode, as ``GameInstances`` gives them.
        player_models: a model for each role in the order of the roles, or one for all.
        callbacks: called for the benchmark, for each episode and for each step; none by default.
        batch_size: the largest batch that a model gets; with 1, episodes are played one after another.
        seed: the random numbers of episodes and the seeds of calls depend on it.

    Raises:
        GameError: rows or models do not fit the game; nothing was played.
        RunError: the batch size is not an integer of at least 1, or the results folder belongs to 'clem run'.
        StoreError: another process writes to the results folder, or it cannot be written.
        BudgetExceededError: no further call can be paid for.
    """
    batchwise.check_size(batch_size)
    callbacks = GameBenchmarkCallbackList() if callbacks is None else callbacks
    models = list(player_models)
    if batch_size > 1 and all(getattr(model, "supports_batching", bool)() for model in models):
        batchwise.run(game_benchmark, game_instances, models, callbacks=callbacks, batch_size=batch_size, seed=seed)
    else:
        sequential.run(game_benchmark, game_instances, models, callbacks=callbacks, seed=seed)
