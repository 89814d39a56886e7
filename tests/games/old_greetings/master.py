"""A player greets another: the contract of 2.x, where game masters are made by name and path."""

from __future__ import annotations

from typing import Any

from clemcore.backends import CustomResponseModel, Model
from clemcore.clemgame import DialogueGameMaster, GameBenchmark, GameMaster, GameScorer, GameSpec, Player
from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_ABORTED, METRIC_LOSE, METRIC_SUCCESS
from clemcore.clemgame.metrics import METRIC_REQUEST_COUNT as REQUESTS


class Greeted(Player):
    def __init__(self, name: str) -> None:
        super().__init__(CustomResponseModel())
        self.greeted = name

    def _custom_response(self, context: dict[str, Any]) -> str:
        return f"{self.greeted}: hello!"


class Greeter(Player):
    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.number = 0

    def _custom_response(self, context: dict[str, Any]) -> str:
        self.number += 1
        return "hm" if self.number == 1 else context["content"].replace("Greet", "GREET:")


class Greetings(DialogueGameMaster):
    def __init__(
        self, game_name: str, game_path: str, experiment: dict[str, Any], player_models: list[Model]
    ) -> None:
        super().__init__(game_name, game_path, experiment, player_models)
        self.language = experiment["language"]
        self.rounds_before: list[int] = []
        self.requests = 0
        self.needs_reprompt = self.is_won = False

    def _on_setup(self, **game_instance: Any) -> None:
        self.target = game_instance["target"]
        self.rounds_before.append(self.current_round)
        self.greeter = Greeter(self.player_models[0])
        self.greeted = Greeted(self.target)
        self.add_player(self.greeter)
        self.add_player(self.greeted)

    def _on_before_game(self) -> None:
        self.rounds_before.append(self.current_round)
        self.set_context_for(self.greeter, f"Greet {self.target} in {self.language}")

    def _validate_player_response(self, player: Player, response: str) -> bool:
        self.requests += 1
        self.needs_reprompt = player == self.greeter and not response.startswith("GREET:")
        if self.needs_reprompt:
            self.log_to_self("reprompt", response)
        return not self.needs_reprompt

    def _on_valid_player_response(self, player: Player, parsed_response: str) -> None:
        if player == self.greeter:
            self.set_context_for(self.greeted, parsed_response)
        else:
            self.is_won = parsed_response.startswith(self.target)

    def _should_pass_turn(self) -> bool:
        return not self.needs_reprompt

    def _does_game_proceed(self) -> bool:
        return not self.is_won and self.requests < 10

    def compute_episode_score(self) -> int:
        return 100 if self.is_won else 0

    def _on_after_game(self) -> None:
        self.log_key("rounds before", self.rounds_before)
        self.log_key(REQUESTS, self.requests)
        for key, value in ((METRIC_ABORTED, 0), (METRIC_LOSE, not self.is_won), (METRIC_SUCCESS, self.is_won)):
            self.log_key(key, int(value))


class GreetingsScorer(GameScorer):
    def compute_scores(self, interactions: dict[str, Any]) -> None:
        for index, events in enumerate(interactions["turns"]):
            self.log_turn_score(index, "Events", len(events))
        self.log_episode_score(REQUESTS, interactions[REQUESTS])
        self.log_episode_score(BENCH_SCORE, 100 * interactions[METRIC_SUCCESS])


class GreetingsBenchmark(GameBenchmark):
    def __init__(self, game_spec: GameSpec) -> None:
        super().__init__(game_spec)

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return Greetings(self.game_name, self.game_path, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return GreetingsScorer(self.game_name, experiment, game_instance)
