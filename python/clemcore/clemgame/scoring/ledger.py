"""What the scores of a run were computed from: hashes of records, of the game's code and of its scorer.

It is kept in the hidden file ``.scored.json`` of the run, which may be removed at any time: then all episodes are
scored again. Its first lines say what scores come from, and each of the others is about one episode. A line is kept
as the text that it is, and written again as such, because most of a large run is as it was. The last line is a sum
of the others: a file that was cut or changed is not used. It does not know how scores are computed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from clemcore.clemgame.layout import file_state
from clemcore.clemgame.layout.jsonfile import write_whole

NAME = ".scored.json"
_VERSION = 3

# How a line has that an episode is one of files.
_NO_ATTEMPT = '""'
# The state of a file as JSON has it; see :mod:`clemcore.clemgame.layout.file_state`.
State = list[int]


def short_hash(*parts: bytes) -> str:
    """Return the first half of the SHA-256 of bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:32]


def state_of(path: str | int) -> State:
    """Return the state of a file, or of an open one; a file that has just changed never looks as it was."""
    state = file_state.state_of(os.stat(path))  # noqa: PTH116 - a run has many
    return [0, *state[1:]] if file_state.has_just_changed(state) else list(state)


def _state_text(path: str) -> str:
    """Return the state of a file as a line of the ledger has it."""
    try:
        time, changed, size, number = file_state.state_of(os.stat(path))  # noqa: PTH116 - a run has many
    except OSError:
        return "null"
    return f"[{time},{changed},{size},{number}]"


def _now(path: str) -> State | None:
    try:
        return list(file_state.state_of(os.stat(path)))  # noqa: PTH116
    except OSError:
        return None


class Making(NamedTuple):
    """What scores come from, beside the records of their episode.

    Attributes:
        code: the hash of the game's code.
        experiment: the hash of the file of the experiment, or "".
        files: the hash of each other file that the scorer comes from.
    """

    code: str
    experiment: str
    files: dict[str, str]


class Entry(NamedTuple):
    """The scores of one episode.

    Attributes:
        making: the number of what they come from.
        game_id: the instance.
        epoch: the epoch.
        attempt: "" for an episode of files, else what names its attempt in the store.
        records: the hash of its records.
        interactions: the state of the file of interactions, or None.
        instance: the same of the instance.
        scores: the same of the scores, as they were written.
        hash: the hash of the scores.
    """

    making: int
    game_id: int
    epoch: int
    attempt: str
    records: str
    interactions: State | None
    instance: State | None
    scores: State | None
    hash: str


