"""Putting the files of a run's shards together into one file. Contradictory data is refused.

Calls that were paid for stay, also those of attempts that no longer count. It does not know games.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clemcore.clemgame.store import belonging, schema
from clemcore.clemgame.store.contents import ENDED
from clemcore.clemgame.store.faults import write_error
from clemcore.clemgame.store.frames import differs_frame
from clemcore.clemgame.store.lock import WriterLock, lock_file
from clemcore.clemgame.store.pieces import Cutter
from clemcore.clemgame.store.reader import RANK, RunReader, StoredEpisode
from clemcore.clemgame.store.writer import RunStore
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey

# Where the new file is made, in the folder of the run.
_WORK = ".merging"
_SHOWN = 10
# What an episode notes about the calls of its only attempt.
_USAGE = "usage"


@dataclass(frozen=True)
class Merged:
    """What was put together.

    Attributes:
        files: how many files there were; 1 if there was nothing to do.
        episodes: how many episodes the new file has.
    """

    files: int
    episodes: int


def merge(folder: Path, *, left_out: frozenset[str] = frozenset()) -> Merged:
    """Put the files of a run together into ``store.sqlite3``, and remove those of the shards.

    The new file is read again and compared before it takes the place of the others. A kill leaves the old files, or
    all of them; the same command then ends the work.

    Args:
        folder: the folder of the run.
        left_out: the names of notes that only a shard needs.

    Raises:
        StoreError: a process writes the run, a file is damaged, or two files contradict each other; nothing was
            changed.
    """
    paths = schema.store_files(folder)
    work = folder / _WORK
    with contextlib.ExitStack() as stack:
        for path in paths:
            lock = WriterLock(path)
            stack.callback(lock.release)
        try:
            shutil.rmtree(work, ignore_errors=True)
            with RunReader(folder) as reader:
                if [path.name for path in paths] == [schema.NAME]:
                    return Merged(1, len(reader.states()))
                attempts = _attempts(reader)
                if reader.problems:
                    raise StoreError(f"{folder}: nothing is put together: {reader.problems[0]}")
                _refuse_contradictions(reader, attempts)
                _write(reader, attempts, work, left_out)
                _compare(reader, attempts, work)
            (work / schema.NAME).replace(folder / schema.NAME)
            for path in paths:
                if path.name != schema.NAME:
                    path.unlink()
                    lock_file(path).unlink(missing_ok=True)
        except OSError as fault:
            raise write_error(folder / schema.NAME, fault) from fault
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Merged(len(paths), len(attempts))


def _attempts(reader: RunReader) -> dict[EpisodeKey, list[StoredEpisode]]:
    """Return for each episode what the files have of it, the one that counts last; equal ones come once."""
    found: dict[EpisodeKey, list[StoredEpisode]] = {}
    for index, file in enumerate(reader.files):
        for episode in file.episodes(index):
            found.setdefault(episode.key, []).append(episode)
    for key, episodes in found.items():
        begun = [each for each in episodes if each.state.attempts] or episodes[:1]
        begun.sort(key=lambda each: (RANK[each.state.state], each.ended or "", each.file))
        found[key] = [
            each
            for number, each in enumerate(begun)
            if not any(_are_equal(reader, each, b) for b in begun[:number])
        ]
    return dict(sorted(found.items(), key=lambda item: (item[1][-1].place, item[0])))


def _are_equal(reader: RunReader, one: StoredEpisode, other: StoredEpisode) -> bool:
    """Tell whether two files have the same of an episode, as after a merge that was killed at its end."""
    return (one.state, one.ended, one.facts) == (other.state, other.ended, other.facts) and (
        reader.interactions(one) == reader.interactions(other) and reader.calls(one) == reader.calls(other)
    )


def _refuse_contradictions(reader: RunReader, attempts: dict[EpisodeKey, list[StoredEpisode]]) -> None:
    faults = [fault for key, found in attempts.items() for fault in _contradictions(reader, key, found)]
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        lines = "\n".join(f"  {fault}" for fault in faults[:_SHOWN])
        raise StoreError(
            f"{reader.folder}: the files of the run contradict each other, so they are left as they are:\n{lines}"
            f"{more}\n  Move the files that do not belong to the run out of its folder, and merge again"
        )


def _contradictions(reader: RunReader, key: EpisodeKey, found: Sequence[StoredEpisode]) -> Iterator[str]:
    names = [reader.files[each.file].path.name for each in found]
    played = [name for name, each in zip(names, found, strict=True) if each.state.state == "played"]
    if len(played) > 1:
        yield f"{key} was completed in {' and in '.join(played)}, with different calls"
    last = found[-1]
    for name, each in zip(names[:-1], found, strict=False):
        for what, value in (("instance", reader.instance), ("experiment", reader.experiment)):
            if value(each) != value(last):
                yield f"{key} has one {what} in {name} and another one in {names[-1]}"


def _write(
    reader: RunReader, attempts: dict[EpisodeKey, list[StoredEpisode]], work: Path, left_out: frozenset[str]
) -> None:
    with RunStore.open(work) as store:
        for number, found in enumerate(attempts.values(), 1):
            last = found[-1]
            file = reader.files[last.file]
            cutter = Cutter(store.number_of)
            has_ended = last.state.state in ENDED
            frames: list[bytes] = []
            for each in found:
                if frames:
                    frames.append(differs_frame(0))  # the calls so far no longer count
                frames += reader.files[each.file].cut_again(
                    each.number,
                    cutter,
                    has_ended=each.state.state in ENDED,
                    with_events=each is last and not has_ended,
                )
            facts = {name: value for name, value in last.facts.items() if len(found) == 1 or name != _USAGE}
            store.put(
                number,
                last,
                sum(each.state.attempts for each in found),
                planned=(file.piece(last.pieces[0]), file.piece(last.pieces[1])),
                body=(file.interactions(last.number), b"".join(frames)),
                facts=facts,
                scores=file.scores(last.number),
            )
        notes = reader.notes()
        if belonging.NOTE in notes:
            notes[belonging.NOTE] = belonging.newest(file.played_with() for file in reader.files)
        for name, value in notes.items():
            if name not in left_out:
                store.note(name, value)


def _compare(reader: RunReader, attempts: dict[EpisodeKey, list[StoredEpisode]], work: Path) -> None:
    """Read the new file, and compare it with those that it comes from."""
    with RunReader(work) as merged:
        for key, found in attempts.items():
            old, new = found[-1], merged.episode(key)
            same = (
                old.state.state == new.state.state
                and reader.interactions(old) == merged.interactions(new)
                and reader.calls(old) == merged.calls(new)
                and (old.state.state in ENDED or reader.events(old) == merged.events(new))
                and reader.instance(old) == merged.instance(new)
            )
            if not same:
                raise StoreError(
                    f"{reader.folder}: {key} is not the same in the new file, which is a bug in clemcore; please "
                    "report it. The files of the shards are left as they are"
                )
