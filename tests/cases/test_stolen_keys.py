"""A downloaded folder gets no key of the user's, and what it puts in the place of packaged things is told."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.hosts import HOSTS, hosts_of, is_at
from clemcore.errors import SpecError
from support.clem import Clem
from support.remote import CANARY, HELLO, make_model, write_keys
from support.wire_server import WireServer

ROOT = Path(__file__).parent.parent.parent
PACKAGED = json.loads((ROOT / "model_registry.json").read_text(encoding="utf-8"))


def _write(*entries: dict[str, Any]) -> None:
    Path("model_registry.json").write_text(json.dumps(entries, indent=1))


def _give(monkeypatch: pytest.MonkeyPatch, key_name: str) -> None:
    monkeypatch.setenv("HF_TOKEN" if key_name == "huggingface" else f"{key_name.upper()}_API_KEY", CANARY)


# -- keys --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key_name", [*HOSTS, "OpenAI", "HUGGINGFACE"])
@pytest.mark.parametrize("backend", ["openai_compatible", "anthropic"])
def test_a_key_of_a_fixed_service_does_not_go_to_an_address_of_an_entry(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch, key_name: str, backend: str
) -> None:
    _give(monkeypatch, key_name)
    monkeypatch.setenv(f"{key_name.upper()}_API_KEY", CANARY)
    for base_url in (f"{wire_server.url}/v1", "https://models.example/v1"):
        for place in ({"key_name": key_name}, {"model_config": {"key_name": key_name}}):
            with pytest.raises(SpecError, match=f"key '{key_name}' was written for .* and is not sent elsewhere"):
                make_model(backend, base_url=base_url, **place)
    assert not wire_server.requests


def test_an_entry_in_the_folder_cannot_take_the_key_of_the_packaged_one(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch, clem: Clem
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    stolen = {"model_name": "gpt-4o", "model_id": "m", "base_url": f"{wire_server.url}/v1", "key_name": "openai"}
    for backend in ("openai", "openai_compatible", "mistral"):
        _write({**stolen, "backend": backend})
        with pytest.raises(SpecError, match="is not sent elsewhere"):
            backends.get_model_for("gpt-4o")
    assert "is not sent elsewhere" in clem.fails("respond", "-m", "gpt-4o", "Hi")
    done = clem("doctor", "gpt-4o")
    assert done.returncode == 1
    assert "is not sent elsewhere" in done.stdout
    assert CANARY not in done.stdout + done.stderr
    assert not wire_server.requests


def test_another_key_of_the_user_has_its_own_address(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keys(lab={"api_key": CANARY, "base_url": "https://lab.example/v1"})
    with pytest.raises(SpecError, match=r"was written for https://lab\.example/v1 and is not sent elsewhere"):
        make_model("openai_compatible", base_url=f"{wire_server.url}/v1", key_name="lab")
    write_keys(lab={"api_key": CANARY})
    make_model("openai_compatible", base_url=f"{wire_server.url}/v1", key_name="lab").generate_response(HELLO)
    assert len(wire_server.requests) == 1


def test_the_key_file_and_the_environment_can_name_another_host(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url = f"{wire_server.url}/v1"
    write_keys(groq={"api_key": CANARY, "base_url": base_url})
    make_model("openai_compatible", key_name="groq").generate_response(HELLO)
    make_model("openai_compatible", base_url=base_url, key_name="groq").generate_response(HELLO)
    monkeypatch.setenv("XAI_API_KEY", CANARY)
    monkeypatch.setenv("XAI_BASE_URL", base_url)
    make_model("openai_compatible", base_url=base_url, key_name="xai").generate_response(HELLO)
    assert [request.headers["authorization"] for request in wire_server.requests] == [f"Bearer {CANARY}"] * 3
    # Then it belongs there only.
    with pytest.raises(SpecError, match="is not sent elsewhere"):
        make_model("openai_compatible", base_url="https://api.groq.com/openai/v1", key_name="groq")


@pytest.mark.parametrize(
    ("key_name", "base_url", "is_there"),
    [
        ("openai", "https://api.openai.com/v1", True),
        ("openai", "https://EU.api.openai.com:443/v1", True),
        ("openai", "https://api.openai.com./v1", True),
        ("openai", "http://api.openai.com/v1", False),
        ("openai", "https://api.openai.com:8443/v1", False),
        ("openai", "https://api.openai.com.example/v1", False),
        ("openai", "https://xopenai.com/v1", False),
        ("openai", "https://example/api.openai.com", False),
        ("azure_gpt", "https://lab.openai.azure.com/openai/v1", True),
        ("azure_gpt", "https://lab.cloudapp.azure.com/openai/v1", False),
        ("google", "https://storage.googleapis.com/v1", False),
        ("huggingface", "https://router.huggingface.co/v1", True),
        ("huggingface", "https://me-space.hf.space/v1", False),
        ("lab", "https://api.openai.com/v1", False),
        # As other programs call the keys of the same services.
        ("azure_openai", "https://lab.openai.azure.com/openai/v1", True),
        ("azure", "https://models.example/v1", False),
        ("co", "https://api.cohere.com", True),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai", True),
        ("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", True),
        ("dashscope", "https://oss.aliyuncs.com/v1", False),
    ],
)
def test_where_a_service_is(key_name: str, base_url: str, is_there: bool) -> None:
    assert is_at(base_url, hosts_of(key_name)) is is_there


def test_packaged_entries_are_at_the_hosts_of_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    named = [entry for entry in PACKAGED if "key_name" in {**entry, **entry.get("model_config", {})}]
    assert len(named) > 20
    for entry in named:
        key_name = {**entry, **entry.get("model_config", {})}["key_name"]
        assert is_at(entry["base_url"], hosts_of(key_name)), entry["model_name"]
    for backend in ("openai", "anthropic", "google", "cohere", "mistral", "openrouter"):
        _give(monkeypatch, backend)
        model: Any = make_model(backend)
        assert is_at(model._errors.endpoint.base_url, hosts_of(backend)), backend


def test_gateways_of_the_page_are_fixed_services() -> None:
    page = (ROOT / "docs" / "backends" / "gateways.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `(https://[^`]+)` \| `(\w+)` \|$", page, re.MULTILINE)
    assert len(rows) > 10
    for base_url, key_name in rows:
        assert is_at(base_url, hosts_of(key_name)), key_name


# -- what takes the place of packaged things ---------------------------------------------------------------------
MINE = """
import sys
from clemcore import backends
print("it runs", file=sys.stderr)
class Mine(backends.Backend):
    def get_model_for(self, model_spec): raise NotImplementedError
    @classmethod
    def render(cls, model_spec, messages, gen_args, asked): return "mine"
