"""examples/demo/server.py: a server that answers while the block runs and is then gone, or a clear error."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest

from support.models import REPOSITORY, load_script


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return load_script(REPOSITORY / "examples" / "demo" / "server.py")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_serves_and_ends(
    demo: ModuleType, tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-server")
    with demo.serve(tiny_chat, log=tmp_path / "log") as server:
        assert server.model == tiny_chat.name
        environment = Path(f"/proc/{server.pid}/environ").read_bytes()
        assert b"HF_HUB_OFFLINE=1" in environment
        assert b"sk-not-for-the-server" not in environment
        body = {
            "model": server.model,
            "messages": [{"role": "user", "content": "Hello!"}],
            "temperature": 0.0,
        }
        request = urllib.request.Request(
            f"{server.base_url}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            reply = json.load(answer)
        assert reply["choices"][0]["message"]["content"] == "Hello! How can I help you?"
        assert is_alive(server.pid)
    assert not is_alive(server.pid)
    assert "POST /v1/chat/completions" in server.log.read_text()


@pytest.mark.slow
def test_a_server_that_dies_shows_the_end_of_its_log(demo: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text('{"model_type": "no-such-type"}')
    with (
        pytest.raises(demo.ServerError, match=r"(?s)ended with status 1 .*Unrecognized processing class in broken"),
        demo.serve(tmp_path / "broken", log=tmp_path / "log"),
    ):
        pytest.fail("it served a folder without a model")


@pytest.mark.parametrize(("name", "message"), [("empty", "no config.json"), ("a@b", "'@' in its name")])
def test_folders_that_cannot_be_served(demo: ModuleType, tmp_path: Path, name: str, message: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    if name != "empty":
        (folder / "config.json").write_text("{}")
    with pytest.raises(demo.ServerError, match=message), demo.serve(folder):
        pytest.fail("it was served")
