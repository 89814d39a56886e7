"""Finds the runs that a path stands for. It does not read episodes, and imports nothing that does."""

from __future__ import annotations

from pathlib import Path

from clemcore.clemgame.layout.found import has_episodes
from clemcore.clemgame.layout.walking import folders_in
from clemcore.clemgame.store.marks import is_run
from clemcore.errors import StoreError


def find_runs(path: Path) -> list[Path]:
    """Return the runs that a path stands for: itself, or those in a folder of results.

    Raises:
        StoreError: there is none.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise StoreError(f"{path} {what}. Name a run, or a folder that holds some; 'clem run' makes them")
    if is_run(path):
        return [path]
    inner = folders_in(path)
    runs = [each for each in inner if is_run(each)]
    # Older releases wrote no run.json: any folder that holds episodes counts.
    runs += [each for each in inner if each not in runs and has_episodes(each)]
    if not runs:
        raise StoreError(f"{path} holds no episodes. Name a run, or a folder that holds some")
    return sorted(runs)
