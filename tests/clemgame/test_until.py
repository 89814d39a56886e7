"""`clem run --until`: which instances are played, when a cell stops, what the record says, and coverage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clemcore._core import mean_interval
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode, PlannedGame
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.runs.until import Cell, instances_in_order, looks_of
from support.clem import Clem, clem
from support.echo_game import write_game

__all__ = ["clem"]


def planned(experiments: dict[str, int], epochs: int = 1) -> PlannedGame:
    keys = [
        EpisodeKey("talk", name, number, epoch)
        for epoch in range(1, epochs + 1)
        for name, count in experiments.items()
        for number in range(count)
    ]
    episodes = [PlannedEpisode(key, {}, {}, place) for place, key in enumerate(keys)]
    return PlannedGame(GameSpec(game_name="talk", game_path="x", players=1), episodes)


def test_looks_double_and_end_with_all_instances() -> None:
    assert looks_of(200, 4).sizes == (20, 40, 80, 160, 200)
    assert looks_of(200, 12).sizes == (60, 120, 200)
    assert looks_of(20, 1).sizes == (20,)
    assert looks_of(3, 1).sizes == (3,)
    assert looks_of(200, 4).level == pytest.approx(0.99)


def test_every_part_has_its_share_of_each_experiment_and_whole_instances() -> None:
    game = planned({"easy": 40, "hard": 20}, epochs=3)
    order = instances_in_order(game, seed=1)
    assert order == instances_in_order(game, seed=1)
    assert order != instances_in_order(game, seed=2)
    assert all(len(instance) == 3 for instance in order)
    for size in (6, 30, 60):
        hard = sum(instance[0].key.experiment == "hard" for instance in order[:size])
        assert abs(hard - size / 3) <= 1
    cell = Cell(game, 5.0, 1)
    places = [episode.place for episode in cell.part().episodes]
    assert len(places) == 60
    assert places == sorted(places)


def test_a_cell_ends_when_it_is_narrow_or_complete() -> None:
    cell = Cell(planned({"e": 50}), 10.0, 0)
    ended = []
    for low, high in [(20.0, 40.0), (25.0, 35.0)]:
        cell.take({"note": None, "low": low, "high": high})
        ended.append(cell.has_ended)
    assert ended == [False, True]
    assert cell.to_dict()["stopped_early"]
    complete = Cell(planned({"e": 3}), 10.0, 0)
    complete.take({"note": "a single instance", "low": None, "high": None})
    assert complete.has_ended
    assert not complete.to_dict()["stopped_early"]


def simulated(rng: Any, instances: int, width: float, draw: Any) -> tuple[bool, int]:
    """Play one simulated cell until it is narrow; return whether its interval covers the truth, and its size."""
    values, truth = draw(rng, instances)
    looks = looks_of(instances, 1)
    found, size = None, 0
    for size in looks.sizes:
        found = mean_interval([[(value, 1.0) for value in values[:size]]], level=looks.level, resamples=1000)
        if found is not None and found[1] - found[0] <= width:
            break
    assert found is not None
    return bool(found[0] <= truth <= found[1]), size


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["bell", "skewed"])
def test_coverage_is_kept_under_repeated_looks(shape: str) -> None:
    rng = np.random.default_rng(2)
    draw = {
        "bell": lambda rng, count: (rng.normal(50, 20, count), 50),
        "skewed": lambda rng, count: (100 * rng.beta(0.5, 1.5, count), 25),
    }[shape]
    runs = [simulated(rng, 320, 15.0, draw) for _ in range(500)]
    assert sum(covered for covered, _ in runs) / len(runs) >= 0.93
    assert np.mean([size for _, size in runs]) < 320


def test_a_run_stops_early_says_so_and_continues(clem: Clem) -> None:
    write_game(Path(), experiments=2, instances=15)
    arguments = ("run", "-g", "echo", "-m", "mock", "--layout", "store")
    done = clem(*arguments, "--until", "40")
    assert done.returncode == 0, done.stderr
    assert "echo: stopped after 20 of 30 instances: interval" in done.stderr
    manifest = json.loads(Path("results/mock/run.json").read_text())
    assert manifest["games"]["echo"]["num_instances"] == 20
    assert manifest["games"]["echo"]["duration_seconds"] > 0
    noted = manifest["clemcore"]["until"]["echo"]
    assert (noted["instances"], noted["stopped_early"], noted["looks"]) == (20, True, [20, 30])
    assert clem("eval").returncode == 0
    model = json.loads(Path("results/results.json").read_text())["models"]["mock"]
    assert model["counts"] == {**dict.fromkeys(model["counts"], 0), "planned": 20, "played": 20}
    assert model["games"]["echo"]["level"] == model["intervals"]["level"] == 0.975
    found = model["games"]["echo"]["intervals"]["clemscore"]
    assert (found["low"], found["high"]) == (noted["clemscore_low"], noted["clemscore_high"])
    assert clem("run", "-g", "echo", "-m", "mock", "--until", "40").returncode == 0  # nothing is played again
    assert len(json.loads(Path("results/mock/run.json").read_text())["clemcore"]["until"]) == 1
    assert clem(*arguments).returncode == 0
    assert "until" not in json.loads(Path("results/mock/run.json").read_text())["clemcore"]
    assert clem("score").returncode == 0
    assert clem("eval").returncode == 0
    model = json.loads(Path("results/results.json").read_text())["models"]["mock"]
    assert (model["counts"]["played"], model["intervals"]["level"]) == (30, 0.95)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (("--until", "0"), "until must be a number > 0"),
        (("--until", "100"), "an interval of clemscores is at most 100 wide"),
        (("--until", "5", "--rng", "process", "--concurrency", "1"), "rng = process"),
        (("--until", "5", "--keep-context", "experiment"), "keep_context"),
        (("--until", "5", "--shard", "1/2"), "leave out shard and jobs"),
        (("--until", "5", "--jobs", "2"), "leave out shard and jobs"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(clem: Clem, more: tuple[str, ...], wanted: str) -> None:
    write_game(Path())
    done = clem("run", "-g", "echo", "-m", "mock", *more)
    assert done.returncode == 2
    assert wanted in done.stderr
    assert not Path("results").exists()
