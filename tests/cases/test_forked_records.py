"""Forks inside a record, with threads, killed children and folders without hard links: no answer is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clemcore.verify import verify

# 1,000 rounds take some minutes.
ROUNDS = int(os.environ.get("CLEMCORE_FORK_ROUNDS", "12"))

_ROUNDS = """
import json, os, random, signal, sys, threading, time
from pathlib import Path
from clemcore import backends
from clemcore.verify import verify

rounds, has_links = int(sys.argv[1]), sys.argv[2] == "links"
draw = random.Random(11)
model = backends.get_model_for("mock")
link = os.link

def refuse(*_, **__):
    raise OSError(1, "no links")

def ask(name, number, told):
    text = f"{name} {number} " + "x" * draw.randrange(3000)
    said = model.generate_response([{"role": "user", "content": text}])[2]
    os.write(told, (said.split("x")[0] + "\\n").encode())

def child(name, told, ends):
    signal.alarm(60)
    draw.seed(name)
    for number in range(draw.randrange(1, 6)):
        ask(name, number, told)
    if ends == "kill":
        wait = draw.random() * 0.003
        end = lambda: (time.sleep(wait), os.kill(os.getpid(), 9))
        threading.Thread(target=end, daemon=True).start()
        for number in range(100, 10**6):
            ask(name, number, told)

for current in range(rounds):
    os.link = link if has_links else refuse
    path = Path("r.json")
    path.unlink(missing_ok=True)
    read, told = os.pipe()
    me = os.getpid()
    children = []
    with backends.record(path) as recorder:
        threads = [threading.Thread(target=ask, args=("thread", number, told)) for number in range(3)]
        for thread in threads:
            thread.start()
        for number in range(3):
            ends = draw.choice(["leave", "exit", "kill"])
            pid = os.fork()
            if pid == 0:
                child(f"child {number} of {current}", told, ends)
                if ends == "exit":
                    os._exit(0)
                break
            children.append((pid, ends))
            ask("parent", number, told)
        else:
            for thread in threads:
                thread.join()
            for pid, ends in children:
                status = os.waitpid(pid, 0)[1]
                assert status == (9 if ends == "kill" else 0), (status, ends)
            ask("parent", "at the end", told)
            count = recorder.count
    if os.getpid() != me:
        os._exit(0)
    os.close(told)
    said = b""
    while piece := os.read(read, 65536):
        said += piece
    os.close(read)
    calls = json.loads(path.read_text())
    assert len(calls) == count, (len(calls), count)
    recorded = [call["clemcore"]["response_text"].split("x")[0] for call in calls]
    lost = set(said.decode().splitlines()) - set(recorded)
    assert not lost, lost
    assert len(recorded) == len(set(recorded))
    report = verify(path)
    assert not report.findings and report.linked == count, report.findings[:3]
    assert os.listdir(".") == ["r.json"], os.listdir(".")
"""


@pytest.mark.slow
@pytest.mark.parametrize("links", ["links", "copies"])
def test_no_round_loses_an_answer(links: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _ROUNDS, str(ROUNDS), links],
        capture_output=True,
        text=True,
        timeout=240 + 2 * ROUNDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    calls = json.loads(Path("r.json").read_text())
    assert verify("r.json").linked == len(calls)
