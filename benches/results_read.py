"""Reads records of episodes with the core and with Python's json: see `python benches/results.py read`.

The core reads what pages are made of. Both sides read the same interactions: Python from files whose paths it is
given, and the core from those it finds in a folder of results, or from a store that holds them.
"""

from __future__ import annotations

import json
from pathlib import Path

from least_cpu import least_cpu

from clemcore._core import transcript_images
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode
from clemcore.clemgame.store import RunStore

ROUNDS = 3


def read(results: Path, run: Path) -> tuple[float, float, float]:
    """Return CPU seconds to read all interactions: with json, with the core from files, and from a store.

    Args:
        results: the folder of the results.
        run: where the store is written.
    """
    files = sorted(results.rglob("interactions.json"))
    write_store(run, files)
    return (
        least_cpu(lambda: [json.loads(path.read_bytes()) is None for path in files], ROUNDS),
        least_cpu(lambda: _by_core(results), ROUNDS),
        least_cpu(lambda: _by_core(run), ROUNDS),
    )


def write_store(run: Path, files: list[Path]) -> None:
    """Write interactions into the store of a run."""
    keys = [_key_of(path) for path in files]
    run.mkdir(parents=True)
    with RunStore.open(run) as store:
        store.plan(
            PlannedEpisode(key, {"name": key.experiment}, {"game_id": key.game_id}, place)
            for place, key in enumerate(keys)
        )
        for key, path in zip(keys, files, strict=True):
            store.begin(key).finish("played", json.dumps(json.loads(path.read_bytes())).encode())


def _key_of(path: Path) -> EpisodeKey:
    game, experiment, instance = path.parts[-4:-1]
    return EpisodeKey(game, experiment, int(instance.removeprefix("instance_")), 1)


def _by_core(path: Path) -> None:
    for episode in read_episodes(path):
        transcript_images(episode.interactions_json())
