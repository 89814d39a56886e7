"""Local models in forked processes: they answer where that is safe, and refuse at once where it would hang."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,  # importing torch and transformers alone takes seconds
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

FORK = """
import os, sys, threading, time, torch
from clemcore.backends.huggingface_local import HuggingfaceLocal
from clemcore.errors import ModelLoadError
from clemcore.registry.spec import ModelSpec

folder, threads, then = sys.argv[1], int(sys.argv[2]), sys.argv[3]
config = {"premade_chat_template": True, "torch_num_threads": threads}
model = HuggingfaceLocal().get_model_for(ModelSpec(model_name="m", huggingface_id=folder, model_config=config))
if torch.cuda.is_available():
    print("skipped: on a GPU")
    sys.exit()
messages = [{"role": "user", "content": "Hello!"}]
text = model.generate_response(messages).text
torch.softmax(torch.ones(2000, 2000), -1)  # has the threads started where there are several

# Other threads of the parent hold every lock, and one of them is generating.
held = [model._engine._lock]
for lock in held:
    lock.acquire()
configurations, own = model._engine._configurations, model.model.generation_config
model.model.generation_config, configurations._put_aside = configurations._nothing, own

child = os.fork()
if child == 0:
    if then == "one":
        torch.set_num_threads(1)
    try:
        if then == "score":
            model.score_answers(messages, ["Hi!"])
        answer = model.generate_response(messages).text
        model.set_gen_args(temperature=1.0, seed=1)
        model.generate_response(messages)
        print("answered" if answer == text else f"another answer: {answer}", flush=True)
    except ModelLoadError as refusal:
        print(f"refused: {refusal}", flush=True)
    os._exit(0)
end = time.monotonic() + 60
while os.waitpid(child, os.WNOHANG) == (0, 0):
    if time.monotonic() > end:
        os.kill(child, 9)
        sys.exit("the child hangs")
    time.sleep(0.05)
for lock in held:
    lock.release()
model.model.generation_config, configurations._put_aside = own, None
assert model.generate_response(messages).text == text
"""


def forked(folder: Path, threads: int, then: str = "") -> str:
    run = [sys.executable, "-W", "ignore", "-c", FORK, str(folder), str(threads), then]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.strip()
    if shown.startswith("skipped"):
        pytest.skip(shown)
    return shown


def test_with_one_thread_it_answers(tiny_chat: Path) -> None:
    assert forked(tiny_chat, 1) == "answered"


def test_with_several_it_refuses_at_once(tiny_chat: Path) -> None:
    refusal = forked(tiny_chat, 2)
    assert refusal.startswith(
        "refused: model 'm' was loaded with 2 threads of torch before this process was forked"
    )
    assert "'spawn'" in refusal
    assert "torch_num_threads to 1" in refusal


def test_with_several_it_refuses_to_score_at_once(tiny_chat: Path) -> None:
    assert forked(tiny_chat, 2, "score").startswith("refused: model 'm' was loaded with 2 threads of torch")


def test_with_one_thread_from_then_on_it_answers(tiny_chat: Path) -> None:
    assert forked(tiny_chat, 2, "one") == "answered"


BESIDE = """
import os, sys, threading, torch
from clemcore.backends.huggingface_local import HuggingfaceLocal
from clemcore.errors import ModelLoadError
from clemcore.registry.spec import ModelSpec

config = {"premade_chat_template": True, "torch_num_threads": 1}
spec = ModelSpec(model_name="m", huggingface_id=sys.argv[1], model_config=config)
model = HuggingfaceLocal().get_model_for(spec)
messages = [{"role": "user", "content": "Hello!"}]
asked, may_end = threading.Event(), threading.Event()

def ask():
    model.generate_response(messages)
    asked.set()
    may_end.wait()

def fork():
    child = os.fork()
    if child == 0:
        for asked_model in (model, HuggingfaceLocal().get_model_for(spec)):
            try:
                print("answered", bool(asked_model.generate_response(messages).text), flush=True)
            except ModelLoadError as refusal:
                print(f"refused: {refusal}", flush=True)
        os._exit(0)
    os.waitpid(child, 0)

thread = threading.Thread(target=ask, name="a game")
thread.start()
asked.wait()
fork()
may_end.set()
thread.join()
fork()
"""


def test_beside_a_thread_that_has_computed_it_refuses_also_a_model_of_its_own(tiny_chat: Path) -> None:
    # MKL keeps memory for each thread; a child that computes with what it kept for others hangs now and then.
    run = [sys.executable, "-W", "ignore", "-c", BESIDE, str(tiny_chat)]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    one, two, *after = done.stdout.splitlines()
    for refusal in (one, two):
        assert refusal.startswith("refused: model 'm': this process was forked while other threads")
        assert "(a game)" in refusal
    assert after == ["answered True"] * 2
