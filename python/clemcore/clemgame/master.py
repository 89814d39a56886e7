"""Game masters of the new contract, for games in which players speak in turns.

A class that defines the methods of releases before 3.0 keeps that contract. It does not know the loop itself.
"""

from __future__ import annotations

from typing import Any

from clemcore.clemgame.contracts import NEW, Contract, contract_of
from clemcore.clemgame.dialogue import Dialogue
from clemcore.clemgame.errors import (
    GameError,
    NotApplicableError,
    ParseError,
    ProtocolError,
    ResponseError,
    RuleViolationError,
)
from clemcore.clemgame.events import GameEventSource
from clemcore.clemgame.game_master import GameMaster
from clemcore.clemgame.player import Player
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.resources import GameResourceLocator
from clemcore.clemgame.state import GameState, Outcome

__all__ = [
    "DialogueGameMaster",
    "GameError",
    "GameEventSource",
    "GameMaster",
    "GameResourceLocator",
    "GameSpec",
    "GameState",
    "NotApplicableError",
    "Outcome",
    "ParseError",
    "Player",
    "ProtocolError",
    "ResponseError",
    "RuleViolationError",
]


class DialogueGameMaster(Dialogue):
    """Leads a game in which players speak in turns.

    A game defines ``_on_setup``, ``_parse_response`` and ``_advance_game``. It ends when the state has an outcome.
    """

    _contract: Contract = NEW

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._contract = contract_of(cls, DialogueGameMaster)

    def _parse_response(self, player: Player, response: str) -> Any:  # noqa: ARG002 - for games
        """Read a response.

        Args:
            player: who gave it.
            response: its text.

        Returns:
            What ``_advance_game`` needs of it.

        Raises:
            ParseError: it does not have the form that the game expects.
        """
        if self._contract is NEW:
            raise NotImplementedError(f"{type(self).__name__} must define _parse_response()")
        return response

    def _advance_game(self, player: Player, parsed_response: Any) -> None:
        """Go on with a parsed response: change the state, and set the next contexts.

        Args:
            player: who gave it.
            parsed_response: what ``_parse_response`` returned.

        Raises:
            GameError: it breaks a rule, or cannot be applied.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _advance_game()")

    def _on_parse_error(self, error: ParseError) -> None:
        """Do something about a response that could not be parsed, such as aborting the game."""

    def _on_game_error(self, error: GameError) -> None:
        """Do something about a response that breaks a rule."""
