"""What games of all releases do with their game master, and what must not break by it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest

from clemcore.backends import CustomResponseModel, Model
from clemcore.clemgame import DialogueGameMaster, GameInteractionsRecorder, GameState, Player, play_game
from clemcore.clemgame.game_master import GameMaster
from clemcore.clemgame.legacy.master import DialogueGameMaster as LegacyGameMaster
from clemcore.clemgame.legacy.recorder import DefaultGameRecorder
from clemcore.clemgame.state import Outcome
from support.playing import plain_spec, record, said


class Echo(Player):
    def _custom_response(self, context: dict[str, Any]) -> str:
        return f"<{context['content']}>"


class Game(LegacyGameMaster):
    """Two players speak once each, for some rounds."""

    rounds = 1

    def _on_setup(self, **instance: Any) -> None:
        self.a, self.b = Echo(self.player_models[0]), Echo(self.player_models[1])
        self.add_player(self.a, initial_context="to a")
        self.add_player(self.b, initial_context="to b")

    def _validate_player_response(self, player: Player, response: str) -> bool:
        return True

    def _on_valid_player_response(self, player: Player, parsed_response: str) -> None: ...

    def _does_game_proceed(self) -> bool:
        return bool(self.current_round < self.rounds)


def make(kind: type[Any], *, players: int = 2, models: int = 1, **experiment: Any) -> Any:
    spec = plain_spec(players=players)
    return kind(spec, {"name": "e", **experiment}, [CustomResponseModel() for _ in range(models)])


def ready(kind: type[Any], **instance: Any) -> Any:
    master = make(kind)
    master.setup(**instance)
    return master


def test_one_model_plays_all_players_but_other_numbers_must_match() -> None:
    assert len(make(Game).player_models) == 2
    with pytest.raises(ValueError, match="tiny requires 2 players, but 3 models were given"):
        make(Game, models=3)


def test_the_state_takes_over_what_the_framework_knows() -> None:
    @dataclass
    class Words(GameState):
        word: str

        def __post_init__(self) -> None:
            super().__init__()

    class WithState(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.state = Words("apple")

    master = ready(WithState, game_id=7)
    record(master)
    state = master.state
    assert (state.word, state.game_name, state.experiment_name, state.game_id) == ("apple", "tiny", "e", 7)
    assert state.outcome is Outcome.RUNNING
    assert str(state).startswith("[e] tiny (7) | Turn: 0")


@pytest.mark.parametrize("own", [{"word": "apple"}, object(), 3])
def test_the_state_may_be_any_object(own: Any) -> None:
    class WithState(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.state = own

    master = ready(WithState)
    assert len(said(record(master))[0]) == 4
    assert master.state is own


def test_a_replaced_experiment_does_not_confuse_the_framework() -> None:
    class Replacing(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.experiment = "cloud"

    assert ready(Replacing)._given_experiment["name"] == "e"


def test_the_round_is_0_before_a_legacy_game_and_stays_what_the_game_sets() -> None:
    class Old(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.seen = [self.current_round]

        def _on_before_game(self) -> None:
            self.seen.append(self.current_round)

        def _on_before_round(self) -> None:
            self.seen.append(self.current_round)

    class SetsBeforeGame(Old):
        def _on_before_game(self) -> None:
            self.current_round = 1  # 2025: a preliminary round was played

    class SetsInSetup(Old):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.current_round = 0  # 2026: the same, and the framework counts up

    for kind, seen in ((Old, [0, 0, 0]), (SetsBeforeGame, [0, 1]), (SetsInSetup, [0, 0, 1])):
        master = ready(kind)
        master.before_game()
        assert master.seen == seen, kind.__name__


def test_the_round_is_counted_up_before_a_new_game() -> None:
    class New(DialogueGameMaster):
        def _on_setup(self, **instance: Any) -> None:
            self.add_player(Echo(self.player_models[0]), initial_context="hello")
            self.seen = [self.current_round]

        def _on_before_game(self) -> None:
            self.seen.append(self.current_round)

        def _on_before_round(self) -> None:
            self.seen.append(self.current_round)

    master = make(New, players=1)
    master.setup()
    master.before_game()
    assert master.seen == [-1, -1, 0]
    assert master.state.current_turn == 0


def test_initial_prompts_and_contexts_may_be_messages() -> None:
    class Seeing(Game):
        def _on_setup(self, **instance: Any) -> None:
            self.a, self.b = Echo(self.player_models[0]), Echo(self.player_models[1])
            prompt = {"role": "user", "content": "Look.", "image": ["a.png"]}
            self.add_player(self.a, initial_prompt=prompt, initial_context={"content": "What is it?"})
            self.add_player(self.b, "Listen.", "to b")

    master = ready(Seeing)
    assert master.get_context_for(master.a) == {
        "role": "user",
        "content": "Look.\n\nWhat is it?",
        "image": ["a.png"],
    }
    turns = record(master)["turns"]
    assert turns[0][0]["action"]["image"] == ["a.png"]
    assert turns[0][2]["action"]["content"] == "Listen.\n\nto b"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial_prompt": {"content": "x"}}, "initial_prompt must have the role 'user'"),
        ({"initial_prompt": {"role": "user"}}, "initial_prompt must have a 'content' entry"),
        ({"initial_context": 3}, r"initial_context must be a text or a message \(dict\), not int"),
    ],
)
def test_wrong_initial_messages_are_refused(arguments: dict[str, Any], message: str) -> None:
    master = make(Game)
    with pytest.raises(AssertionError, match=message):
        master.add_player(Echo(CustomResponseModel()), **arguments)


def test_an_initial_prompt_comes_too_late_when_the_game_runs() -> None:
    class Late(Game):
        def _on_before_round(self) -> None:
            self.set_initial_prompt_for(self.a, "late")

    with pytest.raises(RuntimeError, match="set it in _on_setup"):
        record(ready(Late))


def test_games_may_choose_the_current_player_themselves() -> None:
    class Starting(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self._current_player_idx = 1

        def _start_next_round(self) -> bool:
            return self._current_player_idx == 1

    class Repeating(Game):
        def _on_valid_player_response(self, player: Player, parsed_response: str) -> None:
            if player is self.a:
                self._current_player = self.a

        def _should_pass_turn(self) -> bool:
            return self.current_player is self.b or self.requests() == 2

        def requests(self) -> int:
            return len(self.a.get_perspective()) // 2

    assert [line[:5] for line in said(record(ready(Starting)))[0]] == ["GM>P2", "P2>GM", "GM>P1", "P1>GM"]
    assert said(record(ready(Repeating)))[0][:2] == ["GM>P1 to a", "P1>GM <to a>"]


def test_direct_calls_of_players_are_recorded_where_they_happen() -> None:
    class Probing(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.a({"role": "user", "content": "in setup"}, memorize=False)

        def _on_before_game(self) -> None:
            self.a({"role": "user", "content": "before"})
            self.log_to_self("note", "probed")

        def _on_valid_player_response(self, player: Player, parsed_response: str) -> None:
            if player is self.b:
                self.log_to_self("note", "b spoke")
                self.a({"role": "user", "content": "to a"}, memorize=False)

    assert said(record(ready(Probing))) == [
        [
            "GM>P1 in setup [forget]",
            "P1>GM <in setup> [forget]",
            "GM>P1 before",
            "P1>GM <before>",
            "GM>GM note: probed",
            "GM>P1 to a",
            "P1>GM <to a>",
            "GM>P2 to b",
            "P2>GM <to b>",
            "GM>GM note: b spoke",
            "GM>P1 to a [forget]",
            "P1>GM <to a> [forget]",
        ]
    ]


def test_a_direct_call_that_the_game_logs_itself_is_not_doubled() -> None:
    class Logging(Game):
        def _on_before_game(self) -> None:
            action = {"type": "send message", "content": "probe", "label": "probe"}
            self.log_event("GM", self.a.name, action)
            answer = self.a({"role": "user", "content": "probe"})
            self.log_event(self.a.name, "GM", {"type": "get message", "content": answer, "label": "probe"})

    assert said(record(ready(Logging)))[0][:3] == ["GM>P1 probe [probe]", "P1>GM <probe> [probe]", "GM>P1 to a"]


class Bridge(GameMaster):
    """Logs contexts when they are asked for, as bridges to other frameworks do."""

    def setup(self, **kwargs: Any) -> None:
        self.player = Echo(self.player_models[0], name="Player 0")
        self.player.register_many(self._loggers)
        self._current_player = self.player
        self.number = 0

    def get_players(self) -> list[Player]:
        return [self.player]

    def get_context_for(self, player: Player) -> dict[str, Any]:
        context = {"role": "user", "content": "move"}
        self.log_gm_to_player(context, player)
        return context

    def step(self, response: str) -> tuple[bool, dict[str, Any]]:
        self.log_player_to_gm(response, self.player)
        self.number += 1
        self.log_next_round()
        self.log_to_self("note", self.number)
        return self.number == 2, {}


def test_programs_for_2_x_give_the_game_master_its_recorder() -> None:
    master = make(Game)
    recorder = DefaultGameRecorder("tiny", "e", 0, "run")
    master.game_recorder = recorder
    master.setup()
    master.play()
    assert len(recorder.interactions["turns"][0]) == 4
    assert recorder.interactions["meta"]["completed"] is True


def test_a_game_master_may_log_contexts_before_they_are_answered() -> None:
    master = make(Bridge, players=1)
    master.setup()
    assert said(record(master)) == [
        ["GM>P0 move", "P0>GM <move>"],
        ["GM>GM note: 1", "GM>P0 move", "P0>GM <move>"],
        ["GM>GM note: 2"],
    ]


def test_a_player_may_hear_something_without_answering_it() -> None:
    class Introducing(Game):
        def _on_before_game(self) -> None:
            self.a.perceive_context({"role": "user", "content": "rules"})
            self.a(context={"role": "user", "content": "ready?"})

    assert said(record(ready(Introducing)))[0][:4] == [
        "GM>P1 rules",
        "GM>P1 ready?",
        "P1>GM <ready?>",
        "GM>P1 to a",
    ]


def test_players_that_change_their_context_or_answer_are_not_doubled() -> None:
    class Changing(Echo):
        def perceive_context(self, context: dict[str, Any], **how: Any) -> list[dict[str, Any]]:
            return super().perceive_context({**context, "content": f"note, {context['content']}"}, **how)

        def __call__(self, context: dict[str, Any], memorize: bool = True) -> str:
            return f"{super().__call__(context)}!"

    class Changed(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.players_by_names.clear()
            self.a = Changing(self.player_models[0])
            self.add_player(self.a)
            self.add_player(self.b)

    assert said(record(ready(Changed)))[0][:2] == ["GM>P1 to a", "P1>GM <to a>!"]


def test_a_failing_model_leaves_the_prompt_in_the_record() -> None:
    class Broken(Echo):
        def _custom_response(self, context: dict[str, Any]) -> str:
            raise TimeoutError

    class Breaking(Game):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup()
            self.a._custom_response = Broken._custom_response.__get__(self.a)  # type: ignore[method-assign]

    master = ready(Breaking)
    recorder = GameInteractionsRecorder("tiny", "e", 0, "run", {})
    master.register(recorder)
    with pytest.raises(TimeoutError):
        play_game(master)
    assert said(recorder.interactions) == [["GM>P1 to a"]]
    assert recorder.interactions["meta"]["completed"] is None


def test_scores_for_trainers_are_in_the_infos_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    class Scoring(Game):
        def compute_response_score(self, response: str, context: dict[str, Any]) -> int:
            return len(response)

        def compute_turn_score(self) -> int:
            raise KeyError("stale")

        def compute_episode_score(self) -> float:
            return 1.0

    infos: list[dict[str, Any]] = []
    record(ready(Scoring), after_step=lambda *step: infos.append(step[-1]))
    assert infos == [{"response_score": 6}, {"response_score": 6, "episode_score": 1.0}]
    assert "Scoring.compute_turn_score failed; there is no 'turn_score'" in caplog.text


def test_a_copy_plays_on_by_itself() -> None:
    class Long(Game):
        rounds = 2

    master = ready(Long)
    master.before_game()
    master.step(master.current_player(master.get_context_for(master.current_player)))
    twin = copy.deepcopy(master)
    assert twin.player_models[0] is master.player_models[0]
    assert twin.get_players()[0] is not master.get_players()[0]
    twin.b({"role": "user", "content": "direct"})
    assert len(twin.b.get_perspective()) == 2
    assert not master.b.get_perspective()
    assert said(record(twin))[-1][-1] == "P2>GM <to b>"


def test_a_bare_game_master_must_define_its_steps() -> None:
    class Bare(GameMaster):
        def setup(self, **kwargs: Any) -> None: ...

    master = make(Bare)
    master.setup()
    with pytest.raises(NotImplementedError, match=r"Bare must define get_context_for\(\), or its own play\(\)"):
        master.play()


def test_games_by_name_and_path_learn_the_number_of_players(tmp_path: Any) -> None:
    (tmp_path / "clemgame.json").write_text('{"game_name": "old", "players": 2}')

    class Old(DialogueGameMaster):
        def __init__(self, name: str, path: str, experiment: dict[str, Any], models: list[Model]) -> None:
            super().__init__(name, path, experiment, models)

    one: list[Model] = [CustomResponseModel()]
    assert len(Old("old", str(tmp_path), {"name": "e"}, [*one]).player_models) == 2
    assert len(Old("other", str(tmp_path), {"name": "e"}, [*one]).player_models) == 1
    assert len(Old("old", "/nowhere", {"name": "e"}, one * 3).player_models) == 3
