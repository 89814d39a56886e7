"""The batch contract, which holds for every model, and the ways in which a user's class answers."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.calls.request import Request
from clemcore.errors import GenerationArgumentError, MessagesError, ScopeError
from clemcore.model import BatchGenerativeModel, Model, Reply
from clemcore.registry.spec import ModelSpec

SPEC = ModelSpec(model_name="mine", backend="own")


def ask(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def calls_in(path: str = "requests.json") -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return loaded


def texts_in(path: str = "requests.json") -> list[Any]:
    return [call["clemcore"]["response_text"] for call in calls_in(path)]


class Echo(Model):
    """A user's class that answers one dialogue at a time."""

    def generate_response(self, messages: list[dict[str, Any]]) -> Any:
        text = messages[-1]["content"]
        if text == "fail":
            raise RuntimeError("no answer")
        return messages, {"t": self.temperature}, f"{text} at {self.temperature}"


class Many(BatchGenerativeModel):
    """A user's class with a batch method of its own, which asks itself."""

    def generate_response(self, messages: list[dict[str, Any]]) -> Any:
        return Echo.generate_response.__wrapped__(self, messages)  # type: ignore[attr-defined]

    def generate_batch_response(self, batch_messages: list[Any]) -> Any:
        return [self.generate_response(messages) for messages in batch_messages]


@pytest.fixture(params=["echo", "mock", "service", pytest.param("local", marks=pytest.mark.slow)])
def model(request: pytest.FixtureRequest) -> Any:
    if request.param == "echo":
        return Echo(SPEC)
    if request.param == "mock":
        return backends.get_model_for("mock")
    if request.param == "local":
        from support.tiny import load

        return load(request.getfixturevalue("tiny_chat"))
    from support.remote import open_model

    return open_model(request.getfixturevalue("wire_server").url)


def test_any_iterable_is_answered_in_order_and_a_malformed_item_fails_alone(model: Any) -> None:
    dialogues: list[Any] = [ask("Hello!"), [], ask("Hello!"), [{"role": "nobody"}]]
    with backends.record() as recorder:
        results = model.generate_batch_response((dialogue for dialogue in dialogues), return_exceptions=True)
        assert [type(result).__name__ for result in results] == ["Reply", "MessagesError", "Reply", "MessagesError"]
        assert recorder.count == 2
        with pytest.raises(MessagesError, match=r"batch_messages\[1\]") as caught:
            model.generate_batch_response(dialogues)
        assert recorder.count == 4
    assert [type(result).__name__ for result in caught.value.batch_results or []] == [
        "Reply",
        "MessagesError",
        "Reply",
        "MessagesError",
    ]
    places = [call["clemcore"]["batch"] for call in calls_in()]
    for batch in (places[:2], places[2:]):  # a record is in the order in which calls end
        assert sorted(batch, key=lambda place: place["index"]) == [{"index": 0, "size": 4}, {"index": 2, "size": 4}]


def test_the_error_of_a_batch_names_the_item(model: Any) -> None:
    with pytest.raises(MessagesError, match=r"^batch index 1: ") as raised:
        model.generate_batch_response([ask("Hello!"), []])
    assert raised.value.batch_index == 1
    with pytest.raises(MessagesError, match=r"^(?!batch index)"):
        model.generate_batch_response([[]])


@pytest.mark.slow
def test_an_index_counts_the_whole_batch(tiny_chat: Path) -> None:
    from support.tiny import load

    model, too_long = load(tiny_chat), ask("word " * 600)
    model.set_gen_args(temperature=0.0, max_tokens=2)
    each = [None, None, {"max_tokens": 3}, {"max_tokens": 3}]
    batch: list[Any] = [[], ask("Hello!"), ask("Hello!"), too_long]
    found = model.generate_batch_response(batch, return_exceptions=True, gen_args=each)
    assert "at batch index 3 " in str(found[3])
    alone = model.generate_batch_response([[], too_long], return_exceptions=True)
    assert "at batch index 1 " in str(alone[1])


