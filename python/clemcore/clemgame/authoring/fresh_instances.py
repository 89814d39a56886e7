"""Draws fresh instances with a game's own generator, and compares them with the instances that are there.

The generator runs in a copy of the game, in a process of its own. It does not know what instances mean.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore.clemgame.layout.jsonfile import write_whole
from clemcore.clemgame.reading.instance_files import check_instances, file_name, with_ending
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.errors import GameError

GENERATOR = "instancegenerator.py"
_LEFT_OUT = shutil.ignore_patterns(".git", "__pycache__", "venv", ".venv", "node_modules", "results", "*.pyc")
_TAIL = 5
_SHOWN = 3
# The largest Kolmogorov-Smirnov distance that two samples of one distribution have in 99 of 100 cases, for large
# samples: times the root of (n + m) / (n m). N. Smirnov, Annals of Mathematical Statistics 19 (1948), 279.
_KS_99 = 1.63
# Runs the generator as its author does, with another seed: the arguments are the folder and the seed.
_RUNNER = """
import runpy, sys
from clemcore.clemgame import GameInstanceGenerator
folder, seed = sys.argv[1], int(sys.argv[2])
generate = GameInstanceGenerator.generate
def with_seed(self, filename="instances.json", seed_=None, **kwargs):
    kwargs.pop("seed", None)
    return generate(self, filename, seed=seed, **kwargs)
