"""Runners with a real local model: batches, and branches that are sampled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends import Model
from clemcore.clemgame import GameBenchmark, GameBenchmarkCallbackList, GameSpec, ResultsFolder, SignalFileSaver
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.runners import batchwise, branching, sequential
from clemcore.clemgame.training import export_training
from support.tiny_games import Talk

pytestmark = pytest.mark.slow


class TalkBenchmark(GameBenchmark):
    def create_game_master(self, experiment: dict[str, Any], player_models: list[Model]) -> Any:
        return Talk(self.game_spec, experiment, player_models)


@pytest.fixture
def talk(tmp_path: Path) -> TalkBenchmark:
    pytest.importorskip("transformers")
    return TalkBenchmark(GameSpec(game_name="talk", game_path=str(tmp_path / "talk"), players=2))


def tiny(folder: Path, temperature: float) -> Any:
    entry = {
        "model_name": "tiny",
        "backend": "huggingface_local",
        "huggingface_id": str(folder),
        "model_config": {"requires_api_key": False},
    }
    return backends.get_model_for(entry, {"temperature": temperature, "max_tokens": 8})


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"experiment": {"name": "e"}, "game_instance": {"game_id": number, "rounds": 2}} for number in range(count)
    ]


def into(folder: Path) -> GameBenchmarkCallbackList:
    return GameBenchmarkCallbackList([SignalFileSaver(ResultsFolder(folder, "tiny"))])


def facts_of(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(call.record)["clemcore"] for episode in read_episodes(folder) for call in episode.own_calls()
    ]


def test_batches_give_the_turns_of_one_episode_after_another(
    tmp_path: Path, talk: TalkBenchmark, tiny_chat: Path
) -> None:
    model = tiny(tiny_chat, 0.0)
    sequential.run(talk, rows(6), [model], callbacks=into(tmp_path / "alone"))
    batchwise.run(talk, rows(6), [model], callbacks=into(tmp_path / "together"), batch_size=3)
    texts = [
        [[call.text for call in episode.calls()] for episode in read_episodes(tmp_path / name)]
        for name in ("alone", "together")
    ]
    assert texts[0] == texts[1]
    assert max(facts["grouping"]["size"] for facts in facts_of(tmp_path / "together")) == 3


def test_sampled_branches_differ_and_have_the_ids_that_were_sent(
    tmp_path: Path, talk: TalkBenchmark, tiny_chat: Path
) -> None:
    branching.run(
        talk,
        rows(1),
        [tiny(tiny_chat, 1.0)],
        callbacks=into(tmp_path / "tree"),
        branching_factor=3,
        branching_condition=branching.is_round(0),
        reward_func=lambda *step: float(len(step[1])),
    )
    episodes = list(read_episodes(tmp_path / "tree"))
    assert len(episodes) == 9
    assert len({tuple(call.text for call in episode.calls()) for episode in episodes}) > 4, "few agree by chance"
    assert len(facts_of(tmp_path / "tree")) == 3 + 9 + 9 + 9
    assert max(facts["grouping"]["size"] for facts in facts_of(tmp_path / "tree")) > 1, "branches share batches"
    export_training(tmp_path / "tree", "rollouts", tmp_path / "ids", missing_reward=0.0, require_ids=True)
    found = [json.loads(line) for line in (tmp_path / "ids" / "train.jsonl").read_text().splitlines()]
    assert len(found) == 9 * 4, "each branch has all of its turns"
    assert all(row["prompt_ids"] and row["completion_ids"] for row in found)
