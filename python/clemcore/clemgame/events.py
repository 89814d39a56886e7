"""Events of a game: who listens to them, and who sends them.

Events before the first listener are kept for those that come before the game goes on: games log while they are set
up, when no recorder exists yet. It does not know what becomes of the events.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Iterable
from typing import Any

from clemcore.clemgame.plain import plain, plain_if_needed

_logger = logging.getLogger(__name__)

# Keys and types that JSON cannot hold, each of which is warned of once.
_warned: set[tuple[str, type]] = set()

__all__ = ["GameEventLogger", "GameEventSource"]


class GameEventLogger(abc.ABC):
    """Listens to the events of a game."""

    @abc.abstractmethod
    def log_next_round(self) -> None:
        """Begin a new round; the events that follow belong to it."""

    @abc.abstractmethod
    def log_game_end(self, auto_count_logging: bool = True) -> None:
        """End the game.

        Args:
            auto_count_logging: log the counts of requests, too. Games of the old contract log their own.
        """

    @abc.abstractmethod
    def count_request(self) -> None:
        """Count one response of a player."""

    @abc.abstractmethod
    def count_request_violation(self) -> None:
        """Count one response that could not be parsed; it was counted as a request before."""

    @abc.abstractmethod
    def log_key(self, key: str, value: Any) -> None:
        """Log a fact about the episode.

        Args:
            key: its name; a second value replaces the first.
            value: anything that JSON can hold.
        """

    @abc.abstractmethod
    def log_player(self, player_name: str, game_role: str, model_name: str) -> None:
        """Log who plays.

        Args:
            player_name: the name in the game, such as "Player 1".
            game_role: the role, such as "Guesser".
            model_name: the name of the model that plays it.
        """

    @abc.abstractmethod
    def log_event(self, from_: str, to: str, action: dict[str, Any], call: tuple[Any, Any] | None = None) -> None:
        """Log that somebody does something.

        Args:
            from_: who acts: "GM" or the name of a player.
            to: to whom.
            action: what, with the keys "type" and "content".
            call: prompt and response of the model call that led to it.
        """


class GameEventSource(GameEventLogger):
    """Hands events on to the loggers that are registered with it."""

    # Events that nobody has heard yet; None once the game went on with listeners.
    _early: list[tuple[str, tuple[Any, ...]]] | None = None

    def __init__(self) -> None:
        self._loggers: list[GameEventLogger] = []
        self._early = []

    def register(self, logger: GameEventLogger) -> None:
        """Add a logger; it hears what was logged before the first event with listeners, too."""
        self._loggers.append(logger)
        for name, args in self._early or ():
            getattr(logger, name)(*args)

    def register_many(self, loggers: Iterable[GameEventLogger]) -> None:
        """Add several loggers."""
        for logger in loggers:
            self.register(logger)

    def _notify(self, name: str, *args: Any) -> None:
        early = self._early
        if early is not None:
            if not self._loggers:
                early.append((name, args))
                return
            self._early = None
        for logger in self._loggers:
            getattr(logger, name)(*args)

    def log_next_round(self) -> None:
        """Begin a new round."""
        self._notify("log_next_round")

    def log_game_end(self, auto_count_logging: bool = True) -> None:
        """End the game."""
        self._notify("log_game_end", auto_count_logging)

    def count_request(self) -> None:
        """Count one response."""
        self._notify("count_request")

    def count_request_violation(self) -> None:
        """Count one response that could not be parsed."""
        self._notify("count_request_violation")

    def log_event(self, from_: str, to: str, action: dict[str, Any], call: tuple[Any, Any] | None = None) -> None:
        """Log that somebody does something."""
        if self._early is None:  # nearly always, so it takes the shortest way
            for logger in self._loggers:
                logger.log_event(from_, to, action, call)
            return
        if not self._loggers:
            action = plain(action)  # the game may change it before anybody hears of it
        self._notify("log_event", from_, to, action, call)

    def log_key(self, key: str, value: Any) -> None:
        """Log a fact; what JSON cannot hold is kept in visible form."""
        held = plain_if_needed(value)
        is_another = not isinstance(value, dict) and isinstance(held, dict)
        if (is_another or isinstance(value, (set, frozenset))) and (key, type(value)) not in _warned:
            _warned.add((key, type(value)))
            kind = type(value).__name__
            _logger.warning("log_key('%s', …): JSON has no %s; it is recorded as %.80r", key, kind, held)
        self._notify("log_key", key, held)

    def log_player(self, player_name: str, game_role: str, model_name: str) -> None:
        """Log who plays."""
        self._notify("log_player", player_name, game_role, model_name)
