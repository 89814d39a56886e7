"""Programs that step environments themselves collect batches from them, as in 3.7.2."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore.clemgame.runners.batchwise import DynamicBatchDataLoader, GameSession, SinglePassGameSessionPoller
from clemcore.errors import RunError


class Env:
    """An environment with one agent that ends after some observations."""

    def __init__(self, observations: int) -> None:
        self.left = observations
        self.agent_selection = "player_0"
        self.player_by_agent_id = {"player_0": f"the player of {observations}"}
        self.terminations = {"player_0": observations == 0}

    def last(self, observe: bool = True) -> tuple[Any, ...]:
        self.left -= 1
        self.terminations["player_0"] = self.left < 0
        return {"left": self.left}, 0.0, self.left < 0, False, {}


def loader(lengths: list[int], batch_size: int) -> DynamicBatchDataLoader:
    poller = SinglePassGameSessionPoller([GameSession(each, Env(size), {}) for each, size in enumerate(lengths)])
    return DynamicBatchDataLoader(poller, collate_fn=GameSession.collate_fn, batch_size=batch_size)


def test_a_session_gives_one_item_at_a_time_until_it_is_over() -> None:
    session = GameSession(3, Env(2), {"game_id": 1})
    assert [list(session) for _ in range(3)] == [
        [(3, "the player of 2", {"left": 1})],
        [(3, "the player of 2", {"left": 0})],
        [],
    ]
    assert session.is_done
    assert not list(GameSession(0, Env(0), {}))


@pytest.mark.parametrize(
    ("lengths", "size", "sessions"),
    [
        ([2, 2, 2, 2, 2], 3, [[0, 1, 2], [3, 4], [0, 1, 2], [3, 4]]),
        ([3], 5, [[0], [0], [0]]),
        ([1, 3, 2], 2, [[0, 1], [2], [1, 2], [1]]),
        ([0, 0], 2, []),
        ([], 2, []),
    ],
)
def test_batches_shrink_as_sessions_end(lengths: list[int], size: int, sessions: list[list[int]]) -> None:
    batches = loader(lengths, size)
    assert [batch[0] for batch in batches] == sessions
    assert all(batches.dataset.exhausted)


def test_an_item_is_taken_when_its_batch_is_made() -> None:
    batches = loader([2, 2], 1)
    first = next(iter(batches))
    assert first == ([0], ["the player of 2"], [{"left": 1}])
    assert batches.dataset.game_sessions[1].game_env.left == 2, "nobody has asked for it yet"


def test_a_batch_needs_a_size() -> None:
    with pytest.raises(RunError, match="batch_size must be an integer of at least 1, not 0"):
        loader([1], 0)
