"""A service with faults: how long clemcore takes for 1,000 questions, against a client that knows the plan.

Run: python benches/remote_faults.py
20 % of the attempts get 429 with a wait of 1 s, 5 % get 500, 2 % hang, 1 % broken JSON, 1 % a reset; the rest is
answered after 200 ms. The ideal client is simulated: 100 connections, no CPU, it repeats at once or when told to,
and gives up a hanging attempt after the same attempt_timeout. The server runs in a process of its own.
"""

from __future__ import annotations

import heapq
import multiprocessing
import random
import socket
import struct
import time
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any, ClassVar

import remote

CONNECTIONS = 100
COUNT = 1000
ATTEMPT_TIMEOUT = 3.0
WAIT = 1.0
SHARES = {"429": 0.20, "500": 0.05, "hang": 0.02, "json": 0.01, "reset": 0.01}


def fault_of(number: int, attempt: int) -> str:
    """Draw the fault of an attempt, or an empty text."""
    drawn = random.Random(f"{number} {attempt}").random()  # noqa: S311 - a plan, no secret
    for name, share in SHARES.items():
        drawn -= share
        if drawn < 0:
            return name
    return ""


class FaultyServer(remote.Server):
    """Answers as the plan says."""

    attempts: ClassVar[Counter[int]] = Counter()

    def schedule(self, number: str) -> None:
        """Answer late, wrongly or never."""
        attempt = self.attempts[int(number)]
        self.attempts[int(number)] += 1
        fault = fault_of(int(number), attempt)
        if fault == "429":
            self.transport.write(b"HTTP/1.1 429 No\r\nRetry-After: %d\r\nContent-Length: 2\r\n\r\n{}" % WAIT)
        elif fault == "500":
            self.transport.write(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}")
        elif fault == "json":
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{'")
        elif fault == "reset":
            option = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
            self.transport.close()
        elif not fault:
            super().schedule(number)


def serve(pipe: Connection) -> None:
    """Run the server until the client side says that it is done."""
    remote.serve(pipe, FaultyServer)


def ideal_seconds() -> float:
    """Seconds that the client needs that knows everything but cannot change it."""
    ready = [(0.0, number, 0) for number in range(COUNT)]
    free = [0.0] * CONNECTIONS
    end = 0.0
    while ready:
        moment, number, attempt = heapq.heappop(ready)
        begin = max(moment, heapq.heappop(free))
        fault = fault_of(number, attempt)
        spent = {"": remote.LATENCY, "hang": ATTEMPT_TIMEOUT}.get(fault, 0.0)
        heapq.heappush(free, begin + spent)
        end = max(end, begin + spent)
        if fault:
            heapq.heappush(ready, (begin + spent + (WAIT if fault == "429" else 0), number, attempt + 1))
    return end


def main() -> None:
    """Print both times and their ratio."""
    from clemcore import backends

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    limits = {"max_connections": CONNECTIONS, "attempt_timeout": ATTEMPT_TIMEOUT, "bad_reply_attempts": 4}
    config = {"requires_api_key": False, **limits}
    entry = {"model_name": "m", "backend": "openai_compatible", "model_id": "m", "base_url": url}
    model: Any = backends.get_model_for({**entry, "model_config": config})
    batch = [[{"role": "user", "content": f"say {number}"}] for number in range(COUNT)]
    begin = time.perf_counter()
    replies = model.generate_batch_response(batch)
    seconds = time.perf_counter() - begin
    ours.send("done")
    process.join()
    if [reply.text for reply in replies] != [f"said {number}" for number in range(COUNT)]:
        raise SystemExit("answers are missing or in the wrong places")
    repeated = sum(reply.facts["wire"]["attempts"] - 1 for reply in replies)
    ideal = ideal_seconds()
    print(f"{COUNT} answered, {repeated} attempts repeated")
    print(f"clemcore {seconds:.2f} s, ideal {ideal:.2f} s, ratio {seconds / ideal:.2f}")


if __name__ == "__main__":
    main()
