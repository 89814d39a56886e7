"""Keeps the error of an episode that could not be scored, beside the episode. It does not know processes."""

from __future__ import annotations

import contextlib
import signal
from datetime import datetime

from clemcore.clemgame.layout.jsonfile import write_json

FAILURE = "scores.error.json"
# The name of the error if the process ended while it scored the episode.
CRASH = "ProcessCrash"


def write_failure(folder: str, error: str, message: str, trace: str) -> None:
    """Write the error into the folder of an episode; a folder that cannot be written to has none.

    Args:
        folder: the folder of the episode.
        error: the name of the error.
        message: what it says.
        trace: where it came from, or what the process printed last.
    """
    about = {"timestamp": datetime.now().isoformat(), "error": error, "message": message, "traceback": trace}
    with contextlib.suppress(OSError):
        write_json(f"{folder}/{FAILURE}", about)


def ended(status: int) -> str:
    """Return in words how a process ended.

    Examples:
        >>> ended(7), ended(-9)
        ('ended with status 7', 'was killed by SIGKILL, perhaps because memory ran out')
    """
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a signal without a name
        return f"was killed by signal {-status}"
    return f"was killed by {name}{', perhaps because memory ran out' if name == 'SIGKILL' else ''}"
