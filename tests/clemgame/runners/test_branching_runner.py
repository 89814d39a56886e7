"""Episodes go on in several ways; each way is an episode, and what they share is stored once."""

from __future__ import annotations

import copy
import json
import random
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clemcore.backends import CustomResponseModel, Model, ModelSpec
from clemcore.clemgame import (
    EpochResultsFolder,
    EpochResultsFolderCallback,
    GameBenchmark,
    GameBenchmarkCallback,
    GameBenchmarkCallbackList,
    GameInstances,
    GameSnapshot,
    GameSpec,
    GameStep,
    InteractionsFileSaver,
    ResultsFolder,
)
from clemcore.clemgame.game_master import GameMaster
from clemcore.clemgame.layout.episodes import Episode, read_episodes
from clemcore.clemgame.results.costs import costs_of
from clemcore.clemgame.runners import branching
from clemcore.clemgame.store.usage import total, usage_of
from clemcore.clemgame.training import export_training
from clemcore.errors import BudgetExceededError, GameError, RunError, StoreError
from support.playing import spec_of
from support.tiny_games import Talk


class Tree(GameBenchmarkCallback):
    """Hears of all branches; each copy has a path of its own, and all share the list of what was heard."""

    def __init__(self, heard: list[tuple[Any, ...]] | None = None) -> None:
        self.heard: list[tuple[Any, ...]] = [] if heard is None else heard
        self.path: list[Any] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Tree:
        other = Tree(self.heard)
        other.path = copy.deepcopy(self.path, memo)
        return other

    def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
        self.heard.append(("start", game_instance["game_id"]))

    def on_branching_point(self, game_master: Any, game_instance: dict[str, Any], snapshot: GameSnapshot) -> None:
        self.heard.append(("branch", snapshot, game_master.state))
        self.path.append(snapshot)

    def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: GameStep) -> None:
        self.path.append(game_step.response)

    def on_game_end(
        self,
        game_master: Any,
        game_instance: dict[str, Any],
        exception: Exception | None = None,
        rewards: dict[str, float] | None = None,
    ) -> None:
        self.heard.append(("end", game_instance["game_id"], exception, rewards, list(self.path)))

    def ends(self) -> list[tuple[Any, ...]]:
        return [each for each in self.heard if each[0] == "end"]


class Draws(Model):
    """Answers with a number that depends on the seed of the call alone."""

    def __init__(self, name: str = "draws") -> None:
        super().__init__(ModelSpec(model_name=name))
        self.seeds: list[Any] = []

    def knows_argument(self, name: str) -> bool:
        return name == "seed"

    def generate_response(self, messages: Any, **_: Any) -> Any:
        seed = self.gen_args.get("seed")
        self.seeds.append(seed)
        return messages, {}, f"{seed} after {len(messages)} messages"


class TalkBenchmark(GameBenchmark):
    master: type[GameMaster] = Talk

    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> Any:
        return self.master(self.game_spec, experiment, player_models)


@pytest.fixture
def talk(tmp_path: Path) -> TalkBenchmark:
    return TalkBenchmark(GameSpec(game_name="talk", game_path=str(tmp_path / "talk"), players=2))


def rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"experiment": {"name": "e"}, "game_instance": {"game_id": each, **fields}} for each in range(count)]


def savers(folder: Path) -> tuple[Tree, GameBenchmarkCallbackList]:
    tree, results = Tree(), ResultsFolder(folder, "tree")
    return tree, GameBenchmarkCallbackList([InteractionsFileSaver(results, store_branches=True), tree])


def branch_of(episode: Episode) -> dict[str, Any]:
    found: dict[str, Any] = episode._stored.facts.get("branch", {})  # type: ignore[attr-defined]
    return found


def answers_of(episode: Episode) -> list[str | None]:
    return [call.text for call in episode.calls()]


def _events(interactions: dict[str, Any]) -> str:
    """Return the events without their times."""
    return json.dumps([[{**event, "timestamp": ""} for event in turn] for turn in interactions["turns"]])


