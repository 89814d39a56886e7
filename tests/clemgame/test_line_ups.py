"""Line-ups: their order, their folders, and models that are loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.runs.lineups import LoadedModels, line_ups_of
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.store import manifest, run_folder
from clemcore.errors import RunError

LOCAL = {"backend": "huggingface_local", "huggingface_id": "org/weights"}


def _names(**settings: Any) -> list[str]:
    return [line_up.folder.name for line_up in line_ups_of(RunSettings(**settings))]


def test_folders_are_named_after_models() -> None:
    assert _names(models=["mock", "human"]) == ["mock--human"]
    assert _names(models=["mock", "human", "mock"])[0].startswith("group-3p-")
    assert line_ups_of(RunSettings(models=["mock"], results_dir="r/s"))[0].folder == Path("r/s/mock")


def test_models_of_one_name_get_different_folders() -> None:
    hot = {"model_name": "mock", "temperature": 1.0}
    assert _names(models=["mock", hot], pairs="self") == ["mock", "mock.2"]
    assert _names(models=["mock", "mock"], pairs="self") == ["mock"]


def test_a_run_with_a_number_is_found_again(tmp_path: Path) -> None:
    hot = {"model_name": "mock", "temperature": 1.0}
    both = RunSettings(models=["mock", hot], pairs="self", results_dir=str(tmp_path))
    for line_up in line_ups_of(both):
        line_up.folder.mkdir()
        run_folder.write(line_up.folder, manifest.describe(both, [], line_up.infos(), "0"))
    alone = RunSettings(models=[hot], results_dir=str(tmp_path))
    assert line_ups_of(alone)[0].folder.name == "mock.2"
    # Another temperature is not another line-up: run.json refuses it.
    assert line_ups_of(alone.updated({"models": ["mock"], "temperature": 0.5}))[0].folder.name == "mock"


def test_line_ups_that_share_a_local_model_come_together() -> None:
    one, two = ({"model_name": name, **LOCAL} for name in ("one", "two"))
    line_ups = [[one, "mock"], ["mock"], [two], ["mock", one], [two, "mock"], ["human"]]
    names = _names(line_ups=line_ups)
    assert names == ["mock", "human", "one--mock", "mock--one", "two", "two--mock"]


def test_arguments_of_roles_take_precedence() -> None:
    [line_up] = line_ups_of(RunSettings(models=["mock"], temperature=0.5, players=[{}, {"temperature": 1.0}]))
    assert [role.gen_args["temperature"] for role in line_up.roles] == [0.5, 1.0]
    assert [info["gen_args"]["max_tokens"] for info in line_up.infos().values()] == [300, 300]
    with pytest.raises(RunError, match="players has 3 roles, and a line-up has 2 models"):
        line_ups_of(RunSettings(models=["mock", "human"], players=[{}, {}, {}]))


def test_all_unknown_models_are_reported_at_once() -> None:
    with pytest.raises(RunError) as caught:
        line_ups_of(RunSettings(models=["zephyr-7b-bet", "mock", "gtp-4o"]))
    assert "did you mean 'zephyr-7b-beta'" in str(caught.value)
    assert "no model matches {'model_name': 'gtp-4o'}" in str(caught.value)


def test_what_a_model_would_have_is_what_it_has() -> None:
    line_ups = line_ups_of(RunSettings(models=["mock"], gen_args={"seed": 3}))
    models = LoadedModels(line_ups)
    [loaded] = models.load(line_ups[0])
    assert loaded.to_infos([loaded])[0] == line_ups[0].infos()["0"]
    assert models.load(line_ups[0])[0] is loaded


def test_a_model_is_let_go_after_its_last_line_up() -> None:
    line_ups = line_ups_of(RunSettings(line_ups=[["mock"], ["mock", "human"], ["human"]]))
    models = LoadedModels(line_ups)
    loaded = models.load(line_ups[0])
    models.release()
    assert models.load(line_ups[1])[0] is loaded[0]
    models.release()
    assert [model.name for model in models._loaded.values()] == ["human"]
