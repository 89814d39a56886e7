"""Each contract of the games, by a tiny game that is written like those of its time."""

from __future__ import annotations

import math
from typing import Any

import pytest

from clemcore.clemgame import DialogueGameMaster, GameScorer
from clemcore.clemgame.legacy import master as legacy
from support.playing import Played, plain_spec, play_all, record, said


def _main(played: Played) -> Any:
    return played.scores["episode scores"]["Main Score"]


def test_legacy_games_play_with_the_newer_state() -> None:
    apple, river, cloud = play_all("legacy_clues")
    assert said(apple.interactions) == [
        [
            "GM>P1 Describe apple.\n",
            "P1>GM CLUE: hint 1",
            "GM>P2 Guess the word.\n\nCLUE: hint 1",
            "P2>GM GUESS: stone!",
            "GM>GM guess: stone",
        ],
        [
            "GM>P1 stone is wrong.",
            "P1>GM no prefix",
            "GM>GM invalid format: CLUE:",
            "GM>P1 Begin with CLUE:",
            "P1>GM CLUE: hint 3",
            "GM>P2 CLUE: hint 3",
            "P2>GM GUESS: apple!",
            "GM>GM guess: apple",
        ],
    ]
    assert apple.interactions["word"] == "apple", "log_key in the setup is kept until somebody listens"
    assert apple.interactions["meta"]["round_count"] == 2
    assert apple.interactions["meta"]["completed"] is True
    assert (apple.interactions["Request Count"], apple.interactions["Violated Request Count"]) == (5, 1)
    assert apple.scores["turn scores"] == {0: {"Guesses": 1}, 1: {"Guesses": 1}}
    assert (_main(apple), _main(river), _main(cloud)) == (50, 50, 0)
    assert cloud.scores["episode scores"]["Lose"] == 1


def test_new_games_count_requests_and_violations() -> None:
    high, aborted, lost = play_all("new_sums")
    assert said(high.interactions) == [
        ["GM>P1 Add up what I say.\n\n0 plus 1", "P1>GM SUM: 1", "GM>GM sum: {'steps': [1]}"],
        ["GM>P1 1 plus 2", "P1>GM SUM: 3", "GM>GM sum: {'steps': [1, 3]}"],
        ["GM>P1 3 plus 3", "P1>GM SUM: 6", "GM>GM sum: {'steps': [1, 3, 6]}"],
    ]
    assert high.interactions["Request Count"] == [1, 1, 1]
    assert high.scores["round scores"][2]["Request Success Ratio"] == 1.0
    assert _main(high) == 100
    assert aborted.interactions["Violated Request Count"] == [0, 1]
    assert aborted.scores["episode scores"]["Aborted"] == 1
    assert math.isnan(_main(aborted))
    assert said(lost.interactions)[1][-1] == "GM>GM rule violated: more than 10"
    assert lost.interactions["Violated Request Count"] == [0, 0], "only what cannot be parsed is a violation"
    assert lost.scores["episode scores"]["Lose"] == 1


def test_a_bare_game_master_leads_the_game_itself() -> None:
    first, second = play_all("bare_counting")
    assert said(first.interactions)[0] == ["GM>GM start: 0", "GM>P1 0", "P1>GM 1", "GM>P2 1", "P2>GM 2"]
    assert [len(turn) for turn in first.interactions["turns"]] == [5, 4, 2]
    assert first.interactions["meta"]["rounds_heard"] == 3
    assert first.interactions["Request Count"] == [2, 2, 1]
    assert [info["number"] for info in first.infos] == [1, 2, 3, 4, 5]
    assert first.interactions["players"]["Player 2"] == {"game_role": "Counter", "model_name": "programmatic"}
    assert _main(second) == 1


def test_games_for_2_x_are_made_by_name_and_path() -> None:
    ann, bob = play_all("old_greetings")
    assert said(ann.interactions) == [
        ["GM>P1 Greet Ann in English", "P1>GM hm", "GM>GM reprompt: hm"],
        [
            "GM>P1 Greet Ann in English",
            "P1>GM GREET: Ann in English",
            "GM>P2 GREET: Ann in English",
            "P2>GM Ann: hello!",
        ],
    ]
    assert ann.interactions["rounds before"] == [0, 0]
    assert ann.infos[-1] == {"episode_score": 100}
    assert ann.scores["turn scores"] == {0: {"Events": 3}, 1: {"Events": 4}}
    assert "round scores" not in ann.scores
    assert _main(bob) == 100


