"""Backend huggingface_local: wrong values in a model's own generation configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import ModelLoadError
from support.tiny import CANBERRA, CAPITAL, copy_of, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repetition_penalty", "1.1"),
        ("repetition_penalty", 0),
        ("bad_words_ids", [86]),
        ("bad_words_ids", []),
        ("suppress_tokens", ["a"]),
        ("no_repeat_ngram_size", -1),
        ("stop_strings", [5]),
        ("stop_strings", {"a": 1}),
    ],
)
def test_a_wrong_value_is_named_when_the_model_is_loaded(
    tiny_chat: Path, tmp_path: Path, field: str, value: Any
) -> None:
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={field: value})
    with pytest.raises(ModelLoadError, match=rf"'tiny': .* {field} must be .*; correct generation_config.json"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value"), [("no_repeat_ngram_size", 0), ("suppress_tokens", []), ("top_k", None)]
)
def test_values_that_switch_a_field_off(tiny_chat: Path, tmp_path: Path, field: str, value: Any) -> None:
    folder = copy_of(tiny_chat, tmp_path / "model", generation_config={field: value})
    assert load(folder).generate_response(CAPITAL).text == CANBERRA
