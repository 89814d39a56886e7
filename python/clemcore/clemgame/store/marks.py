"""What the names of files and folders say: that a folder is a run, or a run that was set aside.

It reads no file, and is imported by whatever walks through results. It does not know what is in a run.
"""

from __future__ import annotations

import re
from pathlib import Path

from clemcore.clemgame.store.schema import store_files

# The file of a run's manifest.
MANIFEST = "run.json"
# What is put before the date in the name of a run that was set aside.
MARK = ".until_"
_SET_ASIDE = re.compile(r".+\.until_\d{4}-\d\d-\d\d_\d{6}(_\d+)?", re.DOTALL)


def is_run(path: Path) -> bool:
    """Tell whether a folder is the folder of a run."""
    return bool(store_files(path)) or (path / MANIFEST).is_file()


def is_set_aside(name: str) -> bool:
    """Tell by the name of a folder whether it is a run that was moved aside."""
    return MARK in name and _SET_ASIDE.fullmatch(name) is not None
