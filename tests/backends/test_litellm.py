"""Contract with litellm's proxy, a gateway that speaks three of our formats. It needs an environment of its own.

``make test-litellm`` makes it and runs this file; without it the file is skipped.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import RemoteCallError
from support.remote import DIALOGUE, HELLO, make_model, write_keys

PROGRAM = os.environ.get("CLEMCORE_LITELLM", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PROGRAM, reason="needs litellm's proxy (600 MB, its own environment): make test-litellm"
    ),
]

KEY = f"sk-{secrets.token_hex(12)}"
CONFIG = f"""
model_list:
  - model_name: mock-model
    litellm_params:
      model: openai/mock
      api_key: none
      mock_response: " Canberra. "
general_settings:
  master_key: {KEY}
"""
SECONDS_TO_START = 120


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running proxy, whose one model always says the same."""
    folder = tmp_path_factory.mktemp("litellm")
    (folder / "config.yaml").write_text(CONFIG)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        PROGRAM,
        "--config",
        "config.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--telemetry",
        "False",
    ]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/liveliness", process, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < ends:
        if process.poll() is not None:
            pytest.fail(f"the proxy ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the proxy did not answer within {SECONDS_TO_START} s: {log.read_text()[-2000:]}")


@dataclass(frozen=True)
class Row:
    """A backend of ours and where the proxy speaks its protocol.

    Attributes:
        backend: our backend.
        at: what is appended to the proxy's address.
        entry: further fields of the entry.
        key_name: under which name the backend looks for its key, where it is another one than the backend's.
    """

    backend: str
    at: str = ""
    entry: dict[str, Any] = field(default_factory=dict)
    key_name: str = ""

    def __str__(self) -> str:
        """Backend, and what is special."""
        return "-".join([self.backend, *(str(value) for value in self.entry.values())])

    def model(self, proxy: str, key: str, model_id: str) -> Any:
        """A model behind the proxy."""
        write_keys(None, **{self.key_name or self.backend: {"api_key": key, "base_url": proxy + self.at}})
        return make_model(self.backend, model_id=model_id, **self.entry)


RESPONSES = {"model_config": {"api": "responses"}}
ROWS = [
    Row("openai_compatible", "/v1"),
    Row("openai_compatible", "/v1", RESPONSES),
    Row("openrouter", "/v1"),
    Row("azure", "/v1", key_name="azure_gpt"),
    Row("azure", "", {"api_version": "2024-10-21"}, "azure_gpt"),
    Row("azure", "/v1", RESPONSES, "azure_gpt"),
    Row("anthropic", entry={"api_version": "2023-06-01"}),
    Row("anthropic", entry={"api_version": "2026-10-21"}),
    Row("google", entry={"api_version": "v1beta"}),
]
every_row = pytest.mark.parametrize("row", ROWS, ids=str)


@every_row
def test_a_dialogue_is_answered(proxy: str, row: Row) -> None:
    model = row.model(proxy, KEY, "mock-model")
    reply = model.generate_response([{"role": "system", "content": "Be short."}, *DIALOGUE])
    assert reply.text == "Canberra."
    assert reply.facts["outcome"] == "answer"
    assert reply.facts["usage"]["input_tokens"] > 0
    assert isinstance(model, backends.BatchGenerativeModel)
    assert [each.text for each in model.generate_batch_response([HELLO] * 8)] == ["Canberra."] * 8


@every_row
def test_a_wrong_key_is_refused_once(proxy: str, row: Row) -> None:
    with pytest.raises(RemoteCallError) as caught:
        row.model(proxy, "sk-wrong-0123456789", "mock-model").generate_response(HELLO)
    assert caught.value.kind in ("authentication", "bad_request")
    assert caught.value.facts["wire"]["attempts"] == 1
    assert "sk-wrong-0123456789" not in str(caught.value)


@every_row
def test_an_unknown_model_is_refused(proxy: str, row: Row) -> None:
    with pytest.raises(RemoteCallError, match="Invalid model name"):
        row.model(proxy, KEY, "no-such-model").generate_response(HELLO)
