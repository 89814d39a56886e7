"""What stands in messages beside role and text: pictures under other names, broken parts, and notes of games."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest

from clemcore.errors import MessagesError
from clemcore.loading import render
from clemcore.messages import check_messages, ensure_alternating_roles
from support.clem import Clem
from support.formats import FORMATS
from support.remote import open_model
from support.wire_server import WireServer

QUESTION = {"role": "user", "content": "What do you see?"}


@pytest.mark.parametrize("name", ["images", "imagess", "image_url", "image_urls", "img", "imges", "Image"])
def test_a_picture_under_another_name_is_not_left_out(name: str) -> None:
    with pytest.raises(MessagesError, match=rf"messages\[0\] has the field '{name}': did you mean 'image'\?"):
        check_messages([{**QUESTION, name: "a.png"}])


def test_notes_of_games_pass() -> None:
    check_messages([{**QUESTION, "round": 3, "type": "clue", "image": "a.png", "image_url": "kept as a note"}])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            {"type": "imgae_url", "image_url": {"url": "x"}},
            r"\['type'\] is 'imgae_url': did you mean 'image_url'\?",
        ),
        ({"type": "txet", "text": "A"}, r"\['type'\] is 'txet': did you mean 'text'\?"),
        ({"type": "text", "txet": "A"}, "has no 'text', but 'txet'"),
        ({"type": "text"}, "is of type 'text' and has no 'text'"),
        ({"type": "image_url", "image_ur": {"url": "x"}}, "has no 'image_url', but 'image_ur'"),
        ({"type": "image_url", "url": "x"}, "is of type 'image_url' and has no 'image_url'"),
    ],
)
def test_a_part_that_would_be_lost_is_refused(part: dict[str, Any], words: str) -> None:
    with pytest.raises(MessagesError, match=rf"messages\[0\]\['content'\]\[1\] ?{words}"):
        check_messages([{"role": "user", "content": [{"type": "text", "text": "A"}, part]}])


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": ""},
        {"type": "text", "content": "as some templates read it"},
        {"type": "image"},
        {"type": "a_template_of_its_own", "x": 1},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    ],
)
def test_parts_that_somebody_may_read_pass(part: dict[str, Any]) -> None:
    check_messages([{"role": "user", "content": [part]}])


@pytest.mark.parametrize("form", ["unpadded", "wrapped"])
@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_a_picture_in_a_part_is_sent_whole(wire_server: WireServer, api: str, form: str) -> None:
    whole = base64.b64encode(b"\x89PNG\r\n\x1a\n........").decode()
    assert whole.endswith("=")
    broken = whole.rstrip("=") if form == "unpadded" else f"{whole[:9]}\n{whole[9:]}"
    entry = {
        **open_model(wire_server.url, api=api).model_spec.to_dict(),
        "model_name": "seer",
    }
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{broken}"}}
    question = [{"role": "user", "content": [{"type": "text", "text": "Look."}, part]}]
    assert f"data:image/png;base64,{whole}" in json.dumps(render(entry, question))
    part["image_url"] = {"url": "data:image/png;base64,!!!!"}
    with pytest.raises(MessagesError, match=r"messages\[0\]\['content'\]\[1\]\['image_url'\]: .* not base64"):
        render(entry, question)


@pytest.mark.parametrize("role", ["tool", "tools", "function", "ipython"])
def test_two_results_of_tools_stay_two(role: str) -> None:
    results = [{"role": role, "content": "4"}, {"role": role, "content": "9"}]
    assert ensure_alternating_roles([QUESTION, *results]) == [QUESTION, *results]


@pytest.mark.parametrize("name", ["zz_own", "my_argument"])
@pytest.mark.parametrize("command", ["respond", "chat"])
def test_an_argument_that_nothing_uses_is_refused(clem: Clem, command: str, name: str) -> None:
    question = ["Hi"] if command == "respond" else []
    told = clem.fails(command, "-m", "mock", "--gen-arg", f"{name}=1", *question)
    assert f"model 'mock' has no use for the generation argument '{name}', which no backend knows" in told
    assert clem("respond", "-m", "mock", "--gen-arg", "guided_regex=a", "Hi").stdout == "Hi\n"


@pytest.mark.parametrize("backend", ["anthropic", "google", "cohere"])
def test_a_note_of_a_game_is_left_out_where_a_service_takes_none(
    wire_server: WireServer, backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    wire_server.script = [FORMATS[backend].answer()]
    model = FORMATS[backend].model(wire_server.url, {})
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        model.generate_response([{**QUESTION, f"round_{backend}": 3, "type": "clue"}])
    first, second = (request.json for request in wire_server.requests)
    assert first == second
    assert "clue" not in json.dumps(first)
    assert QUESTION["content"] in json.dumps(first)
    assert caplog.text.count(f"'round_{backend}', which") + caplog.text.count(f"'round_{backend}', 'type'") == 1
    with pytest.raises(MessagesError, match="has 'tool_calls', which the service does not take"):
        model.generate_response([{**QUESTION, "tool_calls": []}])
