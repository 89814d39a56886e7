"""Scores of the last evaluation are used only where the files are as they were: tables are those of a full one."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clemcore import cli
from clemcore.clemgame.layout import file_state
from clemcore.clemgame.results import known_scores
from clemcore.clemgame.results.evaluation import INTERVALS, Evaluated, evaluate
from clemcore.clemgame.results.known_scores import NAME
from clemcore.clemgame.results.score_files import EpisodeScores

FILES = ("raw.csv", "results.csv", "results.html", "results.json")
# Longer than a tick of the clock of files, and short enough to be waited for.
TICK = 0.05


@pytest.fixture(autouse=True)
def short_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_state, "_TICK", int(TICK * 1e9))


def write(folder: Path, score: float | str, *, aborted: int = 0, name: str = "scores.json") -> Path:
    """Write the scores of an episode."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instance.json").write_text('{"game_id": 1}')
    scores = {"Aborted": aborted, "Main Score": score, "Note": 'a, "b"', "Is fair": True}
    (folder / name).write_text(json.dumps({"episode scores": scores}))
    return folder / name


@pytest.fixture
def results(tmp_path: Path) -> Path:
    chance = random.Random(1)
    for model in ("a", "b--c"):
        for game, experiments in (("taboo", ("easy", "hard")), ("wordle", ("only",))):
            for experiment in experiments:
                for number in range(4):
                    folder = tmp_path / "results" / model / game / experiment / f"instance_{number:05d}"
                    write(folder, round(chance.uniform(10, 99), 1), aborted=int(number == 3))
    (tmp_path / "results" / "a" / "taboo" / "easy" / "instance_00009").mkdir()
    (tmp_path / "results" / "a" / "taboo" / "easy" / "instance_00009" / "instance.json").write_text("{}")
    time.sleep(2 * TICK)
    return tmp_path / "results"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read."""
    found: list[str] = []
    read = EpisodeScores.read

    def noted(self: EpisodeScores) -> bytes:
        found.append(self.path)
        return read(self)

    monkeypatch.setattr(EpisodeScores, "read", noted)
    return found


def written(results: Path, done: Evaluated) -> dict[str, bytes]:
    assert not done.problems
    return {name: (results / name).read_bytes() for name in FILES}


def in_full(results: Path) -> dict[str, bytes]:
    """Evaluate all files; what is kept stays as it is."""
    kept = {name: (results / name).read_bytes() for name in (NAME, INTERVALS)}
    found = written(results, evaluate(results, force=True))
    for name, content in kept.items():
        (results / name).write_bytes(content)
    return found


def test_files_that_are_as_they_were_are_not_read(results: Path, reads: list[str]) -> None:
    first = written(results, evaluate(results))
    assert len(reads) == 24
    kept = (results / NAME).read_bytes()
    reads.clear()
    assert written(results, evaluate(results)) == first
    assert not reads
    assert (results / NAME).read_bytes() == kept
    assert written(results, evaluate(results, force=True)) == first
    assert len(reads) == 24


def test_a_file_that_has_just_changed_is_read_again(results: Path, reads: list[str]) -> None:
    # In the future, as the clock of another machine may have it, is no better.
    late = write(results / "a" / "taboo" / "hard" / "instance_00001", 50.5)
    os.utime(late, (time.time() + 1000, time.time() + 1000))
    evaluate(results)
    reads.clear()
    evaluate(results)
    assert reads == [str(late)]


def test_one_changed_file_is_the_only_one_that_is_read(results: Path, reads: list[str]) -> None:
    evaluate(results)
    reads.clear()
    changed = write(results / "a" / "taboo" / "hard" / "instance_00001", 50.5)
    found = written(results, evaluate(results))
    assert reads == [str(changed)]
    assert found == in_full(results)


def test_a_file_of_the_same_size_and_date_is_read(results: Path) -> None:
    path = write(results / "a" / "taboo" / "hard" / "instance_00001", 50.5)
    before = path.stat()
    time.sleep(2 * TICK)
    evaluate(results)
    write(path.parent, 90.5)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    found = written(results, evaluate(results))
    assert found == in_full(results)
    assert b",90.5\n" in found["raw.csv"]


CHANGES: dict[str, Callable[[Path, random.Random], None]] = {}


def change(function: Callable[[Path, random.Random], None]) -> Callable[[Path, random.Random], None]:
    CHANGES[function.__name__] = function
    return function


def one(results: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(results.rglob("scores.json")))


@change
def other_score(results: Path, chance: random.Random) -> None:
    write(one(results, chance).parent, round(chance.uniform(10, 99), 1))


@change
def replaced(results: Path, chance: random.Random) -> None:
    path = one(results, chance)
    write(path.parent, round(chance.uniform(10, 99), 1), name="new.json").replace(path)


def swap(first: Path, second: Path) -> None:
    if first != second:
        first.rename(first.with_name("x"))
        second.rename(first)
        first.with_name("x").rename(second)


@change
def two_swapped(results: Path, chance: random.Random) -> None:
    swap(one(results, chance), one(results, chance))


@change
def folders_swapped(results: Path, chance: random.Random) -> None:
    swap(one(results, chance).parents[1], one(results, chance).parents[1])


@change
def not_scored(results: Path, chance: random.Random) -> None:
    one(results, chance).unlink()


@change
def removed(results: Path, chance: random.Random) -> None:
    shutil.rmtree(one(results, chance).parent)


@change
def added(results: Path, chance: random.Random) -> None:
    write(one(results, chance).parent.with_name(f"instance_{chance.randrange(100, 999):05d}"), 33.5)


@change
def epoch(results: Path, chance: random.Random) -> None:
    run = results / "d"
    for number in (1, 2):
        write(run / f"epoch_{number:05d}" / "taboo" / "easy" / "instance_00001", chance.choice([1.5, 99.0]))


@change
def renamed(results: Path, chance: random.Random) -> None:
    run = chance.choice(sorted({path.relative_to(results).parts[0] for path in results.rglob("scores.json")}))
    (results / run).rename(results / f"{run}{chance.randrange(10)}")


@change
def percent(results: Path, chance: random.Random) -> None:
    folder = one(results, chance).parents[1]
    folder.rename(folder.with_name(f"{folder.name}%2F"))


@change
def not_a_text(results: Path, chance: random.Random) -> None:
    folder = one(results, chance).parents[2]
    folder.rename(folder.with_name(f"{folder.name}{os.fsdecode(bytes([255 - chance.randrange(8)]))}"))


@change
def linked(results: Path, chance: random.Random) -> None:
    target = write(results.parent / "elsewhere" / f"instance_{chance.randrange(100):05d}", 12.5).parent
    (one(results, chance).parents[1] / f"instance_{chance.randrange(1000, 2000):05d}").symlink_to(target)


@change
def not_scored_yet(results: Path, chance: random.Random) -> None:
    folder = one(results, chance).parent.with_name(f"instance_{chance.randrange(1000, 9999):05d}")
    folder.mkdir()
    (folder / "instance.json").write_text('{"game_id": 1}')
    if chance.random() < 0.5:
        (folder / "error.json").write_text('{"error": "ValueError"}')


@change
def other_folder(results: Path, chance: random.Random) -> None:
    (one(results, chance).parents[1] / chance.choice([".hidden", "notes", "instance_x"])).mkdir(exist_ok=True)


@change
def other_file(results: Path, chance: random.Random) -> None:
    (one(results, chance).parents[1] / "experiment.json").write_text("{}")


@change
def experiment_became_an_episode(results: Path, chance: random.Random) -> None:
    write(one(results, chance).parents[1], 77.5)


@change
def episode_became_a_link(results: Path, chance: random.Random) -> None:
    replace_by_link(one(results, chance).parent, results, chance)


@change
def experiment_became_a_link(results: Path, chance: random.Random) -> None:
    replace_by_link(one(results, chance).parents[1], results, chance)


def replace_by_link(folder: Path, results: Path, chance: random.Random) -> None:
    """Move a folder out of the results, and put a link to it in its place."""
    target = results.parent / f"moved{chance.randrange(10**6)}"
    if not folder.is_symlink():
        folder.rename(target)
        folder.symlink_to(target)


@change
def folder_became_a_file(results: Path, chance: random.Random) -> None:
    folder = one(results, chance).parent
    if not folder.is_symlink():
        shutil.rmtree(folder)
        folder.write_text("")


@change
def torn_ledger(results: Path, chance: random.Random) -> None:
    kept = (results / NAME).read_bytes() if (results / NAME).exists() else b"x"
    (results / NAME).write_bytes(kept[: chance.randrange(len(kept))])


@change
def damaged_ledger(results: Path, chance: random.Random) -> None:
    kept = bytearray((results / NAME).read_bytes() if (results / NAME).exists() else b"x")
    kept = kept or bytearray(b"x")  # another change may have cut it
    kept[chance.randrange(len(kept))] ^= 1 << chance.randrange(8)
    (results / NAME).write_bytes(kept)


@change
def no_ledger(results: Path, chance: random.Random) -> None:
    (results / NAME).unlink(missing_ok=True)


@pytest.mark.parametrize("share", [known_scores._SHARE, 3])  # with 3, changes of a few are not kept
@pytest.mark.parametrize("seed", range(3))
def test_tables_are_those_of_a_full_evaluation_whatever_changes(
    results: Path, seed: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_scores, "_SHARE", share)
    chance = random.Random(seed)
    evaluate(results)
    for _ in range(7):
        for name in chance.sample(sorted(CHANGES), chance.randrange(1, 3)):
            CHANGES[name](results, chance)
        if chance.random() < 0.5:
            time.sleep(2 * TICK)
        found = written(results, evaluate(results))
        assert found == in_full(results)
        assert not list(results.glob("*.new"))


def test_an_episode_that_is_there_twice_is_named_every_time(results: Path) -> None:
    evaluate(results)
    # One folder is known, the other one is new; then both are. The first one that is found counts.
    repeated = shutil.copytree(results / "a" / "taboo" / "hard", results / "z" / "a" / "taboo" / "hard")
    time.sleep(2 * TICK)
    for _ in range(2):
        found = evaluate(results)
        assert len(found.problems) == 4
        assert found.episodes == 24
        assert all("repeats" in each.text for each in found.problems)
        assert found.problems == evaluate(results, force=True).problems
    write(repeated.parents[2] / "b--c" / "taboo" / "easy" / "instance_2", 1.5)
    found = evaluate(results)
    assert [each.text.split()[0] for each in found.problems].count("contradicts") == 1
    assert found.problems == evaluate(results, force=True).problems


def test_a_few_changes_are_read_again_each_time_instead_of_writing_all(
    results: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(results)
    monkeypatch.setattr(known_scores, "_SHARE", 10)
    kept = (results / NAME).read_bytes()
    experiment = results / "a" / "taboo" / "hard"
    changed = {str(write(experiment / f"instance_{number:05d}", 50.5)) for number in (1, 2)}
    time.sleep(2 * TICK)
    for _ in range(2):
        reads.clear()
        evaluate(results)
        assert set(reads) == changed
        assert (results / NAME).read_bytes() == kept
    changed.add(str(write(experiment / "instance_00003", 50.5)))
    time.sleep(2 * TICK)
    for wanted in (changed, set()):
        reads.clear()
        evaluate(results)
        assert set(reads) == wanted


def test_a_ledger_of_another_version_or_place_is_not_used(results: Path, reads: list[str]) -> None:
    evaluate(results)
    kept = (results / NAME).read_bytes()
    (results / NAME).write_bytes(kept.replace(b"clemcore scores 2", b"clemcore scores 1"))
    reads.clear()
    evaluate(results)
    assert len(reads) == 24
    moved = results.rename(results.with_name("moved"))
    reads.clear()
    evaluate(moved)
    assert len(reads) == 24


def test_a_run_that_is_evaluated_alone_keeps_its_own(results: Path, reads: list[str]) -> None:
    evaluate(results)
    reads.clear()
    evaluate(results / "a")
    assert len(reads) == 12
    reads.clear()
    evaluate(results / "a")
    evaluate(results)
    assert not reads


def test_a_selection_uses_what_is_known_and_keeps_the_rest(results: Path, reads: list[str]) -> None:
    evaluate(results)
    changed = write(results / "a" / "taboo" / "hard" / "instance_00001", 50.5)
    reads.clear()
    evaluate(results, model="b")
    evaluate(results, game="wordle")
    assert not reads
    evaluate(results, model="a")
    assert reads == [str(changed)]
    assert b",50.5\n" in (results / "raw.csv").read_bytes()
    assert written(results, evaluate(results)) == in_full(results)


def test_what_does_not_count_is_named_every_time(results: Path, reads: list[str]) -> None:
    bad = results / "a" / "taboo" / "hard" / "instance_00001" / "scores.json"
    bad.write_text('{"episode scores": {"Main Score": "won"}}')
    time.sleep(2 * TICK)
    first, second = evaluate(results), evaluate(results)
    assert [each.place for each in first.problems] == [each.place for each in second.problems] == [bad]
    reads.clear()
    evaluate(results)
    assert reads == [str(bad)]


def test_a_ledger_that_cannot_be_written_does_no_harm(results: Path) -> None:
    (results / NAME).mkdir()
    assert evaluate(results).episodes == evaluate(results).episodes == 24


def test_force_reads_all_files(results: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results.parent)
    for arguments, count in ((["eval"], 24), (["eval"], 0), (["eval", "--force"], 24)):
        reads.clear()
        assert cli.main([*arguments, "--no-parquet"]) == 0
        assert len(reads) == count
