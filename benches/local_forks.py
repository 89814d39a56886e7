"""How many forked children hang in torch, by what another thread of the parent does at the fork.

Run: python benches/local.py forks [--rounds N]

It does not use clemcore, which refuses to compute where this bench hangs. One thread of torch. A child that has not
multiplied four small matrices after twenty seconds counts as one that hangs.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch


def main(arguments: list[str]) -> None:
    """Print a line for each state of the other thread."""
    parser = argparse.ArgumentParser(prog="local.py forks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args(arguments).rounds
    for state in ("gone", "alive", "computing"):
        hung = sum(_hangs(state) for _ in range(rounds))
        print(f"other thread {state}: {hung} of {rounds} children hung")


def _multiply() -> None:
    weights = torch.randn(64, 300)
    for rows in (1, 7, 30, 200):
        (torch.randn(rows, 64) @ weights).sum()


def _hangs(state: str) -> bool:
    may_end, has_computed = threading.Event(), threading.Event()

    def compute() -> None:
        _multiply()
        has_computed.set()
        if state == "alive":
            may_end.wait()
        while state == "computing" and not may_end.is_set():
            _multiply()

    other = threading.Thread(target=compute)
    other.start()
    has_computed.wait()
    if state == "gone":
        other.join()
        # Python forgets a thread before the C libraries have given back what they kept for it.
        while Path(f"/proc/self/task/{other.native_id}").exists():
            time.sleep(0.0001)
    hung = _child_hangs(_multiply)
    may_end.set()
    other.join()
    return hung


def _child_hangs(work: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # ends the process
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return bool(status)
