"""Game masters of the legacy contract: a response is validated, then parsed, then accepted.

It does not know the loop itself.
"""

from __future__ import annotations

from clemcore.clemgame.contracts import LEGACY, Contract
from clemcore.clemgame.dialogue import Dialogue
from clemcore.clemgame.master import GameMaster, GameState
from clemcore.clemgame.player import Player
from clemcore.clemgame.reading.spec import GameSpec

__all__ = ["DialogueGameMaster", "GameMaster", "GameSpec", "GameState", "Player"]


class DialogueGameMaster(Dialogue):
    """Leads a game in which players speak in turns.

    A game defines ``_on_setup``, ``_validate_player_response`` and ``_on_valid_player_response``.
    """

    _contract: Contract = LEGACY

    def _validate_player_response(self, player: Player, response: str) -> bool:
        """Tell whether a response is valid; an invalid one is neither parsed nor accepted.

        Args:
            player: who gave it.
            response: its text.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _validate_player_response()")

    def _parse_response(self, player: Player, response: str) -> str:  # noqa: ARG002 - for games
        """Return what the game needs of a valid response.

        Args:
            player: who gave it.
            response: its text.
        """
        return response

    def _on_valid_player_response(self, player: Player, parsed_response: str) -> None:
        """Go on with a valid response, for instance by setting the next context.

        Args:
            player: who gave it.
            parsed_response: what ``_parse_response`` returned.
        """
        raise NotImplementedError(f"{type(self).__name__} must define _on_valid_player_response()")
