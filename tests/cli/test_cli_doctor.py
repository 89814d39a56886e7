"""`clem doctor`: everything that a call would use, nothing sent, no key shown."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.clem import Clem
from support.remote import CANARY, write_keys
from support.wire_server import WireServer


def _register(**entry: Any) -> None:
    fields = {"model_name": "m", "backend": "openai_compatible", "model_id": "model-001", **entry}
    Path("model_registry.json").write_text(json.dumps([fields], indent=1))


def _rows(clem: Clem, *arguments: str, status: int = 0, **environment: str) -> dict[str, dict[str, Any]]:
    done = clem("doctor", *arguments, "--json", **environment)
    assert done.returncode == status, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is (status == 0)
    return {row["name"]: row for row in report["rows"]}


def test_everything_is_shown_and_nothing_is_sent(clem: Clem, wire_server: WireServer) -> None:
    write_keys(lab={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
    _register(
        key_name="lab",
        base_url=f"{wire_server.url}/v1",
        prices={"input": 3, "output": 15, "date": "2026-11-10"},
        model_config={"requests_per_minute": 60},
    )
    rows = _rows(clem, "m", "-l", "1000", "-t", "0.5", "Hello!")
    assert rows["entry"]["value"].endswith("model_registry.json:2")
    assert rows["base_url"]["value"] == f"{wire_server.url}/v1"
    assert rows["request"]["value"] == f"POST {wire_server.url}/v1/chat/completions"
    key = rows["key"]["value"]
    assert (key["name"], key["api_key"]) == ("lab", "***")
    assert key["found_in"].endswith("key.json")
    assert rows["limits"]["value"]["requests_per_minute"] == 60
    assert rows["protocol"]["value"]["name"] == "chat-completions"
    body = rows["body"]["value"]
    assert body == {
        "model": "model-001",
        "messages": [{"role": "user", "content": "Hello!"}],
        "temperature": 0.5,
        "max_tokens": 1000,
    }
    tokens = len(json.dumps(body, separators=(",", ":"))) // 4
    cost = rows["cost"]["value"]
    assert cost == {
        "input_tokens": tokens,
        "output_tokens": 1000,
        "usd": (3 * tokens + 15000) / 1_000_000,
        "prices_of": "2026-11-10",
    }
    done = clem("doctor", "m", CLEM_DEBUG="1")
    assert "nothing was sent" in done.stderr
    assert CANARY not in done.stdout + done.stderr + json.dumps(rows)
    assert not wire_server.requests


def test_faults_are_named_each_with_what_to_do(clem: Clem) -> None:
    _register(base_url="https://models.example/v1", deprecation_date="2024-01-31")
    rows = _rows(clem, "m", status=1)
    assert rows["address and key"]["state"] == "fault"
    assert "set $OPENAI_COMPATIBLE_API_KEY" in rows["address and key"]["advice"]
    assert rows["deprecation_date"]["state"] == "fault"
    assert rows["body"]["state"] == "good"  # needs no key
    soon = (date.today() + timedelta(days=10)).isoformat()
    _register(base_url="https://models.example/v1", deprecation_date=soon, model_config={"verify_tls": False})
    rows = _rows(clem, "m", OPENAI_COMPATIBLE_API_KEY="sk-7654321")
    assert rows["key"]["value"]["found_in"] == "$OPENAI_COMPATIBLE_API_KEY"
    assert rows["deprecation_date"]["state"] == rows["tls"]["state"] == "warning"
    _register(base_url="http://models.example/v1", model_config={"max_connections": -1})
    rows = _rows(clem, "m", "--gen-arg", "n=2", status=1, OPENAI_COMPATIBLE_API_KEY="sk-7654321")
    assert "without encryption" in rows["key"]["advice"]
    assert "must be a positive number" in rows["limits"]["advice"]


def test_proxy_and_authorities(clem: Clem) -> None:
    _register(base_url="https://models.example/v1", model_config={"requires_api_key": False})
    rows = _rows(clem, "m", HTTPS_PROXY="http://me:secret-of-mine@proxy.example:3128")
    assert rows["proxy"]["value"] == {"url": "http://proxy.example:3128/", "login": "***"}
    assert rows["key"]["advice"].startswith("none is sent")
    assert str(rows["tls"]["value"]).startswith("verified")
    _register(base_url="https://models.example/v1", model_config={"requires_api_key": False, "ca_file": "ca.pem"})
    Path("ca.pem").write_text("no certificate")
    assert "no certificate in PEM form" in _rows(clem, "m", status=1)["tls"]["advice"]


def test_an_unknown_model_and_a_known_one(clem: Clem) -> None:
    assert "did you mean 'gpt-4o" in clem.fails("doctor", "gpt-4oo")
    rows = _rows(clem, "gpt-4o", OPENAI_API_KEY="sk-7654321")
    assert rows["entry"]["value"].startswith("packaged:")
    assert rows["cost"]["value"]["usd"] > 0
    rows = _rows(clem, "mock")
    assert rows["body"]["value"][0]["role"] == "user"


@pytest.mark.slow
def test_a_local_model(clem: Clem, tiny_chat: Path) -> None:
    entry = {"model_name": "tiny", "backend": "huggingface_local", "huggingface_id": str(tiny_chat)}
    rows = _rows(clem, json.dumps(entry))
    assert rows["files"]["value"]["weights"] == 1
    assert rows["context"]["value"]["tokens"] == 512
    assert "none yet" in rows["proof"]["advice"]
    assert rows["body"]["value"].startswith("<|im_start|>user")
    assert "it holds" in _rows(clem, json.dumps(entry))["proof"]["advice"]  # the prompt above needed one
    gone = {**entry, "huggingface_id": str(tiny_chat / "nothing")}
    assert _rows(clem, json.dumps(gone), status=1)["settings"]["state"] == "fault"


def test_a_field_can_be_replaced_for_once(clem: Clem) -> None:
    _register(base_url="https://models.example/v1", model_config={"requires_api_key": False})
    rows = _rows(clem, "m", "--set", "base_url=https://other.example/v1", "--set", "model_config.max_connections=3")
    assert rows["base_url"]["value"] == "https://other.example/v1"
    assert rows["limits"]["value"]["max_connections"] == 3
    assert "is not FIELD=VALUE" in clem.fails("doctor", "m", "--set", "base_url", status=2)


# -- custom backends ---------------------------------------------------------------------------------------------
_LAB = """
from clemcore import backends
from clemcore.diagnosis import Row
from clemcore.errors import ClemcoreError

