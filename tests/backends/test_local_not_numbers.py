"""Models whose scores are not numbers, as those of damaged weights: an error, never an answer."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clemcore.backends.local.transformers.watch import Finite
from clemcore.errors import GenerationError
from support.tiny import CAPITAL, END, load

pytestmark = pytest.mark.slow  # importing torch alone takes seconds
NAN = math.nan
HELLO = [{"role": "user", "content": "Hello!"}]
WORDS = r"^model 'tiny': the model gives scores that are not numbers \(NaN or infinite\) for token 0 of the answer"


def damaged(folder: Path, value: float) -> Path:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = value
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(("exactness", "value"), [("exact", float("nan")), ("fast", float("inf"))])
def test_no_answer_is_given(altered: Path, exactness: str, value: float) -> None:
    config = {"premade_chat_template": True, "eos_to_cull": END, "exactness": exactness}
    model = load(damaged(altered, value), config)
    greedy: dict[str, Any] = {"temperature": 0.0, "max_tokens": 4}
    for arguments in (greedy, {**greedy, "temperature": 1.0, "seed": 1}, {**greedy, "logprobs": True}):
        model.set_gen_args(**arguments)
        with pytest.raises(GenerationError, match=f"{WORDS}: its weights are damaged"):
            model.generate_response(HELLO)
        with pytest.raises(GenerationError, match=WORDS.replace("^", "^batch index 0: ")):
            model.generate_batch_response([HELLO, CAPITAL])
    with pytest.raises(GenerationError, match=WORDS):
        model.score_answers(HELLO, ["Hello!"])


@pytest.mark.parametrize("more", [{"num_beams": 2}, {"prompt_lookup_num_tokens": 3}], ids=str)
def test_no_answer_of_a_search(altered: Path, more: dict[str, Any]) -> None:
    model = load(damaged(altered, float("nan")), {"premade_chat_template": True, "eos_to_cull": END})
    for name, value in more.items():
        setattr(model.model.generation_config, name, value)
    model.set_gen_args(temperature=0.0, max_tokens=4)
    with pytest.raises(GenerationError, match=WORDS):
        model.generate_response(HELLO)


class BrokenOnce:
    """Makes what a layer gives one time NaN, as a fault of a device does; the layer stays as it is."""

    def __init__(self) -> None:
        self.is_due = False

    def __call__(self, _module: object, _inputs: object, output: Any) -> Any:
        if not self.is_due:
            return output
        self.is_due = False
        return (output * NAN) if torch.is_tensor(output) else (output[0] * NAN, *output[1:])


@pytest.mark.parametrize("way", ["exact", "fast", "scores"])
def test_nothing_broken_is_kept(tiny_chat: Path, way: str) -> None:
    exactness = "fast" if way == "fast" else "exact"
    config = {"premade_chat_template": True, "eos_to_cull": END, "exactness": exactness, "own_weights": True}
    model = load(tiny_chat, {**config, "prefill_block": 32})
    model.set_gen_args(temperature=0.0, max_tokens=4)
    broken = BrokenOnce()
    model.model.model.layers[0].register_forward_hook(broken)
    long = [{"role": "user", "content": "Hello! " * 60}]

    def ask() -> object:
        return model.score_answers(long, ["Hello!"]) if way == "scores" else model.generate_response(long).text

    expected = ask()
    model.forget_kept()
    broken.is_due = True
    with pytest.raises(GenerationError, match=WORDS) as raised:
        ask()
    assert type(raised.value) is GenerationError  # its name is in records
    assert ask() == expected


class Outputs:
    """Hands outputs on as a model does while it generates."""

    def _update_model_kwargs_for_generation(self, outputs: Any) -> Any:
        return outputs


def after(scores: list[list[list[float]]], *, beams: bool = False, assisted: bool = False) -> Finite:
    """Return what has seen the scores of some calls, shape (rows, tokens) each."""
    model = Outputs()
    finite = Finite(model, beams=beams, assisted=assisted)
    with finite:
        for rows in scores:
            logits = torch.zeros((len(rows), len(rows[0]), 5))
            logits[:, :, 3] = torch.tensor(rows)
            model._update_model_kwargs_for_generation(SimpleNamespace(logits=logits))
    assert vars(model) == vars(Outputs())
    return finite


def test_what_a_row_gets_after_its_end_does_not_count() -> None:
    finite = after([[[0.0], [0.0]], [[NAN], [NAN]]])
    assert set(finite.failures([([7], "stop"), ([7, 8], "length")])) == {1}
    assert set(after([[[0.0], [0.0]], [[0.0], [NAN]]], beams=True).failures([([7, 8], "length")])) == {0}


def test_tokens_that_are_ruled_out_are_no_fault() -> None:
    assert not after([[[-math.inf]]]).failures([([7], "length")])
    assert after([[[math.inf]]]).failures([([7], "length")])


def test_padding_before_a_prompt_does_not_count() -> None:
    assert not after([[[NAN, 0.0]]]).failures([([7], "length")])
    assert after([[[NAN, 0.0]]], assisted=True).failures([([7], "length")])


def test_many_scores_are_not_kept() -> None:
    finite = after([[[0.0, 0.0]] * 30_000] * 3 + [[[NAN, NAN]] * 30_000], assisted=True)
    assert not finite._kept
    (failure, *_) = finite.failures([([1, 2, 3, 4], "length")] * 30_000).values()
    assert "for token 3 of the answer" in str(failure)
