"""Episodes with a local model: in batches they get the answers that they get one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame.engine.summary import Summary
from clemcore.clemgame.engine.tally import Tally
from support.tiny_games import Stage


@pytest.mark.slow
def test_batches_of_a_local_model_give_the_same_turns(stage: Stage, tiny_chat: Path) -> None:
    pytest.importorskip("transformers")
    entry: dict[str, Any] = {
        "model_name": "tiny",
        "backend": "huggingface_local",
        "huggingface_id": str(tiny_chat),
        "model_config": {"requires_api_key": False},
    }
    model = backends.get_model_for(entry, {"temperature": 0.0, "max_tokens": 8})
    alone = Stage(stage.folder / "alone")
    assert alone.play(alone.game(size=6, rounds=2), model, concurrency=1).counts == {"played": 6}
    summary = stage.play(stage.game(size=6, rounds=2), model, concurrency=6)
    assert summary.counts == {"played": 6}
    assert summary.words_of_modes() == f"answers of local models: {summary.calls} fast"
    assert stage.turns() == alone.turns()
    reader = stage.reader()
    records = [json.loads(call.record) for key in reader.states() for call in reader.calls(key)]
    assert {record["clemcore"]["exactness"] for record in records} == {"fast"}
    assert max(record["clemcore"]["grouping"]["size"] for record in records) > 1
    assert {record["clemcore"]["scope"]["player"] for record in records} == {"Player 1", "Player 2"}

    # A model that draws gets a seed for each call, so its answers depend on nothing else.
    model = backends.get_model_for(entry, {"temperature": 1.0, "max_tokens": 8})
    warm = [Stage(stage.folder / name) for name in ("one", "six")]
    warm[0].play(warm[0].game(size=4, rounds=1), model, concurrency=1)
    warm[1].play(warm[1].game(size=4, rounds=1), model, concurrency=4)
    assert warm[0].turns() == warm[1].turns()


def test_the_summary_counts_answers_by_mode() -> None:
    summary = Summary()
    assert summary.words_of_modes() is None
    tally = Tally()
    tally.count_call({"exactness": "exact", "model": {"dtype": "bfloat16"}}, is_failed=False)
    tally.count_call({}, is_failed=False)
    summary.modes = tally.modes
    assert summary.words_of_modes() == "answers of local models: 1 exact"
    for mode in ("fast", "fast", "certified"):
        tally.count_call({"exactness": mode, "model": {"dtype": "float32"}}, is_failed=False)
    assert summary.words_of_modes() == "answers of local models: 1 certified, 1 exact, 2 fast"
    tally.count_call({"exactness": "fast", "model": {"dtype": "bfloat16"}}, is_failed=False)
    assert summary.words_of_modes() == (
        "answers of local models: 1 certified, 1 exact, 3 fast; in bfloat16, only exact answers do not depend on "
        "concurrency and resume"
    )
