"""Keeping secrets out of everything that is shown or written.

It knows which field names hold secrets, and the values of the keys that were loaded in this process. It does not
know where keys come from: that is :mod:`clemcore.keys`.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

MASK = "***"

_SECRET_NAME = re.compile(
    r"(^|[_\-.])(api_?key|secret|password|passwd|authorization|credential)s?($|[_\-.])"
    # "token" alone or with a word of access; a tokenizer's bos_token or image_token is no secret.
    r"|^((access|api|auth|bearer|hf|refresh|secret|session)[_\-]?)?token$",
    re.IGNORECASE,
)
# A flag that carries such a word and is no secret.
_HARMLESS = frozenset({"requires_api_key"})

# Values of keys loaded in this process; text that is shown or recorded is searched for them. Longest first: one may
# hold another. The forms are what stands for them in JSON text, the plain ones and those with every escape.
_loaded: tuple[str, ...] = ()
_forms: tuple[bytes, ...] = ()

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
    global _loaded, _forms
    if not isinstance(value, str) or len(value.strip()) < _SHORTEST:
        return
    secret = value.strip()
    # Also as an address would hold it: an error may show one.
    written = {secret, *(quote(secret, safe=safe, errors="replace") for safe in ("", "/"))}
    loaded = tuple(sorted({*_loaded, *written}, key=lambda secret: (-len(secret), secret)))
    forms = (form for secret in loaded for form in _forms_of(secret))
    _loaded, _forms = loaded, tuple(dict.fromkeys(forms))


def _forms_of(secret: str) -> list[bytes]:
    """Return what stands for a secret in JSON text; one with a lone surrogate is only ever written escaped."""
    escaped = json.dumps(secret)[1:-1].encode("ascii")
    try:
        return [secret.encode(), escaped, json.dumps(secret, ensure_ascii=False)[1:-1].encode()]
    except UnicodeEncodeError:
        return [escaped]


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


def scrub_json(text: bytes) -> bytes:
    r"""Replace every remembered secret in JSON text, where it may stand with escapes.

    It finds the escapes that Python's ``json`` writes, with ``ensure_ascii`` or without. Text from elsewhere may
    hold others (``\/``, ``\u0041``): see :func:`has_own_escapes`.
    """
    for form in _forms:
        if form in text:
            text = text.replace(form, MASK.encode())
    return text


def has_own_escapes(text: bytes) -> bool:
    r"""Tell whether JSON text may hold escapes that Python's ``json`` does not write, which could hide a secret.

    Examples:
        >>> has_own_escapes(rb'"a\n\"b"'), has_own_escapes(rb'"a\/b"'), has_own_escapes(rb'"\u0061"')
        (False, True, True)
    """
    return b"\\" in text and (b"\\u" in text or b"\\/" in text)
