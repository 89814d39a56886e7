"""Whatever goes wrong in an episode ends this episode alone, and what happened is stored."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame import Player
from clemcore.clemgame.layout import write_episode
from clemcore.clemgame.plan import EpisodeKey
from clemcore.errors import RemoteTimeoutError
from clemcore.secrets import remember
from support.tiny_games import Stage, Talk, Talker

Spec = backends.ModelSpec


class Counting(backends.Model):
    """Answers with the number of its calls; some calls fail."""

    conversations = None
    fails: Callable[[int], bool] = staticmethod(lambda _number: False)

    def __init__(self) -> None:
        super().__init__(Spec(model_name="counting", backend="test"))
        self.lock = threading.Lock()
        self.asked = 0

    def generate_response(self, messages: Any) -> Any:
        with self.lock:
            self.asked += 1
            number = self.asked
        if type(self).fails(number):
            raise RemoteTimeoutError(f"call {number} took too long")
        return messages, {"text": "yes"}, f"yes, {messages[-1]['content'][:40]}"


class EveryFifth(Counting):
    fails = staticmethod(lambda number: number % 5 == 0)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_model_that_fails_ends_episodes_that_are_completed_later(stage: Stage, concurrency: int) -> None:
    model = EveryFifth()
    summary = stage.play(stage.game(size=10, rounds=2), model, concurrency=concurrency)
    assert summary.counts["error"] > 0
    assert summary.exit_status == 1
    assert summary.kinds == {"RemoteTimeoutError": summary.counts["error"]}
    states = stage.reader().states()
    failed = [state for state in states.values() if state.state == "error"]
    error: Any = failed[0].error
    assert error["type"] == "RemoteTimeoutError"
    assert "generate_response" in error["traceback"]
    assert error["last_call"]["kind"] == "model"
    before = model.asked

    nothing = stage.play(stage.game(size=10, rounds=2), model, concurrency=concurrency, retry_errors=["KeyError"])
    assert (nothing.counts, model.asked) == ({}, before)
    assert nothing.left == 0

    for _ in range(20):
        again = stage.play(stage.game(size=10, rounds=2), model, concurrency=concurrency, retry_errors=True)
        if again.exit_status == 0:
            break
    assert set(stage.states().values()) == {"played"}
    # 4 calls each, and those that failed: no answer was asked for twice
    assert model.asked == 40 + model.asked // 5


HOOKS = (
    "__init__",
    "_on_setup",
    "_on_before_game",
    "_on_before_round",
    "_validate_player_response",
    "_parse_response",
    "_on_valid_player_response",
    "_should_pass_turn",
    "_next_player",
    "_start_next_round",
    "_does_game_proceed",
    "_on_after_round",
    "_on_after_game",
)


@pytest.mark.parametrize("error", [ValueError, SystemExit, RecursionError, GeneratorExit, MemoryError])
def test_a_game_that_raises_in_any_hook(stage: Stage, error: type[BaseException]) -> None:
    def master(*args: Any) -> Any:
        hook = HOOKS[numbers.pop(0)]

        class Raises(Talk):
            pass

        def fail(self: Any, *_: Any, **__: Any) -> Any:
            raise error(f"in {hook}")

        setattr(Raises, hook, fail)
        return Raises(*args)

    numbers = list(range(len(HOOKS)))
    summary = stage.play(stage.game(master, size=len(HOOKS)), backends.get_model_for("mock"), concurrency=1)
    assert summary.counts == {"error": len(HOOKS)}
    for (_, state), hook in zip(sorted(stage.reader().states().items()), HOOKS, strict=True):
        assert state.error is not None
        assert (state.error["type"], state.error["message"]) == (error.__name__, f"in {hook}")


def test_a_player_that_raises_keeps_what_came_before(stage: Stage) -> None:
    class Leaves(Talker):
        def _custom_response(self, context: dict[str, Any]) -> str:
            if "1" in self.name:
                return "hello"
            raise OSError(28, "No space left on device")

    class Left(Talk):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup(**instance)
            for player in self.players:
                player.__class__ = Leaves

    stage.play(stage.game(Left, size=1), backends.get_model_for("mock"))
    reader = stage.reader()
    ((key, state),) = reader.states().items()
    assert state.error is not None
    assert state.error["type"] == "OSError"
    partial = json.loads(reader.interactions(key))
    assert [event["action"]["content"] for event in partial["turns"][0]][1:3] == ["hello", "hello"]
    assert [(call.player, call.kind, call.text) for call in reader.calls(key)] == [("Player 1", "program", "hello")]


def test_an_error_shows_no_secret(stage: Stage) -> None:
    remember("sk-0123456789abcdefghij")

    class Tells(Talk):
        def _on_before_game(self) -> None:
            raise ValueError("the key is sk-0123456789abcdefghij")

    stage.play(stage.game(Tells, size=1), backends.get_model_for("mock"))
    (state,) = stage.reader().states().values()
    assert "0123456789" not in json.dumps(state.error)
    assert "***" in json.dumps(state.error)


# -- limits -------------------------------------------------------------------------------------------------------
class Endless(Talk):
    def _does_game_proceed(self) -> bool:
        return True


@pytest.mark.parametrize("model", [backends.get_model_for("mock"), Counting()])
def test_a_game_without_end_is_ended_by_its_limit(stage: Stage, model: backends.Model) -> None:
    summary = stage.play(stage.game(Endless, size=2), model, max_calls=20)
    assert summary.counts == {"limit": 2}
    assert summary.kinds == {"max_calls": 2}
    assert summary.exit_status == 1
    reader = stage.reader()
    for key, state in reader.states().items():
        assert state.error is not None
        assert (state.error["limit"], state.error["value"]) == ("max_calls", 20)
        assert len(reader.calls(key)) == 20
    assert stage.play(stage.game(Endless, size=2), model, max_calls=20).counts == {}
    again = stage.play(stage.game(Endless, size=2), model, max_calls=30)
    assert again.counts == {"limit": 2}
    assert (again.programs, again.calls) in [(20, 0), (0, 20)]  # the first 20 are known


class SwallowsCalls(Endless):
    """Asks its players itself, and goes on whatever that raises."""

    def step(self, response: str) -> Any:
        for _ in range(100):
            try:
                self.players[0]({"role": "user", "content": "Go on."})
            except BaseException as error:  # noqa: BLE001
                caught.append(type(error).__name__)
        return super().step(response)


caught: list[str] = []


def test_a_game_that_catches_the_limit_meets_it_again_at_its_next_call(stage: Stage) -> None:
    caught.clear()
    assert stage.play(stage.game(SwallowsCalls, size=1), Counting(), max_calls=10).counts == {"limit": 1}
    assert caught == ["LimitReached"] * 91


class Busy(Talk):
    def _validate_player_response(self, player: Player, response: str) -> bool:
        while True:
            pass


class BusyAndDeaf(Talk):
    def _validate_player_response(self, player: Player, response: str) -> bool:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                while time.monotonic() < end:
                    pass
            except BaseException:  # noqa: BLE001
                interrupts.append(1)
        return True


interrupts: list[int] = []


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_step_that_takes_too_long_is_interrupted(stage: Stage, concurrency: int) -> None:
    def master(spec: Any, experiment: Any, models: Any) -> Any:
        made.append(1)
        return (Busy if len(made) == 1 else Talk)(spec, experiment, models)

    made: list[int] = []
    mock = backends.get_model_for("mock")
    summary = stage.play(stage.game(master, size=4), mock, step_timeout=0.4, concurrency=concurrency)
    assert summary.counts == {"limit": 1, "played": 3}
    (error,) = [state.error for state in stage.reader().states().values() if state.error]
    assert error["limit"] == "step_timeout"
    assert "_validate_player_response" in error["traceback"]


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_step_that_swallows_the_interrupt_is_interrupted_again(stage: Stage, concurrency: int) -> None:
    interrupts.clear()
    summary = stage.play(
        stage.game(BusyAndDeaf, size=1), backends.get_model_for("mock"), step_timeout=0.4, concurrency=concurrency
    )
    assert summary.counts == {"limit": 1}
    assert len(interrupts) > 1


@pytest.mark.slow
def test_waiting_for_a_model_is_no_step(stage: Stage) -> None:
    class Slow(Counting):
        def generate_response(self, messages: Any) -> Any:
            time.sleep(0.6)
            return messages, {}, "late"

    assert stage.play(stage.game(size=2, rounds=1), Slow(), step_timeout=0.4, concurrency=2).counts == {"played": 2}
    limit = stage.play(stage.game(size=1, rounds=2, name="two"), Slow(), episode_timeout=1.0)
    assert (limit.counts, limit.kinds) == ({"limit": 1}, {"episode_timeout": 1})


@pytest.mark.slow
@pytest.mark.parametrize(("size", "in_batches"), [(1, False), (6, False), (1, True)])
def test_an_episode_whose_model_never_answers_is_given_up_at_the_end_of_the_run(
    stage: Stage, tmp_path: Path, size: int, in_batches: bool
) -> None:
    asleep, awake = threading.Event(), threading.Event()

    class Sleeper(Counting):
        conversations = None

        def generate_response(self, messages: Any) -> Any:
            if "Begin with" in messages[-1]["content"] and len(messages) == 1 and not asleep.is_set():
                asleep.set()
                awake.wait()
            return super().generate_response(messages)

    class InBatches(Sleeper):
        def generate_batch_response(self, batch: Any) -> Any:
            return [self.generate_response(messages) for messages in batch]

    model = InBatches if in_batches else Sleeper
    files = tmp_path / "files"
    summary = stage.play(
        stage.game(size=size, players=1),
        model(),
        episode_timeout=1.0,
        concurrency=2,
        layout=lambda each: write_episode(files, each),
    )
    assert dict(summary.counts) == {"limit": 1} | ({"played": size - 1} if size > 1 else {})
    [(key, error)] = summary.errors
    assert "its model has not answered, and its thread was left" in error["message"]
    assert json.loads(next(files.rglob("error.json")).read_bytes())["limit"] == "episode_timeout"
    awake.set()
    for thread in threading.enumerate():
        if thread.name.startswith("clemcore-episodes"):
            thread.join(10)
            assert not thread.is_alive()
    assert stage.states()[f"talk/{key.game_id}"] == "limit"  # the late answer has changed nothing
    again = stage.play(stage.game(size=size, players=1), Sleeper(), episode_timeout=60.0, concurrency=2)
    assert dict(again.counts) == {"played": 1}


# -- models and threads -------------------------------------------------------------------------------------------
def test_a_model_is_not_called_from_a_thread_of_the_game(stage: Stage) -> None:
    class Threads(Talk):
        def _on_before_game(self) -> None:
            def ask() -> None:
                try:
                    self.player_models[0].generate_response([{"role": "user", "content": "Hi"}])
                except RuntimeError as error:
                    self.log_to_self("refused", str(error))

            thread = threading.Thread(target=ask, name="my-thread")
            thread.start()
            thread.join()

    model = Counting()
    stage.play(stage.game(Threads, size=1, rounds=1), model)
    text = str(stage.turns())
    assert "from a thread that the game started itself ('my-thread')" in text
    assert model.asked == 2


def test_what_a_game_sets_on_a_model_applies_to_its_episode_alone(stage: Stage) -> None:
    seen: list[tuple[int, Any, Any]] = []

    class Shows(Counting):
        def generate_response(self, messages: Any) -> Any:
            with self.lock:
                seen.append((threading.get_ident(), self.get_gen_arg("max_tokens"), messages[-1]["content"]))
            barrier.wait(10)
            return messages, {}, "ok"

    barrier = threading.Barrier(2)

    class Sets(Talk):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup(**instance)
            self.number = instance["game_id"]
            self.before = self.player_models[0].max_tokens
            self.player_models[0].set_gen_arg("max_tokens", 1000 + self.number)
            self.set_context_for(self.players[0], f"{self.number}")

        def _on_after_game(self) -> None:
            assert self.player_models[0].max_tokens == 1000 + self.number
            self.player_models[0].set_gen_arg("max_tokens", self.before)

    model = Shows()
    model.set_gen_args(temperature=0.0, max_tokens=300)
    summary = stage.play(stage.game(Sets, size=2, rounds=1, players=1), model, concurrency=2)
    assert summary.counts == {"played": 2}
    assert sorted((text, tokens) for _, tokens, text in seen) == [("0", 1000), ("1", 1001)]
    assert model.max_tokens == 300


@pytest.mark.parametrize("most", [3, 0])
def test_the_machine_may_refuse_threads(stage: Stage, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("clemcore-episodes") and thread.name > f"clemcore-episodes-{most}":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    summary = stage.play(stage.game(size=9), backends.get_model_for("mock"), concurrency=9)
    assert summary.counts == {"played": 9}
    assert summary.notes == [
        f"the machine refused a thread (can't start new thread): {max(most, 1)} episodes are live at most"
    ]


def test_a_game_that_cannot_be_loaded_fails_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from clemcore.clemgame.engine import engine

    good, bad = stage.game(size=2), stage.game(size=2, name="broken", place=2)
    load = engine._load

    def failing(spec: Any) -> Any:
        if spec.game_name == "broken":
            raise SystemExit("I quit")
        return load(spec)

    monkeypatch.setattr(engine, "_load", failing)
    summary = stage.play([bad, good], backends.get_model_for("mock"))
    assert summary.counts == {"played": 2}
    assert summary.failed_games["broken"]["type"] == "SystemExit"
    assert (summary.left, summary.exit_status) == (2, 1)
    assert stage.states()["broken/0"] == "planned"


def test_a_layout_that_fails_loses_nothing(stage: Stage) -> None:
    pytest.importorskip("clemcore.clemgame.layout")

    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    summary = stage.play(stage.game(size=2), backends.get_model_for("mock"), layout=full)
    assert summary.counts == {"played": 2}
    assert [key for key, _ in summary.unwritten] == [EpisodeKey("talk", "e", 0, 1), EpisodeKey("talk", "e", 1, 1)]
    assert summary.exit_status == 1


def test_a_store_that_cannot_be_written_stops_the_run(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from clemcore.clemgame.store import EpisodeWriter
    from clemcore.errors import StoreError

    write = EpisodeWriter.call

    def fail(writer: Any, call: Any) -> None:
        if call.number == 3:
            raise StoreError("the disk is full")
        write(writer, call)

    monkeypatch.setattr(EpisodeWriter, "call", fail)
    for model in (backends.get_model_for("mock"), Counting()):
        summary = stage.play(stage.game(size=4), model, concurrency=2)
        assert summary.stopped_by == "store"
        assert "the disk is full" in str(summary.error)
        assert summary.counts == {}
    monkeypatch.undo()
    assert set(stage.states().values()) <= {"live", "planned"}
