"""How often intervals cover the truth in simulated runs, as the tables of docs/statistics.md.

    python benches/intervals.py coverage [--runs 2000]       the whole grid; about an hour on one core
    python benches/intervals.py coverage --quick             a small part of it
    python benches/intervals.py until [--runs 400]           the stopping rule of clem run --until
    python benches/intervals.py percentile                   the plain percentile interval, for comparison

Instances are drawn in experiments of different difficulty, with epochs that vary within instances. A cell of the
table is the percentage of simulated runs whose 95 % interval holds the true mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from clemcore._core import mean_interval, proportion_interval
from clemcore.clemgame.runs.until import looks_of

_SIZES, _EXPERIMENTS, _EPOCHS = (20, 40, 60, 100, 200, 500), (1, 4, 12), (1, 8)
_LEAST = 5  # instances of an experiment
_RESAMPLES = 1000

Strata = list[list[tuple[float, float]]]
# Draws a run: the sums of each instance by experiment, and the true mean.
Draw = Callable[[Any, int, int, int], tuple[Any, float]]


def _bell(rng: Any, experiments: int, each: int, epochs: int) -> tuple[Any, float]:
    middles, spread = rng.uniform(30, 70, experiments), rng.uniform(5, 15, experiments)[:, None]
    instances = middles[:, None] + spread * rng.normal(size=(experiments, each))
    return instances * epochs + 10 * np.sqrt(epochs) * rng.normal(size=(experiments, each)), middles.mean()


def _skewed(rng: Any, experiments: int, each: int, epochs: int) -> tuple[Any, float]:
    """Most scores are low and a few are high: exponential, with epochs that vary around the instance."""
    middles = rng.uniform(10, 40, experiments)
    instances = rng.exponential(middles[:, None], (experiments, each))
    return instances * rng.gamma(4 * epochs, 1 / 4, (experiments, each)), middles.mean()


def _steps(rng: Any, experiments: int, each: int, epochs: int) -> tuple[Any, float]:
    """A few values, as in taboo: 100 divided by the number of guesses, or 0."""
    values = np.array([100, 50, 100 / 3, 0])
    shares = rng.dirichlet(np.ones(4), experiments)
    sums = np.zeros((experiments, each))
    for row, share in enumerate(shares):
        own = rng.dirichlet(4 * share + 1e-3, each)
        for column in range(each):
            sums[row, column] = rng.multinomial(epochs, own[column]) @ values
    # The mean of a Dirichlet distribution is its normalised parameter.
    wanted = (4 * shares + 1e-3) / (4 * shares + 1e-3).sum(axis=1, keepdims=True)
    return sums, float((wanted @ values).mean())


def _paired(rng: Any, experiments: int, each: int, epochs: int) -> tuple[Any, float]:
    """Differences of two models on the same instances: what is hard for one is hard for the other."""
    ability = rng.uniform(0.3, 0.7, (2, 1, 1)) + rng.uniform(-0.1, 0.1, (2, experiments, 1))
    hard = rng.normal(0, 0.15, (experiments, each))
    chances = np.clip(ability + hard, 0, 1)
    sums = 100 * rng.binomial(epochs, chances)
    # The mean of the clipped chances, by numbers enough.
    many = np.clip(ability + rng.normal(0, 0.15, (experiments, 4000)), 0, 1).mean(axis=2)
    return sums[0] - sums[1], float(100 * (many[0] - many[1]).mean())


def _share(low: float, high: float) -> Draw:
    def draw(rng: Any, experiments: int, each: int, epochs: int) -> tuple[Any, float]:
        shares = rng.uniform(low, high, experiments)
        own = rng.beta(3 * shares[:, None], 3 * (1 - shares[:, None]), (experiments, each))
        return rng.binomial(epochs, own), shares.mean()

    return draw


KINDS: dict[str, Draw] = {
    "proportion, 0.2 to 0.8": _share(0.2, 0.8),
    "proportion, 0.02 to 0.1": _share(0.02, 0.1),
    "score, bell-shaped": _bell,
    "score, few values": _steps,
    "score, skewed": _skewed,
    "difference of two models": _paired,
}


def coverage_of(kind: str, size: int, experiments: int, epochs: int, runs: int) -> float:
    """Return the share of simulated runs whose interval covers the truth."""
    rng = np.random.default_rng([size, experiments, epochs, list(KINDS).index(kind)])
    covered = 0
    for run in range(runs):
        sums, truth = KINDS[kind](rng, experiments, size // experiments, epochs)
        strata: Strata = [[(float(value), float(epochs)) for value in row] for row in sums]
        if kind.startswith("proportion"):
            found = proportion_interval(strata)
        else:
            bounded = (0.0, 100.0) if kind.endswith("few values") else None
            found = mean_interval(strata, resamples=_RESAMPLES, seed=run, range=bounded)
        covered += found is not None and found[0] <= truth <= found[1]
    return covered / runs


def coverage(runs: int, *, quick: bool) -> None:
    """Print the table of coverage: a line for each kind of figure and shape of a run."""
    print("| figure | experiments | epochs |", " | ".join(f"n = {size}" for size in _SIZES), "|", sep=" ")
    print("|---|---|---|" + "---|" * len(_SIZES))
    for kind in KINDS:
        for experiments in _EXPERIMENTS[:: 2 if quick else 1]:
            for epochs in _EPOCHS[: 1 if quick else 2]:
                cells = []
                for size in _SIZES:
                    if size // experiments < _LEAST or (quick and size > 100):
                        cells.append("")
                        continue
                    cells.append(f"{100 * coverage_of(kind, size, experiments, epochs, runs):.1f}")
                print(f"| {kind} | {experiments} | {epochs} |", " | ".join(cells), "|")
                sys.stdout.flush()


def until(runs: int) -> None:
    """Print how often the last interval of a cell that stopped early covers the truth, and how much was played."""
    print("| scores | width | instances | played | coverage |\n|---|---|---|---|---|")
    for kind in ("score, bell-shaped", "score, few values", "score, skewed"):
        for width in (5.0, 10.0, 20.0):
            rng = np.random.default_rng([int(width), list(KINDS).index(kind)])
            covered, played = 0, []
            for run in range(runs):
                sums, truth = KINDS[kind](rng, 4, 160, 1)
                looks = looks_of(640, 4)
                for size in looks.sizes:
                    strata = [[(float(value), 1.0) for value in row[: size // 4]] for row in sums]
                    found = mean_interval(strata, level=looks.level, resamples=_RESAMPLES, seed=run)
                    if found is not None and found[1] - found[0] <= width:
                        break
                played.append(size)
                covered += found is not None and found[0] <= truth <= found[1]
            print(f"| {kind} | {width:g} | 640 | {np.mean(played):.0f} | {100 * covered / runs:.1f} |")
            sys.stdout.flush()


def percentile(runs: int) -> None:
    """Print how often the plain percentile interval covers the mean of 4 experiments of 5 instances."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(runs):
        scores, truth = _steps(rng, 4, 5, 1)
        again = np.take_along_axis(scores[None], rng.integers(5, size=(_RESAMPLES, 4, 5)), axis=2)
        low, high = np.percentile(again.mean(axis=(1, 2)), [2.5, 97.5])
        covered += low <= truth <= high
    print(f"percentile interval, score, few values, 4 experiments of 5 instances: {100 * covered / runs:.1f}")


def main() -> None:
    """Run the part that is named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=["coverage", "until", "percentile"])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.part == "until":
        until(given.runs)
    elif given.part == "percentile":
        percentile(given.runs)
    else:
        coverage(given.runs, quick=given.quick)


if __name__ == "__main__":
    main()
