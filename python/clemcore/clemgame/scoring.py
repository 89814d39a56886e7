"""Scores episodes with the scorers of their games: one game in one process, so that their modules do not mix.

The numbers and files are 3.7.2's. It does not know what a score means. Run as a program, this module is the process
that scores one game.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.metrics import write_scores
from clemcore.clemgame.store import RunStore
from clemcore.errors import ClemcoreError, StoreError

if TYPE_CHECKING:
    from clemcore.clemgame.episodes import Episode
    from clemcore.clemgame.spec import GameSpec

FILE = "scores.json"
# Lines of a scorer's own output that are shown when its process ends unasked.
_TAIL = 5
# Different warnings of one game that are shown.
_MOST_WARNINGS = 20


@dataclass
class Scored:
    """What became of the episodes of one game.

    Attributes:
        game: the game.
        count: how many episodes were scored.
        failed: the place of each episode that was not, with the reason in one line.
        warned: the place of the first episode with each warning of the scorer, with the warning in one line.
        different: in a comparison: the place of each episode whose scores differ, with the first difference.
        unscored: in a comparison: how many episodes have no scores to compare with.
    """

    game: str
    count: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    warned: list[tuple[str, str]] = field(default_factory=list)
    different: list[tuple[str, str]] = field(default_factory=list)
    unscored: int = 0


def games_in(path: Path, model: str | None = None) -> dict[str, int]:
    """Return the games that have completed episodes below a folder, and how many.

    Args:
        path: a run, or a folder that holds some.
        model: count only results with this text in a part of their path, as in 3.7.2.
    """
    found: dict[str, int] = {}
    for episode in _completed(path, model):
        found[episode.key.game] = found.get(episode.key.game, 0) + 1
    return found


def _completed(path: Path, model: str | None, game: str | None = None) -> Iterator[Episode]:
    from clemcore.clemgame.episodes import read_episodes

    for episode in read_episodes(path):
        if game is not None and episode.key.game != game:
            continue
        if episode.state != "played":
            continue
        if model is None or any(model in part for part in episode.folder.parts):
            yield episode


def score(
    path: Path, specs: Iterable[GameSpec], model: str | None = None, *, compare: bool = False
) -> list[Scored]:
    """Score the completed episodes of games, each game in a process of its own.

    Args:
        path: a run, or a folder that holds some.
        specs: the games.
        model: score only results with this text in a part of their path.
        compare: write nothing; compare with the scores that are there.
    """
    orders = [{"spec": spec.to_dict(), "path": str(path), "model": model, "compare": compare} for spec in specs]
    # A store has one writer at a time.
    is_shared = not compare and any(not _has_files(episode) for episode in _completed(path, model))
    with ThreadPoolExecutor(max_workers=1 if is_shared else max(1, min(4, os.cpu_count() or 1))) as pool:
        return list(pool.map(_in_process, orders))


def _in_process(order: Mapping[str, Any]) -> Scored:
    scored = Scored(str(order["spec"]["game_name"]))
    # Sets of texts have one order in all scorers' processes.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "MPLBACKEND": os.environ.get("MPLBACKEND", "Agg")}
    with tempfile.TemporaryFile() as noise:
        done = subprocess.run(  # noqa: S603 - this module itself
            [sys.executable, "-m", __name__],
            input=json.dumps(order).encode(),
            stdout=subprocess.PIPE,
            stderr=noise,
            env=environment,
            check=False,
        )
        noise.seek(0)
        said = noise.read().decode("utf-8", "replace").strip().splitlines()
    for line in done.stdout.splitlines():
        found = json.loads(line)
        kind = found.pop("kind")
        if kind == "end":
            scored.count, scored.unscored = found["count"], found["unscored"]
            return scored
        getattr(scored, kind).append((found["place"], found["text"]))
    tail = "; ".join(said[-_TAIL:]) or "it said nothing"
    scored.failed.append((scored.game, f"the process of the scorer ended with status {done.returncode}: {tail}"))
    return scored


# -- the process that scores one game --------------------------------------------------------------------------
def _main() -> None:
    order = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what scorers print must not stand between the results

    def tell(kind: str, **fields: Any) -> None:
        out.write(json.dumps({"kind": kind, **fields}) + "\n")
        out.flush()

    from clemcore.clemgame.spec import GameSpec

    spec = GameSpec.from_dict(order["spec"])
    counts = {"count": 0, "unscored": 0}
    warnings = _Warnings(tell, spec.game_name)
    logging.getLogger().addHandler(warnings)
    try:
        _score_game(spec, order, tell, counts, warnings)
    except ClemcoreError as fault:
        tell("failed", place=spec.game_name, text=" ".join(str(fault).split()))
    except Exception as fault:  # noqa: BLE001 - the game's own code, which may raise anything
        tell("failed", place=spec.game_name, text=_reason(fault, str(spec.game_path)))
    tell("end", **counts)


class _Warnings(logging.Handler):
    """Tells the warnings of a scorer, each once."""

    def __init__(self, tell: Any, place: str) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._told: set[str] = set()
        self.place = place

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a warning, unless it was told before."""
        text = " ".join(record.getMessage().split())
        if text not in self._told and len(self._told) < _MOST_WARNINGS:
            self._told.add(text)
            self._tell("warned", place=self.place, text=text)


