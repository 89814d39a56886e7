"""Files of several runs in one folder: every reader refuses them, and files of one run are read as one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame.layout.episodes import read_episodes, readable_episodes
from clemcore.clemgame.layout.exporting import export_classic
from clemcore.clemgame.results.score_files import find_outcomes
from clemcore.clemgame.runs.run import play
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.runs.watching import status_of
from clemcore.clemgame.store import RunReader
from clemcore.clemgame.store.merging import merge
from clemcore.clemgame.transcripts.builder import transcribe
from clemcore.errors import ClemcoreError, MixedRunError
from support.clem import Clem
from support.echo_game import write_game, write_instances

FOREIGN = "store-2-of-2.sqlite3"
FOLDER = Path("mine/mock")


def _play(results: str, *shards: str, **more: Any) -> None:
    for shard in shards:
        settings = {"games": ["echo"], "models": ["mock"], "layout": "store", **more}
        assert play(RunSettings(results_dir=results, shard=shard, **settings)).status == 0


def _mix() -> None:
    shutil.copy(Path("other/mock", FOREIGN), FOLDER)


@pytest.fixture(autouse=True)
def _game() -> None:
    write_game(Path(), instances=6)


READERS: dict[str, Callable[[], Any]] = {
    "status": lambda: status_of(FOLDER),
    "merge": lambda: merge(FOLDER),
    "score": lambda: cli.score("echo", "mine"),
    "eval": lambda: [*find_outcomes("mine")],
    "transcribe": lambda: transcribe(Path("mine")),
    "export": lambda: export_classic("mine"),
    "read": lambda: [*read_episodes("mine")],
    "run": lambda: _play("mine", "1/2"),
}


def test_every_reader_refuses_a_file_of_another_run(clem: Clem) -> None:
    _play("mine", "1/2", layout="classic")
    _play("other", "2/2", seed=7)
    _mix()
    for reader in READERS.values():
        with pytest.raises(ClemcoreError) as caught:
            reader()
        assert f"{FOLDER}: {FOREIGN} is not of the same run as run.json" in str(caught.value)
        assert f"seed: 7 in {FOREIGN}, 0 in run.json" in str(caught.value)
        assert f"Move {FOREIGN} to the run that it belongs to" in str(caught.value)
    [problem] = readable_episodes(FOLDER)  # a page shows no file of a run that may be another one
    assert isinstance(problem, str)
    assert f"seed: 7 in {FOREIGN}" in problem
    shutil.copytree("other/mock", "mine/other")
    shown = clem("status", "mine")  # the other run is shown
    assert (shown.returncode, shown.stdout.count("mine/other: ")) == (1, 1)
    (FOLDER / FOREIGN).unlink()
    _play("mine", "2/2")
    assert merge(FOLDER).episodes == 6
    _mix()  # the merged file knows what it was played with
    with pytest.raises(MixedRunError):
        RunReader(FOLDER)


def _other_word() -> None:
    text = Path("echo/in/instances.json")
    text.write_text(text.read_text().replace('"w0', '"other'))


def _other_code() -> None:
    master = Path("echo/master.py")
    master.write_text(master.read_text() + "\n# changed\n")


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (None, {"temperature": 0.5}, "model 1, generation argument temperature: 0.5 in store-2-of-2"),
        (_other_word, {}, "game 'echo', experiment 'words_0', instance "),
        (_other_code, {}, "game 'echo', code: SHA-256 "),
    ],
)
def test_what_differs_is_named(change: Callable[[], None] | None, more: dict[str, Any], message: str) -> None:
    _play("mine", "1/2")
    if change is not None:
        change()
    _play("other", "2/2", **more)
    _mix()
    with pytest.raises(MixedRunError) as caught:
        RunReader(FOLDER)
    assert message in str(caught.value)


def test_files_of_one_run_may_be_from_several_machines_and_times() -> None:
    write_instances(Path("echo"), instances=4)
    _play("mine", "1/2")
    _play("other", "2/2")  # the same command, elsewhere
    _mix()
    assert merge(FOLDER).episodes == 4


def test_accepted_changes_are_of_the_run() -> None:
    _play("mine", "1/2", "2/2")
    _play("old", "2/2")
    _play("other", "2/2", seed=7)
    write_instances(Path("echo"), instances=8)
    changed = {"accept_changes": True, "seed": 7}
    _play("mine", "1/2", **changed)
    assert len(RunReader(FOLDER).states()) == 8 - 1  # the other shard has not heard of its part yet
    _play("mine", "2/2", **changed)
    assert len(RunReader(FOLDER).states()) == 8
    shutil.copy(FOLDER / FOREIGN, "kept")
    shutil.copy(Path("old/mock", FOREIGN), FOLDER)
    RunReader(FOLDER)  # as it was before the change
    _mix()
    with pytest.raises(MixedRunError, match=r"seed: 7 in store-2-of-2\.sqlite3, 0, then 7 in run\.json"):
        RunReader(FOLDER)
    shutil.copy("kept", FOLDER / FOREIGN)
    assert merge(FOLDER).episodes == 8


def test_without_run_json_the_files_are_compared() -> None:
    _play("mine", "1/2")
    _play("other", "2/2", seed=7)
    _mix()
    (FOLDER / "run.json").unlink()
    with pytest.raises(MixedRunError, match="seed: 7 in store-2-of-2"):
        RunReader(FOLDER)
