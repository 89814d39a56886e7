"""The Parquet files have a row for each episode and each call, the same in all layouts."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.results import parquet
from clemcore.clemgame.results.parquet import write_parquet
from support.echo_game import write_game

arrow = pytest.importorskip("pyarrow.parquet", reason="needs the extra results")
RUN = Path("results/mock")


@pytest.fixture(autouse=True)
def _played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_game(Path(), experiments=2)
    assert cli.main(["run", "-g", "echo", "-m", "mock"]) == 0


def _rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = arrow.read_table(Path("results") / name).to_pylist()
    return rows


def test_rows_say_what_the_records_say() -> None:
    assert cli.main(["score"]) == 0
    assert cli.main(["eval", "--parquet"]) == 0
    episodes, calls = _rows("episodes.parquet"), _rows("calls.parquet")
    known = list(read_episodes(RUN))
    assert [(row["run"], row["experiment"], row["game_id"], row["state"]) for row in episodes] == [
        ("mock", each.key.experiment, each.key.game_id, "played") for each in known
    ]
    first = episodes[0]
    assert first["models"] == ["mock"]
    assert json.loads(first["arguments"][0]) == {"temperature": 0.0, "max_tokens": 300}
    assert (first["is_scored"], first["main_score"], dict(first["metrics"])["Main Score"]) == (True, 40, 40)
    assert all(len(first[name]) == 64 for name in first if name.endswith("_sha256"))
    assert len(calls) == sum(len(each.calls()) for each in known)
    record = known[0].calls()[0].record
    assert calls[0]["record_sha256"] == hashlib.sha256(record).hexdigest()
    assert (calls[0]["player"], calls[0]["kind"]) == ("Player 1", "program")


def test_a_selection_replaces_its_rows_and_keeps_the_others() -> None:
    RUN.rename("results/other")
    assert cli.main(["run", "-g", "echo", "-m", "mock"]) == 0
    assert cli.main(["score"]) == 0
    assert cli.main(["eval", "-m", "mock"]) == 0  # there is nothing to keep: all episodes are read
    before = {name: _rows(name) for name in ("episodes.parquet", "calls.parquet")}
    assert {row["run"] for row in before["episodes.parquet"]} == {"mock", "other"}
    Path("results/other").rename("kept")
    assert cli.main(["eval", "-m", "mock", "-g", "echo"]) == 0
    for name, rows in before.items():
        of_other = [row for row in rows if row["run"] == "other"]
        assert _rows(name) == of_other + [row for row in rows if row["run"] == "mock"]
    Path("results/calls.parquet").write_bytes(b"torn")
    assert cli.main(["eval", "-m", "mock"]) == 0
    assert (
        {row["run"] for row in _rows("calls.parquet")}
        == {row["run"] for row in _rows("episodes.parquet")}
        == {"mock"}
    )


def test_a_store_and_its_files_give_the_same_rows() -> None:
    write_parquet(Path("results"))
    of_store = _rows("episodes.parquet"), _rows("calls.parquet")
    (RUN / "store.sqlite3").unlink()
    write_parquet(Path("results"))
    of_files = _rows("episodes.parquet"), _rows("calls.parquet")
    pairs = zip(of_store[0], of_files[0], strict=True)
    differing = {name for one, other in pairs for name in one if one[name] != other[name]}
    assert differing <= {"ended"}  # files have the local time
    assert of_store[1] == of_files[1]


def test_an_episode_that_cannot_be_read_is_named_and_the_rest_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["score"]) == 0
    (RUN / "store.sqlite3").unlink()
    path = RUN / "echo" / "words_1" / "instance_00002" / "interactions.json"
    path.write_bytes(path.read_bytes()[:50])
    assert cli.main(["eval", "--parquet"]) == 1
    assert f"{path.parent}: not in the Parquet files: {path} is not JSON" in capsys.readouterr().err
    assert len(_rows("episodes.parquet")) == 5


def test_batches_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_ROWS", 4)
    write_parquet(Path("results"))
    assert arrow.ParquetFile("results/episodes.parquet").num_row_groups == 2
    assert [path.name for path in Path("results").glob(".*")] == []


def test_without_pyarrow_the_files_are_left_out_or_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["score"]) == 0
    monkeypatch.setattr(parquet, "is_available", lambda: False)
    assert cli.main(["eval"]) == 0
    assert not Path("results/calls.parquet").exists()
    assert cli.main(["eval", "--parquet"]) == 2
    assert "pip install 'clemcore[results]'" in capsys.readouterr().err
