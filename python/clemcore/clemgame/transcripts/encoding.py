"""Writes values as JSON that the core can read. It does not know what they mean."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")


def encoded(value: Any) -> bytes:
    """Return a value as JSON; half a character is shown as its escape, and a number that is not finite as text."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    if "NaN" in text or "Infinity" in text:
        text = json.dumps(json.loads(text, parse_constant=str), ensure_ascii=False)
    return _HALF.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text).encode()
