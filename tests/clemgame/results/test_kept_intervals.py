"""Intervals of an earlier evaluation are used only where they are those that would be computed now."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from clemcore._core import Evaluation
from clemcore.clemgame.results.evaluation import INTERVALS, evaluate

FILES = ("raw.csv", "results.csv", "results.html", "results.json")


def write(results: Path, model: str, game: str, *, seed: int, epochs: int = 1, missing: int = 0) -> None:
    """Write episodes of two experiments; the last ones were not played to their end."""
    chance = random.Random(seed)
    for epoch in range(epochs):
        run = results / model / f"epoch_{epoch + 1:05d}" if epochs > 1 else results / model
        for experiment in ("easy", "hard"):
            for instance in range(6):
                folder = run / game / experiment / f"instance_{instance:05d}"
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "instance.json").write_text(f'{{"game_id": {instance}}}')
                if instance >= missing:
                    won = chance.random() < 0.6
                    scores = {"Aborted": 0, "Success": int(won), "Main Score": round(chance.uniform(0, 100), 3)}
                    (folder / "scores.json").write_text(json.dumps({"episode scores": scores}))


def results_of(folder: Path) -> dict[str, bytes]:
    """Evaluate, and return the files."""
    evaluate(folder)
    return {name: (folder / name).read_bytes() for name in FILES}


def afresh(folder: Path) -> dict[str, bytes]:
    """Evaluate without kept intervals; they are as before afterwards."""
    kept = (folder / INTERVALS).read_bytes()
    (folder / INTERVALS).unlink()
    found = results_of(folder)
    (folder / INTERVALS).write_bytes(kept)
    return found


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write(folder, "a", "taboo", seed=1)
    write(folder, "a", "wordle", seed=2, missing=1)
    write(folder, "b", "taboo", seed=3, epochs=2)
    write(folder, "b", "wordle", seed=4)
    return folder


def test_files_are_the_same_with_and_without_kept_intervals(results: Path) -> None:
    first = results_of(results)
    kept = (results / INTERVALS).read_bytes()
    assert results_of(results) == first == afresh(results)
    assert (results / INTERVALS).read_bytes() == kept
    assert Evaluation().remember(kept)


@pytest.mark.parametrize("change", ["scores", "new instance", "other model", "missing", "less", "renamed"])
def test_what_changed_is_computed_again(results: Path, change: str) -> None:
    before = results_of(results)
    scored = results / "a" / "taboo" / "hard" / "instance_00003"
    if change == "scores":
        (scored / "scores.json").write_text('{"episode scores": {"Aborted": 0, "Success": 1, "Main Score": 1.5}}')
    elif change == "new instance":
        (scored.parent / "instance_00009").mkdir()
        (scored / "scores.json").rename(scored.parent / "instance_00009" / "scores.json")
    elif change == "other model":
        write(results, "c", "taboo", seed=1)
    elif change == "missing":
        (scored / "scores.json").unlink()
    elif change == "less":
        (results / "b" / "wordle").rename(results.parent / "wordle")
    else:
        (results / "a" / "taboo").rename(results / "a" / "taboo2")
    after = results_of(results)
    assert after != before
    assert after == afresh(results)


def test_damaged_and_foreign_intervals_are_ignored(results: Path, tmp_path: Path) -> None:
    first = results_of(results)
    kept = (results / INTERVALS).read_bytes()
    write(tmp_path / "other", "a", "taboo", seed=9)
    write(tmp_path / "other", "b", "taboo", seed=9)
    evaluate(tmp_path / "other")
    forged = bytearray(kept)
    forged[len(forged) // 2] ^= 0x10
    foreign = (tmp_path / "other" / INTERVALS).read_bytes()
    for content in (b"", b"\0" * 100, kept[:-1], kept + b"x", bytes(forged), foreign, b"[]\n"):
        (results / INTERVALS).write_bytes(content)
        assert results_of(results) == first
        assert (results / INTERVALS).read_bytes() == kept
    assert not any(map(Evaluation().remember, (b"", kept[:-1], bytes(forged))))


def test_results_are_written_where_intervals_cannot_be_kept(results: Path) -> None:
    first = results_of(results)
    (results / INTERVALS).unlink()
    (results / INTERVALS).mkdir()
    assert results_of(results) == first
    assert not list(results.glob("*.new"))
