"""Computes what a large plan takes, from results that were played: `python benches/plan.py RESULTS`.

RESULTS is a run, or a folder that holds some, of any layout. By default the plan is that of a whole benchmark: 26
games, 30 models and 500 episodes of each game for each model. Each game counts the same.

A figure is measured where RESULTS say it. Runs with the mock have no tokens and no times of models: then the option
that is named in the table counts, and the table says "given".
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from clemcore.backends import ModelRegistry
from clemcore.clemgame.layout import write_episode
from clemcore.clemgame.layout.episodes import Episode, finished, read_episodes
from clemcore.clemgame.layout.runs import find_runs
from clemcore.clemgame.store.schema import store_files
from clemcore.clemgame.training.views import facts_of, views_of
from clemcore.errors import ClemcoreError
from clemcore.registry.prices import prices_of

_HOUR = 3600
_SAMPLE = 20


@dataclass
class Measured:
    """What the episodes of one game took.

    Attributes:
        episodes: how many were looked at.
        calls: answers of players, by a model or a program.
        characters: of the prompts, and of the answers.
        tokens: of the prompts and of the answers, as far as models counted them.
        counted: the calls whose tokens are known.
        seconds: the times of the calls that are known.
        files: files of the classic layout, and their bytes.
    """

    episodes: int = 0
    calls: int = 0
    characters: list[int] = field(default_factory=lambda: [0, 0])
    tokens: list[int] = field(default_factory=lambda: [0, 0])
    counted: int = 0
    seconds: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, episode: Episode) -> None:
        """Take an episode that was played."""
        self.episodes += 1
        for view in views_of(episode):
            for turn in view.turns:
                self.calls += 1
                self.characters[0] += sum(len(str(message.get("content"))) for message in turn.prompt)
                self.characters[1] += len(turn.answer)
        for call in episode.own_calls():
            facts = facts_of(call)
            usage = facts.get("usage") or {}
            if isinstance(usage.get("input_tokens"), int) and isinstance(usage.get("output_tokens"), int):
                self.counted += 1
                self.tokens[0] += usage["input_tokens"]
                self.tokens[1] += usage["output_tokens"]
            if isinstance(facts.get("duration_seconds"), (int, float)):
                self.seconds.append(float(facts["duration_seconds"]))
        with tempfile.TemporaryDirectory() as folder:
            whole = finished(episode)
            if whole is not None:
                sizes = [path.stat().st_size for path in write_episode(Path(folder), whole).iterdir()]
                self.files[0] += len(sizes)
                self.files[1] += sum(sizes)


def measure(results: Path, most: int) -> dict[str, Measured]:
    """Return what the episodes of each game took, from the first ones of each."""
    found: dict[str, Measured] = defaultdict(Measured)
    for episode in read_episodes(results):
        known = found[episode.key.game]
        if episode.state == "played" and known.episodes < most:
            known.add(episode)
    played = {name: known for name, known in found.items() if known.episodes}
    if not played:
        raise SystemExit(f"{results}: no episode was played to its end")
    return played


def store_bytes(results: Path) -> float | None:
    """Return the bytes of a played episode in a store, or None if there is none."""
    size = episodes = 0
    for run in find_runs(results):
        files = store_files(run)
        size += sum(path.stat().st_size for path in files)
        episodes += sum(episode.state == "played" for episode in read_episodes(run)) if files else 0
    return size / episodes if episodes else None


def game_seconds(results: Path) -> float | None:
    """Return how long an episode took in runs with the mock alone: game code and engine. None: there are none."""
    times: list[float] = []
    for run in find_runs(results):
        described: dict[str, Any] = {}
        if (run / "run.json").is_file():
            described = json.loads((run / "run.json").read_bytes())
        models = (described.get("player_models") or {}).values()
        if not models or any(model["model_spec"].get("model_name") != "mock" for model in models):
            continue
        for game in described.get("games", {}).values():
            if game.get("num_instances"):
                times.append(game["duration_seconds"] / game["num_instances"])
    return fmean(times) if times else None


def price(names: Sequence[str], given: float, made: float) -> tuple[float, int]:
    """Return the mean cost of a call in USD, and of how many models: those named, or all that have prices.

    Args:
        names: names of models.
        given: tokens of the prompt.
        made: tokens of the answer.
    """
    costs: list[float] = []
    # The first entry of a name counts: a clone has the packaged entries in its working directory, too.
    specs: dict[str, Any] = {}
    for spec in ModelRegistry.from_packaged_and_cwd_files():
        specs.setdefault(spec["model_name"], spec)
    for spec in specs.values():
        found = prices_of(spec) if not names or spec["model_name"] in names else None
        cost = None if found is None else found.cost({"input_tokens": round(given), "output_tokens": round(made)})
        if cost is not None:
            costs.append(float(cost))
    if not costs:
        raise SystemExit(f"none of the models {', '.join(names)} has prices")
    return fmean(costs), len(costs)


def mean(games: Iterable[Measured], figure: str, place: int) -> float:
    """Return the mean over games of a figure per episode."""
    return fmean(getattr(game, figure)[place] / game.episodes for game in games)


def rows(options: argparse.Namespace) -> list[tuple[str, str, str]]:
    """Return what the plan takes: a figure, its value, and where it comes from."""
    games = measure(options.results, options.sample)
    all_games = list(games.values())
    episodes = options.games * options.models * options.episodes
    per_episode = fmean(game.calls / game.episodes for game in all_games)
    calls = episodes * per_episode
    looked_at = sum(game.episodes for game in all_games)
    measured = f"measured: {looked_at} episodes of {len(games)} games"
    found = [
        ("episodes", f"{episodes:,}", f"{options.games} games x {options.models} models x {options.episodes}"),
        ("calls per episode", f"{per_episode:.1f}", measured),
        ("calls", f"{calls:,.0f}", measured),
    ]
    counted = sum(game.counted for game in all_games)
    if counted:
        tokens = [sum(game.tokens[place] for game in all_games) / counted for place in (0, 1)]
        whence = [f"measured: {counted:,} calls"] * 2
    else:
        sent = mean(all_games, "characters", 0) / per_episode
        tokens = [sent / options.characters_per_token, options.answer_tokens]
        whence = [
            f"measured: {sent:,.0f} characters, given: --characters-per-token {options.characters_per_token:g}",
            f"given: --answer-tokens {options.answer_tokens:g}",
        ]
    found += [
        ("tokens of a prompt", f"{tokens[0]:,.0f}", whence[0]),
        ("tokens of an answer", f"{tokens[1]:,.0f}", whence[1]),
        ("tokens", f"{calls * sum(tokens) / 1e9:,.1f} billion", "from these"),
    ]
    usd, priced = price(options.model, *tokens)
    found.append(("USD", f"{calls * usd:,.0f}", f"mean of the {priced} models with prices, without cached prompts"))
    return found + _times(options, all_games, calls, episodes) + _sizes(options, all_games, episodes)


def _times(
    options: argparse.Namespace, games: Sequence[Measured], calls: float, episodes: int
) -> list[tuple[str, str, str]]:
    times = [seconds for game in games for seconds in game.seconds if seconds > 0]
    seconds = fmean(times) if times else options.call_seconds
    whence = f"measured: {len(times):,} calls" if times else f"given: --call-seconds {options.call_seconds:g}"
    hours = calls * seconds / options.at_once / _HOUR
    found = [
        ("seconds of a call", f"{seconds:.2f}", whence),
        ("hours of calls", f"{hours:,.0f}", f"{options.at_once} at once: --at-once"),
        ("hours of calls, models side by side", f"{hours / options.models:,.1f}", "each with so many at once"),
    ]
    own = game_seconds(options.results)
    if own is not None:
        cores = episodes * own / _HOUR
        found += [
            ("hours of game code and engine", f"{cores:,.1f}", "measured: runs with the mock, on one core"),
            ("the same in shards", f"{cores / options.shards:,.1f}", f"{options.shards} cores: --shards"),
        ]
    return found


def _sizes(options: argparse.Namespace, games: Sequence[Measured], episodes: int) -> list[tuple[str, str, str]]:
    files, size = (mean(games, "files", place) for place in (0, 1))
    found = [
        ("files, classic layout", f"{episodes * files:,.0f}", f"measured: {files:.1f} per episode"),
        ("bytes, classic layout", _bytes(episodes * size), f"measured: {size:,.0f} per episode"),
        ("files, --layout store", f"{options.models * options.shards:,}", "a store for each shard of each model"),
    ]
    stored = store_bytes(options.results)
    if stored is not None:
        found.append(("bytes, --layout store", _bytes(episodes * stored), f"measured: {stored:,.0f} per episode"))
    return found


def _bytes(number: float) -> str:
    power = min(int(math.log(max(number, 1), 1000)), 4)
    return f"{number / 1000**power:,.1f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="a run, or a folder that holds some")
    for name, number, what in (
        ("games", 26, "games of the plan"),
        ("models", 30, "models of the plan"),
        ("episodes", 500, "episodes of each game for each model"),
        ("shards", 8, "processes that play the games of a model"),
        ("at-once", 64, "calls of a model at a time"),
        ("sample", _SAMPLE, "episodes of each game to look at"),
    ):
        parser.add_argument(f"--{name}", type=int, default=number, help=f"{what} ({number})")
    for name, value, what in (
        ("call-seconds", 3.0, "seconds of a call, where no model was timed"),
        ("answer-tokens", 100.0, "tokens of an answer, where no model has counted them"),
        ("characters-per-token", 4.0, "where no model has counted tokens"),
    ):
        parser.add_argument(f"--{name}", type=float, default=value, help=f"{what} ({value:g})")
    parser.add_argument("--model", action="append", default=[], help="take the price of this model; repeatable")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if isinstance(value, (int, float)) and value <= 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0, not {value:g}")
    try:
        found = rows(options)
    except ClemcoreError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    sys.stdout.write("| figure | value | from |\n|---|---|---|\n")
    sys.stdout.writelines(f"| {name} | {value} | {whence} |\n" for name, value, whence in found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
