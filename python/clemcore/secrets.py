"""Keeping secrets out of everything that is shown or written.

It knows which field names hold secrets, and the values of the keys that were loaded in this process. It does not
know where keys come from: that is :mod:`clemcore.keys`.
"""

from __future__ import annotations

import json
import re
from typing import Any

MASK = "***"

_SECRET_NAME = re.compile(
    r"(^|[_\-.])(api_?key|secret|password|passwd|authorization|credential)s?($|[_\-.])"
    # "token" alone or with a word of access; a tokenizer's bos_token or image_token is no secret.
    r"|^((access|api|auth|bearer|hf|refresh|secret|session)[_\-]?)?token$",
    re.IGNORECASE,
)
# A flag that carries such a word and is no secret.
_HARMLESS = frozenset({"requires_api_key"})

# Values of keys loaded in this process; text that is shown or recorded is searched for them.
_loaded: set[str] = set()

# Shorter values would match ordinary words; a key that short protects nothing.
_SHORTEST = 6


def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret.

    Examples:
        >>> is_secret_name("api_key"), is_secret_name("max_tokens"), is_secret_name("eos_token")
        (True, False, False)
    """
    return name not in _HARMLESS and _SECRET_NAME.search(name) is not None


def remember(value: object) -> None:
    """Remember a secret, so that :func:`scrub` finds it wherever it turns up later."""
    if isinstance(value, str) and len(value.strip()) >= _SHORTEST:
        _loaded.add(value.strip())


def scrub(text: str) -> str:
    """Replace every remembered secret in a text by ``***``."""
    for secret in _loaded:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def mask_fields(value: Any) -> Any:
    """Copy nested dicts and lists with the values of secret fields replaced and remembered secrets scrubbed."""
    if isinstance(value, dict):
        return {
            key: MASK
            if isinstance(key, str) and is_secret_name(key) and isinstance(item, str) and item
            else mask_fields(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [mask_fields(item) for item in value]
    return scrub(value) if isinstance(value, str) else value


def scrub_json(text: str) -> str:
    """Replace every remembered secret in JSON text, where it may stand with escapes."""
    for secret in _loaded:
        for form in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
            if form in text:
                text = text.replace(form, MASK)
    return text
