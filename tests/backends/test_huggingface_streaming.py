"""Streams of local models: the pieces are the answer that a call without a stream gives."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.pieces import Pieces
from clemcore.backends.local.tags import Tags
from clemcore.backends.local.thought import Limit, Thought
from clemcore.model import Model
from support.tiny import CANBERRA, CAPITAL, THINK, copy_of, load, think

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tiny_chat: Path) -> HuggingfaceLocalModel:
    return load(tiny_chat)


@pytest.mark.parametrize(
    "gen_args",
    [{}, {"stop": [" is"]}, {"stop": ["Canb", "XYZ"]}, {"max_tokens": 3}, {"temperature": 1.5, "seed": 4}],
    ids=str,
)
def test_the_pieces_are_the_answer(gen_args: dict[str, Any], model: HuggingfaceLocalModel) -> None:
    plain: Model = model
    whole = plain.generate_response(CAPITAL, gen_args=gen_args)
    stream = model.stream_response(CAPITAL, gen_args=gen_args)
    pieces = list(stream)
    assert "".join(pieces) == whole.text == stream.reply.text
    assert stream.reply.prompt == whole.prompt
    assert stream.reply.response == whole.response


def test_an_answer_comes_in_several_pieces(tiny_chat: Path) -> None:
    model = load(tiny_chat, {"premade_chat_template": True})
    assert len(list(model.stream_response(CAPITAL))) > 3


def test_thoughts_are_no_piece_of_the_answer(tiny_chat: Path) -> None:
    model: Model = think(tiny_chat, cot_start_tag="<think>")
    for gen_args in ({}, {"max_tokens": 2}, {"stop": ["u"]}):
        whole = model.generate_response(THINK, gen_args=gen_args)
        assert "".join(model.stream_response(THINK, gen_args=gen_args)) == whole.text


def test_beams_give_one_piece(tiny_chat: Path, tmp_path: Path) -> None:
    model = load(copy_of(tiny_chat, tmp_path / "beams", generation_config={"num_beams": 3}))
    assert list(model.stream_response(CAPITAL)) == [model.generate_response(CAPITAL).text]


def test_a_closed_stream_ends_the_generation_and_is_recorded(tiny_chat: Path, tmp_path: Path) -> None:
    model = load(tiny_chat, {"premade_chat_template": True})
    with (
        backends.record(tmp_path / "r.json"),
        model.stream_response(CAPITAL, gen_args={"max_tokens": 200}) as stream,
    ):
        first = next(stream)
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    assert CANBERRA.startswith(first)
    assert entry["clemcore"]["finish_reason"] in ("cancelled", "stop")


class Words:
    """An engine whose tokens are characters; as SentencePiece, it drops a blank at the beginning of a text."""

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "replace").removeprefix(" ")

    def bytes_of(self, token: int) -> bytes:
        return bytes([token])

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


@pytest.mark.parametrize(
    ("text", "stops", "given"),
    [
        ("One two.", (), ["O", "n", "e", " t", "w", "o"]),
        ("  a  b!", (), ["a", "  b"]),
        ("aüb!", (), ["a", "ü", "b"]),
        ("abSTOP", ("STOP",), ["a", "b"]),
        ("aSTb!", ("STOP",), ["a", "STb"]),
        ("a\n\nb", ("\n\n",), ["a"]),
    ],
)
def test_a_piece_is_given_when_nothing_can_take_it_back(
    text: str, stops: tuple[str, ...], given: list[str]
) -> None:
    got: list[str] = []
    engine: Any = Words()
    pieces = Pieces(engine, got.append, lambda _: 0, stops=stops, has_end_pattern=False)
    ids = list(text.encode())
    for length in range(1, len(ids) + 1):
        pieces(ids[:length])
    assert got == given


def test_the_pieces_of_a_constrained_answer_hold_nothing_of_the_thought() -> None:
    got: list[str] = []
    engine: Any = Words()
    thought = Thought(Tags("", re.compile("</t>"), "</t>"), Limit(9, thought=3), engine, "")
    pieces = Pieces(
        engine, got.append, lambda _: 0, stops=(), has_end_pattern=False, answer_token=thought.settled_token
    )
    ids = list(b" ab</t> xyz!")
    for length in range(1, len(ids) + 1):
        thought.follow(ids[:length])
        pieces(ids[:length])
    assert got == [" x", "y", "z"]
