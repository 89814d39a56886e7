"""Replies and refusals as Google's Gemini API words them, for the loopback server."""

from __future__ import annotations

import json
from typing import Any

from clemcore.model import Model
from support.remote import make_model
from support.wire_server import Answer, WireServer

SEES = {"multimodality": {"single_image": True, "multiple_images": True}}
SAFETY = [
    {"category": f"HARM_CATEGORY_{name}", "threshold": "BLOCK_MEDIUM_AND_ABOVE"}
    for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
]


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body, indent=1).encode(), {"Content-Type": "application/json; charset=UTF-8"})


def thought(words: str) -> dict[str, Any]:
    return {"text": words, "thought": True, "thoughtSignature": "CpUEAXLI2nw="}


def generated(*parts: dict[str, Any] | str, **changes: Any) -> Answer:
    """A whole reply; fields of the candidate (camelCase) and of the body can be given."""
    content = [{"text": part} if isinstance(part, str) else part for part in parts or ("Canberra.",)]
    candidate: dict[str, Any] = {
        "content": {"parts": content, "role": "model"},
        "finishReason": "STOP",
        "index": 0,
    }
    for name in ("content", "finishReason", "finishMessage", "safetyRatings"):
        if name in changes:
            candidate[name] = changes.pop(name)
    body = {
        "candidates": [{name: value for name, value in candidate.items() if value is not None}],
        "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13},
        "modelVersion": "gemini-served-001",
        "responseId": "fVwjafe2IqSB",
        **changes,
    }
    return _json(200, {name: value for name, value in body.items() if value is not None})


def blocked(reason: str) -> Answer:
    """A reply whose prompt was blocked."""
    return generated(candidates=None, promptFeedback={"blockReason": reason, "safetyRatings": []})


def error(status: int, state: str, words: str, *details: dict[str, Any], in_list: bool = False) -> Answer:
    """An error body."""
    fault = {
        "error": {"code": status, "message": words, "status": state, **({"details": details} if details else {})}
    }
    return _json(status, [fault] if in_list else fault)


def info(reason: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": {}}


def quota(name: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaMetric": "generate_content_requests", "quotaId": name}]}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def gemini(server: WireServer, gen_args: dict[str, Any] | None = None, **entry: Any) -> Model:
    """A model of Google behind the loopback server; fields of the entry can be given."""
    config = {"requires_api_key": False, **entry.pop("model_config", {})}
    fields = {"model_id": "gemini-model", "base_url": server.url, "model_config": config, **entry}
    return make_model("google", gen_args, **fields)