def _score_game(
    spec: GameSpec, order: Mapping[str, Any], tell: Any, counts: dict[str, int], warnings: _Warnings
) -> None:
    from clemcore.clemgame.benchmark import GameBenchmark

    def score_all(benchmark: GameBenchmark, kept: _Scores) -> None:
        for episode in _completed(Path(order["path"]), order["model"], spec.game_name):
            place = warnings.place = _place(episode)
            try:
                scorer = benchmark.create_game_scorer(
                    copy.deepcopy(episode.experiment), copy.deepcopy(episode.instance)
                )
                scorer.compute_scores(episode.interactions)
                if order["compare"]:
                    difference = _difference(scorer, episode, counts)
                    if difference is not None:
                        tell("different", place=place, text=difference)
                else:
                    kept.keep(scorer, episode)
            except StoreError:
                raise  # it would be the same for every episode
            except Exception as fault:  # noqa: BLE001 - a scorer is code of a game; the others go on
                tell("failed", place=place, text=_reason(fault, str(spec.game_path)))
            else:
                counts["count"] += 1

    # Episodes keep the file open from which they are read, and the last one lasts as long as the function above.
    # The store becomes one plain file again only if nobody reads it when it is closed.
    with GameBenchmark.load_from_spec(spec) as benchmark, _Scores() as kept:
        score_all(benchmark, kept)


def _has_files(episode: Episode) -> bool:
    return (episode.folder / "interactions.json").is_file()


def _place(episode: Episode) -> str:
    return str(episode.folder)


def _reason(fault: BaseException, game_path: str) -> str:
    """Return an error in one line, with the last place of the game's own code."""
    text = " ".join(f"{type(fault).__name__}: {fault}".split())
    own = [frame for frame in traceback.extract_tb(fault.__traceback__) if frame.filename.startswith(game_path)]
    return f"{text} ({own[-1].filename}:{own[-1].lineno})" if own else text


def _scores_of(scorer: Any, episode: Episode) -> bytes:
    """Return what a scorer writes into the folder of an episode."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "run" / episode.key.game / "experiment" / "instance"
        folder.mkdir(parents=True)
        write_scores(scorer, folder)
        return (folder / FILE).read_bytes()


def _difference(scorer: Any, episode: Episode, counts: dict[str, int]) -> str | None:
    """Return the first difference between new scores and those that are kept."""
    before = episode.scores
    if before is None:
        counts["unscored"] += 1
        return None
    now = json.loads(_scores_of(scorer, episode))
    for part in dict.fromkeys([*before, *now]):
        if part not in ("meta", "players", "player_models"):
            old, new = _flat(before.get(part), part), _flat(now.get(part), part)
            for name in dict.fromkeys([*old, *new]):
                if old.get(name) != new.get(name):
                    return f"{name}: {old.get(name, 'nothing')} → {new.get(name, 'nothing')}"
    return None


def _flat(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat.update(_flat(item, f"{path}, {name}"))
    return flat


class _Scores(contextlib.AbstractContextManager["_Scores"]):
    """Keeps scores where the episode is: as ``scores.json`` beside its interactions, or in the store of its run."""

    def __init__(self) -> None:
        self._stores: dict[Path, RunStore] = {}

    def keep(self, scorer: Any, episode: Episode) -> None:
        """Write the scores of one episode.

        Raises:
            StoreError: the run has no such files, and another process writes its store.
        """
        if _has_files(episode):
            write_scores(scorer, episode.folder)
            return
        if episode.run not in self._stores:
            self._stores[episode.run] = RunStore.open(episode.run)
        self._stores[episode.run].keep_scores(episode.key, _scores_of(scorer, episode))

    def __exit__(self, *_: object) -> None:
        """Write what is left."""
        for store in self._stores.values():
            store.close()


if __name__ == "__main__":
    _main()
