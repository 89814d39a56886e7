"""Replies and refusals as Mistral's and Cohere's APIs word them, for the loopback server."""

from __future__ import annotations

from typing import Any

from clemcore.model import Model
from support.remote import make_model
from support.wire_server import Answer, WireServer, reply

SEES = {"multimodality": {"single_image": True, "multiple_images": True}}


def mistral_model(server: WireServer, gen_args: dict[str, Any] | None = None, **entry: Any) -> Model:
    """A model of Mistral behind the loopback server; fields of the entry can be given."""
    config = {"requires_api_key": False, **entry.pop("model_config", {})}
    return make_model("mistral", gen_args, base_url=f"{server.url}/v1", model_config=config, **entry)


def cohere_model(server: WireServer, gen_args: dict[str, Any] | None = None, **entry: Any) -> Model:
    """A model of Cohere behind the loopback server; fields of the entry can be given."""
    config = {"requires_api_key": False, **entry.pop("model_config", {})}
    return make_model("cohere", gen_args, base_url=server.url, model_config=config, **entry)


def completion(content: Any = "Canberra.", finish: str = "stop", **changes: Any) -> Answer:
    """A whole reply of Mistral."""
    body = {
        "id": "cmpl-e5cc70bb28c444948073e77776eb30ef",
        "object": "chat.completion",
        "created": 1,
        "model": "mistral-served-2512",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish},
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
    }
    return reply(200, {**body, **changes})


def thoughts(*words: str) -> dict[str, Any]:
    """A part of Mistral's content that is reasoning."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": word} for word in words]}


def chat(*blocks: dict[str, Any] | str, finish: str = "COMPLETE", **changes: Any) -> Answer:
    """A whole reply of Cohere."""
    content = [
        {"type": "text", "text": block} if isinstance(block, str) else block for block in blocks or ("Canberra.",)
    ]
    body = {
        "id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content},
        "usage": {
            "billed_units": {"input_tokens": 5.0, "output_tokens": 4.0},
            "tokens": {"input_tokens": 71.0, "output_tokens": 6.0},
            "cached_tokens": 16.0,
        },
    }
    return reply(200, {**body, **changes})