def test_games_for_2_x_can_have_a_loop_of_their_own() -> None:
    easy, _ = play_all("old_riddles")
    assert said(easy.interactions) == [
        [
            "GM>P1 (Solver) Solve my riddles. [pseudo]",
            "GM>P1 (Solver) What is one",
            "P1 (Solver)>GM one",
            "GM>GM answer: one",
        ],
        ["GM>P1 (Solver) What is two [forget]", "P1 (Solver)>GM two [forget]", "GM>GM answer: two"],
    ]
    assert easy.interactions["meta"]["completed"] is True
    assert list(easy.interactions["players"]) == ["GM", "Player 1 (Solver)"]


class _Both(DialogueGameMaster):
    def _validate_player_response(self, player: Any, response: str) -> bool:
        raise AssertionError

    def _advance_game(self, player: Any, parsed_response: Any) -> None: ...


class _Validating(DialogueGameMaster):
    def _validate_player_response(self, player: Any, response: str) -> bool:
        return True


class _Advancing(_Validating):
    def _advance_game(self, player: Any, parsed_response: Any) -> None: ...


def test_the_nearest_methods_of_a_class_decide_its_contract() -> None:
    assert DialogueGameMaster._contract.name == "new"
    assert _Both._contract.name == "new"
    assert _Validating._contract.name == "legacy"
    assert _Advancing._contract.name == "new"
    assert legacy.DialogueGameMaster._contract.name == "legacy"


def test_the_nearest_methods_of_a_scorer_decide_its_contract() -> None:
    class Old(GameScorer):
        def score_turns(self, interactions: dict[str, Any]) -> None: ...

    class New(Old):
        def compute_episode_scores(self, interactions: dict[str, Any]) -> None: ...

    assert "turn scores" in Old("g", {}, {}).scores
    assert "round scores" in New("g", {}, {}).scores


@pytest.mark.parametrize("kind", [DialogueGameMaster, legacy.DialogueGameMaster])
def test_a_missing_method_is_named(kind: type[Any]) -> None:
    master = kind(plain_spec(), {"name": "e"}, [None])
    with pytest.raises(NotImplementedError, match=r"DialogueGameMaster must define _on_setup\(\)"):
        master.setup()

    class Empty(kind):  # type: ignore[misc]
        def _on_setup(self, **kwargs: Any) -> None: ...

    with pytest.raises(RuntimeError, match=r"Empty\._on_setup added no players: call add_player"):
        Empty(plain_spec(), {"name": "e"}, [None]).setup()


def test_rounds_without_requests_have_no_ratio() -> None:
    class Scorer(GameScorer):
        def compute_episode_scores(self, interactions: dict[str, Any]) -> None:
            self.log_episode_score("Main Score", 1)

    counts = {"Request Count": [0, 1], "Parsed Request Count": [0, 1], "Violated Request Count": [0, 0]}
    scorer = Scorer("g", {}, {})
    scorer.compute_scores({"turns": [[], []], "Aborted": 0, "Lose": 0, "Success": 1, **counts})
    rounds = scorer.scores["round scores"]
    assert math.isnan(rounds[0]["Request Success Ratio"])
    assert rounds[1]["Request Success Ratio"] == 1


def test_a_game_without_a_context_is_told_so() -> None:
    from clemcore.backends import CustomResponseModel
    from clemcore.clemgame import Player

    class Silent(Player):
        def _custom_response(self, context: dict[str, Any]) -> str:
            return ""

    class Game(legacy.DialogueGameMaster):
        def _on_setup(self, **kwargs: Any) -> None:
            self.add_player(Silent(self.player_models[0]))

    master = Game(plain_spec(), {"name": "e"}, [CustomResponseModel()])
    master.setup()
    with pytest.raises(RuntimeError, match="Game has no context for Player 1: call set_context_for"):
        record(master)
