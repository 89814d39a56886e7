"""The bytes of an episode in a store: frames, one after another, each a line of JSON and the bytes it describes.

::

    CRC32["e",[LENGTH, …]]                   logged events
    CRC32["c",NUMBER,PLAYER,ROUND,KIND,REQUEST,ATTEMPT,TEXT,PARTS]      a call (pieces.py has the parts)
    CRC32["d",NUMBER]                        earlier calls from this number on no longer count

CRC32 is that of all bytes of the frame behind it, in eight hexadecimal digits. TEXT is the answer: null, a string,
or [START, LENGTH] of a JSON string in the record. A body in the file begins with one byte that says how it is
compressed. It does not know about tables.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring
from json.encoder import encode_basestring_ascii as _ascii
from typing import Any

from clemcore.clemgame.store.contents import StoredCall
from clemcore.clemgame.store.pieces import Cutter, Part, join
from clemcore.secrets import holds_key

_PLAIN, _ZLIB, _ZLIB_LIKE, _WITH_PIECES = b"\x00", b"\x01", b"\x02", b"\x03"
# Bytes of the number of the piece that a body resembles.
_NUMBER = 4
# Shorter bodies hardly get smaller.
_SHORTEST = 256

# Digits of the checksum.
_CRC = 8


class DamagedError(ValueError):
    """Bytes of a store are not what was written."""


def packed(body: bytes, dictionary: tuple[int, bytes] | None = None) -> bytes:
    """Return a body as it is kept in the file.

    Args:
        body: the body.
        dictionary: number and content of a shared piece that resembles the body.
    """
    if len(body) >= _SHORTEST:
        # To clear the tables of a large window takes longer than to compress a short body.
        size = len(body) + (len(dictionary[1]) if dictionary else 0)
        window = min(15, max(12, size.bit_length() - 1))
        if dictionary is None:
            deflate, head = zlib.compressobj(1, zlib.DEFLATED, window, window - 7), _ZLIB
        else:
            number, like = dictionary
            deflate = zlib.compressobj(1, zlib.DEFLATED, window, 6, zlib.Z_DEFAULT_STRATEGY, like)
            head = _ZLIB_LIKE + number.to_bytes(_NUMBER, "big")
        small = b"".join((head, deflate.compress(body), deflate.flush()))
        if len(small) <= len(body):
            return small
    return _PLAIN + body


Pieces = Sequence[tuple[int, bytes]]


def packed_with(body: bytes, groups: Sequence[Pieces], dictionary: tuple[int, bytes] | None = None) -> bytes:
    """Return a body as it is kept in the file, without shared pieces that stand in it.

    Args:
        body: the body.
        groups: number and content of pieces that stand one after another, for each place. A group that is not in
            the body is kept like the rest.
        dictionary: number and content of a shared piece that resembles the body.
    """
    places: list[bytes] = []
    rest: list[bytes] = []
    end = length = 0
    for pieces in groups:
        whole = b"".join(piece for _, piece in pieces)
        at = body.find(whole, end) if whole else -1
        if at >= 0:
            rest.append(body[end:at])
            length += at - end
            places += (length.to_bytes(_NUMBER, "big") + number.to_bytes(_NUMBER, "big") for number, _ in pieces)
            end = at + len(whole)
    if not places:
        return packed(body, dictionary)
    head = _WITH_PIECES + len(places).to_bytes(_NUMBER, "big")
    return b"".join([head, *places, packed(b"".join([*rest, body[end:]]), dictionary)])


def unpacked(kept: bytes, shared: Callable[[int], bytes], length: int = 0) -> bytes:
    """Return a body from what is kept in the file.

    Args:
        kept: what is in the file.
        shared: gives a shared piece by its number.
        length: return only so many bytes from the beginning; 0: all.

    Raises:
        DamagedError: it is not what was written.
    """
    codec = kept[:1]
    if codec == _PLAIN:
        return kept[1 : length + 1] if length else kept[1:]
    try:
        if codec == _ZLIB:
            return zlib.decompressobj().decompress(kept[1:], length)
        if codec == _ZLIB_LIKE:
            like = shared(int.from_bytes(kept[1 : _NUMBER + 1], "big"))
            return zlib.decompressobj(zdict=like).decompress(kept[_NUMBER + 1 :], length)
        if codec == _WITH_PIECES:
            body = _with_pieces(kept, shared)
            return body[:length] if length else body
    except zlib.error as fault:
        raise DamagedError(f"a body cannot be decompressed: {fault}") from None
    raise DamagedError(f"a body begins with {codec!r}, which names no compression")


def _with_pieces(kept: bytes, shared: Callable[[int], bytes]) -> bytes:
    begin = 1 + _NUMBER
    end = begin + int.from_bytes(kept[1:begin], "big") * 2 * _NUMBER
    numbers = [int.from_bytes(kept[at : at + _NUMBER], "big") for at in range(begin, end, _NUMBER)]
    rest = unpacked(kept[end:], shared)
    found: list[bytes] = []
    before = 0
    for at, number in zip(numbers[::2], numbers[1::2], strict=True):
        found += (rest[before:at], shared(number))
        before = at
    return b"".join([*found, rest[before:]])


def events_frame(events: Sequence[bytes]) -> bytes:
    """Write logged events."""
    return _frame(f'["e",{[len(event) for event in events]}]\n', events)


def differs_frame(number: int) -> bytes:
    """Write that earlier calls from a number on no longer count."""
    return _frame(f'["d",{number}]\n', ())


def call_frame(call: StoredCall, cutter: Cutter) -> bytes:
    """Write a call."""
    parts, fresh = cutter.cut(call.player, call.record)
    names = f"{_ascii(call.player)},{call.round},{_ascii(call.kind)},{_ascii(call.request)},{call.attempt}"
    text = _place_of(call.text, call.record)
    # Python writes a list of lists of numbers as JSON does.
    return _frame(f'["c",{call.number},{names},{text},{parts}]\n', fresh)


def _frame(header: str, payload: Sequence[bytes]) -> bytes:
    body = b"".join([header.encode(), *payload])
    return b"%08x%s" % (zlib.crc32(body), body)


def _place_of(text: str | None, record: bytes) -> str:
    """Return, as JSON, where an answer stands in the record, or the answer itself."""
    if text is None:
        return "null"
    try:
        quoted = encode_basestring(text).encode("utf-8")
    except UnicodeEncodeError:
        quoted = b""
    # Wherever it stands: the same bytes are the same answer.
    start = record.rfind(quoted) if quoted else -1
    if start >= 0:
        return f"[{start},{len(quoted)}]"
    # A record leaves out what holds a key, and so must this: the question is asked again when it comes again.
    answer = _ascii(text)
    return "null" if holds_key(answer.encode()) else answer


@dataclass
class Stream:
    """The frames of one episode, read so far.

    Attributes:
        calls: the calls that count, by number.
        superseded: the calls that no longer count, in the order in which they were made.
        made: all calls, in the order in which they were made.
        records: their records.
        events: the events, in order.
        frames: the frames of the calls, and of what no longer counts.
    """

    calls: dict[int, StoredCall] = field(default_factory=dict)
    superseded: list[StoredCall] = field(default_factory=list)
    made: list[StoredCall] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    def drop_from(self, number: int) -> None:
        """Let calls from a number on no longer count."""
        for each in sorted(known for known in self.calls if known >= number):
            self.superseded.append(self.calls.pop(each))

    def take(self, call: StoredCall) -> None:
        """Take a call; another one of the same number no longer counts."""
        if call.number in self.calls:
            self.superseded.append(self.calls[call.number])
        self.calls[call.number] = call
        self.made.append(call)

    def ordered(self) -> list[StoredCall]:
        """Return the calls that count, by number."""
        return [self.calls[number] for number in sorted(self.calls)]


def read_stream(bodies: Iterable[bytes], shared: Callable[[int], bytes]) -> Stream:
    """Read the frames of an episode.

    Args:
        bodies: what was written, in order.
        shared: gives a shared piece by its number.

    Raises:
        DamagedError: the bytes are not what was written.
    """
    stream = Stream()
    for body in bodies:
        try:
            _read(body, stream, shared)
        except DamagedError:
            raise
        except (ValueError, LookupError, TypeError) as fault:
            raise DamagedError(f"the frames of an episode cannot be read: {fault}") from None
    return stream


def _read(body: bytes, stream: Stream, shared: Callable[[int], bytes]) -> None:
    for header, frame, payload in _frames(body):
        kind = header[0]
        if kind == "e":
            at = 0
            for length in header[1]:
                stream.events.append(payload[at : at + length])
                at += length
            continue
        stream.frames.append(frame)
        if kind == "d":
            stream.drop_from(header[1])
            continue
        call = _call(header, payload, stream.records, shared)
        stream.records.append(call.record)
        stream.take(call)


def cut_again(
    bodies: Iterable[bytes], shared: Callable[[int], bytes], cutter: Cutter, *, with_events: bool
) -> list[bytes]:
    """Return the frames of an episode for another file, whose shared pieces have other numbers.

    Args:
        bodies: what was written, in order.
        shared: gives a shared piece of the old file by its number.
        cutter: cuts the records of the episode in the new file.
        with_events: keep the frames of events.

    Raises:
        DamagedError: the bytes are not what was written.
    """
    found: list[bytes] = []
    records: list[bytes] = []
    for body in bodies:
        for header, frame, payload in _frames(body):
            if header[0] == "c":
                call = _call(header, payload, records, shared)
                records.append(call.record)
                found.append(call_frame(call, cutter))
            elif header[0] != "e" or with_events:
                found.append(frame)
    return found


def headers_of_calls(body: bytes) -> Iterator[tuple[list[Any], bytes]]:
    """Give the header of each call, and the bytes of its record that were new.

    Raises:
        DamagedError: the bytes are not what was written.
    """
    return ((header, payload) for header, _, payload in _frames(body) if header[0] == "c")


def parts_of(header: Sequence[Any]) -> list[Part]:
    """Return the parts of the record of a call."""
    parts: list[Part] = header[8]
    return parts


def call_from(header: Sequence[Any], record: bytes) -> StoredCall:
    """Return the call that a header and a record describe."""
    _, number, player, round_, what, request, attempt, text, _ = header
    if isinstance(text, list):
        text = json.loads(record[text[0] : text[0] + text[1]])
    return StoredCall(number, player, round_, what, request, text, record, attempt)


def _call(
    header: Sequence[Any], payload: bytes, records: Sequence[bytes], shared: Callable[[int], bytes]
) -> StoredCall:
    return call_from(header, join(parts_of(header), payload, records, shared))


def _frames(body: bytes) -> Iterator[tuple[list[Any], bytes, bytes]]:
    at = 0
    while at < len(body):
        begin = body.index(b"\n", at) + 1
        header = json.loads(body[at + _CRC : begin - 1])
        lengths = {"e": 1, "c": 8}
        parts = header[lengths[header[0]]] if header[0] in lengths else ()
        end = begin + sum(part for part in parts if isinstance(part, int))
        if end > len(body):
            raise DamagedError("the frames of an episode end in the middle")
        if zlib.crc32(body[at + _CRC : end]) != int(body[at : at + _CRC], 16):
            raise DamagedError("the bytes of an event or a call are not what was written")
        yield header, body[at:end], body[begin:end]
        at = end
