"""Runs a real OpenAI-compatible chat server on this machine: `transformers serve` on a folder with a model.

Nobody here wrote that server, which is the point: it shows that clemcore talks to the servers people use.
It is started as a process of its own, on the loopback address only, and ended with everything it started. It
is given none of the caller's environment but what it needs to run, so no key can reach it or its log.

This module knows nothing about clemcore and imports nothing but the standard library.

    python examples/demo/server.py FOLDER    serves until Ctrl-C; the log is printed
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
# What the server gets of our environment: where programs and libraries are, and the language. No secrets.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONPATH")
SECONDS_TO_END = 10.0


class ServerError(RuntimeError):
    """The server did not start; the text holds the end of its log."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        base_url: what an OpenAI client is given, ending in `/v1`.
        model: the model name that requests must carry, the folder's name; this server takes no other.
        log: the file that holds what the server printed.
        pid: its process, which is the leader of its process group.
    """

    base_url: str
    model: str
    log: Path
    pid: int


@contextlib.contextmanager
def serve(
    folder: Path, *, log: Path | None = None, timeout: float = 180.0, threads: int = 1, dtype: str = "float32"
) -> Iterator[Server]:
    """Serve a model folder while the `with` block runs.

    Args:
        folder: a HuggingFace folder with a chat template. Its name may not contain `@`, which this server
            reads as the start of a revision.
        log: the file for the server's output; a new temporary one, which stays, when not given.
        timeout: seconds to wait until it answers; a small model takes about 10.
        threads: CPU threads it may use.
        dtype: number format of the weights; float32 gives the texts that float32 gives elsewhere.

    Yields:
        The address and the model name to use.

    Raises:
        ServerError: the folder is not one, or the server ended or was silent until the time was over.
    """
    folder = folder.absolute()
    if not (folder / "config.json").is_file():
        raise ServerError(f"{folder} is not a model folder: it has no config.json")
    if "@" in folder.name:
        raise ServerError(f"transformers serve cannot serve a folder with '@' in its name: {folder}; rename it")
    with tempfile.TemporaryDirectory(prefix="clemcore-server-") as work:
        if log is None:
            handle, name = tempfile.mkstemp(prefix="clemcore-server-", suffix=".log")
            os.close(handle)
            log = Path(name)
        port = _free_port()
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", folder.name]
        command += ["--host", HOST, "--port", str(port), "--device", "cpu", "--dtype", dtype]
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                env=_environment(Path(work), threads),
                # Beside the folder, so that the model goes by the folder's name, not by a path.
                cwd=folder.parent,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_until_healthy(process, port, log, timeout)
            yield Server(f"http://{HOST}:{port}/v1", folder.name, log, process.pid)
        finally:
            _end(process)


def _environment(work: Path, threads: int) -> dict[str, str]:
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # The server looks for its cache folder even when every file is local, and fails without one.
    cache = work / "hub"
    cache.mkdir()
    return environment | {
        "HF_HOME": str(work),
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        return int(port)


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(
                f"transformers serve ended with status {process.returncode} before it answered; it needs "
                f"pip install 'transformers[serving]'. {_end_of(log)}"
            )
        if _answers(port):
            return
        time.sleep(0.1)
    raise ServerError(f"transformers serve did not answer within {timeout:g} seconds. {_end_of(log)}")


def _answers(port: int) -> bool:
    # http.client, not urllib: a proxy that the environment names has no place between us and the loopback.
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end_of(log: Path, lines: int = 25) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"The end of its log, {log}:\n" + "\n".join(text[-lines:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and every process it started: first by asking, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            continue
        break
    # A child may outlive its leader; the group is ours alone.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run from the command line; see the text at the top of this file."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with serve(Path(arguments[0])) as server:
            print(f"base_url {server.base_url}\nmodel    {server.model}\nlog      {server.log}\nCtrl-C ends it")
            sys.stdout.flush()
            signal.pause()
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
