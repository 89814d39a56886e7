"""Compares a loaded tokenizer with its own tokenizer.json.

transformers 5 builds some tokenizers from their class and takes only the vocabulary from the file. If the class in
tokenizer_config.json is not the one that the file was made for, text is cut in another way than in training, and
nothing says so. Example: up to 5.21, LlamaTokenizer drops all blanks of a byte-level tokenizer. Python 3.10 has no
newer version than 5.20.2.

Source: https://github.com/huggingface/transformers/issues/45488
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clemcore.errors import ModelLoadError

logger = logging.getLogger(__name__)

# Numbers, spaces, line ends and scripts are what tokenizers cut in different ways.
SAMPLES = (
    "Hello, world! It's 3.14 or 1,234,567 at 10:30.",
    "  two spaces\n\n\tand a tab \r\n",
    "naïve café — Größe, 東京, Привет, 🙂👩‍👩‍👧 e\u0301",
    "def f(x):\n    return x**2  # <|not_a_token|>",
)
_PARTS = ("normalizer", "pre_tokenizer", "decoder")
_WORDS = "the name of the city"
_FIX = (
    "set tokenizer_class in its tokenizer_config.json to 'TokenizersBackend', or update transformers (5.22 takes "
    "byte-level tokenizers from their file; it needs Python 3.11)"
)


def check_against_file(tokenizer: Any, folder: Path | None, name: str) -> Mapping[str, Any] | None:
    """Refuse a tokenizer that loses blanks which its file keeps, and warn of one that cuts text in another way.

    Args:
        tokenizer: the transformers tokenizer.
        folder: where its files are, or None where that is not known.
        name: the model's name, for messages.

    Returns:
        For the record: the class, and a text with its number of tokens by the class and by the file, where the two
        differ; else None.

    Raises:
        ModelLoadError: it loses blanks.
    """
    core = getattr(tokenizer, "backend_tokenizer", None)
    file = None if folder is None else folder / "tokenizer.json"
    if core is None or file is None or not file.is_file():
        return None
    described = json.loads(file.read_text(encoding="utf-8"))
    if all(described.get(part) == _state_of(getattr(core, part)) for part in _PARTS):
        return None
    from tokenizers import Tokenizer

    try:
        own = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - of another version; transformers has read it
        logger.info("model '%s': %s is not compared with the loaded tokenizer: %s", name, file, error)
        return None
    own.no_truncation()
    own.no_padding()
    if getattr(own.model, "dropout", None):
        own.model.dropout = None
    where = f"model '{name}': transformers loads the tokenizer as {type(tokenizer).__name__}, which"

    def read(text: str) -> tuple[list[int], list[int]]:
        return own.encode(text, add_special_tokens=False).ids, tokenizer.encode(text, add_special_tokens=False)

    ids, loaded = read(_WORDS)
    if own.decode(ids).strip() == _WORDS != tokenizer.decode(loaded).strip():
        raise ModelLoadError(
            f"{where} reads {_WORDS!r} as {tokenizer.decode(loaded)!r} and is not the class that {file} was made "
            f"for: {_FIX}"
        )
    for text in SAMPLES:
        ids, loaded = read(text)
        if ids != loaded:
            logger.warning(
                "%s cuts %r in another way than %s (%d and %d tokens); if the model was trained with the file, %s",
                where,
                text,
                file,
                len(loaded),
                len(ids),
                _FIX,
            )
            return {
                "class": type(tokenizer).__name__,
                "text": text,
                "tokens": len(loaded),
                "tokens_by_file": len(ids),
            }
    return None


def _state_of(part: Any) -> Any:
    return None if part is None else json.loads(part.__getstate__())
