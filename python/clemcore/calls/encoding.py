"""Values as one line of JSON: nothing is lost but secrets. It does not know what the values mean."""

from __future__ import annotations

import json
import marshal
import math
from collections.abc import Mapping
from typing import Any

from clemcore import secrets


class JsonText(bytes):
    """JSON text in UTF-8 that stands for a value: it goes into the record as it is, byte for byte."""

    __slots__ = ()


def to_json(value: Any) -> bytes:
    """Write a value as one line of strict JSON in UTF-8, without any secret that this process loaded.

    What JSON cannot hold is kept visibly: non-finite numbers as the strings ``NaN``, ``Infinity``, ``-Infinity``,
    bytes and other objects as ``{"__type__": …, "repr": …}``; lone surrogates stay escaped.

    Examples:
        >>> to_json({"a": float("nan"), "b": "ä"}).decode()
        '{"a": "NaN", "b": "ä"}'
    """
    return secrets.scrub_json(_dumped(value))


# What of the records stays the same from call to call, encoded once; keyed by the value's own bytes.
_fixed: dict[bytes, JsonText] = {}
_MOST_FIXED = 512


def encoded_once(value: Any) -> JsonText:
    """Encode a small value that comes again and again, such as the generation arguments of a model.

    Examples:
        >>> encoded_once({"temperature": 0.0}), encoded_once({"temperature": False})
        (b'{"temperature": 0.0}', b'{"temperature": false}')
    """
    try:
        key = marshal.dumps(value, 2)  # tells 0 from 0.0 and False, as == does not
    except ValueError:
        return JsonText(_dumped(value))
    text = _fixed.get(key)
    if text is None:
        if len(_fixed) >= _MOST_FIXED:
            _fixed.clear()
        text = _fixed[key] = JsonText(_dumped(value))
    return text


def object_of(fields: Mapping[str, Any]) -> bytes:
    """Write an object some values of which are encoded already; neighbours that are not are encoded together."""
    parts: list[bytes] = []
    plain: dict[str, Any] = {}
    for name, value in fields.items():
        if not isinstance(value, JsonText):
            plain[name] = value
            continue
        if plain:
            parts.append(_dumped(plain)[1:-1])
            plain = {}
        parts.append(b'"%s": %s' % (name.encode(), value))
    if plain:
        parts.append(_dumped(plain)[1:-1])
    return b"{%s}" % b", ".join(parts)


def _dumped(value: Any) -> bytes:
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        value = _finite(value)
        text = _ENCODER.encode(value)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, default=_object).encode("ascii")


def _object(value: Any) -> Any:
    return {"__type__": f"{type(value).__module__}.{type(value).__qualname__}", "repr": repr(value)[:1000]}


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_object)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
