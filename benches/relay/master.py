"""A game for benchmarks: players say numbers in turn. It runs here and with clemcore 3.7.2.

With two players and six calls, an episode has as many events as a short episode of taboo: 25.
"""

from __future__ import annotations

from typing import Any

from clemcore.backends import Model
from clemcore.clemgame import DialogueGameMaster, GameBenchmark, GameMaster, ParseError, Player

RULES = """You are playing a number game with another player. Both of you say numbers, one after the other.

Rules:
(a) Reply in the form: said <number>. Nothing else may stand in your reply.
(b) Say the number that you are asked to say, and no other number.
(c) Do not use words for numbers, and do not use digits of other languages.
(d) Do not leave out numbers, and do not say a number again that was said before.

End conditions:
(i) If you say something in another form, the game is aborted.
(ii) If you say another number than the one that you were asked to say, you lose.
(iii) If all numbers were said, you both win.

Each request gives you one number. Give short replies that are to the point. Do not explain what you do, and do not
add anything to the form above. The other player sees nothing but your number, and knows neither what you were asked
nor how many numbers are left. The order of the numbers is known: there is no rule to find."""


class Speaker(Player):
    """Says the number that it is asked to say."""

    def _custom_response(self, context: dict[str, Any]) -> str:
        return f"said {context['content'].rpartition(' ')[2]}"


class Relay(DialogueGameMaster):
    """Asks for one number after the other."""

    def _on_setup(self, **instance: Any) -> None:
        self.first: int = instance["first"]
        self.calls: int = instance["calls"]
        self.done = 0
        for _ in range(self.experiment["players"]):
            self.add_player(Speaker(self.player_models[0]), initial_prompt=RULES)
        self._ask(self.get_players()[0])

    def _ask(self, player: Player) -> None:
        self.set_context_for(player, f"The next number is yours. Please say {self.first + self.done}")

    def _parse_response(self, player: Player, response: str) -> int:  # noqa: ARG002 - the interface of games
        word, _, number = response.partition(" ")
        if word != "said":
            raise ParseError("the reply has another form", response)
        self.log_to_self("valid format", "continue")
        return int(number)

    def _advance_game(self, player: Player, parsed_response: int) -> None:
        self.log_to_self("number", str(parsed_response))
        self.done += 1
        players = self.get_players()
        self._ask(players[(players.index(player) + 1) % len(players)])

    def _does_game_proceed(self) -> bool:
        return self.done < self.calls

    def _on_after_game(self) -> None:
        self.log_to_self("end", "all numbers were said")


class RelayBenchmark(GameBenchmark):
    """Makes the game."""

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        """Make the game master of an episode."""
        return Relay(self.game_spec, experiment, player_models)