def test_each_way_is_an_episode_with_all_of_its_calls_and_events(tmp_path: Path, talk: GameBenchmark) -> None:
    tree, callbacks = savers(tmp_path)
    branching.run(talk, rows(2, rounds=2), [CustomResponseModel()], callbacks=callbacks, branching_factor=2)
    episodes = list(read_episodes(tmp_path))
    assert [episode.key.epoch for episode in episodes if episode.key.game_id == 1] == [*range(1, 17)]
    assert len(episodes) == 32, "two instances with 2 to the power of 4 endings"
    for instance in (0, 1):
        mine = [episode for episode in episodes if episode.key.game_id == instance]
        paths = [end[4] for end in tree.ends() if end[1] == instance]
        told = sorted([each for each in path if isinstance(each, str)] for path in paths)
        assert sorted(map(answers_of, mine)) == told
        assert len(set(map(tuple, told))) == 16, "each branch draws numbers of its own"
        # All branches but the first began as a part of another one, whose first answers they have.
        by_epoch = {episode.key.epoch: episode for episode in mine}
        assert not branch_of(by_epoch[1])
        for episode in mine[1:]:
            of, calls = branch_of(episode)["of"], branch_of(episode)["calls"]
            assert answers_of(episode)[:calls] == answers_of(by_epoch[of])[:calls]
            assert answers_of(episode)[calls] != answers_of(by_epoch[of])[calls]
    files = sorted(tmp_path.rglob("interactions.json"))
    assert [path.parent.name for path in files][:16] == [f"branch_{number:05d}" for number in range(1, 17)]
    by_file = sorted(_events(json.loads(path.read_bytes())) for path in files)
    assert by_file == sorted(_events(episode.interactions) for episode in episodes)


def test_snapshots_identify_the_point_at_which_branches_part(tmp_path: Path, talk: GameBenchmark) -> None:
    tree, callbacks = savers(tmp_path)
    branching.run(
        talk,
        rows(1),
        [CustomResponseModel()],
        callbacks=callbacks,
        branching_factor=3,
        branching_condition=branching.combined_condition(
            branching.is_round(1), branching.is_player_role("Talker"), lambda player, **_: player.name == "Player 2"
        ),
    )
    points = [each[1] for each in tree.heard if each[0] == "branch"]
    assert len(points) == 3
    assert len(set(points)) == 1, "siblings have the same snapshot"
    assert points[0].state.current_turn == 3, "it is of the moment before the step"
    assert all(each[2] is not points[0].state for each in tree.heard if each[0] == "branch")
    paths = [end[4] for end in tree.ends()]
    assert [path.index(points[0]) for path in paths] == [3, 3, 3]
    assert len({path[4] for path in paths}) == 3


def test_conditions_know_roles_models_and_rounds(talk: GameBenchmark) -> None:
    models = [Draws("teacher"), Draws("learner")]
    for condition, count in (
        (branching.is_player_model(models[1]), 2**3),
        (lambda player, **_: player.model == models[0], 2**3),
        (branching.is_round(0), 2**2),
        (branching.is_player_role("nobody"), 1),
        (None, 1),
        (lambda env, **_: env.agent_selection == "player_1" and env.game_instance["game_id"] == 0, 2**3),
    ):
        tree = Tree()
        branching.run(talk, rows(1), models, callbacks=tree, branching_factor=2, branching_condition=condition)
        assert len(tree.ends()) == count


def test_branches_ask_with_seeds_of_their_own(tmp_path: Path, talk: GameBenchmark) -> None:
    _, callbacks = savers(tmp_path)
    model = Draws()
    at_player_2 = branching.is_round(0)
    branching.run(talk, rows(1), [model], callbacks=callbacks, branching_factor=2, branching_condition=at_player_2)
    own = [call.text for episode in read_episodes(tmp_path) for call in episode.own_calls()]
    assert len(model.seeds) == len(own) == len(set(own)), "each call was made once, with a seed of its own"


def test_the_same_tree_comes_again_from_the_same_seed(tmp_path: Path, talk: GameBenchmark) -> None:
    trees = []
    for number, seed in enumerate((7, 7, 8)):
        tree, callbacks = savers(tmp_path / str(number))
        branching.run(talk, rows(1), [CustomResponseModel()], callbacks=callbacks, branching_factor=2, seed=seed)
        random.random()
        trees.append([[each for each in end[4] if isinstance(each, str)] for end in tree.ends()])
    assert trees[0] == trees[1] != trees[2]


class Long(Talk):
    """Its first message is long, and random, so that nothing compresses it."""

    def _on_setup(self, **instance: Any) -> None:
        super()._on_setup(**instance)
        self.set_context_for(self.players[0], "".join(random.choices("0123456789abcdef", k=60_000)))


def test_what_branches_share_is_stored_once(tmp_path: Path, talk: TalkBenchmark) -> None:
    talk.master = Long
    sizes = []
    for factor in (1, 2):
        folder = tmp_path / str(factor)
        _, callbacks = savers(folder)
        branching.run(
            talk,
            rows(1),
            [Draws()],
            callbacks=callbacks,
            branching_factor=factor,
            branching_condition=lambda env, **_: env.game_master.state.current_turn > 0,
        )
        sizes.append((folder / "tree" / "store.sqlite3").stat().st_size)
    episodes = list(read_episodes(tmp_path / "2"))
    assert len(episodes) == 32
    for episode in episodes:
        first = episode.interactions["turns"][0][0]["action"]["content"]
        assert len(first) == 60_000
        assert json.loads(episode.calls()[0].record)["manipulated_prompt_obj"][0]["content"] == first
    assert sizes[1] < sizes[0] + 32 * 8_000, "31 copies of the first message alone would take 1 MB"


