"""Writes the classic files of episodes that are in a store (``clem export RUN --to classic``).

It does not know how episodes are played.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clemcore.clemgame.layout.classic import write_episode
from clemcore.clemgame.layout.episodes import Episode, finished, read_episodes
from clemcore.clemgame.layout.jsonfile import write_json
from clemcore.clemgame.layout.runs import find_runs
from clemcore.clemgame.store.marks import is_run
from clemcore.clemgame.store.schema import store_files
from clemcore.errors import StoreError


@dataclass
class ExportedFiles:
    """What an export wrote.

    Attributes:
        episodes: how many episodes were written.
        left_out: how many did not end, and therefore have no files.
        folders: the folders of the runs.
    """

    episodes: int
    left_out: int
    folders: list[Path]


def export_classic(
    path: Path | str,
    *,
    to: Path | str | None = None,
    requests: str = "players",
    on_episode: Callable[[Episode], None] | None = None,
) -> ExportedFiles:
    """Write the classic layout of a run, or of all runs in a folder, from their stores.

    Args:
        path: a run, or a folder that holds some.
        to: the folder of results to write to; each run gets a folder of its name in it. By default the files go
            into the run itself.
        requests: "players" for ``player_N.requests.json``, "single" for one ``requests.json``, or "both".
        on_episode: called with each episode that was written.

    Raises:
        StoreError: there is no store, or it cannot be read, or ``to`` is itself a run.
        OSError: a file cannot be written.
    """
    runs = [run for run in find_runs(Path(path)) if store_files(run)]
    if not runs:
        raise StoreError(f"{path} holds no store: its files are in the classic layout already")
    if to is not None and is_run(Path(to)):
        raise StoreError(
            f"{to} is itself a run, and each run gets a folder of its own in there. Name the folder around it, or "
            "leave out the folder to write into the run"
        )
    exported = ExportedFiles(0, 0, [])
    for run in runs:
        target = run if to is None else Path(to) / run.name
        exported.folders.append(target)
        for episode in read_episodes(run):
            ended = finished(episode)
            if ended is None:
                exported.left_out += 1
                continue
            place = write_episode(target, ended, requests=requests)
            if (scores := episode.scores) is not None:
                write_json(place / "scores.json", scores)
            exported.episodes += 1
            if on_episode is not None:
                on_episode(episode)
        description = run / "run.json"
        if target != run and description.is_file():
            target.mkdir(parents=True, exist_ok=True)
            (target / "run.json").write_bytes(description.read_bytes())
    return exported