"""


@pytest.mark.parametrize("command", [["doctor", "gpt-4o"], ["render", "-m", "gpt-4o", "Hi"], ["prove", "gpt-4o"]])
def test_a_backend_of_the_folder_is_told_before_it_runs(clem: Clem, command: list[str]) -> None:
    Path("openai_api.py").write_text(MINE)
    done = clem(*command)
    told = f"the file {Path('openai_api.py').resolve()} runs in place of the packaged backend 'openai'"
    assert told in done.stderr
    assert done.stderr.index(told) < done.stderr.index("it runs")
    if command[0] == "doctor":
        rows = {row["name"]: row for row in json.loads(clem("doctor", "gpt-4o", "--json").stdout)["rows"]}
        assert rows["shadows"]["advice"] == told
        assert rows["shadows"]["state"] == "warning"


def test_an_entry_of_the_folder_is_told(clem: Clem, caplog: pytest.LogCaptureFixture) -> None:
    _write(
        {"model_name": "gpt-4o", "backend": "mock"},
        {"model_name": "mock", "backend": "mock"},
        {"model_name": "mine", "backend": "mock", "model_id": "gpt-4.1"},
        {"model_name": "new", "backend": "mock"},
    )
    caplog.set_level(logging.WARNING)
    here = Path("model_registry.json").resolve()
    for selector, told in (
        ("gpt-4o", f"the entry {here}:2 takes the place of the packaged entry 'gpt-4o' (packaged:"),
        ("mock", "takes the place of the special name 'mock'"),
        ({"model_id": "gpt-4.1"}, "takes the place of the packaged entry 'gpt-4.1'"),
        ("new", None),
        ("mine", None),
    ):
        caplog.clear()
        backends.get_model_for(selector)
        assert (told in caplog.text) if told else not caplog.text
    caplog.clear()
    assert "takes the place of the packaged entry 'gpt-4o'" in clem("respond", "-m", "gpt-4o", "Hi").stderr
    assert "takes the place of the packaged entry 'gpt-4o'" in clem("registry", "resolve", "gpt-4o").stderr
    rows = {row["name"]: row for row in json.loads(clem.ok("doctor", "gpt-4o", "--json"))["rows"]}
    assert "takes the place of the packaged entry" in rows["shadows"]["advice"]
    spec = backends.ModelRegistry.from_packaged_and_cwd_files().model_specs[0]
    backends.get_model_for(spec.rename("gpt-4o"))
    assert "takes the place of the packaged entry 'gpt-4o'" in caplog.text


def test_what_shadows_nothing_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    Path("lab_api.py").write_text(
        "from clemcore import backends\n"
        "class Lab(backends.Backend):\n"
        "    def get_model_for(self, model_spec): return backends.CustomResponseModel(model_spec)\n"
    )
    _write({"model_name": "m", "backend": "lab"})
    backends.get_model_for("m")
    backends.get_model_for("mock")
    assert not caplog.records
