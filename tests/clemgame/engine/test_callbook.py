"""The hash of what is asked: that of the whole dialogue, however it has grown or changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from clemcore.clemgame.engine.callbook import _Prefix


def _whole(messages: list[dict[str, Any]]) -> str:
    lines = [json.dumps(m, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for m in messages]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _message(content: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def test_the_hash_is_that_of_the_whole_dialogue() -> None:
    prefix = _Prefix()
    steps: list[list[dict[str, Any]]] = [
        [_message("a")],
        [_message("a"), _message("b", "assistant"), _message("c")],
        [_message("a"), _message("B", "assistant"), _message("c")],  # changed in the middle
        [_message("a"), _message("B", "user"), _message("c")],
        [_message("a")],  # forgotten
        [_message("a"), _message("b", image="x.png")],
        [_message("a"), _message("b", image="y.png")],
        [_message("a"), _message("b")],
        [_message("a"), _message(["part"])],
        [_message("a"), _message(["other part"])],
        [],
    ]
    for messages in steps:
        assert prefix.of(messages).hexdigest() == _whole(messages)


def test_a_message_that_is_changed_in_place_is_noticed() -> None:
    prefix, messages = _Prefix(), [_message("a"), _message("b"), _message(["part"])]
    prefix.of(messages)
    messages[0]["content"] = "another"
    messages[2]["content"][0] = "other part"
    assert prefix.of(messages).hexdigest() == _whole(messages)
