"""Backend huggingface_local: tokenizers that transformers builds from a class that is not the one of their file."""

from __future__ import annotations

import json
import logging
from importlib.metadata import version
from pathlib import Path

import pytest

from clemcore.backends.local.transformers.tokenizer_file import check_against_file
from clemcore.errors import ModelLoadError
from support.tiny import CAPITAL, change, copy_of, load

# Whether transformers takes a byte-level tokenizer from its file if the class is Llama's; Python 3.10 has 5.20.2.
BYTE_LEVEL_LLAMA = tuple(map(int, version("transformers").split(".")[:2])) >= (5, 22)

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


@pytest.fixture
def folder(tiny_chat: Path, tmp_path: Path) -> Path:
    return copy_of(tiny_chat, tmp_path / "model")


def test_the_class_that_belongs_to_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert "tokenizer" not in load(folder).generate_response(CAPITAL).facts["model"]
    assert "in another way" not in caplog.text


def test_a_class_with_a_pattern_of_its_own(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Qwen2Tokenizer composes characters and takes digits one by one, whatever tokenizer.json says."""
    change(folder / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer")
    with caplog.at_level(logging.WARNING):
        model = load(folder)
    assert "'tiny': transformers loads the tokenizer as Qwen2Tokenizer, which cuts 'na" in caplog.text
    assert f"in another way than {folder / 'tokenizer.json'} (" in caplog.text
    facts = model.generate_response(CAPITAL).facts["model"]["tokenizer"]
    assert facts["class"] == "Qwen2Tokenizer"
    assert facts["text"].startswith("na")
    assert facts["tokens"] != facts["tokens_by_file"]
    assert json.loads(json.dumps(facts)) == facts


def test_a_class_that_drops_blanks(folder: Path) -> None:
    """So transformers up to 5.21 loads the byte-level tokenizer of DeepSeek-R1-Distill-Llama, a LlamaTokenizer."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer.from_file(str(folder / "tokenizer.json"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    loaded = PreTrainedTokenizerFast(tokenizer_object=core)
    with pytest.raises(
        ModelLoadError, match=r"'tiny': .* reads 'the name of the city' as .*: set tokenizer_class in its"
    ):
        check_against_file(loaded, folder, "tiny")


def test_the_class_of_llama_over_a_byte_level_file(folder: Path) -> None:
    """Oracle: the file. Either the installed transformers reads it as it stands there, or the model is refused."""
    from tokenizers import Tokenizer

    text = "the name of the city"
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    change(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizerFast")
    if BYTE_LEVEL_LLAMA:
        assert load(folder).tokenizer.encode(text, add_special_tokens=False) == ids
        return
    with pytest.raises(ModelLoadError, match=r"as LlamaTokenizer, which reads 'the name of the city' as 'thename"):
        load(folder)


def test_limits_in_the_file_are_not_compared(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = folder / "tokenizer.json"
    limit = {"direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 0}
    change(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer")
    file.write_text(json.dumps({**json.loads(file.read_text()), "truncation": limit}))
    load(folder)
    assert "in another way" not in caplog.text
