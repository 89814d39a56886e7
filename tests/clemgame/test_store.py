"""The store of a run: what was written is there, whoever writes, reads, forks, damages or fills the disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from clemcore import secrets
from clemcore.calls.recorder import FinishedCall
from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.store import RunReader, RunStore, StoredCall, disk, schema, shared
from clemcore.errors import StoreError
from support.stored import planned, record_of, script

KEY = EpisodeKey("taboo", "high_en", 0, 1)


def _call(number: int, text: str = "yes", player: str = "Player 1") -> StoredCall:
    record = record_of([{"role": "user", "content": f"question {number}"}], {"text": text}, text, number=number)
    return StoredCall(number, player, number, "model", "0" * 64, text, record, 1)


def test_an_episode_is_read_as_it_was_written(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(3))
        played = script(KEY)
        played.play(store.begin(KEY))
        store.note("seed", {"value": 7})
        assert [state.state for state in store.states().values()] == ["played", "planned", "planned"]
    with RunReader(tmp_path) as reader:
        assert reader.calls(KEY) == played.calls
        assert json.loads(reader.interactions(KEY)) == played.interactions
        assert reader.states()[KEY].attempts == 1
        assert reader.notes() == {"seed": {"value": 7}}
        assert reader.instance(KEY) == planned(1)[0].instance
        assert reader.experiment(KEY) == planned(1)[0].experiment
        assert reader.events(KEY) == []


def test_a_live_episode_can_be_read_by_others(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        played = script(KEY)
        with RunReader(tmp_path) as reader:
            for count, call in enumerate(played.calls):
                writer.event(b'{"n": %d}' % count)
                writer.call(call)
                assert reader.calls(KEY) == played.calls[: count + 1]
                assert reader.events(KEY)[-1] == b'{"n": %d}' % count
            assert reader.states()[KEY].state == "live"
            assert reader.writers() == [{"pid": os.getpid(), "host": os.uname().nodename}]
        writer.finish("error", b"{}", error={"type": "ValueError", "message": "no", "traceback": "…"})
        assert store.states()[KEY].error == {"type": "ValueError", "message": "no", "traceback": "…"}


def test_an_interrupted_episode_gives_its_calls_to_the_next_attempt(tmp_path: Path) -> None:
    calls = [_call(number) for number in range(5)]
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        for call in calls[:3]:
            writer.call(call)
    with RunStore.open(tmp_path) as store:
        writer = store.begin(KEY)
        assert (writer.attempt, list(writer.earlier)) == (2, calls[:3])
        for call in calls:  # those that are there already are not written again
            writer.call(call)
        writer.finish("played", b"{}")
    with RunReader(tmp_path) as reader:
        assert [call.attempt for call in reader.calls(KEY)] == [1, 1, 1, 2, 2]
        assert [call.record for call in reader.calls(KEY)] == [call.record for call in calls]
        assert reader.superseded(KEY) == []


def test_calls_from_the_first_difference_on_are_superseded(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        for number in range(4):
            writer.call(_call(number))
        writer.finish("error", b"{}", error={"type": "E", "message": ""})
        writer = store.begin(KEY)
        writer.differs_from(2)
        writer.call(_call(2, "no"))
        with RunReader(tmp_path) as reader:
            assert [(call.number, call.text) for call in reader.calls(KEY)] == [(0, "yes"), (1, "yes"), (2, "no")]
        writer.finish("played", b"{}")
    with RunReader(tmp_path) as reader:
        assert [(call.number, call.text) for call in reader.calls(KEY)] == [(0, "yes"), (1, "yes"), (2, "no")]
        assert [(call.number, call.text) for call in reader.superseded(KEY)] == [(2, "yes"), (3, "yes")]
        assert reader.states()[KEY].attempts == 2


def test_another_call_of_the_same_number_takes_its_place(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        for number in range(3):
            writer.call(_call(number))
        writer = store.begin(KEY)
        writer.call(_call(0))
        writer.call(_call(1, "no"))
        writer.finish("played", b"{}")
    with RunReader(tmp_path) as reader:
        assert [(call.number, call.text) for call in reader.calls(KEY)] == [(0, "yes"), (1, "no")]


def test_a_plan_only_grows(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(2))
        script(KEY).play(store.begin(KEY))
        changed = planned(3, epochs=2)
        for episode in changed:
            episode.instance["target_word"] = "other"
        store.plan(changed)
        assert len(store.states()) == 6
    with RunReader(tmp_path) as reader:
        assert reader.instance(KEY)["target_word"] == "word0"  # as it was played
        assert reader.instance(EpisodeKey("taboo", "high_en", 1, 1))["target_word"] == "other"


def test_threads_share_commits_and_lose_nothing(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        plan = planned(200)
        store.plan(plan)
        faults: list[BaseException] = []

        def play(key: EpisodeKey) -> None:
            try:
                script(key).play(store.begin(key))
            except BaseException as fault:  # noqa: BLE001 - shown below
                faults.append(fault)

        threads = [threading.Thread(target=play, args=(episode.key,)) for episode in plan]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not faults
    with RunReader(tmp_path) as reader:
        for episode in plan:
            assert reader.calls(episode.key) == script(episode.key).calls


def test_the_next_writer_is_told_who_writes(tmp_path: Path) -> None:
    code = (
        "import sys, time; from clemcore.clemgame.store import RunStore; "
        f"store = RunStore.open({str(tmp_path)!r}); print('open', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=rf"written by process {other.pid} on {os.uname().nodename}"):
            RunStore.open(tmp_path)
        with RunReader(tmp_path) as reader:  # of an empty run
            assert reader.writers() == [{"pid": other.pid, "host": os.uname().nodename}]
        RunStore.open(tmp_path, shard="b").close()  # a shard has its own lock
        other.kill()
    RunStore.open(tmp_path).close()  # the lock has ended with its process


def test_one_process_opens_a_store_once(tmp_path: Path) -> None:
    with RunStore.open(tmp_path):
        with pytest.raises(StoreError, match=f"process {os.getpid()}"):
            RunStore.open(tmp_path)
        other = tmp_path / "link"
        other.symlink_to(tmp_path)
        with pytest.raises(StoreError, match=f"process {os.getpid()}"):
            RunStore.open(other)


def test_a_forked_child_does_not_write_its_parents_store(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(2))
        writer = store.begin(KEY)
        writer.call(_call(0))
        child = os.fork()
        if not child:
            status = 1
            try:
                writer.call(_call(1))
            except StoreError as fault:
                status = 0 if "forked child" in str(fault) else 2
            store.close()
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(StoreError):
            RunStore.open(tmp_path)  # the lock is still ours
        writer.call(_call(1))
        writer.finish("played", b"{}")
    with RunReader(tmp_path) as reader:
        assert len(reader.calls(KEY)) == 2


def test_a_forked_child_that_ends_normally_leaves_the_store_alone(tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from support.stored import planned, script
from clemcore.clemgame.store import RunStore
store = RunStore.open({str(tmp_path)!r})
plan = planned(2)
store.plan(plan)
for episode in plan:
    played = script(episode.key)
    writer = store.begin(episode.key)
    for step in played.steps[:9]:
        writer.event(step) if isinstance(step, bytes) else writer.call(step)
    child = os.fork()
    if not child:
        sys.exit()  # finalizers run, as in a child of multiprocessing
    assert os.waitpid(child, 0)[1] == 0
    for step in played.steps[9:]:
        writer.event(step) if isinstance(step, bytes) else writer.call(step)
    writer.finish("played", b"{{}}")
store.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with RunReader(tmp_path) as reader:
        for episode in planned(2):
            assert reader.calls(episode.key) == script(episode.key).calls


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file cannot be made: File exists\. Make .* or choose another"):
        RunStore.open(tmp_path / "file")
    (tmp_path / "run" / schema.NAME).mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot be written: unable to open"):
        RunStore.open(tmp_path / "run")


def test_files_of_others_are_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / schema.NAME
    path.write_bytes(b"not a database at all, " * 100)
    for open_ in (RunStore.open, RunReader):
        with pytest.raises(StoreError, match="is not a store of clemcore"):
            open_(tmp_path)
    assert path.read_bytes() == b"not a database at all, " * 100
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    before = path.read_bytes()
    for open_ in (RunStore.open, RunReader):
        with pytest.raises(StoreError, match="database of another program"):
            open_(tmp_path)
    assert path.read_bytes() == before
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for open_ in (RunStore.open, RunReader):
        with pytest.raises(StoreError, match=r"has the format 99, .* Install a newer clemcore"):
            open_(tmp_path)
    path.unlink()
    with pytest.raises(StoreError, match=r"holds no store\.sqlite3"):
        RunReader(tmp_path)


def test_a_damaged_body_is_an_error_and_not_another_answer(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        script(KEY).play(store.begin(KEY), finish=False)
    with sqlite3.connect(tmp_path / schema.NAME) as connection:
        ((body,),) = connection.execute("SELECT frames FROM log ORDER BY id LIMIT 1")
        connection.execute("UPDATE log SET frames = ? WHERE id = 1", (body.replace(b"number", b"NUMBER"),))
    connection.close()
    with RunReader(tmp_path) as reader, pytest.raises(StoreError, match=r"is damaged: .*left as it is"):
        reader.calls(KEY)
    with RunStore.open(tmp_path) as store, pytest.raises(StoreError, match=r"is damaged: .*left as it is"):
        store.begin(KEY)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_store_that_is_made_while_it_is_looked_at_is_ours(tmp_path: Path, before: int) -> None:
    path = tmp_path / schema.NAME
    reader, writer = (sqlite3.connect(path, isolation_level=None) for _ in range(2))

    class Reader:
        reads = 0

        def execute(self, statement: str) -> sqlite3.Cursor:
            if self.reads == before:
                schema.make_tables(writer)
            self.reads += 1
            return reader.execute(statement)

    assert schema.version_of(Reader(), path) == (None if before > 1 else schema.VERSION)  # type: ignore[arg-type]
    assert schema.version_of(reader, path) == schema.VERSION
    reader.close()
    writer.close()


def test_a_store_that_was_changed_during_the_run_is_not_written(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        writer.call(_call(0))
        with sqlite3.connect(tmp_path / schema.NAME) as connection:
            connection.execute("DELETE FROM log")
        connection.close()
        with pytest.raises(StoreError, match="was written to by another program during the run"):
            writer.call(_call(1))
        with pytest.raises(StoreError, match="was written to by another program during the run"):
            store.note("a", 1)


def test_a_store_that_was_replaced_during_the_run_is_not_written(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        path = tmp_path / schema.NAME
        shutil.copy(path, tmp_path / "copy")
        (tmp_path / "copy").replace(path)
        with pytest.raises(StoreError, match="was replaced or removed by another program"):
            writer.call(_call(0))


def test_a_full_disk_stops_the_run_and_keeps_what_was_stored(tmp_path: Path) -> None:
    code = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from support.stored import planned, script
from clemcore.clemgame.store import RunStore
from clemcore.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = RunStore.open({str(tmp_path)!r})
plan = planned(200)
store.plan(plan)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
done = 0
try:
    for episode in plan:
        script(episode.key).play(store.begin(episode.key))
        done += 1
except StoreError as fault:
    print(done, fault, flush=True)
    try:
        store.note("x", 1)
    except StoreError:
        print("stopped", flush=True)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said, stopped = ran.stdout.splitlines()
    assert "Everything that was stored before is safe: make room" in said
    assert stopped == "stopped"
    done = int(said.split()[0])
    assert done > 10
    with RunStore.open(tmp_path) as store, RunReader(tmp_path) as reader:
        states = store.states()
        assert sum(state.state == "played" for state in states.values()) == done
        for key, state in states.items():
            if state.state == "played":
                assert reader.calls(key) == script(key).calls


def test_a_disk_that_is_full_when_the_store_is_opened(tmp_path: Path) -> None:
    RunStore.open(tmp_path).close()
    code = f"""
