"""A thread that looks after a run a few times a second. It does not know what it calls."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence

_EVERY = 0.25
_logger = logging.getLogger(__name__)


class Ticker:
    """Calls functions regularly while a block runs, in a thread of its own."""

    def __init__(self, functions: Sequence[Callable[[], None]], every: float = _EVERY) -> None:
        """Prepare."""
        self._functions = functions
        self._every = every
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clemcore-ticker", daemon=True)

    def __enter__(self) -> None:
        self._look()  # before anything can keep the thread from running
        with contextlib.suppress(RuntimeError):  # no thread to be had: then nobody looks
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        while not self._end.wait(self._every):
            self._look()

    def _look(self) -> None:
        for function in self._functions:
            try:
                function()
            except Exception:
                _logger.exception("looking after the run failed")
