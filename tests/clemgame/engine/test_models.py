"""How episodes ask models: one by one, in batches, piece by piece, people, and with limits on what is spent."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from clemcore import backends
from clemcore.calls.scope import Scope
from clemcore.clemgame.engine.batcher import Batcher, Question
from clemcore.clemgame.engine.baton import Baton
from clemcore.clemgame.store.usage import total, usage_of
from clemcore.errors import BudgetExceededError
from support.tiny_games import Stage, Talk

Spec = backends.ModelSpec


class InBatches(backends.Model):
    """A class of a user that answers lists, as for 3.7.2: it gets the list and nothing else."""

    def __init__(self, name: str = "batches") -> None:
        super().__init__(Spec(model_name=name, backend="test"))
        self.sizes: list[int] = []

    def generate_response(self, messages: Any) -> Any:
        return self.generate_batch_response([messages])[0]

    def generate_batch_response(self, batch_messages: Any) -> Any:
        assert isinstance(batch_messages, list)
        self.sizes.append(len(batch_messages))
        time.sleep(0.002)
        return [(messages, {}, f"{self.name} {len(messages)}") for messages in batch_messages]


class OddFigures(backends.Model):
    """Says things about its calls that cannot be summed up."""

    usages: ClassVar = [{"input_tokens": 1.5, "output_tokens": "7"}, {"input_tokens": -5, "output_tokens": 2}, 3]
    count = 0

    def generate_response(self, messages: Any) -> Any:
        self.count += 1
        usage = self.usages[self.count % 3]
        cost = {"usd": float("inf")} if self.count % 2 else {"usd": 0.5}
        return backends.Reply(messages, {}, "yes", facts={"usage": usage, "cost": cost})


def test_figures_that_cannot_be_summed_up_are_kept_apart_and_told_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    model = OddFigures(Spec(model_name="odd figures", backend="test"))
    summary = stage.play(stage.game(size=3, rounds=1), model, concurrency=1)
    assert (dict(summary.counts), summary.calls) == ({"played": 3}, 6)
    assert (summary.input_tokens, summary.output_tokens, summary.usd) == (0, 4, 1.5)
    sums = total(usage_of(stage.folder))
    assert (sums.calls, sums.input_tokens, sums.output_tokens, sums.usd) == (6, 0, 4, 1.5)
    told = [record.getMessage() for record in caplog.records if "cannot be summed up" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("odd figures: its backend gave figures")
    reader = stage.reader()
    records = [json.loads(call.record) for key in reader.states() for call in reader.calls(key)]
    assert {"usage": {"input_tokens": "-5"}, "cost": {"usd": "inf"}} in [
        record["clemcore"]["unusable_figures"] for record in records if "unusable_figures" in record["clemcore"]
    ]


def test_calls_of_episodes_are_collected_into_batches(stage: Stage) -> None:
    model = InBatches()
    summary = stage.play(stage.game(size=12, rounds=3), model, concurrency=12)
    assert summary.counts == {"played": 12}
    assert sum(model.sizes) == 72
    assert max(model.sizes) == 12  # all that wait, once no game can go on
    assert len(model.sizes) < 36
    reader = stage.reader()
    for key in reader.states():
        assert [(call.number, call.player) for call in reader.calls(key)] == [
            (number, f"Player {number % 2 + 1}") for number in range(6)
        ]
    alone = Stage(stage.folder / "alone")
    alone.play(alone.game(size=12, rounds=3), InBatches(), concurrency=1)
    assert alone.turns() == stage.turns()
    reader = alone.reader()  # a single call that answers as a batch is one call
    assert [len(reader.calls(key)) for key in reader.states()] == [6] * 12


def test_a_batch_is_no_larger_than_asked_for(stage: Stage) -> None:
    model = InBatches()
    stage.play(stage.game(size=10, rounds=2), model, concurrency=10, batch_size=4)
    assert max(model.sizes) == 4
    assert sum(model.sizes) == 40


def test_two_models_that_answer_batches_do_not_wait_for_each_other(stage: Stage) -> None:
    first, second = InBatches("first"), InBatches("second")
    summary = stage.play(stage.game(size=9, rounds=2), [first, second], concurrency=9)
    assert summary.counts == {"played": 9}
    assert sum(first.sizes) == sum(second.sizes) == 18
    assert max(first.sizes) > 1


def test_a_batch_that_fails_ends_the_episodes_in_it(stage: Stage) -> None:
    class Fails(InBatches):
        def generate_batch_response(self, batch_messages: Any) -> Any:
            if any("Begin" not in messages[-1]["content"] for messages in batch_messages):
                raise MemoryError("the device is full")
            return super().generate_batch_response(batch_messages)

    summary = stage.play(stage.game(size=4), Fails(), concurrency=4)
    assert summary.counts == {"error": 4}
    assert summary.kinds == {"MemoryError": 4}


def test_a_batcher_starts_when_the_baton_is_idle_or_the_batch_is_full() -> None:
    baton, model = Baton(), InBatches()
    batcher = Batcher(model, baton, 3)
    order: list[str] = []

    def ask(name: str) -> None:
        baton.take()
        question = Question([{"role": "user", "content": name}], None, Scope({"game": name}))
        batcher.ask([question])
        order.append(name)
        assert question.answer[2] == "batches 1"
        baton.give()

    baton.take()
    threads = [threading.Thread(target=ask, args=(name,)) for name in "abcde"]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    assert model.sizes == []
    baton.give()
    for thread in threads:
        thread.join()
    batcher.close()
    assert sorted(model.sizes) == [2, 3]
    assert sorted(order) == list("abcde")


class Collecting(InBatches):
    """A model that computes the calls of several threads together by itself."""

    collects_calls = True
    gains_by_batches = True

    def __init__(self) -> None:
        super().__init__("collecting")
        self.most = self.under_way = 0
        self.lock = threading.Lock()

    conversations = None

    def generate_batch_response(self, batch_messages: Any) -> Any:
        with self.lock:
            self.under_way += len(batch_messages)
            self.most = max(self.most, self.under_way)
            self.sizes.append(len(batch_messages))
        try:
            time.sleep(0.002)
            return [(messages, {}, f"{self.name} {len(messages)}") for messages in batch_messages]
        finally:
            with self.lock:
                self.under_way -= len(batch_messages)


def test_a_model_that_collects_calls_gets_each_at_once(stage: Stage) -> None:
    model = Collecting()
    assert stage.play(stage.game(size=8, rounds=3), model, concurrency=8).counts == {"played": 8}
    assert set(model.sizes) == {1}
    assert model.most > 1


def test_a_model_that_collects_calls_has_at_most_so_many(stage: Stage) -> None:
    model = Collecting()
    assert stage.play(stage.game(size=8, rounds=2), model, concurrency=8, batch_size=2).counts == {"played": 8}
    assert model.most <= 2


# -- other ways to ask ---------------------------------------------------------------------------------------------
class Asking(Talk):
    """A game master that asks its model in every way there is."""

    def _on_before_game(self) -> None:
        model, ask = self.player_models[0], [{"role": "user", "content": "Hi"}]
        self.log_to_self("stream", "".join(model.stream_response(ask)))
        self.log_to_self("reply", model.stream_response(ask).reply.text)
        self.log_to_self("awaited", asyncio.run(model.agenerate_response(ask))[2])
        self.log_to_self("batch", [reply[2] for reply in model.generate_batch_response([ask, [*ask, *ask]])])
        self.log_to_self("arguments", model.generate_response(ask, gen_args={"max_tokens": 7})[2])


class Telling(backends.Model):
    def __init__(self) -> None:
        super().__init__(Spec(model_name="telling", backend="test"))
        self.asked = 0

    def generate_response(self, messages: Any) -> Any:
        self.asked += 1
        return messages, {"tokens": self.max_tokens}, f"{len(messages)} messages, {self.max_tokens} tokens"


@pytest.mark.parametrize("model", [Telling(), InBatches()])
def test_a_game_master_may_ask_in_every_way(stage: Stage, model: Any) -> None:
    stage.play(stage.game(Asking, size=3, rounds=0), model, concurrency=3)
    reader = stage.reader()
    for key in reader.states():
        assert [(call.number, call.player, call.kind) for call in reader.calls(key)] == [
            (number, "GM", "model") for number in range(6)
        ] + [(6, "Player 1", "model")]
    text = str(stage.turns()[0])
    if isinstance(model, Telling):
        assert text.count("1 messages, 300 tokens") >= 4
        assert "2 messages, 300 tokens" in text
        assert "1 messages, 7 tokens" in text


def test_a_view_is_the_model_but_for_its_generation_arguments(stage: Stage) -> None:
    seen: list[Any] = []

    class Looks(Talk):
        def _on_setup(self, **instance: Any) -> None:
            import copy

            super()._on_setup(**instance)
            view: Any = self.player_models[0]
            view.seen_by = "all"
            view.set_gen_args(temperature=0.7)
            seen.append(
                (
                    view == model,
                    view.name,
                    isinstance(view, Telling),
                    copy.deepcopy(view) is view,
                    view.temperature,
                    view.max_tokens,
                    hash(view) == hash(model),
                    view.supports_batching(),
                )
            )

    model: Any = Telling()
    model.set_gen_args(temperature=0.0, max_tokens=20)
    stage.play(stage.game(Looks, size=1, rounds=1), model)
    assert seen == [(True, "telling", True, True, 0.7, 300, True, False)]
    assert model.seen_by == "all"
    assert (model.temperature, model.max_tokens) == (0.0, 20)
    assert "300 tokens" in str(stage.turns())


def test_a_draw_of_a_custom_model_changes_no_episode(stage: Stage) -> None:
    class Draws(Telling):
        def generate_response(self, messages: Any) -> Any:
            for _ in range(random.randrange(5)):  # such as the wait before another attempt
                random.random()
            return messages, {}, "same"

    others = [Stage(stage.folder / str(number)) for number in range(3)]
    for other in others:
        other.play(other.game(size=3), Draws(), concurrency=3)
    assert others[0].turns() == others[1].turns() == others[2].turns()


def test_every_call_gets_a_seed_if_the_model_takes_one(stage: Stage) -> None:
    class Seeded(Telling):
        def knows_argument(self, name: str) -> bool:
            return name == "seed"

        def generate_response(self, messages: Any) -> Any:
            return messages, {}, str(self.get_gen_arg("seed"))

    def seeds(folder: Path, **options: Any) -> list[str | None]:
        run = Stage(folder)
        run.play(run.game(size=3, rounds=2), Seeded(), **options)
        reader = run.reader()
        return [call.text for key in sorted(reader.states()) for call in reader.calls(key)]

    first = seeds(stage.folder / "a", concurrency=1)
    assert len(set(first)) == 12
    assert seeds(stage.folder / "b", concurrency=3) == first
    assert seeds(stage.folder / "c", seed=1) != first


# -- people --------------------------------------------------------------------------------------------------------
def test_people_get_one_episode_after_another(stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    asked: list[str] = []

    def answer(prompt: str = "") -> str:
        asked.append(prompt)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return f"answer {len(asked)}"

    monkeypatch.setattr(builtins, "input", answer)
    human = backends.get_model_for("human")
    assert stage.play(stage.game(size=2, rounds=1), human).stopped_by == "interrupt"
    assert "Begin with" in capsys.readouterr().out
    summary = stage.play(stage.game(size=2, rounds=1), human)
    assert summary.counts == {"played": 1}
    # The three answers that were stored are not asked for again.
    assert len(asked) == 5
    assert "answer 3" in str(stage.turns()[1])


# -- budgets -------------------------------------------------------------------------------------------------------
class Costly(Telling):
    """Costs a cent for each call, and refuses beyond its budget as a remote model does."""

    conversations: ClassVar[int | None] = None
    left = 10
    lock = threading.Lock()

    def generate_response(self, messages: Any) -> Any:
        with self.lock:
            if not self.left:
                raise BudgetExceededError("no money is left", usd=1, spent=1, needed=0.1)
            self.left -= 1
        return backends.Reply(messages, {}, "ok", {"cost": {"usd": 0.01}, "usage": {"input_tokens": 3}})


@pytest.mark.parametrize("concurrency", [1, 5])
def test_a_budget_stops_the_run_and_the_rest_is_played_later(stage: Stage, concurrency: int) -> None:
    class Stubborn(Talk):
        """Catches everything that its step raises."""

        def step(self, response: str) -> Any:
            with contextlib.suppress(BaseException):
                self.players[0]({"role": "user", "content": "more"})
            return super().step(response)

    model = Costly()
    summary = stage.play(stage.game(Stubborn, size=5, rounds=1), model, concurrency=concurrency)
    assert (summary.stopped_by, summary.exit_status) == ("budget", 3)
    assert isinstance(summary.error, BudgetExceededError)
    assert round(summary.usd, 4) == 0.10
    assert summary.input_tokens == 30
    assert summary.left == 5 - summary.counts["played"]
    reader = stage.reader()
    assert sum(len(reader.calls(key)) for key in reader.states()) == 10

    model.left = 1000
    again = stage.play(stage.game(Stubborn, size=5, rounds=1), model, concurrency=concurrency)
    assert (again.stopped_by, again.exit_status) == (None, 0)
    assert 1000 - model.left == 20 - 10


# -- memory --------------------------------------------------------------------------------------------------------
def _heard(stage: Stage) -> Callable[..., Any]:
    class Heard(Talk):
        def _on_before_game(self) -> None:
            self.log_to_self("remembered", len(self.players[0].get_perspective()))

    return Heard


def test_players_keep_their_dialogue_for_an_experiment(stage: Stage) -> None:
    heard = _heard(stage)

    def remembered() -> list[int]:
        return [turns[0][0]["action"]["content"] for turns in stage.turns()]

    stage.play(stage.game(heard, size=2, rounds=1), Telling(), keep_context="experiment", concurrency=4)
    assert remembered() == [0, 2]
    stage.play(stage.game(heard, size=4, rounds=1), Telling(), keep_context="experiment", concurrency=4)
    assert remembered() == [0, 2, 4, 6]


def test_a_game_may_ask_for_one_episode_at_a_time(stage: Stage) -> None:
    live: list[int] = []

    class Alone(Talk):
        now: ClassVar[int] = 0

        def _on_before_game(self) -> None:
            type(self).now += 1
            live.append(type(self).now)

        def _on_after_game(self) -> None:
            type(self).now -= 1

    summary = stage.play(stage.game(Alone, size=4, concurrency=1), Telling(), concurrency=8)
    assert summary.counts == {"played": 4}
    assert live == [1, 1, 1, 1]


def test_a_script_is_asked_again_and_compared_when_an_episode_is_played_again(stage: Stage) -> None:
    class Scripted(Talk):
        def _on_before_game(self) -> None:
            ask = [{"role": "user", "content": "Next?"}]
            for _ in range(3):
                self.log_to_self("line", self.player_models[0].generate_response(ask)[2])
            if broken:
                raise OSError("for now")
            self.log_to_self("line", self.player_models[0].generate_response(ask)[2])

    def mock(*lines: str) -> backends.Model:
        return backends.get_model_for({"model_name": "mock", "model_config": {"responses": list(lines)}})

    broken = True
    stage.play(stage.game(Scripted, size=1), mock("a", "b", "c", "d"))
    broken = False
    stage.play(stage.game(Scripted, size=1), mock("a", "b", "c", "d"), retry_errors=True)
    (turns,) = stage.turns()
    assert [event["action"]["content"] for event in turns[0][:4]] == ["a", "b", "c", "d"]
    assert stage.reader().episodes()[0].facts == {}

    broken = True
    stage.play(stage.game(Scripted, size=1, name="other"), mock("a", "b", "c"))
    broken = False
    stage.play(stage.game(Scripted, size=1, name="other"), mock("a", "x", "c", "d"), retry_errors=True)
    (other,) = [each for each in stage.reader().episodes() if each.key.game == "other"]
    assert other.facts["differs_from"] == {
        "number": 1,
        "player": "GM",
        "round": 0,
        "reason": "the answer of the program differs",
    }
