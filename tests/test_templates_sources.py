"""Where chat templates come from: folders, tokenizer configurations, GGUF files, registry entries."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import TemplateError
from clemcore.prompts.templates import ChatTemplate, read_template
from clemcore.registry.spec import ModelSpec
from support.clem import Clem

HELLO = [{"role": "user", "content": "Hello!"}]
DEFAULT = "D{{ bos_token }}{{ messages[0].content }}\r\n{{ eos_token }}"


def write_gguf(path: Path, *, endianness: str = "LITTLE", templates: Any = None) -> Path:
    """Write a GGUF file without tensors, by the format's own library."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(str(path), "llama", endianess=gguf.GGUFEndian[endianness])
    writer.add_name("tiny")
    writer.add_uint32("x.number", 7)
    writer.add_bool("x.yes", True)
    writer.add_float32("x.half", 0.5)
    writer.add_array("x.numbers", [1, 2, 3])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<unk>", "<s>", "</s>", "<pad>", "größe"])
    writer.add_token_types([2, 3, 3, 3, 1])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(3)
    writer.add_sep_token_id(99)
    if templates is None:
        templates = [{"name": "default", "template": DEFAULT}, {"name": "tool_use", "template": "T{{ pad_token }}"}]
    writer.add_chat_template(templates)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("endianness", ["LITTLE", "BIG"])
def test_a_gguf_file_has_templates_and_tokens(tmp_path: Path, endianness: str) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", endianness=endianness)
    template = ChatTemplate.from_file(path)
    assert template.special_tokens == {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
    }
    assert template.render(HELLO) == "D<s>Hello!\n</s>"
    assert ChatTemplate.from_file(path, name="tool_use").render(HELLO) == "T<pad>"
    assert ChatTemplate.from_file(path, special_tokens={"bos_token": "B"}).render(HELLO) == "DBHello!\n"
    with pytest.raises(TemplateError, match=r"named 'rag'; it has 'default', 'tool_use'"):
        ChatTemplate.from_file(path, name="rag")


def test_a_gguf_file_may_have_no_template(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", templates=[])
    with pytest.raises(TemplateError, match="holds no chat template named 'default'"):
        read_template(path)


def test_a_gguf_file_that_ends_anywhere_is_an_error_with_its_place(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "tiny.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole)
    end = whole.rindex(b"T{{ pad_token }}") + len(b"T{{ pad_token }}")
    for length in [*range(0, end, 7), end - 1]:
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(TemplateError, match=r"cut\.gguf: (not a|a broken) GGUF"):
            read_template(tmp_path / "cut.gguf")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "needs 8 bytes where the file has 0 left"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63), "needs 9223372036854775808 bytes"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 77), "k has the unknown type 77"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 0, 2**60), "k needs 1152921504606846976 bytes"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 9) + struct.pack("<IQ", 9, 1) * 9, "unknown type 9"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF version 1; versions 2 and 3"),
        (b"GGUF" + struct.pack("<IQQQ1s", 3, 0, 1, 1, b"\xff"), "is not UTF-8"),
        (b"PK\x03\x04 something else", "does not begin with 'GGUF'"),
        (b"", "it is empty"),
    ],
)
def test_hostile_gguf_files_end_in_a_clear_error(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(TemplateError) as fault:
        read_template(path)
    assert message in str(fault.value)


def test_a_folder_has_further_templates_beside_the_first(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "chat_template": "old"}))
    (tmp_path / "chat_template.jinja").write_text("new")
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "rag.jinja").write_text("R{{ bos_token }}")
    assert ChatTemplate.from_file(tmp_path).render(HELLO) == "new"
    assert ChatTemplate.from_file(tmp_path, name="rag").render(HELLO) == "R<s>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"tokenizer_config\.json:1:2: no valid JSON"),
        ("[]", "must hold a JSON object, not list"),
        ('{"chat_template": 7}', "neither a text nor a list"),
        ('{"chat_template": [{"name": "x"}]}', "neither a text nor a list"),
    ],
)
def test_a_broken_configuration_is_a_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "tokenizer_config.json"
    path.write_text(text)
    with pytest.raises(TemplateError, match=message):
        read_template(path)


@pytest.mark.parametrize("nested", [False, True])
def test_a_registry_entry_has_a_template_as_text_or_path(tmp_path: Path, nested: bool) -> None:
    def entry(**settings: Any) -> dict[str, Any]:
        layout = {"model_config": settings} if nested else settings
        return {"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", **layout}

    text = entry(
        custom_chat_template="E{{ messages[0].content }}{{ strftime_now('%Y') }}", template_now="2026-01-02"
    )
    assert ChatTemplate.from_entry(text).render(HELLO) == "EHello!2026"
    assert ChatTemplate.from_entry(ModelSpec(**text)).render(HELLO) == "EHello!2026"
    assert ChatTemplate.from_entry(text, now="2020-01-01").render(HELLO) == "EHello!2020"
    (tmp_path / "own.jinja").write_text("P{{ messages[0].content }}")
    assert ChatTemplate.from_entry(entry(custom_chat_template="own.jinja"), tmp_path).render(HELLO) == "PHello!"
    with pytest.raises(TemplateError, match=r"no\.jinja: the template cannot be read: No such file"):
        ChatTemplate.from_entry(entry(custom_chat_template="no.jinja"), tmp_path)
    with pytest.raises(TemplateError, match="entry of 'm' has no custom_chat_template"):
        ChatTemplate.from_entry(entry())


@pytest.mark.slow
def test_the_command_line_reads_gguf_files(tmp_path: Path, clem: Clem) -> None:
    path = str(write_gguf(tmp_path / "tiny.gguf"))
    assert clem.ok("render", "--template", path, "Hi") == "D<s>Hi\n</s>"
    assert clem.ok("render", "--template", path, "--template-name", "tool_use", "Hi") == "T<pad>"
    assert clem.ok("render", "--template", path, "--special-token", "bos_token=B", "Hi") == "DBHi\n</s>"
    lost = clem.fails("render", "--template", path, "--template-name", "rag", "Hi")
    assert "named 'rag'; it has 'default', 'tool_use'" in lost
    pytest.importorskip("transformers")
    assert "holds" in clem.ok("prove", "--template", path)
