"""Which calls belong to which scope: threads, tasks, items of a batch and forked children, each with their own.

The rules of one scope alone are in test_scope_rules.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from support.remote import open_model
from support.wire_server import WireServer, completion

ANSWER = completion(usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10})


def question(who: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"I am {who}."}]


def recorded(path: str | Path) -> list[str]:
    """Return the last message of each call in a record."""
    return [
        prompt["messages"][-1]["content"] if isinstance(prompt, dict) and "messages" in prompt else str(prompt)
        for prompt in (call["manipulated_prompt_obj"] for call in json.loads(Path(path).read_text()))
    ]


Ask = Callable[[Any, str], None]
KINDS = ["mock", "service", pytest.param("local", marks=pytest.mark.slow)]


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> Any:
    """A mock, the model of a service, and a local model."""
    if request.param == "mock":
        return backends.get_model_for("mock")
    if request.param == "local":
        from support.tiny import load

        return load(request.getfixturevalue("tiny_chat"))
    server: WireServer = request.getfixturevalue("wire_server")
    server.script = [ANSWER]
    return open_model(server.url)


def belongs_alone(who: str, others: list[str]) -> None:
    """Check that a record holds the calls of one alone, with its labels."""
    path = Path(f"{who}.json")
    text = path.read_text()
    assert len(json.loads(text)) == 2
    assert text.count(f"I am {who}.") >= 2
    assert not any(f"I am {other}." in text for other in others)
    scopes = [call["clemcore"]["scope"] for call in json.loads(text)]
    assert scopes == [{"episode": who, "call": 0}, {"episode": who, "call": 1}]


def test_two_threads(model: Any) -> None:
    meet = threading.Barrier(2, timeout=60)

    def play(who: str) -> None:
        with backends.scope(episode=who), backends.record(f"{who}.json"):
            meet.wait()
            model.generate_response(question(who))
            meet.wait()
            model.generate_response(question(who))
            meet.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(play, ["A", "B"]))
    belongs_alone("A", ["B"])
    belongs_alone("B", ["A"])


def test_two_tasks(model: Any) -> None:
    async def play(who: str) -> None:
        with backends.scope(episode=who), backends.record(f"{who}.json"):
            await model.agenerate_response(question(who))
            await asyncio.sleep(0)
            await model.agenerate_response(question(who))

    async def both() -> None:
        await asyncio.gather(play("A"), play("B"))

    asyncio.run(both())
    belongs_alone("A", ["B"])
    belongs_alone("B", ["A"])


def test_two_items_of_one_batch(model: Any) -> None:
    scopes = {}
    recorders = []
    for who in ("A", "B"):
        scope = scopes[who] = backends.scope(episode=who)
        with ThreadPoolExecutor(1) as pool:  # opened in a thread of its own, as a run engine does
            recorders.append(pool.submit(_opened, scope, f"{who}.json").result())
    for _ in range(2):
        replies = model.generate_batch_response([question("A"), question("B")], scopes=[scopes["A"], scopes["B"]])
        assert len(replies) == 2
    for recorder in recorders:
        recorder.close()
    belongs_alone("A", ["B"])
    belongs_alone("B", ["A"])


def _opened(scope: Any, path: str) -> Any:
    with_scope = scope.__enter__()
    assert with_scope is scope
    return backends.record(path)


def test_two_tasks_without_scopes_keep_their_own_records(model: Any) -> None:
    async def play(who: str) -> None:
        with backends.record(f"{who}.json"):
            await model.agenerate_response(question(who))

    async def both() -> None:
        await asyncio.gather(play("A"), play("B"))

    asyncio.run(both())
    for who, other in (("A", "B"), ("B", "A")):
        text = Path(f"{who}.json").read_text()
        assert len(json.loads(text)) == 1
        assert f"I am {who}." in text
        assert f"I am {other}." not in text


def test_workers_of_a_pool_are_recorded_by_what_the_main_thread_opened(model: Any) -> None:
    with backends.record("all.json") as recorder, ThreadPoolExecutor(4) as pool:
        list(pool.map(model.generate_response, [question(str(number)) for number in range(8)]))
    assert recorder.count == 8
    with backends.scope(episode=1), backends.record("scope.json") as recorder, ThreadPoolExecutor(4) as pool:
        list(pool.map(model.generate_response, [question(str(number)) for number in range(8)]))
    assert recorder.count == 8


# -- budgets and caches ------------------------------------------------------------------------------------------
def _priced(server: WireServer) -> Any:
    from support.remote import make_model

    server.script = [ANSWER]
    return make_model(
        "openai_compatible",
        {"max_tokens": 10},
        base_url=f"{server.url}/v1",
        prices={"input": 1000, "output": 1000},
        model_config={"requires_api_key": False},
    )


COST = 0.01  # 10 tokens at 1,000 USD a million


def test_budgets_and_caches_of_threads_are_their_own(wire_server: WireServer) -> None:
    model = _priced(wire_server)
    meet = threading.Barrier(2, timeout=60)
    spent = {}

    def play(who: str) -> None:
        with (
            backends.scope(episode=who),
            backends.budget(1) as budget,
            backends.cache(f"{who}.sqlite3"),
        ):
            meet.wait()
            for _ in range(2 if who == "A" else 1):
                model.generate_response(question(who))
                model.generate_response(question("both"))
            meet.wait()
            spent[who] = budget.spent

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(play, ["A", "B"]))
    # The second time, A's two answers came from its cache, and cost nothing; B's were never A's.
    assert spent == {"A": pytest.approx(2 * COST), "B": pytest.approx(2 * COST)}
    assert len(wire_server.requests) == 4


def test_budgets_and_caches_of_tasks_are_their_own(wire_server: WireServer) -> None:
    model = _priced(wire_server)
    spent = {}

    async def play(who: str) -> None:
        with (
            backends.scope(episode=who),
            backends.budget(1) as budget,
            backends.cache(f"{who}.sqlite3"),
        ):
            for _ in range(2):
                await model.agenerate_response(question("both"))
            spent[who] = budget.spent

    async def both() -> None:
        await asyncio.gather(play("A"), play("B"))

    asyncio.run(both())
    assert spent == {"A": pytest.approx(COST), "B": pytest.approx(COST)}
    assert len(wire_server.requests) == 2


def test_budgets_and_caches_of_items_are_their_own(wire_server: WireServer) -> None:
    model = _priced(wire_server)
    scopes, budgets = [], []
    for who in ("A", "B"):
        scope = backends.scope(episode=who)
        with ThreadPoolExecutor(1) as pool:
            budgets.append(pool.submit(_with_budget_and_cache, scope, who).result())
        scopes.append(scope)
    for _ in range(2):
        model.generate_batch_response([question("both")] * 2, scopes=scopes)
    assert [budget.spent for budget, _ in budgets] == [pytest.approx(COST), pytest.approx(COST)]
    for budget, cache in budgets:  # what stays open would belong to every later call without a scope
        budget.__exit__(None, None, None)
        cache.close()
    assert len(wire_server.requests) == 2


def _with_budget_and_cache(scope: Any, who: str) -> Any:
    scope.__enter__()
    return backends.budget(1).__enter__(), backends.cache(f"{who}.sqlite3")


# -- forked children ---------------------------------------------------------------------------------------------
def run_forks(code: str, *arguments: str) -> None:
    """Run code that forks, in a process of its own; it must end by itself and say nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


