"""``clem run --jobs N``: starts N shards of a run as processes of this machine, and waits for them.

What they write to the terminal is marked with the number of their shard. It does not know how a shard is played.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from clemcore.cli.terminal import note
from clemcore.errors import RunError

if TYPE_CHECKING:
    from clemcore.clemgame.runs.settings import RunSettings

_REFUSED, _KILLED, _INTERRUPTED = 2, 1, 130


def play_jobs(settings: RunSettings, words: Sequence[str] | None) -> int:
    """Play a run in shards, each in a process of its own, and return the highest exit status.

    Args:
        settings: the settings of the command; ``jobs`` says how many shards.
        words: the command line behind ``clem``.

    Raises:
        RunError: the command was not called from a command line.
    """
    count = settings.jobs or 1
    if words is None:
        raise RunError("jobs are started by the command 'clem run --jobs N'; a program starts a process per shard")
    if settings.dry_run:
        raise RunError("--dry-run shows the whole plan: leave out --jobs")
    processes = [_started(words, number, count) for number in range(1, count + 1)]
    readers = [
        threading.Thread(target=_pass_on, args=(stream, to, f"[{number}/{count}] "))
        for number, process in enumerate(processes, 1)
        for stream, to in ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    ]
    for reader in readers:
        reader.start()
    with _told_to_all(processes):
        statuses = [process.wait() for process in processes]
    for reader in readers:
        reader.join()
    for number, status in enumerate(statuses, 1):
        if status < 0:
            note(f"clem: shard {number}/{count} was killed by signal {-status}: the same command continues it")
    sum_up(settings)
    return max(_KILLED if status < 0 else status for status in statuses)


def _started(words: Sequence[str], number: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "clemcore", *_without_jobs(words), "--shard", f"{number}/{count}"]
    return subprocess.Popen(  # noqa: S603 - this program again
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=dict(os.environ),
        start_new_session=True,  # Ctrl-C comes to this process alone, which tells them
    )


def _without_jobs(words: Sequence[str]) -> list[str]:
    """Return a command line without ``--jobs``: a command that plays one shard starts no others."""
    found: list[str] = []
    for word in words:
        if found and found[-1] == "--jobs":
            found.pop()  # this is its number
        elif not word.startswith("--jobs="):
            found.append(word)
    return found


def _pass_on(stream: IO[str] | None, to: IO[str], mark: str) -> None:
    for line in stream or ():
        with contextlib.suppress(OSError, ValueError):  # whoever read us is gone; the shards play on
            to.write(mark + line)
            to.flush()


@contextlib.contextmanager
def _told_to_all(processes: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Hand Ctrl-C and SIGTERM on to the shards, which end their calls and write everything."""

    def tell(number: int, _: Any) -> None:
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def sum_up(settings: RunSettings) -> None:
    """Say how far the runs are now."""
    from clemcore.clemgame.runs.lineups import line_ups_of
    from clemcore.clemgame.runs.watching import status_of
    from clemcore.errors import ClemcoreError

    for line_up in line_ups_of(settings):
        with contextlib.suppress(ClemcoreError):
            note(f"clem: {line_up.folder}: {status_of(line_up.folder).summary()}")
