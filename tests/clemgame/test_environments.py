"""Games as environments: the checkers of PettingZoo and Gymnasium, seeds, rewards, agents, and what is refused."""

from __future__ import annotations

import copy
import math
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pettingzoo")

from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, seed_test

from clemcore.clemgame import GameBenchmarkCallback, GameBenchmarkCallbackList, GameInstances
from clemcore.clemgame.envs.pettingzoo import (
    AgentControlWrapper,
    check_agent_mapping,
    check_agent_mapping_for_training,
    env,
    gym_env,
)
from clemcore.clemgame.envs.rewards import HookReward, ScoreReward
from clemcore.clemgame.envs.vector import vector_env
from clemcore.clemgame.runners import branching
from clemcore.errors import EnvError, GameError
from support.environments import write_guessing
from support.models import REPOSITORY

# They advise numbers and arrays for spaces; texts are neither.
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:(pettingzoo|gymnasium)")

OWN = ("word_dominoes", "lineup", "spot_the_change")


@pytest.fixture
def guessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_guessing(tmp_path)


@pytest.fixture
def opened() -> Iterator[Callable[[Any], Any]]:
    """Closes environments at the end."""
    found: list[Any] = []

    def note(each: Any) -> Any:
        found.append(each)
        return each

    yield note
    for each in found:
        each.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("game", OWN)
def test_the_checkers_pass(game: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY / "examples" / "games")
    api_test(env(game), num_cycles=100)
    seed_test(lambda: env(game), num_cycles=30)
    alone = gym_env(game)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(alone)
    alone.close()
    alone.close()


def test_an_episode_of_one_learner(guessing: Path, opened: Callable[[Any], Any]) -> None:
    game = opened(gym_env("guessing", env_agents={"player_1": lambda seen: f"no, {len(seen['content'])}"}))
    first, info = game.reset(options={"game_id": 1})
    assert first == {"role": "user", "content": "Guess the number of 1."}
    assert info == {"game_name": "guessing", "experiment_name": "easy", "game_id": 1}
    seen, reward, done, cut, info = game.step("seven")
    assert (seen["content"], reward, done, cut) == ("no, 11", 0.0, False, False)
    _, reward, done, _, info = game.step("1")
    assert (reward, done, info["game_id"]) == (1.0, True, 1)


def test_instances_come_in_order_without_a_seed_and_in_that_of_the_seed_with_one(
    guessing: Path, opened: Callable[[Any], Any]
) -> None:
    game = opened(gym_env("guessing"))
    assert [game.reset()[1]["game_id"] for _ in range(7)] == [0, 1, 2, 3, 4, 5, 0]

    def order(seed: int) -> list[int]:
        return [game.reset(seed=seed)[1]["game_id"], *(game.reset()[1]["game_id"] for _ in range(5))]

    assert order(3) == order(3) != order(4)
    assert sorted(order(3)) == [0, 1, 2, 3, 4, 5]


def test_a_single_pass_plays_each_instance_once_also_with_seeds(
    guessing: Path, opened: Callable[[Any], Any]
) -> None:
    game = opened(
        gym_env("guessing", single_pass=True, instances_filter=lambda row: row["game_instance"]["game_id"] < 3)
    )
    assert [game.reset(seed=1)[1]["game_id"] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StopIteration):
        game.reset(seed=1)


def test_a_seed_decides_what_the_game_and_its_programs_draw(guessing: Path, opened: Callable[[Any], Any]) -> None:
    first, second = opened(gym_env("guessing")), opened(gym_env("guessing"))

    def played(game: Any, seed: int | None) -> list[Any]:
        game.reset(seed=seed)
        return [game.step("x")[0] for _ in range(3)]

    random.seed(1)
    assert played(first, 5) == played(second, 5) != played(first, 6)
    drawn = random.random()
    random.seed(1)
    assert random.random() == drawn, "an episode with a seed has drawn from the process's own generator"
    random.seed(2)
    unseeded = played(opened(gym_env("guessing")), None)
    random.seed(2)
    assert played(opened(gym_env("guessing")), None) == unseeded, "3.7.2 draws from the process's generator"


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (None, [0, 1]),
        ("outcome", [0, 1]),
        ("score", [0, 0.5]),
        ("turn_score", [10, 20]),
        ("response_score", [3, 1]),
        ("episode_score", [0, 99]),
        (HookReward("turn_score", "episode_score"), [10, 119]),
        (ScoreReward(scale=1), [0, 50]),
        (lambda _seen, said, state, info: len(said) + state.tries + info["turn_score"], [14, 23]),
    ],
)
def test_rewards(guessing: Path, opened: Callable[[Any], Any], reward: Any, expected: list[float]) -> None:
    game = opened(gym_env("guessing", reward_func=reward))
    game.reset()
    assert [game.step(answer)[1] for answer in ("abc", "0")] == expected


