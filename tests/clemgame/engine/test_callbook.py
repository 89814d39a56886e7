"""Hashes and text of what is asked: those of the whole dialogue, however it has grown or changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from clemcore.calls.encoding import dumped, sha256_of_value
from clemcore.clemgame.engine.growing import GrowingDialogue


def _whole(messages: list[dict[str, Any]]) -> str:
    lines = [json.dumps(m, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for m in messages]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def _message(content: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def test_the_hash_is_that_of_the_whole_dialogue() -> None:
    dialogue = GrowingDialogue()
    steps: list[list[dict[str, Any]]] = [
        [_message("a")],
        [_message("a"), _message("b", "assistant"), _message("c")],
        [_message("a"), _message("B", "assistant"), _message("c")],  # changed in the middle
        [_message("a"), _message("B", "user"), _message("c")],
        [_message("a")],  # forgotten
        [_message('"\\/\x00\x1f\x7f\u2028\U0001f600'), _message("b", "assistant")],
        [_message("a"), _message("b", image="x.png")],
        [_message("a"), _message("b", image="y.png")],
        [_message("a"), _message("b")],
        [_message("a"), _message(["part"])],
        [_message("a"), _message(["other part"])],
        [],
    ]
    for messages in steps:
        assert dialogue.request_of(messages).hexdigest() == _whole(messages)
        text = dialogue.text_of(messages)
        if text is None:  # no texts alone, or none at all
            assert not all(type(m["content"]) is str and len(m) == 2 for m in messages) or not messages
        else:
            assert (text, text.sha256) == (dumped(messages), sha256_of_value(messages))


def test_the_text_is_that_of_what_was_asked_and_of_nothing_else() -> None:
    dialogue = GrowingDialogue()
    first, second = _message('say "ä"\n'), {"content": "b", "role": "user"}
    assert dialogue.text_of([first]) is None
    dialogue.request_of([first])
    assert dialogue.text_of([dict(first)]) == dumped([first])  # a copy that has the same texts
    assert dialogue.text_of([first, first]) is None
    assert dialogue.text_of([_message("".join(["say ", '"ä"\n']))]) is None  # equal, but not known to be
    assert dialogue.text_of({"messages": [first]}) is None
    dialogue.request_of([first, second])  # another order of fields is another text
    assert dialogue.text_of([first, second]) is None
    lone = _message("\ud800")
    assert dialogue.request_of([lone]).hexdigest() != dialogue.request_of([first]).hexdigest()
    assert dialogue.text_of([lone]) is None


def test_a_message_that_is_changed_in_place_is_noticed() -> None:
    dialogue, messages = GrowingDialogue(), [_message("a"), _message("b"), _message(["part"])]
    dialogue.request_of(messages)
    messages[0]["content"] = "another"
    messages[2]["content"][0] = "other part"
    assert dialogue.request_of(messages).hexdigest() == _whole(messages)
