"""Replies and refusals as Anthropic's API words them, for the loopback server."""

from __future__ import annotations

import json
from typing import Any

from clemcore.model import Model
from support.remote import make_model
from support.wire_server import Answer, WireServer

SEES = {"multimodality": {"single_image": True, "multiple_images": True}}


def sent(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    """A JSON reply with the request id under the name that Anthropic gives it."""
    ids = {"Content-Type": "application/json", "Request-Id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
    return Answer(status, json.dumps(body, indent=1).encode(), {**ids, **(headers or {})})


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def thinking(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": "EqQBCgIYAhIM"}


def message(*blocks: dict[str, Any] | str, **changes: Any) -> Answer:
    """A whole message; any field of the body can be given."""
    content = [text(block) if isinstance(block, str) else block for block in blocks or ("Canberra.",)]
    body = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": "claude-served-20990101",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 4},
        **changes,
    }
    return sent(200, body)


def error(status: int, kind: str, words: str, code: str | None = None, **headers: str) -> Answer:
    """An error body; `code` is the stable code of its details."""
    details = {} if code is None else {"details": {"error_code": code}}
    body = {"type": "error", "error": {"type": kind, "message": words, **details}, "request_id": "req_1"}
    return sent(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def claude(server: WireServer, gen_args: dict[str, Any] | None = None, **entry: Any) -> Model:
    """A model of Anthropic behind the loopback server; fields of the entry can be given."""
    config = {"requires_api_key": False, **entry.pop("model_config", {})}
    fields = {"model_id": "claude-model", "base_url": server.url, "model_config": config, **entry}
    return make_model("anthropic", gen_args, **fields)
