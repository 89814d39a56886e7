"""`clem` with a real local model: what `render` shows is what `respond` sends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.clem import Clem, Terminals

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny(tiny_chat: Path) -> str:
    """A registry with the tiny model in the working directory; its name."""
    entry = {
        "model_name": "tiny",
        "backend": "huggingface_local",
        "huggingface_id": str(tiny_chat),
        "model_config": {"premade_chat_template": True, "eos_to_cull": "<\\|im_end\\|>"},
    }
    Path("model_registry.json").write_text(json.dumps([entry]))
    Path("dialogue.json").write_text('[{"role": "user", "content": "Hello!"}]')
    return "tiny"


def test_what_is_rendered_is_what_is_sent(clem: Clem, tiny: str) -> None:
    rendered = clem.ok("render", "-m", tiny, "dialogue.json", "-l", "5")
    whole = json.loads(clem.ok("respond", "-m", tiny, "dialogue.json", "-l", "5", "--json"))
    assert whole["prompt"]["inputs"] == rendered
    assert "Hello!" in rendered


def test_nothing_but_the_answer_is_on_standard_output(clem: Clem, tiny: str) -> None:
    done = clem("respond", "-m", tiny, "dialogue.json", "-l", "5", "--record", "requests.json")
    assert done.returncode == 0
    assert done.stderr == ""
    call = json.loads(Path("requests.json").read_text())[0]
    assert done.stdout.rstrip("\n") == call["clemcore"]["response_text"].rstrip("\n")


@pytest.fixture
def folder(tiny_chat: Path) -> str:
    """The tiny model in a folder ``models/mine`` of the working directory, without a registry."""
    shutil.copytree(tiny_chat, "models/mine")
    return "models/mine"


def test_a_folder_is_a_model_everywhere(clem: Clem, folder: str) -> None:
    fits = json.loads(clem.ok("fit", folder, "--memory", "24GB", "--json"))
    assert fits["model"] == "mine"
    report = json.loads(clem.ok("doctor", f"./{folder}", "--json"))
    assert report["model"]["huggingface_id"] == str(Path(folder).absolute())
    whole = json.loads(clem.ok("respond", "-m", folder, "Hello!", "-l", "3", "--json"))
    assert "Hello!" in whole["prompt"]["inputs"]


def test_a_folder_without_a_slash_does_not_hide_a_name(clem: Clem) -> None:
    """As a folder of results has the name of its model."""
    Path("mock").mkdir()
    clem.ok("respond", "-m", "mock", "Hello!")
    Path("results").mkdir()
    assert "results is empty: download or copy the model" in clem.fails("respond", "-m", "results", "Hello!")
    assert "no folder or file './nothing'" in clem.fails("respond", "-m", "./nothing", "Hello!")


def test_a_terminal_sees_that_the_model_is_loaded(terminal: Terminals, tiny: str) -> None:
    screen = terminal("chat", "-m", tiny, "-l", "5", NO_COLOR="1")
    screen.expect("loading tiny …", seconds=240)
    screen.expect("> ", seconds=240)
    screen.type("Hello!\n")
    screen.type("/exit\n")
    assert screen.end() == 0
    assert "loading tiny: done in" in screen.shown
