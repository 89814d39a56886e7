"""Against a server that nobody here wrote: `transformers serve` on the tiny chat model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import RemoteCallError
from support.remote import DIALOGUE, HELLO

pytestmark = pytest.mark.slow


def served_model(server: Any, **more: Any) -> backends.Model:
    entry = {"model_name": "tiny", "backend": "openai_compatible", "model_id": server.model}
    config = {"requires_api_key": False}
    return backends.get_model_for({**entry, "base_url": server.base_url, "model_config": config, **more})


def test_a_dialogue(tiny_server: Any, tmp_path: Path) -> None:
    with backends.record(tmp_path / "requests.json"):
        result = served_model(tiny_server, max_tokens=20, seed=1).generate_response(DIALOGUE)
    prompt, response, text = result
    assert prompt == {
        "model": tiny_server.model,
        "messages": DIALOGUE,
        "max_tokens": 20,
        "seed": 1,
        "temperature": 0.0,
    }
    assert response["choices"][0]["message"]["content"].strip() == text != ""
    facts = result.facts
    assert facts["usage"]["input_tokens"] == response["usage"]["prompt_tokens"] > 0
    assert facts["wire"]["status"] == 200
    body = json.dumps(prompt, ensure_ascii=False, separators=(",", ":")).encode()
    assert facts["wire"]["request_sha256"] == hashlib.sha256(body).hexdigest()
    (call,) = json.loads((tmp_path / "requests.json").read_text())
    assert call["raw_response_obj"] == dict(response)


def test_the_same_question_has_the_same_answer(tiny_server: Any) -> None:
    model = served_model(tiny_server)
    assert model.generate_response(HELLO)[2] == model.generate_response(HELLO)[2]


def test_what_it_does_not_know_is_told_in_its_words(tiny_server: Any) -> None:
    with pytest.raises(RemoteCallError) as caught:
        served_model(tiny_server, top_k=3).generate_response(HELLO)
    assert caught.value.status == 422
    assert "Unexpected fields in the request: {'top_k'}" in str(caught.value)
    assert caught.value.facts["sent"]["top_k"] == 3
    assert caught.value.facts["wire"]["attempts"] == 1


def test_a_model_that_it_does_not_serve(tiny_server: Any) -> None:
    with pytest.raises(RemoteCallError) as caught:
        served_model(tiny_server, model_id="another").generate_response(HELLO)
    assert caught.value.status == 400
    assert caught.value.facts["wire"]["attempts"] == 1
