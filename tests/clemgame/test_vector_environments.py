"""A batch of live episodes: it equals environments played one by one, and its models answer in batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gymnasium")

from gymnasium.vector import SyncVectorEnv

from clemcore import backends
from clemcore.clemgame import GameBenchmarkCallback, GameBenchmarkCallbackList, gym_env
from clemcore.clemgame.engine import Options
from clemcore.clemgame.envs.vector import GameVectorEnv, vector_env
from clemcore.errors import EnvError, GameError
from support.environments import write_guessing
from support.models import REPOSITORY


@pytest.fixture(autouse=True)
def _guessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    write_guessing(tmp_path)
    before = set(threading.enumerate())
    yield
    left = [each for each in threading.enumerate() if each not in before and each.name.startswith("clemcore-")]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left), left


def made(**options: Any) -> GameVectorEnv:
    return vector_env("guessing", options.pop("num_envs", 3), **options)


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("game", ["guessing", "word_dominoes", "spot_the_change"])
@pytest.mark.filterwarnings("ignore")
def test_it_equals_environments_that_are_stepped_one_by_one(
    game: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if game != "guessing":
        monkeypatch.chdir(REPOSITORY / "examples" / "games")
    ours = vector_env(game, 4, autoreset_mode=mode)
    theirs: Any = SyncVectorEnv([lambda: gym_env(game)] * 4, autoreset_mode=mode)
    first, expected = ours.reset(seed=3), theirs.reset(seed=3)
    assert first[0] == expected[0]
    assert str(first[1]) == str(expected[1])
    ours.action_space.seed(1)
    for _ in range(20):
        actions = [action[:9] for action in ours.action_space.sample()]
        left, right = ours.step(actions), theirs.step(actions)
        assert left[0] == right[0]
        assert [each.tolist() for each in left[1:4]] == [each.tolist() for each in right[1:4]]
        assert str(left[4]) == str(right[4])
    ours.close()
    ours.close()
    theirs.close()


def test_live_episodes_share_the_instances_where_there_is_no_seed() -> None:
    with_three = made()
    assert with_three.reset()[1]["game_id"].tolist() == [0, 1, 2]
    assert with_three.reset()[1]["game_id"].tolist() == [3, 4, 5]
    assert with_three.reset(options={"game_id": [5, 5, 0]})[1]["game_id"].tolist() == [5, 5, 0]
    _, infos = with_three.reset(seed=[7, 7, 8])
    assert infos["game_id"][0] == infos["game_id"][1]
    with_three.close()


def test_models_of_other_players_answer_in_batches() -> None:
    sizes: list[int] = []

    class Batching(backends.BatchGenerativeModel):
        def generate_response(self, messages: Any) -> Any:
            return messages, {}, "alone"

        def generate_batch_response(self, batch_messages: Any) -> Any:
            sizes.append(len(batch_messages))
            return [(messages, {}, f"no, {messages[-1]['content']}") for messages in batch_messages]

    model = Batching(backends.ModelSpec(model_name="batching"))
    model.set_gen_args(temperature=0.0, max_tokens=9)
    env = made(num_envs=4, env_agents={"player_1": model})
    env.reset()
    seen, *_ = env.step(["a", "b", "c", "d"])
    assert [message["content"] for message in seen] == [f"no, heard {each}" for each in "abcd"]
    assert sum(sizes) == 4
    assert max(sizes) > 1
    env.close()


def test_an_episode_that_fails_is_cut_off_alone() -> None:
    env = made()
    env.reset()
    _, rewards, terminated, truncated, infos = env.step(["0", "break", "x"])
    assert rewards.tolist() == [1, 0, 0]
    assert terminated.tolist() == [True, False, False]
    assert truncated.tolist() == [False, True, False]
    assert "RuntimeError: the game broke" in infos["error"][1]
    _, _, terminated, truncated, infos = env.step(["", "", "y"])
    assert not terminated.any()
    assert not truncated.any()
    assert infos["game_id"].tolist() == [3, 4, 2]
    env.close()


def test_a_function_that_gives_no_text_is_told() -> None:
    env = made(num_envs=1, env_agents={"player_1": lambda _: None})
    env.reset(seed=1)
    *_, infos = env.step(["1"])
    assert "the action of player_1 must be text, not None" in infos["error"][0]
    env.close()


def test_a_time_limit_cuts_episodes_off() -> None:
    env = made(time_limit=0.05)
    env.reset()
    threading.Event().wait(0.3)
    _, _, terminated, truncated, infos = env.step(["0", "1", "2"])
    assert truncated.all()
    assert not terminated.any()
    assert set(infos["truncated_by"]) == {"time_limit"}
    env.close()


@pytest.mark.slow
def test_code_of_a_game_that_hangs_cuts_off_its_episode_alone() -> None:
    env = made(options=Options(step_timeout=0.5))
    env.reset()
    _, rewards, terminated, truncated, infos = env.step(["0", "hang", "x"])
    assert rewards.tolist() == [1, 0, 0]
    assert terminated.tolist() == [True, False, False]
    assert truncated.tolist() == [False, True, False]
    assert infos["truncated_by"][1] == "step_timeout"
    env.close()


def test_an_episode_has_a_limit_of_calls() -> None:
    env = made(num_envs=1, options=Options(max_calls=3))
    env.reset()
    env.step(["x"])
    _, _, _, truncated, infos = env.step(["x"])
    assert truncated.all()
    assert infos["truncated_by"] == ["max_calls"]
    env.close()


def test_episodes_are_reset_where_the_mask_says() -> None:
    env = made(autoreset_mode="Disabled")
    env.reset()
    env.step(["0", "x", "x"])
    with pytest.raises(EnvError, match="episode 0: the episode is over: reset it with options="):
        env.step(["x", "x", "x"])
    _, infos = env.reset(options={"reset_mask": [True, False, False]})
    assert infos["game_id"].tolist()[0] == 3
    _, rewards, _, _, _ = env.step(["3", "1", "x"])
    assert rewards.tolist() == [1, 1, 0]
    env.close()


def test_callbacks_hear_of_abandoned_episodes() -> None:
    heard: list[str] = []

    class Ear(GameBenchmarkCallback):
        def on_game_end(
            self,
            game_master: Any,
            game_instance: dict[str, Any],
            exception: Exception | None = None,
            rewards: dict[str, float] | None = None,
        ) -> None:
            heard.append(str(exception))

    env = made(num_envs=1, callbacks=lambda _: GameBenchmarkCallbackList([Ear()]))
    env.reset()
    env.reset()
    env.step(["1"])
    env.reset()
    env.close()
    left, other = "guessing/easy/0/1: the episode was abandoned", "guessing/easy/2/3: the episode was abandoned"
    assert heard == [left, "None", other]


def test_what_is_refused() -> None:
    with pytest.raises(EnvError, match="num_envs must be a number of at least 1"):
        made(num_envs=0)
    for limit in (0, -1, float("nan"), "60"):
        with pytest.raises(EnvError, match="time_limit must be a number of seconds above 0"):
            made(time_limit=limit)
    with pytest.raises(GameError, match="leaves no instance"):
        made(instances_filter=lambda _: False)
    with pytest.raises(EnvError, match=r"autoreset_mode must be one of 'NextStep', .* not 'same'"):
        made(autoreset_mode="same")
    with pytest.raises(EnvError, match="no agent 'player_9'"):
        made(learner_agent="player_9")
    env = made()
    with pytest.raises(EnvError, match=r"options of reset\(\) must be a dict"):
        env.reset(options=[{"game_id": 0}] * 3)  # type: ignore[arg-type]
    with pytest.raises(EnvError, match=r"episode 0: step.* no episode has begun"):
        env.step(["a", "b", "c"])
    env.reset()
    for actions in (["a"], "abc", None, 3):
        with pytest.raises(EnvError, match="needs a text for each of the 3 episodes"):
            env.step(actions)  # type: ignore[arg-type]
    with pytest.raises(EnvError, match="episode 1: the action must be text, not 5"):
        env.step(["a", 5, "c"])  # type: ignore[list-item]
    with pytest.raises(EnvError, match="'seed' must have 3 entries, not 2"):
        env.reset(seed=[1, 2])
    with pytest.raises(EnvError, match="has no option 'gameid'; did you mean 'game_id'"):
        env.reset(options={"gameid": 3})
    with pytest.raises(GameError, match="no instance with the game_id 77"):
        env.reset(options={"game_id": 77})
    env.reset()
    env.close()
    for ask in (env.reset, lambda: env.step(["a", "b", "c"])):
        with pytest.raises(EnvError, match="the environment is closed: make another one"):
            ask()
