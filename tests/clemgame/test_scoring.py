"""Scores are computed again where something changed, on several processes, and errors stay with their episodes."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.registry import GameRegistry
from clemcore.clemgame.results.score_files import find_outcomes
from clemcore.clemgame.scoring import Processes, Scored, find, processes, scheduler, score
from clemcore.clemgame.store import RunStore
from support.echo_game import write_game

RUN = Path("results/mock")


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def game() -> Path:
    return write_game(Path(), instances=4)


def _play(*flags: str) -> None:
    assert cli.main(["run", "-g", "all", "-m", "mock", *flags]) == 0


def _score(game: str = "echo", processes: int | None = None, **options: Any) -> Scored:
    specs = GameRegistry.from_directories_and_cwd_files().get_game_specs_that_unify_with(game, verbose=False)
    with Processes(processes) as own:
        found = find(Path("results"), on_pending=own.expect)
        (result,) = score(found, specs, processes=own, **options)
    return result


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    os.utime(path, (1, 1))


def _main_scores() -> list[Any]:
    return [each.scores and each.scores["episode scores"]["Main Score"] for each in read_episodes(RUN)]


# -- what is scored again --------------------------------------------------------------------
def test_only_episodes_whose_records_changed_are_scored_again(game: Path) -> None:
    _play()
    shutil.rmtree(RUN / "echo" / "words_0" / "instance_00003")
    (RUN / "store.sqlite3").unlink()
    assert (_score().count, _score().count) == (3, 0)
    folder = RUN / "echo" / "words_0" / "instance_00001"
    _change(folder / "interactions.json", '"said": 4', '"said": 5')
    result = _score()
    assert (result.count, result.current) == (1, 2)
    assert _main_scores() == [40, 50, 40]


def test_records_that_were_replaced_by_some_of_the_same_size_and_date_are_scored_again(
    game: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _play()
    (RUN / "store.sqlite3").unlink()
    _score()
    monkeypatch.setattr("clemcore.clemgame.layout.file_state._TICK", 0)
    assert _score().count == 0  # now all files look settled
    time.sleep(0.05)  # longer than a tick of the clock of files
    path = RUN / "echo" / "words_0" / "instance_00001" / "interactions.json"
    before = path.stat()
    path.write_text(path.read_text("utf-8").replace('"said": 4', '"said": 5'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _score().count == 1


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_all_are_scored_again_when_the_code_changed_or_with_force(game: Path, layout: str) -> None:
    _play("--layout", layout)
    assert [_score().count, _score().count, _score(force=True).count] == [4, 0, 4]
    _change(game / "master.py", "10 * interactions", "9 * interactions")
    assert (_score().count, _score().current) == (4, 4)
    assert _main_scores() == [36] * 4


def test_scores_that_another_program_wrote_or_removed_are_computed_again(game: Path) -> None:
    _play()
    _score()
    first, second, *_ = sorted(RUN.rglob("scores.json"))
    first.unlink()
    second.write_text("{}")
    assert _score().count == 2
    assert _main_scores() == [40] * 4


def test_a_copy_of_results_is_up_to_date(game: Path) -> None:
    _play()
    _score()
    for path in RUN.rglob("*.json"):
        os.utime(path, (5, 5))
    assert _score().current == 4


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"version": 1}', '{"version": 2}', '{"version": 2, "makings": [[1]], "episodes": {}}'],
)
def test_a_damaged_ledger_only_costs_time(game: Path, content: str) -> None:
    _play()
    _score()
    (RUN / ".scored.json").write_text(content)
    assert _score().count == 4


@pytest.mark.parametrize("seed", range(3))
def test_a_ledger_that_is_cut_or_changed_only_costs_time(game: Path, seed: int) -> None:
    _play()
    _score()
    path, chance = RUN / ".scored.json", random.Random(seed)
    kept = path.read_bytes()
    path.write_bytes(kept[: chance.randrange(len(kept) - 1)])
    assert _score().count == 4
    damaged = bytearray(kept)
    damaged[chance.randrange(len(kept) - 1)] ^= 1 << chance.randrange(8)
    path.write_bytes(damaged)
    assert _score().count == 4
    assert _score().current == 4


def test_processes_that_were_started_too_early_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "FEWEST", 1)
    with Processes(2) as own:
        own.expect(1)
        own.expect(5)
        first, second = own.take(), own.take()
        own.expect(5)
        first.end()
        second.end()
        third = own.take()  # more than were expected
        third.end()
        own._waiting.append(own._start())
        waiting = own._waiting[0]
    assert [each.popen.returncode for each in (first, second, third, waiting)] == [0] * 4
    assert not first.noise.exists()


def test_an_episode_that_was_played_again_is_scored_again(game: Path) -> None:
    _play()
    _score()
    _play("--fresh")
    assert _score().count == 4


def test_scores_are_in_the_store_as_well(game: Path) -> None:
    _play()
    _score()
    for path in RUN.rglob("scores.json"):
        path.unlink()
    assert _main_scores() == [40] * 4


def test_a_run_that_goes_on_gets_its_scores_in_files_and_later_in_its_store(game: Path) -> None:
    _play()
    with RunStore.open(RUN):
        assert _score().count == 4
    assert _score().count == 4
    assert _score().count == 0


def test_selections_of_experiments_and_models(game: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_game(Path(), experiments=3)
    _play()
    assert cli.main(["score", "-e", "words_1"]) == 0
    assert [path.parent.parent.name for path in RUN.rglob("scores.json")] == ["words_1"] * 3
    assert cli.main(["score", "-e", "words_7", "-m", "moc"]) == 2
    assert "no completed episode that passes -m moc -e words_7" in capsys.readouterr().err
    assert cli.main(["score", "-e", "words_7", "-e", "words_0"]) == 2
    assert "no completed episode that passes -e words_7" in capsys.readouterr().err
    assert cli.main(["score", "-e", "words_1", "-e", "words_0"]) == 0
    assert "echo: 3 episodes scored, 3 were up to date" in capsys.readouterr().err
    assert cli.main(["score", "-m", "neither", "-m", "mock", "-g", "echo", "-g", "echo"]) == 0
    assert "echo: 3 episodes scored, 6 were up to date" in capsys.readouterr().err
    assert cli.main(["score", "-g", "echo", "-g", "gone"]) == 2
    assert "there is no game 'gone'" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["store", "files"])
def test_experiments_whose_names_are_no_folder_names_are_played_scored_and_evaluated(
    game: Path, layout: str
) -> None:
    names = ["a/b", "a", "..", "a%2Fb"]
    path = game / "in" / "instances.json"
    (experiment,) = json.loads(path.read_text())["experiments"]
    path.write_text(json.dumps({"experiments": [{**experiment, "name": name} for name in names]}))
    _play()
    if layout == "files":
        (RUN / "store.sqlite3").unlink()
    assert _score().count == 16
    assert cli.main(["eval"]) == 0
    with Path("results/raw.csv").open(newline="") as file:
        found = {(row["experiment"], row["episode"]) for row in csv.DictReader(file)}
    assert found == {(name, f"instance_{number:05d}") for name in names for number in range(4)}


# -- processes --------------------------------------------------------------------
def test_two_processes_give_the_scores_of_one(game: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_game(Path(), instances=7)
    monkeypatch.setattr(scheduler, "FEWEST", 1)
    monkeypatch.setattr(processes, "FEWEST", 1)
    _play()
    before = _score(processes=1), {path: path.read_bytes() for path in RUN.rglob("scores.json")}
    after = _score(processes=2, force=True), {path: path.read_bytes() for path in RUN.rglob("scores.json")}
    assert before == after
    assert before[0].count == len(before[1]) == 7


_APPENDS = """
    def compute_episode_scores(self, interactions):
        with open("notes.txt", "a") as file:
            file.write("one line\\n")
        super().compute_episode_scores(interactions)
