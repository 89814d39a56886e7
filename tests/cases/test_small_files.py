"""The small files of a local model: faults that transformers explains otherwise, and chance in a tokenizer."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import ModelLoadError, TemplateError
from support.tiny import CANBERRA, CAPITAL, change, copy_of, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


@pytest.fixture
def folder(tiny_chat: Path, tmp_path: Path) -> Path:
    return copy_of(tiny_chat, tmp_path / "tiny")


def refused(folder: Path, words: str) -> None:
    with pytest.raises(ModelLoadError, match=rf"model 'tiny': cannot load the .*: {words}"):
        load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_a_byte_order_mark(folder: Path, name: str) -> None:
    """Editors write it on some systems; transformers says that the file is not JSON."""
    (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    refused(folder, rf"{re.escape(str(folder / name))} begins with a byte order mark: save it as UTF-8 without one")


@pytest.mark.parametrize("part", ["model", "pre_tokenizer"])
def test_a_tokenizer_of_a_newer_version(folder: Path, part: str) -> None:
    """The library says that data matches no variant of an enum."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content[part]["type"] = "OfTheFuture"
    path.write_text(json.dumps(content))
    refused(folder, r".*tokenizer.json has a part that tokenizers \d.* does not know: update the packages")


def test_no_file_of_a_tokenizer(folder: Path) -> None:
    """transformers asks for packages that would not help."""
    (folder / "tokenizer.json").unlink()
    refused(folder, r".* has no file of a tokenizer, such as tokenizer.json or tokenizer.model: download it")


@pytest.mark.parametrize("template", [[{"name": "default"}], [{"template": "{{ 1 }}"}]])
def test_a_list_of_templates_without_templates(folder: Path, template: list[Any]) -> None:
    (folder / "chat_template.jinja").unlink()
    change(folder / "tokenizer_config.json", chat_template=template)
    refused(
        folder, r"chat_template in .*tokenizer_config.json is neither a text nor a list of objects with name and"
    )


def test_a_template_that_is_a_number(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    change(folder / "tokenizer_config.json", chat_template=5)
    with pytest.raises(TemplateError, match=r"model 'tiny': the chat_template of its .* must be a text, not 5"):
        load(folder)


def test_dropout_of_training_is_switched_off(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Else each call would get another prompt, and an exact answer would be a matter of chance."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["model"]["dropout"] = 0.5
    path.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        model = load(folder)
    assert "'tiny': its tokenizer.json has a dropout of 0.5, by which a text is cut at random" in caplog.text
    replies = [model.generate_response(CAPITAL) for _ in range(3)]
    assert [reply.text for reply in replies] == [CANBERRA] * 3
    assert len({tuple(reply.prompt["input_ids"]) for reply in replies}) == 1
