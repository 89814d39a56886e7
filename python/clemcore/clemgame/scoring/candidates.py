"""Finds completed episodes that can be scored, and tells which of them have current scores.

It reads names, sizes and times of files, and no file that is as it was. It does not know scorers.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from clemcore.clemgame.layout.found import SIGNS, found_at, run_and_epoch
from clemcore.clemgame.layout.names import episode_folder
from clemcore.clemgame.layout.runs import find_runs
from clemcore.clemgame.layout.walking import Position
from clemcore.clemgame.scoring.ledger import ScoreLedger
from clemcore.clemgame.store.schema import store_files
from clemcore.errors import MixedRunError, StoreError

INTERACTIONS = "interactions.json"
# Folders of the layout since 3.3, with names that nothing had to be done with.
_USUAL = re.compile(r"(?P<game>[^/%]{1,49})/(?P<experiment>[^/%]{1,49})/instance_(?P<game_id>\d{5,})")


class Candidate(NamedTuple):
    """A completed episode.

    Attributes:
        run: the folder of its run.
        name: the path of its folder below that of the run.
        game: the game.
        experiment: the experiment.
        game_id: the instance.
        epoch: the epoch, from 1.
        attempt: for an episode of a store: when its last attempt ended, and its number; else "".
        shard: the name of the writer in whose file of the store it is; the first one has none.
        has_files: whether its interactions are in a file.
        is_scored: whether it has scores that fit its records.
    """

    run: str
    name: str
    game: str
    experiment: str
    game_id: int
    epoch: int
    attempt: str
    shard: str
    has_files: bool
    is_scored: bool

    @property
    def folder(self) -> str:
        """The folder of its files."""
        return f"{self.run}/{self.name}"


@dataclass
class Found:
    """The completed episodes below a folder.

    Attributes:
        episodes: the episodes by game.
        ledgers: what is known about the scores of each run.
        problems: each run that cannot be read, or not all of it, with the reason.
        left_out: how many episodes did not pass the selection.
    """

    episodes: dict[str, list[Candidate]] = field(default_factory=dict)
    ledgers: dict[str, ScoreLedger] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0

    def add_damage(self, run: str, reason: str, what: str) -> None:
        """Note that a store turned out to be damaged, in one problem with what is known of it already.

        Args:
            run: the folder of the run.
            reason: what is wrong with the store.
            what: what was done instead, as a sentence.
        """
        for index, (known, text) in enumerate(self.problems):
            if known == run:
                self.problems[index] = (run, f"{text}. {what}")
                return
        self.problems.append((run, f"{reason}. {what}"))


def find(
    path: Path,
    models: Sequence[str] = (),
    experiments: Sequence[str] = (),
    *,
    on_pending: Callable[[int], None] | None = None,
) -> Found:
    """Find the completed episodes below a folder.

    Args:
        path: a run, a folder that holds some, or a folder within a run of the classic layout.
        models: only results with one of these texts in a part of their path, as in 3.7.2; all if there is none.
        experiments: only episodes of these experiments; all if there is none.
        on_pending: called with the number of episodes so far that have no scores which fit their records.

    Raises:
        StoreError: there are none, or a store cannot be read.
    """
    found = Found()
    pending = 0
    for run in find_runs(path):
        ledger = ScoreLedger(run)
        try:
            episodes = []
            for episode in _of_run(run, ledger, found.problems):
                episodes.append(episode)
                if on_pending is not None and not episode.is_scored:
                    pending += 1
                    on_pending(pending)
        except StoreError as fault:  # the other runs can be scored
            found.problems.append((str(run), str(fault)))
            continue
        for episode in episodes:
            is_wanted = not experiments or episode.experiment in experiments
            if is_wanted and models:
                is_wanted = any(model in part for part in Path(episode.folder).parts for model in models)
            if is_wanted:
                found.episodes.setdefault(episode.game, []).append(episode)
            else:
                found.left_out += 1
        found.ledgers[str(run)] = ledger
    if found.problems and not found.episodes:
        raise StoreError("\n".join(dict.fromkeys(text for _, text in found.problems)))
    return found


def _of_run(run: Path, ledger: ScoreLedger, problems: list[tuple[str, str]]) -> Iterator[Candidate]:
    """Give the episodes of a run: those of its store, and those of its files that a damaged store does not give.

    Raises:
        MixedRunError: nobody knows which of the files are of this run.
    """
    known: set[tuple[str, str, int, int]] = set()
    if store_files(run):
        lost: list[str] = []
        try:
            yield from _of_store(run, ledger, known, lost)
        except MixedRunError:
            raise
        except StoreError as fault:
            problems.append((str(run), f"{fault}. Its classic files are scored instead, if there are any"))
        else:
            if not lost:
                return
            more = "The classic files of the others are scored, if there are any"
            problems += [(str(run), f"{text}. {more}") for text in lost]
    for episode in _of_files(run, ledger):
        if (episode.game, episode.experiment, episode.game_id, episode.epoch) not in known:
            yield episode


def _of_store(
    run: Path, ledger: ScoreLedger, known: set[tuple[str, str, int, int]], lost: list[str]
) -> Iterator[Candidate]:
    """Give the played episodes of a store. ``known`` takes all its episodes, ``lost`` what cannot be read of it."""
    from clemcore.clemgame.store.reader import RunReader

    with RunReader(run) as reader:
        episodes = [(episode, reader.shard_of(episode)) for episode in reader.some_episodes()]
        scored: set[tuple[int, int]] = set()
        with contextlib.suppress(StoreError):  # those are scored again
            scored = reader.scored()
        lost += reader.problems
    has_epochs = any(episode.key.epoch > 1 for episode, _ in episodes)
    base = str(run)
    known.update((key.game, key.experiment, key.game_id, key.epoch) for key in (each.key for each, _ in episodes))
    for episode, shard in episodes:
        if episode.state.state != "played":
            continue
        key = episode.key
        folder = str(episode_folder(run, key, has_epochs=has_epochs))
        name = folder[len(base) + 1 :]
        attempt = f"{episode.ended} {episode.state.attempts}"
        has_files = os.path.isfile(f"{folder}/{INTERACTIONS}")  # noqa: PTH113 - a run has many
        is_scored = ledger.is_current_in_store(name, attempt, has_files=has_files) and (
            (episode.file, episode.number) in scored
        )
        yield Candidate(
            base, name, key.game, key.experiment, key.game_id, key.epoch, attempt, shard, has_files, is_scored
        )


def _of_files(run: Path, ledger: ScoreLedger) -> Iterator[Candidate]:
    """Give the episodes of a run, sorted by their folders, without a look into those that are as they were."""
    base, is_epoch = str(run), run_and_epoch(run)[1] is not None
    known = _unchanged(base, "", ledger)
    folders: list[tuple[str, Position | Candidate]] = [("", known or Position.start(run))]
    while folders:
        name, position = folders.pop()
        if isinstance(position, Candidate):
            yield position
            continue
        files: list[str] = []
        below: list[tuple[str, Position | Candidate]] = []
        with os.scandir(f"{base}/{name}") as entries:
            for entry in entries:
                path = f"{name}/{entry.name}" if name else entry.name
                inner = _unchanged(base, path, ledger) or position.below(entry)
                if inner is None:
                    files.append(entry.name)
                elif not entry.name.startswith("."):
                    below.append((path, inner))
        if SIGNS.isdisjoint(files):
            folders += sorted(below, key=itemgetter(0), reverse=True)
        elif INTERACTIONS in files and "error.json" not in files:
            names = None if is_epoch else _usual_names(name)
            if names is None:
                at = found_at(os.path.join(base, name), files)  # noqa: PTH118 - a run has many
                names = (at.game, at.experiment, at.game_id, at.epoch)
            is_scored = ledger.is_current(name, names)
            yield Candidate(base, name, *names, "", "", has_files=True, is_scored=is_scored)


def _unchanged(base: str, name: str, ledger: ScoreLedger) -> Candidate | None:
    known = ledger.unchanged(name)
    return None if known is None else Candidate(base, name, *known, "", "", has_files=True, is_scored=True)


def _usual_names(name: str) -> tuple[str, str, int, int] | None:
    """Return game, experiment, instance and epoch where the folders surely say them, as :func:`found_at` does."""
    found = _USUAL.fullmatch(name)
    return None if found is None else (found["game"], found["experiment"], int(found["game_id"]), 1)
