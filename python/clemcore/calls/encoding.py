"""Values as one line of JSON, where nothing is lost but secrets, and the links between the lines of a record.

A line has a hash that does not depend on how it is written: that of its canonical form. It does not know what the
values mean.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import math
from collections.abc import Iterable, Mapping
from typing import Any

from clemcore import _core, secrets

# The fields of an entry, and the key, inside the facts, of the hash of the entry in front of it.
FIELDS = ("timestamp", "manipulated_prompt_obj", "raw_response_obj")
PROMPT, RESPONSE = FIELDS[1:]
_PROMPT_NAME = b'"%s": ' % PROMPT.encode()
FACTS = "clemcore"
LINK = "previous_sha256"
# Facts that repeat a reply's own words.
_WORDS = ("response_text", "reasoning", "refusal")
# Values that any reader can take: Python's own fails at about a thousand levels, and at 4,300 digits or fewer.
_MOST_LEVELS = 100
_MOST_DIGITS = 600


class JsonText(bytes):
    """JSON text in UTF-8 that stands for a value: it goes into the record as it is, byte for byte."""

    __slots__ = ()


class HashedText(JsonText):
    """JSON text that knows the SHA-256 of its canonical form, and that any reader can take it.

    Attributes:
        sha256: the hash, in hexadecimal digits.
    """

    sha256: str

    @classmethod
    def of(cls, text: bytes, sha256: str) -> HashedText:
        """Make one."""
        made = cls(text)
        made.sha256 = sha256
        return made


def to_json(value: Any) -> bytes:
    """Write a value as one line of strict JSON in UTF-8, without any secret that this process loaded.

    What JSON cannot hold is kept visibly: non-finite numbers as the strings ``NaN``, ``Infinity``, ``-Infinity``,
    bytes and other objects as ``{"__type__": …, "repr": …}``; lone surrogates stay escaped.

    Examples:
        >>> to_json({"a": float("nan"), "b": "ä"}).decode()
        '{"a": "NaN", "b": "ä"}'
    """
    return secrets.scrub_json(dumped(value))


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
        return JsonText(dumped(value))
    text = _fixed.get(key)
    if text is None:
        if len(_fixed) >= _MOST_FIXED:
            _fixed.clear()
        text = _fixed[key] = JsonText(dumped(value))
    return text


def object_of(fields: Mapping[str, Any]) -> bytes:
    """Write an object some values of which are encoded already; neighbours that are not are encoded together."""
    line = _core.json_line(fields, JsonText)
    if line is not None:
        return line
    parts: list[bytes] = []
    plain: dict[str, Any] = {}
    for name, value in fields.items():
        if not isinstance(value, JsonText):
            plain[name] = value
            continue
        if plain:
            parts.append(dumped(plain)[1:-1])
            plain = {}
        parts.append(b"%s: %s" % (b'"%s"' % name.encode() if name.isidentifier() else dumped(name), value))
    if plain:
        parts.append(dumped(plain)[1:-1])
    return b"{%s}" % b", ".join(parts)


def dumped(value: Any) -> bytes:
    """Write a value as :func:`to_json` does, with the secrets that it may hold."""
    line = _core.json_line(value)
    if line is not None:
        return line
    try:
        text = _encode(value)
    except (ValueError, TypeError, RecursionError):
        value = _plain(value, ())
        text = _encode(value)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, default=_object).encode("ascii")


def _object(value: Any) -> Any:
    return {"__type__": f"{type(value).__module__}.{type(value).__qualname__}", "repr": repr(value)[:1000]}


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_object).encode


def _plain(value: Any, around: tuple[int, ...]) -> Any:
    """Return a value that JSON can hold; ``around`` identifies the objects that it is in."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > 3 * _MOST_DIGITS:
        return {"__type__": "builtins.int", "repr": hex(value)[:1000]}
    if not isinstance(value, (dict, list, tuple)):
        return value
    if id(value) in around or len(around) >= _MOST_LEVELS:
        return {"__type__": f"builtins.{type(value).__name__}", "repr": "nested too deeply"}
    around = (*around, id(value))
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(item, around) for key, item in value.items()}
    return [_plain(item, around) for item in value]


def is_hard_to_read(text: bytes) -> bool:
    """Tell whether a reader of JSON may fail at a text: it is nested too deeply, or a number in it is too long.

    Examples:
        >>> is_hard_to_read(b"[" * 5000 + b"]" * 5000), is_hard_to_read(b"1" * 5000), is_hard_to_read(b'{"a": [1]}')
        (True, True, False)
    """
    return _core.is_hard_to_read(text, _MOST_LEVELS, _MOST_DIGITS)


