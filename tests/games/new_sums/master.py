"""A player adds numbers: the new contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clemcore.backends import Model
from clemcore.clemgame import (
    DialogueGameMaster,
    GameBenchmark,
    GameMaster,
    GameScorer,
    GameState,
    ParseError,
    Player,
    RuleViolationError,
)
from clemcore.clemgame.master import Outcome
from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_ABORTED, METRIC_LOSE, METRIC_SUCCESS


@dataclass
class SumState(GameState):
    numbers: list[int]
    total: int = 0
    steps: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()


class Adder(Player):
    def _custom_response(self, context: dict[str, Any]) -> str:
        words = context["content"].split()
        if "nothing" in words:
            return "I cannot say."
        return f"SUM: {int(words[-3]) + int(words[-1])}" if words[-2] == "plus" else f"SUM: {words[-1]}"


class Sums(DialogueGameMaster):
    state: SumState

    def _on_setup(self, **game_instance: Any) -> None:
        self.state = SumState(game_instance["numbers"])
        self.adder = Adder(self.player_models[0])
        self.add_player(self.adder, initial_prompt={"role": "user", "content": "Add up what I say."})

    def _on_before_round(self) -> None:
        number = self.state.numbers[self.current_round]
        if number == 0:
            self.set_context_for(self.adder, "Add nothing")
        else:
            self.set_context_for(self.adder, f"{self.state.total} plus {number}")

    def _parse_response(self, player: Player, response: str) -> int:
        if not response.startswith("SUM: "):
            raise ParseError("no prefix", response)
        return int(response.removeprefix("SUM: "))

    def _advance_game(self, player: Player, parsed_response: int) -> None:
        if parsed_response > self.experiment["limit"]:
            raise RuleViolationError(f"more than {self.experiment['limit']}", str(parsed_response))
        self.state.total = parsed_response
        self.state.steps.append(parsed_response)
        self.log_to_self("sum", {"steps": self.state.steps})
        if self.current_round + 1 == len(self.state.numbers):
            self.state.succeed()

    def _on_parse_error(self, error: ParseError) -> None:
        self.log_to_self("parse error", str(error))
        self.state.abort()

    def _on_game_error(self, error: RuleViolationError) -> None:  # type: ignore[override]
        self.log_to_self("rule violated", error.reason)
        self.state.failed()

    def _on_after_game(self) -> None:
        self.log_key(METRIC_ABORTED, int(self.state.outcome is Outcome.ABORTED))
        self.log_key(METRIC_LOSE, int(self.state.outcome is Outcome.FAILURE))
        self.log_key(METRIC_SUCCESS, int(self.state.outcome is Outcome.SUCCESS))


class SumsScorer(GameScorer):
    def compute_round_score(self, round_idx: int, round_events: list[dict[str, Any]]) -> None:
        self.log_round_score(round_idx, "Events", len(round_events))

    def compute_episode_scores(self, interactions: dict[str, Any]) -> None:
        score = float("nan") if interactions[METRIC_ABORTED] else 100 * interactions[METRIC_SUCCESS]
        self.log_episode_score(BENCH_SCORE, score)


class SumsBenchmark(GameBenchmark):
    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return Sums(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return SumsScorer(self.game_name, experiment, game_instance)
