"""How short an answer under a constraint can be. A lower limit: what is not understood counts as nothing.

It knows constraints and the bytes of tokens, and neither grammars nor models.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends.local.constraints.forms import Constraint

# Classes inside of classes and operators on them, which Python takes for characters; with what hides a bracket.
_OTHERWISE = re.compile(r"\[\^?\]?[^\]]*\[|&&|--|~~|\|\|")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
# References to other parts of a schema may form circles.
_DEEPEST = 32


def least_tokens(constraint: Constraint, tokens: Collection[bytes]) -> float:
    """Return how many tokens the shortest answer has at least; infinity where no tokens can spell it.

    Args:
        constraint: the constraint.
        tokens: the bytes of all tokens that are not special.
    """
    longest = max(map(len, tokens), default=1)
    if constraint.kind == "choices":
        known = frozenset(tokens)
        return min(_spelt(text.encode(), known, longest) for text in constraint.choices)
    if constraint.kind == "regex":
        width = _of_regex(constraint.text)
    elif constraint.kind == "json_schema":
        width = _of_schema(json.loads(constraint.text), 0)
    else:
        width = 0
    return math.ceil(width / longest)


def _spelt(text: bytes, tokens: frozenset[bytes], longest: int) -> float:
    """Return the least number of tokens that spell a text."""
    best = [0.0] + [math.inf] * len(text)
    for end in range(1, len(text) + 1):
        begins = range(max(0, end - longest), end)
        best[end] = 1 + min((best[begin] for begin in begins if text[begin:end] in tokens), default=math.inf)
    return best[-1]


def _of_regex(pattern: str) -> int:
    """Return the least number of characters that a pattern matches, as far as Python reads it as Rust does."""
    if _OTHERWISE.search(_ESCAPED.sub("x", pattern)):
        return 0
    try:
        from re import _parser  # type: ignore[attr-defined]
    except ImportError:  # Python 3.10
        import sre_parse as _parser
    try:
        width: int = _parser.parse(pattern).getwidth()[0]
    except Exception:  # noqa: BLE001 - the notation of another language
        return 0
    return width


def _of_schema(schema: Any, depth: int) -> int:
    """Return the least number of characters of a JSON text that fits a schema."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return 1
    if "const" in schema:
        return len(json.dumps(schema["const"], separators=(",", ":"), ensure_ascii=False))
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return min(len(json.dumps(value, separators=(",", ":"), ensure_ascii=False)) for value in schema["enum"])
    for name in ("anyOf", "oneOf"):
        if isinstance(schema.get(name), list) and schema[name]:
            return min(_of_schema(each, depth + 1) for each in schema[name])
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return min((_of_type(kind, schema, depth) for kind in kinds), default=1)


def _of_type(kind: Any, schema: Mapping[str, Any], depth: int) -> int:
    if kind == "string":
        return 2 + _number(schema, "minLength")
    if kind in ("boolean", "null"):
        return 4
    if kind == "array":
        count = _number(schema, "minItems")
        items = [schema.get("items"), *(first if isinstance(first := schema.get("prefixItems"), list) else ())]
        return 2 + count * min(_of_schema(item, depth + 1) for item in items) + max(count - 1, 0)
    required, properties = schema.get("required"), schema.get("properties")
    if kind != "object" or not isinstance(required, list) or not isinstance(properties, Mapping):
        return 1
    names = {name: json.dumps(name, ensure_ascii=False) for name in required if isinstance(name, str)}
    fields = [len(text) + 1 + _of_schema(properties.get(name), depth + 1) for name, text in names.items()]
    return 2 + sum(fields) + max(len(fields) - 1, 0)


def _number(schema: Mapping[str, Any], name: str) -> int:
    value = schema.get(name)
    return value if isinstance(value, int) else 0
