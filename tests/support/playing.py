"""Plays the tiny games of ``tests/games`` and returns what was recorded."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clemcore.backends import CustomResponseModel, Model
from clemcore.clemgame import GameBenchmark, GameInteractionsRecorder, GameMaster, GameSpec, play_game

GAMES = Path(__file__).parent.parent / "games"


@dataclass
class Played:
    experiment: dict[str, Any]
    instance: dict[str, Any]
    interactions: dict[str, Any]
    scores: dict[str, Any]
    infos: list[dict[str, Any]]


def spec_of(game: str) -> GameSpec:
    folder = GAMES / game
    return GameSpec(**json.loads((folder / "clemgame.json").read_text()), game_path=str(folder))


def play_all(game: str, models: list[Model] | None = None) -> list[Played]:
    """Play and score every instance of a tiny game, by default with the mock."""
    spec = spec_of(game)
    content = json.loads((GAMES / game / "in" / "instances.json").read_text())
    played = []
    with GameBenchmark.load_from_spec(spec) as benchmark:
        for with_instances in content["experiments"]:
            experiment = {key: value for key, value in with_instances.items() if key != "game_instances"}
            for instance in with_instances["game_instances"]:
                master = benchmark.create_game_master(copy.deepcopy(experiment), models or [CustomResponseModel()])
                master.setup(**copy.deepcopy(instance))
                infos: list[dict[str, Any]] = []
                interactions = record(
                    master,
                    experiment["name"],
                    instance["game_id"],
                    lambda *step, infos=infos: infos.append(step[-1]),
                )
                scorer = benchmark.create_game_scorer(experiment, instance)
                scorer.compute_scores(json.loads(json.dumps(interactions)))
                played.append(Played(experiment, instance, interactions, scorer.scores, infos))
    return played


def record(master: GameMaster, experiment: str = "e", game_id: int = 0, after_step: Any = None) -> dict[str, Any]:
    """Play a game master that is set up, and return the interactions."""
    recorder = GameInteractionsRecorder(master.game_spec.game_name, experiment, game_id, "run", {})
    for player in master.get_players():
        recorder.log_player(player.name, player.game_role, player.model.name)
    master.register(recorder)
    play_game(master, after_step)
    return recorder.interactions


def said(interactions: dict[str, Any]) -> list[list[str]]:
    """Return the events of each round as short lines."""
    return [[_line(event) for event in events] for events in interactions["turns"]]


def _line(event: dict[str, Any]) -> str:
    action = event["action"]
    label = f" [{action['label']}]" if action.get("label") not in (None, "context", "response") else ""
    kind = "" if action["type"] in ("send message", "get message") else f"{action['type']}: "
    names = {"GM": "GM"}
    short = [names.get(name) or name.replace("Player ", "P") for name in (event["from"], event["to"])]
    return f"{short[0]}>{short[1]} {kind}{action['content']}{label}"


def plain_spec(name: str = "tiny", players: int = 1) -> Any:
    """Return a specification of a game that has no folder."""
    return SimpleNamespace(game_name=name, game_path=".", players=players)
