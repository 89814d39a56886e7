"""Odd calls of local models: each is refused in our own words, with what is wrong and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.errors import GenerationArgumentError

HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize("value", [10**400, 10**5000, float("inf")])
def test_a_temperature_beyond_a_float(model: HuggingfaceLocalModel, value: float) -> None:
    with pytest.raises(GenerationArgumentError, match=r"model 'tiny' .* temperature: must be a (number|finite)"):
        model.generate_response(HELLO, gen_args={"temperature": value})


@pytest.mark.parametrize("depth", [250, 3000])
def test_a_schema_that_is_nested_without_end(model: HuggingfaceLocalModel, depth: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(GenerationArgumentError, match=r"constraint: is nested more than 200 levels deep"):
        model.generate_response(HELLO, gen_args={"constraint": {"json_schema": schema}})
