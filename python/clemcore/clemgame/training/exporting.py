"""Writes training data: a folder with ``train.jsonl``, perhaps ``test.jsonl``, and a card.

All files are written beside their places first, so an error leaves no part of an export behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.layout.runs import find_runs
from clemcore.clemgame.training.card import CARD, card_of
from clemcore.clemgame.training.pairs import Pairs
from clemcore.clemgame.training.rows import Row, conversation, rollouts
from clemcore.clemgame.training.scores import BENCH_SCORE, KnownMetrics, reward_of
from clemcore.clemgame.training.selection import TEST, TRAIN, Filters, Selected, Selection, splits_of
from clemcore.errors import StoreError
from clemcore.files import blaming

KINDS = ("sft", "dpo", "rollouts")
_NAMED = 5


@dataclass
class Exported:
    """What an export wrote.

    Attributes:
        files: the files, the card last.
        rows: the number of rows of each split.
        notes: what was left out, and why; the card has the same lines.
    """

    files: list[Path] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """How rows are made.

    Attributes:
        reward: the metric of an episode that is its reward.
        turn_reward: the metric of a round that is the reward of a turn (``rollouts``).
        missing_reward: what an episode without a reward counts as: a number, "skip", or None for an error.
        min_margin: the least difference of the rewards of a pair (``dpo``).
        require_ids: refuse turns without token ids (``rollouts``).
        canary: a text that is put into each row and into the card.
    """

    reward: str = BENCH_SCORE
    turn_reward: str | None = None
    missing_reward: float | str | None = None
    min_margin: float = 0.0
    require_ids: bool = False
    canary: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no reward can be compared with, and a canary that cannot be searched for."""
        if self.canary is not None and not (isinstance(self.canary, str) and _is_a_line(self.canary)):
            raise StoreError(
                f"a canary is a line of text, so that a search finds it in every format, not {self.canary!r:.80}"
            )
        if not 0 <= self.min_margin < math.inf:
            raise StoreError(f"the least margin must be a finite number ≥ 0, not {self.min_margin!r}")
        missing = self.missing_reward
        if missing in (None, "skip"):
            return
        if not isinstance(missing, (int, float)) or not math.isfinite(missing):
            raise StoreError(f"a missing reward counts as a finite number or 'skip', not {missing!r}")


def export_training(
    path: Path | str,
    kind: str,
    to: Path | str,
    *,
    filters: Filters | None = None,
    split: float | None = None,
    split_seed: int = 0,
    force: bool = False,
    **options: Any,
) -> Exported:
    """Write training data of a run, or of all runs in a folder.

    Args:
        path: a run, or a folder that holds some.
        kind: "sft", "dpo" or "rollouts".
        to: the folder to write ``train.jsonl``, ``test.jsonl`` (with a split) and ``README.md`` to.
        filters: which episodes and players to export.
        split: the share of the instances that goes into ``train.jsonl``; by default everything does.
        split_seed: another seed gives another split.
        force: replace files that exist.
        **options: the fields of :class:`Options`.

    Raises:
        StoreError: nothing is left, a reward is missing, or a file exists; the message says which.
        OSError: a file cannot be written.
    """
    if kind not in KINDS:
        raise StoreError(f"{kind!r} is not a kind of training data. Use one of {', '.join(KINDS)}")
    path, to, made = Path(path), Path(to), Options(**options)
    find_runs(path)  # a run that is not there is said first
    _refuse_existing(to, force)
    splits = None if split is None else splits_of(read_episodes(path), split, split_seed)
    selection = Selection(path, filters or Filters(), metric=made.reward)
    source = _Source(kind, made)
    names = (TRAIN,) if splits is None else (TRAIN, TEST)
    with _Files(to, names) as files:
        for part, row in source.rows(selection.read(splits)):
            files.add(part, row if made.canary is None else {**row, "canary": made.canary})
        notes = [*selection.told(), *source.told()]
        if not any(files.rows.values()):
            raise StoreError(f"{path}: there is no row to write:\n  " + "\n  ".join(notes))
        for part, count in files.rows.items():
            if not count:
                raise StoreError(
                    f"{path}: the split leaves nothing for {part!r}: no instance in it passes the filters. Use "
                    "another --split or --split-seed"
                )
        if splits is not None:
            counts = Counter(splits.values())
            notes.append(f"split: {counts[TRAIN]} instances train, {counts[TEST]} test (seed {split_seed})")
        card = card_of(path, kind, files.rows, files.hashes(), notes, reward=made.reward, canary=made.canary)
        return Exported(files.finish(card), dict(files.rows), notes)


def _is_a_line(text: str) -> bool:
    return text.isprintable() and not text.isspace() and text != ""


def _refuse_existing(to: Path, force: bool) -> None:
    there = [to / name for name in (f"{TRAIN}.jsonl", f"{TEST}.jsonl", CARD) if (to / name).exists()]
    if there and not force:
        raise StoreError(
            f"{', '.join(map(str, there))} exists already. Choose another folder, or replace with --force"
        )


