"""Bodies that are not quite what a reply should be, read as far as that is safe.

An answer that was paid for is not thrown away because of what stands around it: comments and the end of an event
stream, a wrong label of its encoding. Nothing inside the JSON is repaired.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from typing import Any, NamedTuple

_DECODER = json.JSONDecoder()
# What an event stream has beside its data: comments and blank lines; then the data's name.
_BEFORE = re.compile(r"(?:\s+|:[^\r\n]*[\r\n])*(?:data:\s*)?")
_AFTER = re.compile(r"(?:\s+|:[^\r\n]*(?:[\r\n]|$)|data:\s*\[DONE\](?=\s|$))*")
# A service that comments on ten minutes of waiting stays below; a body of comments is not read to its end.
_MOST_AROUND = 1_000_000


class Found(NamedTuple):
    """JSON in a body.

    Attributes:
        value: what it says.
        begin: where its text begins, in bytes.
        end: where its text ends.
    """

    value: Any
    begin: int
    end: int


class UnreadableError(ValueError):
    """A body that cannot be read; the message says why."""


def json_in(data: bytes) -> Found | None:
    r"""Return the one JSON object or array of a body; None where there is none, or more than one.

    Examples:
        >>> json_in(b': waiting\n\n{"a": 1}\n\ndata: [DONE]\n\n')
        Found(value={'a': 1}, begin=11, end=19)
        >>> json_in(b'{"a": 1}{"a": 2}') is None
        True
    """
    mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        text = data[mark:].decode("utf-8")
        begin = _end(_BEFORE, text[:_MOST_AROUND])
        if not text.startswith(("{", "["), begin):
            return None
        value, end = _DECODER.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    rest = text[end : end + _MOST_AROUND]
    if _end(_AFTER, rest) != len(text) - end:
        return None
    return Found(value, mark + len(text[:begin].encode()), mark + len(text[:end].encode()))


def _end(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.match(text)
    return 0 if found is None else found.end()


def plain(data: bytes, encoding: str, largest: int) -> bytes:
    """Undo the content encoding of a body, which the request did not ask for.

    Args:
        data: the body as it came.
        encoding: the header, which may name several, in the order of their use.
        largest: how many bytes the body may have.

    Raises:
        UnreadableError: it cannot be undone.
    """
    if json_in(data) is not None:
        return data  # labelled, and never encoded
    for name in reversed(encoding.lower().split(",")):
        data = _undone(data, name.strip(), largest)
    return data


def _undone(data: bytes, name: str, largest: int) -> bytes:
    if name in ("", "identity"):
        return data
    if name not in ("gzip", "x-gzip", "deflate"):
        raise UnreadableError(f"the reply is compressed as {name!r}, although it was asked for plain")
    # gzip or zlib, by their first bytes; deflate without the head that it should have.
    for bits in (47, -15) if name == "deflate" else (47,):
        unpack = zlib.decompressobj(bits)
        try:
            unpacked = unpack.decompress(data, largest)
        except zlib.error as fault:
            reason = str(fault)
            continue
        if unpack.eof and not unpack.unconsumed_tail:
            return unpacked
        reason = "it is larger than allowed" if unpack.unconsumed_tail else "it ends too early"
        break
    raise UnreadableError(f"the reply's compression is broken: {reason}")
