"""The record of every call: what was sent, what came back, and under which settings.

A record file is the documented list of ``{timestamp, manipulated_prompt_obj, raw_response_obj}``; everything else
that is known stands under one further key, ``clemcore``. It does not know how a call is made.
"""

from __future__ import annotations

import json
import marshal
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from clemcore import secrets
from clemcore.calls.jsonlist import JsonListFile

if TYPE_CHECKING:
    import asyncio

RECORD_VERSION = 1

_active: tuple[Recorder, ...] = ()
_active_lock = threading.Lock()


class JsonText(bytes):
    """JSON text in UTF-8 that stands for a value: it goes into the record as it is, byte for byte."""

    __slots__ = ()


class Entry:
    """One call on its way into the files.

    Attributes:
        error: why it is not in a file, or None.
    """

    __slots__ = ("_call", "_text", "error")

    def __init__(self, call: Mapping[str, Any]) -> None:
        """Take what the files shall get; values may be :class:`JsonText`, also those of ``clemcore``."""
        self._call: Mapping[str, Any] = call
        self._text: bytes | None = None
        self.error: Exception | None = None

    @classmethod
    def of_text(cls, text: bytes) -> Entry:
        """Make an entry that is JSON text already."""
        entry = cls({})
        entry._text = text
        return entry

    def text(self) -> bytes:
        """Return the entry as JSON text; it is written once, however many files get it."""
        if self._text is None:
            extra = self._call.get("clemcore")
            if isinstance(extra, dict):
                self._call = {**self._call, "clemcore": JsonText(_object_of(extra))}
            self._text = secrets.scrub_json(_object_of(self._call))
            self._call = {}
        return self._text

    def check(self) -> None:
        """Raise what kept the entry from a file."""
        if self.error is not None:
            raise self.error


class Recorder:
    """Records every call of every model of this process while it is open.

    Calls that end at the same time share a write: whoever comes first writes for all.

    Args:
        path: the JSON file; an existing list is continued.

    Attributes:
        count: number of calls in the file.

    Raises:
        RecordError: the file cannot be continued; it is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file."""
        global _active  # noqa: PLW0603 - the open recorders of the process
        self._file = JsonListFile(path)
        self._lock = threading.Lock()
        self._pending: deque[Entry] = deque()
        with _active_lock:
            _active = (*_active, self)

    @property
    def path(self) -> str:
        """The file's absolute path."""
        return str(self._file.path)

    @property
    def count(self) -> int:
        """Number of calls in the file."""
        return self._file.count

    def add(self, call: dict[str, Any]) -> None:
        """Write one call; it is in the file, whole, when this returns."""
        entry = Entry(call)
        self.put(entry)
        self.flush()
        entry.check()

    def put(self, entry: Entry) -> None:
        """Take an entry; the next :meth:`flush` or :meth:`close` writes it, whatever becomes of the caller."""
        self._pending.append(entry)

    def flush(self) -> None:
        """Write what was put before this call; why an entry could not be written stands in the entry."""
        if not self._pending and not self._lock.locked():
            return
        with self._lock:
            entries: list[Entry] = []
            texts: list[bytes] = []
            while self._pending:
                entry = self._pending.popleft()
                try:
                    texts.append(entry.text())
                    entries.append(entry)
                except Exception as error:  # noqa: BLE001 - one entry fails alone; who put it raises this
                    entry.error = error
            try:
                self._file.extend(texts)
            except Exception as error:  # noqa: BLE001 - those who put them raise this
                for entry in entries:
                    entry.error = error

    def close(self) -> None:
        """Stop recording, write what is left, and close the file."""
        global _active  # noqa: PLW0603 - the open recorders of the process
        with _active_lock:
            _active = tuple(recorder for recorder in _active if recorder is not self)
        self.flush()
        with self._lock:
            self._file.close()

    def __enter__(self) -> Recorder:
        """Return the recorder itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()


def record(path: str | os.PathLike[str] = "requests.json") -> Recorder:
    """Record every call into a file that is valid JSON after every call.

    Args:
        path: the file; an existing record is continued, its folder is made where it is missing.

    Raises:
        RecordError: the file is there but holds no JSON list, or another recorder writes it.

    Examples:
        >>> import tempfile, pathlib, clemcore.backends as backends
        >>> path = tempfile.mkdtemp() + "/requests.json"
        >>> with backends.record(path) as recorder:
        ...     _ = backends.get_model_for("mock").generate_response([{"role": "user", "content": "Hi"}])
        >>> recorder.count, list(json.loads(pathlib.Path(path).read_text())[0])
        (1, ['timestamp', 'manipulated_prompt_obj', 'raw_response_obj', 'clemcore'])
    """
    return Recorder(path)


def is_recording() -> bool:
    """Tell whether any recorder is open."""
    return bool(_active)


def put_call(
    *,
    started: datetime,
    duration: float,
    prompt: Any,
    response: Any,
    text: str | None,
    facts: Mapping[str, Any],
    error: BaseException | None = None,
) -> Entry | None:
    """Give one finished call, or one that failed, to every open recorder; :func:`flush` writes it.

    Args:
        started: when the call began (with time zone).
        duration: seconds it took.
        prompt: what was sent; as :class:`JsonText` where its bytes are known.
        response: what came back, or None; as :class:`JsonText` where its bytes are known.
        text: the model's answer alone, or None when the call failed.
        facts: everything else that is known (model specification, generation arguments, versions, usage, …); values
            that were encoded before are :class:`JsonText`.
        error: what the call failed with.

    Returns:
        The entry, which says after the write why it could not be written; None where nobody records.
    """
    recorders = _active
    if not recorders:
        return None
    extra: dict[str, Any] = {"record_version": RECORD_VERSION, "duration_seconds": round(duration, 6)}
    extra["response_text"] = text
    extra.update(facts)
    if error is not None:
        extra["error"] = _error(error)
    entry = Entry(
        {
            "timestamp": started.isoformat(),
            "manipulated_prompt_obj": prompt,
            "raw_response_obj": response,
            "clemcore": extra,
        }
    )
    for recorder in recorders:
        recorder.put(entry)
    return entry


def flush() -> None:
    """Write every call that was put; when this returns it is in the files, or its entry says why not."""
    for recorder in _active:
        recorder.flush()


async def flushed() -> None:
    """Wait until every call that was put is in the files, without stopping the loop.

    Those who wait on one loop at the same time share a write. The write is made also when the waiting task is
    cancelled.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    write = _next_write.get(loop)
    if write is None:
        write = _next_write[loop] = loop.create_task(_write_next(loop))
    await asyncio.shield(write)


