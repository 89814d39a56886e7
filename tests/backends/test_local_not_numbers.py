"""Models whose scores are not numbers, as those of damaged weights: an error, never an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import GenerationError
from support.tiny import CAPITAL, END, load

pytestmark = pytest.mark.slow  # importing torch alone takes seconds
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


def test_what_a_row_gets_after_its_end_does_not_count() -> None:
    import torch

    from clemcore.backends.local.transformers.watch import Finite

    finite = Finite(2, beams=False)
    good, bad = torch.zeros(5), torch.full((5,), float("nan"))
    finite(torch.zeros((2, 2)), torch.stack([good, good]))
    finite(torch.zeros((2, 3)), torch.stack([bad, bad]))
    assert set(finite.failures([([7], "stop"), ([7, 8], "length")])) == {1}
    # Scores of tokens that are ruled out are -inf; all of them together leave no token.
    good[1:] = float("-inf")
    finite = Finite(2, beams=True)
    finite(torch.zeros((2, 2)), torch.stack([good, good]))
    assert not finite.failures([([7], "length")])