"""


def _with_scorer(game: Path, body: str) -> None:
    text = (game / "master.py").read_text()
    text = text.replace("class EchoBenchmark", f"class OwnScorer(EchoScorer):\n{body}\n\n\nclass EchoBenchmark")
    (game / "master.py").write_text(text.replace("return EchoScorer(", "return OwnScorer("))


def test_a_scorer_that_writes_into_the_working_folder_is_alone(game: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "FEWEST", 1)
    monkeypatch.setattr(processes, "FEWEST", 1)
    _play()
    _with_scorer(game, _APPENDS)
    result = _score(processes=2)
    assert (result.count, result.failed) == (4, [])
    line = next(
        at for at, text in enumerate((game / "master.py").read_text().splitlines(), 1) if "notes.txt" in text
    )
    assert result.writes == f"{(game / 'master.py').absolute()}:{line} writes {Path('notes.txt').absolute()}"
    assert Path("notes.txt").read_text().count("\n") == 4


_CATCHES = """
    def compute_episode_scores(self, interactions):
        import os
        try:
            os.makedirs("tmp")
        except BaseException:
            pass
        self.log_episode_score(BENCH_SCORE, len(os.listdir("tmp")))
        os.rmdir("tmp")
"""


def test_code_that_catches_everything_cannot_write_beside_another_process(
    game: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "FEWEST", 1)
    monkeypatch.setattr(processes, "FEWEST", 1)
    _play()
    _with_scorer(game, _CATCHES)
    result = _score(processes=2)
    assert "writes" in result.writes
    assert _main_scores() == [0] * 4


_LINKS = """
    def store_scores(self, folder):
        super().store_scores(folder)
        os.symlink(os.path.abspath("shared.txt"), os.path.join(folder, "own.txt"))
        with open(os.path.join(folder, "own.txt"), "a") as file:
            file.write("x")
