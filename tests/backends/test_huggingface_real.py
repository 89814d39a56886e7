"""Backend huggingface_local on the demo's real model, SmolLM2-135M-Instruct."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from support.tiny import CANBERRA, CAPITAL, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


@pytest.fixture(scope="module")
def real(smollm2: Path) -> HuggingfaceLocalModel:
    return load(smollm2)


class TestTheRealModel:
    """SmolLM2-135M-Instruct, as the demo uses it, here and behind a server that others wrote."""

    def test_it_names_canberra(self, real: HuggingfaceLocalModel) -> None:
        prompt, response, text = real.generate_response(CAPITAL)
        assert text == CANBERRA
        assert (len(prompt["input_ids"]), len(response["output_ids"])) == (61, 8)

    def test_batch_is_as_single(self, real: HuggingfaceLocalModel) -> None:
        real.set_gen_args(max_tokens=16)
        batch = [CAPITAL, CAPITAL[:1]]
        together = [tuple(reply) for reply in real.generate_batch_response(batch)]
        assert together == [tuple(real.generate_response(messages)) for messages in batch]

    @pytest.mark.parametrize(
        "messages",
        [
            CAPITAL,
            [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Count:  1 22\n\n333 ä€"}],
        ],
    )
    def test_the_server_computes_the_same(
        self, real: HuggingfaceLocalModel, smollm2_server: Any, messages: list[dict[str, str]]
    ) -> None:
        from urllib.request import ProxyHandler, Request, build_opener

        real.set_gen_args(temperature=0.0, max_tokens=24)
        reply = real.generate_response(messages)
        body = {"model": smollm2_server.model, "messages": messages, "temperature": 0.0, "max_tokens": 24}
        request = Request(
            f"{smollm2_server.base_url}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with build_opener(ProxyHandler({})).open(request) as answer:
            served = json.load(answer)
        assert served["choices"][0]["message"]["content"].strip() == reply.text
        assert served["usage"]["prompt_tokens"] == reply.facts["usage"]["input_tokens"]
        assert served["usage"]["completion_tokens"] == reply.facts["usage"]["output_tokens"]
