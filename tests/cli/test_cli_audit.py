"""`clem audit` and `clem bench`: what they print, and what they refuse before weights are read."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from clemcore.backends.local.audit.result import Audit
from clemcore.cli.app import run
from support.clem import Clem

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


class Here:
    """Runs `clem` in this process, where torch is imported already."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def ok(self, *arguments: str) -> str:
        assert run([*arguments]) == 0, self._capsys.readouterr().err
        return self._capsys.readouterr().out


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    return Here(capsys)


def test_an_audit_is_shown_and_stored(
    here: Here, tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("prompts.json").write_text(json.dumps(["Hello!", [{"role": "user", "content": "What is two plus two?"}]]))
    monkeypatch.setenv("CLEMCORE_CACHE", str(tmp_path / "cache"))
    shown = here.ok("audit", str(tiny_chat), "prompts.json", "-l", "4")
    rows = [line.split("\t") for line in shown.splitlines() if "\t" in line]
    assert [row[:3] for row in rows if row[0] in ("again", "warm prefixes")] == [
        ["again", "2/2", "100%"],
        ["warm prefixes", "2/2", "100%"],
    ]
    assert "format: float32, attention sdpa" in shown
    (stored,) = (tmp_path / "cache" / "audits").iterdir()
    assert f"stored: {stored.stem}" in shown
    assert "do not fit the context" not in shown
    assert "prompts (2 more do not fit the context), 1 new" in here.ok("audit", str(tiny_chat), "-l", "1")
    again = json.loads(here.ok("audit", str(tiny_chat), "prompts.json", "-l", "4", "--json"))
    first = Audit.from_dict(json.loads(stored.read_bytes()))
    assert Audit.from_dict(again).comparisons == first.comparisons


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "prompts.json is not valid JSON"),
        ('"Hello!"', "prompts.json must hold a list of texts or dialogues, not str"),
        ('[{"role": "user", "content": "Hi"}]', "prompts.json holds one dialogue: put it into a list"),
        ("[]", "prompts.json must hold at least one text or dialogue"),
        ('["Hello!", [{"role": "user"}]]', "prompts.json: dialogue 1: messages[0]['content'] must be a string"),
        ("[" * 100_000, "prompts.json is nested too deeply"),
    ],
)
def test_prompts_that_are_none(clem: Clem, tiny_chat: Path, content: str, words: str) -> None:
    Path("prompts.json").write_text(content)
    assert words in clem.fails("audit", str(tiny_chat), "prompts.json")


def test_a_prompt_that_is_too_long_names_its_file(clem: Clem, tiny_chat: Path) -> None:
    Path("prompts.json").write_text(json.dumps(["Hello!", "long " * 600]))
    assert "prompts.json: Context token limit for tiny" in clem.fails("audit", str(tiny_chat), "prompts.json")


@pytest.mark.parametrize("command", ["audit", "bench"])
def test_only_local_models_are_measured(clem: Clem, command: str) -> None:
    said = clem.fails(command, "gpt-4o-mini")
    assert (
        f"clem {command} measures models that run in this process, and 'gpt-4o-mini' has the backend 'openai'"
        in said
    )


def test_speeds(here: Here, tiny_chat: Path) -> None:
    arguments = ("bench", str(tiny_chat), "--length", "16", "--batch", "1", "--batch", "2", "-l", "3", "--json")
    found = json.loads(here.ok(*arguments))
    assert found["load_seconds"] > 0
    assert found["import_seconds"] > 0
    assert [(one["mode"], one["batch"]) for one in found["speeds"][:3]] == [("exact", 1), ("fast", 1), ("fast", 2)]
