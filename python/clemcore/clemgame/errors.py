"""What was wrong with a player's response.

Games raise these errors, and the game loop turns them into consequences. It does not know any game.
"""

from __future__ import annotations

__all__ = ["GameError", "NotApplicableError", "ParseError", "ProtocolError", "ResponseError", "RuleViolationError"]


class ResponseError(Exception):
    """A player's response causes a problem.

    Attributes:
        reason: what is wrong, in a few words.
        response: the response.
        key: a word that tells finer kinds of this error apart.
    """

    def __init__(self, reason: str | None = None, response: str | None = None, key: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.response = response
        self.key = key

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.reason}"


class ProtocolError(ResponseError):
    """The response does not follow the protocol between game master and players."""


class ParseError(ProtocolError):
    """The game master cannot read the response, for instance because its prefix is missing."""


class GameError(ResponseError):
    """The game cannot go on with this response, although it was readable."""


class RuleViolationError(GameError):
    """The response breaks a rule of the game, for instance because it contains a forbidden word."""


class NotApplicableError(GameError):
    """The response asks for something that the current state of the game does not allow."""
