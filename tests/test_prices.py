"""Prices of entries, and what calls cost under them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clemcore.backends import ModelRegistry
from clemcore.errors import SpecError
from clemcore.registry.prices import prices_of

FLAT = {"model_name": "m", "prices": {"input": 3, "cached_input": 0.3, "output": 15, "date": "2026-11-10"}}
TIERED = {
    "prices": {"input": 2, "cached_input": 0.2, "output": 12, "tiers": [{"above": 1000, "input": 4, "output": 18}]}
}


def _cost(entry: dict[str, Any], input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
    prices = prices_of(entry)
    assert prices is not None
    return prices.cost(
        {"input_tokens": input_tokens, "output_tokens": output_tokens, "cached_tokens": cached_tokens}
    )


@pytest.mark.parametrize(
    ("entry", "counts", "cost"),
    [
        (FLAT, (1_000_000, 1_000_000), 18.0),
        (FLAT, (1_000_000, 0, 1_000_000), 0.3),
        (FLAT, (10, 0, 20), 3e-06),  # more cached than given: a provider's slip
        (FLAT, (1, 1), 1.8e-05),
        (TIERED, (1000, 100), 0.0032),
        (TIERED, (1001, 100, 1001), 0.0022004),  # the whole call, with the discount of the first prices
        ({"prices": {"input": 0, "output": 0}}, (5, 5), 0.0),
        ({"prices": {"input": 1, "output": 2}}, (1_000_000, 0, 500_000), 1.0),
    ],
)
def test_what_a_call_costs(entry: dict[str, Any], counts: tuple[int, ...], cost: float) -> None:
    assert _cost(entry, *counts) == cost


def test_what_the_service_bills_counts_where_it_tells_it() -> None:
    prices = prices_of(TIERED)
    assert prices is not None
    counted = {"input_tokens": 1001, "output_tokens": 100, "cached_tokens": 1001}
    # The tier is that of the whole prompt; of five billed tokens no more than five were cached.
    assert prices.cost({**counted, "billed_input_tokens": 5}) == 5 * 0.4e-6 + 100 * 18e-6
    assert prices.cost({**counted, "billed_input_tokens": 0, "billed_output_tokens": 0}) == 0


def test_what_is_not_known_has_no_cost() -> None:
    assert prices_of({"model_name": "m"}) is None
    prices = prices_of(FLAT)
    assert prices is not None
    assert prices.date == "2026-11-10"
    assert prices.cost({}) is None
    assert prices.cost({"input_tokens": 5}) is None


@given(
    st.decimals(0, 1000, places=4),
    st.decimals(0, 1000, places=4),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_sums_are_exact(price: Decimal, out: Decimal, given_tokens: int, made: int) -> None:
    entry = {"prices": {"input": float(price), "output": float(out)}}
    assert _cost(entry, given_tokens, made) == float((price * given_tokens + out * made) / 1_000_000)


@pytest.mark.parametrize(
    ("prices", "place"),
    [
        (7, "prices must be an object"),
        ({"input": 1}, r"prices\.output"),
        ({"input": "1", "output": 1}, r"prices\.input"),
        ({"input": -1, "output": 1}, r"prices\.input"),
        ({"input": True, "output": 1}, r"prices\.input"),
        ({"input": float("nan"), "output": 1}, r"prices\.input"),
        ({"input": 1, "output": 1, "cached_input": "x"}, r"prices\.cached_input"),
        ({"input": 1, "output": 1, "tiers": [3]}, r"tiers\[0\]"),
        ({"input": 1, "output": 1, "tiers": [{"above": 0, "input": 1, "output": 1}]}, r"tiers\[0\]\.above"),
        ({"input": 1, "output": 1, "tiers": [{"above": 9, "input": 1}]}, r"tiers\[0\]\.output"),
    ],
)
def test_prices_that_cannot_be_read(prices: Any, place: str) -> None:
    with pytest.raises(SpecError, match=f"model 'm': .*{place}"):
        prices_of({"model_name": "m", "prices": prices})


def test_every_packaged_price_can_be_read() -> None:
    read = [prices_of(spec) for spec in ModelRegistry.from_packaged_and_cwd_files() if "prices" in spec]
    assert len(read) > 200
    assert all(prices is not None and prices.date for prices in read)
