"""Two players count in turns: a game master of its own, which is no dialogue game master."""

from __future__ import annotations

from typing import Any

from clemcore.backends import Model
from clemcore.clemgame import GameBenchmark, GameMaster, GameScorer, Player
from clemcore.clemgame.events import GameEventLogger
from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_ABORTED, METRIC_LOSE, METRIC_SUCCESS
from clemcore.clemgame.recorder import GameInteractionsRecorder


class Counter(Player):
    def _custom_response(self, context: dict[str, Any]) -> str:
        return str(int(context["content"]) + 1)


class Listener(GameEventLogger):
    """Counts rounds beside the recorder."""

    def __init__(self) -> None:
        self.rounds = 1

    def log_next_round(self) -> None:
        self.rounds += 1

    def log_game_end(self, auto_count_logging: bool = True) -> None: ...
    def count_request(self) -> None: ...
    def count_request_violation(self) -> None: ...
    def log_key(self, key: str, value: Any) -> None: ...
    def log_player(self, player_name: str, game_role: str, model_name: str) -> None: ...
    def log_event(self, from_: str, to: str, action: dict[str, Any], call: Any = None) -> None: ...


class Counting(GameMaster):
    def setup(self, **kwargs: Any) -> None:
        self.players: list[Player] = [
            Counter(model, name=f"Player {number}", game_role="Counter")
            for number, model in enumerate(self.player_models, start=1)
        ]
        self.number = kwargs["start"]
        self.last = kwargs["last"]
        self.turn = 0
        self.listener = Listener()

    def before_game(self) -> None:
        self.register_many([self.listener])
        self.log_to_self("start", self.number)

    def get_players(self) -> list[Player]:
        return self.players

    @property  # type: ignore[misc] # the base class lets games of 2.x assign it
    def current_player(self) -> Player:
        return self.players[self.turn % 2]

    def get_context_for(self, player: Player) -> dict[str, Any]:
        return {"role": "user", "content": str(self.number)}

    def step(self, response: str) -> tuple[bool, dict[str, Any]]:
        player = self.current_player
        self.log_gm_to_player(self.get_context_for(player), player)
        self.log_player_to_gm(response, player)
        self.count_request()
        self.number = int(response)
        self.turn += 1
        done = self.number >= self.last
        if done:
            for key, value in ((METRIC_ABORTED, 0), (METRIC_LOSE, 0), (METRIC_SUCCESS, 1)):
                self.log_key(key, value)
            for logger in self._loggers:
                if isinstance(logger, GameInteractionsRecorder):
                    logger.interactions["meta"]["rounds_heard"] = self.listener.rounds
            self.log_game_end()
        elif self.turn % 2 == 0:
            self.log_next_round()
        return done, {"number": self.number}


class CountingScorer(GameScorer):
    def compute_round_score(self, round_idx: int, round_events: list[dict[str, Any]]) -> None:
        """Nothing to add to the counts."""

    def compute_episode_scores(self, interactions: dict[str, Any]) -> None:
        self.log_episode_score(BENCH_SCORE, interactions["meta"]["rounds_heard"])


class CountingBenchmark(GameBenchmark):
    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return Counting(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return CountingScorer(self.game_name, experiment, game_instance)