import resource, signal, sys
from clemcore.clemgame.store import RunStore
from clemcore.errors import StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, -1))  # no room for the 32 KiB that readers of the file share
try:
    RunStore.open({str(tmp_path)!r})
except StoreError as fault:
    print(fault)
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
RunStore.open({str(tmp_path)!r}).note("x", 1)  # nothing is held any more
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        "store.sqlite3 cannot be written: disk I/O error. Everything that was stored before is safe" in ran.stdout
    )


@pytest.mark.parametrize(("kind", "journal"), [("ext4", "wal"), ("nfs4", "rollback"), (None, "rollback")])
def test_the_journal_suits_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, journal: str
) -> None:
    monkeypatch.setattr(disk, "file_system_of", lambda _: kind)
    with RunStore.open(tmp_path) as store:
        assert store.journal.startswith(f"{journal}: ")
        assert (kind or "not known") in store.journal
        assert (tmp_path / "store.sqlite3-wal").exists() == (journal == "wal")
        store.plan(planned(1))
        script(KEY).play(store.begin(KEY))
        with RunReader(tmp_path) as reader:
            assert reader.calls(KEY) == script(KEY).calls


def test_the_file_system_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = os.stat(tmp_path).st_dev  # noqa: PTH116
    number = f"{os.major(device)}:{os.minor(device)}"
    home = str(tmp_path).replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"20 1 9:9 / / rw - ext4 /dev/a rw\n21 20 {number} / {home} rw,noatime shared:1 - nfs4 server:/x rw\n"
        f"22 20 9:8 / {home}/deeper rw - tmpfs none rw\n"
    )
    monkeypatch.setattr(disk, "_MOUNTS", mounts)
    assert disk.file_system_of(tmp_path) == "nfs4"
    monkeypatch.setattr(disk, "_MOUNTS", tmp_path / "missing")
    assert disk.file_system_of(tmp_path) is None


