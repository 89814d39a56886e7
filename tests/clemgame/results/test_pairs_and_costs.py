"""Who plays with whom, strengths with choix as the oracle, people, and costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import choix
import numpy as np
import pytest

from clemcore._core import bradley_terry
from clemcore.clemgame.results.costs import Costs, described, front
from clemcore.clemgame.results.evaluation import evaluate
from clemcore.clemgame.results.pairs import strengths_of
from clemcore.clemgame.runs.run import play
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.store.usage import total, usage_of
from clemcore.cli import score
from support.clem import Clem, clem
from support.counting_server import CountingServer

__all__ = ["clem"]


def contest(rng: Any, strengths: Any, instances: int) -> list[tuple[int, int, float, int]]:
    """Let each pair play each instance once, in both roles."""
    matches = []
    for instance in range(instances):
        for first in range(len(strengths)):
            for second in range(len(strengths)):
                if first != second:
                    chance = 1 / (1 + np.exp(strengths[second] - strengths[first]))
                    matches.append((first, second, float(rng.random() < chance), instance))
    return matches


@pytest.mark.parametrize("models", [2, 5])
def test_strengths_equal_those_of_choix(models: int) -> None:
    rng = np.random.default_rng(models)
    matches = contest(rng, rng.normal(size=models), 30)
    wins = [(a, b) if score == 1 else (b, a) for a, b, score, _ in matches]
    wanted = choix.opt_pairwise(models, wins, tol=1e-10)
    found = [strength for strength, _, _ in bradley_terry(matches, models)]
    assert found == pytest.approx(list(wanted - wanted.mean()), abs=1e-4)


@pytest.mark.slow
def test_intervals_of_strengths_cover_the_truth() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([-0.8, -0.2, 0.2, 0.8])
    covered = 0
    for _ in range(300):
        found = bradley_terry(contest(rng, truth, 25), 4)
        covered += sum(low <= value <= high for value, (_, low, high) in zip(truth, found, strict=True))
    assert 0.92 < covered / 1200 < 0.98


def test_strengths_that_are_not_finite_are_not_shown() -> None:
    found = strengths_of([("a", "b", 1.0, "e/1"), ("a", "b", 1.0, "e/2")])
    assert found["models"]["a"] == {
        "wins": 2,
        "draws": 0,
        "defeats": 0,
        "strength": None,
        "low": None,
        "high": None,
    }
    assert "won or lost all" in found["note"]
    single = strengths_of([("a", "b", 1.0, "e/1"), ("b", "a", 1.0, "e/1")])
    assert (single["models"]["a"]["strength"], single["models"]["a"]["low"]) == (0, None)
    assert single["note"] == "a single instance"


def test_instances_that_are_all_alike_give_strengths_without_intervals() -> None:
    both_orders = [(first, second, 1.0, f"e/{number}") for number in range(5) for first, second in ("ab", "ba")]
    found = strengths_of(both_orders)
    assert found["models"]["a"]["strength"] == 0
    assert found["models"]["a"]["low"] is found["models"]["a"]["high"] is None
    assert "all instances have the same results" in found["note"]
    differing = strengths_of([*both_orders, ("a", "b", 0.0, "e/6")])
    assert differing["models"]["a"]["low"] < 0
    assert differing["note"] is None


def write(run: Path, models: list[str], results: list[dict[str, float]], backend: str = "mock") -> None:
    run.mkdir(parents=True)
    described = {
        str(role): {"model_spec": {"model_name": name, "backend": backend if role == 0 else "mock"}, "gen_args": {}}
        for role, name in enumerate(models)
    }
    (run / "run.json").write_text(json.dumps({"player_models": described}))
    for number, more in enumerate(results):
        folder = run / "duel" / "high" / f"instance_{number:05d}"
        folder.mkdir(parents=True)
        (folder / "instance.json").write_text("{}")
        (folder / "scores.json").write_text(
            json.dumps({"episode scores": {"Aborted": 0, "Main Score": 50, **more}})
        )


def test_pairs_are_shown_by_role_with_counts_and_strengths(clem: Clem) -> None:
    results = Path("results")
    write(results / "a--b", ["a", "b"], [{"Winner": winner, "Main Score": 60} for winner in (1, 1, 1, 2, 0)])
    write(results / "b--a", ["b", "a"], [{"Winner": winner} for winner in (1, 2, 2, 7)])
    write(results / "a", ["a"], [{}, {}])
    unplayed = results / "b--a/duel/high/instance_00009"
    unplayed.mkdir()
    (unplayed / "instance.json").write_text("{}")
    done = clem("eval", "--pairs")
    assert done.returncode == 1
    assert 'has the "Winner" 7: it must be 0, 1 or 2' in done.stderr
    figures = json.loads((results / "results.json").read_text())
    pairs = {(row["first"], row["second"]): row for row in figures["pairs"]}
    assert list(pairs) == [("a", "a"), ("a", "b"), ("b", "a")]
    assert pairs["b", "a"]["counts"]["missing"] == 1
    assert pairs["a", "b"]["clemscore"] == 60
    assert pairs["b", "a"]["clemscore"] is figures["models"]["b--a"]["clemscore"] is None
    models = figures["strengths"]["duel"]["models"]
    assert [models["a"][each] for each in ("wins", "draws", "defeats")] == [5, 1, 2]
    assert list(models) == ["a", "b"]
    lines = (results / "pairs.csv").read_text().splitlines()
    assert lines[0].startswith("game,role 1,role 2,line_up,planned,played,aborted,lost,limit,error,missing")
    assert lines[3].startswith("duel,b,a,b--a,5,4,0,0,0,0,1,0,")
    assert "incomplete (" in done.stdout
    assert "4/5" in done.stdout


def test_people_have_a_row_of_their_own(clem: Clem) -> None:
    write(Path("results/anna"), ["anna"], [{}], backend="human")
    write(Path("results/room--mock"), ["room", "mock"], [{}], backend="slurk")
    write(Path("results/mock"), ["mock"], [{}])
    assert clem("eval").returncode == 0
    models = json.loads(Path("results/results.json").read_text())["models"]
    assert {name: each["people"] for name, each in models.items()} == {
        "anna": True,
        "mock": False,
        "room--mock": True,
    }


def test_scores_on_another_scale_are_named(clem: Clem) -> None:
    write(Path("results/a"), ["a"], [{"Main Score": 0.5}, {"Main Score": 1}])
    assert "seem to be on a scale from 0 to 1" in clem("eval").stderr
    write(Path("results/b"), ["b"], [{"Main Score": 400}, {"Main Score": 1}])
    done = clem("eval")
    assert "main scores from 0.5 to 400 are not on the scale from 0 to 100" in done.stderr


def test_an_infinite_main_score_is_named(clem: Clem) -> None:
    write(Path("results/a"), ["a"], [{"Main Score": float("inf")}, {"Main Score": 50}])
    done = clem("eval")
    assert (done.returncode, "unexpected" in done.stderr) == (0, False), done.stderr
    assert "some main scores are infinite or too large" in done.stderr


def test_the_front_holds_what_nothing_beats() -> None:
    points: dict[str, tuple[float | None, float | None]] = {
        "best": (90.0, 9.0),
        "cheap": (50.0, 1.0),
        "worse": (50.0, 2.0),
        "same as cheap": (50.0, 1.0),
        "incomplete": (None, 0.1),
        "no price": (95.0, None),
    }
    assert front(points) == ["best", "cheap", "same as cheap"]


def test_costs_that_are_not_known_of_every_call_are_not_shown() -> None:
    costs = Costs(episodes=2, turns=3)
    for usd in (0.5, 1.0, None, 0.5):
        costs.count(
            {"usage": {"input_tokens": 10, "output_tokens": 5}, "cost": {"usd": usd}, "duration_seconds": 2}
        )
    found = described(costs, 50.0)
    assert found["per_call"] == {"input_tokens": 10, "output_tokens": 5, "usd": None, "seconds": 2}
    assert found["per_turn"]["seconds"] == pytest.approx(8 / 3)
    assert found["per_episode"]["input_tokens"] == 20
    assert found["per_point"]["output_tokens"] == pytest.approx(10 / 50)
    assert found["known_calls"]["usd"] == 3
    assert described(costs, None)["per_point"]["seconds"] is None


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_costs_of_a_run_are_read_from_its_calls(clem: Clem, layout: str) -> None:
    from support.echo_game import write_game

    write_game(Path(), instances=3)
    with CountingServer(delay=0.001) as server:
        entry = server.entry(prices={"input": 100.0, "output": 100.0})
        Path("model_registry.json").write_text(json.dumps([entry]))
        play(RunSettings(games=["echo"], models=["counted"], layout=layout))
    score("all")
    done = clem("eval", "--costs")
    assert done.returncode == 0, done.stderr
    figures = evaluate("results", costs=True).figures
    found = figures["costs"]["models"]["counted"]
    spent = total(usage_of(Path("results/counted")))
    assert found["episodes"] == found["games"]["echo"]["episodes"] == 3
    assert found["calls"] == spent.calls > 3
    assert found["total"]["usd"] == pytest.approx(spent.usd)
    assert found["total"]["input_tokens"] == spent.input_tokens
    assert found["per_episode"]["usd"] == pytest.approx(spent.usd / 3)
    assert found["per_call"]["seconds"] >= 0.001
    assert figures["costs"]["pareto_front"]["usd"] == ["counted"]
    assert len(done.stdout.splitlines()) == 1 + 1 + 4
    header, first, _ = Path("results/costs.csv").read_text().splitlines()
    assert header.startswith(
        "model,game,planned,played,aborted,lost,limit,error,missing,unscored,episodes,turns,calls,input"
    )
    assert first.startswith("counted,,3,3,0,0,0,0,0,0,3,")
    assert "\t3/3" in done.stdout
