"""Calls that wait at the same time are one batch: awaited, from threads, cancelled, interrupted, forked."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.queue import Queue, queue_of
from clemcore.model import Model
from support.tiny import CANBERRA, CAPITAL, END, THINK, load

GREEDY = Arguments(temperature=0.0, max_tokens=3)
FAST = {"premade_chat_template": True, "eos_to_cull": END, "exactness": "fast"}


class Described:
    ways = ("together",)


class FakeEngine:
    """Answers each job with its own ids; computes what waits at the same time in one step."""

    def __init__(self) -> None:
        self.steps: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_asked = threading.Event()

    def describe(self) -> Described:
        return Described()

    def generate(self, jobs: Iterable[Job], way: str) -> Iterator[tuple[Job, Any]]:
        assert way == "together"
        source = iter(jobs)
        while batch := list(source):
            self.is_asked.set()
            assert self.may_go_on.wait(10)
            self.steps.append([job.ids[0] for job in batch])
            for job in batch:
                if job.ids[0] < 0:
                    raise ValueError("a broken engine")
                ending: Any = "cancelled" if job.cancelled is not None and job.cancelled() else "stop"
                yield job, Generated(list(job.ids), ending)


def queue(engine: Any) -> Queue:
    _engines.append(engine)  # a queue keeps it weakly
    return Queue(engine)


_engines: list[Any] = []


def job(number: int) -> Job:
    return Job([number], GREEDY)


def is_idle(line: Queue) -> bool:
    deadline = time.monotonic() + 10
    while line._thread is not None and time.monotonic() < deadline:
        time.sleep(0.001)
    return line._thread is None


class ClosedEngine(FakeEngine):
    """Fails before it takes a job."""

    def generate(self, jobs: Iterable[Job], way: str) -> Iterator[tuple[Job, Any]]:
        raise ValueError("it was closed")


class TestQueue:
    def test_an_engine_that_takes_no_job_is_not_asked_without_end(self) -> None:
        line = queue(ClosedEngine())
        results = [str(result) for _, result in line.generate([job(1), job(2)])]
        assert results == ["it was closed"] * 2
        assert is_idle(line)

    def test_what_arrives_while_the_engine_is_busy_goes_next(self) -> None:
        engine = FakeEngine()
        line = queue(engine)
        engine.may_go_on.clear()
        found: list[int] = []
        line.submit([job(1)], lambda _, result: found.append(result.ids[0]))  # type: ignore[union-attr]
        assert engine.is_asked.wait(10)
        for number in range(2, 6):
            line.submit([job(number)], lambda _, result: found.append(result.ids[0]))  # type: ignore[union-attr]
        engine.may_go_on.set()
        assert is_idle(line)
        assert engine.steps == [[1], [2, 3, 4, 5]]
        assert found == [1, 2, 3, 4, 5]

    def test_results_belong_to_those_who_asked(self) -> None:
        line = queue(engine := FakeEngine())
        threads = []
        found: dict[int, list[Any]] = {}

        def ask(start: int) -> None:
            jobs = [job(start + n) for n in range(20)]
            found[start] = [(given.ids[0], result.ids[0]) for given, result in line.generate(jobs)]  # type: ignore[union-attr]

        for start in range(0, 200, 20):
            threads.append(threading.Thread(target=ask, args=(start,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        assert all(asked == got for pairs in found.values() for asked, got in pairs)
        assert sum(map(len, engine.steps)) == 200

    def test_a_cancelled_order_is_not_begun(self) -> None:
        line = queue(engine := FakeEngine())
        engine.may_go_on.clear()
        told: list[Any] = []
        first = line.submit([job(1)], lambda *_: told.append(1))
        assert engine.is_asked.wait(10)
        second = line.submit([job(2)], lambda *_: told.append(2))
        first.cancel()
        second.cancel()
        engine.may_go_on.set()
        assert is_idle(line)
        assert engine.steps == [[1]]
        assert told == []

    def test_a_broken_engine_is_the_result_of_its_jobs(self) -> None:
        line = queue(FakeEngine())
        (result,) = (result for _, result in line.generate([job(-1)]))
        assert isinstance(result, ValueError)
        (result,) = (result for _, result in line.generate([job(1)]))
        assert isinstance(result, Generated)

    def test_a_check_replaces_a_result(self) -> None:
        line = queue(FakeEngine())

        def check(asked: Job, _result: Any) -> Any:
            if asked.ids[0] == 2:
                raise KeyError("no")
            return Generated([asked.ids[0] * 10], "stop")

        found = dict(line.generate([one := job(1), two := job(2)], check))
        assert found[one].ids == [10]  # type: ignore[union-attr]
        assert isinstance(found[two], KeyError)

    def test_without_a_thread_the_caller_computes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        line = queue(FakeEngine())
        assert [result.ids for _, result in line.generate([job(1), job(2)])] == [[1], [2]]  # type: ignore[union-attr]

    def test_one_queue_per_engine(self) -> None:
        one: Any
        one, other = FakeEngine(), FakeEngine()
        assert queue_of(one) is queue_of(one)
        assert queue_of(one) is not queue_of(other)  # type: ignore[arg-type]


def _ask_in_child(model: HuggingfaceLocalModel, answers: Any) -> None:
    answers.put(model.generate_response(CAPITAL).text)


@pytest.fixture(scope="module")
def fast(tiny_chat: Path) -> HuggingfaceLocalModel:
    return load(tiny_chat, {**FAST, "torch_num_threads": 1})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_waits_for_the_thread_that_is_about_to_end() -> None:
    class Slow(FakeEngine):
        def generate(self, jobs: Iterable[Job], way: str) -> Iterator[tuple[Job, Any]]:
            yield from super().generate(jobs, way)
            time.sleep(0.2)

    line = queue(Slow())
    assert len(list(line.generate([job(1)]))) == 1
    thread = line._last_thread
    assert thread is not None
    assert thread.is_alive()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert not thread.is_alive()
    assert not Path(f"/proc/self/task/{thread.native_id}").exists()


@pytest.mark.slow
class TestModel:
    def test_awaited_calls_are_one_batch(self, fast: HuggingfaceLocalModel) -> None:
        async def ask() -> list[Any]:
            return list(await asyncio.gather(*(fast.agenerate_response(CAPITAL) for _ in range(16))))

        replies = asyncio.run(ask())
        assert {reply.text for reply in replies} == {CANBERRA}
        assert {reply.facts["exactness"] for reply in replies} == {"fast"}
        assert max(reply.facts["grouping"]["size"] for reply in replies) >= 8

    def test_threads_are_one_batch(self, fast: HuggingfaceLocalModel) -> None:
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(fast.generate_response(THINK))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({reply.text for reply in found}) == 1
        assert max(reply.facts["grouping"]["size"] for reply in found) > 1

    def test_single_calls_are_exact_and_batches_fast_by_default(self, tiny_chat: Path) -> None:
        model = load(tiny_chat)
        assert model.generate_response(CAPITAL).facts["exactness"] == "exact"
        assert asyncio.run(model.agenerate_response(CAPITAL)).facts["exactness"] == "exact"
        assert [reply.facts["exactness"] for reply in model.generate_batch_response([CAPITAL] * 2)] == ["fast"] * 2

    def test_bad_messages_fail_alone_and_at_once(self, fast: HuggingfaceLocalModel) -> None:
        async def ask() -> list[Any]:
            long = [{"role": "user", "content": "word " * 600}]
            calls = (fast.agenerate_response(messages) for messages in (CAPITAL, long, CAPITAL))
            return list(await asyncio.gather(*calls, return_exceptions=True))

        one, two, three = asyncio.run(ask())
        assert (one.text, three.text) == (CANBERRA, CANBERRA)
        assert type(two).__name__ == "ContextExceededError"

    def test_a_cancelled_call_ends(self, fast: HuggingfaceLocalModel) -> None:
        async def ask() -> str:
            model: Model = fast
            task = asyncio.ensure_future(model.agenerate_response(CAPITAL, gen_args={"max_tokens": 400}))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return (await fast.agenerate_response(CAPITAL)).text

        assert asyncio.run(ask()) == CANBERRA
        assert is_idle(queue_of(fast._engine))

    def test_an_interrupted_batch_ends(self, fast: HuggingfaceLocalModel) -> None:
        from clemcore.backends.local.asking import Ask

        answers = fast.answer_all([Ask(CAPITAL)] * 4)
        next(answers)
        answers.close()  # type: ignore[attr-defined]
        assert is_idle(queue_of(fast._engine))
        assert fast.generate_response(CAPITAL).text == CANBERRA

    def test_a_model_is_freed_with_a_batch_behind_it(self, tiny_chat: Path) -> None:
        import weakref

        model = load(tiny_chat, {**FAST, "own_weights": True})
        model.generate_batch_response([CAPITAL] * 3)
        weights = weakref.ref(model.model.lm_head.weight)
        del model
        assert weights() is None

    def test_a_forked_process_computes_by_itself(self, fast: HuggingfaceLocalModel) -> None:
        import torch

        torch.set_num_threads(1)
        fast.generate_batch_response([CAPITAL] * 2)
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=_ask_in_child, args=(fast, answers))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert answers.get() == CANBERRA
