"""JSON files as 3.7.2 wrote them (UTF-8, indented by two), but always valid and always whole.

A number that is not finite becomes ``null``, and its name is listed under ``meta.not_finite``. A file is replaced
as a whole. It is not forced onto the disk: after a power cut, ``clem export`` writes it again from the store. It
does not know what is in the files.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
from json.encoder import encode_basestring as _quote
from pathlib import Path
from typing import Any

from clemcore import forks, secrets
from clemcore.calls.encoding import dumped

_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")
_MOST_LEVELS = 60
_BREAKS = ["\n" + "  " * level for level in range(_MOST_LEVELS + 2)]
_CONTAINERS = (dict, list, tuple)
_join = "".join


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _encoders() -> list[Any]:
    """Return C encoders that put each member on a line of its own; empty where Python has no C encoder."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return []
    return [make(None, _refuse, _quote, None, ": ", f",{mark}", False, False, False) for mark in _BREAKS[1:]]


_ENCODERS = _encoders()


def indented(value: Any) -> str:
    """Write a value as ``json.dumps(value, ensure_ascii=False, indent=2)`` does, in half the time.

    Raises:
        TypeError, ValueError: JSON cannot hold it.
    """
    try:
        return _text(value, 0)
    except (AttributeError, IndexError):  # no C encoder, a name that is not a string, or too many levels
        return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)


def _text(value: Any, level: int) -> str:
    up = level + 1
    if isinstance(value, dict) and value:
        for item in value.values():
            if isinstance(item, _CONTAINERS):
                break
        else:
            return f"{{{_BREAKS[up]}{_join(_ENCODERS[level](value, 0))[1:-1]}{_BREAKS[level]}}}"
        parts = []
        for name, item in value.items():
            if type(name) is not str and type(name) is not int:  # numbers are those of roles and rounds
                raise AttributeError
            quoted = _quote(name) if isinstance(name, str) else f'"{name}"'
            parts.append(f"{quoted}: {_quote(item) if type(item) is str else _text(item, up)}")
        return f"{{{_BREAKS[up]}{f',{_BREAKS[up]}'.join(parts)}{_BREAKS[level]}}}"
    if isinstance(value, (list, tuple)) and value:
        for item in value:
            if isinstance(item, _CONTAINERS):
                return (
                    f"[{_BREAKS[up]}{f',{_BREAKS[up]}'.join([_text(each, up) for each in value])}{_BREAKS[level]}]"
                )
        return f"[{_BREAKS[up]}{_join(_ENCODERS[level](value, 0))[1:-1]}{_BREAKS[level]}]"
    return _quote(value) if type(value) is str else _join(_ENCODERS[level](value, 0))


def json_text(value: Any) -> bytes:
    """Return a value as the content of a JSON file; what JSON cannot hold is kept visibly, and keys are masked.

    Examples:
        >>> json_text({"meta": {}, "Main Score": float("nan")}).decode().split()
        ['{', '"meta":', '{', '"not_finite":', '[', '"Main', 'Score"', ']', '},', '"Main', 'Score":', 'null', '}']
    """
    try:
        text = indented(value)
    except (TypeError, ValueError, RecursionError):
        names: dict[str, None] = {}
        value = _finite(value, "", names)
        if names and isinstance(value, dict):
            meta = value.get("meta", {})
            if isinstance(meta, dict):
                value = {"meta": meta, **value}
                value["meta"] = {**meta, "not_finite": list(names)}
        text = json.dumps(json.loads(dumped(value)), ensure_ascii=False, indent=2)
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError:  # half a character stays escaped
        data = json.dumps(json.loads(text), indent=2).encode("ascii")
    return secrets.scrub_json(data)


def _finite(value: Any, name: str, names: dict[str, None]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        names[name] = None
        return None
    if isinstance(value, dict):
        return {key: _finite(item, str(key), names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item, name, names) for item in value]
    return value


def write_json(path: Path | str, value: Any) -> None:
    """Write a value into a JSON file, as a whole or not at all; its folder is made if it is missing.

    Raises:
        OSError: the file cannot be written; an old one is as it was.
    """
    write_whole(str(path), json_text(value))


def write_whole(path: str, data: bytes) -> None:
    """Replace a file by one with this content; its folder is made if it is missing.

    Raises:
        OSError: the file cannot be written; an old one is as it was.
    """
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.new" if folder else f".{name}.new"
    try:
        with _lock:  # episodes that end together share the file of their experiment
            try:
                _write(temporary, data)
            except FileNotFoundError:
                Path(folder).mkdir(parents=True, exist_ok=True)
                _write(temporary, data)
            os.rename(temporary, path)  # noqa: PTH104 - a run writes many files
    except OSError as fault:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise OSError(fault.errno, f"cannot be written: {fault.strerror}", path) from None


def _write(path: str, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
    finally:
        os.close(handle)