def test_a_closed_store_is_one_file_that_needs_no_writable_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with RunStore.open(run) as store:
        store.plan(planned(1))
        script(KEY).play(store.begin(KEY))
    assert sorted(path.name for path in run.iterdir()) == [".store.sqlite3.lock", "store.sqlite3"]
    run.chmod(0o555)
    try:
        with RunReader(run) as reader:
            assert reader.calls(KEY) == script(KEY).calls
    finally:
        run.chmod(0o755)


def test_readers_put_shards_together(tmp_path: Path) -> None:
    plan = planned(3)
    for shard, episode in zip(("", "a", "b"), plan, strict=True):
        with RunStore.open(tmp_path, shard=shard) as store:
            store.plan(plan)
            script(episode.key).play(store.begin(episode.key))
    with RunReader(tmp_path) as reader:
        assert [state.state for state in reader.states().values()] == ["played"] * 3
        assert [reader.calls(episode.key) for episode in plan] == [script(each.key).calls for each in plan]


def test_a_long_dialogue_takes_space_that_grows_with_its_length(tmp_path: Path) -> None:
    sizes = {}
    for turns in (100, 200):
        with RunStore.open(tmp_path / str(turns)) as store:
            store.plan(planned(1))
            writer = store.begin(KEY)
            messages: list[dict[str, str]] = []
            for number in range(turns):
                messages.append({"role": "user", "content": f"{number} " * 20})
                record = record_of({"model": "m", "messages": messages}, {"id": number}, "yes", number=number)
                writer.call(StoredCall(number, "Player 1", number, "model", "0" * 64, "yes", record, 1))
            log = sum(len(frame) for frame in writer._frames)
            writer.finish("played", b"{}")
        sizes[turns] = log
    assert sizes[200] < 2.2 * sizes[100]
    assert sizes[200] < 200 * 1000


