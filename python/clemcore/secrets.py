"""Keeping secrets out of everything that is shown or written.

It knows which field names hold secrets, and the values of the keys that were loaded in this process. It does not
know where keys come from: that is :mod:`clemcore.keys`.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any
from urllib.parse import quote

MASK = "***"

_SECRET_NAME = re.compile(
    r"(^|[_\-.])(api_?key|secret|password|passwd|authorization|credential)s?($|[_\-.])"
    # "token" alone or with a word of access; a tokenizer's bos_token or image_token is not a secret.
    r"|^((access|api|auth|bearer|hf|refresh|secret|session)[_\-]?)?token$",
    re.IGNORECASE,
)
# A flag that carries such a word and is not a secret.
_HARMLESS = frozenset({"requires_api_key"})

# The login in an address: a user with a password, or a token.
_LOGIN = re.compile(r"(?<=://)[^\s/?#\\\"'`]+@")

# Values of keys loaded in this process, longest first: one may hold another. What people read is searched for all
# of them. A record is searched only for those with the shape of a key, in the forms that JSON text may have.
_loaded: tuple[str, ...] = ()
_keys: tuple[str, ...] = ()
_forms: tuple[bytes, ...] = ()

# Shorter values would match ordinary words; a key that short protects nothing.
_SHORTEST = 6
# What local servers are given in place of a key: words that an experiment may use.
_PLACEHOLDERS = frozenset(
    {
        "anything",
        "api-key",
        "changeme",
        "example",
        "foobar",
        "insert-key-here",
        "llama-cpp",
        "llama.cpp",
        "llamacpp",
        "lm-studio",
        "lmstudio",
        "localai",
        "localhost",
        "my-key",
        "no-api-key",
        "no-key",
        "no-key-needed",
        "no-key-required",
        "not-needed",
        "not-required",
        "not-used",
        "ollama",
        "openai",
        "password",
        "placeholder",
        "secret",
        "sglang",
        "sk-1234",
        "sk-dummy",
        "sk-fake",
        "sk-no-key-needed",
        "sk-no-key-required",
        "sk-placeholder",
        "sk-test",
        "sk-xxx",
        "test-key",
        "testing",
        "token-abc123",
        "unused",
        "whatever",
        "xinference",
        "your-api-key",
        "your-api-key-here",
        "your-key",
        "your-key-here",
    }
)
# A value this long is not an ordinary word; a shorter one may be a name, or a few words with a hyphen.
_LONG, _RATHER_LONG = 20, 16
_NOT_OF_A_WORD = re.compile(r"[^A-Za-z\-_.:\s]")
_FEW = 4


@functools.lru_cache(maxsize=1024)  # entries have few names
def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret.

    Examples:
        >>> is_secret_name("api_key"), is_secret_name("max_tokens"), is_secret_name("eos_token")
        (True, False, False)
    """
    return name not in _HARMLESS and _SECRET_NAME.search(name) is not None


def has_key_shape(value: str) -> bool:
    """Tell whether a value can be nothing but a key: no word, no name, no placeholder.

    Examples:
        >>> has_key_shape("sk-0123456789abcdef"), has_key_shape("ollama"), has_key_shape("token-abc123")
        (True, False, False)
    """
    if len(value) < _RATHER_LONG or value.casefold() in _PLACEHOLDERS or len(set(value)) <= _FEW:
        return False
    return len(value) >= _LONG or _NOT_OF_A_WORD.search(value) is not None


def remember(value: object) -> None:
    """Remember a secret, so that :func:`scrub` finds it wherever it turns up later.

    A placeholder such as ``ollama`` is not remembered. A short value is searched for only in what people read:
    in a prompt it may be an ordinary word.
    """
    global _loaded, _keys, _forms
    if not isinstance(value, str) or len(value.strip()) < _SHORTEST:
        return
    secret = value.strip().strip("\"'`")  # quotes around a key are a mistake, and part of the text that quotes it
    if secret.casefold() in _PLACEHOLDERS:
        return
    # Also as an address would hold it: an error may show one.
    written = {secret, *(quote(secret, safe=safe, errors="replace") for safe in ("", "/"))}
    keys = _longest_first({*_keys, *written}) if has_key_shape(secret) else _keys
    forms = (form for key in keys for form in _forms_of(key))
    _loaded, _keys, _forms = _longest_first({*_loaded, *written}), keys, tuple(dict.fromkeys(forms))


def _longest_first(secrets: set[str]) -> tuple[str, ...]:
    return tuple(sorted(secrets, key=lambda secret: (-len(secret), secret)))


def _forms_of(secret: str) -> list[bytes]:
    """Return what stands for a secret in JSON text; one with a lone surrogate is only ever written escaped."""
    # Not the plain value: one with a quotation mark would be found across the ends of JSON strings.
    escaped = json.dumps(secret)[1:-1].encode("ascii")
    try:
        return [escaped, json.dumps(secret, ensure_ascii=False)[1:-1].encode()]
    except UnicodeEncodeError:
        return [escaped]


def scrub(text: str) -> str:
    """Replace every remembered secret by ``***`` in a text that people read."""
    return _masked(text, _loaded)


def _masked(text: str, values: tuple[str, ...]) -> str:
    for value in values:
        if value in text:
            text = text.replace(value, MASK)
    return text


def mask_fields(value: Any) -> Any:
    """Copy nested dicts and lists without secrets.

    Values of secret fields, logins in addresses and remembered secrets are replaced by ``***``.

    Examples:
        >>> mask_fields({"api_key": "x", "base_url": "https://me:password@models.example/v1"})
        {'api_key': '***', 'base_url': 'https://***@models.example/v1'}
    """
    if isinstance(value, dict):
        return {
            key: MASK
            if isinstance(key, str) and is_secret_name(key) and isinstance(item, str) and item
            else mask_fields(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [mask_fields(item) for item in value]
    if not isinstance(value, str):
        return value
    text = _masked(value, _keys) if _keys else value
    return _LOGIN.sub(f"{MASK}@", text) if "://" in text else text


def holds_key(text: bytes) -> bool:
    r"""Tell whether JSON text, or any other text in UTF-8, holds a remembered key.

    It finds the escapes that Python's ``json`` writes, with ``ensure_ascii`` or without. Text from elsewhere may
    hold others (``\/``, ``\u0041``): see :func:`has_own_escapes`.
    """
    return any(form in text for form in _forms)


def scrub_json(text: bytes) -> bytes:
    """Replace every remembered key in JSON text by ``***``; in the same forms as :func:`holds_key`."""
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
