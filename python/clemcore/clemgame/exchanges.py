"""Events of players on their way to the game master's loggers.

A game master logs the exchange of each turn itself. But a game may also call a player in between, and the player
alone logs that exchange. So what a player logs waits here: it is dropped if the game master logs the same turn, and
handed on if anything else happens. It does not know rounds or contexts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from clemcore.clemgame.events import GameEventLogger

if TYPE_CHECKING:
    from clemcore.clemgame.game_master import GameMaster
    from clemcore.clemgame.player import Player

SENT, GOT = "send message", "get message"


class _Event(NamedTuple):
    sender: str
    receiver: str
    action: dict[str, Any]
    call: tuple[Any, Any] | None


class PlayerEvents(GameEventLogger):
    """Listens to the players of one game master; it is also the ``game_recorder`` that games for 2.x hand around.

    Attributes:
        players: the players that were made with this as their recorder.
    """

    def __init__(self, master: GameMaster) -> None:
        self._master = master
        self._waiting: list[_Event] = []
        self._announced: dict[str, Any] = {}
        self.players: list[Player] = []

    def adopt(self, player: Player) -> None:
        """Take note of a player that logs to this recorder."""
        if not any(each is player for each in self.players):
            self.players.append(player)

    def log_event(self, from_: str, to: str, action: dict[str, Any], call: tuple[Any, Any] | None = None) -> None:
        """Keep an event until it is clear whether the game master logs it itself."""
        if from_ == "GM":
            if self._waiting and self._waiting[-1].sender != "GM":
                self.release()  # a whole exchange that the game master did not log
            if self._announced and self._announced.pop(to, None) == action.get("content"):
                return  # logged already by the game master
        self._waiting.append(_Event(from_, to, action, call))

    def claim(self, sender: str, receiver: str, action: dict[str, Any]) -> None:
        """Make way for an event that the game master logs: drop the player's, hand on all others."""
        kind = action.get("type")
        if kind == SENT and sender == "GM":
            self._claim_exchange(receiver, action)
        elif self._waiting:
            if kind == GOT and self._waiting[-1].sender == sender:
                self._waiting.pop()
            self.release()

    def _claim_exchange(self, player: str, action: dict[str, Any]) -> None:
        waiting = self._waiting
        for index in range(len(waiting) - 1, -1, -1):
            event = waiting[index]
            if event.receiver == player and event.action.get("type") == SENT:
                is_turn = action.get("label") == "context" or action.get("content") == event.action.get("content")
                if is_turn:
                    after = [each for each in waiting[index + 1 :] if each.sender != player]
                    del waiting[index:]
                    self.release()
                    waiting.extend(after)
                    return
                break
        self.release()
        self._announced[player] = action.get("content")

    def release(self) -> None:
        """Hand on what waits: nobody else will log it."""
        if self._waiting:
            events, self._waiting = self._waiting, []
            for event in events:
                self._master.log_event_of_player(*event)

    # -- the rest of a recorder, for game masters that log to their game_recorder --------------------------------
    def log_next_round(self) -> None:
        """Begin a new round."""
        self._master.log_next_round()

    def log_game_end(self, auto_count_logging: bool = True) -> None:
        """End the game."""
        self._master.log_game_end(auto_count_logging)

    def log_key(self, key: str, value: Any) -> None:
        """Log a fact."""
        self._master.log_key(key, value)

    def log_player(self, player_name: str, game_role: str, model_name: str) -> None:
        """Log who plays."""
        self._master.log_player(player_name, game_role, model_name)

    def log_players(self, players_dic: dict[str, Any]) -> None:
        """Log who plays, as before 2.5."""
        self._master.log_players(players_dic)

    def count_request(self) -> None:
        """Ignore the count of a player: the game master counts the turns."""

    def count_request_violation(self) -> None:
        """Ignore the count of a player."""