class Lab(backends.Backend):
    def get_model_for(self, model_spec):
        return backends.CustomResponseModel(model_spec)
"""
_RENDER = """
    @classmethod
    def render(cls, model_spec, messages, gen_args, asked):
        raise ClemcoreError("no such template")
"""
_EXAMINE = """
    @classmethod
    def examine(cls, model_spec):
        return [Row("licence", "ABC", "warning", "ends soon"), Row("body", {"text": "…"})]
"""


@pytest.mark.parametrize(
    ("methods", "status", "shown"),
    [
        ("", 0, ("body", "good", "does not show what it would send")),
        (_RENDER, 1, ("body", "fault", "no such template")),
        (_EXAMINE, 0, ("licence", "warning", "ends soon")),
    ],
)
def test_a_custom_backend(clem: Clem, methods: str, status: int, shown: tuple[str, str, str]) -> None:
    Path("lab_api.py").write_text(_LAB + methods)
    rows = _rows(clem, '{"model_name": "m", "backend": "lab"}', status=status)
    name, state, advice = shown
    assert rows[name]["state"] == state
    assert advice in rows[name]["advice"]
    assert rows.keys() <= {"entry", "backend", "body", "licence"}  # no rule of packaged backends applies


# -- models of the hub -------------------------------------------------------------------------------------------
HUB_MODEL = json.dumps({"model_name": "h", "backend": "huggingface_local", "huggingface_id": "org/name"})


@pytest.mark.slow
def test_the_hub_is_not_asked_for_a_model_that_is_not_here(clem: Clem, wire_server: WireServer) -> None:
    hub = {"HF_ENDPOINT": wire_server.url, "HF_HUB_OFFLINE": "0"}
    rows = _rows(clem, HUB_MODEL, status=0, **hub)
    assert (rows["files"]["state"], rows["files"]["value"]) == ("warning", "org/name")
    assert "not known before the tokenizer is on this machine" in rows["body"]["advice"]
    assert "nothing was sent" in clem("doctor", HUB_MODEL, **hub).stderr
    assert not wire_server.requests


@pytest.mark.slow
@pytest.mark.parametrize("is_whole", [True, False])
def test_nor_for_one_that_is_here_whole_or_in_part(
    clem: Clem, wire_server: WireServer, tiny_chat: Path, tmp_path: Path, is_whole: bool
) -> None:
    snapshot = tmp_path / "models--org--name" / "snapshots" / ("0" * 40)
    (tmp_path / "models--org--name" / "refs").mkdir(parents=True)
    (tmp_path / "models--org--name" / "refs" / "main").write_text("0" * 40)
    snapshot.mkdir(parents=True)
    for file in tiny_chat.iterdir():
        if is_whole or file.name == "config.json":
            shutil.copy(file, snapshot)
    hub = {"HF_ENDPOINT": wire_server.url, "HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": str(tmp_path)}
    rows = _rows(clem, HUB_MODEL, status=0, **hub)
    if is_whole:
        assert rows["files"]["state"] == "good"
        assert "Tell me" in rows["body"]["value"]
    else:
        assert rows["files"]["advice"].endswith("the first call downloads what is missing")
        assert rows["body"]["value"] is None
    assert not wire_server.requests
