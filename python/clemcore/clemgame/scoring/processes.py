"""Processes that score, started before it is known what they will do: a start takes as long as many episodes.

It does not know games.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_WORKER = "clemcore.clemgame.scoring.worker"
# A process more must be worth its start and another import of the game.
FEWEST = 100


@dataclass(frozen=True)
class Process:
    """A process that scores.

    Attributes:
        popen: the process.
        noise: the file of what its scorers print.
    """

    popen: subprocess.Popen[str]
    noise: Path

    def end(self) -> None:
        """Let the process end, or make it end if something else went wrong."""
        assert self.popen.stdin is not None and self.popen.stdout is not None  # noqa: S101, PT018 - they are pipes
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        if sys.exc_info()[0] is not None:
            self.popen.terminate()
        self.popen.wait()
        self.popen.stdout.close()


class Processes(contextlib.AbstractContextManager["Processes"]):
    """Processes that wait for games to score. Those that nobody took end with it.

    Args:
        number: how many score at once; by default one per processor of this process.

    Attributes:
        number: how many score at once.
    """

    def __init__(self, number: int | None = None) -> None:
        self.number = number or _processors()
        self._folder = tempfile.TemporaryDirectory(prefix="clem-score-")
        self._waiting: list[Process] = []
        self._started = 0
        self._lock = threading.Lock()

    def expect(self, episodes: int) -> None:
        """Start as many processes as so many episodes will need, if fewer were started."""
        with self._lock:
            while self._started < min(self.number, max(1, episodes // FEWEST)):
                self._waiting.append(self._start())

    def take(self) -> Process:
        """Return a process that nobody has; it must be ended."""
        with self._lock:
            return self._waiting.pop(0) if self._waiting else self._start()

    def _start(self) -> Process:
        self._started += 1
        noise = Path(self._folder.name, f"{self._started}.txt")
        # Sets of texts have one order in all scorers' processes.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "MPLBACKEND": os.environ.get("MPLBACKEND", "Agg")}
        with noise.open("ab") as file:
            popen = subprocess.Popen(  # noqa: S603 - a module of this package
                [sys.executable, "-m", _WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                encoding="utf-8",
            )
        return Process(popen, noise)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._waiting:
                self._waiting.pop().end()
        finally:
            self._folder.cleanup()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
