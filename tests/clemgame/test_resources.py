"""Files of games: what games read and write, in the forms of all releases."""

from __future__ import annotations

import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import numpy
import pytest

from clemcore.clemgame.metrics import METRIC_REQUEST_SUCCESS, METRIC_REQUEST_SUCCESS_RATIO
from clemcore.clemgame.resources import (
    GameResourceLocator,
    load_json,
    load_packaged_file,
    store_file,
    store_image,
    store_json,
    store_results_file,
)
from clemcore.utils import file_utils, string_utils
from clemcore.utils.log_utils import temporary_loglevel
from clemcore.utils.logger import format_json, get_logger, setup_logger


@pytest.fixture
def game(tmp_path: Path) -> GameResourceLocator:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "instances.json").write_text('{"experiments": []}')
    (tmp_path / "a.template").write_text("Hällo $X$", encoding="utf-8")
    (tmp_path / "words.csv").write_bytes("ž,1\n".encode("iso8859_2"))
    return GameResourceLocator("g", str(tmp_path))


def test_a_game_reads_its_files_with_or_without_ending(game: GameResourceLocator) -> None:
    assert (
        game.load_template("a") == game.load_template("a.template") == game.load_file("a.template") == "Hällo $X$"
    )
    assert game.load_json("in/instances") == game.load_instances() == {"experiments": []}
    assert game.load_csv("words.csv") == [["ž", "1"]]
    with pytest.raises(FileNotFoundError):
        game.load_json("nothing")


def test_a_game_writes_its_files(game: GameResourceLocator, tmp_path: Path) -> None:
    path = game.store_file({"ä": 1}, "b.json", sub_dir="new/deep")
    assert Path(path).read_text(encoding="utf-8") == '{\n  "ä": 1\n}'
    assert game.load_json("new/deep/b") == {"ä": 1}
    assert Path(store_file("text", "c.txt", tmp_path)).read_text() == "text"
    with pytest.raises(FileExistsError):
        store_file("text", "c.txt", tmp_path, do_overwrite=False)
    store_results_file("g", [1], "r.json", "pair", sub_dir="0", results_dir=str(tmp_path / "results"))
    assert game.load_results_json("0/r", str(tmp_path / "results"), "pair") == [1]
    assert Path(store_image(b"png", str(tmp_path), "a.png")).read_bytes() == b"png"
    assert load_packaged_file("py.typed") == ""


def test_json_files_are_valid_json(tmp_path: Path) -> None:
    scores: Any = {
        "meta": {"game_name": "g"},
        "episode scores": {"Main Score": math.nan, "Speed": math.inf, "x": 1},
    }
    text = Path(store_json(scores, "scores.json", tmp_path)).read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["episode scores"] == {"Main Score": None, "Speed": None, "x": 1}
    assert found["meta"]["not_finite"] == ["Main Score", "Speed"]
    assert math.isnan(scores["episode scores"]["Main Score"])
    assert json.loads(Path(store_json([math.nan], "n.json", tmp_path)).read_text()) == [None]
    arrays = {"of": numpy.array([1, 2]), "at": numpy.int64(3), "share": numpy.float32("nan")}
    assert load_json(store_json(arrays, "a.json", tmp_path)) == {
        "meta": {"not_finite": ["share"]}, "of": [1, 2], "at": 3, "share": None,
    }  # fmt: skip
    surrogate = {"said": "\ud800 ä"}
    assert load_json(store_json(surrogate, "s.json", tmp_path)) == surrogate


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_json({"old": 1}, "a.json", tmp_path)

    def full(handle: int, data: Any) -> int:
        written(handle, data[:3])
        raise OSError(28, "No space left on device")

    written = os.write
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        store_json({"new": 1}, "a.json", tmp_path)
    monkeypatch.undo()
    assert load_json(tmp_path / "a") == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]  # noqa: PTH208 - hidden files, too


def test_an_image_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "images").write_text("a file")
    assert store_image(b"x", str(tmp_path), "a.png") == ""
    assert "cannot be written" in caplog.text


def test_file_utils_of_all_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "a.template").write_text("x")
    (tmp_path / "g" / "w.csv").write_text("a,b\n")
    assert file_utils.file_path("a", "g") == str(tmp_path / "g" / "a")
    assert file_utils.file_path("a", "/abs") == "/abs/a"
    assert file_utils.load_template("a", "g") == "x"
    assert file_utils.load_csv("w.csv", "g") == [["a", "b"]]
    path = file_utils.store_file({"a": 1}, "a.json", "g", sub_dir="s")
    assert Path(path).read_text() == '{"a": 1}'
    assert file_utils.load_json("s/a", "g") == {"a": 1}
    with pytest.raises(FileExistsError):
        file_utils.store_file("", "a.json", "g", sub_dir="s", do_overwrite=False)
    assert file_utils.project_root() == str(tmp_path)
    assert (Path(file_utils.clemcore_root()) / "py.typed").exists()
    assert file_utils.game_results_dir("r", "p", "g") == str(tmp_path / "r" / "p" / "g")
    assert file_utils.results_root("/r/") == "/r"
    (tmp_path / "r/p/g").mkdir(parents=True)
    (tmp_path / "r/p/g/x.json").write_text("3")
    assert file_utils.load_results_json("x", "r", "p", "g") == 3


@pytest.mark.parametrize(("text", "value"), [("on", True), ("NO", False), ("3", 3), ("0.5", 0.5), ("x", "x")])
def test_query_strings_are_read_with_types(text: str, value: Any) -> None:
    assert string_utils.read_query_string(f"a={text}") == {"a": value}


def test_string_utils_of_all_releases() -> None:
    assert string_utils.read_query_string(None) is None
    assert string_utils.read_query_string("") == {}
    with pytest.raises(ValueError, match="'a' is not of the form key=value"):
        string_utils.read_query_string("a")
    with pytest.raises(ValueError, match="'maybe' is not a truth value"):
        string_utils.str_to_bool("maybe")


def test_a_level_of_logging_can_be_temporary() -> None:
    logger = get_logger("clemcore.test")
    before = logger.level

    @temporary_loglevel(logger, logging.ERROR)
    def level() -> int:
        return logger.level

    assert level() == logging.ERROR
    assert setup_logger("clemcore.test") is logger
    assert format_json({"a": Path("/b")}) == '{\n  "a": "/b"\n}'
    assert logger.level == before


def test_names_of_metrics_of_2_x() -> None:
    assert METRIC_REQUEST_SUCCESS == METRIC_REQUEST_SUCCESS_RATIO == "Request Success Ratio"
