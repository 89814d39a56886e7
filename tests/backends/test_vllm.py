"""vLLM itself (its CPU build): prompt ids, scores of given answers, and two servers of which one is killed.

It needs 3.1 GB on the disk and 3-4 GB of memory for each server, so it is not part of CI: `make test-vllm`. With
CLEMCORE_VLLM_SERVERS=1, the second server is `transformers serve`, for machines without the memory for two.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.compared.comparison import compare
from clemcore.backends.compared.dialogues import fitting
from clemcore.backends.compared.engines import LocalEngine
from clemcore.backends.compared.server import VLLM, ServerEngine
from support.tiny import load

PYTHON = os.environ.get("CLEMCORE_VLLM", "")
SERVERS = int(os.environ.get("CLEMCORE_VLLM_SERVERS", "2"))
pytestmark = [
    pytest.mark.skipif(not PYTHON, reason="CLEMCORE_VLLM is not set: run `make test-vllm`"),
    pytest.mark.timeout(1800),
]
_STARTING = 900


class Vllm:
    def __init__(self, folder: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
        command += ["--served-model-name", folder.name, "--host", "127.0.0.1", "--port", str(port)]
        command += ["--dtype", "float32", "--max-model-len", "512", "--enforce-eager", "--max-num-seqs", "4"]
        command += ["--gpu-memory-utilization", "0.1"]
        environment = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "0", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        environment.pop("PYTHONPATH", None)
        self.log = log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                command, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait(self) -> None:
        end = time.monotonic() + _STARTING
        while True:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(self.url.replace("/v1", "/health"), timeout=5):
                    return
            except OSError:
                time.sleep(1)

    def kill(self) -> None:
        """Kill the server with all its processes, as a machine that loses its power would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def running(folder: Path, logs: Path, number: int) -> Iterator[list[Vllm]]:
    with ExitStack() as stack:
        servers = []
        for index in range(number):
            servers.append(Vllm(folder, logs / f"vllm-{index}.log"))
            stack.callback(servers[-1].kill)
        for server in servers:
            server.wait()
        yield servers


@pytest.fixture(scope="module")
def servers(tiny_chat: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Vllm]]:
    with running(tiny_chat, tmp_path_factory.mktemp("vllm"), SERVERS) as started:
        yield started


def test_prompts_and_answers_are_those_of_the_model_here(servers: list[Vllm], tiny_chat: Path) -> None:
    local, server = LocalEngine(load(tiny_chat), "transformers"), ServerEngine(servers[0].url)
    made = compare("tiny", local, server, fitting([local], None, 12), new_tokens=12)
    print(json.dumps(made.to_dict(), indent=1))
    assert server.way == VLLM
    assert made.equal_prompts == made.prompts >= 10
    assert made.equal_answers >= 0.9
    for row in made.rows:
        ours, theirs = (row.sums[name]["transformers"] for name in ("transformers", servers[0].url))
        assert ours == pytest.approx(theirs, abs=1e-3)


def test_a_server_is_killed_in_the_middle_of_100_dialogues(
    servers: list[Vllm], tiny_chat: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    urls = [server.url for server in servers]
    if len(servers) == 1:
        urls.insert(0, request.getfixturevalue("tiny_server").base_url)
    entry = {"model_name": "served", "backend": "openai_compatible", "model_id": tiny_chat.name, "base_url": urls}
    model: Any = backends.get_model_for({**entry, "model_config": {"requires_api_key": False}, "max_tokens": 8})
    scopes = [backends.scope(game="g", experiment="x", episode=index, player="A") for index in range(100)]
    histories = [[{"role": "user", "content": f"Say something about {index}."}] for index in range(100)]
    record = tmp_path / "r.json"

    def kill() -> None:
        end = time.monotonic() + 600
        while time.monotonic() < end and (not record.exists() or record.read_text().count('"timestamp"') < 60):
            time.sleep(0.05)
        servers[-1].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with backends.record(record):
        for _ in range(2):
            for index, reply in enumerate(model.generate_batch_response(histories, scopes=scopes)):
                answer = {"role": "assistant", "content": reply.text or "-"}
                histories[index] += [answer, {"role": "user", "content": "And then?"}]
    killer.join()
    calls = json.loads(record.read_text())
    assert len({json.dumps(call["clemcore"]["scope"], sort_keys=True) for call in calls}) == len(calls) == 200
    assert all(call["clemcore"].get("error") is None for call in calls)
    moved = [call for call in calls if "moved_from" in call["clemcore"]["wire"]["server"]]
    assert moved
    assert {call["clemcore"]["wire"]["server"]["moved_from"] for call in moved} == {servers[-1].url}
    print(f"{len(moved)} calls of 200 moved")
