"""The record of every call: what was sent, what came back, and under which settings.

A record file is the documented list of ``{timestamp, manipulated_prompt_obj, raw_response_obj}``; everything else
that is known is under one further key, ``clemcore``. It does not know how a call is made.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from clemcore import forks
from clemcore.calls import scope
from clemcore.calls.encoding import (
    FACTS,
    FIELDS,
    PROMPT,
    RESPONSE,
    JsonText,
    entry_of,
    error_fields,
    linked,
    sha256_of_value,
    unlinked,
    without_keys,
)
from clemcore.calls.jsonlist import NO_ITEM, JsonListFile
from clemcore.calls.place import Nowhere, is_nowhere
from clemcore.calls.scope import Sink
from clemcore.errors import RecordError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

logger = logging.getLogger(__name__)

RECORD_VERSION = 1


class FinishedCall:
    """One call that has ended, on its way to the sinks.

    Attributes:
        labels: the labels of its scope; empty without a scope.
        response_text: the answer's text, or None if the call failed.
        failure: what it failed with, or None.
        error: why it was not written, or None.
    """

    __slots__ = ("_fields", "_text", "error", "failure", "labels", "response_text")

    def __init__(
        self,
        fields: Mapping[str, Any],
        *,
        labels: scope.Labels | None = None,
        response_text: str | None = None,
        failure: BaseException | None = None,
    ) -> None:
        """Take the fields of the record; values may be :class:`JsonText`, also those inside ``clemcore``."""
        self._fields: Mapping[str, Any] | None = fields
        self._text: bytes | None = None
        self.labels = labels or {}
        self.response_text = response_text
        self.failure = failure
        self.error: Exception | None = None

    @classmethod
    def of_text(cls, text: bytes, labels: scope.Labels | None = None) -> FinishedCall:
        """Make a call whose record is known already, as JSON text; it is linked anew where it is written."""
        call = cls({}, labels=labels)
        call._text = without_keys(unlinked(text))
        return call

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known beside prompt and response, as long as the call was not encoded."""
        facts = (self._fields or {}).get(FACTS)
        return facts if isinstance(facts, Mapping) else {}

    def know_prompt(self, text_of: Callable[[Any], JsonText | None]) -> None:
        """Let somebody who has written the prompt before give its JSON, or None; until the call is encoded."""
        prompt = None if self._fields is None else self._fields.get(PROMPT)
        text = None if prompt is None or isinstance(prompt, JsonText) else text_of(prompt)
        if text is not None:
            self._fields = {**(self._fields or {}), PROMPT: text}

    def to_json(self) -> bytes:
        """Return the record of the call as JSON text in UTF-8, without keys; it is encoded once."""
        text, fields = self._text, self._fields
        if text is None and fields is not None:
            text = self._text = entry_of(fields)
            self._fields = None
        return text if text is not None else self._text or b""

    def check(self) -> None:
        """Raise what kept the call from being written."""
        if self.error is not None:
            raise self.error


class _RecordFile(JsonListFile):
    """A list of recorded calls, each of which holds the hash of the one in front of it."""

    def _check(self, items: list[Any]) -> None:
        for index, item in enumerate(items):
            if not isinstance(item, dict) or not all(name in item for name in FIELDS):
                raise RecordError(
                    f"{self.path} is not a record: its item {index} is not a call with {', '.join(FIELDS)}. The "
                    "file is left as it is; choose another one"
                )

    def _following(self, item: Any) -> bytes:
        return bytes.fromhex(sha256_of_value(item))

    def _linked(self, item: bytes, last: bytes) -> tuple[bytes, bytes]:
        text, digest = linked(item, None if last == NO_ITEM else last.hex())
        return text, bytes.fromhex(digest)


