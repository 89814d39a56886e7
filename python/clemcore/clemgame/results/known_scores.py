"""Keeps the scores that an evaluation has read, so that the next one reads only files that have changed.

They are in the hidden file ``.results.scores`` of the folder that is evaluated. It may be removed at any time: then
all files are read again. A file counts as unchanged if its number (inode), size, time of its last change and
time of the last change of its entry are as they were. No program can set the last one, so a file that was
replaced by one of the same size and date is read, too. (On Windows it is the time when the file was made.)

The core writes and checks the content. This module does not know what a score means.
"""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clemcore.clemgame.layout.file_state import State, has_just_changed, state_of
from clemcore.clemgame.layout.found import SIGNS
from clemcore.clemgame.layout.jsonfile import write_whole
from clemcore.clemgame.layout.names import name_of
from clemcore.clemgame.store.schema import is_store_file

if TYPE_CHECKING:
    from clemcore._core import Evaluation
    from clemcore.clemgame.results.score_files import EpisodeScores

NAME = ".results.scores"
FILE = "scores.json"
# One episode in so many may be read again before all are written again, which takes as long.
_SHARE = 32


def settled_state_of(status: os.stat_result) -> State | None:
    """Return the state of a file, or None if it has just changed, so that another change might not be seen."""
    state = state_of(status)
    return None if has_just_changed(state) else state


class KnownEpisodes(NamedTuple):
    """Episodes of one experiment whose scores are known, in the order in which they come.

    Attributes:
        first: the number of the first one among the known scores.
        number: how many there are, with the numbers that follow.
    """

    first: int
    number: int = 1

    @property
    def numbers(self) -> range:
        """Their numbers among the known scores."""
        return range(self.first, self.first + self.number)


class _Folder(NamedTuple):
    """Known episodes whose folders are in one folder.

    Attributes:
        first: the number of the first episode.
        names: the names of their folders.
        states: the states of their files.
        places: where each name is among them; filled when it is needed.
    """

    first: int
    names: list[str]
    states: list[State]
    places: dict[str, int]


class KnownScores:
    """The scores of the last evaluation of a folder.

    Args:
        evaluation: adds them.
        path: the folder.
        is_used: whether the file is read; otherwise there are none.

    Attributes:
        added: the episodes that were added to the evaluation, in this order; known ones by their numbers.
    """

    def __init__(self, evaluation: Evaluation, path: Path, *, is_used: bool = True) -> None:
        self._evaluation = evaluation
        self._path = path / NAME
        # Names of episodes come from their paths, so another place may give others.
        self._origin = str(path.absolute())
        known = b""
        if is_used:
            with contextlib.suppress(OSError):
                known = self._path.read_bytes()
        self._folders: dict[str, _Folder] = {}
        # Paths and folders by the numbers of their episodes.
        self._by_number: list[tuple[str, _Folder]] = []
        self._count = 0
        for folder, first, episodes in evaluation.recall(known, name_of(self._origin)):
            names, states = zip(*episodes, strict=True)
            path_of, of = f"{self._origin}{folder}", _Folder(first, list(names), list(states), {})
            self._folders[path_of] = of
            self._by_number.append((path_of, of))
            self._count += len(episodes)
        self._last: KnownEpisodes | None = None
        self.added: list[int | EpisodeScores] = []

    def is_unchanged(self, folder: str) -> bool:
        """Tell whether the episodes of a folder are known, and their files are as they were.

        Args:
            folder: the folder of an episode, or one that holds some.
        """
        known = self._folders.get(folder)
        if known is not None:
            if _holds_only(folder, known.names) and _are_unchanged(folder, known.names, known.states):
                self._last = KnownEpisodes(known.first, len(known.names))
            return self._last is not None
        above, _, name = folder.rpartition(os.sep)
        known = self._folders.get(above)
        if known is None:
            return False
        if not known.places:
            known.places.update({each: place for place, each in enumerate(known.names)})
        place = known.places.get(name)
        if place is not None and _are_unchanged(above, [name], [known.states[place]]):
            self._last = KnownEpisodes(known.first + place)
        return self._last is not None

    def take_last(self) -> KnownEpisodes | None:
        """Return the episodes that were unchanged at the last question, once."""
        last, self._last = self._last, None
        return last

    def names_of(self, number: int) -> tuple[str, str, str, str]:
        """Return game, line-up, experiment and episode of a known episode."""
        return self._evaluation.recalled_names(number)

    def path_of(self, number: int) -> str:
        """Return the file of the scores of a known episode."""
        at = bisect_right(self._by_number, number, key=lambda each: each[1].first) - 1
        path, folder = self._by_number[at]
        return _file(path, folder.names[number - folder.first])

    def save(self) -> None:
        """Keep the scores of all episodes that were added, unless nearly all of them are known."""
        recalled = sum(isinstance(each, int) for each in self.added)
        changed = max(len(self.added), self._count) - recalled
        if changed * _SHARE <= self._count:
            return
        places = [each if isinstance(each, int) else self._place_of(each) for each in self.added]
        data = self._evaluation.ledger(name_of(self._origin), places)
        with contextlib.suppress(OSError):  # the next evaluation reads all files again
            write_whole(str(self._path), data)

    def _place_of(self, episode: EpisodeScores) -> tuple[str, str, State] | None:
        if episode.state is None or name_of(episode.path) != episode.path:  # it is not a text
            return None
        folder, _, name = episode.path.rpartition(os.sep)[0].rpartition(os.sep)
        return folder[len(self._origin) :], name, episode.state


def _holds_only(folder: str, names: list[str]) -> bool:
    """Tell whether the folders in a folder are these, in this order, and no file makes it something else."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):  # asked without a look at the disk
                    found.append(entry.name)
                elif entry.is_symlink() or entry.name in SIGNS or entry.name == FILE or is_store_file(entry.name):
                    return False
    except OSError:
        return False
    return found == names


def _are_unchanged(folder: str, names: Iterable[str], states: Iterable[State]) -> bool:
    """Tell whether the files of episodes in a folder are as they were."""
    stat = os.stat  # a run has many
    try:
        return all(state_of(stat(_file(folder, name))) == state for name, state in zip(names, states, strict=True))
    except OSError:
        return False


def _file(folder: str, name: str) -> str:
    return f"{folder}{os.sep}{name}{os.sep}{FILE}"
