"""The command ``clem``.

This module answers ``clem --version`` and nothing else, because it is imported at every start; click and the
commands are imported by :mod:`clemcore.cli.app` when there is something for them to do.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing's, which a start need not import
if TYPE_CHECKING:
    from typing import Any

# The functions that other packages call; they are loaded when they are asked for.
FUNCTIONS = ("list_backends", "list_games", "list_keys", "list_models", "run", "score", "serve", "transcripts")


def __getattr__(name: str) -> Any:
    import importlib

    if name in FUNCTIONS:
        return getattr(importlib.import_module("clemcore.cli.functions"), name)
    if name == "clemeval":
        return importlib.import_module("clemcore.cli.clemeval")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main(arguments: list[str] | None = None) -> int:
    """Run ``clem``.

    Args:
        arguments: what stands after ``clem``; by default the process's own.

    Returns:
        The exit status: 0 done, 1 failed, 2 used wrongly, 130 interrupted, 141 the reader of the output went away.
    """
    is_whole_process = arguments is None
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments == ["--version"]:
            from clemcore._core import __version__

            try:
                print(f"clem {__version__}", flush=True)
            except OSError as error:
                from clemcore.cli.app import failed

                return failed(error)
            return 0
        from clemcore.cli.app import run

        status = run(arguments)
    except KeyboardInterrupt:  # while something was being imported; a running command has its own handling
        status = 130
    if is_whole_process and "threading" in sys.modules:
        from clemcore.cli.leaving import limit_leaving

        limit_leaving(status)
    return status
