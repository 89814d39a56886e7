"""The special tokens of a folder are those that transformers finds, whichever file they stand in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from clemcore.prompts.templates import ChatTemplate
from clemcore.prompts.templates.special_tokens import special_tokens
from support.models import load_script

ROOT = Path(__file__).parent.parent.parent
NAMES = ("bos_token", "eos_token", "pad_token")


def token(text: str, **more: str) -> dict[str, Any]:
    flags = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {"content": text, **flags, **more}


MARKED = token("<|im_end|>", __type="AddedToken")
# Name of the case: tokenizer_config.json without its named tokens, special_tokens_map.json, fields of config.json.
FOLDERS: dict[str, tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]] = {
    "in the older file alone": ({}, {"bos_token": "<|im_start|>", "eos_token": token("<|im_end|>")}, {}),
    "the older file wins": ({"bos_token": "<|pad|>"}, {"bos_token": "<|im_start|>", "unk_token": "<|pad|>"}, {}),
    "the older file takes one away": ({"bos_token": "<|pad|>"}, {"bos_token": None}, {}),
    "a newer folder has no older file": (
        {"bos_token": "<|pad|>", "added_tokens_decoder": {"0": token("<|pad|>")}},
        {"bos_token": "<|im_start|>"},
        {},
    ),
    "own names": ({"extra_special_tokens": {"image_token": "<|pad|>", "sound": "<|im_end|>"}}, None, {}),
    "own names, marked": ({"extra_special_tokens": {"image_token": MARKED}}, None, {}),
    "own names, older": ({"additional_special_tokens": {"image_token": "<|pad|>"}}, None, {}),
    "a list has no names": ({"extra_special_tokens": ["<|pad|>"]}, {"additional_special_tokens": ["<|pad|>"]}, {}),
    "own names beside the others": ({"image_token": "<|pad|>", "sound_token": MARKED}, None, {}),
    "an object that is not marked": ({"image_token": token("<|pad|>")}, None, {}),
    "own names in the older file": ({}, {"image_token": "<|pad|>", "sound_token": token("<|im_end|>")}, {}),
    "own names in both": (
        {"extra_special_tokens": {"a_token": "<|pad|>", "b_token": "<|pad|>"}},
        {"extra_special_tokens": {"b_token": "<|im_end|>"}},
        {},
    ),
    "specific": ({"model_specific_special_tokens": {"image_token": "<|pad|>"}}, None, {}),
    "nulls and empty texts": ({"bos_token": None, "eos_token": ""}, None, {}),
    "defaults of a class": ({"tokenizer_class": "GPT2Tokenizer"}, None, {}),
    "defaults under names": ({"tokenizer_class": "CohereTokenizer", "bos_token": "<|pad|>"}, None, {}),
    "own names of a class": ({"tokenizer_class": "CodeLlamaTokenizer"}, None, {}),
    "a class by the type of model": ({"tokenizer_class": None}, None, {"model_type": "gpt_neox"}),
    "a class that transformers replaces": (
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        None,
        {"model_type": "qwen2"},
    ),
    "a class that does not fit": ({"tokenizer_class": "LlamaTokenizer"}, None, {"model_type": "gemma2"}),
    "a class over byte-level files": ({"tokenizer_class": "LlamaTokenizerFast"}, None, {}),
}
# Here transformers 5.20 keeps the class that is named, with its default tokens; we follow 5.24, which does not.
FROM_5_24 = ("a class that does not fit", "a class over byte-level files")


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_has_the_tokens_of_transformers(tiny_chat: Path, tmp_path: Path, name: str) -> None:
    from transformers import AutoTokenizer, __version__

    if name in FROM_5_24 and tuple(map(int, __version__.split(".")[:2])) < (5, 24):
        pytest.skip(f"transformers {__version__} keeps the named class")
    settings, older, model = FOLDERS[name]
    folder = Path(shutil.copytree(tiny_chat, tmp_path / "tiny"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config = {key: value for key, value in config.items() if key not in NAMES} | settings
    (folder / "tokenizer_config.json").write_text(
        json.dumps({k: v for k, v in config.items() if k != "tokenizer_class" or v})
    )
    if older is not None:
        (folder / "special_tokens_map.json").write_text(json.dumps(older))
    whole = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**whole, **model}))
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    assert ChatTemplate.from_file(folder).special_tokens == dict(tokenizer.special_tokens_map)
    # The same beside a template, or named by its configuration.
    for file in ("chat_template.jinja", "tokenizer_config.json"):
        if file != "tokenizer_config.json" or "chat_template" in config:
            assert ChatTemplate.from_file(folder / file).special_tokens == dict(tokenizer.special_tokens_map)


def test_other_files_have_no_tokens(tmp_path: Path) -> None:
    (tmp_path / "a.jinja").write_text("{{ bos_token }}")
    assert ChatTemplate.from_file(tmp_path / "a.jinja").special_tokens == {}
    assert special_tokens(tmp_path, {"bos_token": 5, "image_token": 5}, lambda _path: {}) == {}


@pytest.mark.slow
def test_the_table_of_defaults_is_that_of_the_installed_version() -> None:
    script: Any = load_script(ROOT / "tools" / "token_defaults.py")
    stored, made = json.loads(script.TABLE.read_bytes()), script.table()
    if stored["transformers"] != made["transformers"]:
        pytest.skip(f"the table is of transformers {stored['transformers']}: run tools/token_defaults.py")
    assert stored == made
