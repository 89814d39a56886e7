"""Every field of a record is explained on its page, whichever backend wrote it; and one script reads them all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clemcore import backends
from clemcore.errors import BadRequestError, GenerationArgumentError
from support.remote import HELLO
from support.wire_server import WireServer, completion, refusal

if TYPE_CHECKING:
    from clemcore.backends.huggingface_local import HuggingfaceLocalModel

PAGE = (Path(__file__).parents[2] / "docs" / "record.md").read_text(encoding="utf-8")
# What these hold is explained where it comes from: the entry, the caller's own arguments, other pages.
FOREIGN = {"model_spec", "all", "asked", "sent", "versions", "parameters", "proof", "old", "new"}


def fields(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inside in value.items():
            yield name
            if name not in FOREIGN:
                yield from fields(inside)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item)


def _record(wire_server: WireServer, model: HuggingfaceLocalModel) -> list[dict[str, Any]]:
    """Answers and failures of a service, a local model, a mock and a replay of them."""
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}}
    busy, whole = refusal(500, "once more"), completion("Yes.", usage=usage, system_fingerprint="fp")
    wire_server.script = [busy, whole, refusal(400, "no"), completion(""), whole]
    prices = {"input": 1, "output": 2, "date": "2026-11-12"}
    with backends.record("requests.json"):
        served = backends.get_model_for(
            {
                "model_name": "served",
                "backend": "openai_compatible",
                "model_id": "m",
                "base_url": f"{wire_server.url}/v1",
                "prices": prices,
                "model_config": {"requires_api_key": False},
                "override": {"context_size": "8k"},
            }
        )
        served.generate_response(HELLO)
        with pytest.raises(BadRequestError):
            served.generate_response(HELLO)
        served.generate_response(HELLO)
        assert isinstance(served, backends.BatchGenerativeModel)
        served.generate_batch_response([HELLO])
        served.set_gen_arg("seed", object())
        with pytest.raises(GenerationArgumentError):
            served.generate_response(HELLO)
        model.set_gen_args(temperature=0.0, max_tokens=3)
        model.generate_batch_response([HELLO, HELLO])
        backends.get_model_for("mock").generate_response(HELLO)
    calls: list[dict[str, Any]] = json.loads(Path("requests.json").read_text(encoding="utf-8"))
    assert len(calls) == 8
    return calls


def test_every_field_is_explained_and_means_the_same(wire_server: WireServer, model: HuggingfaceLocalModel) -> None:
    record = _record(wire_server, model)
    explained = set(re.findall(r"`([a-z0-9_]+)`", PAGE)) | set(re.findall(r"`wire\.([a-z_]+)`", PAGE))
    found = {name for call in record for name in fields(call["clemcore"])}
    assert {"queued", "first_byte", "reasoning_tokens", "generate_seconds", "overridden", "cost"} <= found
    assert found - explained == set()

    outcomes = [call["clemcore"].get("outcome") for call in record]
    assert outcomes == ["answer", None, "empty", "answer", None, "answer", "answer", None]
    for call in record:
        known = call["clemcore"]
        assert ("error" in known) == (known["response_text"] is None)
        if known.get("usage"):
            assert {"input_tokens", "output_tokens"} <= known["usage"].keys()
    # What was never sent stands there as it was asked, and nothing else claims that it was sent.
    refused = record[4]
    assert (refused["manipulated_prompt_obj"], refused["raw_response_obj"]) == (HELLO, None)
    assert "request_sha256" not in refused["clemcore"].get("wire", {})
    local = record[5]
    assert local["clemcore"]["finish_reason"] == local["raw_response_obj"]["finish_reason"]