class ScoreLedger:
    """The known scores of one run.

    Args:
        run: the folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self._run = str(run)
        self._path = f"{run}/{NAME}"
        self.is_changed = False
        head: dict[str, Any] = {}
        # The fields of an Entry, as they are written: to read them takes longer than to compare them.
        self._episodes: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            head, self._episodes = _read(Path(self._path).read_bytes())
        self._makings = [Making(*each) for each in head.get("makings", [])]
        # The last one that was noted, with what was given for it.
        self._last: tuple[Making, str, int] | None = None
        # Of the folder of each experiment: game, experiment, state and hash of its file.
        self._experiments: dict[str, list[Any]] = head.get("experiments", {})
        self._experiments_now: dict[str, str] = {}

    # -- what is current -------------------------------------------------------------------------------------------
    def unchanged(self, name: str) -> tuple[str, str, int, int] | None:
        """Return game, experiment, instance and epoch of an episode of files that looks as it did, or None."""
        entry = self._episodes.get(name)
        if entry is None:
            return None
        making, game_id, epoch, attempt, _, states = entry.split(",", 5)
        folder = f"{self._run}/{name}"
        now = ",".join([_state_text(f"{folder}/{file}.json") for file in ("interactions", "instance", "scores")])
        if attempt != _NO_ATTEMPT or states.rpartition(",")[0] != now:
            return None
        if os.access(f"{folder}/error.json", os.F_OK):
            return None
        place = name.rpartition("/")[0]
        known = self._experiments_now.get(place)
        if (self.experiment_hash(name) if known is None else known) != self._makings[int(making)].experiment:
            return None
        game, experiment, _, _ = self._experiments[place]
        return game, experiment, int(game_id), int(epoch)

    def is_current(self, name: str, names: tuple[str, str, int, int]) -> bool:
        """Tell whether the scores of an episode of files fit its records, by their hashes."""
        entry = self._entry(name)
        if entry is None or entry.attempt or (entry.game_id, entry.epoch) != names[2:]:
            return False
        folder = f"{self._run}/{name}"
        try:
            states = [_state_or_none(f"{folder}/{file}.json") for file in ("interactions", "instance")]
            is_same = records_hash(folder) == entry.records and self._has_scores(name, entry)
        except OSError:
            return False
        if is_same and self.experiment_hash(name) == self._makings[entry.making].experiment:
            scores = _now(f"{folder}/scores.json")
            self._episodes[name] = _line(entry._replace(interactions=states[0], instance=states[1], scores=scores))
            self.is_changed = True
            return True
        return False

    def is_current_in_store(self, name: str, attempt: str, *, has_files: bool) -> bool:
        """Tell whether the scores of an episode of a store fit its last attempt."""
        entry = self._entry(name)
        if entry is None or entry.attempt != attempt:
            return False
        return not has_files or self._has_scores(name, entry)

    def _entry(self, name: str) -> Entry | None:
        entry = self._episodes.get(name)
        return None if entry is None else Entry._make(json.loads(f"[{entry}]"))

    def _has_scores(self, name: str, entry: Entry) -> bool:
        path = f"{self._run}/{name}/scores.json"
        return _now(path) == entry.scores or hash_of(path) == entry.hash

    def experiment_hash(self, name: str) -> str:
        """Return the hash of the file of an episode's experiment, or "" if there is none."""
        place = name.rpartition("/")[0]
        found = self._experiments_now.get(place)
        if found is None:
            path = f"{self._run}/{place}/experiment.json"
            state, known = _now(path), self._experiments.get(place)
            if state is None:
                found = ""
            elif known is not None and known[2] == state:
                found = str(known[3])
            else:
                found = hash_of(path)
            self._experiments_now[place] = found
        return found

    def making_of(self, name: str) -> Making:
        """Return what the scores of an episode come from; episodes that come from the same get the same object."""
        return self._makings[int(self._episodes[name].partition(",")[0])]

    # -- changes ---------------------------------------------------------------------------------------------------
    def note(self, name: str, names: tuple[str, str], making: Making, facts: dict[str, Any]) -> None:
        """Note that an episode was scored.

        Args:
            name: the path of its folder below that of the run.
            names: its game and its experiment.
            making: what the scores come from; the hash of the experiment is added here.
            facts: the other fields of an :class:`Entry`.
        """
        of_experiment = self.experiment_hash(name)
        if self._last is None or self._last[0] is not making or self._last[1] != of_experiment:
            self._last = making, of_experiment, self._number_of(making._replace(experiment=of_experiment))
        self._episodes[name] = _line(Entry(making=self._last[2], **facts))
        place = name.rpartition("/")[0]
        if place not in self._experiments or self._experiments[place][3] != of_experiment:
            path = f"{self._run}/{place}/experiment.json"
            self._experiments[place] = [*names, _state_or_none(path), of_experiment]
        self.is_changed = True

    def _number_of(self, making: Making) -> int:
        if making not in self._makings:
            self._makings.append(making)
        return self._makings.index(making)

    def forget(self, name: str) -> bool:
        """Forget the scores of an episode; tell whether its ``scores.json`` is the one that was noted."""
        entry = self._entry(name)
        if entry is None:
            return False
        del self._episodes[name]
        self.is_changed = True
        return entry.scores is not None and _now(f"{self._run}/{name}/scores.json") == entry.scores

    def save(self) -> None:
        """Write the file, if something changed.

        Raises:
            OSError: it cannot be written.
        """
        if self.is_changed:
            head = {"version": _VERSION, "makings": self._makings, "experiments": self._experiments}
            write_whole(self._path, _written(head, self._episodes))
            self.is_changed = False


def _line(entry: Entry) -> str:
    """Return the fields of an entry as JSON, without the brackets around them."""
    return json.dumps(entry, separators=(",", ":"))[1:-1]


def _written(head: dict[str, Any], episodes: dict[str, str]) -> bytes:
    """Return the content of the file: what all have in common, names, entries, and the sum of all that."""
    names = json.dumps(list(episodes), ensure_ascii=False, separators=(",", ":"))
    text = "\n".join([json.dumps(head, ensure_ascii=False, separators=(",", ":")), names, *episodes.values()])
    # Bytes of a folder's name that are not UTF-8 become escapes of JSON.
    data = text.encode("utf-8", "backslashreplace")
    return b"%s\n%s\n" % (data, short_hash(data).encode())


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what :func:`_written` was given.

    Raises:
        ValueError: it was not written by it.
    """
    data, _, rest = content.removesuffix(b"\n").rpartition(b"\n")
    if short_hash(data).encode() != rest:
        raise ValueError("the sum is another one")
    head, names, *entries = data.decode().split("\n")
    known = json.loads(head)
    if known["version"] != _VERSION:
        raise ValueError("another version")
    return known, dict(zip(json.loads(names), entries, strict=True))


def records_hash(folder: str) -> str:
    """Return the hash of the files of an episode that its scores depend on.

    Raises:
        OSError: they cannot be read.
    """
    instance = Path(f"{folder}/instance.json")
    return short_hash(
        Path(f"{folder}/interactions.json").read_bytes(), instance.read_bytes() if instance.is_file() else b""
    )


def hash_of(path: str) -> str:
    """Return the hash of a file, or "" if it cannot be read."""
    try:
        return short_hash(Path(path).read_bytes())
    except OSError:
        return ""


def _state_or_none(path: str) -> State | None:
    try:
        return state_of(path)
    except OSError:
        return None
