"""Messages that are nearly right, or that a service refuses: the error names the message and the remedy."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from clemcore.errors import MessagesError
from clemcore.messages import check_messages
from support.formats import FORMATS
from support.remote import HELLO, PNG, ask, open_model
from support.wire_server import Answer, WireServer, completion

IMAGE = base64.b64decode(PNG) + b"\xff\xfe" * 40 + b"\xfb\x00"
SEES = {"multimodality": {"single_image": True, "multiple_images": True}}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "usr", "content": "Hi"}, r"messages\[0\]\['role'\] is 'usr': did you mean 'user'"),
        ({"role": "User", "content": "Hi"}, "did you mean 'user'"),
        ({"role": " user", "content": "Hi"}, "did you mean 'user'"),
        ({"role": "asistant", "content": "Hi"}, "did you mean 'assistant'"),
        ({"role": "sytem", "content": "Hi"}, "did you mean 'system'"),
        ({"role": "devloper", "content": "Hi"}, "did you mean 'developer'"),
        ({"role": "user", "content": "Hi", "images": ["a.png"]}, r"messages\[0\] has the field 'images'"),
        ({"role": "user", "content": "Hi", "Image": "a.png"}, "did you mean 'image'"),
        ({"role": "user", "contents": "Hi", "content": "Ho"}, "did you mean 'content'"),
        ({"role": "user", "rol": "user", "content": "Hi"}, "did you mean 'role'"),
    ],
)
def test_a_name_that_is_nearly_known_is_refused(message: dict[str, Any], words: str) -> None:
    with pytest.raises(MessagesError, match=words):
        check_messages([message])


@pytest.mark.parametrize("role", ["narrator", "ipython", "tool_response", "critic", "tools", "model", "Sprecherin"])
def test_roles_and_fields_of_others_pass(role: str) -> None:
    fields = {"name": "ann", "tool_calls": [], "game_turn": 3, "imagery": "x", "type": "clue"}
    check_messages([{"role": role, "content": "Hi", **fields}])


# -- empty turns -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "role", "content"),
    [
        ("anthropic", "assistant", ""),
        ("anthropic", "assistant", " \n"),
        ("anthropic", "user", ""),
        ("anthropic", "assistant", []),
        ("azure-claude", "assistant", ""),
        ("mistral", "assistant", ""),
    ],
)
def test_an_empty_turn_is_named_before_it_is_sent(
    wire_server: WireServer, name: str, role: str, content: Any
) -> None:
    """A refused answer is empty text, which the next turn of a game holds."""
    other = "user" if role == "assistant" else "assistant"
    dialogue = [*HELLO, {"role": "assistant", "content": "A"}, *HELLO]
    at = 1 if role == "assistant" else 2
    dialogue[at] = {"role": role, "content": content}
    assert dialogue[at - 1]["role"] == other
    with pytest.raises(MessagesError, match=rf"messages\[{at}\] of the role '{role}' is empty.*'\(no answer\)'"):
        ask(FORMATS[name].model(wire_server.url), dialogue)
    assert not wire_server.requests


@pytest.mark.parametrize("name", ["openai_compatible", "google", "cohere"])
def test_other_services_get_the_empty_turn(wire_server: WireServer, name: str) -> None:
    wire_server.script = [FORMATS[name].answer()]
    dialogue = [*HELLO, {"role": "assistant", "content": ""}, *HELLO]
    assert ask(FORMATS[name].model(wire_server.url), dialogue).text == "Canberra."


# -- text that is none -----------------------------------------------------------------------------------------
def test_half_a_character_in_a_reply_can_be_sent_again(wire_server: WireServer) -> None:
    body = completion("A X B").body.replace(b"X", rb"\ud83d\ude00 \ud83d")
    assert json.loads(body)["choices"][0]["message"]["content"] == "A 😀 \ud83d B"
    wire_server.script = [Answer(200, body)]
    result = ask(open_model(wire_server.url))
    assert result.text == "A 😀 \ufffd B"
    assert result.facts["replaced_surrogates"] == 1
    assert result.response["choices"][0]["message"]["content"] == "A 😀 \ud83d B", "it stays as received"
    turns = [*HELLO, {"role": "assistant", "content": result.text}, *HELLO]
    assert ask(open_model(wire_server.url), turns).prompt["messages"][1]["content"] == result.text


@pytest.mark.parametrize(
    ("content", "place"),
    [("ab\ud800", r"\['content'\]"), ([{"type": "text", "text": "ab\ud800"}], r"\['content'\]\[0\]\['text'\]")],
)
def test_half_a_character_in_a_message_is_named(wire_server: WireServer, content: Any, place: str) -> None:
    for name in ("openai_compatible", "anthropic", "google"):
        with pytest.raises(MessagesError, match=rf"messages\[2\]{place} has the lone surrogate .* at character 2"):
            ask(
                FORMATS[name].model(wire_server.url),
                [*HELLO, {"role": "assistant", "content": "ä"}, {"role": "user", "content": content}],
            )
    assert not wire_server.requests


# -- data: URLs ------------------------------------------------------------------------------------------------
GOOD = base64.b64encode(IMAGE).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{GOOD}",
        f"data:image/png;base64,{GOOD.rstrip('=')}",
        "data:image/png;base64," + "\n".join(GOOD[at : at + 20] for at in range(0, len(GOOD), 20)),
        "data:image/png;base64,\r\n " + GOOD + "\n",
        "data:image/png;base64," + GOOD.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
        "data:image/png;base64," + base64.urlsafe_b64encode(IMAGE).decode(),
        f"DATA:image/PNG;BASE64,{GOOD}",
        f"data:image/png;charset=utf-8;base64,{GOOD}",
    ],
)
def test_data_is_sent_whole_and_plain(wire_server: WireServer, url: str) -> None:
    assert len(GOOD) % 4 == 0
    assert GOOD.endswith("=")
    message = {"role": "user", "content": "What is this?", "image": url}
    ask(open_model(wire_server.url, **SEES), [message])
    part = wire_server.only.json["messages"][0]["content"][1]
    assert part["image_url"]["url"] == f"data:image/png;base64,{GOOD}"
    claude = FORMATS["anthropic"].model(wire_server.url, model_config=SEES)
    wire_server.script = [FORMATS["anthropic"].answer()]
    assert ask(claude, [message]).prompt["messages"][0]["content"][1]["source"]["data"] == GOOD


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,",
        "data:image/png;base64,====",
        f"data:image/png;base64,{GOOD[:-3]}",  # one letter more than bytes
        f"data:image/png;base64,{GOOD[:40]}!{GOOD[40:]}",
        f"data:image/png;base64,{GOOD[:40]}é{GOOD[40:]}",
        f"data:image/png,{GOOD}",
        f"data:image/jpeg;base64,{GOOD}",
    ],
)
def test_data_that_is_broken_anywhere_is_refused(wire_server: WireServer, url: str) -> None:
    with pytest.raises(MessagesError, match=r"messages\[0\]\['image'\]\[0\]") as caught:
        ask(open_model(wire_server.url, **SEES), [{"role": "user", "content": "?", "image": url}])
    assert len(str(caught.value)) < 300
    assert not wire_server.requests
