"""The shards of a run: the part that each store file holds, and planned episodes whose shard is missing.

Which shard an episode belongs to depends on the episode alone, so a longer plan moves none to another shard. It
does not know how a plan is made or played.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.store import run_folder
from clemcore.clemgame.store.manifest import SECTION
from clemcore.clemgame.store.schema import shard_of, store_files
from clemcore.errors import RunError

if TYPE_CHECKING:
    from clemcore.clemgame.store.reader import RunReader

_TEXT = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*")
_NAME = re.compile(r"(\d+)-of-(\d+)")
# As many missing shards are named.
_SHOWN = 5


@dataclass(frozen=True)
class Shard:
    """One part of a run.

    Attributes:
        number: which one, from 1.
        count: how many there are.
        keeps_experiments: the episodes of an experiment stay together, because players remember them.
    """

    number: int
    count: int
    keeps_experiments: bool = False

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``I/N``.

        Raises:
            RunError: it is not that, or I is not one of 1 to N.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise RunError(f"shard {text!r}: must be I/N, such as 2/8 for the second of eight")
        number, count = int(found[1]), int(found[2])
        if count == 0:
            raise RunError(f"shard '{text}': a run has at least one shard, such as 1/1")
        if not 1 <= number <= count:
            raise RunError(
                f"shard '{text}': there is no shard {number} of {count}: they are 1/{count} to {count}/{count}"
            )
        return cls(number, count)

    @classmethod
    def of_store(cls, path: Path) -> Shard | None:
        """Return the shard that a store file belongs to, or None for the file of a run without shards."""
        found = _NAME.fullmatch(shard_of(path))
        return None if found is None else cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        """Write it as the option has it."""
        return f"{self.number}/{self.count}"

    @property
    def name(self) -> str:
        """Its name in the names of files."""
        return f"{self.number}-of-{self.count}"

    def has(self, key: EpisodeKey) -> bool:
        """Tell whether an episode belongs to it."""
        parts: tuple[str | int, ...] = (key.game, key.experiment, key.epoch)
        text = "\0".join(map(str, parts if self.keeps_experiments else (*parts, key.game_id)))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1

    def part_of(self, whole: int) -> int:
        """Return its part of a limit that all shards keep together; the parts add up to the limit."""
        return whole // self.count + (self.number <= whole % self.count)


def missing_shards(folder: Path, read: Iterable[Path] | None = None) -> list[Shard]:
    """Return the shards of a run that were never started, or whose files are lost.

    Args:
        folder: the folder of the run.
        read: the store files that count; None for all.
    """
    files = store_files(folder)
    found = [shard for path in files if (shard := Shard.of_store(path)) is not None]
    if not found:
        return []
    there = {shard.number for path in (files if read is None else read) if (shard := Shard.of_store(path))}
    return [Shard(number, found[0].count) for number in range(1, found[0].count + 1) if number not in there]


@dataclass(frozen=True)
class Absent:
    """Planned episodes that no readable store file of a run in shards has.

    Attributes:
        has_epochs: whether the run has a folder for each epoch.
        keys: the episodes, in the order of ``run.json``, which lists those of all shards.
        problem: which shards are missing, and what to do; "" if no episode of theirs is missing.
    """

    has_epochs: bool
    keys: Sequence[EpisodeKey] = ()
    problem: str = ""


def absent_episodes(reader: RunReader, known: Sequence[EpisodeKey]) -> Absent:
    """Return the planned episodes of shards that are missing or damaged.

    Args:
        reader: reads all files of the run.
        known: the episodes that it found.
    """
    folder = reader.folder
    missing = missing_shards(folder, [file.path for file in reader.files])
    damaged = [shard for file in reader.files if file.problems and (shard := Shard.of_store(file.path))]
    has_epochs = any(key.epoch > 1 for key in known)
    if not missing and not damaged:
        return Absent(has_epochs)
    plan = _planned(folder)
    if plan is None:
        what = f"{run_folder.FILE} does not say which episodes are missing"
        return Absent(has_epochs, (), _missing_text(folder, missing, what) if missing else "")
    keys, keeps_experiments = plan
    of_missing, of_damaged = (
        [replace(each, keeps_experiments=keeps_experiments) for each in shards] for shards in (missing, damaged)
    )
    there = set(known)
    unknown = [key for key in keys if key not in there]
    lost = {key for key in unknown if any(shard.has(key) for shard in of_missing)}
    absent = [key for key in unknown if key in lost or any(shard.has(key) for shard in of_damaged)]
    has_epochs = has_epochs or any(key.epoch > 1 for key in absent)
    what = f"{len(lost)} of {len(there.union(keys))} planned episodes are not in the store"
    return Absent(has_epochs, absent, _missing_text(folder, missing, what) if lost else "")


def _planned(folder: Path) -> tuple[list[EpisodeKey], bool] | None:
    """Return all planned episodes, and whether those of an experiment stay together; None if that is not known."""
    try:
        section = (run_folder.read(folder) or {})[SECTION]
        epochs = range(1, int(section["epochs"]) + 1)
        keys = [
            EpisodeKey(game, experiment, int(number), epoch)
            for game, about in section["games"].items()
            for experiment, one in about["experiments"].items()
            for epoch in epochs
            for number in one["instances"]
        ]
        return keys, section.get("keep_context") == "experiment"
    except (RunError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _missing_text(folder: Path, missing: Sequence[Shard], what: str) -> str:
    shown = ", ".join(map(str, missing[:_SHOWN]))
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    subject, verb, file = ("shard", "was", "file") if len(missing) == 1 else ("shards", "were", "files")
    first = folder / f"store-{missing[0].name}.sqlite3"
    places = f"{first}, …" if len(missing) > 1 else first
    return (
        f"{subject} {shown}{more} {verb} never started, or the {file} ({places}) got lost, and {what}. "
        f"Repeat the command of the run with --shard {missing[0]}, or put the {file} back"
    )
