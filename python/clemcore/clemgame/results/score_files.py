"""Finds episodes and their scores in any results: files of every release, and what the store of a run keeps.

They come in the order in which 3.7.2 read them, which is that of the folders on disk. It does not know what a score
means.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clemcore.clemgame.layout.file_state import State
from clemcore.clemgame.layout.found import SIGNS, found_at, read_json, run_and_epoch
from clemcore.clemgame.layout.names import component, episode_folder, name_of
from clemcore.clemgame.layout.walking import walk
from clemcore.clemgame.results.known_scores import FILE, KnownEpisodes, KnownScores, settled_state_of
from clemcore.clemgame.store.schema import is_store_file
from clemcore.errors import MixedRunError, StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey

# Longer names may have been cut, and a percent sign may stand for another character.
_SURE = 100
_SHORT = re.compile(r"(.*/)?instance_(\d{1,4})", re.DOTALL)


class ScoreNames(NamedTuple):
    """How an episode is named in the tables, in 3.7.2's order."""

    game: str
    model: str
    experiment: str
    episode: str

    def scope(self) -> ScoreNames:
        """Return what two folders of one episode have in common: ``instance_7`` is ``instance_00007``."""
        found = _SHORT.fullmatch(self.episode)
        return self._replace(episode=f"{found[1] or ''}instance_{found[2]:0>5}") if found else self


# What became of an episode. Only a scored one has scores.
SCORED, UNSCORED, ERROR, LIMIT, MISSING = "scored", "unscored", "error", "limit", "missing"
_OF_STATES = {"played": UNSCORED, "error": ERROR, "limit": LIMIT}


@dataclass
class EpisodeScores:
    """The scores of one episode, which may be unreadable, or why it has none.

    Attributes:
        names: how the tables name it.
        path: the file of its scores, or where it would be.
        outcome: "scored", "unscored" (it was played), "error", "limit", or "missing" (it did not end).
        kept: the content of its ``scores.json`` if the store keeps it; None if it is a file.
        fault: why the store cannot give its scores, or "".
        is_lasting: whether its names are sure to be the same as long as its path is.
        state: the state of its file when it was read, or None if it may change unseen.
    """

    names: ScoreNames
    path: str
    outcome: str = SCORED
    kept: bytes | None = field(default=None, repr=False)
    fault: str = ""
    is_lasting: bool = False
    state: State | None = None

    @property
    def place(self) -> Path:
        """Where its scores are, or would be."""
        return Path(self.path)

    def read(self) -> bytes:
        """Return the content of ``scores.json``.

        Raises:
            OSError: it cannot be read.
        """
        if self.fault:
            raise OSError(errno.EIO, self.fault)
        if self.kept is not None:
            return self.kept
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123 - a run has many
            if self.is_lasting:
                self.state = settled_state_of(os.fstat(file.fileno()))
            return file.readall()


def find_scores(path: Path | str) -> Iterator[EpisodeScores]:
    """Give the scores of all scored episodes below a folder; the arguments are those of :func:`find_outcomes`."""
    return (found for found in find_outcomes(path) if found.outcome == SCORED)


def find_outcomes(path: Path | str, unreadable: list[tuple[Path, str]] | None = None) -> Iterator[EpisodeScores]:
    """Give all episodes below a folder; arguments and errors are those of :func:`find_changes`."""
    return (each for each in find_changes(path, unreadable, None) if not isinstance(each, KnownEpisodes))


def find_changes(
    path: Path | str, unreadable: list[tuple[Path, str]] | None, known: KnownScores | None
) -> Iterator[EpisodeScores | KnownEpisodes]:
    """Give all episodes below a folder, with their scores if they have some.

    Args:
        path: a run, a folder that holds some at any depth, or a folder within a run.
        unreadable: takes the folders of runs whose store cannot be read, or not all of it, and why. Their classic
            files count, if they are surely of this run.
        known: scores that were read before; of folders whose scores are as they were, their numbers are given.

    Raises:
        StoreError: a store cannot be read, and there is no list to note it.
    """
    # The store of a run knows better than its files what became of an episode.
    of_store = "\0"
    names = _Names()
    for folder, folders, files in walk(Path(path).absolute(), None if known is None else known.is_unchanged):
        if known is not None and (last := known.take_last()) is not None:
            yield last
            continue
        if any(map(is_store_file, files)):
            try:
                yield from _of_store(Path(folder), unreadable)
                of_store = os.path.join(folder, "")  # noqa: PTH118 - a text, because folders are many
            except StoreError as fault:
                if unreadable is None:
                    raise
                unreadable.append((Path(folder), str(fault)))
                if isinstance(fault, MixedRunError):
                    folders.clear()
                    continue
        is_episode = FILE in files or not SIGNS.isdisjoint(files)
        if is_episode and (FILE in files or not folder.startswith(of_store)):
            outcome = SCORED if FILE in files else _outcome(Path(folder), files)
            of = names.of(folder, files)
            yield EpisodeScores(of, f"{folder}{os.sep}{FILE}", outcome, is_lasting=names.are_sure)
        if is_episode:
            folders.clear()  # what is below, such as branches, is part of this episode
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]