@pytest.mark.parametrize("batch", [None, 5, "Hello!", b"Hello!", {"role": "user", "content": "Hello!"}], ids=repr)
def test_what_is_not_a_list_of_dialogues_is_refused_as_a_whole(model: Any, batch: Any) -> None:
    with backends.record("requests.json") as recorder:
        with pytest.raises(MessagesError, match="batch_messages must be a list of dialogues, not"):
            model.generate_batch_response(batch, return_exceptions=True)
        assert recorder.count == 0


def test_arguments_of_one_call(model: Any) -> None:
    model.set_gen_args(temperature=0.0, max_tokens=8)
    with backends.record():
        model.generate_response(ask("Hello!"), gen_args={"max_tokens": 5})
        model.generate_batch_response([ask("Hello!")] * 3, gen_args=[{"max_tokens": 4}, None, {"max_tokens": 3}])
        model.generate_batch_response([ask("Hello!")] * 2, gen_args={"max_tokens": 2})
        asyncio.run(model.agenerate_response(ask("Hello!"), gen_args={"max_tokens": 1}))
    used = [call["clemcore"]["gen_args"]["all"]["max_tokens"] for call in calls_in()]
    assert sorted(used, reverse=True) == [8, 5, 4, 3, 2, 2, 1]
    assert model.gen_args == {"temperature": 0.0, "max_tokens": 8}
    assert all(call["clemcore"]["gen_args"]["asked"] for call in calls_in())


def test_one_value_for_each_item(model: Any) -> None:
    with pytest.raises(GenerationArgumentError, match="gen_args has 1 values for 2 dialogues"):
        model.generate_batch_response([ask("a"), ask("b")], gen_args=[{}])
    with pytest.raises(GenerationArgumentError, match="gen_args must be a list with one value for each dialogue"):
        model.generate_batch_response([ask("a")], gen_args="temperature")
    with pytest.raises(ScopeError, match="scopes has 3 values for 1 dialogues"):
        model.generate_batch_response([ask("a")], scopes=[None] * 3)
    with pytest.raises(GenerationArgumentError, match="gen_args must be a dict"):
        model.generate_response(ask("a"), gen_args=["temperature"])
    with pytest.raises(ScopeError, match=r"scope must be what backends.scope"):
        model.generate_response(ask("a"), scope={"episode": 1})
    assert model.generate_batch_response([]) == []


def test_a_class_of_the_users_finds_the_arguments_of_its_call() -> None:
    model: Any = Echo(SPEC)
    assert model.generate_response(ask("a"), gen_args={"temperature": 0.5})[2] == "a at 0.5"
    results = model.generate_batch_response([ask("a"), ask("b")], gen_args=[{"temperature": 1}, {"temperature": 2}])
    assert [reply[2] for reply in results] == ["a at 1", "b at 2"]
    many: Any = Many(SPEC)
    results = many.generate_batch_response([ask("a"), ask("b")], gen_args=[{"temperature": 1}, {"temperature": 2}])
    assert [reply[2] for reply in results] == ["a at 1", "b at 2"]
    assert many.temperature == 0.0


def test_what_a_batch_method_asks_itself_is_recorded_call_by_call() -> None:
    model: Any = Many(SPEC)
    scopes = [backends.scope(episode=1), backends.scope(episode=2)]
    with backends.record():
        results = model.generate_batch_response([ask("a"), ask("b")], scopes=scopes)
    assert [reply[2] for reply in results] == texts_in() == ["a at 0.0", "b at 0.0"]
    assert [call["clemcore"]["scope"]["episode"] for call in calls_in()] == [1, 2]


def test_a_batch_method_that_raises_is_not_asked_again() -> None:
    asked = []

    class HalfWay(Many):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            asked.append(len(batch_messages))
            self.generate_response(batch_messages[0])
            raise ConnectionError("gone")

    with backends.record():
        model: Any = HalfWay(SPEC)
        results = model.generate_batch_response([ask("a"), ask("b"), ask("c")], return_exceptions=True)
        with pytest.raises(ConnectionError, match="gone"):
            HalfWay(SPEC).generate_batch_response([ask("a"), ask("b")])
    assert asked == [3, 2]
    assert [type(result).__name__ for result in results] == ["Reply", "ConnectionError", "ConnectionError"]
    errors = [call["clemcore"].get("error", {}).get("type") for call in calls_in()]
    assert errors == [None, "ConnectionError", "ConnectionError", None, "ConnectionError"]


