"""CPU time per call: the SDK's `chat.completions.create` against clemcore's whole call, by length of the dialogue.

Run: python benches/chat_body.py
Both talk to the same small server in a process of its own; only the client's CPU time counts.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from clemcore import backends
from support.wire_server import WireServer

LENGTHS = (1, 20, 200)


def serve(pipe: Connection) -> None:
    """Run the server until the client says that it is done."""
    with WireServer() as server:
        pipe.send(server.url)
        pipe.recv()


def milliseconds(call: Callable[[], Any], times: int) -> float:
    """CPU milliseconds per call, after one call that does not count."""
    call()
    begin = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begin) / times * 1000


def main() -> None:
    """Print one line per length of dialogue."""
    import openai

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    url = f"{ours.recv()}/v1"
    sdk = openai.OpenAI(api_key="none", base_url=url)
    entry = {"model_name": "m", "backend": "openai_compatible", "model_id": "m", "base_url": url}
    model = backends.get_model_for({**entry, "model_config": {"requires_api_key": False}})
    print("messages  SDK's create  clemcore's whole call  (ms of CPU per call)")
    for length in LENGTHS:
        messages: Any = [{"role": ("user", "assistant")[i % 2], "content": "word " * 20} for i in range(length)]
        times = max(20, 400 // length)
        create = milliseconds(partial(sdk.chat.completions.create, model="m", messages=messages), times)
        whole = milliseconds(partial(model.generate_response, messages), times)
        print(f"{length:8}  {create:12.2f}  {whole:21.2f}")
    ours.send("done")
    process.join()
    sdk.close()


if __name__ == "__main__":
    main()