# For each event loop the write that has not begun, and the one that has.
_next_write: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}
_last_write: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = weakref.WeakKeyDictionary()


async def _write_next(loop: asyncio.AbstractEventLoop) -> None:
    import asyncio

    try:
        before = _last_write.get(loop)
        if before is not None and not before.done():
            await asyncio.wait([before])
    finally:
        _last_write[loop] = _next_write.pop(loop)
    await asyncio.to_thread(flush)


# What an error knows beside its message, where it knows it; a replay raises it again.
_ERROR_FIELDS = ("provider_message", "retry_after", "tokens_used", "tokens_left", "context_size")


def _error(error: BaseException) -> dict[str, Any]:
    known = {name: getattr(error, name, None) for name in _ERROR_FIELDS}
    more = {name: value for name, value in known.items() if value is not None}
    return {"type": type(error).__name__, "message": str(error), **more}


def repeat_call(text: str) -> None:
    """Give a call of another record, as it stands there, to every open recorder.

    Raises:
        RecordError: it could not be written.
    """
    recorders = _active
    if recorders:
        entry = Entry.of_text(secrets.scrub_json(text.encode("utf-8")))
        for recorder in recorders:
            recorder.put(entry)
        flush()
        entry.check()


def to_json(value: Any) -> bytes:
    """Write a value as one line of strict JSON in UTF-8, without any secret that this process loaded.

    What JSON cannot hold is kept visibly: non-finite numbers as the strings ``NaN``, ``Infinity``, ``-Infinity``,
    bytes and other objects as ``{"__type__": …, "repr": …}``; lone surrogates stay escaped.

    Examples:
        >>> to_json({"a": float("nan"), "b": "ä"}).decode()
        '{"a": "NaN", "b": "ä"}'
    """
    return secrets.scrub_json(_dumped(value))


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
        return JsonText(_dumped(value))
    text = _fixed.get(key)
    if text is None:
        if len(_fixed) >= _MOST_FIXED:
            _fixed.clear()
        text = _fixed[key] = JsonText(_dumped(value))
    return text


def _object_of(fields: Mapping[str, Any]) -> bytes:
    """Write an object some values of which are encoded already; neighbours that are not are encoded together."""
    parts: list[bytes] = []
    plain: dict[str, Any] = {}
    for name, value in fields.items():
        if not isinstance(value, JsonText):
            plain[name] = value
            continue
        if plain:
            parts.append(_dumped(plain)[1:-1])
            plain = {}
        parts.append(b'"%s": %s' % (name.encode(), value))
    if plain:
        parts.append(_dumped(plain)[1:-1])
    return b"{%s}" % b", ".join(parts)


def _dumped(value: Any) -> bytes:
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        value = _finite(value)
        text = _ENCODER.encode(value)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, default=_object).encode("ascii")


def _object(value: Any) -> Any:
    return {"__type__": f"{type(value).__module__}.{type(value).__qualname__}", "repr": repr(value)[:1000]}


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_object)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
