"""The margin of a choice. The oracle is the choice itself, made again from shifted scores."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.building import chooser_of
from clemcore.backends.local.choosing.chooser import Chooser, Greedy
from clemcore.backends.local.choosing.margins import Margins, with_margins
from clemcore.backends.local.choosing.rules import Rules

np = pytest.importorskip("numpy")

PROMPT = [1, 2, 3]
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 0.0, "repetition_penalty": 1.3},
    {"temperature": 1.0},
    {"temperature": 0.4},
    {"temperature": 1.0, "top_k": 3},
    {"temperature": 1.0, "top_p": 0.6},
    {"temperature": 1.0, "min_p": 0.3},
    {"temperature": 2.0, "top_k": 6, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.2},
    {"temperature": 1.0, "top_k": 1},
]
# Settings of which the margin is exact: a shift that is hardly larger changes the choice.
TIGHT = [settings for settings in SETTINGS if "top_p" not in settings and "repetition_penalty" not in settings]


def pair(settings: dict[str, Any], seed: int) -> tuple[Chooser | None, Chooser, Margins]:
    rules = Rules(Arguments(**{"max_tokens": 5, "seed": seed, **settings}))
    plain = chooser_of(rules, PROMPT)
    return plain, *with_margins(plain)


def scores_of(seed: int, size: int = 12) -> Any:
    return np.random.default_rng(seed).normal(0, 2, size).astype(np.float32)


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_smaller_shift_changes_the_choice(settings: dict[str, Any]) -> None:
    random = np.random.default_rng(5)
    for seed in range(25):
        scores = scores_of(seed)
        plain, watched, margins = pair(settings, seed)
        token = watched(scores, [])
        choose = plain or Chooser((), Greedy())
        assert token == choose(scores, [])
        shift = min(margins.values[0], 200.0) / 2 * 0.9999
        for _ in range(40):
            # The corners of the box are the worst: each score goes as far as it may.
            shifted = scores + shift * random.choice([-1.0, 1.0], len(scores))
            assert choose(shifted.astype(np.float32), []) == token
        worst = scores + np.where(np.arange(len(scores)) == token, -shift, shift)
        assert choose(worst.astype(np.float32), []) == token


@pytest.mark.parametrize("settings", TIGHT)
def test_a_larger_shift_changes_it(settings: dict[str, Any]) -> None:
    for seed in range(25):
        scores = scores_of(seed)
        plain, watched, margins = pair(settings, seed)
        token = watched(scores, [])
        choose = plain or Chooser((), Greedy())
        shift = margins.values[0] / 2 * 1.001 + 1e-5
        assert shift < 50
        # One token gains as much as it can on all others, or loses as much as it can.
        places = np.arange(len(scores))
        moved = [np.where(places == other, shift, -shift) for other in places]
        moved.append(np.where(places == token, -shift, shift))
        changed = [choose((scores + shifts).astype(np.float32), []) for shifts in moved]
        assert any(found != token for found in changed)


def test_top_p_is_judged_not_much_too_strictly() -> None:
    """Many margins are those of the noise alone."""
    exact = 0
    for seed in range(100):
        _, with_top_p, margins = pair({"temperature": 1.0, "top_p": 0.9}, seed)
        _, without, plain = pair({"temperature": 1.0}, seed)
        scores = scores_of(seed, 200)
        same = with_top_p(scores, []) == without(scores, [])
        exact += same and margins.values[0] == plain.values[0]
    assert exact >= 40


def test_greedy_by_hand() -> None:
    _, watched, margins = pair({"temperature": 0.0}, 0)
    assert watched([1.0, 3.5, 2.0], []) == 1
    assert watched([1.0, 1.0, 0.0], [1]) == 0
    assert margins.values == [1.5, 0.0]
    assert margins.least == 0.0


def test_a_single_token_that_can_be_taken_has_no_limit() -> None:
    _, watched, margins = pair({"temperature": 0.0}, 0)
    watched([-np.inf, 1.0, -np.inf], [])
    assert margins.least is None


def test_an_answer_that_is_begun_anew() -> None:
    _, watched, margins = pair({"temperature": 0.0}, 0)
    for ids in ([], [0], [0, 0], []):
        watched([1.0, float(len(ids))], ids)
    assert margins.values == [1.0]


def test_a_step_that_is_not_known() -> None:
    class Step:
        def __call__(self, scores: Any, ids: Any) -> Any:
            return scores

        def facts(self) -> dict[str, Any]:
            return {}

    watched, margins = with_margins(Chooser([Step()], Greedy()))
    watched([1.0, 9.0], [])
    assert margins.least == 0.0