def test_a_batch_method_gets_only_the_keywords_that_it_has() -> None:
    given = []

    class Bare(Many):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            assert type(batch_messages) is list
            return [self.generate_response(messages) for messages in batch_messages]

    class WithKeyword(Many):
        def generate_batch_response(self, batch_messages: list[Any], return_exceptions: bool = False) -> Any:
            given.append(return_exceptions)
            return [self.generate_response(messages) for messages in batch_messages]

    bare: Any = Bare(SPEC)
    assert len(bare.generate_batch_response((ask("a"), ask("b")), True, False)) == 2
    assert len(WithKeyword(SPEC).generate_batch_response([ask("a")], return_exceptions=True)) == 1
    assert given == [True]


def test_a_batch_method_with_worker_threads() -> None:
    class Threaded(Many):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            with ThreadPoolExecutor(3) as pool:
                return list(pool.map(self.generate_response, batch_messages))

    with backends.scope(episode=7), backends.record():
        results = Threaded(SPEC).generate_batch_response([ask(str(number)) for number in range(9)])
    assert [reply[2] for reply in results] == [f"{number} at 0.0" for number in range(9)]
    assert sorted(texts_in()) == sorted(reply[2] for reply in results)
    assert {call["clemcore"]["scope"]["episode"] for call in calls_in()} == {7}


def test_a_thread_that_asks_the_same_list_while_a_batch_runs_has_a_call_of_its_own() -> None:
    others: list[Any] = []

    class Asked(Echo):
        conversations = None

        def generate_response(self, messages: list[dict[str, Any]]) -> Any:
            if not others:
                others.append(None)
                with ThreadPoolExecutor(1) as pool:
                    others[0] = pool.submit(self.generate_response, messages).result()
            return Echo.generate_response.__wrapped__(self, messages)  # type: ignore[attr-defined]

    with backends.record():
        (reply,) = Asked(SPEC).generate_batch_response([ask("a")], gen_args={"temperature": 0.5})
    assert (reply.text, others[0].text) == ("a at 0.5", "a at 0.0")
    assert texts_in() == ["a at 0.0", "a at 0.5"]


def test_a_batch_method_that_answers_otherwise_after_a_failure() -> None:
    class Patient(Many):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            results = []
            for messages in batch_messages:
                try:
                    results.append(self.generate_response(messages))
                except RuntimeError:
                    results.append((messages, {}, "instead"))
            return results

    with backends.record():
        results = Patient(SPEC).generate_batch_response([ask("a"), ask("fail")])
    assert [reply[2] for reply in results] == ["a at 0.0", "instead"]
    assert texts_in() == ["a at 0.0", None, "instead"]


def test_a_batch_method_that_hands_on_to_its_base_class() -> None:
    class Cautious(Many):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            results: list[Any] = []
            for messages in batch_messages:
                results += super().generate_batch_response([messages])
            return results

    class OnMock(backends.CustomResponseModel):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            return super().generate_batch_response(batch_messages)

    for model, expected in ((Cautious(SPEC), ["a at 0.0", "b at 0.0"]), (OnMock(), ["a", "b"])):
        with backends.record("handed.json"):
            results = model.generate_batch_response([ask("a"), ask("b")])
        assert [reply[2] for reply in results] == expected
        assert texts_in("handed.json") == expected
        Path("handed.json").unlink()


