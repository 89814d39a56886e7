"""Reads what a scorer gets: experiment, instance and interactions of an episode, from files or from a store.

It does not know scorers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clemcore.clemgame.layout.found import (
    FoundEpisode,
    in_new_form,
    parsed_interactions,
    parsed_json,
    read_experiment,
    read_json,
)
from clemcore.clemgame.scoring.ledger import State, short_hash, state_of
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey
    from clemcore.clemgame.store.reader import RunReader


class Source(NamedTuple):
    """Where an episode is.

    Attributes:
        run: the folder of its run.
        folder: the folder of its files, or where they would be.
        game: the game.
        experiment: the experiment.
        game_id: the instance.
        epoch: the epoch.
        attempt: "" if it is in files only, else what names its last attempt in the store.
        has_files: whether its scores are in a file.
    """

    run: str
    folder: str
    game: str
    experiment: str
    game_id: int
    epoch: int
    attempt: str
    has_files: bool


@dataclass
class Record:
    """What was recorded of an episode, a copy that a scorer may change.

    Attributes:
        facts: what the ledger keeps about it.
        damage: why it was read from its files although it is in a store; else "".
    """

    experiment: dict[str, Any]
    instance: dict[str, Any]
    interactions: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    damage: str = ""


class Records:
    """Reads episodes, and keeps open what they have in common."""

    def __init__(self) -> None:
        self._readers: dict[str, RunReader] = {}
        # The last experiment, because episodes come sorted by experiment.
        self._experiment: tuple[str, str] = ("", "")

    def close(self) -> None:
        """Close the stores."""
        for reader in self._readers.values():
            reader.close()

    def read(self, source: Source) -> Record:
        """Read an episode; from its files if they are there and its store is damaged.

        Raises:
            StoreError: a file is damaged; the message names it.
        """
        if not source.attempt:
            return self._of_files(source)
        try:
            return self._of_store(source)
        except StoreError as fault:
            if not source.has_files:
                raise
            try:
                found = self._of_files(source)
            except StoreError as other:
                raise StoreError(f"{other}. In the store, it cannot be read either: {fault}") from fault
            found.damage = str(fault)
            return found

    def _of_files(self, source: Source) -> Record:
        files: list[bytes] = []
        states: list[State | None] = []
        for name in ("interactions.json", "instance.json"):
            path = f"{source.folder}/{name}"
            try:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a run has many
                    states.append(state_of(file.fileno()))
                    files.append(file.readall())
            except FileNotFoundError:
                states.append(None)
                files.append(b"")
            except OSError as fault:
                raise StoreError(f"{path} cannot be read: {fault.strerror}") from fault
        facts = {
            "records": short_hash(*files),
            "interactions": states[0],
            "instance": states[1],
        }
        interactions = parsed_interactions(files[0], f"{source.folder}/interactions.json")
        instance = parsed_json(files[1], f"{source.folder}/instance.json") if states[1] is not None else {}
        experiment_of = source.folder.rpartition("/")[0]
        if self._experiment[0] != experiment_of:
            place = FoundEpisode(
                source.folder, Path(source.run), source.game, source.experiment, source.game_id, source.epoch
            )
            self._experiment = (experiment_of, json.dumps(read_experiment(place)))
        experiment = json.loads(self._experiment[1])
        names = (source.game, source.experiment, source.game_id, source.run.rpartition("/")[2])
        return Record(experiment, instance, in_new_form(interactions, names, is_completed=True), facts)

    def _of_store(self, source: Source) -> Record:
        reader = self._reader(source.run)
        stored = reader.episode(_key(source))
        text = reader.interactions(stored)
        facts = {
            "records": short_hash(text),
            "interactions": None,
            "instance": None,
        }
        interactions = reader.parsed(stored, text, "record")
        return Record(reader.experiment(stored), reader.instance(stored), interactions, facts)

    def scores(self, source: Source) -> dict[str, Any] | None:
        """Return the scores that are kept of an episode, or None."""
        path = Path(source.folder) / "scores.json"
        if path.is_file():
            return read_json(path)
        if not source.attempt:
            return None
        reader = self._reader(source.run)
        text = reader.scores(_key(source))
        found: dict[str, Any] | None = json.loads(text) if text else None
        return found

    def _reader(self, run: str) -> RunReader:
        from clemcore.clemgame.store.reader import RunReader

        if run not in self._readers:
            self._readers[run] = RunReader(run)
        return self._readers[run]


def _key(source: Source) -> EpisodeKey:
    from clemcore.clemgame.plan import EpisodeKey  # only a store needs it

    return EpisodeKey(source.game, source.experiment, source.game_id, source.epoch)