class Recorder:
    """Records the calls that belong to it while it is open; see :func:`record`.

    Calls that end at the same time share a write: the first to write takes all of them along. A forked child
    appends to the same file.

    Args:
        path: the JSON file; an existing list is continued.

    Attributes:
        count: number of calls in the file.

    Raises:
        RecordError: the path is not that of a file, or the file cannot be continued; it is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file; the null device takes calls and keeps none."""
        self._file = Nowhere() if is_nowhere(Path(path)) else _RecordFile(path)
        self._lock = threading.Lock()
        self._pending: deque[FinishedCall] = deque()
        self._late: list[bytes] = []  # what a full disk kept out, to be written first when there is room
        self._scope: scope.Scope | None = scope.attach("sinks", self)
        forks.guard(self, "_lock", in_child=Recorder._start_in_child)

    def _start_in_child(self) -> None:
        self._pending.clear()  # the parent writes those
        self._late.clear()

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
        entry = FinishedCall(call)
        self.put(entry)
        self.flush()
        entry.check()

    def put(self, call: FinishedCall) -> None:
        """Take a call; the next :meth:`flush` or :meth:`close` writes it, whatever becomes of the caller."""
        self._pending.append(call)

    def flush(self) -> None:
        """Write what was put before this call; a call that could not be written has the reason in ``error``.

        What the disk had no room for is kept and written by the next flush that works.
        """
        if not self._pending and not self._lock.locked():
            return
        with self._lock:
            self._write()

    def _write(self) -> Exception | None:
        """Write what is pending; return what kept anything of it out."""
        calls: list[FinishedCall] = []
        texts = self._late
        fault: Exception | None = None
        while self._pending:
            call = self._pending.popleft()
            try:
                texts.append(call.to_json())
                calls.append(call)
            except Exception as error:  # noqa: BLE001 - one call fails alone; the caller that put it raises this
                fault = call.error = error
        try:
            self._file.extend(texts)
        except OSError as error:
            reason = error.strerror or error
            fault = RecordError(
                f"{self.path} cannot be written: {reason}. The answer is the 'reply' of this error, and is written "
                "to the file as soon as there is room"
            )
            fault.__cause__ = error
        except Exception as error:  # noqa: BLE001 - as below
            self._late = []
            fault = error
        except BaseException:  # an interrupt: what is not in the file is written next
            self._late = [] if self._file.has_taken else texts
            raise
        else:
            self._late, calls = [], []
        for call in calls:
            call.error = fault  # those who put them raise this
        return fault

    def close(self) -> None:
        """Stop recording, write what is left, and close the file. It works from any thread, and more than once.

        Raises:
            Exception: what kept the calls that were left out of the file.
        """
        node, self._scope = self._scope, None
        if node is not None:
            scope.detach("sinks", self, node)
        with self._lock:
            fault = self._write() if self._pending or self._late else None
            self._file.close()
        if fault is not None:
            raise fault

    def __enter__(self) -> Recorder:
        """Return the recorder itself."""
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Close the file; what is raised in the block is not replaced by a fault of the file."""
        try:
            self.close()
        except Exception as fault:
            if error is None:
                raise
            logger.error("%s: calls were not recorded: %s", self.path, fault)  # noqa: TRY400 - one line is enough


_SinkT = TypeVar("_SinkT", bound=Sink)


@overload
def record(to: str | os.PathLike[str] = "requests.json") -> Recorder: ...
@overload
def record(to: _SinkT) -> AbstractContextManager[_SinkT]: ...
def record(to: Any = "requests.json") -> Any:
    """Record calls into a file that is valid JSON after every call, or into a sink of your own.

    It records the calls of the scope around it (:func:`clemcore.backends.scope`). Without a scope, it records every
    call of the process if the main thread opens it outside a task, else the calls of this thread or task.

    Args:
        to: a file, or an object with ``put(call)`` and ``flush()`` (:class:`clemcore.calls.scope.Sink`). A missing
            folder is created, and an existing record is continued. No answer is returned before it was flushed; if
            that fails, the error has the answer as ``reply``.

    Returns:
        For a file, the open :class:`Recorder`; for a sink, a context manager that returns the sink itself.

    Raises:
        RecordError: the path is not a record file, or another recorder is writing it.

    Examples:
        >>> import json, tempfile, pathlib, clemcore.backends as backends
        >>> path = tempfile.mkdtemp() + "/requests.json"
        >>> with backends.record(path) as recorder:
        ...     _ = backends.get_model_for("mock").generate_response([{"role": "user", "content": "Hi"}])
        >>> recorder.count, list(json.loads(pathlib.Path(path).read_text())[0])
        (1, ['timestamp', 'manipulated_prompt_obj', 'raw_response_obj', 'clemcore'])
    """
    if isinstance(to, (str, os.PathLike)):
        return Recorder(to)
    if not (callable(getattr(to, "put", None)) and callable(getattr(to, "flush", None))):
        raise TypeError(f"record takes a path, or an object with put(call) and flush(), not {type(to).__name__}")
    return _recording_to(to)


@contextmanager
def _recording_to(sink: _SinkT) -> Iterator[_SinkT]:
    node = scope.attach("sinks", sink)
    try:
        yield sink
    finally:
        scope.detach("sinks", sink, node)
        sink.flush()


def finished(
    *,
    started: datetime,
    duration: float,
    prompt: Any,
    response: Any,
    text: str | None,
    facts: Mapping[str, Any],
    error: BaseException | None = None,
    labels: scope.Labels | None = None,
) -> FinishedCall:
    """Make the record of a call that was answered or failed.

    Args:
        started: when the call began (with time zone).
        duration: seconds it took.
        prompt: what was sent; as :class:`JsonText` where its bytes are known.
        response: what came back, or None; as :class:`JsonText` where its bytes are known.
        text: the model's answer alone, or None when the call failed.
        facts: everything else that is known (model, arguments, usage, …); as :class:`JsonText` what was encoded.
        error: what the call failed with.
        labels: the labels of its scope.
    """
    extra: dict[str, Any] = {"record_version": RECORD_VERSION, "duration_seconds": round(duration, 6)}
    extra["response_text"] = text
    if labels:
        extra["scope"] = dict(labels)
    extra.update(facts)
    if error is not None:
        extra["error"] = error_fields(error)
    if RESPONSE in extra.get("left_out", ()):
        response = None
    fields = {"timestamp": started.isoformat(), PROMPT: prompt, RESPONSE: response, FACTS: extra}
    return FinishedCall(fields, labels=labels, response_text=text, failure=error)


def put(call: FinishedCall, sinks: Iterable[Sink]) -> None:
    """Give a call to sinks; one that refuses it leaves the reason in its ``error``."""
    for sink in sinks:
        try:
            sink.put(call)
        except Exception as error:  # noqa: BLE001 - the call was answered: the others still get it
            call.error = error


def flush(sinks: Sequence[Sink]) -> dict[int, Exception]:
    """Write every call that was put into sinks; return what those failed with that could not, by their ``id``.

    A :class:`Recorder` leaves the reason in each call instead.
    """
    failures: dict[int, Exception] = {}
    for sink in sinks:
        try:
            sink.flush()
        except Exception as error:  # noqa: BLE001 - the other sinks are still written
            failures[id(sink)] = error
    return failures


async def flushed(sinks: Sequence[Sink]) -> dict[int, Exception]:
    """Do what :func:`flush` does without stopping the loop.

    Those who wait on one loop at the same time share a write, which serves the sinks of all of them. The write is
    made also when a waiting task is cancelled.
    """
    import asyncio

    if not sinks:
        return {}
    loop = asyncio.get_running_loop()
    waiting = _next_write.get(loop)
    if waiting is None:
        waiting = _next_write[loop] = {}, loop.create_task(_write_next(loop))
    waiting[0].update((id(sink), sink) for sink in sinks)
    failures = await asyncio.shield(waiting[1])
    return {number: failures[number] for number in map(id, sinks) if number in failures}


# For each event loop the write that has not begun, with its sinks, and the one that has.
_Write = tuple[dict[int, Sink], "asyncio.Task[dict[int, Exception]]"]
_next_write: dict[asyncio.AbstractEventLoop, _Write] = {}
_last_write: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[dict[int, Exception]]] = (
    weakref.WeakKeyDictionary()
)


async def _write_next(loop: asyncio.AbstractEventLoop) -> dict[int, Exception]:
    import asyncio

    try:
        before = _last_write.get(loop)
        if before is not None and not before.done():
            await asyncio.wait([before])
    finally:
        sinks, _last_write[loop] = _next_write.pop(loop)
    return await asyncio.to_thread(flush, tuple(sinks.values()))


os.register_at_fork(after_in_child=_next_write.clear)