_CHILDREN = """
import os, signal, sys
from clemcore import backends
exec(os.environ["MAKE_MODEL"])
def ask(who):
    for _ in range(2):
        model.generate_response([{"role": "user", "content": f"I am {who}."}])
children = []
for who in "AB":
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        with backends.scope(episode=who), backends.record(f"{who}.json"):
            ask(who)
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""
_MAKE = {
    "mock": "model = backends.get_model_for('mock')",
    "service": "from support.remote import open_model; model = open_model(sys.argv[1])",
    "local": "import torch; torch.set_num_threads(1)\nfrom support.tiny import load; model = load(sys.argv[1])",
}


@pytest.mark.parametrize("kind", KINDS)
def test_two_forked_children(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    argument = ""
    if kind == "service":
        argument = request.getfixturevalue("wire_server").url
    elif kind == "local":
        argument = str(request.getfixturevalue("tiny_chat"))
    monkeypatch.setenv("MAKE_MODEL", _MAKE[kind])
    run_forks(_CHILDREN, argument)
    belongs_alone("A", ["B"])
    belongs_alone("B", ["A"])


_PRICED = """
import sys
from support.remote import make_model
model = make_model("openai_compatible", {"max_tokens": 10}, base_url=f"{sys.argv[1]}/v1",
    prices={"input": 1000, "output": 1000}, model_config={"requires_api_key": False})
