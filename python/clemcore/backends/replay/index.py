"""Where a recorded call is found by what is asked, in a time that does not depend on the number of calls.

The key is the scope and the dialogue: roles and texts of its turns, or the SHA-256 of its messages. Calls without
either are not in the index; they are compared one by one. It does not know which call may come next.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from clemcore.backends.replay.dialogue import Dialogue, Turns
from clemcore.calls.reader import RecordedCall
from clemcore.calls.scope import repeated_labels

_T = TypeVar("_T")
Labels = tuple[tuple[str, Any], ...]
_Form = tuple[str, bool]


def labels_of(labels: Any) -> Labels:
    """Return the labels of a scope that a replay compares."""
    if not isinstance(labels, Mapping):
        return ()
    return tuple(sorted(repeated_labels(labels).items()))


class Index(Generic[_T]):
    """Finds entries by what is asked.

    Attributes:
        forms: the forms of the recorded dialogues; see :class:`Dialogue`.
        others: entries that cannot be found by a key.
    """

    def __init__(self, is_gone: Callable[[_T], bool]) -> None:
        """Begin empty.

        Args:
            is_gone: tells whether an entry was used, and will not be found again.
        """
        self._is_gone = is_gone
        self.forms: dict[_Form, Dialogue] = {}
        self.others: list[_T] = []
        self._has_labels = False
        self._entries: dict[tuple[Labels | None, bytes], deque[_T]] = {}

    def add(self, entry: _T, call: RecordedCall, dialogue: Dialogue | None) -> None:
        """Add a recorded call and its dialogue, where its prompt holds one."""
        keys = []
        digest = call.facts.get("messages_sha256")
        if isinstance(digest, str):
            keys.append(digest.encode())
        if dialogue is not None:
            form = dialogue.system, dialogue.is_last_only
            self.forms.setdefault(form, dialogue)
            keys.append(_key_of(form, dialogue.turns))
        if not keys:
            self.others.append(entry)
        labels = labels_of(call.facts.get("scope"))
        self._has_labels = self._has_labels or bool(labels)
        for key in keys:
            for place in {labels, None}:
                self._entries.setdefault((place, key), deque()).append(entry)

    def find(self, labels: Labels, sha256: str, turns: Iterable[tuple[_Form, Turns]]) -> Iterator[_T]:
        """Give the entries that may be what is asked, in the order in which they were added.

        Args:
            labels: the labels that are compared; where nothing was recorded with labels, they do not count.
            sha256: the SHA-256 of the messages.
            turns: the turns of the messages in each of the ``forms``.
        """
        place = labels if labels and self._has_labels else None
        yield from self._left((place, sha256.encode()))
        for form, asked in turns:
            yield from self._left((place, _key_of(form, asked)))

    def _left(self, key: tuple[Labels | None, bytes]) -> deque[_T]:
        """Return the entries of a key; used ones in front are dropped, so that many equal dialogues stay quick."""
        entries = self._entries.get(key, deque())
        while entries and self._is_gone(entries[0]):
            entries.popleft()
        return entries


def _key_of(form: _Form, turns: Turns) -> bytes:
    digest = hashlib.sha256(repr(form).encode())
    for turn in turns:
        for part in (turn.role, turn.text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data) + data)
    return digest.digest()
