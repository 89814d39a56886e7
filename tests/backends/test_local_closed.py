"""A local model that is closed while another thread asks it: the call ends with its answer, then the weights go."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.errors import ModelLoadError
from clemcore.model import Model
from support.tiny import CAPITAL, END, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

HELLO = [{"role": "user", "content": "Hello!"}]
GREEDY = {"temperature": 0.0, "max_tokens": 8}


def one(model: Model) -> list[str]:
    return [model.generate_response(HELLO, gen_args=GREEDY).text]


def several(model: Model) -> list[str]:
    return [reply.text for reply in model.generate_batch_response([HELLO, CAPITAL], gen_args=GREEDY)]


def stream(model: Model) -> list[str]:
    return list(model.stream_response(HELLO, gen_args=GREEDY))


def scores(model: HuggingfaceLocalModel) -> list[float]:
    return [score.sum for score in model.score_answers(HELLO, ["Hello!", "No"])]


@pytest.mark.parametrize("ask", [one, several, stream, scores])
def test_a_call_that_is_under_way_ends_with_its_answer(
    tiny_chat: Path, ask: Callable[[HuggingfaceLocalModel], list[Any]]
) -> None:
    model = load(tiny_chat, {"premade_chat_template": True, "eos_to_cull": END, "own_weights": True})
    expected = ask(model)
    is_asked, may_go_on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        is_asked.set()
        assert may_go_on.wait(60)

    model.model.register_forward_pre_hook(hold)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(ask(model)))
    thread.start()
    assert is_asked.wait(60)
    weights = weakref.ref(next(model.model.parameters()))
    model.close()
    with pytest.raises(ModelLoadError, match="model 'tiny' was closed"):
        model.generate_response(HELLO)
    may_go_on.set()
    thread.join()
    assert found == expected
    assert weights() is None
