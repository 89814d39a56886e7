"""The special tokens of a model's folder by name, as transformers finds them; nothing but JSON files is read.

There are four sources: ``tokenizer_config.json``, the older ``special_tokens_map.json``, tokens with names of a
model's own (``extra_special_tokens``), and what the tokenizer's class has by default.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAMED_TOKENS = tuple(f"{kind}_token" for kind in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
_EXTRA, _OLD_EXTRA = "extra_special_tokens", "additional_special_tokens"
_SPECIFIC = "model_specific_special_tokens"
# Classes without defaults of their own.
_GENERIC = frozenset({"TokenizersBackend", "PythonBackend", "PreTrainedTokenizerFast", "MistralCommonBackend"})

ReadJson = Callable[[Path], dict[str, Any]]


def special_tokens(folder: Path, config: Mapping[str, Any], read: ReadJson) -> dict[str, str]:
    """Return the special tokens of a folder.

    Args:
        folder: the folder.
        config: its ``tokenizer_config.json``; empty if there is none.
        read: reads a JSON object, which is empty if the file is not there.
    """
    settings = dict(config)
    if _OLD_EXTRA in settings and not settings.get(_EXTRA):
        settings[_EXTRA] = settings.pop(_OLD_EXTRA)
    own = {name: value for name, value in settings.items() if _is_own(name, value, is_marked=True)}
    _move_extra(settings, own)
    if not own and isinstance(settings.get(_SPECIFIC), dict):
        own.update(settings[_SPECIFIC])
    # A configuration that lists its added tokens is newer than the map.
    if "added_tokens_decoder" not in config:
        older = read(folder / "special_tokens_map.json")
        settings.update(older)
        own.update((name, value) for name, value in older.items() if _is_own(name, value))
        _move_extra(settings, own)
    defaults = _defaults(folder, config, read)
    found = {name: settings.get(name, defaults.get(name)) for name in NAMED_TOKENS}
    found |= {name: value for name, value in defaults.items() if name not in NAMED_TOKENS}
    texts = {name: _text(value) for name, value in {**found, **own}.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _is_own(name: str, value: Any, *, is_marked: bool = False) -> bool:
    """Tell whether it is a token with a name of the model's own; an object may have to be marked as a token."""
    if isinstance(value, dict) and is_marked and value.get("__type") != "AddedToken":
        return False
    return name.endswith("_token") and name not in NAMED_TOKENS and _text(value) is not None


def _move_extra(settings: dict[str, Any], own: dict[str, Any]) -> None:
    """Extra tokens with names are variables of the template; those in a list are not."""
    if isinstance(settings.get(_EXTRA), dict):
        own.update(settings.pop(_EXTRA))


def _text(value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else None


@functools.cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(Path(__file__).with_name("token_defaults.json").read_bytes())
    return table


def _defaults(folder: Path, config: Mapping[str, Any], read: ReadJson) -> dict[str, str]:
    """Return the default tokens of the class that transformers takes for a folder."""
    model = read(folder / "config.json")
    kind, name = model.get("model_type"), config.get("tokenizer_class") or model.get("tokenizer_class")
    # Without a type of model there is no model's folder, so the files are all there is.
    if not isinstance(kind, str) or config.get("auto_map"):
        return {}
    table = _table()
    registered = table["model_types"].get(kind)
    if isinstance(name, str):
        name = name.removesuffix("Fast")
        is_mistral = registered == "MistralCommonBackend"
        if registered is not None and registered != name:
            if registered in _GENERIC:
                return {}
            if kind in table["wrong_classes"]:
                name = registered
        if name == "LlamaTokenizer" and not is_mistral and _is_byte_level(folder, read):
            return {}
    else:
        name = registered
    return dict(table["classes"].get(name, {}))


def _is_byte_level(folder: Path, read: ReadJson) -> bool:
    parts = [read(folder / "tokenizer.json").get(part) for part in ("pre_tokenizer", "decoder")]
    return '"ByteLevel"' in json.dumps(parts)
