"""Intervals of figures: scipy computes the same, and simulated truth is covered as often as the level says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from clemcore._core import Evaluation, mean_interval, proportion_interval
from clemcore.clemgame.results.evaluation import evaluate

RESAMPLES = 100_000
# Four standard errors of the difference between two such quantiles.
TOLERANCE = 0.08
Pairs = list[tuple[float, float]]


def pairs(values: Any) -> Pairs:
    return [(float(value), 1.0) for value in values]


def evaluated(scores: Mapping[tuple[str, str, str, str], dict[str, Any] | str]) -> dict[str, Any]:
    """Evaluate scores by game, model, experiment and episode; a text says why there are none."""
    evaluation = Evaluation()
    scored = [
        (names, json.dumps({"episode scores": each}).encode())
        for names, each in scores.items()
        if isinstance(each, dict)
    ]
    assert not evaluation.add(scored)
    evaluation.count_played()
    evaluation.note_unknown([(names, each) for names, each in scores.items() if isinstance(each, str)])
    found: dict[str, Any] = json.loads(evaluation.json())
    return found


def score(main: float | None, **more: float) -> dict[str, Any]:
    return {"Aborted": int(main is None), "Main Score": main, **more}


@pytest.mark.parametrize(("won", "count"), [(0, 20), (1, 20), (7, 20), (100, 100), (250, 500)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_a_proportion_has_the_interval_of_wilson(won: int, count: int, level: float) -> None:
    found = proportion_interval([pairs([1] * won + [0] * (count - won))], level=level)
    wanted = stats.binomtest(won, count).proportion_ci(level, method="wilson")
    assert found is not None
    assert found[:2] == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def stretched(samples: Any) -> float:
    """Return the two factors of docs/statistics.md: for few instances, and for an estimated variance."""
    own = [(values - values.mean()) ** 2 for values in samples]
    sizes = np.array([len(each) for each in own])
    variances = np.array([each.sum() for each in own]) * sizes / (sizes - 1)
    of_squares = sum(np.var(each * n / (n - 1)) * n * n / (n - 1) for each, n in zip(own, sizes, strict=True))
    total = variances.sum()
    welch = min(total**2 / (variances**2 / (sizes + 1)).sum() - 2, (sizes - 1).sum())
    freedom = min(welch, 2 * total**2 / of_squares)
    plain = sum(each.sum() for each in own)
    return float(np.sqrt(total / plain) * stats.t.ppf(0.975, freedom) / stats.norm.ppf(0.975))


@pytest.mark.parametrize("shape", ["bell", "skewed", "few values"])
def test_a_mean_has_the_interval_of_scipy_stretched_for_few_instances(shape: str) -> None:
    rng = np.random.default_rng(5)
    draw: dict[str, Callable[[int], Any]] = {
        "bell": lambda n: rng.normal(50, 10, n),
        "skewed": lambda n: rng.exponential(20, n),
        "few values": lambda n: rng.choice([0, 25, 50, 100], n),
    }
    values = draw[shape](30)
    found = mean_interval([pairs(values)], resamples=RESAMPLES)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=rng).confidence_interval
    stretch = stretched([values])
    middle, spread = values.mean(), values.std() / np.sqrt(30)
    wanted = [middle + (end - middle) * stretch for end in theirs]
    assert found is not None
    assert found[:2] == pytest.approx(wanted, abs=TOLERANCE * spread)
    assert found[2] == "bootstrap"


def test_experiments_are_strata_as_in_scipy() -> None:
    rng = np.random.default_rng(6)
    samples = [rng.normal(middle, 10, 40) for middle in (10, 50, 90)]

    def mean(*parts: Any, axis: int = -1) -> Any:
        return sum(part.mean(axis=axis) for part in parts) / 3

    theirs = stats.bootstrap(samples, mean, n_resamples=RESAMPLES, method="BCa", rng=rng).confidence_interval
    found = mean_interval([pairs(values) for values in samples], resamples=RESAMPLES)
    assert found is not None
    middle, spread = np.mean(samples), np.sqrt(sum(each.var() for each in samples) / 40) / 3
    stretch = stretched(samples)
    wanted = [middle + (end - middle) * stretch for end in theirs]
    assert found[:2] == pytest.approx(wanted, abs=TOLERANCE * spread)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiments", "each", "epochs"), [(1, 20, 1), (4, 5, 1), (4, 5, 4), (12, 5, 1), (4, 25, 2)]
)
def test_intervals_cover_the_truth(experiments: int, each: int, epochs: int) -> None:
    rng = np.random.default_rng(7)
    runs, covered = 1000, np.zeros(2)
    for run in range(runs):
        middles = rng.uniform(30, 70, experiments)
        instances = middles[:, None] + rng.normal(0, 10, (experiments, each))
        sums = instances * epochs + rng.normal(0, 10, (experiments, each)) * np.sqrt(epochs)
        found = mean_interval([[(value, epochs) for value in row] for row in sums], resamples=1000, seed=run)
        assert found is not None
        covered[0] += found[0] <= middles.mean() <= found[1]
        shares = rng.uniform(0.2, 0.8, experiments)
        of_instance = rng.beta(3 * shares[:, None], 3 * (1 - shares[:, None]), (experiments, each))
        won = rng.binomial(epochs, of_instance)
        found = proportion_interval([[(value, epochs) for value in row] for row in won])
        assert found is not None
        covered[1] += found[0] <= shares.mean() <= found[1]
    # The docs have the whole table. Here, four standard errors of 0.7 points are allowed on either side of 95 %.
    assert np.all((covered / runs > 0.922) & (covered / runs < 0.978)), covered / runs


def test_the_interval_of_one_instance_is_none_and_says_so() -> None:
    found = evaluated({("taboo", "a", "e", "instance_00000"): score(50.0)})["models"]["a"]
    of_game = found["games"]["taboo"]["intervals"]["played_percent"]
    for interval in (found["intervals"]["clemscore"], found["intervals"]["average_quality_score"], of_game):
        assert (interval["low"], interval["high"], interval["note"]) == (None, None, "a single instance")
    of_epochs = {("taboo", "a", "e", f"epoch_0000{n}/instance_00000"): score(50.0 + n) for n in range(1, 9)}
    assert evaluated(of_epochs)["models"]["a"]["intervals"]["clemscore"]["note"] == "a single instance"


@pytest.mark.parametrize(
    ("scores", "caution"),
    [
        (np.linspace(20, 80, 12), "fewer than 20 instances"),
        (np.linspace(20, 80, 30), None),
        (stats.expon.ppf(np.linspace(0.02, 0.98, 30), scale=20), "skewed scores of fewer than 60 instances"),
        (stats.expon.ppf(np.linspace(0.02, 0.98, 60), scale=20), None),
    ],
)
def test_an_interval_that_may_be_too_narrow_says_why(scores: Any, caution: str | None) -> None:
    found = evaluated({("taboo", "a", "e", f"instance_{n:05d}"): score(each) for n, each in enumerate(scores)})
    cell = found["models"]["a"]["games"]["taboo"]
    assert cell["intervals"]["clemscore"]["caution"] == cell["intervals"]["quality_score"]["caution"] == caution


def test_equal_scores_are_not_certain() -> None:
    scores = {("taboo", "a", "e", f"instance_{n:05d}"): score(100.0) for n in range(20)}
    interval = evaluated(scores)["models"]["a"]["intervals"]["clemscore"]
    assert (interval["method"], interval["high"]) == ("constant", 100)
    assert interval["low"] == pytest.approx(83.9, abs=0.1)


def test_figures_do_not_depend_on_order_or_on_other_cells() -> None:
    rng = np.random.default_rng(8)
    values = [None if value < 20 else value for value in rng.uniform(0, 100, 24)]
    scores = {("taboo", "a", f"e{n % 3}", f"instance_{n:05d}"): score(main) for n, main in enumerate(values)}
    alone = evaluated(scores)["models"]["a"]
    more = {("taboo", "b", "e", f"instance_{n:05d}"): score(n) for n in range(5)}
    backwards = evaluated({**more, **dict(reversed(scores.items()))})["models"]["a"]
    assert alone == backwards
    assert list(alone["games"]["taboo"]["experiments"]) == ["e0", "e1", "e2"]
    single = alone["games"]["taboo"]["intervals"]["clemscore"]
    assert {key: single[key] for key in ("low", "high")} == {
        key: alone["intervals"]["clemscore"][key] for key in ("low", "high")
    }


@pytest.mark.parametrize("outcome", ["error", "limit", "missing", "unscored"])
def test_episodes_without_scores_widen_every_interval(outcome: str) -> None:
    scores: dict[Any, Any] = {
        ("taboo", "a", "e", f"instance_{n:05d}"): score(10.0 * (n % 8), Success=n % 2) for n in range(30)
    }
    complete = evaluated(scores)["models"]["a"]
    scores["taboo", "a", "e", "instance_00099"] = outcome
    planted = evaluated(scores)["models"]["a"]
    assert planted["clemscore"] is None
    cell = planted["games"]["taboo"]
    assert cell["counts"][outcome] == cell["experiments"]["e"]["counts"][outcome] == planted["counts"][outcome] == 1
    assert cell["counts"]["planned"] == 31
    for name, interval in cell["intervals"].items():
        before = complete["games"]["taboo"]["intervals"][name]
        assert interval["low"] <= before["low"] + 0.3, name
        assert interval["high"] >= before["high"], name
        assert interval["method"] == "bounds"
    # Whatever becomes of the episode, the interval holds the one that it leads to.
    for main in (None, 0.0, 50.0, 100.0):
        scores["taboo", "a", "e", "instance_00099"] = score(main, Success=0)
        then = evaluated(scores)["models"]["a"]["intervals"]["clemscore"]
        assert planted["intervals"]["clemscore"]["low"] <= then["low"] + 0.3
        assert planted["intervals"]["clemscore"]["high"] >= then["high"] - 0.3


def test_epochs_give_variances_and_pass_at_k() -> None:
    rng = np.random.default_rng(9)
    scores, won = {}, np.zeros((40, 4))
    for instance in range(40):
        share = rng.beta(1, 1)
        for epoch in range(4):
            won[instance, epoch] = rng.random() < share
            names = ("taboo", "a", "e", f"epoch_{epoch + 1:05d}/instance_{instance:05d}")
            success = won[instance, epoch]
            scores[names] = score(100.0 * success, Success=success, Lose=1 - success)
    cell = evaluated(scores)["models"]["a"]["games"]["taboo"]
    assert (cell["instances"], cell["epochs"]) == (40, 4)
    points = 100 * won
    within = points.var(axis=1, ddof=1).mean()
    assert cell["variance"]["within_instances"] == pytest.approx(within, abs=1e-3)
    between = points.mean(axis=1).var(ddof=1) - within / 4
    assert cell["variance"]["between_instances"] == pytest.approx(between, abs=1e-3)
    by_k = {each["k"]: each for each in cell["pass_at"]}
    assert list(by_k) == [1, 2, 3, 4]
    assert by_k[1]["any"]["value"] == by_k[1]["all"]["value"] == pytest.approx(100 * won.mean(), abs=1e-3)
    assert by_k[4]["any"]["value"] == pytest.approx(100 * won.max(axis=1).mean(), abs=1e-3)
    assert by_k[4]["all"]["value"] == pytest.approx(100 * won.min(axis=1).mean(), abs=1e-3)
    # Epochs repeat each other, so the interval is wider than that of as many instances.
    interval = cell["intervals"]["success_percent"]
    alike = stats.binomtest(int(won.sum()), 160).proportion_ci(method="wilson")
    assert interval["high"] - interval["low"] > 100 * (alike.high - alike.low) * 1.2


def test_results_json_is_written_with_intervals(tmp_path: Path) -> None:
    for number, main in enumerate([10.0, 50.0, 90.0]):
        folder = tmp_path / f"mock/taboo/high/instance_{number:05d}"
        folder.mkdir(parents=True)
        (folder / "scores.json").write_text(json.dumps({"episode scores": score(main)}))
    figures = evaluate(tmp_path).figures
    assert figures == json.loads((tmp_path / "results.json").read_text())
    assert figures["statistics"] == {"level": 0.95, "resamples": 10_000, "seed": 0}
    assert 0 <= figures["models"]["mock"]["intervals"]["clemscore"]["low"] < 50
