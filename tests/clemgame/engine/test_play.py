"""Episodes side by side: the same turns at any concurrency and in any order."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import ClassVar

import pytest

from clemcore import backends
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.model import Model
from support.tiny_games import Stage, Talk, Turns


def _turns(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> list[Turns]:
    stage = Stage(folder, monkeypatch)
    summary = stage.play(stage.game(size=40), backends.get_model_for("mock"), **options)
    assert dict(summary.counts) == {"played": 40}
    assert summary.programs == 40 * 6
    assert summary.exit_status == 0
    return stage.turns()


@pytest.mark.slow
def test_turns_are_the_same_at_any_concurrency_and_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _turns(tmp_path / "1", monkeypatch, concurrency=1)
    assert len({str(turns) for turns in first}) == 40
    for number, (concurrency, shuffle) in enumerate([(1, 1), (16, 1), (16, 2), (200, 3)]):
        assert _turns(tmp_path / f"x{number}", monkeypatch, concurrency=concurrency, shuffle=shuffle) == first
    assert _turns(tmp_path / "other", monkeypatch, concurrency=1, seed=1) != first


def test_what_was_played_is_not_played_again(stage: Stage) -> None:
    mock = backends.get_model_for("mock")
    assert stage.play(stage.game(size=2), mock).counts == {"played": 2}
    before = stage.turns()
    summary = stage.play(stage.game(size=3), mock)
    assert (summary.counts, summary.earlier) == ({"played": 1}, 2)
    assert stage.turns()[:2] == before


class Collected(Talk):
    """A game that tells how many new objects there are until Python looks for cycles."""

    seen: ClassVar[list[int]] = []

    def _on_setup(self, **instance: object) -> None:
        self.seen.append(gc.get_threshold()[0])
        super()._on_setup(**instance)


@pytest.mark.parametrize(("given", "during"), [(700, 20_000), (50_000, 50_000), (0, 0)])
def test_python_looks_for_cycles_less_often_while_many_episodes_are_live(
    stage: Stage, given: int, during: int
) -> None:
    before = gc.get_threshold()
    Collected.seen.clear()
    try:
        gc.set_threshold(given, 10, 10)
        stage.play(stage.game(Collected, size=4), backends.get_model_for("mock"), concurrency=4)
        assert gc.get_threshold() == (given, 10, 10)
    finally:
        gc.set_threshold(*before)
    assert set(Collected.seen) == {during}


def test_one_model_is_given_to_the_game_once_per_player(stage: Stage) -> None:
    given = []

    def remember(spec: GameSpec, experiment: dict[str, object], models: list[Model]) -> Talk:
        given.append(models)
        return Talk(spec, experiment, models)

    stage.play(stage.game(remember, size=1), backends.get_model_for("mock"))
    [(first, second)] = given
    assert first is second  # so what a game sets on one holds for both


class OwnModelTalk(Talk):
    """A game whose second player is always a program, as the game made its model itself."""

    def _on_setup(self, **instance: object) -> None:
        self.player_models = [self.player_models[0], backends.CustomResponseModel()]
        super()._on_setup(**instance)


def test_programs_whose_model_the_game_makes_are_recorded_and_take_turns(stage: Stage) -> None:
    stage.play(stage.game(OwnModelTalk, size=20), backends.get_model_for("mock"), concurrency=20, shuffle=1)
    reader = stage.reader()
    for key in reader.states():
        calls = reader.calls(key)
        assert [call.player for call in calls] == ["Player 1", "Player 2"] * 3
        assert {call.kind for call in calls} == {"program"}
