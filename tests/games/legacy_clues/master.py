"""A describer gives clues for a word and a guesser guesses it: the legacy contract, with the newer GameState."""

from __future__ import annotations

from typing import Any

from clemcore.backends import Model
from clemcore.clemgame import GameBenchmark, GameMaster, GameSpec, Player
from clemcore.clemgame.legacy.master import DialogueGameMaster
from clemcore.clemgame.legacy.scorer import GameScorer
from clemcore.clemgame.master import GameState, Outcome
from clemcore.clemgame.metrics import (
    BENCH_SCORE,
    METRIC_ABORTED,
    METRIC_LOSE,
    METRIC_REQUEST_COUNT,
    METRIC_REQUEST_COUNT_PARSED,
    METRIC_REQUEST_COUNT_VIOLATED,
    METRIC_SUCCESS,
)
from clemcore.utils.string_utils import remove_punctuation


class ClueState(GameState):
    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word
        self.is_reprompted = False


class Describer(Player):
    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.number = 0

    def _custom_response(self, context: dict[str, Any]) -> str:
        self.number += 1
        return f"CLUE: hint {self.number}" if self.number != 2 else "no prefix"


class Guesser(Player):
    def __init__(self, model: Model, word: str) -> None:
        super().__init__(model)
        self.word = word

    def _custom_response(self, context: dict[str, Any]) -> str:
        return f"GUESS: {self.word if '3' in context['content'] else 'stone'}!"


class Clues(DialogueGameMaster):
    def __init__(self, game_spec: GameSpec, experiment: dict[str, Any], player_models: list[Model]) -> None:
        super().__init__(game_spec, experiment, player_models)
        self.max_rounds = experiment["max_rounds"]
        self.requests = self.violations = 0

    def _on_setup(self, **game_instance: Any) -> None:
        self.log_key("word", game_instance["word"])  # before any recorder exists
        self.state = ClueState(game_instance["word"])
        self.describer = Describer(self.player_models[0])
        self.guesser = Guesser(self.player_models[1], self.state.word)
        prompt = self.load_template("resources/describer").replace("$WORD$", self.state.word)
        self.add_player(self.describer, initial_context=prompt)
        self.add_player(self.guesser, initial_prompt="Guess the word.")

    def _validate_player_response(self, player: Player, response: str) -> bool:
        self.requests += 1
        prefix = "CLUE:" if player == self.describer else "GUESS:"
        if response.startswith(prefix):
            self.state.is_reprompted = False
            return True
        self.violations += 1
        self.log_to_self("invalid format", prefix)
        if self.state.is_reprompted:
            self.state.abort()
        else:
            self.state.is_reprompted = True
            self.set_context_for(player, f"Begin with {prefix}")
        return False

    def _parse_response(self, player: Player, response: str) -> str:
        return remove_punctuation(response.split(":", 1)[1]).strip()

    def _on_valid_player_response(self, player: Player, parsed_response: str) -> None:
        if player == self.describer:
            self.set_context_for(self.guesser, f"CLUE: {parsed_response}")
            return
        self.log_to_self("guess", parsed_response)
        if parsed_response == self.state.word:
            self.state.succeed()
        else:
            self.set_context_for(self.describer, f"{parsed_response} is wrong.")

    def _should_pass_turn(self) -> bool:
        return not self.state.is_reprompted

    def _start_next_round(self) -> bool:
        return self._should_pass_turn() and super()._start_next_round()

    def _on_after_round(self) -> None:
        if self.current_round + 1 >= self.max_rounds and self.state.outcome == Outcome.RUNNING:
            self.state.failed()

    def _on_after_game(self) -> None:
        self.log_key(METRIC_ABORTED, int(self.state.outcome == Outcome.ABORTED))
        self.log_key(METRIC_LOSE, int(self.state.outcome == Outcome.FAILURE))
        self.log_key(METRIC_SUCCESS, int(self.state.outcome == Outcome.SUCCESS))
        self.log_key(METRIC_REQUEST_COUNT, self.requests)
        self.log_key(METRIC_REQUEST_COUNT_VIOLATED, self.violations)
        self.log_key(METRIC_REQUEST_COUNT_PARSED, self.requests - self.violations)


class CluesScorer(GameScorer):
    def score_turns(self, interactions: dict[str, Any]) -> None:
        for index, events in enumerate(interactions["turns"]):
            self.log_turn_score(index, "Guesses", sum(event["action"]["type"] == "guess" for event in events))

    def log_main_score(self, episode_interactions: dict[str, Any]) -> None:
        success = episode_interactions[METRIC_SUCCESS]
        score = 100 / len(episode_interactions["turns"]) if success else 0
        self.log_episode_score(BENCH_SCORE, float("nan") if episode_interactions[METRIC_ABORTED] else score)


class CluesBenchmark(GameBenchmark):
    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> GameMaster:
        return Clues(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment: dict[str, Any], game_instance: dict[str, Any]) -> GameScorer:
        return CluesScorer(self.game_name, experiment, game_instance)
