"""Answers that appear as they arrive: `clem respond` and `clem chat`."""

from __future__ import annotations

import json

import pytest

from support.clem import Clem, Terminals
from support.streams import in_pieces, streamed
from support.wire_server import WireServer, completion, refusal

pytestmark = pytest.mark.slow


def _entry(server: WireServer) -> str:
    entry = {"model_name": "m", "backend": "openai_compatible", "model_id": "m", "base_url": f"{server.url}/v1"}
    return json.dumps({**entry, "model_config": {"requires_api_key": False, "idle_timeout": 20}})


def test_an_answer_appears_while_the_rest_is_not_there(wire_server: WireServer, terminal: Terminals) -> None:
    pieces = list(streamed(completion("One two three.")).pieces)
    wire_server.script = [in_pieces(pieces[:3], fault="stall")]
    screen = terminal("respond", "-m", _entry(wire_server), "Hi", NO_COLOR="1")
    assert "three" not in screen.expect("One")
    assert screen.interrupt() == 130


def test_in_a_pipe_the_call_is_an_ordinary_one(wire_server: WireServer, clem: Clem) -> None:
    wire_server.script = [completion("One two three.")]
    assert clem.ok("respond", "-m", _entry(wire_server), "Hi") == "One two three.\n"
    assert "stream" not in wire_server.requests[0].json


def test_on_a_terminal_a_stream_can_be_declined(wire_server: WireServer, terminal: Terminals) -> None:
    screen = terminal("respond", "-m", _entry(wire_server), "--whole", "Hi", NO_COLOR="1")
    assert screen.end() == 0
    assert "Canberra.\n" in screen.shown
    assert "stream" not in wire_server.requests[0].json


def test_a_dialogue_goes_on_after_a_broken_stream(wire_server: WireServer, terminal: Terminals) -> None:
    pieces = list(streamed(completion("One two three.")).pieces)
    wire_server.script = [in_pieces(pieces[:4]), streamed(completion("Better."))]
    screen = terminal("chat", "-m", _entry(wire_server), NO_COLOR="1")
    screen.expect("/reset")
    screen.type("Hi\n")
    screen.expect("ended before the answer did")
    assert "One two t\n" in screen.shown
    screen.type("Again\n")
    screen.expect("Better.\n")
    screen.type("/exit\n")
    assert screen.end() == 0
    assert [message["content"] for message in wire_server.requests[1].json["messages"]] == ["Again"]


def test_escape_sequences_in_pieces_do_not_command_the_terminal(
    wire_server: WireServer, terminal: Terminals
) -> None:
    wire_server.script = [streamed(completion("a\x1b[31mb\x1b]0;title\x07c"))]
    screen = terminal("respond", "-m", _entry(wire_server), "Hi", NO_COLOR="1")
    assert screen.end() == 0
    assert "a\\x1b[31mb\\x1b]0;title\\x07c" in screen.shown


def test_a_refusal_is_an_error_without_an_empty_line(wire_server: WireServer, terminal: Terminals) -> None:
    wire_server.script = [refusal(400, "no such thing")]
    screen = terminal("respond", "-m", _entry(wire_server), "Hi", NO_COLOR="1")
    assert screen.end() == 1
    assert "no such thing" in screen.shown
