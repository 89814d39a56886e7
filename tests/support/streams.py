"""The events in which each service would stream a whole reply, for the loopback server."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

from support.wire_server import Answer

Event = tuple[str, Any]  # its type ("" where the format has none) and its data


def _cut(text: str, size: int = 3) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _chat(body: dict[str, Any]) -> Iterator[Event]:
    """Chat Completions: texts in pieces, the reason and the counts at the end."""
    head = {name: body[name] for name in body if name not in ("choices", "usage")} | {
        "object": "chat.completion.chunk"
    }
    for choice in body["choices"]:
        message = {**choice["message"]}
        content = message.pop("content", None)
        texts = {name: message.pop(name) for name in ("reasoning", "reasoning_content") if message.get(name)}

        def chunk(finish: Any = None, choice: Any = choice, **delta: Any) -> Event:
            return "", {**head, "choices": [{"index": choice["index"], "delta": delta, "finish_reason": finish}]}

        yield chunk(**{"role": "assistant", "content": "", **message})
        for name, text in texts.items():
            for piece in _cut(text):
                yield chunk(**{name: piece})
        for part in content if isinstance(content, list) else [content]:
            if part is None:
                continue
            if isinstance(part, str):
                yield from (chunk(content=piece) for piece in _cut(part))
            elif part["type"] == "text":
                yield from (chunk(content=piece) for piece in _cut(part["text"]))
            else:
                for words in part["thinking"]:
                    for piece in _cut(words["text"]):
                        yield chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}])
        yield chunk(choice["finish_reason"])
    yield "", {**head, "choices": [], "usage": body["usage"]}
    yield "", "[DONE]"


def _responses(body: dict[str, Any]) -> Iterator[Event]:
    started = {**body, "status": "in_progress", "output": [], "usage": None}
    numbered: list[dict[str, Any]] = [{"type": "response.created", "response": started}]
    for index, item in enumerate(body["output"]):
        numbered.append(
            {"type": "response.output_item.added", "output_index": index, "item": {**item, "content": []}}
        )
        parts = [part for part in item.get("content", []) if part["type"] == "output_text"]
        for number, part in enumerate(parts):
            place = {"output_index": index, "content_index": number, "item_id": item["id"]}
            numbered.append({"type": "response.content_part.added", "part": {**part, "text": ""}, **place})
            numbered += [
                {"type": "response.output_text.delta", "delta": piece, "logprobs": [], **place}
                for piece in _cut(part["text"])
            ]
        numbered.append({"type": "response.output_item.done", "output_index": index, "item": item})
    end = "response.completed" if body["status"] == "completed" else f"response.{body['status']}"
    numbered.append({"type": end, "response": body})
    for number, event in enumerate(numbered):
        yield event["type"], {**event, "sequence_number": number}


def _messages(body: dict[str, Any]) -> Iterator[Event]:
    start = {**body, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**body["usage"], "output_tokens": 1}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(body["content"]):
        texts = {"text": "text_delta", "thinking": "thinking_delta"}
        field = next((name for name in texts if name in block), None)
        begun = (
            block if field is None else {**block, field: "", **({"signature": ""} if field == "thinking" else {})}
        )
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        deltas = [] if field is None else [{"type": texts[field], field: piece} for piece in _cut(block[field])]
        if field == "thinking":
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": body["stop_reason"], "stop_sequence": body["stop_sequence"]}
    events.append(
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": body["usage"]["output_tokens"]}}
    )
    events.append({"type": "message_stop"})
    yield from ((event["type"], event) for event in events)


def _generated(body: dict[str, Any]) -> Iterator[Event]:
    rest = {name: body[name] for name in body if name not in ("candidates", "usageMetadata")}
    if "candidates" not in body:
        yield "", body
        return
    candidate = body["candidates"][0]
    for part in candidate["content"]["parts"]:
        for piece in _cut(part["text"]):
            content = {"role": "model", "parts": [{**part, "text": piece}]}
            yield "", {**rest, "candidates": [{"index": 0, "content": content}]}
    last = {**candidate, "content": {"role": "model", "parts": [{"text": ""}]}}
    yield "", {**rest, "candidates": [last], "usageMetadata": body["usageMetadata"]}


def _cohere(body: dict[str, Any]) -> Iterator[Event]:
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    events: list[dict[str, Any]] = [{"type": "message-start", "id": body["id"], "delta": {"message": message}}]
    for index, block in enumerate(body["message"]["content"]):
        field = block["type"]
        events.append(
            {"type": "content-start", "index": index, "delta": {"message": {"content": {"type": field, field: ""}}}}
        )
        events += [
            {"type": "content-delta", "index": index, "delta": {"message": {"content": {field: piece}}}}
            for piece in _cut(block[field])
        ]
        events.append({"type": "content-end", "index": index})
    events.append(
        {"type": "message-end", "delta": {"finish_reason": body["finish_reason"], "usage": body["usage"]}}
    )
    yield from ((event["type"], event) for event in events)


_BY_PROTOCOL: dict[str, Callable[[dict[str, Any]], Iterator[Event]]] = {
    "choices": _chat,
    "output": _responses,
    "content": _messages,
    "message": _cohere,
    "candidates": _generated,
    "promptFeedback": _generated,
}


def streamed(whole: Answer, pause: float = 0.0, **changes: Any) -> Answer:
    """Return a whole reply as the stream in which its service would send it."""
    body = json.loads(whole.body)
    events = next(_BY_PROTOCOL[name] for name in _BY_PROTOCOL if name in body)(body)
    return in_pieces([_written(*event) for event in events], pause, **changes)


def in_pieces(pieces: list[bytes], pause: float = 0.0, **changes: Any) -> Answer:
    """Return a stream that is sent in these pieces."""
    answer = Answer(200, b"", {"Content-Type": "text/event-stream"}, pieces=tuple(pieces), pause=pause)
    return dataclasses.replace(answer, **changes)


def _written(kind: str, data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return (f"event: {kind}\n" if kind else "").encode() + f"data: {text}\n\n".encode()
