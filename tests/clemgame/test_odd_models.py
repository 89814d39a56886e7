"""`clem run` with custom backends that answer in forms that are not asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clemcore.clemgame.layout.episodes import read_episodes
from support.clem import Clem
from support.echo_game import write_game

BACKEND = """\
from clemcore.backends import Backend, Model

ANSWERS = {"none": None, "bytes": b"SAY 1", "list": ["SAY 1"], "good": "SAY 1"}


class Odd(Backend):
    def get_model_for(self, model_spec):
        return OddModel(model_spec)


class OddModel(Model):
    def generate_response(self, messages):
        return messages, {"paid": "yes"}, ANSWERS[self.name]
"""
BATCHES = """\
from clemcore.backends import Backend, BatchGenerativeModel


class OddBatch(Backend):
    def get_model_for(self, model_spec):
        return OddModel(model_spec)


class OddModel(BatchGenerativeModel):
    def generate_response(self, messages):
        return self.generate_batch_response([messages])[0]

    def generate_batch_response(self, batch_messages):
        if self.name == "nothing":
            return None
        if self.name == "generator":
            return ((each, {}, "SAY 1") for each in batch_messages)
        return [(each, {}, 7) for each in batch_messages]
"""


@pytest.fixture(autouse=True)
def models(clem: Clem) -> None:
    write_game(Path(), instances=2)
    Path("odd_api.py").write_text(BACKEND)
    Path("oddbatch_api.py").write_text(BATCHES)
    entries = [{"model_name": name, "backend": "odd"} for name in ("none", "bytes", "list", "good")]
    entries += [{"model_name": name, "backend": "oddbatch"} for name in ("nothing", "generator", "number")]
    Path("model_registry.json").write_text(json.dumps(entries))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "kind"), [("none", "NoneType"), ("bytes", "bytes"), ("list", "list"), ("number", "int")]
)
def test_an_answer_that_is_not_text_ends_its_episode_and_is_kept(clem: Clem, model: str, kind: str) -> None:
    done = clem("run", "-g", "echo", "-m", model)
    assert done.returncode == 1
    assert (
        f"TypeError: OddModel must answer with (prompt, response, response_text), but response_text is {kind}"
        in (done.stderr)
    )
    assert "store" not in done.stderr
    episodes = list(read_episodes(Path("results") / model))
    assert [episode.state for episode in episodes] == ["error", "error"]
    if model != "number":
        (path,) = episodes[0].folder.glob("*.partial.requests.json")
        assert '"paid": "yes"' in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "kind"), [("nothing", "NoneType"), ("generator", "generator")])
def test_a_batch_that_is_not_a_list_is_named(clem: Clem, model: str, kind: str) -> None:
    done = clem("run", "-g", "echo", "-m", model)
    assert done.returncode == 1
    assert (
        "OddModel.generate_batch_response must return a list with an answer for each dialogue, "
        f"but gave {kind}" in done.stderr
    )


@pytest.mark.slow
def test_a_budget_says_that_it_does_not_limit_a_custom_backend(clem: Clem) -> None:
    done = clem("run", "-g", "echo", "-m", "good", "--budget", "1")
    assert done.returncode == 0
    assert "warning: model 'good' is of a custom backend" in done.stderr
