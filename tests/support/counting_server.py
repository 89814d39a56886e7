"""A chat server that counts: each request with the times at which it came and was answered.

Its answers depend on the request alone, as if it sampled with the seed of the request, so that two runs can be
compared. It takes its time, so that many requests are under way at once.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass
class Counted:
    """One request: its body without what may differ from attempt to attempt, and when it came and was answered."""

    body: str
    came: float
    answered: float | None = None


class CountingServer:
    """Serves ``/v1/chat/completions`` in threads."""

    def __init__(self, delay: float = 0.02) -> None:
        self.delay = delay
        self.requests: list[Counted] = []
        self.fails_every = 0
        # Requests are counted and not answered while it is not set.
        self.gate = threading.Event()
        self.gate.set()
        self.text: Any = None
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def entry(self, name: str = "counted", **fields: Any) -> dict[str, Any]:
        """An entry of a registry for a model of this server."""
        config = {"requires_api_key": False, **fields.pop("model_config", {})}
        return {
            "model_name": name, "model_id": name, "backend": "openai_compatible", "base_url": self.url,
            "model_config": config, **fields,
        }  # fmt: skip

    def __enter__(self) -> CountingServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer."""
        asked = json.loads(body)
        with self._lock:
            number = len(self.requests)
        if self.fails_every and number % self.fails_every == 0:
            return 400, {"error": {"message": "not today", "type": "invalid_request_error"}}
        key = hashlib.sha256(body).hexdigest()
        text = f"SAY {key[:12]}" if self.text is None else self.text(asked)
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return 200, {"id": key[:8], "object": "chat.completion", "created": 1, "model": asked["model"],
                     "choices": [choice], "usage": usage}  # fmt: skip

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        counting = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Otherwise the body leaves 40 ms after it was "answered", when the client has confirmed the head.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = counting.answer(body)
                counted = Counted(body.decode(), time.time())
                with counting._lock:
                    counting.requests.append(counted)
                time.sleep(counting.delay * random.uniform(0.3, 1.7))
                counting.gate.wait(120)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()
                counted.answered = time.time()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients are killed here."""
