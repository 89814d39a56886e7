"""What a callback can hear of a benchmark. It does not know what callbacks do."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["GameBenchmarkCallback", "GameBenchmarkCallbackList", "GameSnapshot", "GameStep"]


@dataclass
class GameStep:
    """A step of a game.

    Attributes:
        context: what the player answered.
        response: its answer.
        done: whether the game is over.
        info: facts about the step.
        player_name: who answered.
        model_name: by which model.
    """

    context: dict[str, Any]
    response: str
    done: bool = False
    info: dict[str, Any] = field(default_factory=dict)
    player_name: str | None = None
    model_name: str | None = None


@dataclass(frozen=True)
class GameSnapshot:
    """The state of a game at one moment.

    Attributes:
        state: a copy of the state.
        timestamp: when it was taken.
        origin: what tells this moment apart from others.
    """

    state: Any = field(compare=False)
    timestamp: datetime = field(default_factory=datetime.now, compare=False)
    origin: uuid.UUID = field(default_factory=uuid.uuid4)

    def __str__(self) -> str:
        return f"{self.origin}@{self.timestamp.strftime('%Y%m%d-%H%M%S-%f')}"

    @classmethod
    def create_from(cls, game_master: Any) -> GameSnapshot:
        """Take a snapshot of a game master's state."""
        return cls(state=deepcopy(game_master.state))


class GameBenchmarkCallback:
    """Hears of benchmarks and games. A subclass defines what it is interested in."""

    def on_benchmark_start(self, game_benchmark: Any) -> None:
        """Hear that a benchmark begins."""

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        """Hear that an episode begins: it is set up, and its first round has not begun."""

    def on_branching_point(self, game_master: Any, game_instance: dict[str, Any], snapshot: GameSnapshot) -> None:
        """Hear that an episode goes on in several ways."""

    def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: GameStep) -> None:
        """Hear of a step."""

    def on_game_end(
        self,
        game_master: Any,
        game_instance: dict[str, Any],
        exception: Exception | None = None,
        rewards: dict[str, float] | None = None,
    ) -> None:
        """Hear that an episode ends.

        Args:
            game_master: its game master.
            game_instance: its instance.
            exception: what ended it; None if it was played to its end.
            rewards: the reward of each agent.
        """

    def on_benchmark_end(self, game_benchmark: Any) -> None:
        """Hear that a benchmark ends."""


class GameBenchmarkCallbackList(GameBenchmarkCallback):
    """Passes everything on to several callbacks, in order."""

    def __init__(self, callbacks: Iterable[GameBenchmarkCallback] | None = None) -> None:
        self.callbacks = list(callbacks or ())

    def append(self, callback: GameBenchmarkCallback) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)

    def on_benchmark_start(self, game_benchmark: Any) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_benchmark_start(game_benchmark)

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_game_start(game_master, game_instance)

    def on_branching_point(self, game_master: Any, game_instance: dict[str, Any], snapshot: GameSnapshot) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_branching_point(game_master, game_instance, snapshot)

    def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: GameStep) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_game_step(game_master, game_instance, game_step)

    def on_game_end(
        self,
        game_master: Any,
        game_instance: dict[str, Any],
        exception: Exception | None = None,
        rewards: dict[str, float] | None = None,
    ) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_game_end(game_master, game_instance, exception, rewards)

    def on_benchmark_end(self, game_benchmark: Any) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_benchmark_end(game_benchmark)
