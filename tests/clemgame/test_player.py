"""Players: by model, person or program; with a game master or without."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends import BatchGenerativeModel, CustomResponseModel, HumanModel, Model, ModelSpec
from clemcore.clemgame import Player
from clemcore.clemgame.player import speaking
from clemcore.clemgame.recorder import EventCallRecorder

Context = dict[str, Any]
HELLO: Context = {"role": "user", "content": "Hello!"}


class Echo(Player):
    def _custom_response(self, context: Context) -> str:
        return f"<{context['content']}>"


class Counting(Model):
    """Answers with the number of messages and who speaks."""

    def generate_response(self, messages: list[Any]) -> Any:
        text = f"{len(messages)} for {speaking.get()}"
        return messages, {"text": text}, text


class Batching(BatchGenerativeModel):
    def __init__(self) -> None:
        super().__init__(ModelSpec(model_name="batching", backend="mine"))
        self.batches: list[int] = []

    def generate_response(self, messages: list[Any]) -> Any:
        return self.generate_batch_response([messages])[0]

    def generate_batch_response(self, batch_messages: list[Any]) -> list[Any]:
        self.batches.append(len(batch_messages))
        return [(each, {}, f"to {each[-1]['content']}") for each in batch_messages]


def recorder_of(player: Player) -> EventCallRecorder:
    recorder = EventCallRecorder(
        "g", experiment_name="e", game_id=0, player_name=player.name, game_role=player.game_role, model_name="m"
    )
    player.register(recorder)
    return recorder


def test_a_model_is_asked_with_the_whole_dialogue() -> None:
    player = Echo(Counting(ModelSpec(model_name="counting", backend="mine")), name="Player 1")
    assert player(HELLO) == "1 for Player 1"
    assert player(HELLO, memorize=False) == "3 for Player 1"
    assert player(HELLO) == "3 for Player 1"
    assert [message["role"] for message in player.get_perspective()] == ["user", "assistant"] * 2
    assert speaking.get() is None
    prompt, response = player.get_last_call_info()
    assert len(prompt) == 3
    assert response["text"] == "3 for Player 1"
    assert player.get_description() == "Player 1 (Echo): counting"


def test_a_program_answers_for_the_mock() -> None:
    player = Echo(CustomResponseModel(), name="Player 1", game_role="Echo")
    recorder = recorder_of(player)
    assert player(HELLO) == "<Hello!>"
    call = recorder.requests["calls"][0]["call"]
    assert call["manipulated_prompt_obj"] == HELLO
    assert call["raw_response_obj"] == {"clem_player": {"response": "<Hello!>", "model_name": "programmatic"}}


def test_a_person_is_asked_at_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hi there\n"))
    player = Echo(HumanModel(), name="Player 1")
    assert player({"role": "user", "content": "Hello!\x1b[2J"}) == "Hi there"
    assert "Hello!\\x1b[2J" in capsys.readouterr().out


def test_programs_from_before_2_0_get_messages_and_turn() -> None:
    class Old(Player):
        def _custom_response(self, messages: list[Any], turn_idx: int) -> str:  # type: ignore[override]
            return f"turn {turn_idx} of {len(messages)}"

    class Defaulting(Player):
        def _custom_response(self, context: Context, extra: int = 3) -> str:
            return f"{context['content']}{extra}"

    player = Old(CustomResponseModel())
    assert [player(HELLO), player(HELLO)] == ["turn 0 of 1", "turn 1 of 3"]
    assert Defaulting(CustomResponseModel())(HELLO) == "Hello!3"


def test_arguments_of_all_releases() -> None:
    events: list[Any] = []

    class Logger(EventCallRecorder):
        def log_event(self, from_: str, to: str, action: Any, call: Any = None) -> None:
            events.append((from_, to, action["content"], action["label"]))

    logger = Logger("g", experiment_name="e", game_id=0, player_name="A", game_role="R", model_name="m")
    model = CustomResponseModel()
    of_2_0 = Echo(model, "A", logger, "Begin.", ["image"])
    of_2_5 = Echo(model, "B", "Role", logger, {"role": "user", "content": "Begin."}, ["image"])
    of_3_7 = Echo(model, name="C", game_role="Role", forget_extras=["image"])
    for player in (of_2_0, of_2_5, of_3_7):
        player({**HELLO, "image": "a.png"})
        assert "image" not in player.get_perspective()[-2]
    assert (of_2_0.game_role, of_2_5.game_role) == ("Echo", "Role")
    assert [event[2:] for event in events[:3]] == [
        ("Begin.", "initial prompt"),
        ("Hello!", "context"),
        ("<Hello!>", "response"),
    ]
    assert [message["content"] for message in of_2_5.get_perspective()] == ["Begin.", "Hello!", "<Hello!>"]
    assert len(events) == 6
    with pytest.raises(
        AssertionError, match="an initial prompt is a text or a message with the role 'user', not 3"
    ):
        Echo(model, initial_prompt=3)


def test_what_is_remembered_does_not_change_with_the_context() -> None:
    player = Echo(CustomResponseModel(), forget_extras=["image"])
    context = {**HELLO, "image": ["a.png"], "places": [1]}
    player(context)
    context["places"].append(2)
    context["content"] = "changed"
    assert player.get_perspective()[0] == {**HELLO, "places": [1]}
    assert player.last_context == {**HELLO, "image": ["a.png"], "places": [1]}
    with pytest.raises(AssertionError, match="a context has the role 'user', not 'system'"):
        player({"role": "system", "content": "no"})


def test_a_copy_keeps_the_model_and_drops_the_listeners() -> None:
    player = Echo(CustomResponseModel(), name="Player 1")
    recorder = recorder_of(player)
    player(HELLO)
    twin = copy.deepcopy(player)
    twin(HELLO)
    assert twin.model is player.model
    assert (len(player.get_perspective()), len(twin.get_perspective()), len(recorder)) == (2, 4, 1)


def test_batches_go_to_the_model_of_each_player_even_if_names_are_equal() -> None:
    one, other = Batching(), Batching()
    players = [Echo(one, name="A"), Echo(other, name="B"), Echo(one, name="C"), Echo(CustomResponseModel())]
    contexts: list[Context] = [{"role": "user", "content": text} for text in "abcd"]
    answers = Player.batch_response(players, contexts, row_ids=[5, 6, 7, 8])
    assert {row: text for row, (_, text) in answers.items()} == {5: "to a", 6: "to b", 7: "to c", 8: "<d>"}
    assert (one.batches, other.batches) == ([2], [1])
    assert players[2].get_perspective()[-1]["content"] == "to c"
    with pytest.raises(AssertionError, match="same length: 4 != 1"):
        Player.batch_response(players, contexts[:1])


def test_a_view_of_a_model_takes_part_in_answers_of_programs() -> None:
    class View(CustomResponseModel):
        def answer_for_player(self, player: Player, context: Context, ask: Callable[[Context], str]) -> str:
            return f"{player.name}: {ask(context)}"

    assert Echo(View(), name="Player 1")(HELLO) == "Player 1: <Hello!>"


def test_a_player_without_listeners_keeps_no_events() -> None:
    player = Echo(CustomResponseModel(), name="Player 1")
    for _ in range(3):
        player(HELLO)
    assert player._early is None
    recorder = recorder_of(player)
    assert len(recorder) == 0


def test_reset_ends_the_conversation_of_the_model() -> None:
    model = CustomResponseModel(ModelSpec(model_name="mock", responses=["one", "two"]))
    Echo(model).reset()
    assert model.generate_response([HELLO])[2] == "one"
    assert backends.CustomResponseModel is CustomResponseModel
