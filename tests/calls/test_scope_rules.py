"""What one scope does: labels, sinks, sources of answers, closing in any order, conversations, budgets, caches.

Which calls belong to which scope is shown in test_scopes.py.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.calls.scope import capture
from clemcore.errors import BudgetExceededError
from clemcore.model import Model, Reply
from clemcore.registry.spec import ModelSpec
from support.remote import make_model, open_model
from support.wire_server import WireServer, completion

SPEC = ModelSpec(model_name="mine", backend="own")


def ask(text: str = "Hi") -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def scopes_in(path: str = "requests.json") -> list[Any]:
    return [call["clemcore"].get("scope") for call in json.loads(Path(path).read_text())]


def test_labels_are_nested_and_calls_are_numbered() -> None:
    model = backends.get_model_for("mock")
    with backends.record():
        model.generate_response(ask())
        with backends.scope(run="r1", game="taboo"):
            with backends.scope(episode=1, player="A"):
                model.generate_response(ask())
                model.generate_response(ask())
            model.generate_response(ask(), scope=backends.scope(episode=2, call=9))
    assert scopes_in() == [
        None,
        {"run": "r1", "game": "taboo", "episode": 1, "player": "A", "call": 0},
        {"run": "r1", "game": "taboo", "episode": 1, "player": "A", "call": 1},
        {"run": "r1", "game": "taboo", "episode": 2, "call": 9},
    ]


def test_labels_are_checked() -> None:
    with pytest.raises(ValueError, match="no label 'epsode': did you mean 'episode'"):
        backends.scope(epsode=1)
    with pytest.raises(ValueError, match="labels are run, game"):
        backends.scope(colour="red")
    with pytest.raises(TypeError, match=r"'player' of a scope must be a text or a whole number, not 1\.5"):
        backends.scope(player=1.5)  # type: ignore[arg-type]


def test_a_closed_scope_takes_no_call() -> None:
    model = backends.get_model_for("mock")
    with backends.scope(episode=1) as scope:
        pass
    with pytest.raises(ValueError, match=r"scope \{'episode': 1\} is closed"):
        model.generate_response(ask(), scope=scope)
    with pytest.raises(ValueError, match="is closed"), scope:
        pass


def test_closing_works_in_any_order_and_from_any_thread() -> None:
    model = backends.get_model_for("mock")
    outer = backends.scope(game="taboo").__enter__()
    inner = backends.scope(episode=1).__enter__()
    recorder = backends.record("inner.json")
    outer.close()
    model.generate_response(ask())
    with ThreadPoolExecutor(1) as pool:
        pool.submit(inner.close).result()
    model.generate_response(ask())  # no scope is left: it belongs to everything that is open
    with ThreadPoolExecutor(1) as pool:
        pool.submit(recorder.close).result()
    recorder.close()
    model.generate_response(ask())
    assert [scope and scope["episode"] for scope in scopes_in("inner.json")] == [1, None]


def test_nested_recorders_add_up_and_a_recorder_ends_where_it_is_closed() -> None:
    model = backends.get_model_for("mock")
    with backends.record("outer.json") as outer, backends.scope(episode=1):
        with backends.record("inner.json") as inner:
            model.generate_response(ask())
        model.generate_response(ask())
    assert (outer.count, inner.count) == (2, 1)


def test_a_record_of_the_main_thread_belongs_to_every_thread_and_task() -> None:
    model = backends.get_model_for("mock")
    with backends.record() as recorder:
        threads = [threading.Thread(target=model.generate_response, args=(ask(),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        async def many() -> None:
            await asyncio.gather(*(model.agenerate_response(ask()) for _ in range(3)))

        asyncio.run(many())

        def in_a_scope() -> None:
            with backends.scope(episode=1):
                model.generate_response(ask())

        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_a_scope).result()
    assert recorder.count == 7


def test_a_task_that_records_inside_an_outer_scope_keeps_its_record_to_itself() -> None:
    model = backends.get_model_for("mock")

    async def play(who: str) -> None:
        with backends.record(f"{who}.json"):
            await model.agenerate_response(ask(who))
            await asyncio.sleep(0.01)
            await model.agenerate_response(ask(who))

    async def both() -> None:
        await asyncio.gather(play("A"), play("B"))

    with backends.scope(run="r"):
        asyncio.run(both())
    for who in "AB":
        calls = json.loads(Path(f"{who}.json").read_text())
        assert [call["clemcore"]["response_text"] for call in calls] == [who, who]


class Kept:
    """A sink that keeps calls, and can fail."""

    def __init__(self, *, fails: str = "") -> None:
        self.calls: list[Any] = []
        self.flushed = 0
        self.fails = fails

    def put(self, call: Any) -> None:
        if self.fails == "put":
            raise OSError("put failed")
        self.calls.append(call)

    def flush(self) -> None:
        self.flushed += 1
        if self.fails == "flush":
            raise OSError("flush failed")


@pytest.fixture(params=["mock", "service"])
def model(request: pytest.FixtureRequest) -> Any:
    if request.param == "mock":
        return backends.get_model_for("mock")
    return open_model(request.getfixturevalue("wire_server").url)


def test_a_sink_gets_every_call_before_the_caller_gets_the_answer(model: Any) -> None:
    with backends.scope(episode=1), backends.record(Kept()) as sink:
        model.generate_response(ask())
        assert (len(sink.calls), sink.flushed) == (1, 1)
        model.generate_batch_response([ask(), ask()])
        asyncio.run(model.agenerate_response(ask()))
    assert len(sink.calls) == 4
    assert all(call.labels["episode"] == 1 for call in sink.calls)
    assert [json.loads(call.to_json())["clemcore"]["response_text"] for call in sink.calls] == [
        call.response_text for call in sink.calls
    ]
    with pytest.raises(TypeError, match=r"record takes a path, or an object with put\(call\) and flush"):
        backends.record(7)  # type: ignore[call-overload]


@pytest.mark.parametrize("fails", ["put", "flush"])
def test_the_error_of_a_sink_carries_the_answer(model: Any, fails: str) -> None:
    answer = model.generate_response(ask())[2]
    with backends.record("all.json") as recorder, backends.scope(episode=1, sinks=(Kept(fails=fails),)):
        with pytest.raises(OSError, match=f"{fails} failed") as single:
            model.generate_response(ask())
        with pytest.raises(OSError, match=f"{fails} failed") as awaited:
            asyncio.run(model.agenerate_response(ask()))
        results = model.generate_batch_response([ask(), ask()], return_exceptions=True)
        assert recorder.count == 4, "the other sinks still get the calls"
    errors = [single.value, awaited.value, *results]
    assert [error.reply.text for error in errors] == [answer] * 4


def test_a_source_of_answers_is_asked_before_the_model(model: Any) -> None:
    class Known:
        def __init__(self) -> None:
            self.asked: list[Any] = []

        def find(self, request: Any) -> Reply | None:
            self.asked.append(request)
            text = request.messages[-1]["content"]
            return Reply({}, {}, "known", {"answered_by": "store"}) if text == "known?" else None

    known = Known()
    with backends.scope(episode=1, answers=known), backends.record() as recorder:
        assert model.generate_response(ask("known?"), gen_args={"top_p": 0.5})[2] == "known"
        assert asyncio.run(model.agenerate_response(ask("known?")))[2] == "known"
        replies = model.generate_batch_response([ask("known?"), ask("unknown?")])
        assert (replies[0][2], replies[0].facts["answered_by"]) == ("known", "store")
        assert replies[1][2] != "known"
        assert recorder.count == 4
    assert known.asked[0].gen_args == {"top_p": 0.5}
    assert [request.scope.labels["call"] for request in known.asked] == [0, 1, 2, 3]


def test_awaited_writes_serve_the_sinks_of_all_who_wait() -> None:
    model = backends.get_model_for("mock")
    sinks = [Kept() for _ in range(5)]

    async def play(sink: Kept) -> None:
        with backends.scope(sinks=(sink,)):
            await model.agenerate_response(ask())
            assert sink.flushed, "it is written before its caller has it"

    async def all_at_once() -> None:
        await asyncio.gather(*map(play, sinks))

    asyncio.run(all_at_once())
    assert [len(sink.calls) for sink in sinks] == [1] * 5


# -- conversations -----------------------------------------------------------------------------------------------
def test_the_script_of_a_mock_belongs_to_a_conversation_and_ends_with_it() -> None:
    model: Any = backends.get_model_for({"model_name": "mock", "model_config": {"responses": ["one", "two"]}})
    assert model.generate_response(ask())[2] == "one"
    with backends.scope(episode=1):
        assert model.generate_response(ask())[2] == "one"
        with backends.scope(player="A"):
            assert model.generate_response(ask())[2] == "one"
        with backends.scope(player="A"):  # opened anew for the next turn: the same conversation
            assert model.generate_response(ask())[2] == "two"
        model.responses = ["other"]
        model.reset()
        assert model.generate_response(ask())[2] == "one"
    with backends.scope(episode=1):  # the scope had ended
        assert model.generate_response(ask())[2] == "one"
    with backends.record():  # opening a record does not start a conversation
        assert model.generate_response(ask())[2] == "two"
    assert list(model.__dict__["_conversation_states"]) == [()]


def test_players_of_a_mock_belong_to_a_conversation() -> None:
    class Player:
        def __init__(self, text: str) -> None:
            self.text = text

        def _custom_response(self, context: dict[str, Any]) -> str:
            return f"{self.text}: {context['content']}"

    model: Any = backends.get_model_for("mock")
    model.players = [Player("unlabelled")]
    with backends.scope(episode=1) as one:
        model.players = [Player("first")]
        with backends.scope(episode=2) as two:
            model.players = [Player("second")]
            replies = model.generate_batch_response([ask("a"), ask("b")], scopes=[one, two])
            assert [reply[2] for reply in replies] == ["first: a", "second: b"]
    assert model.generate_response(ask("d"))[2] == "unlabelled: d"
    model.players = [Player("x"), Player("y")]
    assert [reply[2] for reply in model.generate_batch_response([ask("a"), ask("b")])] == ["x: a", "y: b"]
    with pytest.raises(ValueError, match="1 dialogues for 2 players"):
        model.generate_batch_response([ask("a")])


class Counting(Model):
    """Counts how many of its calls run at once."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        self.at_once = self.most = 0
        self._lock = threading.Lock()

    def generate_response(self, messages: list[dict[str, Any]]) -> Any:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.01)
        with self._lock:
            self.at_once -= 1
        return messages, {}, "x"


