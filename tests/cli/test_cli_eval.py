"""`clem eval`: which scores count, and what is said about those that do not."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.results.evaluation import PlayedScoreError
from clemcore.clemgame.results.score_files import find_scores
from clemcore.clemgame.store import RunStore
from support.clem import Clem, clem
from support.echo_game import write_game

__all__ = ["clem"]
GOOD = {"Aborted": 0, "Main Score": 50}


def write(folder: Path, scores: Any) -> None:
    folder.mkdir(parents=True)
    text = scores if isinstance(scores, str) else json.dumps({"episode scores": scores})
    (folder / "scores.json").write_text(text)


def raw(results: Path = Path("results")) -> list[str]:
    return [line.partition(",")[2] for line in (results / "raw.csv").read_text().splitlines()[1:]]


def play(layout: str, *, epochs: int = 1) -> None:
    gen_args = {"temperature": 0.0, "max_tokens": 10}
    from clemcore.clemgame.runs.run import play as play_run
    from clemcore.clemgame.runs.settings import RunSettings

    settings = RunSettings(games=["echo"], models=["mock"], gen_args=gen_args, layout=layout, epochs=epochs)
    assert play_run(settings).status == 0
    cli.score("all")


@pytest.mark.parametrize("epochs", [1, 2])
def test_files_and_stores_give_the_same_tables(clem: Clem, epochs: int) -> None:
    write_game(Path(), instances=2)
    tables = []
    for layout in ("classic", "store"):
        play(layout, epochs=epochs)
        done = clem("eval")
        assert done.returncode == 0, done.stderr
        tables.append((sorted(raw()), Path("results/results.csv").read_text()))
        Path("results").rename(layout)
    assert tables[0] == tables[1]
    names = {tuple(line.split(",")[1:4]) for line in tables[0][0]}
    prefix = "epoch_00002/" if epochs == 2 else ""
    assert ("mock", next(iter(names))[1], f"{prefix}instance_00000") in names


def test_scores_of_all_layouts_are_found(clem: Clem) -> None:
    write(Path("results/a-t0.0--a-t0.0/taboo/0_high/episode_3"), GOOD)  # 1.x
    write(Path("results/mock-t0.0/taboo/high/instance_00001"), GOOD)  # 3.3
    write(Path("results/deep/er/mock/a%2Fb/high/instance_00001"), GOOD)
    write(Path("results/.hidden/mock/taboo/high/instance_00001"), GOOD)
    assert clem("eval").returncode == 0
    assert sorted(line for line in raw() if "Main Score" in line) == [
        "a/b,mock,high,instance_00001,Main Score,50",
        "taboo,a-t0.0--a-t0.0,0_high,episode_3,Main Score,50",
        "taboo,mock-t0.0,high,instance_00001,Main Score,50",
    ]
    assert {scores.names.model for scores in find_scores("results/mock-t0.0/taboo")} == {"mock-t0.0"}


def test_a_file_that_cannot_be_read_is_named_and_the_rest_counts(clem: Clem) -> None:
    folder = Path("results/mock/taboo/high")
    write(folder / "instance_00000", GOOD)
    write(folder / "instance_00001", "")
    write(folder / "instance_00002", '{"episode scores": {"Aborted": 0, "Main')
    write(folder / "instance_00003", '{"meta": {}}')
    write(folder / "instance_00004", {"Aborted": 0, "Main Score": "won"})
    write(folder / "instance_00005", {"Aborted": 0, "Main Score": 1, "Played": 1})
    write(folder / "instance_00006", '{"episode scores": {"Aborted": 1, "Main Score": NaN}}')
    done = clem("eval")
    assert done.returncode == 1
    for number, text in [
        (1, "is empty"),
        (2, "is not JSON, or ends early"),
        (3, 'has no object "episode scores"'),
        (4, 'has a text as its "Main Score": "won"'),
        (5, 'has the metric "Played", which the evaluation computes itself'),
    ]:
        assert f"instance_{number:05d}/scores.json {text}" in done.stderr
    assert "2 episodes evaluated, 5 not" in done.stderr
    assert "5 episodes have no scores (5 unscored)" in done.stderr
    assert Path("results/results.csv").read_text().splitlines()[1] == "mock,,1.19,78.57,50.0,50.0,50.0,50.0"
    assert clem("eval", "--missing", "ignore").returncode == 1
    assert Path("results/results.csv").read_text().splitlines()[1] == "mock,25.0,50.0,50.0,50.0,50.0"
    with pytest.raises(PlayedScoreError, match="instance_00005"):
        cli.clemeval.perform_evaluation("results")


def test_the_same_names_twice_count_once(clem: Clem) -> None:
    place = "mock/taboo/high/instance_00000"
    write(Path("results/a") / place, GOOD)
    write(Path("results/b") / place, {"Aborted": 0, "Main Score": 70})
    write(Path("results/c") / place, GOOD)
    done = clem("eval")
    assert done.returncode == 1
    assert done.stderr.count("which counts: both have the same line-up") == 2
    assert done.stderr.count("contradicts") >= 1
    assert len(raw()) == 3


def test_a_name_of_a_model_is_shown_and_never_obeyed(clem: Clem) -> None:
    name = "<img src=x onerror=alert(1)>\x1b[31m"
    write(Path("results", name, "taboo", "high", "instance_00000"), GOOD)
    done = clem("eval")
    assert "\x1b" not in done.stdout + done.stderr
    assert "<img" not in Path("results/results.html").read_text()


def test_nothing_to_evaluate_is_an_error_that_names_the_reason(clem: Clem) -> None:
    assert "there is no such folder" in clem("eval").stderr
    Path("results").mkdir()
    assert "'clem score' first" in clem("eval").stderr
    write(Path("results/mock/taboo/high/instance_00000"), GOOD)
    done = clem("eval", "-m", "gpt", "-g", "taboo")
    assert done.returncode == 2
    assert "passes -m gpt -g taboo" in done.stderr
    Path("results/raw.csv").write_text("mine,1\n")
    assert "results/raw.csv does not begin with" in clem("eval", "-m", "mock").stderr
    assert Path("results/raw.csv").read_text() == "mine,1\n"


def test_a_selection_keeps_the_rows_of_all_others(clem: Clem) -> None:
    write(Path("results/a/taboo/high/instance_00000"), GOOD)
    write(Path("results/b.c/taboo/high/instance_00000"), GOOD)
    assert clem("eval", "--std", "--sort", "clemscore").returncode == 0
    Path("results/b.c").rename("bxc")
    done = clem("eval", "-m", "b.c")  # not a pattern, and its rows are gone with its folder
    assert done.returncode == 0
    assert {line.split(",")[1] for line in raw()} == {"a"}
    assert "0 episodes evaluated, 3 earlier rows kept" in done.stderr
    assert "no scored episode passes -m b.c" in done.stderr


def test_episodes_without_scores_are_counted_and_raise_no_clemscore(clem: Clem) -> None:
    folder = Path("results/mock/taboo/high")
    for number, score in enumerate([80, 40]):
        write(folder / f"instance_{number:05d}", {"Aborted": 0, "Lose": int(score < 50), "Main Score": score})
    write(folder / "instance_00002", {"Aborted": 1, "Lose": 0, "Main Score": None})
    write(Path("results/other/taboo/high/instance_00000"), GOOD)
    complete = clem("eval")
    assert "no scores" not in complete.stderr
    before = Path("results/results.csv").read_bytes()
    for number, content in enumerate([{"outcome": "limit"}, {"error": "TimeoutError"}, None, None], start=3):
        place = folder / f"instance_{number:05d}"
        place.mkdir()
        (place / "instance.json").write_text(json.dumps({"game_id": number}))
        if content is not None:
            (place / "error.json").write_text(json.dumps({"message": "", **content}))
    (folder / "instance_00006" / "interactions.json").write_text('{"players": {}, "turns": []}')
    done = clem("eval")
    assert done.returncode == 0
    assert "mock, taboo: 4 episodes have no scores (1 error, 1 limit, 1 missing, 1 unscored)" in done.stderr
    # 2 of 7 played, (80 + 40) / 6; 6 of 7 played, (80 + 40 + 4 * 100) / 6.
    assert "mock\tincomplete: 5.71 to 74.28\t" in done.stdout
    header, mock, other = Path("results/results.csv").read_text().splitlines()
    assert header.startswith(',"-, clemscore","-, clemscore (lower bound)","-, clemscore (upper bound)",')
    assert mock.startswith("mock,,5.71,74.28,66.67,60.0,")
    assert other.startswith("other,50.0,,,100.0,50.0,")
    found = json.loads(Path("results/results.json").read_text())["models"]["mock"]
    assert found["counts"] == {
        "planned": 7, "played": 2, "aborted": 1, "lost": 1, "limit": 1, "error": 1, "missing": 1, "unscored": 1,
    }  # fmt: skip
    assert (found["clemscore"], found["is_complete"], found["bounds"]) == (None, False, [5.71, 74.28])
    assert clem("eval", "--missing", "ignore").returncode == 0
    assert Path("results/results.csv").read_bytes() == before
    cli.clemeval.perform_evaluation("results")
    assert Path("results/results.csv").read_bytes() == before


@pytest.mark.parametrize("odd", [{}, {"Main Score": 50}, {"Aborted": None, "Main Score": 50}, {"Aborted": 2}])
def test_scores_that_do_not_say_whether_an_episode_was_played_are_named(clem: Clem, odd: dict[str, Any]) -> None:
    for number, scores in enumerate([GOOD, odd, odd]):
        write(Path(f"results/mock/taboo/high/instance_{number:05d}"), scores)
    for _ in range(2):  # the second one knows the scores
        done = clem("eval")
        assert done.returncode == 0
        assert 'mock, taboo: 2 episodes have scores without an "Aborted" from 0 to 1' in done.stderr
        found = json.loads(Path("results/results.json").read_text())["models"]["mock"]
        assert (found["clemscore"], found["is_complete"]) == (None, False)
        assert [found["counts"][name] for name in ("planned", "played", "aborted", "unscored")] == [3, 1, 0, 2]
    assert Path("results/results.csv").read_text().startswith(',"-, clemscore","all, Average % Played"')


def test_a_number_that_is_too_large_does_not_count(clem: Clem) -> None:
    write(Path("results/mock/taboo/high/instance_00000"), GOOD)
    write(Path("results/mock/taboo/high/instance_00001"), {"Aborted": 0, "Main Score": 10**400})
    done = clem("eval")
    assert done.returncode == 1
    assert "instance_00001/scores.json has a number that is too large for a float" in done.stderr
    assert "inf" not in Path("results/results.csv").read_text()


def test_a_model_that_aborts_everything_has_no_clemscore_and_a_note(clem: Clem) -> None:
    for number in range(3):
        write(Path(f"results/mock/taboo/high/instance_{number:05d}"), {"Aborted": 1, "Main Score": None})
    assert "mock: all episodes were aborted, so nothing has a quality score or a clemscore" in clem("eval").stderr


def test_a_store_says_what_became_of_its_episodes(clem: Clem) -> None:
    write_game(Path(), instances=2)
    play("classic")
    scored = sorted(Path("results").rglob("scores.json"))
    scored[0].unlink()
    with RunStore.open("results/mock") as store:
        store.drop_scores(EpisodeKey("echo", "words_0", 0))
    done = clem("eval")
    assert "echo: 1 episode has no scores (1 unscored)" in done.stderr


def test_no_text_is_a_formula_in_the_copies_for_spreadsheets(clem: Clem) -> None:
    names = ["=1+1", "+1", "@SUM(A1)", "-2+3", "\t=1", "\r=1", "-inf is a name", "1=1", "a,=b", "x" * 200_000]
    write(Path("results/=cmd|'/taboo/-high/instance_00000"), {**GOOD, **dict.fromkeys(names, -1.5)})
    done = clem("eval", "--excel")
    assert done.returncode == 0, done.stderr
    assert "results/raw-excel.csv" in done.stderr
    plain, copy = (Path(f"results/{name}.csv").read_bytes() for name in ("raw", "raw-excel"))
    assert b"'=" not in plain
    limit = csv.field_size_limit(300_000)
    texts = (plain.decode(), copy.decode("utf-8-sig"))
    before, after = (list(csv.reader(io.StringIO(text, newline=""))) for text in texts)
    csv.field_size_limit(limit)
    changed = [pair for row, new in zip(before, after, strict=True) for pair in zip(row, new, strict=True)]
    assert {(one, other) for one, other in changed if one != other} == {
        (name, f"'{name}") for name in [*names[:7], "=cmd|'", "-high"]
    }
    assert all(one == other for one, other in changed if one in ("-1.5", *names[7:]))
    table = Path("results/results-excel.csv").read_text(encoding="utf-8-sig")
    # The first column is empty in the header, and a clemscore is called "-, clemscore".
    assert "'=cmd|'" in table
    assert '"\'-, clemscore"' in table
    # The copies are not read: an update of a selection begins with raw.csv.
    assert clem("eval", "-g", "taboo", "--excel").returncode == 0
    assert Path("results/raw.csv").read_bytes() == plain
