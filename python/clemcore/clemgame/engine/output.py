"""What games print and log: each line goes to the run's log, with the episode that it comes from.

Text is escaped, so that a game or a model cannot steer the terminal of whoever reads the log. It does not know what
the lines mean.
"""

from __future__ import annotations

import builtins
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from clemcore import forks
from clemcore.clemgame.engine.live import label, waiting
from clemcore.clemgame.engine.raw_output import RawOutput
from clemcore.secrets import scrub
from clemcore.visible import visible

# A line that is longer is cut into several.
_LONGEST = 100_000


class RunLog:
    """The file ``run.log`` of a run; any thread may write to it.

    Args:
        path: the file; new lines are appended.
    """

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self._lock = threading.Lock()
        self._file: IO[str] | None = path.open("a", encoding="utf-8", errors="backslashreplace")
        forks.guard(self, "_lock")

    def write(self, scope: str, text: str) -> None:
        """Write the lines of a text, with the time and the scope of each."""
        stamp = datetime.now().isoformat(sep=" ", timespec="milliseconds")
        lines = visible(scrub(text)).split("\n")
        with self._lock:
            if self._file is not None:
                self._file.writelines(f"{stamp} [{scope}] {line}\n" for line in lines)
                self._file.flush()

    def close(self) -> None:
        """Close the file; what is written later is dropped."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()


class _Lines(threading.local):
    """The unfinished line of each thread."""

    text = ""


class _Dispatched:
    """A standard stream that sends what episodes write to the run's log."""

    def __init__(self, real: Any, log: RunLog, is_log: Callable[[], bool]) -> None:
        self._real = real
        self._log = log
        self._is_log = is_log
        self._line = _Lines()

    def write(self, text: str) -> int:
        """Write a text; whole lines go to the log at once."""
        if not self._is_log():
            return int(self._real.write(text))
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        whole, newline, rest = (self._line.text + text).rpartition("\n")
        if newline:
            self._log.write(_scope(), whole)
        if len(rest) > _LONGEST:
            self._log.write(_scope(), rest)
            rest = ""
        self._line.text = rest
        return len(text)

    def end_line(self) -> None:
        """Write an unfinished line of this thread."""
        text, self._line.text = self._line.text, ""
        if text:
            self._log.write(_scope(), text)

    def flush(self) -> None:
        """Flush the real stream."""
        if not self._is_log():
            self._real.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after another."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Tell whether a terminal shows what this thread writes."""
        return not self._is_log() and bool(self._real.isatty())

    def __getattr__(self, name: str) -> Any:
        """Have everything else of the real stream."""
        return getattr(self._real, name)


class _LogHandler(logging.Handler):
    """Writes log records to the run's log."""

    def __init__(self, log: RunLog) -> None:
        super().__init__()
        self._log = log
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log.write(_scope(), self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of the standard library
            self.handleError(record)


def _scope() -> str:
    return label() or "-"


class Output:
    """Sends what episodes print and log to the run's log, between :meth:`install` and :meth:`remove`.

    Args:
        log: the run's log; None leaves all output where it is.
        is_shown: show the output on the terminal instead, for an episode with a person.
    """

    def __init__(self, log: RunLog | None, *, is_shown: bool = False) -> None:
        """Change nothing yet."""
        self._log = log
        self._is_shown = is_shown
        self._undo: list[Callable[[], object]] = []
        self._streams: list[_Dispatched] = []

    def install(self) -> None:
        """Begin. ``input()`` lets other episodes play while it waits."""
        original = builtins.input
        builtins.input = waiting(original)
        self._undo.append(lambda: setattr(builtins, "input", original))
        if self._log is None:
            return
        shown = None if self._is_shown else self._lead_away(self._log)
        for name in ("stdout", "stderr"):
            before = getattr(sys, name)
            if before is None:
                continue
            real = shown if name == "stdout" and shown is not None else before
            stream = _Dispatched(real, self._log, self._goes_to_log)
            self._streams.append(stream)
            setattr(sys, name, stream)
            self._undo.append(lambda name=name, before=before: setattr(sys, name, before))  # type: ignore[misc]
        self._log_records(self._log)

    def _lead_away(self, log: RunLog) -> IO[str] | None:
        """Lead what is written past the streams to the log, too; return what still writes to standard output."""
        try:
            raw = RawOutput(lambda text: log.write("-", text))
        except (OSError, ValueError, AttributeError):  # standard output is not a file of its own
            return None
        self._undo.append(raw.close)
        return raw.stream

    def _log_records(self, log: RunLog) -> None:
        """Log records from INFO on; other handlers see what they saw before."""
        root = logging.getLogger()
        handler, level = _LogHandler(log), root.level
        if level > logging.INFO or level == logging.NOTSET:
            for other in root.handlers:
                keep = _from_level(level)
                other.addFilter(keep)
                self._undo.append(lambda other=other, keep=keep: other.removeFilter(keep))  # type: ignore[misc]
            root.setLevel(logging.INFO)
            self._undo.append(lambda: root.setLevel(level))
        root.addHandler(handler)
        self._undo.append(lambda: root.removeHandler(handler))

    def _goes_to_log(self) -> bool:
        if label() is None:
            return threading.current_thread() is not threading.main_thread()
        return not self._is_shown and not _is_debugged()

    def end_line(self) -> None:
        """Write unfinished lines of this thread."""
        for stream in self._streams:
            stream.end_line()

    def remove(self) -> None:
        """Undo everything."""
        while self._undo:
            self._undo.pop()()
        self._streams.clear()


def _is_debugged() -> bool:
    """Tell whether a debugger steps through this thread: then its output belongs on the terminal."""
    debugger = sys.modules.get("bdb")
    return debugger is not None and isinstance(getattr(sys.gettrace(), "__self__", None), debugger.Bdb)


def _from_level(level: int) -> Callable[[logging.LogRecord], bool]:
    def keep(record: logging.LogRecord) -> bool:
        return record.levelno >= level

    return keep
