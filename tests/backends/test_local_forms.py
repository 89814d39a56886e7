"""Settings of local models that have a form of their own: judged as an entry is read, and by the registry check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core
from clemcore.backends.local.entry import read_entry
from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec

CONFIG = {"premade_chat_template": True}
SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"device_map": {}}, "model_config.device_map is empty"),
    ({"device_map": {"": "disk"}}, "device_map puts every module on the disk; name a device that computes"),
    ({"quantization_config": {}}, "model_config.quantization_config is empty"),
    ({"max_memory": {}, "device_map": "auto"}, "model_config.max_memory is empty"),
    ({"max_memory": {"disk": "1GB"}, "device_map": "auto"}, "max_memory leaves no device that computes"),
    (
        {"max_memory": {"cpuu": "1GB"}, "device_map": "auto"},
        "must have devices like '0' or 'cpu' as keys, not \"cpuu\"",
    ),
    ({"max_memory": {"cpu": "1 GBit"}, "device_map": "auto"}, 'max_memory.cpu must be bytes .* not "1 GBit"'),
    ({"kept_cache": "lots"}, 'model_config.kept_cache must be bytes .* not "lots"'),
    ({"kept_cache": -1}, "model_config.kept_cache must be bytes .* not -1"),
    ({"prefill_block": -1}, "prefill_block must be a number of tokens ≥ 0, not -1"),
    ({"reasoning": {}}, "model_config.reasoning is empty"),
    ({"reasoning": 5}, "model_config.reasoning must be an object, not an integer"),
    ({"reasoning": {"budget": -1}}, "reasoning.budget must be a number of tokens, not -1"),
    ({"reasoning": {"budget": 5.5}}, "reasoning.budget must be a number of tokens, not 5.5"),
    ({"reasoning": {"budgett": 5}}, 'not "budgett"; did you mean "budget"'),
    ({"reasoning": {"effort": 3}}, "reasoning.effort must be a word such as 'low', not 3"),
    ({"reasoning": {"effort": "low", "budget": 3}}, "effort and .*budget both say how much: keep one"),
    ({"reasoning": {"on_exceed": "clsoe"}}, "must be 'close', 'empty' or 'error', not \"clsoe\"; did you mean"),
    ({"reasoning": {"budget": 3, "closing": ""}}, "reasoning.closing must be a sentence"),
]


@pytest.mark.parametrize(("settings", "message"), SETTINGS, ids=lambda value: str(value)[:60])
def test_a_setting_of_the_wrong_form(settings: dict[str, Any], message: str) -> None:
    """It is found when the entry is read, and by ``clem registry check``."""
    config = {**CONFIG, **settings}
    with pytest.raises(SpecError, match=message):
        read_entry(ModelSpec(model_name="m", huggingface_id="o/m", model_config=config))
    fields = {"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": config}
    path = f"model_config.{next(iter(settings))}"
    assert any((problem.field or "").startswith(path) for problem in _core.judge(fields, "huggingface_local"))


@pytest.mark.parametrize(
    "settings",
    [
        {"kept_cache": "1.5 GiB"},
        {"kept_cache": 0},
        {"kept_cache": "300 b"},
        {"max_memory": {"0": "20GB", "cuda:1": 10**9, "cpu": "60gb", "disk": "1TB"}, "device_map": "auto"},
        {"reasoning": {"budget": 0, "on_exceed": "close", "closing": "So:"}},
        {"reasoning": {"effort": "none"}},
        {"quantization_config": {"load_in_4bit": True}},
        {"device_map": {"": "cpu"}},
    ],
    ids=str,
)
def test_a_setting_of_the_right_form(settings: dict[str, Any]) -> None:
    read_entry(ModelSpec(model_name="m", huggingface_id="o/m", model_config={**CONFIG, **settings}))


def test_every_packaged_entry_of_a_text_model_is_read() -> None:
    registry = json.loads((Path(__file__).parents[2] / "model_registry.json").read_text(encoding="utf-8"))
    local = [fields for fields in registry if fields["backend"] == "huggingface_local"]
    texts = [fields for fields in local if not fields["model_config"].get("multimodal")]
    assert len(texts) > 100
    for fields in texts:
        assert read_entry(ModelSpec(**fields)).source == fields["huggingface_id"]
