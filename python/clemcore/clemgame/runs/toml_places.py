"""Finds where the keys of a TOML text stand, which Python's own reader does not say.

It expects a text that the reader has accepted, and knows nothing of what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Path = tuple[str | int, ...]
Places = dict[Path, tuple[int, int]]

_BLANK = re.compile(r"(?:[ \t]|\r?\n|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def places_of(text: str) -> Places:
    r"""Return line and column (from 1) of every key and every item of a list, by its path.

    Examples:
        >>> places_of('a = [1,\n 2]\n[b.c]\nd = {e = 3}')[("b", "c", "d", "e")]
        (4, 6)
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.places


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.places: Places = {}
        self._lengths: dict[Path, int] = {}  # of lists of tables

    def document(self) -> None:
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _header(self) -> Path:
        begin = self._at
        brackets = 2 if self._text.startswith("[[", begin) else 1
        self._at += brackets
        self._skip()
        path = self._inside(self._key())
        self._skip()
        self._at += brackets
        if brackets == 2:  # noqa: PLR2004 - an item of a list of tables
            self._note(path, begin)
            number = self._lengths.get(path, 0)
            self._lengths[path] = number + 1
            path = (*path, number)
        self._note(path, begin)
        return path

    def _inside(self, keys: tuple[str, ...]) -> Path:
        """Return the path of a header: inside a list of tables, its last table is meant."""
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        return (*path, keys[-1])

    def _pair(self, table: Path) -> None:
        begin = self._at
        keys = self._key()
        for count in range(1, len(keys) + 1):
            self._note((*table, *keys[:count]), begin)
        self._skip()
        self._at += 1  # =
        self._value((*table, *keys))

    def _key(self) -> tuple[str, ...]:
        keys: list[str] = []
        while True:
            found = _STRING.match(self._text, self._at) or _BARE.match(self._text, self._at)
            if found is None:  # not possible in a text that was read
                self._at = len(self._text)
                return (*keys, "")
            keys.append(_unquoted(found[0]))
            self._at = found.end()
            self._skip()
            if not self._text.startswith(".", self._at):
                return tuple(keys)
            self._at += 1
            self._skip()

    def _value(self, path: Path) -> None:
        self._skip()
        if self._text.startswith("{", self._at):
            self._items("}", lambda _: self._pair(path))
        elif self._text.startswith("[", self._at):
            self._items("]", lambda number: self._item((*path, number)))
        else:
            found = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
            self._at = len(self._text) if found is None else found.end()

    def _item(self, path: Path) -> None:
        self._note(path, self._at)
        self._value(path)

    def _items(self, end: str, read: Callable[[int], None]) -> None:
        self._at += 1
        number = 0
        self._skip()
        while self._at < len(self._text) and not self._text.startswith(end, self._at):
            read(number)
            number += 1
            self._skip()
            if self._text.startswith(",", self._at):
                self._at += 1
                self._skip()
        self._at += 1

    def _note(self, path: Path, at: int) -> None:
        line = self._text.count("\n", 0, at) + 1
        self.places.setdefault(path, (line, at - self._text.rfind("\n", 0, at)))

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        if found is not None:
            self._at = found.end()


def _unquoted(key: str) -> str:
    if key[0] == "'":
        return key[1:-1]
    if key[0] == '"':
        import json

        try:
            return str(json.loads(key))
        except ValueError:  # \U0001F600 and \e are no JSON
            return key[1:-1]
    return key
