"""The end of the command: threads that a game or a backend has left running do not keep it alive.

Python waits for such threads for ever. It does not know who has started them.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from clemcore.cli.terminal import note

# Seconds for threads to end by themselves, which those of idle thread pools do.
GRACE = 5.0


def limit_leaving(status: int) -> None:
    """End the process with this status some seconds from now, if only other threads keep it alive by then."""
    if _others():
        threading.Thread(target=_leave, args=(status,), name="clem-leaving", daemon=True).start()


def _others() -> list[str]:
    main = threading.main_thread()
    return [each.name for each in threading.enumerate() if not each.daemon and each is not main]


def _leave(status: int) -> None:
    time.sleep(GRACE)
    others = _others()
    if others:  # else Python is ending already
        note(f"clem: threads of a game or a backend still run ({', '.join(others)}); the command ends without them")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