# -- entries ---------------------------------------------------------------------------------------------------
def entry_of(fields: Mapping[str, Any]) -> bytes:
    """Write the entry of a call, without any key of this process.

    Args:
        fields: the fields of the entry; values may be :class:`JsonText`, also those inside the facts.
    """
    extra = fields.get(FACTS)
    if not isinstance(extra, dict):
        text = object_of(fields)
        return without_keys(_entry_to_read(fields, None) if is_hard_to_read(text) else text)
    wire = extra.get("wire") or {}
    sides = ((PROMPT, "request_sha256"), (RESPONSE, "response_sha256"))
    # What did not go over a wire has no hash of its bytes.
    parts = {name: _encoded(fields.get(name)) for name, digest in sides if wire.get(digest) is None}
    if parts:
        fields = {**fields, **parts}
    text = _joined(fields, _with_hashes(extra, parts) if parts else extra)
    return without_keys(_entry_to_read(fields, extra, parts) if _is_hard(text, fields.get(PROMPT)) else text)


def _is_hard(entry: bytes, prompt: Any) -> bool:
    """Tell whether a reader may fail at an entry. A prompt of which it is known that none does is passed over."""
    if not isinstance(prompt, HashedText):
        return is_hard_to_read(entry)
    at = entry.index(_PROMPT_NAME) + len(_PROMPT_NAME)
    return is_hard_to_read(entry[:at] + entry[at + len(prompt) :])


def _entry_to_read(fields: Mapping[str, Any], extra: dict[str, Any] | None, parts: Iterable[str] = ()) -> bytes:
    """Write an entry that a reader of JSON may fail at so that none does."""
    fields = {
        name: value if name == FACTS and extra is not None else _readable(value) for name, value in fields.items()
    }
    if extra is None:
        return object_of(fields)
    if parts:
        extra = _with_hashes(extra, {name: fields[name] for name in parts})
    return _joined(fields, {name: _readable(value) for name, value in extra.items()})


def _with_hashes(extra: dict[str, Any], parts: Mapping[str, bytes]) -> dict[str, Any]:
    return {**extra, "hashes": hashes_of(parts, extra.get("response_text"))}


def _joined(fields: Mapping[str, Any], extra: Any) -> bytes:
    """Write an entry; the facts stand at its end."""
    if not isinstance(extra, dict):
        return object_of(fields)
    parts = {name: value for name, value in fields.items() if name != FACTS}
    parts[FACTS] = extra
    line = _core.json_line(parts, JsonText)
    return line if line is not None else object_of({**parts, FACTS: JsonText(object_of(extra))})


def _encoded(value: Any) -> JsonText:
    return value if isinstance(value, JsonText) else JsonText(dumped(value))


def _readable(value: Any) -> JsonText:
    """Write a value; one that a reader of JSON may fail at becomes a text that holds the JSON."""
    text = _encoded(value)
    return JsonText(dumped(text.decode("utf-8"))) if is_hard_to_read(text) else text


def without_keys(entry: bytes) -> bytes:
    """Return an entry without any key of this process.

    Prompt, response and the words of the reply are left out where they hold one, because they are never rewritten.
    In everything else, ``***`` stands for the key.
    """
    if not secrets.holds_key(entry):
        return entry
    fields, facts = _taken_apart(entry)
    left_out = json.loads(facts.get("left_out", b"[]"))
    for parts, names in ((fields, (PROMPT, RESPONSE)), (facts, _WORDS)):
        for name in names:
            if secrets.holds_key(parts.get(name, b"")):
                parts[name] = JsonText(b"null")
                left_out.append(name)
    if facts and left_out:
        facts["left_out"] = JsonText(dumped(left_out))
    return secrets.scrub_json(_joined(fields, facts or None))


# -- links -----------------------------------------------------------------------------------------------------
def sha256_of_value(value: Any) -> str:
    """Return the SHA-256 of a JSON value in its canonical form: ASCII, names sorted, no whitespace.

    Examples:
        >>> sha256_of_value({"b": 1, "a": 2}) == hashlib.sha256(b'{"a":2,"b":1}').hexdigest()
        True
    """
    return hashlib.sha256(_CANONICAL.encode(value).encode("ascii")).hexdigest()


