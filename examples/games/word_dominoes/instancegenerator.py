"""Makes the instances of word dominoes: ``python instancegenerator.py`` writes ``in/instances.json``.

The generator finds the longest row of each instance by search, so the score has a known maximum. It also plays each
instance many times with random fitting stones. The mean of these games is in the instance as ``random_play``: a
player who does not think ahead gets about this score. The same seed gives the same file.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from clemcore.clemgame import GameInstanceGenerator

SEED = 2611
INSTANCES = 6
# Stones, stones of the longest row, and the limits of random play (in percent of the longest row).
EXPERIMENTS = {
    "short": (6, 6, (60, 85)),
    "long": (12, 12, (40, 70)),
    "dead_ends": (12, 8, (30, 60)),
}
RANDOM_GAMES = 200


def longest_row(letter: str, stones: frozenset[str]) -> int:
    """Return how many stones the longest row has that begins with a letter."""
    return max((1 + longest_row(word[-1], stones - {word}) for word in stones if word[0] == letter), default=0)


def play_at_random(letter: str, stones: frozenset[str]) -> int:
    """Lay random fitting stones until none fits, and return their number."""
    laid = 0
    while fitting := sorted(word for word in stones if word[0] == letter):
        word = random.choice(fitting)
        letter, stones, laid = word[-1], stones - {word}, laid + 1
    return laid


def draw(words: list[str], number: int, longest: int) -> tuple[str, list[str]]:
    """Return a start and stones: a row of the wanted length, and other stones that attach to it."""
    start, *rest = random.sample(words, len(words))
    row: list[str] = []
    letter = start[-1]
    for word in rest:
        if len(row) < longest and word[0] == letter:
            row.append(word)
            letter = word[-1]
    letters = {word[-1] for word in [start, *row]}
    others = [word for word in rest if word not in row and word[0] in letters]
    stones = row + others[: number - len(row)]
    random.shuffle(stones)
    return start, stones


class WordDominoesGenerator(GameInstanceGenerator):
    """Draws stones until an instance has the wanted longest row and the wanted difficulty."""

    def on_generate(self, seed: int | None, **kwargs: Any) -> None:
        """Add all experiments; the framework has seeded `random`."""
        words = self.load_file("resources/words.txt").split()
        rules = self.load_template("resources/rules")
        for name, (number, longest, limits) in EXPERIMENTS.items():
            experiment = self.add_experiment(name)
            experiment["rules"] = rules
            experiment["max_parse_errors"] = 2
            experiment["max_violations"] = 2
            for game_id in range(INSTANCES):
                start, stones, percent = self._find(words, number, longest, limits)
                instance = self.add_game_instance(experiment, game_id)
                instance["start"] = start
                instance["stones"] = stones
                instance["longest"] = longest
                instance["random_play"] = percent

    @staticmethod
    def _find(words: list[str], number: int, longest: int, limits: tuple[int, int]) -> tuple[str, list[str], float]:
        while True:
            start, stones = draw(words, number, longest)
            letter, unused = start[-1], frozenset(stones)
            if len(stones) != number or longest_row(letter, unused) != longest:
                continue
            games = [play_at_random(letter, unused) for _ in range(RANDOM_GAMES)]
            percent = round(100 * sum(games) / (longest * RANDOM_GAMES), 1)
            if limits[0] <= percent <= limits[1]:
                return start, stones, percent


def main() -> None:
    """Write all instances; ``small.json`` gets the first of each experiment, for a quick look (``-i small``)."""
    generator = WordDominoesGenerator(str(Path(__file__).resolve().parent))
    generator.generate(seed=SEED)
    for experiment in generator.instances["experiments"]:
        del experiment["game_instances"][1:]
    generator.store_file(generator.instances, "small.json", sub_dir="in")


if __name__ == "__main__":
    main()
