"""Records that are cut into parts and joined again are the same bytes, whatever service or model they are from."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clemcore import _core
from clemcore.backends import ModelSpec
from clemcore.clemgame.store import StoredCall
from clemcore.clemgame.store.frames import DamagedError, call_frame, packed, packed_with, read_stream, unpacked
from clemcore.clemgame.store.pieces import Cutter, join
from support.stored import dialogues, record_of, wire


class Shared:
    """Pieces that a run shares, as the store keeps them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def number(self, body: bytes) -> int:
        if body not in self.bodies:
            self.bodies.append(body)
        return self.bodies.index(body)

    def body(self, number: int) -> bytes:
        return self.bodies[number]


def _round_trip(records: list[tuple[str, bytes]]) -> int:
    """Cut and join records; return how many new bytes they took."""
    shared = Shared()
    cutter = Cutter(shared.number)
    joined: list[bytes] = []
    new = 0
    for player, record in records:
        parts, fresh = cutter.cut(player, record)
        new += sum(map(len, fresh))
        joined.append(join(json.loads(json.dumps(parts)), b"".join(fresh), joined, shared.body))
        assert joined[-1] == record
    return new + sum(map(len, shared.bodies))


DIALECTS = (
    "anthropic_messages.AnthropicMessages",
    "azure_claude.AzureClaude",
    "azure_openai.AzureChat",
    "azure_openai.AzureResponses",
    "chat_completions.ChatCompletions",
    "cohere_chat.CohereChat",
    "google_generate.GoogleGenerate",
    "mistral_chat.MistralChat",
    "openrouter_chat.OpenRouterChat",
    "responses.Responses",
)
_WORDS = (
    "über",
    "naïve",
    'a "quote"',
    "back\\slash",
    "line\nbreak",
    "🦊",
    "{",
    "}]",
    '{"role": "x"}',
    "\x00",
    ", {",
)


def _dialogue(luck: random.Random, turns: int) -> Iterator[list[dict[str, Any]]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be short. " * luck.randrange(1, 60)}]
    for _ in range(turns):
        messages.append({"role": "user", "content": " ".join(luck.choices(_WORDS, k=luck.randrange(1, 60)))})
        yield messages
        messages.append({"role": "assistant", "content": " ".join(luck.choices(_WORDS, k=luck.randrange(1, 60)))})
        if luck.random() < 0.2:  # a game that forgets
            del messages[1:3]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(5))
def test_the_requests_of_a_dialect_are_the_same_bytes(dialect: str, seed: int) -> None:
    luck = random.Random(seed)
    module, _, name = dialect.partition(".")
    format_ = getattr(importlib.import_module(f"clemcore.backends.service.dialects.{module}"), name)()
    spec = ModelSpec(model_name="m", backend="b")
    records = []
    for number, messages in enumerate(_dialogue(luck, 12)):
        body = format_.body(spec, "m", messages, {"temperature": 0.0})
        prompt = wire(body) if seed % 2 else body
        player = f"Player {luck.randrange(1, 3)}"
        records.append((player, record_of(prompt, wire({"id": number, "text": "x"}), "x", number=number)))
    assert _round_trip(records) < sum(len(record) for _, record in records) / 2


@pytest.mark.parametrize("kind", ["service", "local", "mock"])
def test_a_growing_dialogue_is_kept_once(kind: str) -> None:
    records = list(dialogues(kind, turns=40))
    new = _round_trip([("Player 1", record) for record in records])
    assert new < 4 * len(records[-1])
    assert new < sum(map(len, records)) / 5


def test_messages_are_kept_once_although_others_before_them_are_gone() -> None:
    messages = [{"role": "user", "content": f"{number} " * 100} for number in range(40)]
    windows = [record_of(messages[start : start + 10], {"text": "x"}, "x", number=start) for start in range(30)]
    once = sum(len(message["content"]) for message in messages)
    assert _round_trip([("Player 1", record) for record in windows]) < once + 30 * 1000


def test_equal_messages_of_one_prompt_are_joined_again() -> None:
    messages = [{"role": "user", "content": "go north"}] * 30 + [{"role": "user", "content": "go south " * 40}] * 3
    _round_trip([("Player 1", record_of(messages[:end], {"text": "x"}, "x")) for end in (1, 20, 33, 7)])


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.binary(max_size=2000)), max_size=8))
def test_any_bytes_are_joined_again(records: list[tuple[str, bytes]]) -> None:
    _round_trip(records)


_PART = st.sampled_from(
    [
        b'"manipulated_prompt_obj": ',
        b'"raw_response_obj": ',
        b'"model_spec": ',
        b'"versions": {',
        b'"input_ids": ',
        b', {"role": "user", "content": "',
        b'"}',
        b'{"parts":',
        "ü".encode(),
        b"\xff",
        b"x" * 300,
        b"y" * 70,
    ]
)


@pytest.mark.slow
@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.lists(_PART, max_size=20)), max_size=8))
def test_broken_records_are_joined_again(records: list[tuple[str, list[bytes]]]) -> None:
    _round_trip([(player, b"".join(parts) * 2) for player, parts in records])


@given(st.binary(max_size=5000), st.binary(max_size=50), st.binary(max_size=50))
def test_what_two_texts_have_in_common(shared: bytes, one: bytes, other: bytes) -> None:
    left, right = b"<" + shared + one, shared + other
    length = _core.common_length(left, 1, right, 0)
    assert left[1 : 1 + length] == right[:length]
    assert left[1 + length : 2 + length] != right[length : length + 1] or len(right) == length


@given(st.text(), st.text(), st.none() | st.text())
def test_frames_keep_every_field(player: str, kind: str, text: str | None) -> None:
    shared = Shared()
    cutter = Cutter(shared.number)
    calls = [
        StoredCall(number, player, number, kind, "ab" * 32, text, record_of({"m": number}, None, text), 1)
        for number in range(3)
    ]
    stream = read_stream([b"".join(call_frame(call, cutter) for call in calls)], shared.body)
    assert stream.ordered() == calls


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_bodies_are_unpacked_as_they_were_packed(body: bytes, like: bytes) -> None:
    def piece(number: int) -> bytes:
        assert number == 7
        return like

    for kept in (packed(body), packed(body, (7, like))):
        assert unpacked(kept, piece) == body
        if body:
            assert unpacked(kept, piece, len(body) // 2 or 1) == body[: len(body) // 2 or 1]


@given(
    st.lists(st.lists(st.binary(max_size=400), max_size=3), max_size=3),
    st.lists(st.binary(max_size=400), min_size=4, max_size=4),
    st.booleans(),
)
def test_bodies_with_pieces_are_unpacked_as_they_were_packed(
    groups: list[list[bytes]], between: list[bytes], is_other: bool
) -> None:
    shared = Shared()
    numbered = [[(shared.number(piece), piece) for piece in group] for group in groups]
    body = between[0] + b"".join(b"".join(group) + rest for group, rest in zip(groups, between[1:], strict=False))
    if is_other:
        body = body[::-1]  # the pieces may not be in it
    kept = packed_with(body, numbered)
    assert unpacked(kept, shared.body) == body
    for length in {len(body), len(body) // 2} - {0}:
        assert unpacked(kept, shared.body, length) == body[:length]


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    record = record_of({"m": "x" * 300}, {"text": "y"}, "y")
    frame = bytearray(
        call_frame(StoredCall(0, "Player 1", 0, "model", "ab", "y", record, 1), Cutter(Shared().number))
    )
    at = len(frame) - 1 - place
    frame[at] ^= change
    with pytest.raises(DamagedError):
        read_stream([bytes(frame)], Shared().body)
