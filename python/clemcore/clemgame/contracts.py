"""What a game's class agrees on with the loop: the middle of a step, and who counts.

It does not know the rest of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clemcore.clemgame.errors import GameError, ParseError

__all__ = ["LEGACY", "NEW", "Contract", "contract_of"]


@dataclass(frozen=True)
class Contract:
    """A contract between the loop and the methods of a game.

    Attributes:
        name: how it is called in messages.
        methods: the methods that the game defines.
        apply: applies a response: called with the game master, the player and the response.
        counts_requests: whether the loop counts requests and violations; otherwise the game does.
        round_before: the number of the current round until the game begins.
    """

    name: str
    methods: tuple[str, ...]
    apply: Callable[[Any, Any, str], None]
    counts_requests: bool
    round_before: int


def _parse_and_advance(master: Any, player: Any, response: str) -> None:
    try:
        master._advance_game(player, master._parse_response(player, response))
    except ParseError as error:
        master.count_request_violation()
        master._on_parse_error(error)
    except GameError as error:
        master._on_game_error(error)


def _validate_and_accept(master: Any, player: Any, response: str) -> None:
    if master._validate_player_response(player, response):
        master._on_valid_player_response(player, master._parse_response(player, response))


NEW = Contract("new", ("_parse_response", "_advance_game"), _parse_and_advance, True, -1)
LEGACY = Contract(
    "legacy", ("_validate_player_response", "_on_valid_player_response"), _validate_and_accept, False, 0
)


def contract_of(cls: type, base: type) -> Contract:
    """Return the contract of a game's class: its own methods decide."""
    for each in cls.__mro__[: cls.__mro__.index(base)]:
        if "_advance_game" in each.__dict__:
            return NEW
        if any(method in each.__dict__ for method in LEGACY.methods):
            return LEGACY
    return NEW