"""


def test_a_link_from_the_folder_of_an_episode_is_followed(game: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "FEWEST", 1)
    monkeypatch.setattr(processes, "FEWEST", 1)
    _play()
    _with_scorer(game, _LINKS)
    _change(game / "master.py", "import random", "import os\nimport random")
    assert _score(processes=2).writes.endswith(f"writes {Path('shared.txt').absolute()}")


# -- what scorers leave and what goes wrong --------------------------------------------------------------------
_LEAVES = """
    def store_scores(self, folder):
        super().store_scores(folder)
        os.makedirs(os.path.join(folder, "plots"))
        with open(os.path.join(folder, "plots", "path.txt"), "w") as file:
            file.write("a plot")
"""


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_other_files_of_a_scorer_are_kept(game: Path, layout: str) -> None:
    _play("--layout", layout)
    _with_scorer(game, _LEAVES)
    _change(game / "master.py", "import random", "import os\nimport random")
    result = _score()
    assert (result.count, result.failed, result.writes) == (4, [], "")
    assert [path.read_text() for path in RUN.rglob("plots/path.txt")] == ["a plot"] * 4


_FAILS = """
    def compute_episode_scores(self, interactions):
        if self.game_instance["game_id"] == 2:
            raise KeyError("nothing here")
        super().compute_episode_scores(interactions)
