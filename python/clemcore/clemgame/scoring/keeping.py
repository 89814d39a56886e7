"""Keeps what scorers computed: in the ledger of a run, and in its store if it has one.

It does not know processes.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.scoring.candidates import Candidate
from clemcore.clemgame.scoring.ledger import Making, ScoreLedger
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey
    from clemcore.clemgame.store import RunStore

# Seconds between two writings of a ledger: a kill loses no more than what was scored in between.
_EVERY = 20.0
# Scores that wait to be written into a store.
_AT_ONCE = 200


class ScoreKeeper(contextlib.AbstractContextManager["ScoreKeeper"]):
    """Keeps scores until it is closed.

    Args:
        ledgers: the ledgers by run.
        on_scored: called with the number of episodes that were kept.

    Attributes:
        unwritten: runs with files whose store cannot be written because it is damaged, with the reason.
    """

    def __init__(self, ledgers: Mapping[str, ScoreLedger], on_scored: Callable[[int], None] | None = None) -> None:
        self._ledgers = ledgers
        self._on_scored = on_scored
        self._stores: dict[tuple[str, str], RunStore | None] = {}
        # Stores that take scores which no file has.
        self._needed: set[tuple[str, str]] = set()
        self.unwritten: dict[str, str] = {}
        self._waiting = 0
        self._saved = time.monotonic()

    def keep(self, episode: Candidate, making: Making, facts: dict[str, Any]) -> None:
        """Keep the scores of one episode.

        Args:
            episode: the episode.
            making: what the scores come from.
            facts: what the scorer's process says; "body" is the content of ``scores.json`` for a store.

        Raises:
            StoreError: the run has no classic files, and another process writes its store.
        """
        body = facts.pop("body", None)
        is_kept = body is None or self._keep_in_store(episode, body.encode())
        if is_kept:
            names = episode.game, episode.experiment
            own = {"game_id": episode.game_id, "epoch": episode.epoch, "attempt": episode.attempt}
            self._ledgers[episode.run].note(episode.name, names, making, own | facts)
        if self._on_scored is not None:
            self._on_scored(1)
        if time.monotonic() - self._saved > _EVERY:
            self._save()

    def _keep_in_store(self, episode: Candidate, body: bytes) -> bool:
        """Write scores into the store of a run; tell whether that was possible."""
        store = self._store_of(episode)
        if store is None:
            return False
        place = episode.run, episode.shard
        if not episode.has_files:
            self._needed.add(place)
        with self._writing(place):
            store.keep_scores(_key(episode), body)
        self._waiting += 1
        if self._waiting >= _AT_ONCE:
            self._waiting = 0
            for other, each in list(self._stores.items()):
                if each is not None:
                    with self._writing(other):
                        each.flush()
        return self._stores[place] is not None

    @contextlib.contextmanager
    def _writing(self, place: tuple[str, str]) -> Iterator[None]:
        """Write nothing more to a store after the block failed, unless scores would be lost.

        Raises:
            StoreError: the block failed, and some scores are not in files.
        """
        try:
            yield
        except StoreError as fault:
            if place in self._needed:
                raise
            self.unwritten[place[0]] = str(fault)
            store, self._stores[place] = self._stores[place], None
            if store is not None:
                with contextlib.suppress(StoreError):
                    store.close()

    def failed(self, episode: Candidate) -> None:
        """Forget the scores of an episode that could not be scored, and remove those that were computed here."""
        if self._ledgers[episode.run].forget(episode.name):
            with contextlib.suppress(OSError):
                os.unlink(f"{episode.folder}/scores.json")  # noqa: PTH108
        if episode.attempt and (store := self._store_of(episode)) is not None:
            with self._writing((episode.run, episode.shard)):
                store.drop_scores(_key(episode))

    def _store_of(self, episode: Candidate) -> RunStore | None:
        """Return the store that an episode is in, or None if another process writes it or it is damaged."""
        from clemcore.clemgame.store import RunStore
        from clemcore.clemgame.store.lock import writer_of
        from clemcore.clemgame.store.schema import file_name

        place = episode.run, episode.shard
        if place not in self._stores:
            try:
                self._stores[place] = RunStore.open(episode.run, shard=episode.shard)
            except StoreError as fault:
                if not episode.has_files:
                    raise
                if writer_of(Path(episode.run, file_name(episode.shard))) is None:
                    self.unwritten[episode.run] = str(fault)
                self._stores[place] = None  # a run goes on; the next scoring writes into the store
        return self._stores[place]

    def _save(self) -> None:
        self._saved = time.monotonic()
        for ledger in self._ledgers.values():
            # A folder that cannot be written to has no ledger: its episodes are scored again.
            with contextlib.suppress(OSError):
                ledger.save()

    def __exit__(self, *_: object) -> None:
        """Write what is left. The stores come first: the ledger must not say more than they hold."""
        try:
            for place, store in list(self._stores.items()):
                if store is not None:
                    with self._writing(place):
                        store.close()
        finally:
            self._save()


def _key(episode: Candidate) -> EpisodeKey:
    from clemcore.clemgame.plan import EpisodeKey  # only a store needs it

    return EpisodeKey(episode.game, episode.experiment, episode.game_id, episode.epoch)
