"""Replacing a file: whole or not at all, and a fault names the file that was meant."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from clemcore.files import locked, replace_file


def test_a_fault_names_the_file_that_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gone" / "requests.json"
    with pytest.raises(FileNotFoundError, match="cannot be written: No such file or directory") as caught:
        replace_file(path, b"x")
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError, match="cannot be written") as caught, locked(path):
        pass
    assert caught.value.filename == str(path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    target = tmp_path / "key.json"
    target.write_text("old")
    with pytest.raises(OSError, match="cannot be written: No space left on device") as told:
        replace_file(target, b"new")
    assert told.value.filename == str(target)
    assert (target.read_text(), list(tmp_path.iterdir())) == ("old", [target])


def test_a_fault_inside_the_block_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, locked(tmp_path / "requests.json"):
        (tmp_path / "other").read_bytes()
    assert caught.value.filename == str(tmp_path / "other")
    assert list(tmp_path.iterdir()) == []
