"""`clem list`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from support.clem import Clem, Terminals

REGISTRY = """[
  {"model_name": "mine", "backend": "mock", "model_id": "id-of-mine", "context_size": "8k",
   "aliases": ["nick", "name"],
   "open_weight": true, "languages": ["en", "de"], "license": {"name": "MIT", "url": "u"}},
  {"model_name": "weiße-日本", "backend": "mock"}
]
"""


@pytest.fixture(autouse=True)
def _registry() -> None:
    Path("model_registry.json").write_text(REGISTRY, encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_models_in_a_pipe_are_lines_of_cells(clem: Clem) -> None:
    listed = rows(clem.ok("list"))
    assert listed[0] == ["mine", "mock", "id-of-mine", "model_registry.json:2", "8k", "ready"]
    assert listed[1] == ["weiße-日本", "mock", "-", "model_registry.json:5", "-", "ready"]
    assert any(row[0] == "zephyr-7b-beta" and row[3].startswith("packaged:") for row in listed)
    assert listed == rows(clem.ok("list", "models"))


def test_filters(clem: Clem) -> None:
    assert [row[0] for row in rows(clem.ok("list", "models", "ID-OF"))] == ["mine"]
    assert [row[0] for row in rows(clem.ok("list", "models", "Nick"))] == ["mine"]
    assert [row[0] for row in rows(clem.ok("list", "models", "--backend", "mock"))] == [
        "mine",
        "weiße-日本",
        "mock",
    ]
    done = clem("list", "models", "no such model")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no models pass this filter\n")


def test_more_columns(clem: Clem) -> None:
    row = rows(clem.ok("list", "models", "mine", "-v"))[0]
    assert row[5:] == ["nick,name", "-", "-", "yes", "en,de", "MIT", "-", "ready"]


def test_models_as_json(clem: Clem) -> None:
    listed = json.loads(clem.ok("list", "models", "mine", "--json"))
    spec = json.loads(REGISTRY)[0]
    path = str(Path("model_registry.json").resolve())
    assert listed == [
        {
            "model_name": "mine",
            "backend": "mock",
            "source": path,
            "line": 2,
            "usable": True,
            "obstacle": None,
            "spec": {**spec, "lookup_source": path},
        }
    ]


def test_a_terminal_gets_a_table(terminal: Terminals) -> None:
    screen = terminal("list", "models", "--backend", "mock", NO_COLOR="1")
    assert screen.end() == 0
    assert screen.shown == (
        "MODEL       BACKEND  MODEL ID    SOURCE                 CONTEXT  STATE\n"
        "mine        mock     id-of-mine  model_registry.json:2  8k       ready\n"
        "weiße-日本  mock     -           model_registry.json:5  -        ready\n"
        "mock        mock     -           built in               -        ready\n"
    )


def test_a_name_cannot_command_the_terminal(clem: Clem) -> None:
    entry = {"model_name": "a\x1b[2Jb\tc\nd", "backend": "mock"}
    Path("model_registry.json").write_text(json.dumps([entry]))
    assert rows(clem.ok("list", "models", "--backend", "mock"))[0][0] == "a\\x1b[2Jb\\tc\\nd"


def test_a_broken_registry_is_told_with_every_place(clem: Clem) -> None:
    Path("model_registry.json").write_text('[{"model_name": "a", "backend": "mock",},\n {"model_name": "b"}]')
    message = clem.fails("list")
    assert "model_registry.json:1:" in message
    assert "R010" in message


def test_backends_say_where_they_come_from_and_what_they_lack(clem: Clem) -> None:
    Path("parrot_api.py").write_text("raise RuntimeError('listing imports nothing')\n")
    Path("needy_api.py").write_text(
        "from clemcore.backends.base import require\n"
        "sdk = require('no_such_sdk.client', backend='needy', extra='huggingface')\n"
    )
    Path("looping_api.py").write_text(
        "from clemcore.backends import base\n"
        "EXTRA = 'openai'\n"
        "for package in ('json', 'no_such_a', 'no_such_b'):\n"
        "    base.require(package, backend='looping', extra=EXTRA)\n"
    )
    Path("mock_api.py").write_text("")
    listed = {(row[0], row[1]): row[2] for row in rows(clem.ok("list", "backends"))}
    assert listed["parrot", "parrot_api.py"] == "ready"
    assert listed["needy", "needy_api.py"] == "pip install 'clemcore[huggingface]'"
    assert listed["looping", "looping_api.py"] == "pip install 'clemcore[openai]'"
    assert listed["human", "packaged"] == "ready"
    assert listed["mock", "packaged"] == "hidden by the one above"
    assert not any(name.startswith("_") for name, _ in listed)
    needy = json.loads(clem.ok("list", "backends", "needy", "--json"))
    assert [(row["usable"], row["missing"]) for row in needy] == [(False, ["no_such_sdk"])]


def test_a_service_lacks_the_engine_of_the_extra_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from clemcore.backends import lookup, requirements

    monkeypatch.setattr(requirements, "_is_installed", lambda package: package != "aiohttp")
    lacks = {name: requirements.missing_packages(lookup.packaged_file(name)) for name in ("openai", "anthropic")}
    assert lacks == {name: (["aiohttp"], f"pip install 'clemcore[{name}]'") for name in lacks}


@pytest.mark.parametrize("absent", ["openai", "anthropic", "torch"])
def test_a_service_needs_no_package_that_it_only_uses_if_the_caller_brings_it(
    monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    from clemcore.backends import lookup, requirements

    monkeypatch.setattr(requirements, "_is_installed", lambda package: package != absent)
    services = ("openai", "openai_compatible", "anthropic", "azure", "google", "mistral", "cohere", "openrouter")
    assert {requirements.missing_packages(lookup.packaged_file(name))[1] for name in services} == {None}


def test_a_backend_that_imports_the_module_of_own_clients_needs_what_it_requires_itself() -> None:
    from clemcore.backends import requirements

    for line in (
        "from clemcore.backends.service.client import OwnClient",
        "from clemcore.backends.service import client",
        "import clemcore.backends.service.client",
    ):
        file = Path("lab_api.py")
        file.write_text(
            f"{line}\nfrom clemcore.backends.base import require\n"
            "require('no_such_sdk', backend='lab', extra='openai-sdk')\n"
        )
        assert requirements.missing_packages(file) == (["no_such_sdk"], "pip install 'clemcore[openai-sdk]'")


def test_packaged_files_that_are_not_parsed_import_what_a_parser_finds() -> None:
    from clemcore.backends import requirements

    files = sorted(Path(requirements.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    for file in files:
        text = file.read_bytes()
        assert requirements._imports_in(text) == requirements._read(text).imports, file


def test_a_model_that_cannot_be_run_here_is_marked_with_the_reason(clem: Clem) -> None:
    entries = [
        {"model_name": "no-backend", "backend": "nowhere"},
        {"model_name": "contradiction", "backend": "openai", "model_id": "m", "model_config": {"timeout": 0}},
        {"model_name": "custom", "backend": "needy", "timeout": 0},
        {"model_name": "good", "backend": "parrot", "timeout": 0},
    ]
    Path("model_registry.json").write_text(json.dumps(entries))
    Path("parrot_api.py").write_text("")
    Path("needy_api.py").write_text(
        "from clemcore.backends.base import require\nrequire('no_such_sdk', backend='needy', extra='openai')\n"
    )
    listed = {row["model_name"]: row for row in json.loads(clem.ok("list", "models", "--json"))}
    obstacles = {name: listed[name]["obstacle"] for name in ("no-backend", "contradiction", "custom", "good")}
    assert obstacles == {
        "no-backend": "no backend 'nowhere'",
        "contradiction": "model_config.timeout must be a positive number of seconds, not 0",
        "custom": "backend 'needy' needs no_such_sdk: pip install 'clemcore[openai]'",
        "good": None,
    }
    assert all(row["usable"] is (row["obstacle"] is None) for row in listed.values())
    shown = {row[0]: row[-1] for row in rows(clem.ok("list", "models"))}
    assert shown == {name: row["obstacle"] or "ready" for name, row in listed.items()}


def test_the_packaged_models_that_cannot_be_run_are_marked(clem: Clem) -> None:
    listed = json.loads(clem.ok("list", "models", "--json"))
    marked = [row for row in listed if not row["usable"]]
    of_llamacpp = [row for row in marked if row["backend"] == "llamacpp"]
    if importlib.util.find_spec("llama_cpp") is None:
        assert {row["obstacle"] for row in of_llamacpp} == {
            "backend 'llamacpp' needs llama_cpp: pip install 'clemcore[llamacpp]'"
        }
        assert (len(of_llamacpp), len(marked)) == (39, 39)
    else:
        assert not marked


def test_keys_are_named_and_never_shown(clem: Clem) -> None:
    Path("key.json").write_text(
        json.dumps({"openai": {"api_key": "sk-in-file-0123", "organisation": "lab"}, "empty": {"api_key": ""}})
    )
    environment = {"HF_TOKEN": "hf-in-environment", "MOCK_API_KEY": "mock-in-environment"}
    text = clem.ok("list", "keys", "-v", **environment)
    assert rows(text) == [
        ["openai", "key.json", "***", "organisation"],
        ["empty", "key.json", "[MISSING]", "-"],
        ["mock", "$MOCK_API_KEY", "***", "-"],
        ["huggingface", "$HF_TOKEN", "***", "-"],
    ]
    whole = text + clem.ok("list", "keys", "--json", **environment)
    assert "in-file" not in whole
    assert "in-environment" not in whole


def test_no_keys(clem: Clem) -> None:
    done = clem("list", "keys")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no keys\n")
    assert json.loads(clem.ok("list", "keys", "--json")) == []


def test_a_broken_key_file_is_told_without_its_keys(clem: Clem) -> None:
    Path("key.json").write_text('{"openai": {"api_key": "sk-secret-0123"}')
    message = clem.fails("list", "keys")
    assert "key.json:1:" in message
    assert "sk-secret" not in message