class CountingMany(Counting):
    conversations = 3


@pytest.mark.parametrize(("kind", "most"), [(Counting, 1), (CountingMany, 3)])
def test_a_users_model_is_called_as_often_at_once_as_it_says(kind: type[Counting], most: int) -> None:
    model = kind()
    assert model.conversations == most
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(model.generate_response, [ask()] * 16))

    async def many() -> None:
        await asyncio.gather(*(model.agenerate_response(ask()) for _ in range(8)))

    asyncio.run(many())
    assert model.most <= most
    assert open_model("http://127.0.0.1:9").conversations is None


# -- budgets -----------------------------------------------------------------------------------------------------
def priced(server: WireServer, name: str = "remote-model", **fields: Any) -> Any:
    server.script = [completion(usage={"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10})]
    return make_model(
        "openai_compatible",
        {"max_tokens": 10, **fields},
        model_name=name,
        base_url=f"{server.url}/v1",
        prices={"input": 1000, "output": 1000},
        model_config={"requires_api_key": False},
    )


COST = 0.01


def test_a_budget_starts_from_what_was_spent(wire_server: WireServer) -> None:
    model = priced(wire_server)
    with (
        backends.budget(1.0, spent=0.99) as budget,
        pytest.raises(BudgetExceededError, match=r"0\.99 USD are spent"),
    ):
        model.generate_response(ask())
    assert budget.spent == 0.99
    assert budget.left == pytest.approx(0.01)
    with pytest.raises(ValueError, match="the amount spent of a budget must be a number ≥ 0"):
        backends.budget(1.0, spent=-1)


def test_parts_of_a_budget_limit_a_model_and_a_label(wire_server: WireServer) -> None:
    cheap, dear = priced(wire_server, "cheap"), priced(wire_server, "dear")
    with backends.budget(10, parts={"dear": 0.0, "game=taboo": 1.0}) as budget:
        with pytest.raises(BudgetExceededError, match="the budget for dear of 0 USD"):
            dear.generate_response(ask())
        with backends.scope(game="taboo"):
            cheap.generate_response(ask())
        with backends.scope(game="wordle"):
            cheap.generate_response(ask())
    assert budget.spent == pytest.approx(2 * COST)
    assert budget.parts == {"dear": 0.0, "game=taboo": pytest.approx(COST)}
    with pytest.raises(ValueError, match="did you mean 'episode='"):
        backends.budget(1, parts={"epsode=1": 1})
    with pytest.raises(ValueError, match="part 'dear' of a budget must be a number"):
        backends.budget(1, parts={"dear": "much"})  # type: ignore[dict-item]


def test_a_part_that_limited_nothing_is_named_at_the_end(
    wire_server: WireServer, caplog: pytest.LogCaptureFixture
) -> None:
    cheap = priced(wire_server, "cheap")
    with backends.budget(10, parts={"cheap": 5, "chaep": 1, "game=taboo": 1}), backends.scope(game="wordle"):
        cheap.generate_response(ask())
    assert [record.getMessage() for record in caplog.records] == [
        "the part 'chaep' of a budget limited nothing, because no call belonged to it; did you mean 'cheap'?",
        "the part 'game=taboo' of a budget limited nothing, because no call belonged to it; "
        "models that were called: cheap",
    ]
    caplog.clear()
    with backends.budget(10, parts={"cheap": 5}):
        pass  # without a call there is nothing to say
    assert not caplog.records


# -- the cache ---------------------------------------------------------------------------------------------------
def test_epochs_never_share_a_sampled_answer_and_a_repeated_run_does(wire_server: WireServer) -> None:
    model = open_model(wire_server.url, {"temperature": 1.0})

    def play(run: str, epoch: int) -> list[str]:
        with backends.scope(run=run, episode=1), backends.scope(epoch=epoch):
            return [model.generate_response(ask()).facts["cache"] for _ in range(2)]

    with backends.cache("c.sqlite3", sampling=True):
        assert play("first", 1) == ["kept", "kept"]
        assert play("first", 2) == ["kept", "kept"]
        assert play("second", 1) == ["hit", "hit"], "another run of the same epoch, counted anew"
        assert model.generate_response(ask()).facts["cache"] == "kept", "unlabelled calls keep their own keys"
    assert len(wire_server.requests) == 5


def test_only_the_innermost_cache_counts(wire_server: WireServer) -> None:
    model = open_model(wire_server.url)
    with backends.cache("outer.sqlite3"):
        with backends.scope(episode=1), backends.cache("inner.sqlite3"):
            assert model.generate_response(ask()).facts["cache"] == "kept"
        assert model.generate_response(ask()).facts["cache"] == "kept"
        with backends.scope(episode=1), backends.cache("inner.sqlite3"):
            assert model.generate_response(ask()).facts["cache"] == "hit"
    assert len(wire_server.requests) == 2


def test_equal_models_share_their_connections(wire_server: WireServer) -> None:
    for _ in range(5):
        open_model(wire_server.url).generate_response(ask())
    models = [open_model(wire_server.url) for _ in range(5)]
    for model in models:
        model.generate_response(ask())
    engines = {id(model._calls._lane.engine) for model in models}  # type: ignore[attr-defined]
    assert len(engines) == 1
    other = open_model(wire_server.url.replace("127.0.0.1", "localhost"))
    assert id(other._calls._lane.engine) not in engines  # type: ignore[attr-defined]


def test_a_call_without_a_scope_belongs_to_everything_that_is_open() -> None:
    opened, done = threading.Event(), threading.Event()
    counts = []

    def elsewhere() -> None:
        with backends.scope(episode=1), backends.record("elsewhere.json") as recorder:
            opened.set()
            done.wait(30)
            counts.append(recorder.count)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    opened.wait(30)
    assert len(capture().sinks) == 1
    backends.get_model_for("mock").generate_response(ask())
    done.set()
    thread.join()
    assert counts == [1]
