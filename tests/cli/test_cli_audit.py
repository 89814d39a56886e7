"""`clem audit` and `clem bench`: what they print, and what they refuse before weights are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clemcore.backends.local.audit.result import Audit
from support.clem import Clem

pytestmark = pytest.mark.slow  # each starts a process that imports transformers


def test_an_audit_is_shown_and_stored(clem: Clem, tiny_chat: Path, tmp_path: Path) -> None:
    Path("prompts.json").write_text(json.dumps(["Hello!", [{"role": "user", "content": "What is two plus two?"}]]))
    cache = str(tmp_path / "cache")
    shown = clem.ok("audit", str(tiny_chat), "prompts.json", "-l", "4", CLEMCORE_CACHE=cache)
    rows = [line.split("\t") for line in shown.splitlines() if "\t" in line]
    assert [row[:3] for row in rows if row[0] in ("again", "warm prefixes")] == [
        ["again", "2/2", "100%"],
        ["warm prefixes", "2/2", "100%"],
    ]
    assert "format: float32, attention sdpa" in shown
    (stored,) = (tmp_path / "cache" / "audits").iterdir()
    assert f"stored: {stored.stem}" in shown
    again = json.loads(clem.ok("audit", str(tiny_chat), "prompts.json", "-l", "4", "--json", CLEMCORE_CACHE=cache))
    first = Audit.from_dict(json.loads(stored.read_bytes()))
    assert Audit.from_dict(again).comparisons == first.comparisons


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "prompts.json is not valid JSON"),
        ('"Hello!"', "prompts.json must hold a list of texts or dialogues, not str"),
        ('[{"role": "user", "content": "Hi"}]', "prompts.json holds one dialogue: put it into a list"),
    ],
)
def test_prompts_that_are_none(clem: Clem, tiny_chat: Path, content: str, words: str) -> None:
    Path("prompts.json").write_text(content)
    assert words in clem.fails("audit", str(tiny_chat), "prompts.json")


@pytest.mark.parametrize("command", ["audit", "bench"])
def test_only_local_models_are_measured(clem: Clem, command: str) -> None:
    said = clem.fails(command, "gpt-4o-mini")
    assert (
        f"clem {command} measures models that run in this process, and 'gpt-4o-mini' has the backend 'openai'"
        in said
    )


def test_speeds(clem: Clem, tiny_chat: Path) -> None:
    arguments = ("bench", str(tiny_chat), "--length", "16", "--batch", "1", "--batch", "2", "-l", "3", "--json")
    found = json.loads(clem.ok(*arguments))
    assert found["load_seconds"] > 0
    assert [(one["mode"], one["batch"]) for one in found["speeds"][:3]] == [("exact", 1), ("fast", 1), ("fast", 2)]
