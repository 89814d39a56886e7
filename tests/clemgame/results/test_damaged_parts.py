"""Damage to a part of results is named, and everything else is evaluated, scored, transcribed and shown."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from support.clem import Clem
from support.shown_runs import Texts, write_run

pytestmark = pytest.mark.slow
SCORES = {"Aborted": 0, "Lose": 0, "Success": 1}


def runs(*names: str, count: int = 3) -> None:
    for name in names:
        shown = [Texts(instance=at, scores={**SCORES, "Main Score": 40.0 + at}) for at in range(count)]
        write_run(Path("results", name), shown)


def classic(clem: Clem, name: str) -> Path:
    """Write a run that has classic files only, and return the folder of its experiment."""
    runs(name)
    run = Path("results", name)
    clem.ok("export", str(run), "--to", "classic")
    (run / "store.sqlite3").unlink()
    [experiment] = {path.parent.parent for path in run.rglob("interactions.json")}
    return experiment


def _newer(store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "told"),
    [(lambda store: store.write_bytes(b"torn" * 999), "its beginning is damaged"), (_newer, "Install a newer")],
)
def test_a_store_that_cannot_be_read_does_not_stop_the_others(clem: Clem, damage: object, told: str) -> None:
    runs("good", "bad")
    damage(Path("results/bad/store.sqlite3"))  # type: ignore[operator]
    for command in (("eval", "--costs", "--parquet"), ("transcribe",), ("page",)):
        done = clem(*command)
        assert done.returncode == 1, done.stderr
        assert "bad" in done.stderr
        assert told in done.stderr
    models = json.loads(Path("results/results.json").read_text())["models"]
    assert list(models) == ["good"]
    assert models["good"]["clemscore"] == 41.0
    assert len(list(Path("results/good").rglob("transcript.html"))) == 3


@pytest.mark.parametrize("content", [b"torn" * 999, b""])
def test_models_that_can_be_read_are_compared(clem: Clem, content: bytes) -> None:
    runs("one", "two", "bad")
    Path("results/bad/store.sqlite3").write_bytes(content)
    for named in (("one", "two", "bad"), ("one", "two", "results/bad")):
        done = clem("compare", *named, "--across", "--json")
        assert done.returncode == 1, done.stderr
        assert "results/bad is not read completely" in done.stderr
        assert [each["name"] for each in json.loads(done.stdout)["models"]] == ["one", "two"]
    done = clem("compare", "one", "bad", "--across")
    assert done.returncode != 0
    assert "no instance in common" in done.stderr
    assert "results/bad is not read completely" in done.stderr


def test_an_empty_store_is_named(clem: Clem) -> None:
    runs("lost")
    clem.ok("export", "results/lost", "--to", "classic")
    shutil.copytree("results/lost", "results/kept")
    for path in Path("results/lost").rglob("instance_*"):
        shutil.rmtree(path)
    for name in ("lost", "kept"):
        Path("results", name, "store.sqlite3").write_bytes(b"")
    for command in (("eval", "--parquet"), ("transcribe",), ("page",), ("score",)):
        done = clem(*command)
        assert done.returncode != 0, (command, done.stderr)
        assert "lost/store.sqlite3 is empty" in done.stderr
    models = json.loads(Path("results/results.json").read_text())["models"]
    assert list(models) == ["kept"]
    assert len(list(Path("results/kept").rglob("transcript.html"))) == 3


def test_a_damaged_store_is_named_once(clem: Clem) -> None:
    runs("bad", count=9)
    store = Path("results/bad/store.sqlite3")
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE pieces SET body = x'ffffff'")
        connection.execute("UPDATE scores SET body = x'ffffff'")
        connection.execute("UPDATE finished SET body = x'ffffff'")
    connection.close()
    for command in (("eval", "--no-parquet"), ("transcribe",), ("page",)):
        done = clem(*command)
        assert done.returncode != 0, (command, done.stderr)
        assert done.stderr.count("store.sqlite3 is damaged") == 1, done.stderr


def test_notes_and_errors_of_a_store_that_are_not_json_are_damage(clem: Clem) -> None:
    runs("bad", "good")
    with sqlite3.connect("results/bad/store.sqlite3") as connection:
        connection.execute("UPDATE notes SET value = x'b8b8'")
        connection.execute("UPDATE episodes SET error = x'b8b8', facts = x'b8b8'")
    connection.close()
    for command in (("eval", "--no-parquet"), ("transcribe",), ("page",), ("score",)):
        done = clem(*command)
        assert done.returncode in (1, 2), (command, done.stderr)
        assert "unexpected" not in done.stderr
        assert "is damaged" in done.stderr


def test_the_page_is_not_written_into_a_file(clem: Clem) -> None:
    runs("good")
    Path("note").write_text("x")
    for place in ("note", "note/page"):
        done = clem("page", "-o", place)
        assert done.returncode == 2
        assert "note is a file, but the page is a folder" in done.stderr
    assert Path("note").read_text() == "x"


def test_names_that_are_not_utf_8_are_shown_as_escapes(clem: Clem) -> None:
    experiment = classic(clem, "run")
    try:
        experiment.rename(os.fsdecode(os.fsencode(experiment.parent / "sch") + b"\xf6n"))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    for command in (("eval",), ("page",), ("transcribe",)):
        clem.ok(*command)
    assert "run,sch\\xf6n,instance_00000,Main Score,40.0" in Path("results/raw.csv").read_text()
    assert clem("score").returncode == 1  # the game is not here, which is said
    assert "unexpected" not in clem("score").stderr


def test_what_is_not_a_file_is_not_read(clem: Clem) -> None:
    """Opening a pipe waits until somebody writes into it."""
    experiment = classic(clem, "run")
    scores = experiment / "instance_00001" / "scores.json"
    scores.unlink()
    os.mkfifo(scores)
    done = clem("eval")
    assert "1 episode has no scores (1 unscored)" in done.stderr


def test_two_spellings_of_an_instance_are_one_episode(clem: Clem) -> None:
    experiment = classic(clem, "run")
    shutil.copytree(experiment / "instance_00000", experiment / "instance_0")
    other = experiment / "instance_0" / "scores.json"
    other.write_text(other.read_text().replace("40.0", "90.0"))
    done = clem("eval")
    assert done.returncode == 1
    assert "contradicts" in done.stderr
    assert "3 episodes evaluated, 1 not" in done.stderr


def test_a_transcript_without_calls_is_one_that_is_written(clem: Clem) -> None:
    experiment = classic(clem, "run")
    (experiment / "instance_00000" / "interactions.json").write_text("{")
    for path in (experiment / "instance_00001").glob("*.requests.json"):
        path.write_text("[")
    done = clem("transcribe")
    assert done.returncode == 1
    assert "instance_00001: its calls are not shown" in done.stderr
    assert "2 episodes transcribed, 1 not" in done.stderr
