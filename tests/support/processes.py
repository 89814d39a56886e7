"""Processes that tests need: a forked child that does something, and a writer that is killed."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def in_forked_child(work: Callable[[], Any]) -> Any:
    """Return what a forked child has made, or the repr of the exception that it failed with."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    def run() -> None:
        try:
            results.put(work())
        except Exception as error:  # noqa: BLE001 - the parent looks at it
            results.put(repr(error))

    child = context.Process(target=run)
    child.start()
    result = results.get(timeout=30)
    child.join()
    return result


def kill_a_writer(code: str, path: Path, seconds: float) -> None:
    """Kill a process that writes a list; what it had written by then must be in the file, whole and in order.

    Args:
        code: a program that appends ``{"n": 0}``, ``{"n": 1}``, … to the file of its first argument, and prints
            each number once it is in the file.
        path: the file.
        seconds: how long it may write after its first line.
    """
    path.unlink(missing_ok=True)
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()  # it has begun
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    finished = [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()
    written = [item["n"] for item in json.loads(path.read_text())]
    assert written == list(range(len(written)))
    assert len(written) > max(finished, default=0)
