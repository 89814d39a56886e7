"""One way to call a batch, for every kind of model."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import ContextExceededError, MessagesError
from support.remote import open_model
from support.tiny import CANBERRA, CAPITAL, load

HELLO = [{"role": "user", "content": "Hello!"}]


class Own(backends.Model):
    """A user's class."""

    def generate_response(self, messages: Any) -> Any:
        return messages, {}, messages[-1]["content"]


def _human(_: pytest.FixtureRequest) -> backends.Model:
    return backends.get_model_for("human")


def _replay(_: pytest.FixtureRequest) -> backends.Model:
    with backends.record("replayed.json"):
        mock = backends.get_model_for("mock")
        for _number in range(2):
            mock.generate_response(HELLO)
    return backends.get_model_for("replay:replayed.json")


KINDS: dict[str, Callable[[pytest.FixtureRequest], backends.Model]] = {
    "own": lambda _: Own(backends.ModelSpec(model_name="mine", backend="own")),
    "mock": lambda _: backends.get_model_for("mock"),
    "human": _human,
    "replay": _replay,
    "service": lambda request: open_model(request.getfixturevalue("wire_server").url),
    "local": lambda request: load(request.getfixturevalue("tiny_chat")),
}


@pytest.mark.parametrize("kind", [*list(KINDS)[:-1], pytest.param("local", marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", [{}, {"progress": True}, {"progress": False}])
def test_every_model_takes_the_same_options(
    kind: str, options: dict[str, bool], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Yes.\nNo.\n"))
    model = KINDS[kind](request)
    malformed: Any = [{"role": "user"}]
    first, fault, last = model.generate_batch_response([HELLO, malformed, HELLO], return_exceptions=True, **options)
    assert isinstance(fault, MessagesError)
    assert first.text
    assert last.text
    if kind == "human":
        assert (first.text, last.text) == ("Yes.", "No.")


@pytest.mark.slow
def test_a_dialogue_that_is_too_long_fails_alone(tiny_chat: Path) -> None:
    model = load(tiny_chat)
    model.set_gen_args(max_tokens=20, temperature=0.0)
    too_long = [{"role": "user", "content": "word " * 2000}]
    first, fault, last = model.generate_batch_response([CAPITAL, too_long, CAPITAL], return_exceptions=True)
    assert isinstance(fault, ContextExceededError)
    assert fault.tokens_left is not None
    assert fault.tokens_left < 0
    assert first.text == last.text == CANBERRA
