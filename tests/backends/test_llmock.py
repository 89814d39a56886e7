"""Contract with a server that others have written: llmock speaks the providers' protocols, and judges its clients.

A provider is one row of ``PROVIDERS``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from llmock.pytest_plugin import LLMock

from clemcore import backends
from clemcore.errors import ContextExceededError, RemoteCallError
from clemcore.model import Model
from support.remote import DIALOGUE, HELLO, make_model

# The server starts once for all tests of this file, in about 1.5 s.
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Provider:
    """A backend of ours and the name of its protocol there.

    Attributes:
        backend: our backend.
        protocol: llmock's name.
        entry: further fields of the entry.
        config: further settings.
    """

    backend: str
    protocol: str
    entry: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Backend and protocol."""
        return "-".join([self.backend, self.protocol, *self.config.values()])

    def model(self, llmock: LLMock, gen_args: dict[str, Any] | None = None, **config: Any) -> Model:
        """A model behind the server."""
        return make_model(
            self.backend,
            gen_args,
            base_url=llmock.base_url(self.protocol),
            model_config={
                "requires_api_key": False,
                "multimodality": {"single_image": True, "multiple_images": True},
                **self.config,
                **config,
            },
            **self.entry,
        )


PROVIDERS = [
    Provider("openai_compatible", "openai"),
    Provider("openai", "openai", config={"api": "responses"}),
    Provider("azure", "openai"),
    Provider("azure", "openai", config={"api": "responses"}),
    Provider("azure", "anthropic", config={"api": "messages"}),
    Provider("openrouter", "openai"),
    *(Provider("openai_compatible", gateway) for gateway in ("groq", "perplexity")),
    Provider("anthropic", "anthropic"),
    Provider("google", "gemini", {"api_version": "v1beta"}),
    Provider("mistral", "mistral"),
    Provider("cohere", "cohere"),
]
every_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=str)


@every_provider
def test_a_dialogue_with_a_system_message_is_answered(llmock: LLMock, provider: Provider) -> None:
    llmock.reply("  Canberra. ")
    reply = provider.model(llmock).generate_response([{"role": "system", "content": "Be short."}, *DIALOGUE])
    assert reply.text == "Canberra."
    request = llmock.last_request
    assert (request.provider, request.status) == (provider.protocol, 200)
    assert request.body == reply[0]
    assert "Be short." in json.dumps(request.body)
    assert reply.facts["outcome"] == "answer"
    usage = reply.facts["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0


@every_provider
def test_an_image_is_taken(llmock: LLMock, provider: Provider) -> None:
    picture = "data:image/png;base64,iVBORw0KGgo="
    reply = provider.model(llmock).generate_response([{**HELLO[0], "image": picture}])
    assert reply.facts["wire"]["status"] == 200
    assert "iVBORw0KGgo=" in json.dumps(llmock.last_request.body)


@every_provider
def test_what_the_server_asks_to_wait_is_waited(llmock: LLMock, provider: Provider) -> None:
    llmock.rate_limit(times=2, retry_after=0.05).fail(503, times=1).fail(500, times=1)
    reply = provider.model(llmock).generate_response(HELLO)
    assert [request.status for request in llmock.requests] == [429, 429, 503, 500, 200]
    assert reply.facts["wire"]["attempts"] == 5
    llmock.assert_resilient(strict=True)


@every_provider
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "bad_request"), (401, "authentication"), (403, "permission"), (404, "not_found")],
)
def test_what_waiting_does_not_mend_is_asked_once(
    llmock: LLMock, provider: Provider, status: int, kind: str
) -> None:
    llmock.fail(status, times=None, message="no, because")
    with pytest.raises(RemoteCallError, match="no, because") as caught:
        provider.model(llmock).generate_response(HELLO)
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert len(llmock.requests) == 1


@every_provider
def test_a_full_context_window_is_told_with_its_size(llmock: LLMock, provider: Provider) -> None:
    llmock.limits(context_window=20)
    with pytest.raises(ContextExceededError) as caught:
        provider.model(llmock).generate_response([{"role": "user", "content": "word " * 100}])
    assert caught.value.context_size == 20
    assert (caught.value.tokens_used or 0) > 100
    assert len(llmock.requests) == 1


@every_provider
def test_a_batch_goes_through_faults_in_order(llmock: LLMock, provider: Provider) -> None:
    llmock.rate_limit(times=5, retry_after=0.02).fail(500, times=3)
    model = provider.model(llmock)
    assert isinstance(model, backends.BatchGenerativeModel)
    batch = [[{"role": "user", "content": f"Question {number}"}] for number in range(30)]
    replies = model.generate_batch_response(batch)
    assert [f"Question {number}" in json.dumps(reply[0]) for number, reply in enumerate(replies)] == [True] * 30
    assert sum(request.status == 200 for request in llmock.requests) == 30
    llmock.assert_resilient()
