"""The record of every call: what was sent, what came back, and under which settings.

A record file is the documented list of ``{timestamp, manipulated_prompt_obj, raw_response_obj}``; everything else
that is known stands under one further key, ``clemcore``. It does not know how a call is made.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

from clemcore import secrets
from clemcore.jsonlist import JsonListFile

RECORD_VERSION = 1

_active: list[Recorder] = []
_active_lock = threading.Lock()


class Recorder:
    """Records every call of every model of this process while it is open.

    Args:
        path: the JSON file; an existing list is continued.

    Attributes:
        count: number of calls in the file.

    Raises:
        RecordError: the file cannot be continued; it is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file."""
        self._file = JsonListFile(path)
        self._lock = threading.Lock()
        with _active_lock:
            _active.append(self)

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
        item = to_json(call)
        with self._lock:
            self._file.append(item)

    def close(self) -> None:
        """Stop recording and close the file."""
        with _active_lock:
            if self in _active:
                _active.remove(self)
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


def add_call(
    *,
    started: datetime,
    duration: float,
    prompt: Any,
    response: Any,
    text: str | None,
    facts: dict[str, Any],
    error: BaseException | None = None,
) -> None:
    """Give one finished call, or one that failed, to every open recorder.

    Args:
        started: when the call began (with time zone).
        duration: seconds it took.
        prompt: what was sent.
        response: what came back, or None.
        text: the model's answer alone, or None when the call failed.
        facts: everything else that is known (model specification, generation arguments, versions, usage, …).
        error: what the call failed with.
    """
    with _active_lock:
        recorders: Sequence[Recorder] = tuple(_active)
    if not recorders:
        return
    extra: dict[str, Any] = {"record_version": RECORD_VERSION, "duration_seconds": round(duration, 6)}
    extra["response_text"] = text
    extra.update(facts)
    if error is not None:
        extra["error"] = {"type": type(error).__name__, "message": str(error)}
    call = {
        "timestamp": started.isoformat(),
        "manipulated_prompt_obj": prompt,
        "raw_response_obj": response,
        "clemcore": extra,
    }
    for recorder in recorders:
        recorder.add(call)


def to_json(value: Any) -> bytes:
    """Write a value as one line of strict JSON in UTF-8, without any secret that this process loaded.

    What JSON cannot hold is kept visibly: non-finite numbers as the strings ``NaN``, ``Infinity``, ``-Infinity``,
    bytes and other objects as ``{"__type__": …, "repr": …}``; lone surrogates stay escaped.

    Examples:
        >>> to_json({"a": float("nan"), "b": "ä"}).decode()
        '{"a": "NaN", "b": "ä"}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_object)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=_object)
    text = secrets.scrub_json(text)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), ensure_ascii=True).encode("ascii")


def _object(value: Any) -> Any:
    return {"__type__": f"{type(value).__module__}.{type(value).__qualname__}", "repr": repr(value)[:1000]}


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
