"""Odd calls of local models: each is refused in our own words, with what is wrong and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore.errors import GenerationArgumentError
from clemcore.model import Model

HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize("value", [10**400, 1 << 20_000, float("inf")], ids=["400", "20000 bits", "inf"])
def test_a_temperature_beyond_a_float(model: Model, value: float) -> None:
    with pytest.raises(GenerationArgumentError, match=r"model 'tiny' .* temperature: must be a (number|finite)"):
        model.generate_response(HELLO, gen_args={"temperature": value})


@pytest.mark.parametrize("depth", [250, 3000])
def test_a_schema_that_is_nested_without_end(model: Model, depth: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(GenerationArgumentError, match=r"constraint: is nested more than 200 levels deep"):
        model.generate_response(HELLO, gen_args={"constraint": {"json_schema": schema}})
