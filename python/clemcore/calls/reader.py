"""Reading record files, call by call, with the bytes that stand in them.

Three forms are read: the list that clemcore writes, the same without the key ``clemcore`` (releases before 3.4),
and ``{"meta": …, "calls": [{"round": …, "call": {…}}]}`` (3.4 to 3.7.2). It does not know what is done with calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clemcore.calls.encoding import FACTS, FIELDS, PROMPT, RESPONSE, members, next_part, skip_blanks
from clemcore.calls.place import check_place, decoded
from clemcore.errors import RecordError

_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class RecordedCall:
    """One call of a record.

    Attributes:
        path: the file.
        index: its place in the file, counted from 0.
        text: the call as it stands in the file.
        fields: its fields.
        facts: the field ``clemcore``; empty in records that clemcore 4 did not write.
        texts: prompt and response as they stand in the file.
        meta: the file's ``meta`` (3.4 to 3.7.2), or empty.
    """

    path: Path
    index: int
    text: str
    fields: dict[str, Any] = field(repr=False)
    facts: dict[str, Any] = field(repr=False)
    texts: tuple[str, str] = field(repr=False)
    meta: dict[str, Any] = field(repr=False)

    @property
    def place(self) -> str:
        """File and index, for messages."""
        return f"{self.path}[{self.index}]"

    @property
    def prompt(self) -> Any:
        """What was sent."""
        return self.fields.get(PROMPT)

    @property
    def response(self) -> Any:
        """What came back, or None."""
        return self.fields.get(RESPONSE)

    @property
    def player(self) -> dict[str, Any]:
        """What 3.4 to 3.7.2 put into the response: start, duration, answer and model; empty elsewhere."""
        known = self.response.get("clem_player") if isinstance(self.response, dict) else None
        return known if isinstance(known, dict) else {}

    @property
    def model_name(self) -> str | None:
        """The model's name, where the record says it."""
        spec = self.facts.get("model_spec")
        named = spec.get("model_name") if isinstance(spec, dict) else None
        named = named or self.player.get("model_name") or self.meta.get("model_name")
        return named if isinstance(named, str) else None

    @property
    def error(self) -> dict[str, Any] | None:
        """What the call failed with: ``type`` and ``message``."""
        known = self.facts.get("error")
        return known if isinstance(known, dict) else None

    @property
    def left_out(self) -> tuple[str, ...]:
        """The fields that were not recorded because they hold a key."""
        names = self.facts.get("left_out")
        return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()

    @property
    def started(self) -> float | None:
        """When the call began, in seconds since 1970; None where the record does not say."""
        return time_of(self.fields.get("timestamp"))

    @property
    def ended(self) -> float | None:
        """When the call ended; None where the record does not say."""
        duration = self.facts.get("duration_seconds")
        if self.started is None or not isinstance(duration, (int, float)):
            return None
        return self.started + duration


def time_of(stamp: Any) -> float | None:
    """Return an ISO time as seconds since 1970, one without a zone as local time; None where it is none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def read_record(path: str | os.PathLike[str]) -> list[RecordedCall]:
    """Read a record file.

    Raises:
        RecordError: it cannot be read, or holds no record.
    """
    path = Path(path)
    text = _text_of(path)
    value = decoded(path, text)
    begin = skip_blanks(text, 0)
    if isinstance(value, list):
        return [_call(path, index, text, span, {}) for index, span in enumerate(_items(text, begin))]
    calls = value.get("calls") if isinstance(value, dict) else None
    if not isinstance(calls, list):
        raise RecordError(f"{path}: must hold a JSON list of calls, or an object with 'calls'; it is not a record")
    meta = value.get("meta")
    places = members(text, begin)
    found = []
    for index, (at, _) in enumerate(_items(text, places["calls"][0])):
        inner = members(text, at).get("call") if text[at] == "{" else None
        if inner is None:
            raise RecordError(f"{path}: calls[{index}] must be an object with 'call'")
        found.append(_call(path, index, text, inner[:2], meta if isinstance(meta, dict) else {}))
    return found


def record_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the record files that a path stands for: itself, or those below a folder, sorted.

    Raises:
        RecordError: there is nothing of the kind.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*requests.json") if not file.name.startswith("."))
    if not files:
        stores = any(Path(path).rglob("store*.sqlite3"))
        hint = ". The calls of a run are in its store: 'clem export RUN --to classic' writes these files"
        raise RecordError(
            f"{path}: no file below this folder is called requests.json or NAME.requests.json"
            + (hint if stores else "")
        )
    return files


def _text_of(path: Path) -> str:
    check_place(path)
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as fault:
        raise RecordError(f"{path}: byte {fault.start} is not UTF-8") from None
    except OSError as fault:
        raise RecordError(f"{path}: the record cannot be read: {fault.strerror}") from None


def _call(path: Path, index: int, text: str, span: tuple[int, int], meta: dict[str, Any]) -> RecordedCall:
    at, end = span
    if text[at] != "{":
        raise RecordError(f"{path}[{index}] must be an object with {', '.join(FIELDS)}")
    places = members(text, at)
    fields = {name: value for name, (_, _, value) in places.items()}
    missing = [name for name in FIELDS if name not in fields]
    if missing:
        raise RecordError(f"{path}[{index}] lacks {', '.join(missing)}: it is not a recorded call")
    facts = fields.get(FACTS)
    sent, received = (text[slice(*places[name][:2])] for name in FIELDS[1:])
    return RecordedCall(
        path, index, text[at:end], fields, facts if isinstance(facts, dict) else {}, (sent, received), meta
    )


def _items(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Give the places of a list's items; the text was decoded as a whole before."""
    at = skip_blanks(text, at + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        yield at, end
        at = next_part(text, end)
