"""Starts the command again in the same process, with another hash seed: Python reads it only when it starts."""

from __future__ import annotations

import os
import sys

import click


def restart_with_hash_seed(ctx: click.Context, wanted: str) -> None:
    """Start the command again with a hash seed, unless this process has it already.

    A game that goes through a set of texts depends on it. Only a process of its own is replaced: a program that
    calls the command keeps its seed.
    """
    if ctx.obj is None or list(ctx.obj) != sys.argv[1:] or os.environ.get("PYTHONHASHSEED") == wanted:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {**os.environ, "PYTHONHASHSEED": wanted}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - this program again
