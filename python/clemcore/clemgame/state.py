"""The state of a game: how it stands, and in which turn. It does not know the rules."""

from __future__ import annotations

from enum import Enum

__all__ = ["BASE_FIELDS", "GameState", "Outcome"]


class Outcome(str, Enum):
    """How a game stands."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    ABORTED = "aborted"

    @property
    def is_terminal(self) -> bool:
        """Whether the game is over."""
        return self is not Outcome.RUNNING


class GameState:
    """What every game keeps about an episode. A subclass adds what its game keeps.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class WordState(GameState):
        ...     word: str
        ...     def __post_init__(self):
        ...         super().__init__()
        >>> state = WordState("apple")
        >>> state.succeed()
        >>> state.outcome.is_terminal
        True
    """

    def __init__(self) -> None:
        self.outcome = Outcome.RUNNING
        self.current_turn: int | None = None
        self.game_id: int | None = None
        self.game_name: str | None = None
        self.experiment_name: str | None = None

    def __str__(self) -> str:
        turn = "-" if self.current_turn is None else f"{self.current_turn:02d}"
        return f"[{str(self.experiment_name)[:10]}] {self.game_name} ({self.game_id}) | Turn: {turn}"

    def succeed(self) -> None:
        """End the game: the players reached the goal."""
        self.outcome = Outcome.SUCCESS

    def failed(self) -> None:
        """End the game: the players followed the rules, but did not reach the goal."""
        self.outcome = Outcome.FAILURE

    def abort(self) -> None:
        """End the game: the players did not follow the rules of the dialogue."""
        self.outcome = Outcome.ABORTED


BASE_FIELDS = tuple(vars(GameState()))