@pytest.mark.slow
def test_an_answer_of_any_kind_is_kept(tmp_path: Path) -> None:
    texts = ["", "\0", "\ud800 half", "\x1b[31mred", "x" * 10_000_000, '"quoted\\"', None]
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        calls = []
        for number, text in enumerate(texts):
            record = record_of([{"role": "user", "content": "?"}], {"text": text}, text, number=number)
            calls.append(StoredCall(number, "Player 1", 0, "model", "0" * 64, text, record, 1))
            writer.call(calls[-1])
        writer.finish("played", b"{}")
    with RunReader(tmp_path) as reader:
        assert reader.calls(KEY) == calls


def test_no_key_is_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-0123456789abcdef0123456789"
    for name in ("_loaded", "_keys", "_forms"):  # what is remembered ends with the test
        monkeypatch.setattr(secrets, name, getattr(secrets, name))
    secrets.remember(key)
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        writer.event(json.dumps({"content": key}).encode())
        record = FinishedCall({"timestamp": "", "manipulated_prompt_obj": [], "raw_response_obj": {"text": key}})
        writer.call(StoredCall(0, "Player 1", 0, "model", "", f"It is {key}.", record.to_json(), 1))
        writer.event(json.dumps({"content": key}).encode())
        store.note("said", key)
        with RunReader(tmp_path) as reader:
            assert [call.text for call in reader.calls(KEY)] == [None]
            assert reader.events(KEY) == [b'{"content": "***"}']
        for path in tmp_path.iterdir():
            assert key.encode() not in path.read_bytes()
        writer.finish("error", json.dumps({"turns": [[key]]}).encode(), error={"message": key})
        with RunReader(tmp_path) as reader:
            assert reader.interactions(KEY) == b'{"turns": [["***"]]}'
            assert reader.states()[KEY].error == {"message": "***"}


