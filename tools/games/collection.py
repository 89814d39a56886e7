"""A collection of games on disk: list its games, and copy it with few instances per game."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT = {".git", "__pycache__", "venv", ".venv"}


@dataclass(frozen=True)
class Game:
    """A game of a collection, with the file of its instances."""

    name: str
    folder: Path
    instances: Path

    def planned(self) -> int | None:
        """Count the instances. It is None without an instance file."""
        if not self.instances.exists():
            return None
        return sum(len(each["game_instances"]) for each in json.loads(self.instances.read_bytes())["experiments"])


def games_of(collection: Path) -> Iterator[Game]:
    """Yield every game of the collection, in the order of its folders."""
    for path in sorted(collection.rglob("clemgame.json")):
        if LEFT_OUT & set(path.relative_to(collection).parts):
            continue
        specs = json.loads(path.read_bytes())
        for spec in specs if isinstance(specs, list) else [specs]:
            name = spec.get("instances") or "instances"
            yield Game(spec["game_name"], path.parent, path.parent / "in" / f"{name.removesuffix('.json')}.json")


def copy_trimmed(collection: Path, to: Path, *, experiments: int, instances: int) -> None:
    """Copy the collection, and keep only the first instances of the first experiments of each game."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(collection, to, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    for game in games_of(to):
        if game.instances.exists():
            content = json.loads(game.instances.read_bytes())
            content["experiments"] = content["experiments"][:experiments]
            for experiment in content["experiments"]:
                experiment["game_instances"] = experiment["game_instances"][:instances]
            game.instances.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
