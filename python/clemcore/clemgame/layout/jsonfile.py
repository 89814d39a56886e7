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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clemcore import forks, secrets
from clemcore._core import json_indented
from clemcore.calls.encoding import dumped

_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")
# A new temporary file is never a link. With this flag, the audit hook on writes need not check for one.
_REPLACING = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
# In the name of each temporary file, with the ID of the process: shards write into one folder, perhaps from several
# machines or containers, where processes can have equal IDs.
_OURS = os.urandom(4).hex()


def indented(value: Any) -> str:
    """Write a value as ``json.dumps(value, ensure_ascii=False, indent=2)`` does, in a fraction of the time.

    Raises:
        TypeError, ValueError: JSON cannot hold it.
    """
    data = json_indented(value)
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) if data is None else data.decode()


def json_text(value: Any, as_json: Callable[[Any], Any] | None = None) -> bytes:
    """Return a value as the content of a JSON file; what JSON cannot hold is kept visibly, and keys are masked.

    Args:
        value: the value.
        as_json: returns a copy of the value that JSON can hold; called only if the value is more than that, because
            a copy takes as long as the text.

    Examples:
        >>> json_text({"meta": {}, "Main Score": float("nan")}).decode().split()
        ['{', '"meta":', '{', '"not_finite":', '[', '"Main', 'Score"', ']', '},', '"Main', 'Score":', 'null', '}']
    """
    data = json_indented(value)
    if data is None:
        data = _by_python(value if as_json is None else as_json(value))
    return secrets.scrub_json(data)


def _by_python(value: Any) -> bytes:
    """Write what the core does not write, such as numbers that are not finite, or those of NumPy."""
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
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half a character stays escaped
        return json.dumps(json.loads(text), indent=2).encode("ascii")


def _finite(value: Any, name: str, names: dict[str, None]) -> Any:
    if callable(getattr(value, "tolist", None)) and not isinstance(value, type):
        value = value.tolist()  # an array or a number of NumPy
    if isinstance(value, float) and not math.isfinite(value):
        names[name] = None
        return None
    if isinstance(value, dict):
        return {key: _finite(item, str(key), names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item, name, names) for item in value]
    return value


def write_json(path: Path | str, value: Any, as_json: Callable[[Any], Any] | None = None) -> None:
    """Write a value into a JSON file, as a whole or not at all; its folder is made if it is missing.

    Args:
        path: the file.
        value: the value.
        as_json: as for :func:`json_text`.

    Raises:
        OSError: the file cannot be written; an old one is as it was.
    """
    write_whole(str(path), json_text(value, as_json))


def write_whole(path: str, data: bytes) -> None:
    """Replace a file by one with this content; its folder is made if it is missing.

    Raises:
        OSError: the file cannot be written; an old one is as it was.
    """
    folder, _, name = path.rpartition("/")
    own = f".{name}.{os.getpid()}-{_OURS}.new"
    temporary = f"{folder}/{own}" if folder else own
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


def write_changed(path: str, data: bytes) -> None:
    """Replace a file by one with this content, unless it has this content: to read is quicker than to rename.

    Raises:
        OSError: the file cannot be written; an old one is as it was.
    """
    with contextlib.suppress(OSError), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a run has many
        if os.fstat(file.fileno()).st_size == len(data) and file.readall() == data:
            return
    write_whole(path, data)


def _write(path: str, data: bytes) -> None:
    handle = os.open(path, _REPLACING, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
    finally:
        os.close(handle)
