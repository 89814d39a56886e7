"""Instances are read, selected and generated."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.instances import (
    GameInstanceGenerator,
    GameInstanceIterator,
    GameInstances,
    to_instance_filter,
    to_rows,
)
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.errors import GameError

CONTENT: dict[str, Any] = {
    "experiments": [
        {"name": "a", "n": 1, "game_instances": [{"game_id": 0, "w": "x"}, {"game_id": 1, "w": "y"}]},
        {"name": "b", "n": 2, "game_instances": [{"game_id": 0, "w": "z"}]},
    ]
}


def words(instances: GameInstances) -> list[str]:
    return [row["game_instance"]["w"] for row in instances]


def test_rows_have_the_experiment_without_its_instances() -> None:
    rows = to_rows("g", CONTENT)
    assert rows[2] == {
        "game_name": "g",
        "experiment": {"name": "b", "n": 2},
        "game_instance": {"game_id": 0, "w": "z"},
    }
    rows[0]["experiment"]["n"] = 9
    assert rows[1]["experiment"]["n"] == 1
    wrongs: list[dict[str, Any]] = [{}, {"experiments": []}, {"experiments": {}}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="experiments"):
            to_rows("g", wrong)


def test_instances_are_filtered_and_found() -> None:
    instances = GameInstances("g", to_rows("g", CONTENT))
    assert (len(instances), instances.experiment_names) == (3, ["a", "b"])
    assert instances.filter(None) is instances
    dataset: list[dict[str, Any]] = [
        {"game": "g", "experiment": "a", "task_id": "1"},
        {"game": "h", "experiment": "b", "task_id": 0},
    ]
    assert words(instances.filter(to_instance_filter(dataset))) == ["y"]
    assert instances.find_by_game_id("1")["game_instance"]["w"] == "y"
    with pytest.raises(ValueError, match="no instance with the game_id 7"):
        instances.find_by_game_id(7)
    with pytest.raises(ValueError, match="must be an integer, not 'x'"):
        instances.find_by_game_id("x")
    assert instances.describe() == "g: 3 rows from 2 experiments: ['a', 'b']"


def test_the_file_is_that_of_the_game_or_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "instances.json").write_text(json.dumps(CONTENT))
    spec = GameSpec(game_name="g", game_path=str(tmp_path), players=1)
    assert words(GameInstances.from_game_spec(spec)) == ["x", "y", "z"]
    assert "instances" not in spec
    (tmp_path / "in" / "other.json").write_text(json.dumps({"experiments": CONTENT["experiments"][1:]}))
    for name in ("other", "other.json"):
        spec.instances = name
        assert words(GameInstances.from_game_spec(spec)) == ["z"]


# -- generating ------------------------------------------------------------------------------------------------
class Dice(GameInstanceGenerator):
    def on_generate(self, seed: int | None, **kwargs: Any) -> None:
        experiment = self.add_experiment("dice")
        experiment["sides"] = kwargs["sides"]
        for game_id in range(3):
            self.add_game_instance(experiment, game_id)["roll"] = random.randint(1, kwargs["sides"])


def test_a_generator_writes_the_same_file_for_the_same_seed(tmp_path: Path) -> None:
    texts = []
    for seed in (1, 1, 2):
        path = Dice(str(tmp_path)).generate(seed=seed, sides=1000)
        assert path == str(tmp_path / "in" / "instances.json")
        texts.append(Path(path).read_text())
    assert texts[0] == texts[1] != texts[2]
    first = GameInstances.from_file("g", str(tmp_path / "in"))
    assert next(iter(first))["experiment"] == {"name": "dice", "sides": 1000}
    assert Dice(str(tmp_path)).generate("more.json", seed=1, sides=6).endswith("in/more.json")


def test_numpy_is_seeded_although_nothing_imports_it_before(tmp_path: Path) -> None:
    code = f"""
import sys
from clemcore.clemgame.instances import GameInstanceGenerator
assert "numpy" not in sys.modules
class Draw(GameInstanceGenerator):
    def on_generate(self, seed, **kwargs):
        import numpy as np
        self.add_game_instance(self.add_experiment("e"), 0)["draw"] = float(np.random.random())
for _ in range(2):
    print(open(Draw({str(tmp_path)!r}).generate(seed=3)).read())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    first, second = done.stdout.strip().split("\n}\n")
    assert first == second.removesuffix("\n}")


def test_a_file_that_cannot_be_played_is_written_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Twice(GameInstanceGenerator):
        def on_generate(self, seed: int | None, **kwargs: Any) -> None:
            experiment = self.add_experiment("e")
            self.add_game_instance(experiment, 0)
            self.add_game_instance(experiment, 0)

    path = Twice(str(tmp_path)).generate()
    assert Path(path).exists()
    assert "cannot be played" in caplog.text
    assert "have the game_id 0" in caplog.text
    with pytest.raises(GameError, match="G014"):
        GameInstances.from_file("g", str(tmp_path / "in"))


def test_a_generator_without_its_method_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="GameInstanceGenerator must define on_generate"):
        GameInstanceGenerator(str(tmp_path)).generate()


# -- the iterator of older releases ----------------------------------------------------------------------------
def test_the_iterator_of_2_is_filled_at_once_and_numbers_experiments() -> None:
    iterator = GameInstanceIterator(CONTENT)
    other = iterator.clone()
    assert [(experiment, instance["w"]) for experiment, instance in iterator] == [
        ({"name": "a", "n": 1, "index": 0}, "x"),
        ({"name": "a", "n": 1, "index": 0}, "y"),
        ({"name": "b", "n": 2, "index": 1}, "z"),
    ]
    assert (len(iterator), len(other)) == (0, 3)
    random.seed(4)
    shuffled = [instance["w"] for _, instance in GameInstanceIterator(CONTENT, do_shuffle=True)]
    assert sorted(shuffled) == ["x", "y", "z"] != shuffled


def test_the_iterator_of_3_is_filled_by_reset_and_selects(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "instances.json").write_text(json.dumps(CONTENT))
    spec = GameSpec(game_name="g", game_path=str(tmp_path), players=1)
    wanted: dict[tuple[str, str], list[int] | None] = {("g", "a"): [1], ("g", "b"): None}
    iterator = GameInstanceIterator.from_game_spec(spec, sub_selector=lambda game, name: wanted[game, name])
    assert len(iterator) == 0
    assert [instance["w"] for _, instance in iterator.reset()] == ["y", "z"]
