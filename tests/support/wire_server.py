"""A loopback HTTP(S) server that keeps the bytes it receives and answers from a script: a pytest plugin.

It knows HTTP/1.1 with Content-Length, and nothing about the clients that it tests.
"""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Received:
    """One request as it came: `raw` is every byte of it."""

    raw: bytes
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One reply; `fault` says how it goes wrong.

    Faults: "close" (no reply), "reset" (connection reset), "truncate" (half of the body), "hang" (no reply until
    the server stops), "drip" (one byte of the body each 0.05 s), "stall" (half of the body, then nothing), "raw"
    (the body is all that is sent, headers included; then the connection is closed).

    A reply with `pieces` is sent in chunks, one for each piece, with a `pause` (seconds) before each but the first.
    With the fault "truncate" the last chunk is missing; with "stall" nothing comes after the pieces.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    delay: float = 0.0
    pieces: tuple[bytes, ...] = ()
    pause: float = 0.0


Script = Callable[[Received], Answer]


def completion(text: str | None = "Canberra.", **changes: Any) -> Answer:
    """A whole chat completion; `message` and any other field of the body can be given."""
    message = {"role": "assistant", "content": text, **changes.pop("message", {})}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "served-model-001",
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "finish_reason": changes.pop("finish_reason", "stop")}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        **changes,
    }
    return reply(200, body)


def response(text: str | None = "Canberra.", **changes: Any) -> Answer:
    """A whole reply of the Responses API; `items` stand before the message, other fields can be given."""
    content = [] if text is None else [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    content += changes.pop("content", [])
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "served-model-001",
        "output": [*changes.pop("items", []), *([message] if content else [])],
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 13,
        },
        **changes,
    }
    return reply(200, body)


def refusal(status: int, message: str, **fields: Any) -> Answer:
    """An error body in OpenAI's form; further fields of the error can be given."""
    headers = fields.pop("headers", {})
    return reply(status, {"error": {"message": message, "type": "some_error", "code": None, **fields}}, headers)


def reply(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    """A JSON reply with a request id; spaces and key order show whether somebody rewrote it."""
    data = json.dumps(body, indent=1, ensure_ascii=False).encode()
    return Answer(status, data, {"Content-Type": "application/json", "X-Request-Id": "req_123", **(headers or {})})


class Crowd:
    """Counts how many requests are answered at the same time, and makes that last.

    Attributes:
        most: the most so far.
    """

    def __init__(self, answer: Callable[[Received], Answer]) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self._answer = answer

    def __call__(self, received: Received) -> Answer:
        """Answer a request."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.01)
        with self._lock:
            self._now -= 1
        return self._answer(received)


class WireServer:
    """Answers each request with the next of its script; the last one again when the script is at its end."""

    def __init__(self, tls: tuple[Path, Path] | None = None) -> None:
        self.requests: list[Received] = []
        self.script: list[Answer | Script] = [completion()]
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
        self._server = _Server(("127.0.0.1", 0), _handler_for(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def only(self) -> Received:
        """The one request that came."""
        assert len(self.requests) == 1, f"{len(self.requests)} requests came"
        return self.requests[0]

    def next_answer(self, received: Received) -> Answer:
        with self._lock:
            step = self.script[min(len(self.requests), len(self.script) - 1)]
            self.requests.append(received)
        return step(received) if callable(step) else step

    def wrapped(self, connection: Any) -> Any:
        return connection if self._context is None else self._context.wrap_socket(connection, server_side=True)

    def wait_until_stopped(self) -> None:
        self._stopping.wait(60)

    def __enter__(self) -> WireServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128


def _handler_for(server: WireServer) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                connection = server.wrapped(self.request)
            except OSError:  # a client that does not trust us hangs up in the handshake
                return
            try:
                while (received := _read(connection)) is not None:
                    if not _send(connection, server.next_answer(received), server):
                        break
            except OSError:  # the client hung up
                pass
            finally:
                connection.close()

    return Handler


def _read(connection: Any) -> Received | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        piece = connection.recv(65536)
        if not piece:
            return None
        raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            return None
        raw, body = raw + piece, body + piece
    method, target, _ = first.split(" ", 2)
    return Received(raw, method, target, headers, body)


def _send(connection: Any, answer: Answer, server: WireServer) -> bool:
    """Send a reply; tell whether the connection stays open."""
    if answer.delay:
        time.sleep(answer.delay)
    if answer.pieces:
        return _send_pieces(connection, answer, server)
    if answer.fault == "hang":
        server.wait_until_stopped()
        return False
    if answer.fault == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets
        return False
    if answer.fault in ("close", "raw"):
        connection.sendall(answer.body if answer.fault == "raw" else b"")
        return False
    headers = {"Content-Length": str(len(answer.body)), **answer.headers}
    head = f"HTTP/1.1 {answer.status} Whatever\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n"
    if answer.fault == "drip":
        connection.sendall(head.encode())
        for index in range(len(answer.body)):
            connection.sendall(answer.body[index : index + 1])
            time.sleep(0.05)
        return True
    is_cut = answer.fault in ("stall", "truncate")
    connection.sendall(head.encode() + answer.body[: len(answer.body) // (2 if is_cut else 1)])
    if answer.fault == "stall":
        server.wait_until_stopped()
    return not is_cut


def _send_pieces(connection: Any, answer: Answer, server: WireServer) -> bool:
    headers = {"Transfer-Encoding": "chunked", **answer.headers}
    head = f"HTTP/1.1 {answer.status} Whatever\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers.items()) + "\r\n"
    connection.sendall(head.encode())
    for number, piece in enumerate(answer.pieces):
        time.sleep(answer.pause if number else 0)
        connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
    if answer.fault == "stall":
        server.wait_until_stopped()
    if answer.fault in ("stall", "truncate"):
        return False
    connection.sendall(b"0\r\n\r\n")
    return True


@pytest.fixture
def wire_server() -> Iterator[WireServer]:
    """A server of its own for the test; its script answers with a plain completion until the test writes one."""
    with WireServer() as server:
        yield server
