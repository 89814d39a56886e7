"""Where a record goes: what stands at its path, folders without hard links, full disks, and what cannot be read."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.calls.jsonlist import Family, JsonListFile
from clemcore.calls.reader import read_record
from clemcore.errors import ClemcoreError, RecordError
from clemcore.verify import verify
from support.clem import Clem
from support.processes import kill_a_writer
from support.remote import HELLO, open_model
from support.wire_server import Answer, WireServer

MODEL = {"model_name": "mock", "model_config": {"responses": [f"answer {n}" for n in range(100)]}}


def texts(path: str = "requests.json") -> list[Any]:
    return [call["clemcore"]["response_text"] for call in json.loads(Path(path).read_text())]


# -- what stands at the path -----------------------------------------------------------------------------------
def _folder(path: Path) -> None:
    path.mkdir()


def _socket(path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.close()


_PIPE = os.pipe()

PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "folder": (_folder, "a folder"),
    "pipe": (os.mkfifo, "a pipe"),
    "socket": (_socket, "a socket"),
    "full": (lambda path: path.symlink_to("/dev/full"), "a device"),
    "zero": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "a device"),
    # Links that lead to no path.
    "pipe of a process": (lambda path: path.symlink_to(f"/proc/self/fd/{_PIPE[0]}"), "a pipe"),
}


@pytest.mark.parametrize("kind", PLACES)
def test_only_a_file_can_be_a_record(kind: str, clem: Clem) -> None:
    make, words = PLACES[kind]
    make(Path("r.json"))
    before = os.lstat("r.json")
    with pytest.raises(RecordError, match=f"is {words}, not a record file"):
        backends.record("r.json")
    if kind not in ("folder", "pipe of a process"):
        assert f"is {words}" in clem.fails("respond", "-m", "mock", "Hi", "--record", "r.json")
        assert f"is {words}" in clem.fails("verify", "r.json")
    assert os.lstat("r.json") == before
    assert [path.name for path in Path().iterdir()] == ["r.json"]


@pytest.mark.parametrize("path", ["/dev/null", "link"])
def test_the_null_device_takes_everything_and_keeps_nothing(path: str) -> None:
    Path("link").symlink_to("/dev/null")
    with backends.record(path) as recorder:
        backends.get_model_for("mock").generate_response(HELLO)
        assert recorder.count == 1
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert not list(Path("/dev").glob(".null*"))


@pytest.mark.parametrize(
    "content",
    ['[{"role": "user", "content": "Hi"}]', "[1, 2]", '["text"]', "[[]]", '[{"timestamp": "x"}]', "[null]"],
)
def test_a_list_of_something_else_is_not_appended_to(content: str, clem: Clem) -> None:
    Path("messages.json").write_text(content)
    with pytest.raises(RecordError, match="is not a record: its item 0"):
        backends.record("messages.json")
    assert "is not a record" in clem.fails("respond", "-m", "mock", "Hi", "--record", "messages.json")
    assert Path("messages.json").read_text() == content


# -- folders without hard links --------------------------------------------------------------------------------
@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS], ids=errno.errorcode.get)
def _no_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("_no_links")
def test_without_hard_links_a_record_works_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = backends.get_model_for(MODEL)
    for begin in (0, 3):
        with backends.record():
            for number in range(begin, begin + 3):
                model.generate_response(HELLO)
                assert texts()[-1] == f"answer {number}"
    assert texts() == [f"answer {number}" for number in range(6)]
    assert verify("requests.json").findings == []
    assert [path.name for path in Path().iterdir()] == ["requests.json"]


@pytest.mark.usefixtures("_no_links")
@pytest.mark.parametrize("step", ["replace", "fchmod"])
def test_without_hard_links_a_failed_append_leaves_the_list(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    with JsonListFile("list.json") as file:
        file.append(b"1")
        with monkeypatch.context() as patch:
            patch.setattr(os, step, lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
            with pytest.raises(OSError, match="broken"):
                file.append(b"2")
        file.append(b"3")
        Path("list.json").write_text("[9]")
        with pytest.raises(RecordError, match="changed by another program"):
            file.append(b"4")
    assert json.loads(Path("list.json").read_text()) == [9]


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("step", ["tear", "write"])
def test_an_append_that_stops_around_its_end_breaks_no_link(
    monkeypatch: pytest.MonkeyPatch, step: str, has_links: bool
) -> None:
    """As after a kill: the file may have its new name, and nobody has noted it yet."""
    if not has_links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EPERM, "no links")))
    method = getattr(Family, step)

    def stopped(self: Family, *arguments: Any) -> None:
        setattr(Family, step, method)  # once
        if step == "tear":
            method(self, *arguments)
        raise KeyboardInterrupt

    model: Any = backends.get_model_for("mock")
    with backends.record() as recorder:
        model.generate_response(HELLO)
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(Family, step, stopped)
                with pytest.raises(KeyboardInterrupt):
                    model.generate_response(HELLO)
            model.generate_response(HELLO)
        assert recorder.count == 5
    report = verify("requests.json")
    assert (report.findings, report.linked) == ([], 5)


def _append(file: JsonListFile, name: int) -> None:
    for number in range(20):
        file.append(b'{"child": %d, "n": %d}' % (name, number))
    os._exit(0)


@pytest.mark.usefixtures("_no_links")
def test_without_hard_links_children_append_too() -> None:
    context = multiprocessing.get_context("fork")
    with JsonListFile("list.json") as file:
        children = [context.Process(target=_append, args=(file, name)) for name in range(3)]
        for child in children:
            child.start()
        for number in range(20):
            file.append(b'{"child": 3, "n": %d}' % number)
        for child in children:
            child.join()
            assert child.exitcode == 0
        assert file.count == 80
    items = json.loads(Path("list.json").read_text())
    for name in range(4):
        assert [item["n"] for item in items if item["child"] == name] == list(range(20))


_KILLED = """
import os, sys
from clemcore.calls.jsonlist import Family, JsonListFile
def refuse(*_, **__): raise OSError(1, "no links")
os.link = refuse
with JsonListFile(sys.argv[1]) as file:
    for number in range(10**9):
        file.append(b'{"n": %d, "text": "%s"}' % (number, b"x" * (number * 997 % 20000)))
        print(number, flush=True)
