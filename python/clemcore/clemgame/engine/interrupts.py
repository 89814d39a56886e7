"""What Ctrl-C does to a run: once, no new call is made and live calls end; twice, the run stops at once.

It does not know what a run does.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

from clemcore import forks
from clemcore.clemgame.engine.limits import Control, LimitReached
from clemcore.clemgame.engine.live import current


class Interrupts:
    """Handles Ctrl-C and SIGTERM while a block runs, if it runs in the main thread.

    Args:
        control: what is stopped.
        is_immediate: stop at once, because the run waits for a person.

    Attributes:
        is_at_once: whether the run is to stop at once.
    """

    def __init__(self, control: Control, *, is_immediate: bool = False) -> None:
        """Change nothing yet."""
        self._control = control
        self._is_immediate = is_immediate
        self._former: dict[signal.Signals, Any] = {}
        self._first = 0.0
        self.is_at_once = False
        # A child of a game plays no episode: without this, it would survive terminate() of multiprocessing.
        forks.guard(self, in_child=Interrupts._give_back)

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
                self._former[number] = signal.signal(number, self._handle)
        self._control.handles_interrupts = signal.SIGINT in self._former

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as handlers are called
        episode = current()
        if episode is not None and episode.is_poked:
            episode.is_poked = False
            if episode.in_game:
                raise LimitReached("the game's code takes too long without a call")
            return
        is_first = not self._first
        self._first = self._first or time.monotonic()
        self._control.stop("interrupt")
        if is_first and not self._is_immediate:
            return
        self.is_at_once = True
        if episode is not None:
            episode.was_stopped = True
            raise KeyboardInterrupt

    def look(self, seconds: float) -> None:
        """Stop at once if live calls have not ended after so many seconds; for a game in the main thread."""
        if self._first and not self.is_at_once and time.monotonic() - self._first > seconds and self._former:
            self._first = time.monotonic()  # the next one only after as long again
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
