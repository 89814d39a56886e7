"""Fixtures that run the real command `clem`: a pytest plugin (see conftest.py)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CLEM = str(Path(sys.executable).with_name("clem"))

Done = subprocess.CompletedProcess[str]


class Clem:
    """Runs `clem` in the test's working directory, as a shell script would."""

    def __call__(self, *arguments: str, stdin: str | bytes = "", **environment: str) -> Done:
        """Run to the end; the streams are pipes."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [CLEM, *arguments],
            input=data,
            capture_output=True,
            check=False,
            env={**os.environ, **environment},
            timeout=60,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")
        )

    def ok(self, *arguments: str, stdin: str | bytes = "", **environment: str) -> str:
        """Run, demand success, and return what was written to standard output."""
        done = self(*arguments, stdin=stdin, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, *arguments: str, stdin: str | bytes = "", status: int = 1, **environment: str) -> str:
        """Run, demand the exit status, nothing on standard output, no traceback; return the message."""
        done = self(*arguments, stdin=stdin, **environment)
        assert done.returncode == status, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.stderr


class Terminal:
    """`clem` on a terminal of its own: what it shows is read, keys are typed."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        """Start it."""
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [CLEM, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", **environment},
            preexec_fn=_take_terminal,  # noqa: PLW1509 - no threads run in this process
        )
        os.close(slave)
        self.shown = ""

    def expect(self, text: str, *, seconds: float = 30) -> str:
        """Wait until a text is shown; return all that was shown so far, without line ends of terminals."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"{text!r} was not shown in {self.shown!r}"
            if not self._read() and text not in self.shown:
                pytest.fail(f"ended with {self._process.wait()} before {text!r} was shown: {self.shown!r}")
        return self.shown

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait until it ends; return the exit status."""
        deadline = time.monotonic() + 120
        while self._read():
            assert time.monotonic() < deadline, f"it does not end: {self.shown!r}"
        return self._process.wait(30)

    def interrupt(self) -> int:
        """Type Ctrl-C and return the exit status.

        As a person would, it types again where nothing happens: between its prompt and its waiting for keys,
        readline does not notice a signal.
        """
        for _ in range(10):
            self.type("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(3)
        pytest.fail(f"Ctrl-C does not end it: {self.shown!r}")

    def close(self) -> None:
        """End what is still running."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        """Take what is shown now, waiting a second for it; False once nothing will come any more."""
        if not select.select([self._master], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminals:
    """Starts `clem` on terminals, and closes them at the end of the test."""

    def __init__(self) -> None:
        """Begin with none."""
        self._stack = contextlib.ExitStack()

    def __call__(self, *arguments: str, **environment: str) -> Terminal:
        """Start one."""
        terminal = Terminal(arguments, environment)
        self._stack.callback(terminal.close)
        return terminal

    def close(self) -> None:
        """Close all."""
        self._stack.close()


@pytest.fixture
def clem(monkeypatch: pytest.MonkeyPatch) -> Clem:
    """The command `clem`, run with pipes."""
    for name in ("NO_COLOR", "CLEM_DEBUG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return Clem()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminals]:
    """The command `clem`, run on a terminal."""
    for name in ("NO_COLOR", "CLEM_DEBUG", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    terminals = Terminals()
    yield terminals
    terminals.close()
