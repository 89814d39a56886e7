"""Backend huggingface_local: greedy and sampled decoding. The oracle is transformers' own generate()."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.errors import (
    GenerationArgumentError,
)
from clemcore.model import Reply
from support.tiny import CANBERRA, CAPITAL, THINK, change, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


@pytest.fixture
def library_warnings() -> Iterator[list[str]]:
    """What transformers and torch log at WARNING and above."""
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Handler(logging.WARNING)
    for name in ("transformers", "torch"):
        logging.getLogger(name).addHandler(handler)
    yield lines
    for name in ("transformers", "torch"):
        logging.getLogger(name).removeHandler(handler)


def allowed(model: HuggingfaceLocalModel, reply: Reply, **settings: Any) -> Any:
    """The probabilities of each new token, shape (new tokens, vocabulary), by transformers' own processors."""
    import torch
    from transformers import GenerationConfig

    prompt, new = reply.prompt["input_ids"], reply.response["output_ids"]
    ids = torch.tensor([[*prompt, *new]])
    config = GenerationConfig(do_sample=True, **{"top_k": 50, **settings})
    processors = model.model._get_logits_processor(config, input_ids_seq_length=len(prompt), device="cpu")
    with torch.no_grad():
        logits = model.model(ids).logits[0].float()
    rows = [processors(ids[:, :end], logits[end - 1][None].clone())[0] for end in range(len(prompt), ids.shape[1])]
    return torch.stack(rows).softmax(-1)


class TestGreedyDecoding:
    def test_sampling_settings_of_the_model_play_no_part(self, altered: Path, library_warnings: list[str]) -> None:
        """Many models ship sampling defaults; at temperature 0 they are put aside without a word."""
        defaults = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 3, "min_p": 0.1, "typical_p": 0.5}
        change(altered / "generation_config.json", **defaults, max_length=30)
        model = load(altered)
        shipped = model.model.generation_config.to_dict()
        reply = model.generate_response(CAPITAL)
        assert reply.text == CANBERRA
        assert not reply.facts["sent"].keys() & (defaults.keys() - {"do_sample"})
        assert library_warnings == []
        assert model.model.generation_config.to_dict() == shipped

    def test_no_warning_on_a_plain_model(self, model: HuggingfaceLocalModel, library_warnings: list[str]) -> None:
        model.generate_batch_response([CAPITAL, THINK])
        assert library_warnings == []

    def test_repetition_penalty_reaches_the_model(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(repetition_penalty=50.0, max_tokens=20)
        reply = model.generate_response(CAPITAL)
        assert reply.text != CANBERRA
        assert reply.facts["sent"]["repetition_penalty"] == 50.0


class TestSampling:
    HOT = ({"role": "user", "content": "Hello! Who?"},)

    def sampled(self, model: HuggingfaceLocalModel, **gen_args: Any) -> Reply:
        model.set_gen_args(temperature=2.0, max_tokens=20, **gen_args)
        return model.generate_response(list(self.HOT))

    def test_a_seed_makes_it_repeatable(self, model: HuggingfaceLocalModel) -> None:
        texts = {seed: self.sampled(model, seed=seed).text for seed in range(5)}
        assert len(set(texts.values())) > 1
        assert texts == {seed: self.sampled(model, seed=seed).text for seed in range(5)}

    def test_the_random_state_of_the_process_stays_as_it_was(self, model: HuggingfaceLocalModel) -> None:
        import torch

        before = torch.get_rng_state()
        self.sampled(model, seed=1)
        assert torch.equal(torch.get_rng_state(), before)

    def test_without_a_seed_one_is_drawn_and_noted(self, model: HuggingfaceLocalModel) -> None:
        import torch

        torch.manual_seed(7)
        first, second = self.sampled(model), self.sampled(model)
        torch.manual_seed(7)
        assert self.sampled(model).text == first.text
        assert first.facts["sent"]["seed"] != second.facts["sent"]["seed"]
        assert self.sampled(model, seed=second.facts["sent"]["seed"]).text == second.text

    def test_all_arguments_reach_generate(self, model: HuggingfaceLocalModel) -> None:
        """Oracle: the tokens that transformers' own processors allow, and their probabilities."""
        asked = {"top_p": 0.8, "top_k": 7, "min_p": 0.02, "repetition_penalty": 1.3}
        firsts: Counter[int] = Counter()
        for seed in range(300):
            model.set_gen_args(temperature=2.0, seed=seed, max_tokens=20 if seed < 10 else 1, **asked)
            reply = model.generate_response(list(self.HOT))
            firsts[reply.response["output_ids"][0]] += 1
            if seed < 10:
                rows = allowed(model, reply, **asked, temperature=2.0)
                assert all(row[token] > 0 for row, token in zip(rows, reply.response["output_ids"], strict=True))
        assert reply.facts["sent"].items() >= {**asked, "temperature": 2.0, "do_sample": True, "seed": 299}.items()
        expected = {token: 300 * float(p) for token, p in enumerate(rows[0]) if p > 0}
        assert len(expected) > 2
        # Passed by chance once in a million times for up to 7 tokens.
        assert sum((firsts[token] - times) ** 2 / times for token, times in expected.items()) < 38.3

    def test_a_seed_gives_one_answer_in_any_batch(self, model: HuggingfaceLocalModel) -> None:
        model.set_gen_args(temperature=2.0, max_tokens=12)
        questions = [
            [{"role": "user", "content": text}] for text in ("Hello! Who?", "Hello!", "What is two?", "Hi")
        ]
        seeds = [{"seed": seed} for seed in (3, 3, 4, 5)]
        alone = []
        for question, seed in zip(questions, seeds, strict=True):
            model.set_gen_args(temperature=2.0, max_tokens=12, **seed)
            alone.append(model.generate_response(question).text)
        together = model.generate_batch_response(questions, gen_args=seeds)
        backwards = model.generate_batch_response(questions[::-1], gen_args=seeds[::-1])
        assert [reply.text for reply in together] == alone == [reply.text for reply in backwards][::-1]

    def test_the_models_own_defaults_hold(self, altered: Path) -> None:
        """What was asked for stands over the model's own configuration, which stands over the library's."""
        change(altered / "generation_config.json", top_k=3, top_p=0.9, suppress_tokens=[290], typical_p=0.7)
        model = load(altered)
        reply = self.sampled(model, seed=1, top_p=0.95)
        assert reply.facts["sent"].items() >= {"top_k": 3, "top_p": 0.95, "typical_p": 0.7}.items()
        settings = {"temperature": 2.0, "top_k": 3, "top_p": 0.95, "suppress_tokens": [290], "typical_p": 0.7}
        for seed in range(20):
            reply = self.sampled(model, seed=seed, top_p=0.95)
            rows = allowed(model, reply, **settings)
            assert all(row[token] > 0 for row, token in zip(rows, reply.response["output_ids"], strict=True))

    def test_threads_do_not_draw_from_each_others_randomness(self, tiny_chat: Path) -> None:
        def texts(model: HuggingfaceLocalModel) -> list[str]:
            return [self.sampled(model, seed=seed).text for seed in range(8)]

        models = [load(tiny_chat), load(tiny_chat)]
        alone = texts(models[0])
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(texts, models)) == [alone, alone]

    def test_an_unknown_argument_is_refused(self, model: HuggingfaceLocalModel) -> None:
        with pytest.raises(GenerationArgumentError, match=r"'tiny' cannot be sent as asked: .* 'presence'"):
            self.sampled(model, presence=0.1)
