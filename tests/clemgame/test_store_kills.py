"""A run that is killed at any moment: every call whose write returned is in the store, which opens again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.store import RunReader, RunStore, StoredCall
from support.stored import planned, script

# Episodes; with a rollback journal, each commit waits for the disk.
_COUNT = {"wal": 300, "rollback": 30}
# Plays every episode that did not end, in eight threads; says what has returned, in one write each.
_PLAYER = f"""
import os, sys, threading
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from clemcore.clemgame.store import RunStore, StoredCall, disk
from support.stored import planned, script
if sys.argv[2] == "rollback":
    disk.file_system_of = lambda folder: "nfs4"
store = RunStore.open(sys.argv[1])
store.plan(planned({_COUNT}[sys.argv[2]]))
left = [key for key, state in store.states().items() if state.state != "played"]
lock = threading.Lock()

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def play():
    while True:
        with lock:
            if not left:
                return
            key = left.pop()
        played = script(key)
        writer = store.begin(key)
        for step in played.steps:
            if not isinstance(step, StoredCall):
                writer.event(step)
            elif step.number >= len(writer.earlier):
                writer.call(step)
                say("call", key.game_id, step.number)
            else:
                known = writer.earlier[step.number]
                assert (known.number, known.record) == (step.number, step.record)
        say("ends", key.game_id)
        writer.finish("played", b'{{"turns": []}}')
        say("ended", key.game_id)

threads = [threading.Thread(target=play) for _ in range(8)]
say("start")
[thread.start() for thread in threads]
[thread.join() for thread in threads]
store.close()
say("done")
"""


def _play(run: Path, journal: str, kill_after: float | None) -> tuple[list[list[str]], bool]:
    """Play on, and kill it after some seconds; return what it said, and whether it came to its end."""
    command = [sys.executable, "-c", _PLAYER, str(run), journal]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as player:
        assert player.stdout is not None
        said = [player.stdout.readline().split()]
        assert said == [["start"]]
        if kill_after is not None:
            time.sleep(kill_after)
            player.send_signal(signal.SIGKILL)
        said += [line.split() for line in player.stdout.read().splitlines()]
    return said, ["done"] in said


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["wal", "rollback"])
def test_no_call_is_lost_by_a_kill(tmp_path: Path, journal: str) -> None:
    luck = random.Random(5)
    made: set[tuple[int, int]] = set()
    for _ in range(12):
        said, is_done = _play(tmp_path, journal, luck.uniform(0, 0.25))
        calls = [(int(words[1]), int(words[2])) for words in said if words[0] == "call"]
        assert made.isdisjoint(calls), "a call was made twice"
        made |= set(calls)
        ended = {int(words[1]) for words in said if words[0] == "ended"}
        with RunReader(tmp_path) as reader:
            states = reader.states()
            assert len(states) == _COUNT[journal]
            stored = {(key.game_id, call.number) for key in states for call in reader.calls(key)}
            assert made <= stored
            # What was not said any more is in the file, too; each thread is at one call.
            assert len(stored - made) <= 8
            made = stored
            assert all(states[EpisodeKey("taboo", "high_en", number, 1)].state == "played" for number in ended)
        if is_done:
            break
    _, is_done = _play(tmp_path, journal, None)
    assert is_done
    with RunReader(tmp_path) as reader:
        for episode in planned(_COUNT[journal]):
            assert reader.states()[episode.key].state == "played"
            calls_of = reader.calls(episode.key)
            assert [call.record for call in calls_of] == [call.record for call in script(episode.key).calls]
            assert reader.superseded(episode.key) == []


@pytest.mark.slow
def test_readers_see_whole_episodes_while_others_write(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _PLAYER, str(tmp_path), "wal"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as player:
        assert player.stdout is not None
        player.stdout.readline()
        looks = 0
        while player.poll() is None:
            with RunReader(tmp_path) as reader:
                for episode in reader.episodes():
                    records = [call.record for call in reader.calls(episode)]
                    whole = [call.record for call in script(episode.key).calls]
                    assert records == whole[: len(records)]
                    if episode.state.state == "played":
                        assert records == whole
                        assert reader.interactions(episode) == b'{"turns": []}'
            looks += 1
            if looks == 1:
                os.set_blocking(player.stdout.fileno(), False)
            player.stdout.read()
        assert player.returncode == 0
    assert looks > 0


def test_a_torn_write_ahead_log_loses_only_what_was_not_finished(tmp_path: Path) -> None:
    """A power cut in the middle of a write: the log ends in the middle of a transaction."""
    key = EpisodeKey("taboo", "high_en", 0, 1)
    store = RunStore.open(tmp_path / "run")
    store.plan(planned(1))
    writer = store.begin(key)
    sizes = []
    log = tmp_path / "run" / "store.sqlite3-wal"
    for step in script(key).steps:
        if isinstance(step, StoredCall):
            writer.call(step)
            sizes.append(log.stat().st_size)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "store.sqlite3").write_bytes((tmp_path / "run" / "store.sqlite3").read_bytes())
    (copy / "store.sqlite3-wal").write_bytes(log.read_bytes()[: sizes[-1] - 100])
    store.close()
    with RunStore.open(copy) as again:
        assert [call.number for call in again.begin(key).earlier] == [0, 1, 2, 3, 4]
