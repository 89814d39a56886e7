"""The content of an instance file whose instances are read from its text one by one, as they are asked for.

As dicts, the instances of a large file take several times the memory of the text. It does not know what is right or
wrong about them.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, overload

from clemcore import _core

_OBJECT, _LIST = ord("{"), ord("[")


class Instances(Sequence[Any]):
    """The instances of one experiment. Each is read anew whenever it is asked for.

    Args:
        text: the text of the file.
        places: where each instance begins and ends.
    """

    def __init__(self, text: bytes, places: array[int]) -> None:
        self._text = text
        self._places = places

    def __len__(self) -> int:
        return len(self._places) // 2

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = 2 * range(len(self))[index]
        return json.loads(self._text[self._places[number] : self._places[number + 1]])

    def __iter__(self) -> Iterator[Any]:
        return map(self.__getitem__, range(len(self)))


def content_of(text: bytes) -> Any:
    """Return the content of an instance file, which is valid JSON.

    Lists under ``game_instances`` of experiments are :class:`Instances`. All else is as ``json.loads`` reads it.

    Examples:
        >>> content = content_of(b'{"experiments": [{"name": "a", "game_instances": [{"game_id": 0}]}]}')
        >>> content["experiments"][0]["game_instances"][0]
        {'game_id': 0}
    """
    begin = len(text) - len(text.lstrip())
    if text[begin : begin + 1] != b"{":
        return json.loads(text)
    return {
        name: _experiments(text, at) if name == "experiments" and text[at] == _LIST else json.loads(text[at:end])
        for name, at, end in _members(text, begin)
    }


def _experiments(text: bytes, at: int) -> list[Any]:
    places = _parts(text, at)
    return [
        _experiment(text, begin) if text[begin] == _OBJECT else json.loads(text[begin:end])
        for begin, end in zip(places[::2], places[1::2], strict=True)
    ]


def _experiment(text: bytes, at: int) -> dict[str, Any]:
    return {
        name: Instances(text, _parts(text, begin))
        if name == "game_instances" and text[begin] == _LIST
        else json.loads(text[begin:end])
        for name, begin, end in _members(text, at)
    }


def _members(text: bytes, at: int) -> Iterator[tuple[str, int, int]]:
    """Give each name of an object, and where its value begins and ends."""
    places = _parts(text, at)
    for number in range(0, len(places), 4):
        name_at, name_end, begin, end = places[number : number + 4]
        yield json.loads(text[name_at:name_end]), begin, end


def _parts(text: bytes, at: int) -> array[int]:
    places = array("Q")
    places.frombytes(_core.json_parts(text, at))
    return places
