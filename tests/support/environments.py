"""A tiny game for tests of environments, written into a folder."""

from __future__ import annotations

import json
from pathlib import Path

_MASTER = '''
import random

from clemcore.clemgame import DialogueGameMaster, GameBenchmark, GameScorer, GameState, ParseError, Player


class Guesser(Player):
    def _custom_response(self, context):
        return str(random.randrange(1000) + 10)


class Helper(Player):
    def _custom_response(self, context):
        return f"no, {random.random()}"


class State(GameState):
    def __init__(self):
        super().__init__()
        self.tries = 0


class Guessing(DialogueGameMaster):
    """One player guesses the game_id, the other one comments. Facts of the instance are changed on purpose."""

    def _on_setup(self, **instance):
        self.state = State()
        self.number = instance["words"].pop()
        self.guesser, self.helper = Guesser(self.player_models[0]), Helper(self.player_models[1])
        self.add_player(self.guesser, initial_context=f"Guess the number of {self.number}.")
        self.add_player(self.helper)

    def _parse_response(self, player, response):
        while response == "hang":
            pass
        if response == "break":
            raise RuntimeError("the game broke")
        if response == "stop":
            raise ParseError("stop")
        return response

    def _advance_game(self, player, parsed):
        if player is self.helper:
            self.set_context_for(self.guesser, parsed)
            return
        self.state.tries += 1
        if parsed == str(self.number):
            self.state.succeed()
        elif self.state.tries >= 4:
            self.state.failed()
        self.set_context_for(self.helper, f"heard {parsed}")

    def _on_parse_error(self, error):
        self.state.abort()

    def _on_after_game(self):
        self.log_key("tries", self.state.tries)
        for key in ("success", "aborted"):
            self.log_key(key.title(), int(self.state.outcome.value == key))
        self.log_key("Lose", int(self.state.outcome.value == "failure"))

    def compute_turn_score(self):
        return 10 * self.state.tries

    def compute_response_score(self, response, context):
        return len(response)

    def compute_episode_score(self):
        return 99


class Scorer(GameScorer):
    def compute_round_score(self, round_idx, round_events):
        pass

    def compute_episode_scores(self, interactions):
        tries = interactions["tries"]
        self.log_episode_score("Main Score", 100 / tries if tries else float("nan"))


class GuessingBenchmark(GameBenchmark):
    def create_game_master(self, experiment, player_models):
        return Guessing(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment, game_instance):
        return Scorer(self.game_name, experiment, game_instance)
'''


def write_guessing(folder: Path, instances: int = 6, *, hard: bool = False) -> Path:
    """Write the game "guessing" for two players, and return its folder."""
    game = folder / "guessing"
    (game / "in").mkdir(parents=True)
    (game / "clemgame.json").write_text(
        json.dumps({"game_name": "guessing", "players": 2, "description": "a test"}), encoding="utf-8"
    )
    (game / "master.py").write_text(_MASTER, encoding="utf-8")
    listed = [{"game_id": number, "words": [number]} for number in range(instances)]
    experiments = [{"name": "easy", "game_instances": listed}]
    if hard:  # the same IDs again
        experiments.append({"name": "hard", "game_instances": [{"game_id": 0, "words": [100]}]})
    (game / "in" / "instances.json").write_text(json.dumps({"experiments": experiments}), encoding="utf-8")
    return game
