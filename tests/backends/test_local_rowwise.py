"""Attention for each prompt of a batch by itself, against plain calls of the same model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import Job
from support.architectures import build
from support.tiny import load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

# Shorter and longer than a window (16, 24) and a page (32); the longest is fed in two steps.
LENGTHS = (5, 24, 33, 70, 600)
NEW = 4


@pytest.fixture(scope="module")
def tokenizer(tiny_chat: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_chat)


def engine_of(kind: str, tokenizer: Any, dtype: str = "float32", **more: Any) -> Any:
    import torch

    from clemcore.backends.local.transformers.engine import TransformersEngine

    model = of_experts() if kind == "qwen2_moe" else build(kind, max_position_embeddings=1024, **more)
    model.generation_config.eos_token_id = None
    return TransformersEngine(model.to(getattr(torch, dtype)), tokenizer, kind, 1024)


def of_experts() -> Any:
    """Return a model that tells its attention nothing of its sliding windows: they are in its masks alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "vocab_size": 512}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024}
    experts = {"num_experts": 4, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32}
    windows = {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = AutoConfig.for_model("qwen2_moe", **sizes, **heads, **experts, **windows)
        assert "sliding_attention" in config.layer_types
        return AutoModelForCausalLM.from_config(config).eval()


def prompts() -> list[list[int]]:
    draw = random.Random(0)
    common = draw.choices(range(3, 500), k=40)
    return [(common + draw.choices(range(3, 500), k=length))[-length:] for length in LENGTHS] + [common[:35]]


def asked(engine: Any, prompts: Sequence[Sequence[int]]) -> tuple[list[Any], list[list[Any]]]:
    """Return the results of a batch, and the scores of each token."""
    seen: list[list[Any]] = [[] for _ in prompts]

    def choosing(rows: list[Any]) -> Any:
        def choose(scores: Any, ids: Sequence[int]) -> int:
            del rows[len(ids) :]
            rows.append(scores.clone())
            return int(scores.argmax())

        return choose

    jobs = [
        Job(ids, Arguments(temperature=0.0, max_tokens=NEW), choose=choosing(rows))
        for ids, rows in zip(prompts, seen, strict=True)
    ]
    found = dict(engine.generate(jobs, "together"))
    return [found[job] for job in jobs], seen


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral", "gemma3_text", "mixtral", "qwen2_moe"])
def test_scores_are_those_of_plain_calls(kind: str, dtype: str, tokenizer: Any) -> None:
    """Twice: the second batch goes on from pages that the first one left, where layers have such."""
    import torch

    engine = engine_of(kind, tokenizer, dtype)
    texts = prompts()
    for _ in range(2):
        results, seen = asked(engine, texts)
        for ids, result, rows in zip(texts, results, seen, strict=True):
            assert result.facts["grouping"]["way"] == "continuous"
            with torch.no_grad():
                row = torch.tensor([[*ids, *result.ids[:-1]]])
                expected = engine._model(row, use_cache=False).logits[0, len(ids) - 1 :].float()
            atol = 1e-4 if dtype == "float32" else 0.05
            torch.testing.assert_close(torch.stack(rows), expected, rtol=0, atol=atol)


def test_an_answer_of_one_batch_does_not_depend_on_another_prompt(tokenizer: Any) -> None:
    """The scores of a prompt move by rounding alone, whatever stands beside it."""
    import torch

    engine = engine_of("llama", tokenizer)
    one, *others = prompts()
    _, (alone,) = asked(engine, [one])
    _, seen = asked(engine, [*others, one])
    torch.testing.assert_close(torch.stack(seen[-1]), torch.stack(alone), rtol=0, atol=1e-5)


def test_between_and_during_steps_the_model_is_the_same_for_others(tokenizer: Any) -> None:
    """Another thread that asks what a model computes with gets one answer at any time."""
    engine = engine_of("llama", tokenizer)
    before, version = engine.describe(), engine.version()
    told = []

    def choose(scores: Any, _ids: Sequence[int]) -> int:
        told.append((engine.describe().attention, engine.version()))
        return int(scores.argmax())

    list(engine.generate([Job(prompts()[0], Arguments(temperature=0.0, max_tokens=2), choose=choose)], "together"))
    assert told == [("sdpa", version)] * 2
    assert engine.describe() == before
    assert engine._model.config._attn_implementation == "sdpa"


def test_what_the_attention_does_not_know_is_computed_in_groups(tokenizer: Any) -> None:
    engine = engine_of("llama", tokenizer)
    attention = engine._model.model.layers[0].self_attn
    forward = attention.forward
    attention.forward = lambda *args, **kwargs: forward(*args, **kwargs, s_aux=1.0)
    results, _ = asked(engine, [[5, 6, 7], [8, 9, 10]])
    assert {result.facts["grouping"]["way"] for result in results} == {"padded"}


def test_a_model_that_keeps_its_attention_is_computed_as_before(
    tiny_chat: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its code has a fixed attention as far as the library can see, as that of a notebook."""
    model = load(tiny_chat, {"premade_chat_template": True, "own_weights": True})
    monkeypatch.setattr(type(model.model), "_can_set_attn_implementation", classmethod(lambda _: False))
    capfd.readouterr()
    results, _ = asked(model._engine, [[5, 6, 7], [8, 9, 10]])
    assert {result.facts["grouping"]["way"] for result in results} == {"continuous"}
    assert capfd.readouterr().err == ""
