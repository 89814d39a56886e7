"""`clem compare`: pairs on shared instances, with scipy as the oracle, and what may not be compared."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from clemcore._core import Evaluation
from clemcore.clemgame.results.comparison import DIFFERENCES, compare
from clemcore.clemgame.runs.run import play
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.cli import score
from clemcore.errors import RunError
from support.clem import Clem, clem
from support.echo_game import write_game

__all__ = ["clem"]


def compared(values: dict[str, Any], levels: dict[str, float] | None = None, **more: Any) -> dict[str, Any]:
    """Compare models by their main scores (NaN: aborted), all in one experiment; some at levels of their own."""
    evaluation = Evaluation()
    scores = []
    for model, of_model in values.items():
        for number, main in enumerate(of_model):
            aborted = bool(np.isnan(main))
            each = {"Aborted": int(aborted), "Main Score": None if aborted else main, "Success": int(main == 100)}
            names = ("taboo", model, "e", f"instance_{number:05d}")
            scores.append((names, json.dumps({"episode scores": each}).encode()))
    assert not evaluation.add(scores)
    evaluation.count_played()
    for model, level in (levels or {}).items():
        evaluation.set_level("taboo", model, level)
    found: dict[str, Any] = json.loads(evaluation.comparison(**more))
    return found


@pytest.mark.parametrize("count", [8, 60])
def test_differences_have_the_p_values_of_scipy(count: int) -> None:
    rng = np.random.default_rng(count)
    one = rng.choice([0.0, 25.0, 50.0, 100.0, np.nan], count)
    other = rng.choice([0.0, 50.0, 100.0, np.nan], count, p=[0.5, 0.2, 0.2, 0.1])
    found = compared({"a": one, "b": other}, resamples=20_000)["pairs"][0]["differences"][0]
    points = np.nan_to_num(one), np.nan_to_num(other)
    assert found["difference"] == pytest.approx((points[0] - points[1]).mean(), abs=1e-4)
    wanted = stats.permutation_test(
        points,
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=rng,
    ).pvalue
    # Exact below 14 differences; else within four standard errors of two estimates.
    assert found["p"] == pytest.approx(wanted, abs=1e-9 if count == 8 else 4 * np.sqrt(wanted / 10_000) + 1e-4)
    won = points[0] == 100, points[1] == 100
    better = int((won[0] & ~won[1]).sum()), int((won[1] & ~won[0]).sum())
    assert (found["success"]["first_better"], found["success"]["second_better"]) == better
    exact = stats.binomtest(better[0], sum(better)).pvalue if sum(better) else 1.0
    assert found["success"]["p"] == pytest.approx(exact, abs=1e-9)


def test_looks_at_cells_that_may_stop_early_widen_a_comparison() -> None:
    rng = np.random.default_rng(4)
    values = {"a": rng.uniform(20, 80, 30), "b": rng.uniform(15, 75, 30)}
    plain, *others = (
        compared(values, levels)["pairs"][0]["differences"][0]
        for levels in ({}, {"a": 0.99}, {"a": 0.99, "b": 0.99}, {"a": 0.99, "b": 0.975})
    )
    # Five looks at one or at both, or five and two at different sizes.
    for found, looks in zip(others, (5, 5, 7), strict=True):
        assert found["level"] == pytest.approx(1 - 0.05 / looks)
        assert found["p"] == pytest.approx(min(1.0, looks * plain["p"]))
        assert found["interval"]["low"] < plain["interval"]["low"] < plain["interval"]["high"]
        assert plain["interval"]["high"] < found["interval"]["high"]


def test_p_values_are_corrected_for_all_pairs_and_ranks_follow() -> None:
    rng = np.random.default_rng(3)
    base = rng.uniform(20, 40, 40)
    models = {"best": base + 40, "middle": base, "same": base + rng.normal(0, 3, 40), "worst": base - 20}
    found = compared(models)
    pairs = [pair["differences"][0] for pair in found["pairs"]]
    ordered = sorted(pairs, key=lambda each: float(each["p"]))
    highest = 0.0
    for place, each in enumerate(ordered):
        highest = max(highest, min(1.0, each["p"] * (len(pairs) - place)))
        assert each["p_holm"] == pytest.approx(highest)
    ranks = {each["name"]: (each["rank"]["best"], each["rank"]["worst"]) for each in found["models"]}
    assert ranks == {"best": (1, 1), "middle": (2, 3), "same": (2, 3), "worst": (4, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 100])
def test_intervals_of_differences_cover_the_truth(count: int) -> None:
    rng = np.random.default_rng(4)
    runs, covered, rejected = 400, 0, 0
    for run in range(runs):
        difficulty = rng.normal(50, 15, count)
        found = compared(
            {"a": difficulty + rng.normal(0, 8, count), "b": difficulty + rng.normal(0, 8, count)},
            resamples=1000,
            seed=run,
        )["pairs"][0]["differences"][0]
        covered += found["interval"]["low"] <= 0 <= found["interval"]["high"]
        rejected += found["p"] <= 0.05
    assert 0.906 < covered / runs < 0.994  # 95 %, and four standard errors of 1.1 points
    assert rejected / runs < 0.094


def write(run: Path, number: int, outcome: float | str, game: str = "taboo") -> None:
    folder = run / game / "high" / f"instance_{number:05d}"
    folder.mkdir(parents=True)
    if isinstance(outcome, str):
        (folder / "instance.json").write_text("{}")
        if outcome != "missing":
            (folder / "error.json").write_text(json.dumps({"outcome": outcome}))
    else:
        scores = {"Aborted": 0, "Lose": 0, "Success": 1, "Main Score": outcome}
        (folder / "scores.json").write_text(json.dumps({"episode scores": scores}))


def test_episodes_without_scores_are_left_out_and_counted(clem: Clem) -> None:
    for number in range(12):
        write(Path("results/a"), number, 50.0 + number)
        write(Path("results/b"), number, 40.0)
    for number, outcome in enumerate(["missing", "limit", "error"], start=12):
        write(Path("results/a"), number, 100.0)
        write(Path("results/b"), number, outcome)
    write(Path("results/a"), 20, 100.0)
    done = clem("compare", "a", "b")
    assert done.returncode == 2
    assert "no run.json with hashes" in done.stderr
    assert "--across" in done.stderr
    done = clem("compare", "a", "b", "--across", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    difference = found["pairs"][0]["differences"][0]
    assert (difference["instances"], difference["left_out"]) == (12, 4)
    assert difference["difference"] == 15.5
    counts = {each["name"]: each["counts"] for each in found["models"]}
    assert [counts["b"][name] for name in ("planned", "missing", "limit", "error")] == [15, 1, 1, 1]
    table = clem("compare", "a", "results/b", "--across").stdout.splitlines()
    assert table[0].split("\t")[:5] == ["a", "b", "all games", "12", "4"]
    assert table[-1].split("\t") == ["b", "2", "15", "12", "0", "0", "1", "1", "1", "0"]


def test_differences_are_computed_once(clem: Clem) -> None:
    for number in range(12):
        for run in "abc":
            write(Path("results", run), number, float(50 + number * ord(run) % 17))
    kept = Path("results", DIFFERENCES)
    command = ("compare", "a", "b", "c", "--across", "--json")
    first = clem(*command).stdout
    content = kept.read_bytes()
    assert clem(*command).stdout == first
    assert kept.read_bytes() == content
    kept.write_bytes(content[:-1])
    assert clem(*command).stdout == first
    assert kept.read_bytes() == content
    (changed,) = Path("results/b").rglob("instance_00003/scores.json")
    changed.write_text(changed.read_text().replace('"Main Score": ', '"Main Score": 1'))
    second = clem(*command).stdout
    kept.unlink()
    assert clem(*command).stdout == second != first


def test_an_infinite_difference_is_not_a_number(clem: Clem) -> None:
    for number in range(3):
        write(Path("results/a"), number, math.inf)
        write(Path("results/b"), number, 40.0)
    done = clem("compare", "a", "b", "--across")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split("\t")[5] == "not a number"
    assert done.stdout.splitlines()[0].split("\t")[7:9] == ["", ""]


def test_an_infinite_score_makes_no_rank_certain(clem: Clem) -> None:
    for number in range(20):
        write(Path("results/a"), number, math.inf if number == 0 else 90.0 + number % 3)
        write(Path("results/b"), number, 40.0)
        write(Path("results/c"), number, 10.0 + number % 3)
    found = json.loads(clem("compare", "a", "b", "c", "--across", "--json").stdout)
    ranks = {each["name"]: each["rank"] for each in found["models"]}
    assert ranks["a"] == {"best": 1, "worst": 3}
    assert ranks["b"] == {"best": 1, "worst": 2}
    [of_all, *_] = found["pairs"][0]["differences"]
    assert (of_all["difference"], of_all["p"], of_all["p_holm"]) == (None, None, None)


def test_a_single_game_has_the_interval_of_all_games(clem: Clem) -> None:
    for number in range(12):
        write(Path("results/a"), number, float(number * number % 37))
        write(Path("results/b"), number, float(number * 31 % 17))
    write(Path("results/a"), 0, 1.0, game="chess")
    found = json.loads(clem("compare", "a", "b", "--across", "--json").stdout)
    whole, only = found["pairs"][0]["differences"]
    assert (whole["game"], only["game"], whole["left_out"], only["left_out"]) == (None, "taboo", 1, 0)
    for name in ("difference", "interval", "p", "instances"):
        assert whole[name] == only[name]


def test_what_cannot_be_compared_is_said(clem: Clem) -> None:
    write(Path("results/model-a"), 0, 50.0)
    write(Path("results/model-b"), 1, 50.0)
    write(Path("results/deep/model-b"), 1, 50.0)
    for arguments, wanted in [
        (("model-a",), "name at least two"),
        (("model-a", "model-x"), "'model-x': is neither a folder nor a line-up in results"),
        (("model-a", "results/model-a"), "a run cannot be compared with itself"),
        (("model-a", "model-b"), "'model-b': means 2 runs (results/deep/model-b, results/model-b)"),
        (("model-a", "results/model-b", "--across"), "have no instance in common"),
        (("model-a", "results/model-b", "--across", "-g", "chess"), "no episode passes -g chess"),
    ]:
        done = clem("compare", *arguments)
        assert (done.returncode, wanted in done.stderr) == (2, True), done.stderr


def test_a_run_is_not_compared_with_itself_under_another_name(clem: Clem) -> None:
    write(Path("results/model-a"), 0, 50.0)
    Path("link").symlink_to("results/model-a")
    for other in ("results/../results/model-a", "link"):
        done = clem("compare", "results/model-a", other, "--across")
        assert (done.returncode, "a second time" in done.stderr) == (2, True), done.stderr
    write(Path("results/model-b"), 0, 40.0)
    for option in ("-r", "--results-dir", "--results_dir"):
        assert clem("compare", option, "results", "model-a", "model-b", "--across").returncode == 0


def test_a_single_common_instance_has_no_interval(clem: Clem) -> None:
    write(Path("results/a"), 0, 50.0)
    write(Path("results/b"), 0, 40.0)
    line = clem("compare", "a", "b", "--across").stdout.splitlines()[0].split("\t")
    assert line[5:8] == ["+10.00", "none: a single common instance of a game", "1.0000"]


def test_runs_of_other_code_instances_or_arguments_are_compared_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_game(Path(), instances=3)

    def run(results: str, **arguments: float) -> Path:
        gen_args = {"temperature": 0.0, "max_tokens": 10, **arguments}
        settings = RunSettings(games=["echo"], models=["mock"], gen_args=gen_args, results_dir=results)
        assert play(settings).status == 0
        score("all", results_dir=results)
        return Path(results, "mock")

    first, same = run("one"), run("two")
    assert compare([str(first), str(same)], "results").across == []
    warm = run("warm", temperature=1.0)
    with pytest.raises(RunError, match=r"argument temperature of role 0: 0\.0 → 1\.0"):
        compare([str(first), str(warm)], "results")
    master = Path("echo/master.py")
    master.write_text(master.read_text() + "\n# changed\n")
    Path("echo/resources").mkdir(exist_ok=True)
    Path("echo/resources/prompt.template").write_text("new")
    changed = run("changed")
    done = compare([str(first), str(changed)], "results", across=True)
    text = "\n".join(done.across)
    assert "game 'echo', code" in text
    assert "game 'echo', resources" in text
    instances = json.loads(Path("echo/in/instances.json").read_text())
    instances["experiments"][0]["game_instances"][0]["more"] = 1
    Path("echo/in/instances.json").write_text(json.dumps(instances))
    other = run("other")
    assert any("instance 0" in line for line in compare([str(changed), str(other)], "x", across=True).across)