def test_pieces_that_were_forgotten_are_found_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_MOST_PIECES", 4)
    prompts = [f"{number} " * 200 for number in range(10)]
    plan = planned(3)
    calls = []
    for number, prompt in enumerate(prompts):
        record = record_of([{"role": "user", "content": prompt}], {"text": "x"}, "x", number=number)
        calls.append(StoredCall(number, f"Player {number}", 0, "model", "0" * 64, "x", record, 1))
    with RunStore.open(tmp_path) as store:
        store.plan(plan)
        for episode in plan:
            writer = store.begin(episode.key)
            for call in calls:
                writer.call(call)
            writer.finish("played", b"{}")
    with sqlite3.connect(tmp_path / schema.NAME) as connection:
        ((pieces,),) = connection.execute("SELECT count(*) FROM pieces")
    connection.close()
    assert pieces <= len(prompts) + len(plan) + 3  # instances, the experiment, facts, a dictionary
    with RunReader(tmp_path) as reader:
        assert all(reader.calls(episode.key) == calls for episode in plan)


class Interrupting:
    """A connection during whose commit Ctrl-C is pressed, once."""

    def __init__(self, connection: sqlite3.Connection, when: str) -> None:
        self._connection = connection
        self._when = when

    def execute(self, statement: str, *values: Any) -> Any:
        if statement.startswith(self._when.removeprefix("after ")):
            when, self._when = self._when, "never"
            if when.startswith("after "):
                self._connection.execute(statement, *values)
            raise KeyboardInterrupt
        return self._connection.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("when", ["BEGIN", "after BEGIN", "INSERT INTO log", "COMMIT", "after COMMIT"])
def test_an_interrupt_in_the_middle_of_a_write_loses_no_call(tmp_path: Path, when: str) -> None:
    """The game goes on: what it says later refers to what was said before."""
    messages: list[dict[str, str]] = []
    calls = []
    for number in range(6):
        messages.append({"role": "user", "content": f"{number} " * 200})
        record = record_of([*messages], {"text": "yes"}, "yes", number=number)
        calls.append(StoredCall(number, "Player 1", number, "model", "0" * 64, "yes", record, 1))
    with RunStore.open(tmp_path) as store:
        store.plan(planned(1))
        writer = store.begin(KEY)
        for call in calls[:3]:
            writer.call(call)
        store._commits._connection = Interrupting(store._commits._connection, when)  # type: ignore[assignment]
        writer.event(b"{}")
        with pytest.raises(KeyboardInterrupt):
            writer.call(calls[3])
        for call in calls[4:]:
            writer.call(call)
        with RunReader(tmp_path) as reader:
            assert reader.calls(KEY) == calls
            assert reader.events(KEY) == [b"{}"]
        writer.finish("played", b"{}")
    with RunReader(tmp_path) as reader:
        assert reader.calls(KEY) == calls