def hashes_of(parts: Mapping[str, bytes], response_text: Any) -> dict[str, str]:
    """Return the hashes of a call's parts: prompt and response, the token ids in them, and the answer's text.

    Args:
        parts: prompt and response as JSON text; what has a hash elsewhere is missing. Text that is hard to read
            gets none.
        response_text: the answer's text.
    """
    found = {}
    for name, side, ids in ((PROMPT, "prompt", "input_ids"), (RESPONSE, "response", "output_ids")):
        text = parts.get(name, b"null")
        if text == b"null":
            continue
        digest = _sha256_of_json(text)
        if digest is None:
            continue
        found[side] = digest
        if isinstance(text, HashedText):  # a list of messages, and it may be long
            continue
        value = json.loads(text) if b'"%s"' % ids.encode() in text else None
        if isinstance(value, dict) and isinstance(value.get(ids), list):
            found[ids] = sha256_of_value(value[ids])
    if RESPONSE in parts and isinstance(response_text, str):
        found["response_text"] = sha256_of_value(response_text)
    return found


def _sha256_of_json(text: bytes) -> str | None:
    """Return the hash of the value that JSON text stands for; None where no reader can be trusted to read it."""
    if isinstance(text, HashedText):
        return text.sha256
    canonical = _core.canonical_json(text)
    if canonical is not None:
        return hashlib.sha256(canonical).hexdigest()
    return None if is_hard_to_read(text) else sha256_of_value(json.loads(text))


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_DECODER = json.JSONDecoder()


def linked(entry: bytes, previous: str | None) -> tuple[bytes, str]:
    """Add to an entry the hash of the one in front of it; return both the entry and its own hash.

    An entry without facts, which an older release has written, gets no link.

    Args:
        entry: as :func:`entry_of` and :func:`unlinked` write it: its facts stand at the end.
        previous: the hash of the entry in front of it, or None where it is the first.

    Examples:
        >>> linked(b'{"clemcore": {"a": 1}}', None)[0]
        b'{"clemcore": {"a": 1, "previous_sha256": null}}'
    """
    link = b"null" if previous is None else b'"%s"' % previous.encode()
    text = b'%s, "%s": %s}}' % (entry[:-2], LINK.encode(), link)
    canonical = _core.canonical_json(text)
    # Otherwise there are no facts, or the name of a field comes before theirs, or only Python can read the text.
    if canonical is not None and canonical.startswith(_BEGINS_WITH_FACTS):
        return text, hashlib.sha256(canonical).hexdigest()
    fields = json.loads(entry)
    facts = fields.get(FACTS)
    if isinstance(facts, dict) and facts:
        facts[LINK] = previous
        entry = text
    return entry, sha256_of_value(fields)


_BEGINS_WITH_FACTS = b'{"%s":{"' % FACTS.encode()


def unlinked(entry: bytes) -> bytes:
    """Return an entry without its link; its values stay as they are written.

    Examples:
        >>> unlinked(b'{"clemcore": {"a": 1, "previous_sha256": null}, "b":[2,3]}')
        b'{"b": [2,3], "clemcore": {"a": 1}}'
    """
    fields, facts = _taken_apart(entry)
    facts.pop(LINK, None)
    return _joined(fields, facts or None)


def _taken_apart(entry: bytes) -> tuple[dict[str, JsonText], dict[str, JsonText]]:
    """Return the fields of an entry, and its facts, as they stand in the text."""
    text = entry.decode("utf-8")
    begin = members(text, 0).get(FACTS, (0, 0, None))[0]
    return _parts(text, 0), _parts(text, begin) if begin and text[begin] == "{" else {}


def _parts(text: str, at: int) -> dict[str, JsonText]:
    return {name: JsonText(text[begin:end].encode("utf-8")) for name, (begin, end, _) in members(text, at).items()}


# -- the places of parts, in text that is known to be valid JSON ---------------------------------------------------
def members(text: str, at: int) -> dict[str, tuple[int, int, Any]]:
    """Return the members of the object that begins at a place: where each value begins and ends, and the value."""
    found = {}
    at = skip_blanks(text, at + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = skip_blanks(text, skip_blanks(text, at) + 1)
        value, end = _DECODER.raw_decode(text, at)
        found[name] = (at, end, value)
        at = next_part(text, end)
    return found


def next_part(text: str, at: int) -> int:
    """Return where the next part of an object or a list begins, or its bracket stands."""
    at = skip_blanks(text, at)
    return skip_blanks(text, at + 1) if text[at] == "," else at


def skip_blanks(text: str, at: int) -> int:
    """Return the first place from here on that is not a blank."""
    while text[at] in " \t\r\n":
        at += 1
    return at


# What an error knows beside its message, where it knows it; a replay raises it again.
_ERROR_FIELDS = ("provider_message", "retry_after", "tokens_used", "tokens_left", "context_size")


def error_fields(error: BaseException) -> dict[str, Any]:
    """Return what a record says about an error."""
    known = {name: getattr(error, name, None) for name in _ERROR_FIELDS}
    more = {name: value for name, value in known.items() if value is not None}
    return {"type": type(error).__name__, "message": str(error), **more}