"""
_BUDGET_AND_CACHE = """
import os, signal, sys
from clemcore import backends
ask = [{"role": "user", "content": "both"}]
children = []
for who in "AB":
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        with backends.scope(episode=who), backends.budget(1) as budget, backends.cache(f"{who}.sqlite3"):
            for _ in range(2):
                model.generate_response(ask)
        os._exit(0 if abs(budget.spent - 0.01) < 1e-9 else 3)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""


def test_budgets_and_caches_of_forked_children_are_their_own(wire_server: WireServer) -> None:
    wire_server.script = [ANSWER]
    run_forks(_PRICED + _BUDGET_AND_CACHE, wire_server.url)
    assert len(wire_server.requests) == 2


_INSIDE_RECORD = """
import os, signal, sys, json, multiprocessing
from clemcore import backends
model = backends.get_model_for("mock")
def ask(number):
    return model.generate_response([{"role": "user", "content": str(number)}])[2]
with backends.record("r.json") as recorder:
    ask("before")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.map(ask, range(12)) == [str(number) for number in range(12)]
    ask("after")
    child = os.fork()
    if child == 0:  # leaves the block as any code would
        signal.alarm(60)
        ask("child")
    else:
        assert os.waitpid(child, 0)[1] == 0
if child == 0:
    os._exit(0)
texts = [call["clemcore"]["response_text"] for call in json.load(open("r.json"))]
assert sorted(texts) == sorted([*map(str, range(12)), "before", "after", "child"]) , texts
assert sorted(os.listdir(".")) == ["r.json"], os.listdir(".")
"""


def test_a_fork_inside_a_record_loses_no_answer() -> None:
    run_forks(_INSIDE_RECORD)


_AFTER_CLOSING = """
import os, signal, time
from clemcore import backends
from clemcore.errors import RecordError
model = backends.get_model_for("mock")
ask = [{"role": "user", "content": "late"}]
read, write = os.pipe()
with backends.record("r.json"):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os.read(read, 1)
        try:
            model.generate_response(ask)
        except RecordError as error:
            is_told = "closed by the process that opened it" in str(error)
            os._exit(0 if is_told and error.reply.text == "late" else 3)
        os._exit(4)
with backends.record("r.json"):  # the child does not keep it locked
    os.write(write, b".")
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_that_outlives_the_record_is_told(tmp_path: Path) -> None:
    run_forks(_AFTER_CLOSING)


_INSIDE_CACHE = """
import os, signal, sys, threading
from clemcore import backends
from support.remote import open_model
model = open_model(sys.argv[1])
def ask(number):
    return model.generate_response([{"role": "user", "content": str(number)}]).facts["cache"]
with backends.cache("c.sqlite3"):
    assert ask(1) == "kept"
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if (ask(1), ask(2)) == ("hit", "kept") else 3)
    assert os.waitpid(child, 0)[1] == 0
    assert (ask(2), ask(3)) == ("hit", "kept")
"""


def test_a_fork_inside_a_cache(wire_server: WireServer) -> None:
    run_forks(_INSIDE_CACHE, wire_server.url)


_INSIDE_BUDGET = """
import os, signal, sys
from clemcore import backends
from clemcore.errors import BudgetExceededError
ask = [{"role": "user", "content": "Hi"}]
with backends.budget(1) as limit:
    model.generate_response(ask)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        backends.get_model_for("mock").generate_response(ask)  # it costs nothing
        try:
            model.generate_response(ask)
        except BudgetExceededError as error:
            os._exit(0 if "process that forked" in str(error) else 3)
        os._exit(4)
    assert os.waitpid(child, 0)[1] == 0
    model.generate_response(ask)
"""


def test_a_fork_inside_a_budget_refuses_paid_calls(wire_server: WireServer) -> None:
    wire_server.script = [ANSWER]
    run_forks(_PRICED + _INSIDE_BUDGET, wire_server.url)
    assert len(wire_server.requests) == 2


_WHILE_LOCKS_ARE_HELD = """
import os, signal, sys, threading, time
from clemcore import backends
model = backends.get_model_for("mock")
ask = [{"role": "user", "content": "x" * 20000}]
stop = threading.Event()
def busy():
    while not stop.is_set():
        model.generate_response(ask)
with backends.record("r.json"):
    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads: thread.start()
    for _ in range(25):
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            model.generate_response(ask)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    stop.set()
    for thread in threads: thread.join()
"""


@pytest.mark.slow
def test_a_fork_while_other_threads_record_hangs_no_child() -> None:
    run_forks(_WHILE_LOCKS_ARE_HELD)
    assert json.loads(Path("r.json").read_text())