def test_a_batch_method_that_awaits_its_own_calls() -> None:
    class Awaiting(Many):
        async def agenerate_response(self, messages: list[dict[str, Any]]) -> Any:
            await asyncio.sleep(0)
            return messages, {}, f"awaited {messages[-1]['content']} at {self.temperature}"

        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            async def all_of_them() -> Any:
                return await asyncio.wait_for(asyncio.gather(*map(self.agenerate_response, batch_messages)), 60)

            return asyncio.run(all_of_them())

    model: Any = Awaiting(SPEC)
    scopes = [backends.scope(episode=1), backends.scope(episode=2)]
    with backends.record():
        results = model.generate_batch_response([ask("a"), ask("b")], scopes=scopes, gen_args={"temperature": 1})
    assert [reply[2] for reply in results] == ["awaited a at 1", "awaited b at 1"]
    assert sorted(
        (call["clemcore"]["scope"]["episode"], call["clemcore"]["response_text"]) for call in calls_in()
    ) == [
        (1, "awaited a at 1"),
        (2, "awaited b at 1"),
    ]


def test_a_batch_method_that_gives_arguments_to_its_own_calls() -> None:
    class Warm(Many):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            again: Any = self.generate_response
            return [again(messages, gen_args={"temperature": 0.7}) for messages in batch_messages]

    model: Any = Warm(SPEC)
    with backends.record():
        results = model.generate_batch_response([ask("a")], gen_args={"top_p": 0.5, "temperature": 1})
    assert [reply[2] for reply in results] == ["a at 0.7"]
    assert calls_in()[0]["clemcore"]["gen_args"]["all"] == {"temperature": 0.7, "top_p": 0.5}


def test_a_large_batch_takes_time_in_proportion() -> None:
    class HandingOn(backends.CustomResponseModel):
        def generate_batch_response(self, batch_messages: list[Any]) -> Any:
            return super().generate_batch_response(batch_messages)

    batch = [ask(str(number)) for number in range(4000)]
    expected = [str(number) for number in range(4000)]
    begin = time.process_time()
    assert [reply[2] for reply in HandingOn().generate_batch_response(batch)] == expected
    assert len(Many(SPEC).generate_batch_response(batch)) == 4000
    assert len(Echo(SPEC).generate_batch_response(batch)) == 4000
    assert time.process_time() - begin < 60, "with work that grows faster it takes minutes"


def test_a_method_of_a_mixin_that_is_not_a_model_is_recorded() -> None:
    class Shouting:
        def generate_response(self, messages: list[dict[str, Any]]) -> Any:
            return messages, {}, messages[-1]["content"].upper()

    class Mixed(Shouting, Model):
        pass

    with backends.record():
        reply = Mixed(SPEC).generate_response(ask("hello"))
        with pytest.raises(MessagesError):
            Mixed(SPEC).generate_response([])
    assert isinstance(reply, Reply)
    assert texts_in() == ["HELLO"]


def test_an_interrupt_of_a_batch_leaves_what_was_answered() -> None:
    class Stopped(Model):
        def generate_response(self, messages: list[dict[str, Any]]) -> Any:
            if messages[-1]["content"] == "stop":
                raise KeyboardInterrupt
            return messages, {}, "answered"

    with backends.record(), pytest.raises(KeyboardInterrupt):
        Stopped(SPEC).generate_batch_response([ask("a"), ask("stop"), ask("b")])
    assert texts_in() == ["answered", None]


def test_a_model_says_what_it_said_in_3_7_2_about_batches() -> None:
    assert not Echo(SPEC).supports_batching()
    assert Many(SPEC).supports_batching()
    assert not backends.HumanModel().supports_batching()
    assert backends.CustomResponseModel().supports_batching()


def test_a_request_can_be_pickled_without_its_sinks() -> None:
    with backends.scope(game="taboo", episode=3), backends.record():
        request = Request(ask("a"), {"temperature": 1.0})
        assert len(request.scope.sinks) == 1
        again = pickle.loads(pickle.dumps(request))  # noqa: S301 - our own bytes
    assert (again.messages, dict(again.gen_args)) == (ask("a"), {"temperature": 1.0})
    assert again.scope.labels == {"game": "taboo", "episode": 3, "call": 0}
    assert again.scope.sinks == ()