def _outcome(folder: Path, files: list[str]) -> str:
    if "error.json" in files:
        try:
            return LIMIT if read_json(folder / "error.json").get("outcome") == LIMIT else ERROR
        except StoreError:
            return ERROR  # the file was torn when the episode ended by it
    return UNSCORED if "interactions.json" in files else MISSING


class _Names:
    """Names episodes by their folders, as 3.7.2 did, unless names were changed to make a folder.

    Attributes:
        are_sure: whether the last names come from the path alone.
    """

    def __init__(self) -> None:
        # The last experiment with its game, run and the folder of the epoch, because episodes come together.
        self._place = ""
        self._names: tuple[str, ...] = ("", "", "", "")
        self.are_sure = False

    def of(self, folder: str, files: list[str]) -> ScoreNames:
        place, name = os.path.split(folder)
        if place != self._place:
            self._look_at(Path(place))
        game, run, experiment, epoch = self._names
        if not self.are_sure:
            found = found_at(folder, files)
            game = found.game if component(found.game) == game else game
            experiment = found.experiment if component(found.experiment) == experiment else experiment
        return ScoreNames(game, run, experiment, name_of(f"{epoch}/{name}" if epoch else name))

    def _look_at(self, place: Path) -> None:
        above = place.parent.parent
        run, epoch = run_and_epoch(above)
        game, experiment = place.parent.name, place.name
        self._place = str(place)
        names = (game, run.name, experiment, "" if epoch is None else above.name)
        self._names = tuple(map(name_of, names))
        self.are_sure = "%" not in game + experiment and max(len(game), len(experiment)) <= _SURE


def _of_store(run: Path, unreadable: list[tuple[Path, str]] | None) -> Iterator[EpisodeScores]:
    """Give the episodes whose scores are not in a file, those of missing shards included."""
    from clemcore.clemgame.store.reader import RunReader  # most of its code is for calls
    from clemcore.clemgame.store.shards import absent_episodes

    reader = RunReader(run)
    episodes = reader.episodes()
    absent = absent_episodes(reader, [episode.key for episode in episodes])
    if unreadable is not None:
        unreadable.extend((run, problem) for problem in reader.problems)
        unreadable.extend([(run, absent.problem)] if absent.problem else [])
    has_epochs = absent.has_epochs
    for key in absent.keys:
        folder = episode_folder(run, key, has_epochs=has_epochs)
        files = [each.name for each in folder.iterdir()] if folder.is_dir() else []
        if FILE not in files:
            names = _names_of(run, key, folder, has_epochs=has_epochs)
            yield EpisodeScores(names, str(folder / FILE), _outcome(folder, files))
    for stored in episodes:
        folder = episode_folder(run, stored.key, has_epochs=has_epochs)
        if (folder / FILE).is_file():
            continue
        scores, fault = b"", ""
        try:
            scores = reader.scores(stored)
        except StoreError as damage:
            fault = str(damage)
        outcome = SCORED if scores or fault else _OF_STATES.get(stored.state.state, MISSING)
        names = _names_of(run, stored.key, folder, has_epochs=has_epochs)
        yield EpisodeScores(names, str(folder / FILE), outcome, scores or None, fault)


def _names_of(run: Path, key: EpisodeKey, folder: Path, *, has_epochs: bool) -> ScoreNames:
    episode = f"epoch_{key.epoch:05d}/{folder.name}" if has_epochs else folder.name
    return ScoreNames(key.game, name_of(run.name), key.experiment, episode)
