"""What changes under a local model: contexts around a call, hooks, weights that are written to, and its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.errors import GenerationError, ModelLoadError, SpecError
from support.tiny import END, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

LONG = [{"role": "user", "content": "two plus " * 30}]
HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.fixture
def own(tiny_chat: Path) -> HuggingfaceLocalModel:
    """A model whose weights no other test has."""
    config = {"premade_chat_template": True, "eos_to_cull": END, "own_weights": True, "prefill_block": 16}
    return load(tiny_chat, config)


def log_probabilities(model: HuggingfaceLocalModel) -> list[float]:
    arguments = {"temperature": 0.0, "max_tokens": 6, "logprobs": True}
    facts = model.generate_response(LONG, gen_args=arguments).facts  # type: ignore[call-arg]
    return [token["logprob"] for token in facts["logprobs"]["content"]]


def test_nothing_is_kept_of_a_call_in_another_context(own: HuggingfaceLocalModel) -> None:
    """Oracle: the answer before. A format or a kernel of a block around a call changes what is computed."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    before = log_probabilities(own)
    own.forget_kept()
    for context in (torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH)):
        with context:
            log_probabilities(own)
        assert log_probabilities(own) == before
    assert log_probabilities(own) == before  # and now from what was kept


def test_nothing_is_kept_of_a_call_with_a_hook(own: HuggingfaceLocalModel) -> None:
    before = log_probabilities(own)
    own.forget_kept()

    def double(_module: Any, _inputs: Any, output: Any) -> Any:
        return output * 2

    handle = own.model.model.layers[0].mlp.register_forward_hook(double)
    assert log_probabilities(own) != before
    handle.remove()
    assert log_probabilities(own) == before


def test_an_audit_does_not_count_for_changed_weights(
    own: HuggingfaceLocalModel, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    monkeypatch.setenv("CLEMCORE_CACHE", str(tmp_path))
    own.audit([HELLO, LONG], 2)
    config = {"premade_chat_template": True, "eos_to_cull": END, "own_weights": True, "exactness": "certified"}
    certified = load(tiny_chat, config)
    assert certified.generate_response(HELLO).facts["model"]["audit"] is not None
    with torch.no_grad():
        for parameter in certified.model.parameters():
            parameter.mul_(1.1)
    with pytest.raises(SpecError, match="changed since they were loaded"):
        certified.generate_response(HELLO)
    with pytest.raises(SpecError, match="changed since they were loaded"):
        certified.audit([HELLO], 2)
    with torch.no_grad():
        next(iter(own.model.parameters())).mul_(1.1)
    model = own.generate_response(HELLO).facts["model"]
    assert (model["weights_changed"], model["audit"]) == (True, None)


def test_a_closed_model_says_so_whatever_is_asked(own: HuggingfaceLocalModel) -> None:
    own.close()
    for ask in (
        lambda: own.score_answers(HELLO, ["Hi."]),
        lambda: own.audit([HELLO], 2),
        lambda: list(own.bench()),
        lambda: own.generate_response(HELLO),
    ):
        with pytest.raises(ModelLoadError, match="was closed"):
            ask()


def test_no_token_is_left(own: HuggingfaceLocalModel) -> None:
    every = list(range(len(own.tokenizer)))
    arguments = {"temperature": 1.0, "max_tokens": 4, "suppress_tokens": every}
    with pytest.raises(GenerationError, match="exclude all of them"):
        own.generate_response(HELLO, gen_args=arguments)  # type: ignore[call-arg]


def test_too_many_threads_are_refused(tiny_chat: Path) -> None:
    with pytest.raises(SpecError, match="torch_num_threads must be at most 4096, not 1000000000"):
        load(tiny_chat, {"premade_chat_template": True, "torch_num_threads": 10**9})


def test_an_adapter_that_is_not_a_folder_is_refused(tiny_chat: Path) -> None:
    for adapter in ("/nowhere/adapter", str(tiny_chat / "config.json")):
        with pytest.raises(SpecError, match=r"peft_model '.*' is a path, but there is no such folder"):
            load(tiny_chat, {"premade_chat_template": True, "peft_model": adapter})


@pytest.mark.parametrize(
    "field",
    [
        {"watermarking_config": {"greenlist_ratio": 0.5, "bias": 8.0}},
        {"encoder_no_repeat_ngram_size": 1},
        {"encoder_repetition_penalty": 3.0},
        {"forced_eos_token_id": 2},
    ],
    ids=lambda field: next(iter(field)),
)
def test_fields_of_the_model_hold_however_it_is_asked(
    tiny_chat: Path, tmp_path: Path, field: dict[str, Any]
) -> None:
    """Oracle: ``generate`` with the same configuration."""
    import torch

    from support.tiny import copy_of

    folder = copy_of(tiny_chat, tmp_path / "model", generation_config=field)
    model = load(folder, {"premade_chat_template": True, "eos_to_cull": END, "own_weights": True})
    model.set_gen_args(temperature=0.0, max_tokens=12)
    messages = [{"role": "user", "content": "Where was it played? abc"}]
    reply = model.generate_response(messages)
    ids = reply.response["output_ids"]
    prompt = torch.tensor([reply.prompt["input_ids"]])
    made = model.model.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, max_length=None, do_sample=False
    )
    assert ids == made[0, prompt.shape[1] :].tolist()
    watched = model.generate_response(messages, gen_args={"logprobs": True})  # type: ignore[call-arg]
    assert watched.response["output_ids"] == ids
    (batched, _) = model.generate_batch_response([messages, HELLO])
    assert batched.response["output_ids"] == ids
