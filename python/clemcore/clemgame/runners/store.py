"""Where the episodes of a runner are kept: the store in the folder that its callbacks write to, or nowhere.

A runner plays an instance again when it is called again, so each episode is a new epoch of its instance. It does
not know how episodes are played.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.callbacks.files import ResultsFolder
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode
from clemcore.clemgame.store import EpisodeState, RunStore, run_folder
from clemcore.errors import RunError

if TYPE_CHECKING:
    from clemcore.clemgame.store import StoredCall

# How often this process has played an instance without a folder.
_played: Counter[tuple[str, str, int]] = Counter()


def folder_of(callbacks: Any) -> Path | None:
    """Return the folder of the run that callbacks write to, or None if none of them has a results folder.

    Raises:
        RunError: 'clem run' has written a run into this folder.
    """
    for callback in _flat(callbacks):
        found = getattr(callback, "results_folder", None)
        if isinstance(found, ResultsFolder):
            folder = Path(found.results_dir_path) / found.run_dir
            _refuse_runs(folder)
            return folder
    return None


def _flat(callbacks: Any) -> Iterator[Any]:
    inner = getattr(callbacks, "callbacks", None)
    if isinstance(inner, list):
        for callback in inner:
            yield from _flat(callback)
    else:
        yield callbacks


def _refuse_runs(folder: Path) -> None:
    try:
        manifest = run_folder.read(folder)
    except RunError:  # what is there is not a run of ours: callbacks have written it
        return
    if manifest is not None:
        raise RunError(
            f"{folder}: 'clem run' has written a run into this folder, and episodes of a program would mix with "
            "its results. Give the ResultsFolder another folder or another run_dir"
        )


@contextlib.contextmanager
def opened(folder: Path | None) -> Iterator[Any]:
    """Give the store of a folder, which is closed afterwards, or one that keeps nothing.

    Raises:
        StoreError: another process writes to the folder, or its store is damaged.
    """
    if folder is None:
        yield NoStore()
        return
    with RunStore.open(folder) as store:
        yield store


class Epochs:
    """Numbers the episodes of a game: each is an epoch of its instance that the store does not have yet.

    Args:
        store: the store of the run.
        game: the name of the game.
    """

    def __init__(self, store: Any, game: str) -> None:
        states = store.states()
        self._game = game
        self._place = len(states)
        self._known = _played if isinstance(store, NoStore) else Counter[tuple[str, str, int]]()
        for key in states:
            name = (key.game, key.experiment, key.game_id)
            self._known[name] = max(self._known[name], key.epoch)

    def next(self, experiment: dict[str, Any], instance: dict[str, Any]) -> PlannedEpisode:
        """Return the next episode of an instance."""
        name = (self._game, str(experiment["name"]), int(instance["game_id"]))
        self._known[name] += 1
        self._place += 1
        return PlannedEpisode(EpisodeKey(*name, self._known[name]), experiment, instance, self._place - 1)


class NoStore:
    """Stands for the store of a run whose callbacks write no files: episodes are played, and not kept."""

    path = None
    shard = ""

    def plan(self, episodes: Iterable[PlannedEpisode]) -> None:
        """Take the plan."""

    def states(self, *, begun: bool = False) -> dict[EpisodeKey, EpisodeState]:  # noqa: ARG002 - as a store
        """Return nothing: no episode is kept."""
        return {}

    def note(self, name: str, value: Any) -> None:
        """Take a note."""

    def begin(self, key: EpisodeKey) -> _NoWriter:  # noqa: ARG002 - as a store
        """Begin an episode."""
        return _NoWriter()


class _NoWriter:
    """Stands for the writer of an episode."""

    attempt = 1
    earlier: Sequence[StoredCall] = ()

    def read_back(self, numbers: Iterable[int]) -> Sequence[StoredCall]:  # noqa: ARG002 - as a store
        """Return nothing: no call is kept, and no files are written."""
        return ()

    def event(self, event: bytes) -> None:
        """Take an event."""

    def call(self, call: StoredCall) -> None:
        """Take a call."""

    def differs_from(self, number: int) -> None:
        """Take the number of a call."""

    def share(self, turns: bytes) -> None:
        """Share what was played so far."""

    def begin_with(self, shared: None, facts: dict[str, Any]) -> None:
        """Begin with what another episode has shared."""

    def finish(self, state: str, interactions: bytes, **more: Any) -> None:
        """End the episode."""
