"""Damaged stores and files: what can be read counts, and what cannot is named."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from clemcore import cli
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.errors import StoreError
from support.echo_game import write_game

RUN = Path("results/mock")
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _play(instances: int, *flags: str) -> dict[str, object]:
    write_game(Path(), instances=instances)
    assert cli.main(["run", "-g", "echo", "-m", "mock", *flags]) == 0
    return {str(each.key): each.interactions for each in read_episodes(RUN)}


def _readable() -> tuple[dict[str, object], list[str]]:
    found: dict[str, object] = {}
    faults = []
    for episode in read_episodes(RUN):
        try:
            found[str(episode.key)] = episode.interactions
        except StoreError as fault:
            faults.append(str(fault))
    return found, faults


@pytest.mark.parametrize("share", [0.9, 0.6, 0.4])
def test_a_truncated_store_gives_what_is_left(share: float, caplog: pytest.LogCaptureFixture) -> None:
    whole = _play(300, "--layout", "store")
    store = RUN / "store.sqlite3"
    data = store.read_bytes()
    store.write_bytes(data[: int(len(data) * share) // 2048 * 2048])
    with caplog.at_level(logging.WARNING):
        found, faults = _readable()
    assert len(found) + len(faults) > 0
    assert all(whole[key] == value for key, value in found.items())
    assert all(str(store) in fault for fault in faults)
    assert faults or any(str(store) in record.getMessage() for record in caplog.records)


def test_a_damaged_page_of_episodes_costs_its_episodes_only(capsys: pytest.CaptureFixture[str]) -> None:
    _play(300, "--layout", "store")
    store = RUN / "store.sqlite3"
    connection = sqlite3.connect(store)
    pages = "SELECT pageno FROM dbstat WHERE name = 'episodes' AND pagetype = 'leaf' ORDER BY pageno"
    page = connection.execute(f"{pages} LIMIT 1 OFFSET 3").fetchone()[0] if _has_dbstat(connection) else None
    connection.close()
    if page is None:
        pytest.skip("this SQLite has no dbstat")
    data = bytearray(store.read_bytes())
    data[(page - 1) * 2048 : page * 2048] = b"\xff" * 2048
    store.write_bytes(data)
    found, _ = _readable()
    assert 200 < len(found) < 300
    assert cli.main(["score"]) == 1
    told = capsys.readouterr().err
    assert f"{len(found)} episodes scored" in told
    assert f"{300 - len(found)} of its episodes cannot be" in told


def _damage_page(store: Path, table: str, at: int = 0) -> None:
    connection = sqlite3.connect(store)
    if not _has_dbstat(connection):
        pytest.skip("this SQLite has no dbstat")
    pages = connection.execute("SELECT pageno FROM dbstat WHERE name = ? ORDER BY pageno", (table,)).fetchall()
    connection.close()
    data = bytearray(store.read_bytes())
    page = pages[at][0]
    data[(page - 1) * 2048 : page * 2048] = b"\xff" * 2048
    store.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (
            lambda store: _damage_page(store, "finished", 1),
            r"records of \d+ episodes were scored from their classic",
        ),
        (
            lambda store: _damage_page(store, "pieces"),
            "records of 12 episodes were scored from their classic files",
        ),
        (lambda store: _damage_page(store, "scores"), "scores of the run are in its files only"),
        (lambda store: _damage_page(store, "sqlite_autoindex_episodes_1"), "records of 12 episodes were scored"),
        (lambda store: store.write_bytes(store.read_bytes()[:20000]), "records of 12 episodes were scored"),
    ],
    ids=["bodies", "pieces", "scores", "index", "cut"],
)
def test_episodes_that_a_damaged_store_does_not_give_are_scored_from_their_files(
    damage: Callable[[Path], None], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _play(12)
    damage(RUN / "store.sqlite3")
    capsys.readouterr()
    assert cli.main(["score"]) == 1
    problem, summary = capsys.readouterr().err.splitlines()
    assert summary == "echo: 12 episodes scored"
    assert problem.startswith(f"clem: {RUN}: {RUN / 'store.sqlite3'} is ")
    assert re.search(wanted, problem)
    assert len(list(RUN.rglob("scores.json"))) == 12


def test_episodes_that_are_lost_in_the_list_of_a_store_are_scored_from_their_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _play(300)
    _damage_page(RUN / "store.sqlite3", "episodes", 3)
    capsys.readouterr()
    assert cli.main(["score"]) == 1
    problem, summary = capsys.readouterr().err.splitlines()
    assert summary == "echo: 300 episodes scored"
    assert re.search(r"\d+ of its episodes cannot be\. The classic files of the others are scored", problem)


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_a_record_that_is_not_json_names_the_store(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    _play(3, "--layout", layout)
    store = RUN / "store.sqlite3"
    connection = sqlite3.connect(store)
    row = connection.execute("SELECT min(episode) FROM finished").fetchone()
    connection.execute("UPDATE finished SET interactions = 1, body = ? WHERE episode = ?", (b"\x00{", *row))
    connection.commit()
    connection.close()
    capsys.readouterr()
    assert cli.main(["score"]) == 1
    problem, summary = capsys.readouterr().err.splitlines()
    what = "the record of echo/words_0/0/1 cannot be read as JSON"
    assert f"{store} is damaged: {what}" in problem
    is_scored = layout == "classic"
    assert summary == ("echo: 3 episodes scored" if is_scored else "echo: 2 episodes scored, 1 not")
    _, (fault,) = _readable()
    assert what in fault


def _has_dbstat(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1 FROM dbstat LIMIT 1").fetchone()
    except sqlite3.Error:
        return False
    return True


def test_a_run_that_cannot_be_read_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    _play(2)
    other = Path("results/newer")
    other.mkdir()
    connection = sqlite3.connect(other / "store.sqlite3")
    connection.executescript("PRAGMA application_id = 1668051566; PRAGMA user_version = 99; CREATE TABLE t (a);")
    connection.close()
    assert cli.main(["score"]) == 1
    told = capsys.readouterr().err
    assert "has the format 99" in told
    assert "echo: 2 episodes scored" in told


@pytest.mark.parametrize("content", [b"", b"not a database " * 1000], ids=["empty", "text"])
def test_files_beside_a_store_that_cannot_be_read_are_scored(
    content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    _play(2)
    (RUN / "store.sqlite3").write_bytes(content)
    for wanted in ("echo: 2 episodes scored", "echo: 0 episodes scored, 2 were up to date"):
        capsys.readouterr()
        assert cli.main(["score"]) == 1
        told = capsys.readouterr().err
        assert wanted in told
        assert f"{RUN / 'store.sqlite3'} is " in told
        assert "Its classic files are scored instead" in told
    assert len(list(RUN.rglob("scores.json"))) == 2
    assert (RUN / "store.sqlite3").read_bytes() == content


@pytest.mark.parametrize("content", ["", "{", "[]", '{"outcome": "limit", "error": NaN}'])
def test_a_damaged_error_file_leaves_the_episode_and_the_rest(content: str) -> None:
    _play(3)
    (RUN / "store.sqlite3").unlink()
    folder = RUN / "echo" / "words_0" / "instance_00001"
    (folder / "error.json").write_text(content)
    states = [(each.key.game_id, each.state) for each in read_episodes(RUN)]
    assert states == [(0, "played"), (1, "limit" if "limit" in content else "error"), (2, "played")]


def test_names_come_from_the_folders_if_the_file_is_torn() -> None:
    _play(2)
    (RUN / "store.sqlite3").unlink()
    folder = RUN / "echo" / "words_0" / "instance_00001"
    moved = folder.with_name("episode_1")
    folder.rename(moved)
    (moved / "interactions.json").write_text('{"meta": ')
    (moved / "instance.json").write_text("")
    assert [str(each.key) for each in read_episodes(RUN)] == ["echo/words_0/1/1", "echo/words_0/0/1"]
    found, faults = _readable()
    assert (len(found), len(faults)) == (1, 1)
    assert str(moved / "interactions.json") in faults[0]


def _empty_run() -> None:
    RUN.mkdir(parents=True)
    (RUN / "run.json").write_text(json.dumps({"player_models": {}}))


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda: Path("results").mkdir(), "holds no episodes"),
        (lambda: None, "there is no such folder"),
        (_empty_run, "holds no completed episode"),
    ],
)
def test_folders_that_are_not_runs(prepare: object, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    prepare()  # type: ignore[operator]
    assert cli.main(["score"]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{}", '{"meta": {}, "turns": []}', '{"players": {}, "turns": null}'])
def test_interactions_without_their_parts_are_named(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    _play(2)
    (RUN / "store.sqlite3").unlink()
    place = next(RUN.rglob("interactions.json"))
    place.write_text(content)
    capsys.readouterr()
    for command in (["score"], ["transcribe"], ["export", "results", "--to", "sft", "-o", "data"]):
        assert cli.main(command) != 0
        assert f"{place} is not the record of an episode: it has no '" in capsys.readouterr().err
