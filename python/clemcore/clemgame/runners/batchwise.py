"""Plays several episodes side by side, with callbacks, so that models answer in batches.

The classes collect batches from environments that a program steps itself. :func:`run` does not need them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.callbacks.base import GameBenchmarkCallback
from clemcore.clemgame.engine import Options
from clemcore.clemgame.legacy.passed_on import passed_on
from clemcore.clemgame.runners.observing import CallbackObserver
from clemcore.clemgame.runners.playing import play
from clemcore.errors import RunError

if TYPE_CHECKING:
    from clemcore.clemgame.benchmark import GameBenchmark
    from clemcore.model import Model

if not TYPE_CHECKING:  # programs for 3.7.2 may import these names from here
    __getattr__ = passed_on(
        __name__,
        "BatchGenerativeModel",
        "GameBenchmark",
        "GameBenchmarkCallbackList",
        "GameInstances",
        "Model",
        "Player",
    )

__all__ = ["DynamicBatchDataLoader", "GameSession", "SinglePassGameSessionPoller", "run"]


def run(
    game_benchmark: GameBenchmark,
    game_instances: Iterable[dict[str, Any]],
    player_models: Sequence[Model],
    *,
    callbacks: GameBenchmarkCallback,
    batch_size: int,
    seed: int = 0,
) -> None:
    """Play instances side by side.

    Callbacks of different episodes come interleaved, but never at the same time. An episode that fails is logged,
    and the others go on.

    Args:
        game_benchmark: the game, loaded.
        game_instances: a row for each episode, as ``GameInstances`` gives them.
        player_models: a model for each role in the order of the roles, or one for all. Any model can be played: one
            that does not answer batches gets up to ``batch_size`` calls at the same time.
        callbacks: called for the benchmark, for each episode and for each step.
        batch_size: the largest batch that a model gets.
        seed: the random numbers of episodes and the seeds of calls depend on it.

    Raises:
        GameError: rows or models do not fit the game; nothing was played.
        RunError: the batch size is below 1, or the results folder belongs to 'clem run'.
        StoreError: another process writes to the results folder, or it cannot be written.
        BudgetExceededError: no further call can be paid for.
    """
    check_size(batch_size)
    models = list(player_models)
    answer_batches = all(getattr(model, "supports_batching", bool)() for model in models)
    play(
        game_benchmark,
        game_instances,
        models,
        callbacks=callbacks,
        observer=CallbackObserver(game_benchmark, callbacks),
        # With models that answer batches, the engine keeps more episodes live, so that batches are full.
        options=Options(concurrency=None if answer_batches else batch_size, batch_size=batch_size, seed=seed),
        runner="batchwise",
    )


def check_size(batch_size: Any) -> None:
    """Refuse a size of batches that is not an integer of at least 1.

    Raises:
        RunError: it is something else.
    """
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise RunError(f"batch_size must be an integer of at least 1, not {batch_size!r}")


class GameSession(Iterable[tuple[int, Any, Any]]):
    """One environment, from which each iteration takes what its current player is to answer.

    Args:
        session_id: the number of the session.
        game_env: an environment with ``agent_selection``, ``terminations``, ``player_by_agent_id`` and ``last()``.
        game_instance: the instance that it plays.
    """

    def __init__(self, session_id: int, game_env: Any, game_instance: dict[str, Any]) -> None:
        self.session_id = session_id
        self.game_env = game_env
        self.game_instance = game_instance

    @property
    def is_done(self) -> bool:
        """Whether all agents have ended."""
        return all(self.game_env.terminations.values())

    def __iter__(self) -> Iterator[tuple[int, Any, Any]]:
        """Give session, player and context once; nothing when the session is over."""
        if self.is_done:
            return
        agent = self.game_env.agent_selection
        context, _, has_terminated, is_truncated, _ = self.game_env.last(observe=True)
        if not has_terminated and not is_truncated:
            yield self.session_id, self.game_env.player_by_agent_id[agent], context

    @staticmethod
    def collate_fn(batch: Iterable[tuple[int, Any, Any]]) -> tuple[list[int], list[Any], list[Any]]:
        """Return sessions, players and contexts of a batch as three lists."""
        sessions, players, contexts = zip(*batch, strict=True)
        return list(sessions), list(players), list(contexts)


class SinglePassGameSessionPoller(Iterable[tuple[int, Any, Any]]):
    """Takes one item from each session that is not over yet; each iteration is one pass.

    Args:
        game_sessions: the sessions.

    Attributes:
        exhausted: for each session, whether it has given nothing in a pass.
    """

    def __init__(self, game_sessions: Sequence[Iterable[tuple[int, Any, Any]]]) -> None:
        self.game_sessions = game_sessions
        self.exhausted = [False] * len(game_sessions)

    def __iter__(self) -> Iterator[tuple[int, Any, Any]]:
        """Give the next item of each session."""
        for place, session in enumerate(self.game_sessions):
            if not self.exhausted[place]:
                item = next(iter(session), None)
                if item is None:
                    self.exhausted[place] = True
                else:
                    yield item


class DynamicBatchDataLoader(Iterable[Any]):
    """Gives batches of a data set that is iterated again and again, until all of its sources are exhausted.

    The last batch of a pass may be smaller. Each item is taken when its batch is made, so the program can step the
    environments of one batch before it asks for the next.

    Args:
        dataset: an iterable with a list ``exhausted``.
        collate_fn: makes a batch of a list of items.
        batch_size: the largest batch.
    """

    def __init__(self, dataset: Any, *, collate_fn: Callable[[list[Any]], Any], batch_size: int) -> None:
        check_size(batch_size)
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Any]:
        """Give the batches."""
        while not all(self.dataset.exhausted):
            items = iter(self.dataset)
            while batch := list(islice(items, self.batch_size)):
                yield self.collate_fn(batch)
