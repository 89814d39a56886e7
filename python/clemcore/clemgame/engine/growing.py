"""A dialogue that grows from call to call: its JSON and its hashes, for which only what is new is read.

It does not know who asks, nor where the text goes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from clemcore import _core
from clemcore.calls.encoding import HashedText
from clemcore.messages import Messages

_LINE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=repr)


class GrowingDialogue:
    """What was read of the dialogue of one player so far.

    A message whose role and content are the same objects as at the call before is not read again: texts do not
    change. Messages with anything else, such as an image, are read anew each time.
    """

    __slots__ = ("_canonical", "_hash", "_known", "_request", "_text")

    def __init__(self) -> None:
        """Begin with no messages."""
        self._forget()

    def _forget(self) -> None:
        self._known: list[Any] = []
        self._text = bytearray()
        self._canonical = hashlib.sha256(b"[")
        self._request = hashlib.sha256()
        self._hash: str | None = None

    def request_of(self, messages: Messages) -> Any:
        """Return the SHA-256 of messages, each as JSON with sorted keys and a line feed, to be continued."""
        messages = messages if type(messages) is list else list(messages)
        if 2 * _core.leading_messages(messages, self._known) < len(self._known):
            self._forget()
        fresh = messages[len(self._known) // 2 :]
        if not fresh:
            return self._request.copy()
        texts = _texts_of(fresh)
        if texts is None:
            self._forget()
            digest = hashlib.sha256()
            for message in messages:
                digest.update(_line(message))
            return digest
        for message, text in zip(fresh, texts, strict=True):
            self._take(message, *text)
        self._hash = None
        return self._request.copy()

    def _take(self, message: dict[str, Any], role: bytes, content: bytes) -> None:
        line = b'{"role": %s, "content": %s}' % (role, content)
        canonical = _core.canonical_json(line) or _CANONICAL.encode(message).encode()
        comma, blank = (b",", b", ") if self._known else (b"", b"")
        self._known += (message["role"], message["content"])
        self._text += blank + line
        self._canonical.update(comma + canonical)
        self._request.update(b'{"content":%s,"role":%s}\n' % (content, role))

    def text_of(self, messages: Any) -> HashedText | None:
        """Return the JSON of the messages that were read last, with its hash; None for any others."""
        known = self._known
        is_read = type(messages) is list and 0 < len(known) == 2 * len(messages)
        if not is_read or 2 * _core.leading_messages(messages, known) != len(known):
            return None
        if self._hash is None:
            whole = self._canonical.copy()
            whole.update(b"]")
            self._hash = whole.hexdigest()
        return HashedText.of(b"[%s]" % self._text, self._hash)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def _line(message: Any) -> bytes:
    return _LINE.encode(message).encode("utf-8", "surrogatepass") + b"\n"


def _texts_of(messages: Messages) -> list[tuple[bytes, bytes]] | None:
    """Return role and content of each message as JSON; None if one has anything else, or what UTF-8 cannot hold."""
    found = []
    for message in messages:
        if type(message) is not dict or [*message] != ["role", "content"]:
            return None
        role, content = message["role"], message["content"]
        if type(role) is not str or type(content) is not str:
            return None
        texts = _core.json_line(role), _core.json_line(content)
        if texts[0] is None or texts[1] is None:
            return None
        found.append((texts[0], texts[1]))
    return found
