"""A chat server in a process of its own, which tests kill with SIGKILL.

Its answer depends on the request alone, so that two servers, and two runs, can be compared. It writes one line for
each request that it has read, before it answers.

    python killable_server.py MODEL LOG DELAY    prints its address, and serves until it is killed
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class KillableServer:
    """A running server: `url` ends in `/v1`."""

    url: str
    log: Path
    process: subprocess.Popen[str]

    @property
    def requests(self) -> list[Any]:
        """The bodies of all requests that it has read."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def kill(self) -> None:
        """Kill it as a machine that loses its power would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def kill_after(self, number: int, seconds: float = 20) -> None:
        """Kill it when it has read so many requests."""
        end = time.monotonic() + seconds
        while len(self.requests) < number:
            assert time.monotonic() < end, f"only {len(self.requests)} of {number} requests came"
            time.sleep(0.01)
        self.kill()


@contextmanager
def killable_server(
    folder: Path, name: str, *, model: str = "m", delay: float = 0.02, port: int = 0, **about: Any
) -> Iterator[KillableServer]:
    """Serve while the block runs; `about` is what the server says about its model."""
    log = folder / f"{name}.log"
    command = [sys.executable, str(Path(__file__)), model, str(log), str(delay), str(port), json.dumps(about)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield KillableServer(process.stdout.readline().strip(), log, process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


def _main(model: str, log: str, delay: float, port: int, about: dict[str, Any]) -> None:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # as in the counting server

        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": model, "object": "model", **about}]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock, open(log, "a") as file:  # noqa: PTH123 - appended line by line
                file.write(json.dumps(json.loads(body)) + "\n")
            time.sleep(delay)
            text = f"SAY {hashlib.sha256(body).hexdigest()[:12]}"
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            self._send(
                {"id": "1", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage}
            )

        def _send(self, answer: Any) -> None:
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", port), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5]))
    os._exit(0)