"""


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_an_error_of_a_scorer_stays_with_its_episode(game: Path, layout: str) -> None:
    _play("--layout", layout)
    _score()
    _with_scorer(game, _FAILS)
    result = _score()
    assert result.count == 3
    ((place, text),) = result.failed
    assert place.endswith("instance_00002")
    assert "KeyError: 'nothing here'" in text
    assert "master.py:" in text
    kept = json.loads((Path(place) / "scores.error.json").read_bytes())
    assert (kept["error"], kept["message"]) == ("KeyError", "'nothing here'")
    assert "raise KeyError" in kept["traceback"]
    assert _main_scores() == [40, 40, None, 40]
    _change(game / "master.py", "== 2", "== 22")
    assert _score().failed == []
    assert not (Path(place) / "scores.error.json").exists()
    assert (RUN / "echo").exists() == (layout == "classic")


def test_a_scorer_that_exits_fails_one_episode(game: Path) -> None:
    _play()
    _with_scorer(game, _FAILS.replace('raise KeyError("nothing here")', "raise SystemExit(4)"))
    result = _score()
    assert (result.count, len(result.failed)) == (3, 1)
    assert "SystemExit: 4" in result.failed[0][1]
    assert _main_scores() == [40, 40, None, 40]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("interactions.json", lambda path: path.write_bytes(path.read_bytes()[:100])),
        ("interactions.json", lambda path: path.write_bytes(b"")),
        ("interactions.json", lambda path: path.write_text("[1]")),
        ("instance.json", lambda path: path.write_text('{"game_id": ')),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_counts(game: Path, name: str, damage: Callable[[Path], None]) -> None:
    _play()
    (RUN / "store.sqlite3").unlink()
    path = RUN / "echo" / "words_0" / "instance_00001" / name
    damage(path)
    result = _score()
    assert result.count == 3
    ((place, text),) = result.failed
    assert place == str(path.parent)
    assert str(path) in text


def test_values_that_are_no_numbers_are_warned_of_with_their_line(game: Path) -> None:
    _play()
    _with_scorer(
        game,
        "    def compute_episode_scores(self, interactions):\n"
        "        self.log_episode_score('Won', True)\n"
        "        self.log_episode_score('Ratio', float('inf'))\n"
        "        self.log_episode_score('Answer', 'yes')\n"
        "        self.log_episode_score(BENCH_SCORE, float('nan'))\n",
    )
    texts = [text for _, text in _score().warned]
    assert len(texts) == 2
    assert "'Won' of the episode is True: the evaluation needs numbers, log 1 instead (" in texts[0]
    assert "'Ratio' of the episode is infinite" in texts[1]
    first = next(RUN.rglob("scores.json"))
    assert json.loads(first.read_bytes())["meta"]["not_finite"] == ["Ratio", "Main Score"]


_NUMBERS = """
    def compute_round_score(self, round_idx, round_events):
        self.log_round_score(numpy.int64(round_idx), "Sum", numpy.array([1, 2]).sum())

    def compute_episode_scores(self, interactions):
        self.log_episode_score(BENCH_SCORE, numpy.array([50, 30]).sum())
        self.log_episode_score("Mean", numpy.array([0.5, 1.0], dtype=numpy.float32).mean())
        self.log_episode_score("Long", numpy.longdouble(1.5))
        self.log_episode_score("Won", numpy.bool_(True))
        self.log_episode_score("Price", decimal.Decimal("2.5"))
        self.log_episode_score("Share", fractions.Fraction(1, 4))
        self.log_episode_score("Nothing", numpy.float32("nan"))
        self.log_episode_score("Each", {"of": [numpy.int8(3), (fractions.Fraction(1, 2),)], numpy.int64(7): 1})
        self.log_episode_score("Other", object)
        self.scores["episode scores"]["Direct"] = numpy.int64(9)
"""


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_numbers_of_other_types_are_kept_as_numbers(game: Path, layout: str) -> None:
    _play("--layout", layout)
    _with_scorer(game, _NUMBERS)
    _change(game / "master.py", "import random", "import decimal, fractions, numpy, random")
    result = _score()
    assert (result.count, result.failed) == (4, [])
    scores = next(read_episodes(RUN)).scores
    assert scores is not None
    found = {name: value for name, value in scores["episode scores"].items() if "Request" not in name}
    assert found == {
        "Aborted": 0, "Lose": 0, "Success": 1, "Main Score": 80, "Mean": 0.75, "Long": 1.5, "Won": True,
        "Price": 2.5, "Share": 0.25, "Nothing": None, "Each": {"of": [3, [0.5]], "7": 1},
        "Other": {"__type__": "builtins.type", "repr": "<class 'object'>"}, "Direct": 9,
    }  # fmt: skip
    assert isinstance(found["Main Score"], int)
    assert {name: each["Sum"] for name, each in scores["round scores"].items()} == {"0": 3, "1": 3}
    won, other = (text for _, text in result.warned)
    assert "'Won' of the episode is True: the evaluation needs numbers, log 1 instead (" in won
    assert "'Other' of the episode is a type, which JSON does not have; it is kept as {'__type__'" in other
    assert cli.main(["eval"]) == 0
    with Path("results/raw.csv").open(newline="") as file:
        main = [float(row["value"]) for row in csv.DictReader(file) if row["metric"] == "Main Score"]
    assert main == [80.0] * 4


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_half_a_character_in_a_score_can_be_evaluated(game: Path, layout: str) -> None:
    _play("--layout", layout)
    _with_scorer(
        game,
        "    def compute_episode_scores(self, interactions):\n"
        "        self.log_episode_score('Said \\udc00', '\\ud83d')\n"
        "        self.log_episode_score('Whole', '\\ud83d\\ude00')\n"
        "        self.log_episode_score(BENCH_SCORE, 7)\n",
    )
    assert _score().failed == []
    assert cli.main(["eval"]) == 0
    with Path("results/raw.csv").open(newline="", encoding="utf-8") as file:
        found = {row["metric"]: row["value"] for row in csv.DictReader(file)}
    assert (found["Main Score"], found["Said \\udc00"], found["Whole"]) == ("7", "\\ud83d", "😀")


_DIES = """
    def compute_episode_scores(self, interactions):
        if self.game_instance["game_id"] in (1, 2):
            print("at", self.game_instance["game_id"], flush=True)
            HOW
        super().compute_episode_scores(interactions)