def test_an_aborted_episode_and_feedback(guessing: Path, opened: Callable[[Any], Any]) -> None:
    for reward in ("outcome", "score"):
        game = opened(gym_env("guessing", reward_func=reward, feedback_func=lambda *given: f"you said {given[1]}"))
        game.reset()
        _, value, done, _, info = game.step("stop")
        assert (value, done, info["turn_feedback"]) == (-1.0, True, "you said stop")


def test_all_agents_share_the_reward_of_the_end(guessing: Path, opened: Callable[[Any], Any]) -> None:
    game = opened(env("guessing"))
    game.reset()
    game.step("nine")
    assert game.rewards == {"player_0": 0, "player_1": 0}
    game.step("no")
    game.step("0")
    assert game.rewards == {"player_0": 1, "player_1": 1}
    assert game.terminations == {"player_0": True, "player_1": True}
    assert game.last()[1] == 1
    game.step(None)
    game.step(None)
    assert game.agents == []


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, 10**400, pytest.param(1 << 20_000, id="long")])
def test_a_reward_that_is_not_a_number_is_refused(guessing: Path, opened: Callable[[Any], Any], value: Any) -> None:
    game = opened(gym_env("guessing", reward_func=lambda *_: value))
    game.reset()
    with pytest.raises(GameError, match="'<lambda>' must give a finite number, not"):
        game.step("1")


def test_a_reward_that_does_not_exist_is_refused(guessing: Path) -> None:
    with pytest.raises(GameError, match="no reward 'outcom'; did you mean 'outcome'"):
        env("guessing", reward_func="outcom")
    with pytest.raises(GameError, match="instances_filter leaves no instance"):
        env("guessing", instances_filter=lambda _: False)
    text: Any = "x"
    for make in (env, gym_env):
        with pytest.raises(GameError, match=r"feedback_func must be a function of observation, .*, not 'x'"):
            make("guessing", feedback_func=text)
        with pytest.raises(EnvError, match="instances_filter must be a function of a row"):
            make("guessing", instances_filter=text)


