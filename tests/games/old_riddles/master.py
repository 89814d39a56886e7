"""A player solves riddles: a game master of 2.x with a loop of its own, whose players log to its recorder."""

from __future__ import annotations

from typing import Any

from clemcore.backends import Model
from clemcore.clemgame import GameBenchmark, GameMaster, GameScorer, Player
from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_ABORTED, METRIC_SUCCESS


class Solver(Player):
    def _custom_response(self, context: dict[str, Any]) -> str:
        return str(context["content"]).split()[-1]


class Riddles(GameMaster):
    def __init__(
        self, game_name: str, game_path: str, experiment: dict[str, Any], player_models: list[Model]
    ) -> None:
        super().__init__(game_name, game_path, experiment, player_models)
        self.solved = 0

    def setup(self, game_id: int, riddles: list[str]) -> None:  # type: ignore[override]
        self.game_id = game_id
        self.riddles = riddles
        self.solver = Solver(self.player_models[0], "Player 1 (Solver)", self.game_recorder)
        self.log_players(
            {"GM": "Game master for riddles", "Player 1": f"Solver: {self.player_models[0].get_name()}"}
        )

    def play(self) -> None:
        self.solver._messages.append({"role": "user", "content": "Solve my riddles."})
        self.game_recorder.log_event(
            from_="GM",
            to=self.solver.name,
            action={"type": "send message", "content": "Solve my riddles.", "label": "pseudo"},
        )
        for number, riddle in enumerate(self.riddles):
            if number:
                self.log_next_round()
            answer = self.solver({"role": "user", "content": riddle}, memorize=number == 0)
            self.log_to_self("answer", answer)
            self.solved += answer == riddle.split()[-1]
        self.log_key(METRIC_ABORTED, 0)
        self.log_key(METRIC_SUCCESS, int(self.solved == len(self.riddles)))


class RiddlesScorer(GameScorer):
    def compute_scores(self, episode_interactions: dict[str, Any]) -> None:
        self.log_episode_score(METRIC_ABORTED, episode_interactions[METRIC_ABORTED])
        self.log_episode_score(BENCH_SCORE, 100 * episode_interactions[METRIC_SUCCESS])


class RiddlesBenchmark(GameBenchmark):
    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return Riddles(self.game_name, self.game_path, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return RiddlesScorer(self.game_name, experiment, game_instance)
