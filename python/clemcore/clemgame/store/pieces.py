"""What the records of an episode have in common, kept once: a record becomes parts, and parts the same bytes again.

The prompt of a call repeats the prompts before it, and the facts of a record stay the same from call to call. A
record is therefore cut where it repeats an earlier record of the episode, and before each message. A part is a copy
from an earlier record, a piece that the whole run shares by its SHA-256, or new bytes. Any cut gives the same bytes
when the parts are joined, so a wrong guess about what a message is costs space and nothing else. It does not know
where parts are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from clemcore import _core

# A part: so many bytes of what is new; [id] of a shared piece; or [call, start, length] in an earlier record.
Part = int | list[int]

# Where a record may repeat the one before it: from these names on, in this order. A local model's prompt has its
# text and the ids of its tokens; its response may begin with the prompt.
_FIXED_BEGIN, _FIXED_LAST = b'"model_spec": ', b'"versions": {'
_ANCHORS = (
    b'"manipulated_prompt_obj": ',
    b'"max_new_tokens": ',
    b'"input_ids": ',
    b'"raw_response_obj": ',
    _FIXED_BEGIN,
)
# Shorter records are not searched.
_WORTH_A_LOOK = 600
# A message begins here: never inside a string, where the quotation marks are escaped.
_MESSAGE = re.compile(rb'\{\s*"(?:role|type|parts|content)"\s*:')
_SYSTEM = b'"system":'
_COMMA = ord(",")
# Shorter copies, and shorter shared pieces, would cost more than they save.
_SHORTEST_COPY = 48
_SHORTEST_SHARED = 256

_DECODER = json.JSONDecoder()


class Cutter:
    """Cuts the records of one episode.

    Args:
        shared: gives the number of a piece that the whole run shares.
    """

    def __init__(self, shared: Callable[[bytes], int]) -> None:
        self._shared = shared
        self._count = 0
        self._last: tuple[int, bytes] | None = None
        self._last_of: dict[str, tuple[int, bytes]] = {}
        self._known: dict[bytes, tuple[int, int]] = {}

    def add(self, player: str, record: bytes) -> None:
        """Take a record that is stored already."""
        self._last = self._last_of[player] = (self._count, record)
        self._count += 1

    def copied(self) -> Cutter:
        """Return a cutter for an episode that begins with the same records."""
        other = Cutter(self._shared)
        other._count, other._last = self._count, self._last
        other._last_of, other._known = {**self._last_of}, {**self._known}
        return other

    def cut(self, player: str, record: bytes) -> tuple[list[Part], list[bytes]]:
        """Return the parts of the next record, and the bytes of those that are new."""
        if len(record) < _WORTH_A_LOOK and _FIXED_BEGIN not in record:
            self.add(player, record)
            return [len(record)], [record]
        cut = _Cut(self._count, record)
        last = self._last_of.get(player, self._last)
        if last is None:
            begin = max(record.find(_FIXED_BEGIN), 0)
            at = _end_of_fixed(record, begin)
            self._cut_new(cut, 0, begin)
            self._share(cut, begin, at)
            cut.new(at, len(record))
        else:
            self._cut_repeated(cut, *last)
        # Only now: while a record is joined, nothing can be copied from it.
        for piece, start in cut.pieces:
            self._known.setdefault(piece, (cut.call, start))
        self.add(player, record)
        return cut.parts, cut.fresh

    def _cut_repeated(self, cut: _Cut, call: int, before: bytes) -> None:
        """Cut a record where it repeats an earlier one."""
        record = cut.record
        at = at_before = 0
        for name in _ANCHORS:  # each search begins where the last copy ends, so long prompts are not searched
            begin = record.find(name, at)
            begin_before = before.find(name, at_before) if begin >= 0 else -1
            if begin_before < 0:
                continue
            length = _core.common_length(record, begin, before, begin_before)
            if length >= _SHORTEST_COPY:
                self._cut_new(cut, at, begin)
                cut.copy(call, begin_before, length)
                at, at_before = begin + length, begin_before + length
        cut.new(at, len(record))

    def _cut_new(self, cut: _Cut, at: int, end: int) -> None:
        """Cut a stretch of a prompt before each message and behind the last one."""
        if at >= end:
            return
        record = cut.record
        if end - at < _SHORTEST_SHARED:
            cut.new(at, end)
            return
        # The comma and the blank before a message belong to it, so that the messages before it end where they end
        # when they are the last.
        starts = []
        for match in _MESSAGE.finditer(record, at + 1, end):
            start = match.start()
            before = 2 if record[start - 2 : start] == b", " else 1 if record[start - 1] == _COMMA else 0
            starts.append(max(start - before, at))
        system = record.find(_SYSTEM, at, starts[0] if starts else end)
        if system >= 0:
            starts.insert(0, system)
        if not starts:
            cut.new(at, end)
            return
        cut.new(at, starts[0])
        stops = [*starts[1:], _end_of_message(record, starts[-1], end)]
        for start, stop in zip(starts, stops, strict=True):
            piece = record[start:stop]
            known = self._known.get(piece)
            if known is not None:
                cut.copy(*known, stop - start)
                continue
            cut.pieces.append((piece, start))
            self._share(cut, start, stop)
        cut.new(stops[-1], end)

    def _share(self, cut: _Cut, start: int, stop: int) -> None:
        if stop - start < _SHORTEST_SHARED:
            cut.new(start, stop)
        else:
            cut.share(self._shared(cut.record[start:stop]))


class _Cut:
    """The parts of one record so far."""

    __slots__ = ("call", "fresh", "parts", "pieces", "record")

    def __init__(self, call: int, record: bytes) -> None:
        self.call = call
        self.record = record
        self.parts: list[Part] = []
        self.fresh: list[bytes] = []
        self.pieces: list[tuple[bytes, int]] = []

    def new(self, start: int, stop: int) -> None:
        if stop > start:
            self.fresh.append(self.record[start:stop])
            last = self.parts[-1] if self.parts else None
            if isinstance(last, int):
                self.parts[-1] = last + stop - start
            else:
                self.parts.append(stop - start)

    def copy(self, call: int, start: int, length: int) -> None:
        last = self.parts[-1] if self.parts else None
        if isinstance(last, list) and last[0] == call and len(last) > 1 and last[1] + last[2] == start:
            last[2] += length
        else:
            self.parts.append([call, start, length])

    def share(self, number: int) -> None:
        self.parts.append([number])


def join(
    parts: Sequence[Part],
    fresh: bytes,
    records: Sequence[bytes] | Mapping[int, bytes],
    shared: Callable[[int], bytes],
) -> bytes:
    """Return the record that was cut into parts.

    Args:
        parts: its parts.
        fresh: the bytes of those that were new.
        records: the earlier records of the episode, or those of them that the parts name.
        shared: gives a shared piece by its number.

    Raises:
        LookupError: a part does not exist.
    """
    found: list[bytes] = []
    at = 0
    for part in parts:
        if isinstance(part, int):
            found.append(fresh[at : at + part])
            at += part
        elif len(part) == 1:
            found.append(shared(part[0]))
        else:
            call, start, length = part
            found.append(records[call][start : start + length])
    return b"".join(found)


def _end_of_fixed(record: bytes, begin: int) -> int:
    last = record.find(_FIXED_LAST, begin)
    end = record.find(b"}", last) if last >= 0 else -1
    return end + 1 if end >= 0 else begin


def _end_of_message(record: bytes, start: int, end: int) -> int:
    """Return where a message ends; if that cannot be told, where the prompt ends."""
    try:
        text = record[start:end].decode("utf-8")
        _, stop = _DECODER.raw_decode(text, text.index("{"))
    except ValueError:
        return end
    return start + (stop if len(text) == end - start else len(text[:stop].encode("utf-8")))