def test_instances_of_experiments_that_have_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[[Any], Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_guessing(tmp_path, hard=True)
    game = opened(gym_env("guessing"))
    assert game.reset(options={"game_id": 0})[1]["experiment_name"] == "easy"
    for name in ("hard", {"name": "hard"}):
        seen, info = game.reset(options={"game_id": 0, "experiment": name})
        assert (seen["content"], info["experiment_name"]) == ("Guess the number of 100.", "hard")
    for options, told in (
        ({"game_id": 0, "experiment": "hrad"}, "no experiment 'hrad'; did you mean 'hard'"),
        ({"game_id": 5, "experiment": "hard"}, "no instance with the game_id 5"),
        ({"experiment": "hard"}, "is chosen by its game_id, which is missing"),
    ):
        with pytest.raises(GameError, match=told):
            game.reset(options=options)
    games = opened(vector_env("guessing", 2))
    _, infos = games.reset(options={"game_id": 0, "experiment": ["easy", "hard"]})
    assert list(infos["experiment_name"]) == ["easy", "hard"]


def test_every_agent_can_learn(guessing: Path, opened: Callable[[Any], Any]) -> None:
    """As self-play does it: without the order of instances, with rows of its own."""
    row = next(iter(GameInstances.from_file("guessing", "guessing/in")))
    game = opened(AgentControlWrapper(env("guessing").env, {"player_0": "learner", "player_1": "learner"}))
    for reset in (1, 2):
        game.reset(seed=reset, options={"experiment": row["experiment"], "game_instance": row["game_instance"]})
        for agent, answer in (("player_0", "x"), ("player_1", "no"), ("player_0", "0")):
            assert game.agent_selection == agent
            game.step(answer)
        assert game.unwrapped.terminations == {"player_0": True, "player_1": True}
        assert game.unwrapped._cumulative_rewards == {"player_0": 1, "player_1": 1}
        while game.unwrapped.agents:
            game.step(None)


def test_a_selector_of_several_games_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY / "examples" / "games")
    with pytest.raises(GameError, match="an environment plays one game, but 'all' means 3: "):
        env("all")


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [
        ("pettingzoo", "pettingzoo", "envs"),
        ("vector", "gymnasium", "envs"),
        ("openenv.models", "pydantic", "serve"),
        ("openenv.server.app", "starlette", "serve"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(module: str, missing: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules['{missing}'] = None\n"
        f"try: import clemcore.clemgame.envs.{module}\n"
        "except ImportError as fault: print(fault)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"needs the package '{missing}'" in done.stdout
    assert f"pip install 'clemcore[{extra}]'" in done.stdout


class TestRefusals:
    """What a trainer does wrong gets one error that says what to do."""

    def test_a_step_out_of_order(self, guessing: Path, opened: Callable[[Any], Any]) -> None:
        for game in (opened(gym_env("guessing")), opened(env("guessing"))):
            with pytest.raises(EnvError, match=r"no episode has begun: call reset\(\) first"):
                game.step("1")
            game.reset()
            game.step("0")
            if game.metadata.get("name"):
                with pytest.raises(EnvError, match="the game is over for player_0"):
                    game.step("1")
                game.step(None)
                game.step(None)
            with pytest.raises(EnvError, match=r"the episode is over: call reset\(\) first"):
                game.step("1")

    @pytest.mark.parametrize("action", [None, 1, b"1", ["1"], {"player_0": "1"}])
    def test_an_action_that_is_not_text(self, guessing: Path, opened: Callable[[Any], Any], action: Any) -> None:
        for game in (opened(gym_env("guessing")), opened(env("guessing"))):
            game.reset()
            with pytest.raises(EnvError, match="the action of player_0 must be text, not"):
                game.step(action)
            game.step("9")  # the episode goes on

    def test_agents_that_do_not_exist(self, guessing: Path, opened: Callable[[Any], Any]) -> None:
        game = opened(env("guessing"))
        with pytest.raises(EnvError, match="before an episode has begun"):
            game.observe("player_0")
        game.reset()
        with pytest.raises(EnvError, match="no agent 'player1'; did you mean 'player_1'"):
            game.observe("player1")
        with pytest.raises(EnvError, match=r"guessing has no agent 'player_7'. Its agents are"):
            opened(gym_env("guessing", learner_agent="player_7")).reset()
        with pytest.raises(EnvError, match="named 'player_0', 'player_1' and so on, not 'first'"):
            gym_env("guessing", learner_agent="first")
        with pytest.raises(EnvError, match="another learner"):
            gym_env("guessing", env_agents={"player_0": lambda _: ""})
        with pytest.raises(EnvError, match="player_1 must be 'learner', a model or a function, not 3"):
            gym_env("guessing", env_agents={"player_1": 3})  # type: ignore[dict-item]

        with pytest.raises(EnvError, match="guessing has no agent 'player_7'"):
            gym_env("guessing", env_agents={"player_7": lambda _: ""})
        with pytest.raises(EnvError, match=r"env_agents must name who plays each agent, .* not 'mock'"):
            gym_env("guessing", env_agents="mock")  # type: ignore[arg-type]

    def test_a_turn_before_the_first_episode(self, guessing: Path, opened: Callable[[Any], Any]) -> None:
        game = opened(env("guessing"))
        for observe in (True, False):
            with pytest.raises(EnvError, match=r"before an episode has begun: call reset\(\) first"):
                game.last(observe)

    def test_options_that_do_not_exist(
        self, guessing: Path, opened: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        row = {"experiment": {"name": "own"}, "game_instance": {"game_id": 7}}
        for game in (opened(gym_env("guessing")), opened(env("guessing"))):
            with pytest.raises(EnvError, match=r"reset\(\) has no option 'gameid'; did you mean 'game_id'\? Its"):
                game.reset(options={"gameid": 1})
            with pytest.raises(EnvError, match="must be a dict, not"):
                game.reset(options=[1])
            with pytest.raises(EnvError, match="game_id and game_instance both name an instance"):
                game.reset(options={**row, "game_id": 1})
        with pytest.raises(EnvError, match=r"guessing: reset\(\) has no option 'temperature'\. Its options are"):
            opened(gym_env("guessing")).reset(options={"temperature": 1})
        game.reset(options={"options": 1})  # as PettingZoo's checker does
        assert "reset() has no option 'options'. Its options are game_id, experiment, " in caplog.text

    def test_a_closed_environment(self, guessing: Path) -> None:
        for game in (gym_env("guessing"), env("guessing")):
            game.reset()
            game.close()
            for ask, given in ((game.reset, ()), (game.step, ("1",))):
                with pytest.raises(EnvError, match="the environment is closed: make another one"):
                    ask(*given)

    def test_mappings(self, guessing: Path) -> None:
        spec: Any = type("Spec", (), {"game_name": "g", "player_count": 2, "is_single_player": lambda _: False})()
        with pytest.raises(AssertionError, match="player_1"):
            check_agent_mapping(spec, {"player_0": "learner"})
        with pytest.raises(ValueError, match="nobody learns"):
            check_agent_mapping_for_training(spec, {"player_0": "a", "player_1": "b"})


@pytest.mark.parametrize("make", [env, gym_env])
def test_an_episode_in_progress_can_be_copied(
    guessing: Path, opened: Callable[[Any], Any], make: Callable[..., Any]
) -> None:
    game = opened(make("guessing"))
    game.reset(seed=3)
    copied = copy.deepcopy(game)
    for each in (copied, game):  # they draw the same numbers, and do not hear of each other
        each.step("9")
    assert copied.unwrapped.game_master is not game.unwrapped.game_master if make is env else True
    shown = game.render()
    assert copied.render() == shown
    copied.step("9")
    assert game.render() == shown
    copied.close()
    game.step("9")  # the game is still loaded
    with pytest.raises(EnvError, match="the environment is closed"):
        copied.step("9")


def test_a_branching_runner_takes_an_environment(guessing: Path, opened: Callable[[Any], Any]) -> None:
    class Ends(GameBenchmarkCallback):
        def __deepcopy__(self, memo: dict[int, Any]) -> Ends:
            return self

        def on_game_end(
            self, game_master: Any, game_instance: Any, exception: Any = None, rewards: Any = None
        ) -> None:
            heard.append(exception or rewards)

    heard: list[Any] = []
    game = opened(env("guessing", callbacks=GameBenchmarkCallbackList([Ends()])))
    game.reset(seed=3)

    def first(player: Any, env: Any) -> bool:
        return bool(env.game_master.current_round == 0 and player.name == "Player 1")

    branching.BranchingRunner(game.unwrapped, 3, first).run()
    assert len(heard) == 3
    assert all(isinstance(each, dict) for each in heard)


@pytest.mark.parametrize("seed", ["x", 1.5, True])
def test_a_seed_is_an_integer(guessing: Path, opened: Callable[[Any], Any], seed: Any) -> None:
    with pytest.raises(EnvError, match="a seed must be an integer, not"):
        opened(env("guessing")).reset(seed=seed)


def test_an_episode_that_ends_before_the_learners_turn(guessing: Path, opened: Callable[[Any], Any]) -> None:
    game = opened(gym_env("guessing", learner_agent="player_1", env_agents={"player_0": lambda _: "stop"}))
    _, info = game.reset()
    assert info["ended_early"]
    _, reward, done, _, _ = game.step("ignored")
    assert (reward, done) == (-1.0, True)


def test_callbacks_hear_of_episodes_steps_and_errors(guessing: Path) -> None:
    heard: list[Any] = []

    class Ear(GameBenchmarkCallback):
        def on_benchmark_start(self, game_benchmark: Any) -> None:
            heard.append("begin")

        def on_game_start(self, game_master: Any, game_instance: dict[str, Any]) -> None:
            heard.append(game_instance["game_id"])

        def on_game_step(self, game_master: Any, game_instance: dict[str, Any], game_step: Any) -> None:
            heard.append(game_step.response)

        def on_game_end(
            self,
            game_master: Any,
            game_instance: dict[str, Any],
            exception: Exception | None = None,
            rewards: dict[str, float] | None = None,
        ) -> None:
            heard.append((str(exception), rewards))

        def on_benchmark_end(self, game_benchmark: Any) -> None:
            heard.append("end")

    game = gym_env("guessing", callbacks=GameBenchmarkCallbackList([Ear()]))
    game.reset()
    game.step("0")
    game.reset()
    with pytest.raises(RuntimeError, match="the game broke"):
        game.step("break")
    with pytest.raises(EnvError, match="the episode ended with an error"):
        game.step("1")
    game.close()
    ended = ("None", {"player_0": 1.0, "player_1": 1.0})
    assert heard == ["begin", 0, "0", ended, 1, ("the game broke", None), "end"]


def test_the_game_changes_no_instance(guessing: Path, opened: Callable[[Any], Any]) -> None:
    game = opened(gym_env("guessing"))
    for _ in range(2):
        assert game.reset(options={"game_id": 4})[0]["content"] == "Guess the number of 4."


def test_agents_see_messages_and_render_shows_them(guessing: Path, opened: Callable[[Any], Any]) -> None:
    game = opened(env("guessing"))
    game.reset()
    assert game.observe("player_1")["content"] == "It is not your turn yet."
    assert game.render().splitlines()[:2] == [
        "guessing easy/0, turn: player_0",
        "[player_0] Guess the number of 0.",
    ]
    game.observe("player_0")["content"] = "changed"
    assert game.observe("player_0")["content"] == "Guess the number of 0."
    assert not hasattr(game.action_space("player_0"), "shape") or "naïve\n" in game.action_space("player_0")