"""


@pytest.mark.parametrize(
    ("how", "told", "layout"),
    [
        ("os._exit(7)", "ended with status 7: ", "classic"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL, perhaps because memory ran out: ", "classic"),
        ("os._exit(0)", "ended with status 0: ", "store"),
        ("os.kill(os.getppid(), 9); os._exit(7)", "was killed by SIGKILL", "classic"),
    ],
)
def test_a_process_that_ends_unasked_fails_one_episode(
    game: Path, how: str, told: str, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_game(Path(), instances=6)
    _play("--layout", layout)
    _with_scorer(game, _DIES.replace("HOW", how))
    _change(game / "master.py", "import random", "import os\nimport random")
    for wanted in ("4 episodes scored, 2 not", "0 episodes scored, 2 not, 4 were up to date"):
        assert cli.main(["score"]) == 1
        shown = capsys.readouterr().err
        assert f"echo: {wanted}\n" in shown
        assert f"instance_00001: the process of the scorer {told}" in shown
    assert _main_scores() == [40, None, None, 40, 40, 40]
    kept = json.loads((RUN / "echo" / "words_0" / "instance_00002" / "scores.error.json").read_bytes())
    assert kept["error"] == "ProcessCrash"
    assert told in kept["message"]
    assert "at 2" in kept["traceback"]
    _change(game / "master.py", "in (1, 2)", "in ()")
    assert _score().failed == []
    assert not list(RUN.rglob("scores.error.json"))


@pytest.mark.parametrize("instances", [3, 30])
def test_a_process_that_ends_outside_of_the_episodes_is_told_with_the_right_counts(
    game: Path, instances: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write_game(Path(), instances=instances)
    _play()
    text = (game / "master.py").read_text()
    (game / "master.py").write_text(f"{text}\nimport os, sys\nif 'worker' in sys.argv[0]:\n    os._exit(3)\n")
    assert cli.main(["score"]) == 1
    shown = capsys.readouterr().err
    assert f"echo: 0 episodes scored, {instances} not\n" in shown
    assert "clem: echo: the process of the scorer ended with status 3: it said nothing" in shown
    close = "    def close(self):\n        import os\n        os._exit(4)\n"
    (game / "master.py").write_text(
        text.replace("    def create_game_scorer", f"{close}\n    def create_game_scorer")
    )
    assert cli.main(["score"]) == 1
    shown = capsys.readouterr().err
    assert f"echo: {instances} episodes scored\n" in shown
    assert "clem: echo: the process of the scorer ended with status 4: it said nothing" in shown


def test_links_to_folders_are_followed_alike_but_never_in_a_circle(game: Path, tmp_path: Path) -> None:
    _play()
    (RUN / "store.sqlite3").unlink()
    (RUN / "loop").symlink_to("..")
    (RUN / "self").symlink_to("self")
    (RUN / "echo" / "words_0" / "back").symlink_to(RUN.absolute())
    Path("results/latest").symlink_to("mock")
    Path("kept").mkdir()
    (RUN / "echo").rename("kept/echo")
    (RUN / "echo").symlink_to(Path("kept/echo").absolute())
    Path("results/other").mkdir()
    Path("results/other/echo").symlink_to("../mock/echo")
    assert {each.folder for each in find(Path("results")).episodes["echo"]} == {
        f"results/{run}/echo/words_0/instance_{number:05d}" for run in ("mock", "other") for number in range(4)
    }
    _score()
    assert {(each.names.model, each.outcome) for each in find_outcomes("results")} == {
        ("mock", "scored"), ("other", "scored"),
    }  # fmt: skip
    assert len(list(find_outcomes("results"))) == len(list(read_episodes("results"))) == 8
    assert len(list(find_outcomes("results/latest"))) == 4  # named, so it is meant
