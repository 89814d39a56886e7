"""The growing JSON list: whole at any moment, cheap to append to, and nobody's file is lost."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from clemcore.calls.jsonlist import JsonListFile
from clemcore.errors import RecordError
from support.processes import kill_a_writer


def _items(path: Path) -> list[object]:
    loaded: list[object] = json.loads(path.read_text())
    return loaded


def test_the_file_is_a_list_after_every_append(tmp_path: Path) -> None:
    path = tmp_path / "new" / "requests.json"
    with JsonListFile(path) as file:
        assert _items(path) == []
        for number in range(5):
            file.append(b'{"n": %d}' % number)
            assert _items(path) == [{"n": n} for n in range(number + 1)]
    assert [p.name for p in path.parent.iterdir()] == ["requests.json"]


def test_several_items_at_once(tmp_path: Path) -> None:
    path = tmp_path / "requests.json"
    with JsonListFile(path) as file:
        file.extend([])
        file.extend([b"1", b"2"])
        assert _items(path) == [1, 2]
        file.append(b"3")
        file.extend([b"4", b"5", b"6"])
        assert _items(path) == [1, 2, 3, 4, 5, 6]
        assert file.count == 6


@pytest.mark.parametrize("step", ["link", "replace", "pwrite"])
def test_an_append_that_fails_at_any_step_leaves_the_list_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "requests.json"

    def failing(*_: object) -> object:
        raise OSError(28, "No space left on device")

    with JsonListFile(path) as file:
        file.append(b"1")
        for number in (b"2", b"3"):
            with monkeypatch.context() as patch:
                patch.setattr(os, step, failing)
                with pytest.raises(OSError, match="No space left"):
                    file.append(b'"lost"')
            file.append(number)
        assert _items(path) == [1, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["requests.json"]


@pytest.mark.parametrize(
    "text", ["[]", "[\n]\n", '[{"a": 1}]', '[\n  {\n    "a": 1\n  }\n]\n\n', "[1,2]", "", " \n"]
)
def test_an_existing_list_is_continued(tmp_path: Path, text: str) -> None:
    path = tmp_path / "requests.json"
    path.write_text(text)
    before = json.loads(text) if text.strip() else []
    with JsonListFile(path) as file:
        assert file.count == len(before)
        file.append(b'"x"')
        file.append(b'"y"')
    assert _items(path) == [*before, "x", "y"]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b'[{"a": 1},]', "1:1"),
        (b'{"a": 1}', "must hold a JSON list, not dict"),
        (b'["\xff"]', "byte 2 is not UTF-8"),
    ],
)
def test_what_is_no_list_is_left_alone(tmp_path: Path, data: bytes, fault: str) -> None:
    path = tmp_path / "requests.json"
    path.write_bytes(data)
    with pytest.raises(RecordError, match=fault):
        JsonListFile(path)
    assert path.read_bytes() == data
    assert [p.name for p in tmp_path.iterdir()] == ["requests.json"]


def test_two_writers_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "requests.json"
    with JsonListFile(path), pytest.raises(RecordError, match="another recorder"):
        JsonListFile(path)
    JsonListFile(path).close()


def test_a_file_that_somebody_changed_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "requests.json"
    with JsonListFile(path) as file:
        file.append(b"1")
        path.write_text("[1, 99]")
        with pytest.raises(RecordError, match="changed by another program"):
            file.append(b"2")
        path.unlink()
        with pytest.raises(RecordError, match="removed"):
            file.append(b"2")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("[1]")
    link = tmp_path / "link.json"
    link.symlink_to("real.json")
    with JsonListFile(link) as file:
        file.append(b"2")
    assert link.is_symlink()
    assert _items(tmp_path / "real.json") == [1, 2]


WRITER = """
import sys
from clemcore.calls.jsonlist import JsonListFile
with JsonListFile(sys.argv[1]) as file:
    for number in range(0, 10**9, 3):
        items = [b'{"n": %d, "text": "%s"}' % (n, b"x" * (n * 997 % 20000)) for n in range(number, number + 3)]
        file.extend(items[: number % 2 + 1])
        file.extend(items[number % 2 + 1 :])
        print(number + 2, flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "requests.json"
    generator = random.Random(0)
    for _ in range(40):
        kill_a_writer(WRITER, path, generator.random() * 0.05)
        with JsonListFile(path) as file:  # what was left behind is in nobody's way
            file.append(b'{"n": -1}')
        assert json.loads(path.read_text())[-1] == {"n": -1}
        assert [p.name for p in tmp_path.iterdir()] == ["requests.json"]


def test_appending_costs_the_item_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "requests.json"
    path.write_text("[" + ",".join(['"' + "x" * 1000 + '"'] * 5000) + "]")
    with JsonListFile(path) as file:
        written = _bytes_written()
        for _ in range(100):
            file.append(b'"y"')
        assert _bytes_written() - written < 20_000  # the file itself holds five million


def _bytes_written() -> int:
    fields = dict(line.split(": ") for line in Path(f"/proc/{os.getpid()}/io").read_text().splitlines())
    return int(fields["wchar"])
