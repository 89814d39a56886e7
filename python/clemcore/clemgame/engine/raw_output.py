"""What game code writes past Python's streams: by ``os.write``, from C code, or in a program that it starts.

The descriptor of standard output leads into a pipe, whose lines go to a function. Standard error stays: progress
and the messages of a crash belong there. It does not know episodes.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import IO

_DESCRIPTOR = 1
_AT_ONCE = 65536
# A line that is longer is cut into several.
_LONGEST = 100_000
# Seconds to wait at the end for a program that still holds the pipe.
_PATIENCE = 1.0


class RawOutput:
    """Leads the descriptor of standard output to a function, until :meth:`close`.

    Args:
        take: gets whole lines, joined by line feeds.

    Attributes:
        stream: writes to where standard output led before.

    Raises:
        OSError: there is no standard output that belongs to this descriptor.
    """

    def __init__(self, take: Callable[[str], object]) -> None:
        """Begin."""
        real = sys.stdout
        if real is None or real.fileno() != _DESCRIPTOR:  # a test, or a notebook, has put another in its place
            raise OSError("standard output is not the descriptor 1")
        real.flush()
        self._take = take
        self._saved = os.dup(_DESCRIPTOR)
        self.stream: IO[str] = os.fdopen(
            os.dup(self._saved), "w", encoding=real.encoding, errors=real.errors, buffering=1
        )
        read, write = os.pipe()
        os.dup2(write, _DESCRIPTOR)
        os.close(write)
        self._thread = threading.Thread(target=self._read, args=(read,), name="raw output", daemon=True)
        self._thread.start()

    def _read(self, descriptor: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        rest = ""
        with contextlib.closing(os.fdopen(descriptor, "rb", buffering=0)) as pipe:
            while data := pipe.read(_AT_ONCE):
                whole, newline, rest = (rest + decoder.decode(data)).rpartition("\n")
                if newline:
                    self._take(whole)
                if len(rest) > _LONGEST:
                    self._take(rest)
                    rest = ""
        if rest:
            self._take(rest)

    def close(self) -> None:
        """Lead standard output to where it led before."""
        self.stream.close()
        os.dup2(self._saved, _DESCRIPTOR)  # the pipe ends, unless a program that was started still holds it
        os.close(self._saved)
        self._thread.join(_PATIENCE)