def test_costs_count_each_call_once(tmp_path: Path, talk: GameBenchmark) -> None:
    _, callbacks = savers(tmp_path)
    model = Draws()
    branching.run(talk, rows(1), [model], callbacks=callbacks, branching_factor=2)
    ((costs,),) = ([each[""]] for each in costs_of(tmp_path).values())
    assert costs.calls == len(model.seeds) == 2 + 4 + 8 + 16 + 32 + 64


def test_costs_count_each_call_once_also_if_the_run_was_stopped(tmp_path: Path, talk: GameBenchmark) -> None:
    class Paid(Draws):
        def generate_response(self, messages: Any, **_: Any) -> Any:
            if len(self.seeds) >= 20:
                raise BudgetExceededError("no money is left")
            return super().generate_response(messages)

    _, callbacks = savers(tmp_path)
    model = Paid()
    with pytest.raises(BudgetExceededError):
        branching.run(talk, rows(1), [model], callbacks=callbacks, branching_factor=2)
    episodes = list(read_episodes(tmp_path))
    assert "live" in {episode.state for episode in episodes}
    answered = [call for episode in episodes for call in episode.own_calls() if call.text is not None]
    assert len(answered) == len(model.seeds)
    assert total(usage_of(tmp_path / "tree")).calls == sum(len(episode.own_calls()) for episode in episodes)


def test_a_branch_that_fails_fails_alone(tmp_path: Path, talk: GameBenchmark) -> None:
    class Sometimes(Draws):
        def generate_response(self, messages: Any, **_: Any) -> Any:
            if len(self.seeds) == 3:
                self.seeds.append(None)
                raise TimeoutError("no answer")
            return super().generate_response(messages)

    tree, callbacks = savers(tmp_path)
    branching.run(
        talk,
        rows(1),
        [Sometimes()],
        callbacks=callbacks,
        branching_factor=2,
        branching_condition=branching.is_round(0),
    )
    assert sorted(type(end[2]).__name__ for end in tree.ends()) == ["NoneType"] * 3 + ["TimeoutError"]
    assert sorted(episode.state for episode in read_episodes(tmp_path)) == ["error", "played", "played", "played"]


def test_pairs_come_from_branches_that_differ_in_score(tmp_path: Path) -> None:
    spec = spec_of("legacy_clues")

    class Guesses(Draws):
        def generate_response(self, messages: Any, **_: Any) -> Any:
            self.seeds.append(self.gen_args.get("seed"))
            word = "apple" if self.seeds[-1] % 2 else "stone"
            return messages, {}, f"GUESS: {word}"

    results = EpochResultsFolder(tmp_path / "results", "learner--teacher")
    callbacks = GameBenchmarkCallbackList([EpochResultsFolderCallback(results), InteractionsFileSaver(results)])
    learner = Guesses("learner")
    with GameBenchmark.load_from_spec(spec) as benchmark:
        branching.run(
            benchmark,
            GameInstances.from_game_spec(spec).filter(lambda row: row["game_instance"]["word"] == "apple"),
            [CustomResponseModel(), learner],
            callbacks=callbacks,
            branching_factor=6,
            branching_condition=branching.combined_condition(
                branching.is_player_model(learner), branching.is_round(0)
            ),
        )
        from clemcore.cli import score

        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(spec.game_path)
            score("all", results_dir=str(tmp_path / "results"))
    made = export_training(tmp_path / "results", "dpo", tmp_path / "pairs", missing_reward="skip")
    pairs = [json.loads(line) for line in (tmp_path / "pairs" / "train.jsonl").read_text().splitlines()]
    assert made.rows["train"] == len(pairs) > 0
    first = pairs[0]
    assert (first["chosen"][0]["content"], first["rejected"][0]["content"]) == ("GUESS: apple", "GUESS: stone")
    assert first["margin"] > 0
    assert first["model"] == "learner"


def test_branches_without_a_common_prefix_give_no_pairs(tmp_path: Path, talk: GameBenchmark) -> None:
    _, callbacks = savers(tmp_path / "results")
    branching.run(
        talk,
        rows(1, rounds=1),
        [Draws("teacher"), Draws("learner")],
        callbacks=callbacks,
        branching_factor=2,
        branching_condition=lambda player, **_: player.name == "Player 1",
    )
    from clemcore.clemgame.training import Filters

    with pytest.raises(StoreError, match=r"no common prefix: .* branches begin where this player answers"):
        export_training(
            tmp_path / "results",
            "dpo",
            tmp_path / "pairs",
            missing_reward=0.0,
            filters=Filters(models=("learner",)),
        )


