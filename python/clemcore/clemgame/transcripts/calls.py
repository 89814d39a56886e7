"""Hands calls of episodes to the core, in a form that it can read. It does not know how they are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from clemcore.clemgame.transcripts.encoding import encoded

if TYPE_CHECKING:
    from clemcore.clemgame.store.contents import StoredCall

# Number, player, round, kind, attempt, answer, record, and the record as the core can read it.
CallFields: TypeAlias = "tuple[int, str, int, str, int, str | None, bytes, bytes | None]"
# May be half a character; the whole ones among them are read twice, which does no harm.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity")
_SIGNS_OF_HALF = (b"\\ud", b"\\uD", b"NaN", b"Infinity")


def fields_of(calls: Iterable[StoredCall]) -> list[CallFields]:
    """Return calls as :func:`clemcore._core.episode_view` takes them."""
    return [
        (
            c.number,
            _whole(c.player),
            c.round,
            _whole(c.kind),
            c.attempt,
            _text(c.text),
            c.record,
            _readable(c.record),
        )
        for c in calls
    ]


def _whole(text: str) -> str:
    """Return a text as UTF-8 can hold it; half a character becomes its escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _text(text: str | None) -> str | None:
    return None if text is None else _whole(text)


def _readable(record: bytes) -> bytes | None:
    """Return a record without half characters, which the core cannot read; None if it can be read as it is."""
    # Searches for plain bytes take a tenth of the time of one for the pattern, and most records have none.
    if not any(part in record for part in _SIGNS_OF_HALF) or not _HALF.search(record):
        return None
    try:
        return encoded(json.loads(record))
    except ValueError:
        return None
