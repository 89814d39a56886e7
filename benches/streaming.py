"""How long a piece of a streamed answer takes from the server's write to the reader of the stream.

Run: python benches/streaming.py [--rounds N]
The server runs in a process of its own. It writes its clock into each piece, and a pause lies between two pieces.
Both processes read the same monotonic clock of the system. Every call is recorded.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PIECES = 20
PAUSE = 0.02  # seconds between two pieces
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def serve(pipe: Connection) -> None:
    """Answer one request after another by pieces that hold the time at which they were written."""
    listening = socket.create_server(("127.0.0.1", 0))
    pipe.send(listening.getsockname()[1])
    while True:
        connection, _ = listening.accept()
        with connection:
            if not asked(connection):
                return
            connection.sendall(HEAD)
            for number in range(PIECES):
                time.sleep(PAUSE)
                event(connection, {"content": f"{time.monotonic()} "}, None)
                if number == PIECES - 1:
                    event(connection, {}, "stop")
            connection.sendall(b"data: [DONE]\n\n")


def asked(connection: socket.socket) -> bool:
    """Read a request; tell whether it is one, or the end of the bench."""
    text = b""
    while b"\r\n\r\n" not in text:
        part = connection.recv(65536)
        if not part or part == b"end":
            return False
        text += part
    head, _, body = text.partition(b"\r\n\r\n")
    size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < size:
        body += connection.recv(65536)
    return True


def event(connection: socket.socket, delta: dict[str, str], reason: str | None) -> None:
    """Write one event of the stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    connection.sendall(b"data: %s\n\n" % json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode())


def main() -> None:
    """Print the delays of first pieces and of all pieces."""
    from clemcore import backends

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="streamed answers (20)")
    rounds = parser.parse_args().rounds
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    port = ours.recv()
    entry = {"model_name": "m", "backend": "openai_compatible", "model_id": "m"}
    config = {"requires_api_key": False}
    model: Any = backends.get_model_for(
        {**entry, "base_url": f"http://127.0.0.1:{port}/v1", "model_config": config}
    )
    first, every = [], []
    with tempfile.TemporaryDirectory() as folder, backends.record(Path(folder) / "requests.json"):
        for _ in range(rounds):
            delays = []
            for piece in model.stream_response([{"role": "user", "content": "Hi"}]):
                now = time.monotonic()
                delays += [now - float(written) for written in piece.split()]
            first.append(delays[0])
            every += delays
    with socket.create_connection(("127.0.0.1", port)) as last:
        last.sendall(b"end")
    process.join()
    if len(every) != rounds * PIECES:
        raise SystemExit(f"{len(every)} pieces arrived instead of {rounds * PIECES}")
    for name, delays in (("first piece", first), ("all pieces", every)):
        print(f"{name}: median {statistics.median(delays) * 1000:.2f} ms, most {max(delays) * 1000:.2f} ms")


if __name__ == "__main__":
    main()