def test_what_cannot_be_copied_is_told(talk: TalkBenchmark) -> None:
    class Holds(Talk):
        def _on_setup(self, **instance: Any) -> None:
            super()._on_setup(**instance)
            self.lock = threading.Lock()

    class Plays(Talk):
        def play(self) -> None:
            raise AssertionError("nobody calls it")

    for master, told in ((Holds, "cannot be copied for another branch: TypeError"), (Plays, "a play.. of its own")):
        talk.master = master
        tree = Tree()
        branching.run(talk, rows(1), [CustomResponseModel()], callbacks=tree, branching_factor=2)
        ((_, _, error, *_),) = tree.ends()
        assert isinstance(error, GameError)
        with pytest.raises(GameError, match=told):
            raise error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"branching_factor": 0}, "branching_factor must be an integer of at least 1, not 0"),
        ({"branching_factor": 1.5}, "not 1.5"),
        ({"branching_condition": "always"}, "must be a function that takes player and env, not 'always'"),
        (
            {"branching_condition": lambda p, e: p is e},
            "called with the keywords player and env, which",
        ),
        (
            {"feedback_func": "good"},
            "feedback_func must be a function of observation, action, state and info, not 'good'",
        ),
    ],
)
def test_factors_and_conditions_of_another_kind_are_refused(
    talk: GameBenchmark, arguments: dict[str, Any], told: str
) -> None:
    tree = Tree()
    with pytest.raises((RunError, GameError), match=told):
        branching.run(talk, rows(1), [CustomResponseModel()], callbacks=tree, **arguments)
    assert not tree.heard


def test_rewards_and_feedback_can_be_the_programs_own(talk: GameBenchmark) -> None:
    tree, infos = Tree(), []

    def reward(context: dict[str, Any], response: str, state: Any, info: dict[str, Any]) -> float:
        return float(len(response))

    def feedback(context: dict[str, Any], response: str, state: Any, info: dict[str, Any]) -> str:
        infos.append(info)
        return "well said"

    branching.run(talk, rows(1), [Draws()], callbacks=tree, reward_func=reward, feedback_func=feedback)
    ((_, _, _, rewards, path),) = tree.ends()
    assert rewards == dict.fromkeys(("player_0", "player_1"), float(len(path[-1])))
    assert {info["turn_feedback"] for info in infos} == {"well said"}
    for wrong in (float("nan"), None, "good"):
        worse: Any = lambda *_, wrong=wrong: wrong  # noqa: E731 - a value that no reward function may return
        branching.run(talk, rows(1), [Draws()], callbacks=(tree := Tree()), reward_func=worse)
        assert "must give a finite number" in str(tree.ends()[0][2])


class Env:
    """An environment of a game of two steps, as PettingZoo has them."""

    def __init__(self, heard: list[Any]) -> None:
        self.heard = heard
        self.left = 2
        self.path: list[str] = []
        self.agent_selection: str | None = "player_0"
        self.game_master = SimpleNamespace(state=None, current_round=0)
        self.game_instance = {"game_id": 0}
        self.callbacks = GameBenchmarkCallbackList()

    def __deepcopy__(self, memo: dict[int, Any]) -> Env:
        other = Env(self.heard)
        other.left, other.path, other.agent_selection = self.left, [*self.path], self.agent_selection
        return other

    @property
    def terminations(self) -> dict[str, bool]:
        return {"player_0": self.left == 0}

    @property
    def truncations(self) -> dict[str, bool]:
        return {"player_0": False}

    @property
    def player_by_agent_id(self) -> dict[str, Any]:
        return {"player_0": lambda context: f"{context} {random.random()}"}

    def last(self, observe: bool = True) -> tuple[Any, ...]:
        return self.left, 0.0, self.left == 0, False, {}

    def step(self, action: str | None) -> None:
        if action is None:
            self.agent_selection = None
        else:
            self.path.append(action)
            self.left -= 1

    def close(self) -> None:
        self.heard.append(self.path)


def test_a_program_can_branch_an_environment_of_its_own() -> None:
    heard: list[Any] = []
    shown: list[int] = []
    bar = SimpleNamespace(set_postfix=lambda **told: shown.append(told["branches"]))
    branching.BranchingRunner(Env(heard), 3, progress_bar=bar).run()
    assert len(heard) == 9
    assert len({path[0] for path in heard}) == 3
    assert shown == [1, 3, 9, 9, 0]
