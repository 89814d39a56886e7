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
from pathlib import Path
from typing import TYPE_CHECKING

from clemcore.clemgame.layout.file_state import State, has_just_changed, state_of
from clemcore.clemgame.layout.jsonfile import write_whole
from clemcore.clemgame.layout.names import name_of

if TYPE_CHECKING:
    from clemcore._core import Evaluation
    from clemcore.clemgame.results.score_files import EpisodeScores

NAME = ".results.scores"
FILE = "scores.json"


def settled_state_of(status: os.stat_result) -> State | None:
    """Return the state of a file, or None if it has just changed, so that another change might not be seen."""
    state = state_of(status)
    return None if has_just_changed(state) else state


class KnownScores:
    """The scores of the last evaluation of a folder.

    Args:
        evaluation: adds them.
        path: the folder.
        is_used: whether the file is read; otherwise there are none.

    Attributes:
        added: the episodes that were added to the evaluation, in this order.
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
        self._recalled = evaluation.recall(known, name_of(self._origin))
        origin, sep = self._origin, os.sep
        self._numbers = {
            f"{origin}{folder}{sep}{name}": number for number, (_, (folder, name), _) in enumerate(self._recalled)
        }
        self._last = -1
        self.added: list[EpisodeScores] = []

    def is_unchanged(self, folder: str) -> bool:
        """Tell whether the episode of a folder is known, and its file is as it was."""
        number = self._numbers.get(folder)
        if number is None:
            return False
        try:
            status = os.stat(f"{folder}{os.sep}{FILE}")  # noqa: PTH116 - a run has many
        except OSError:
            return False
        if state_of(status) != self._recalled[number][2]:
            return False
        self._last = number
        return True

    def take_last(self) -> tuple[int, tuple[str, str, str, str], State] | None:
        """Return number, names and state of the episode that was unchanged at the last question, once."""
        number, self._last = self._last, -1
        return None if number < 0 else (number, self._recalled[number][0], self._recalled[number][2])

    def save(self) -> None:
        """Keep the scores of all episodes that were added, if they are not the known ones."""
        if len(self.added) == len(self._recalled) and all(each.known is not None for each in self.added):
            return
        data = self._evaluation.ledger(name_of(self._origin), [self._place_of(each) for each in self.added])
        with contextlib.suppress(OSError):  # the next evaluation reads all files again
            write_whole(str(self._path), data)

    def _place_of(self, episode: EpisodeScores) -> tuple[str, str, State] | None:
        if episode.state is None or name_of(episode.path) != episode.path:  # it is not a text
            return None
        folder, _, name = episode.path.rpartition(os.sep)[0].rpartition(os.sep)
        return folder[len(self._origin) :], name, episode.state