GameInstanceGenerator.generate = with_seed
sys.argv = ["instancegenerator.py"]
sys.path.insert(0, folder)
runpy.run_path("instancegenerator.py", run_name="__main__")
"""


@dataclass
class FieldChange:
    """How the values of one field differ between old and new instances.

    Attributes:
        name: the field.
        old: mean of its numbers, or of the lengths of its texts and lists, in the old instances.
        new: the same in the new ones.
        distance: the Kolmogorov-Smirnov distance of both samples, from 0 to 1.
        is_far: whether samples of one distribution are that far from each other in less than 1 of 100 cases.
    """

    name: str
    old: float
    new: float
    distance: float
    is_far: bool


@dataclass
class ExperimentReport:
    """How the old and the new instances of one experiment compare.

    Attributes:
        name: the experiment.
        old: how many instances it had.
        new: how many it has now.
        repeated: how many of the new ones equal an old one, apart from its number.
        fields: the fields, compared.
        missing: fields that only the old instances have.
        added: fields that only the new instances have.
    """

    name: str
    old: int
    new: int
    repeated: int
    fields: list[FieldChange] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


@dataclass
class Fresh:
    """Fresh instances of a game.

    Attributes:
        path: the file that was written.
        reports: the comparison, by experiment.
    """

    path: Path
    reports: list[ExperimentReport]

    @property
    def repeated(self) -> int:
        """How many new instances equal old ones."""
        return sum(each.repeated for each in self.reports)

    @property
    def count(self) -> int:
        """How many new instances there are."""
        return sum(each.new for each in self.reports)


def fresh_instances(spec: GameSpec, seed: int, *, to: Path | None = None) -> Fresh:
    """Draw fresh instances, and write them beside the old ones as ``in/instances_seed_S.json``.

    Args:
        spec: the game.
        seed: the seed of the generator.
        to: a folder for a copy of the game with the fresh instances. A game whose generator also writes other
            files, such as pictures, needs one.

    Raises:
        GameError: there is no generator, it fails, it does not depend on the seed, or it would replace other files.
        OSError: a file cannot be written.
    """
    game = Path(spec.game_path)
    name = with_ending(file_name(spec))
    if not (game / GENERATOR).is_file():
        raise GameError(f"{game} has no {GENERATOR}, so nothing can draw fresh instances of '{spec.game_name}'")
    if to is not None and to.exists():
        raise GameError(f"{to} exists already and is left as it is: name another folder")
    old = _read(game / "in" / name)
    with tempfile.TemporaryDirectory(prefix="clem-instances-") as folder:
        # Under the name of the game, because generators and parents of games look at it.
        copy = Path(folder) / game.parent.name / game.name
        shutil.copytree(game, copy, ignore=_LEFT_OUT)
        _copy_neighbours(game, copy)
        _generate(copy, seed)
        new = _read(copy / "in" / name)
        if old == new:
            raise GameError(
                f"{game / GENERATOR} gives the same instances with the seed {seed} as before: draw with 'random' "
                "in on_generate(), and do not seed it there, or choose a seed other than the old one"
            )
        changed = _changed(game, copy)
        files = [each for each in changed if each.endswith(".json") and Path(each).parent == Path("in")]
        others = [each for each in changed if each not in files]
        if to is not None:
            shutil.copytree(copy, to)
            return Fresh(to / "in" / name, compare(old, new))
        if others:
            shown = ", ".join(others[:_SHOWN]) + (", …" if len(others) > _SHOWN else "")
            raise GameError(
                f"the generator of '{spec.game_name}' also writes {shown}, which the old instances use. Write a "
                "copy of the game with the fresh instances: add -o FOLDER"
            )
        for each in files:
            write_whole(str(_fresh(game / each, seed)), (copy / each).read_bytes())
    path = _fresh(game / "in" / name, seed)
    return Fresh(path, compare(old, new))


def _fresh(path: Path, seed: int) -> Path:
    return path.with_name(f"{path.stem}_seed_{seed}.json")


def _copy_neighbours(game: Path, copy: Path) -> None:
    """Copy what a game shares with its variants, if the folder around it is part of the game."""
    if game.name.startswith(game.parent.name):
        for each in game.parent.iterdir():
            if each.is_file():
                shutil.copy(each, copy.parent / each.name)
            elif each != game and not (each / "clemgame.json").exists() and each.name not in ("results", ".git"):
                shutil.copytree(each, copy.parent / each.name, ignore=_LEFT_OUT)


def _generate(folder: Path, seed: int) -> None:
    command = [sys.executable, "-c", _RUNNER, str(folder), str(seed)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - its own
    if done.returncode:
        said = "; ".join(done.stderr.strip().splitlines()[-_TAIL:]).replace(str(folder), "…")
        raise GameError(f"the generator of the game in {folder.name} ended with status {done.returncode}: {said}")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as fault:
        raise GameError(f"{path} cannot be read: {fault}") from fault
    faults = [each.message for each in check_instances(value)]
    if faults:
        raise GameError(f"{path}: {'; '.join(faults[:_TAIL])}")
    found: dict[str, Any] = value
    return found


def _changed(game: Path, copy: Path) -> list[str]:
    """Return the files that the generator changed or added."""
    found = []
    for path in sorted(copy.rglob("*")):
        name = path.relative_to(copy).as_posix()
        if path.is_file() and "__pycache__" not in name:
            before = game / name
            if not before.is_file() or before.read_bytes() != path.read_bytes():
                found.append(name)
    return found


# -- comparing -------------------------------------------------------------------------------------------------
def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ExperimentReport]:
    """Compare two sets of instances, experiment by experiment; those that only one of them has come last."""
    before = {each["name"]: each["game_instances"] for each in old["experiments"]}
    after = {each["name"]: each["game_instances"] for each in new["experiments"]}
    everything = {_content(each) for instances in before.values() for each in instances}
    return [
        _of_experiment(name, before.get(name, []), after.get(name, []), everything)
        for name in dict.fromkeys([*before, *after])
    ]


def _of_experiment(
    name: str, old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], everything: set[str]
) -> ExperimentReport:
    repeated = sum(_content(each) in everything for each in new)
    report = ExperimentReport(name, len(old), len(new), repeated)
    fields = [{key for each in instances for key in each} - {"game_id"} for instances in (old, new)]
    report.missing, report.added = sorted(fields[0] - fields[1]), sorted(fields[1] - fields[0])
    for key in sorted(fields[0] & fields[1]):
        sizes = [list(_sizes(instances, key)) for instances in (old, new)]
        if all(sizes):
            distance = _distance(sizes[0], sizes[1])
            limit = _KS_99 * math.sqrt((len(sizes[0]) + len(sizes[1])) / (len(sizes[0]) * len(sizes[1])))
            before, now = (math.fsum(values) / len(values) for values in sizes)
            report.fields.append(FieldChange(key, before, now, distance, distance > limit))
    return report


def _content(instance: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in instance.items() if key != "game_id"}, sort_keys=True)


def _sizes(instances: Sequence[dict[str, Any]], key: str) -> Iterator[float]:
    """Give the numbers of a field, or the lengths of its texts, lists and objects."""
    for each in instances:
        value = each.get(key)
        if isinstance(value, (bool, int, float)):
            yield float(value)
        elif isinstance(value, (str, list, dict)):
            yield float(len(value))


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the largest difference of the distribution functions of two samples.

    Examples:
        >>> _distance([1, 2], [1, 2]), _distance([1, 2], [3, 4]), _distance([1, 2], [2, 3])
        (0.0, 1.0, 0.5)
    """
    steps = sorted({*one, *other})
    shares = [[sum(value <= step for value in sample) / len(sample) for step in steps] for sample in (one, other)]
    return max(abs(left - right) for left, right in zip(shares[0], shares[1], strict=True))