class _Source:
    """Makes the rows of one kind, and keeps count of what is left out."""

    def __init__(self, kind: str, options: Options) -> None:
        self._kind, self._options = kind, options
        self._no_reward: dict[str, list[str]] = {}
        self._pairs = Pairs()
        self._facts: Counter[str] = Counter()
        self._metrics = KnownMetrics()

    def rows(self, views: Iterator[Selected]) -> Iterator[tuple[str, Row]]:
        make: dict[str, Callable[[Selected], Iterator[Row]]] = {
            "sft": self._conversations,
            "rollouts": self._rollouts,
            "dpo": self._collect,
        }
        for selected in views:
            self._metrics.see(selected.scores)
            for row in make[self._kind](selected):
                self._facts["rows that differ from the stored request"] += row["as_sent"] is False
                yield selected.split, row
        self._metrics.refuse_unknown(self._options.reward, self._options.turn_reward)
        self._demand_rewards()
        if self._kind == "dpo":
            yield from self._pairs.rows(self._options.min_margin)

    def _conversations(self, selected: Selected) -> Iterator[Row]:
        _, why = reward_of(selected.scores, self._options.reward)
        if why is not None:
            self._facts[f"conversations without a score ({why})"] += 1
        yield conversation(selected, self._options.reward)

    def _rollouts(self, selected: Selected) -> Iterator[Row]:
        is_known, reward = self._reward_of(selected)
        if not is_known:
            return
        for row in rollouts(selected, reward, self._options.turn_reward):
            if row["why_no_ids"]:
                if self._options.require_ids:
                    where = f"{selected.episode.folder}, {selected.view.player}, round {row['round']}"
                    raise StoreError(
                        f"{where}: there are no token ids: {row['why_no_ids']}. Play with a local model, or with a "
                        "vLLM server and return_token_ids, or filter with --model"
                    )
                self._facts[f"turns without token ids ({row['why_no_ids']})"] += 1
            self._facts["turns without a turn reward"] += row["why_no_turn_reward"] is not None
            yield row

    def _collect(self, selected: Selected) -> Iterator[Row]:
        is_known, reward = self._reward_of(selected)
        if is_known and reward is not None:
            self._pairs.add(selected, reward)
        return iter(())

    def _reward_of(self, selected: Selected) -> tuple[bool, float | None]:
        reward, why = reward_of(selected.scores, self._options.reward)
        if why is None:
            return True, reward
        if isinstance(self._options.missing_reward, (int, float)):
            self._facts[f"views whose reward was set to {self._options.missing_reward:g} ({why})"] += 1
            return True, float(self._options.missing_reward)
        if self._options.missing_reward == "skip":
            self._facts[f"views without a reward, left out ({why})"] += 1
        else:
            self._no_reward.setdefault(why, []).append(str(selected.episode.folder))
        return False, None

    def _demand_rewards(self) -> None:
        if not self._no_reward:
            return
        reasons = []
        for why, folders in self._no_reward.items():
            unique = list(dict.fromkeys(folders))
            more = f" and {len(unique) - _NAMED} more" if len(unique) > _NAMED else ""
            reasons.append(f"{why}: {', '.join(unique[:_NAMED])}{more}")
        raise StoreError(
            "some episodes have no reward.\n  "
            + "\n  ".join(reasons)
            + "\nLeave them out with --missing-reward skip, "
            "give them a number with --missing-reward 0, or choose a metric with --reward"
        )

    def told(self) -> list[str]:
        """Return a line for each thing that a reader of the data should know."""
        if self._pairs.not_as_sent:
            self._facts["turns left out because they differ from the stored request"] = self._pairs.not_as_sent
        return [f"{what}: {count}" for what, count in self._facts.items() if count]


class _Files(contextlib.AbstractContextManager["_Files"]):
    """The files of an export. Nothing is in its place before :meth:`finish`."""

    def __init__(self, to: Path, names: tuple[str, ...]) -> None:
        self._to, self._names = to, names
        # Two exports into one folder must not write into the same file.
        self._own = os.urandom(4).hex()
        self.rows = dict.fromkeys(names, 0)
        self._open: dict[str, IO[bytes]] = {}
        self._is_new = False
        self._digests = {name: hashlib.sha256() for name in names}

    def _temporary(self, name: str) -> Path:
        return self._to / f".{name}.{self._own}.new"

    def add(self, name: str, row: Row) -> None:
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        file = f"{name}.jsonl"
        with blaming(self._to / file):
            if name not in self._open:
                self._is_new |= not self._to.exists()
                self._to.mkdir(parents=True, exist_ok=True)
                self._open[name] = self._temporary(file).open("wb")
            self._open[name].write(line)
        self._digests[name].update(line)
        self.rows[name] += 1

    def hashes(self) -> dict[str, str]:
        return {name: digest.hexdigest() for name, digest in self._digests.items()}

    def finish(self, card: str) -> list[Path]:
        """Put all files into their places, and remove those of an earlier export that are no longer part of it."""
        for name, file in self._open.items():
            with blaming(self._to / f"{name}.jsonl"):
                file.close()
        with blaming(self._to / CARD):
            self._temporary(CARD).write_text(card, encoding="utf-8")
        for name in (TRAIN, TEST):
            if name not in self._names:
                (self._to / f"{name}.jsonl").unlink(missing_ok=True)
        files = [*(f"{name}.jsonl" for name in self._names), CARD]
        return [self._temporary(file).replace(self._to / file) for file in files]

    def __exit__(self, *_: object) -> None:
        for name, file in self._open.items():
            with contextlib.suppress(OSError):  # the disk is full: what was not written cannot be written now
                file.close()
            self._temporary(f"{name}.jsonl").unlink(missing_ok=True)
        self._temporary(CARD).unlink(missing_ok=True)
        if self._is_new:
            with contextlib.suppress(OSError):  # it holds the export
                self._to.rmdir()