"""


@pytest.mark.slow
def test_without_hard_links_a_kill_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    for pause in range(10):
        kill_a_writer(_KILLED, path, pause * 0.007)


# -- full disks ------------------------------------------------------------------------------------------------
_FULL = """
import json, resource
from pathlib import Path
from clemcore import backends
from clemcore.errors import RecordError
ask = [{"role": "user", "content": "Hi"}]
script = {"responses": [f"answer {n}" for n in range(9)]}
model = backends.get_model_for({"model_name": "mock", "model_config": script})
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
texts = lambda: [call["clemcore"]["response_text"] for call in json.loads(Path("r.json").read_text())]
with backends.record("r.json"):
    model.generate_response(ask)
    room(Path("r.json").stat().st_size + 10)
    for number in (1, 2):
        try:
            model.generate_response(ask)
        except RecordError as fault:
            assert "cannot be written: File too large" in str(fault), fault
            assert fault.reply.text == f"answer {number}", fault.reply
        else:
            raise SystemExit("nothing was raised")
    faults = model.generate_batch_response([ask] * 3, return_exceptions=True)
    assert [fault.reply.text for fault in faults] == ["answer 3", "answer 4", "answer 5"], faults
    assert texts() == ["answer 0"]
    room(hard)
    model.generate_response(ask)
    assert texts() == [f"answer {n}" for n in range(7)], texts()
try:
    with backends.record("r.json"):
        room(Path("r.json").stat().st_size + 10)
        try:
            model.generate_response(ask)
        except RecordError:
            pass
except RecordError as fault:  # nobody must believe that the record is whole
    assert "File too large" in str(fault)
else:
    raise SystemExit("the end of the block raised nothing")
room(hard)
assert len(texts()) == 7
"""


def test_a_full_disk_costs_no_answer() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _FULL], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert verify("r.json").findings == []


# -- what a reader of JSON fails at ----------------------------------------------------------------------------
HARD = {
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "long number": "7" * 5_000,
    "negative": "-" + "7" * 5_000,
}


@pytest.mark.parametrize("kind", HARD)
def test_a_record_that_cannot_be_read_is_a_typed_error(kind: str, clem: Clem) -> None:
    call = f'{{"timestamp": "", "manipulated_prompt_obj": {HARD[kind]}, "raw_response_obj": null}}'
    Path("requests.json").write_text(f"[\n{call}\n]\n")
    reason = "nested too deeply" if "deep" in kind else r"requests\.json:2:\d+: holds a number that is too long"
    for use in (backends.record, verify, read_record, lambda path: backends.get_model_for(f"replay:{path}")):
        with pytest.raises(RecordError, match=reason):
            use("requests.json")
    assert "Traceback" not in clem.fails("verify", "requests.json")


def _from_below(frames: int, ask: Callable[[], Any]) -> Any:
    return ask() if frames == 0 else _from_below(frames - 1, ask)


REPLIES = [
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "x": %s}' % extra
    for extra in (
        b"[" * 101 + b"]" * 101,
        b"[" * 400 + b"]" * 400,
        b"[" * 900 + b"]" * 900,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"[" * 100_000 + b"]" * 100_000,
        b"7" * 4_000,
        b"7" * 5_000,
        b"[" + b"1e5," * 1000 + b"7" * 700 + b"]",
        b'"' + b"[" * 5000 + b'"',
        b'["' + b"]" * 500 + b'\\\\"]',
    )
]


@pytest.mark.parametrize("status", [200, 400])
def test_no_reply_makes_a_record_that_cannot_be_read(wire_server: WireServer, status: int) -> None:
    wire_server.script = [Answer(status, body) for body in REPLIES]
    model: Any = open_model(wire_server.url)
    with backends.record():
        for _ in REPLIES:
            try:
                model.generate_response(HELLO)
            except ClemcoreError:
                continue
    report = _from_below(600, lambda: verify("requests.json"))
    assert (report.calls, report.wrong) == (len(REPLIES), [])
    with backends.record():
        backends.get_model_for("mock").generate_response(HELLO)
    assert verify("requests.json").linked == len(REPLIES) + 1


def _knot() -> Any:
    knot: list[Any] = []
    knot.append(knot)
    return knot


def _nested() -> Any:
    nested: Any = 1
    for _ in range(3000):
        nested = [nested]
    return nested


ODD: dict[str, Callable[[], Any]] = {
    "deep": _nested,
    "knot": _knot,
    "keys": lambda: {(1, 2): 3, float("nan"): 4, None: 5, True: 6},
    "long": lambda: 10**5000,
    "both": lambda: {"a": [10**5000, _nested(), float("inf")]},
}


@pytest.mark.parametrize("kind", ODD)
def test_whatever_a_model_of_somebody_answers_is_recorded(kind: str) -> None:
    class Odd(backends.Model):
        def generate_response(self, messages: Any) -> Any:
            return messages, {"odd": ODD[kind]()}, "said"

    with backends.record():
        Odd(backends.ModelSpec(model_name="odd")).generate_response(HELLO)
    assert texts() == ["said"]
    assert verify("requests.json").findings == []


@pytest.fixture(autouse=True)
def _close_records() -> Iterator[None]:
    yield
    from clemcore.calls.scope import capture

    assert capture().sinks == ()
