"""What is wrong with a model's small files, where the message of transformers names another cause.

It looks at the files of a folder after loading has failed, and knows no settings.
"""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path

_READ = ("config.json", "tokenizer_config.json", "tokenizer.json", "generation_config.json")
# The files that tokenizers are made from; one of them is enough.
_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
)
_NOT_IN_TORCH = re.compile(r"module 'torch' has no attribute '(.*)'", re.DOTALL)
_AGAIN = "download it again"


def cause_of(folder: Path, what: str, error: Exception, tokenizers: str) -> str | None:
    """Return why a part of a model could not be loaded, and what to do, or None where it is as the error says.

    Args:
        folder: the model's files.
        what: the part, such as ``tokenizer``.
        error: what transformers raised.
        tokenizers: the version of the package tokenizers.
    """
    for name in _READ:
        if _begins_with_mark(folder / name):
            return f"{folder / name} begins with a byte order mark: save it as UTF-8 without one (BOM), or {_AGAIN}"
    missing = _NOT_IN_TORCH.fullmatch(str(error))
    if what != "tokenizer" or missing is not None:
        return None if missing is None else _format_in(folder, missing[1])
    if "untagged enum" in str(error):
        return (
            f"{folder / 'tokenizer.json'} has a part that tokenizers {tokenizers} does not know: update the "
            f"packages tokenizers and transformers, or {_AGAIN}"
        )
    if isinstance(error, KeyError) and error.args[:1] in (("template",), ("name",)):
        return (
            f"chat_template in {folder / 'tokenizer_config.json'} is neither a text nor a list of objects with "
            "name and template: correct it"
        )
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        return f"{folder} has no file of a tokenizer, such as tokenizer.json or tokenizer.model: download it"
    return None


def _format_in(folder: Path, name: str) -> str | None:
    """Return which file has the name of a number format that torch does not have, or None."""
    for path in sorted(folder.glob("*config.json")):
        field = _field_with(path, name)
        if field is not None:
            return f"{path} has {field} {name!r}, which torch does not have: correct it, or {_AGAIN}"
    return None


def _field_with(path: Path, text: str) -> str | None:
    """Return the name of a field of a JSON file that has a text as its value, or None."""
    try:
        parts = [json.loads(path.read_bytes())]
    except (OSError, ValueError, RecursionError):
        return None
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            found = next((str(name) for name, value in part.items() if value == text), None)
            if found is not None:
                return found
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return None


def _begins_with_mark(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    except OSError:
        return False
