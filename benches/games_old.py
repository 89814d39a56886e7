"""Writes episodes as clemcore 3.7.2 does; runs in an environment that has 3.7.2 (see games.py).

Standard input has one JSON object: ``folder``, ``count``, ``experiment``, ``models`` and some ``episodes`` with
their ``events`` and ``calls``. Standard output gets the seconds that writing took.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clemcore.clemgame.callbacks import files  # type: ignore[import-not-found,unused-ignore]


class Master:
    """As much of a game master as the callbacks of 3.7.2 look at."""

    def __init__(self, experiment: dict[str, Any], players: list[Any]) -> None:
        self.experiment = experiment
        self.game_spec = SimpleNamespace(game_name="taboo")
        self._players = players
        self.loggers: list[Any] = []

    def get_players(self) -> list[Any]:
        """Return the players."""
        return self._players

    def register(self, logger: Any) -> None:
        """Take a recorder of the game."""
        self.loggers.append(logger)


def player(number: int, role: str) -> Any:
    """Return as much of a player as the callbacks look at."""
    made = SimpleNamespace(name=f"Player {number}", game_role=role, model=SimpleNamespace(name="mock"), loggers=[])
    made.register = made.loggers.append
    return made


def main() -> None:
    """Write the episodes."""
    asked = json.load(sys.stdin)
    folder = files.ResultsFolder(Path(asked["folder"]), "mock")
    experiment_saver = files.ExperimentFileSaver(folder, player_model_infos=asked["models"])
    savers = [
        files.InstanceFileSaver(folder),
        files.InteractionsFileSaver(folder, player_model_infos=asked["models"]),
        files.PlayerFileSaver(folder),
        files.SignalFileSaver(folder),
    ]
    wall = cpu = 0.0
    for number in range(asked["count"]):
        episode = asked["episodes"][number % len(asked["episodes"])]
        instance = {**episode["instance"], "game_id": number}
        players = [player(1, "WordDescriber"), player(2, "WordGuesser")]
        master = Master({"name": "high_en", **asked["experiment"]}, players)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        for saver in [experiment_saver, *savers]:
            saver.on_game_start(master, instance)
        wall += time.perf_counter() - begin
        cpu += time.process_time() - begin_cpu
        for index, turn in enumerate(episode["turns"]):
            for logger in master.loggers:
                if index:
                    logger.log_next_round()
            for event, call in turn:
                loggers = list(master.loggers)
                loggers += [each for made in players if made.name == event["from"] for each in made.loggers]
                for logger in dict.fromkeys(loggers):
                    logger.log_event(event["from"], event["to"], event["action"], tuple(call) if call else None)
        for logger in master.loggers:
            logger.log_game_end()
        begin, begin_cpu = time.perf_counter(), time.process_time()
        for saver in savers:
            saver.on_game_end(master, instance)
        wall += time.perf_counter() - begin
        cpu += time.process_time() - begin_cpu
    json.dump({"wall": wall, "cpu": cpu}, sys.stdout)


if __name__ == "__main__":
    main()
