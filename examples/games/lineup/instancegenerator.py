"""Makes the instances of the line-up: ``python instancegenerator.py`` writes ``in/instances.json``.

Suspects are lists of features, and no two are equal. In the experiment ``look_alikes``, each innocent suspect
differs from the guilty one in one or two features only, so most statements leave many suspects. The same seed gives
the same file.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from clemcore.clemgame import GameInstanceGenerator

SEED = 2611
INSTANCES = 6
# Suspects, words of a statement, and how many features an innocent suspect may have different (None: any number).
EXPERIMENTS = {"easy": (6, 8, None), "few_words": (10, 3, None), "look_alikes": (10, 3, 2)}

Suspect = dict[str, str]


def draw_suspect(features: dict[str, list[str]]) -> Suspect:
    """Return a suspect with random features."""
    return {name: random.choice(values) for name, values in features.items()}


def disguise(suspect: Suspect, features: dict[str, list[str]], most: int) -> Suspect:
    """Return a copy that differs in one feature, or in at most `most` features."""
    changed = dict(suspect)
    for name in random.sample(sorted(features), random.randint(1, most)):
        changed[name] = random.choice([value for value in features[name] if value != suspect[name]])
    return changed


class LineupGenerator(GameInstanceGenerator):
    """Draws one guilty suspect and innocent ones."""

    def on_generate(self, seed: int | None, **kwargs: Any) -> None:
        """Add all experiments; the framework has seeded `random`."""
        people = self.load_json("resources/people")
        for name, (number, words, most) in EXPERIMENTS.items():
            experiment = self.add_experiment(name)
            experiment["witness_prompt"] = self.load_template("resources/witness")
            experiment["detective_prompt"] = self.load_template("resources/detective")
            experiment["statement_words"] = words
            experiment["question_words"] = 12
            experiment["rounds"] = 5
            experiment["max_parse_errors"] = 2
            experiment["max_violations"] = 2
            for game_id in range(INSTANCES):
                instance = self.add_game_instance(experiment, game_id)
                instance.update(self._draw(people, number, most))

    @staticmethod
    def _draw(people: dict[str, Any], number: int, most: int | None) -> dict[str, Any]:
        features = people["features"]
        names = random.sample(people["names"], number)
        guilty = draw_suspect(features)
        suspects = [guilty]
        while len(suspects) < number:
            other = draw_suspect(features) if most is None else disguise(guilty, features, most)
            if other not in suspects:
                suspects.append(other)
        random.shuffle(suspects)
        return {
            "suspects": dict(zip(names, suspects, strict=True)),
            "guilty": names[suspects.index(guilty)],
        }


def main() -> None:
    """Write all instances; ``small.json`` gets the first of each experiment, for a quick look (``-i small``)."""
    generator = LineupGenerator(str(Path(__file__).resolve().parent))
    generator.generate(seed=SEED)
    for experiment in generator.instances["experiments"]:
        del experiment["game_instances"][1:]
    generator.store_file(generator.instances, "small.json", sub_dir="in")


if __name__ == "__main__":
    main()
