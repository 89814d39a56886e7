"""What the calls of a run took: noted with each episode, and the same as what its calls say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clemcore.clemgame.runs.run import play
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.store import RunReader, usage
from clemcore.clemgame.store.usage import Usage, total, usage_of
from support.counting_server import CountingServer
from support.echo_game import write_game

pytestmark = pytest.mark.slow

PRICES = {"input": 100.0, "output": 100.0}


def _read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Usage:
    """Read every call, as if nothing was noted."""
    with monkeypatch.context() as patch:
        patch.setattr(usage, "USAGE", "not noted")
        return total(usage_of(folder))


def _same(one: Usage, other: Usage) -> bool:
    """Compare sums, which differ in the last digit where their order does."""
    amounts = [[each.usd, *each.usd_by_model.values()] for each in (one, other)]
    counts = [(each.calls, each.input_tokens, each.output_tokens, set(each.usd_by_model)) for each in (one, other)]
    return counts[0] == counts[1] and amounts[0] == pytest.approx(amounts[1])


def test_the_noted_sums_are_those_of_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    write_game(Path(), instances=4)
    with CountingServer(delay=0.001) as server:
        Path("model_registry.json").write_text(json.dumps([server.entry(prices=PRICES)]))
        server.fails_every = 5
        settings = RunSettings(games=["echo"], models=["counted"], retry_errors=True)
        play(settings)
        folder = Path("results/counted")
        with RunReader(folder) as reader:
            assert all("usage" in each.facts for each in reader.episodes())
        first = _read(folder, monkeypatch)
        assert first.calls > 0
        assert first.usd > 0
        assert _same(total(usage_of(folder)), first)
        server.fails_every = 0
        play(settings)  # an episode of two attempts notes nothing, so its calls are read
        with RunReader(folder) as reader:
            noted = ["usage" in each.facts for each in reader.episodes()]
        assert True in noted
        assert False in noted
        second = _read(folder, monkeypatch)
        assert second.usd > first.usd
        assert _same(total(usage_of(folder)), second)


def test_people_and_programs_are_counted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    write_game(Path())
    play(RunSettings(games=["echo"], models=["mock"]))
    folder = Path("results/mock")
    assert _same(total(usage_of(folder)), _read(folder, monkeypatch))
    assert total(usage_of(folder)).calls == 0
