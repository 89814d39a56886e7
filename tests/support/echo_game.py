"""A small game for tests of whole runs: two players repeat words of each other, and the game draws some."""

from __future__ import annotations

import json
from pathlib import Path

MASTER = """\
import random

from clemcore.clemgame import (
    DialogueGameMaster, GameBenchmark, GameMaster, GameScorer, GameSpec, ParseError, Player
)
from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_ABORTED, METRIC_LOSE, METRIC_SUCCESS


class Speaker(Player):
    def __init__(self, model):
        super().__init__(model)
        self._custom = 0

    def _custom_response(self, context):
        self._custom += 1
        return f"SAY {random.randrange(1000)}"


class EchoMaster(DialogueGameMaster):
    def _on_setup(self, **instance):
        self.instance = instance
        self.said = []
        for model in self.player_models:
            self.add_player(Speaker(model))
        first = self.get_players()[0]
        self.set_context_for(first, f"Game {instance['game_id']}. Say {instance['word']} {random.random():.6f}.")

    def _does_game_proceed(self):
        return self.current_round < self.instance["rounds"] and not self.state.outcome.is_terminal

    def _parse_response(self, player, response):
        self.log_to_self("parsed", response[:20])
        return response

    def _advance_game(self, player, parsed_response):
        self.said.append(parsed_response)
        self.count_request()
        others = [other for other in self.get_players() if other is not player] or [player]
        self.set_context_for(others[0], f"{parsed_response} and {random.randrange(10**6)}")

    def _on_after_game(self):
        self.state.succeed()
        self.log_key("said", len(self.said))
        for metric, value in ((METRIC_ABORTED, 0), (METRIC_LOSE, 0), (METRIC_SUCCESS, 1)):
            self.log_key(metric, value)


class EchoScorer(GameScorer):
    def compute_round_score(self, round_idx, round_events):
        self.log_round_score(round_idx, "Events", len(round_events))

    def compute_episode_scores(self, interactions):
        self.log_episode_score(BENCH_SCORE, 10 * interactions["said"])


class EchoBenchmark(GameBenchmark):
    def create_game_master(self, experiment, player_models):
        return EchoMaster(self.game_spec, experiment, player_models)

    def create_game_scorer(self, experiment, game_instance):
        return EchoScorer(self.game_name, experiment, game_instance)
"""


def write_game(
    folder: Path, name: str = "echo", *, experiments: int = 1, instances: int = 3, rounds: int = 2, players: int = 2
) -> Path:
    """Write the game into a folder; return the folder of the game."""
    game = folder / name
    (game / "in").mkdir(parents=True, exist_ok=True)
    spec = {
        "game_name": name, "description": "Repeats words.", "players": players, "main_game": name, "image": "none",
        "languages": ["en"], "benchmark": ["test"],
    }  # fmt: skip
    (game / "clemgame.json").write_text(json.dumps(spec), encoding="utf-8")
    (game / "master.py").write_text(MASTER, encoding="utf-8")
    write_instances(game, experiments=experiments, instances=instances, rounds=rounds)
    return game


def write_instances(game: Path, *, experiments: int = 1, instances: int = 3, rounds: int = 2) -> None:
    """Write the instance file of the game."""
    listed = [
        {
            "name": f"words_{number}",
            "game_instances": [
                {"game_id": index, "word": f"w{number}{index}", "rounds": rounds} for index in range(instances)
            ],
        }
        for number in range(experiments)
    ]
    text = json.dumps({"experiments": listed}, indent=2)
    (game / "in" / "instances.json").write_text(text, encoding="utf-8")
