"""Backend huggingface_local: every generation argument has its effect. The oracle is transformers' generate()."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.checks import FIELDS, REFUSED
from clemcore.backends.local.text import StopStrings
from clemcore.errors import GenerationArgumentError
from clemcore.model import Reply
from support.tiny import CANBERRA, CAPITAL, THINK, change, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


def ask(model: HuggingfaceLocalModel, **gen_args: Any) -> Reply:
    """Ask with these arguments alone."""
    return load_free(model, gen_args).generate_response(CAPITAL)


def load_free(model: HuggingfaceLocalModel, gen_args: dict[str, Any]) -> HuggingfaceLocalModel:
    import copy

    fresh = copy.deepcopy(model)
    fresh.set_gen_args(**{"max_tokens": 24, **gen_args})
    return fresh


def generated(model: HuggingfaceLocalModel, reply: Reply, **settings: Any) -> list[int]:
    """What transformers makes of the same prompt."""
    import torch

    ids = torch.tensor([reply.prompt["input_ids"]])
    made = model.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, **settings)
    return [int(token) for token in made[0, ids.shape[1] :]]


FOUND: dict[str, Any] = {
    "min_new_tokens": 20,
    "min_length": 50,
    "no_repeat_ngram_size": 1,
    "bad_words_ids": [[290, 291], [325]],
    "suppress_tokens": [290, 325],
    "begin_suppress_tokens": [290],
    "sequence_bias": [[[325], -50.0], [[290], 1.5]],
    "exponential_decay_length_penalty": [2, 1.9],
    "remove_invalid_values": True,
    "repetition_penalty": 1.5,
}


class TestFieldsOfTheLibrary:
    @pytest.mark.parametrize("name", FOUND)
    def test_greedy_answers_are_those_of_generate(self, model: HuggingfaceLocalModel, name: str) -> None:
        value = FOUND[name]
        if name in ("suppress_tokens", "bad_words_ids", "begin_suppress_tokens"):
            first = ask(model).response["output_ids"]
            value = [[first[0]], [first[2]]] if name == "bad_words_ids" else [first[0]]
        reply = ask(model, **{name: value})
        assert reply.response["output_ids"] == generated(model, reply, do_sample=False, **{name: value})
        assert reply.facts["sent"][name] == value

    def test_they_hold_in_the_models_own_configuration(self, altered: Path) -> None:
        change(altered / "generation_config.json", no_repeat_ngram_size=2, min_new_tokens=15)
        model = load(altered)
        reply = ask(model)
        own = {"no_repeat_ngram_size": 2, "min_new_tokens": 15}
        assert reply.response["output_ids"] == generated(model, reply, do_sample=False, **own)
        assert ask(model, min_new_tokens=0, no_repeat_ngram_size=0).text == CANBERRA != reply.text

    def test_all_fields_of_the_library_are_decided_about(self) -> None:
        """A new version of transformers may bring others: then they are accepted or refused with a reason."""
        from transformers import GenerationConfig

        from clemcore.backends.local.checks import CHECKS

        known = {*CHECKS, *FIELDS, *REFUSED, "_from_model_config", "transformers_version"}
        assert {name for name in vars(GenerationConfig()) if not name.startswith("_")} <= known

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("max_new_tokens", 5, "write max_tokens"),
            ("assistant_confidence_threshold", 0.5, "assistant models are not supported"),
            ("do_sample", True, "sampling follows temperature"),
            ("guidance_scale", 2.0, "computes a second model"),
            ("no_repeat_ngram_sizes", 2, "did you mean 'no_repeat_ngram_size'"),
            ("no_repeat_ngram_size", 1.5, "must be an integer"),
            ("bad_words_ids", [3], "must be a list of lists of token ids"),
            ("suppress_tokens", [100_000], "token 100000 does not exist"),
            ("typical_p", 0.5, "no effect at temperature 0"),
            ("length_penalty", 2.0, "no effect without num_beams"),
            ("max_matching_ngram_size", 2, "no effect without prompt_lookup_num_tokens"),
            ("top_logprobs", 2, "no effect without logprobs"),
            ("presence_penalty", 3, "must be a number from -2 to 2"),
        ],
    )
    def test_what_is_refused(self, model: HuggingfaceLocalModel, name: str, value: Any, words: str) -> None:
        with pytest.raises(GenerationArgumentError, match=words):
            ask(model, **{name: value})


class TestSearch:
    @pytest.mark.parametrize(
        "settings", [{"num_beams": 3}, {"num_beams": 2, "length_penalty": -1.0}, {"prompt_lookup_num_tokens": 3}]
    )
    def test_it_is_that_of_generate(self, model: HuggingfaceLocalModel, settings: dict[str, Any]) -> None:
        settings = {**settings, "no_repeat_ngram_size": 4}
        reply = ask(model, **settings)
        assert reply.response["output_ids"] == generated(model, reply, do_sample=False, **settings)

    @pytest.mark.parametrize("name", ["temperature", "presence_penalty", "logprobs"])
    def test_what_needs_a_choice_of_each_token_is_refused(self, model: HuggingfaceLocalModel, name: str) -> None:
        value = True if name == "logprobs" else 0.5
        with pytest.raises(GenerationArgumentError, match=f"{name}: cannot be had together with num_beams"):
            ask(model, **{"num_beams": 2, name: value})

    def test_beams_of_the_models_own_configuration(self, altered: Path) -> None:
        change(altered / "generation_config.json", num_beams=2)
        model = load(altered)
        assert ask(model).text == CANBERRA
        with pytest.raises(GenerationArgumentError, match="asks for num_beams 2, which excludes temperature"):
            ask(model, temperature=0.5)
        assert ask(model, temperature=0.5, num_beams=1, seed=1).facts["sent"]["num_beams"] == 1


class TestPenaltiesAndBias:
    def test_a_reply_that_could_never_end(self, model: HuggingfaceLocalModel) -> None:
        used = len(ask(model).prompt["input_ids"])
        assert ask(model, min_length=used + 20, max_tokens=20).response["output_ids"]
        with pytest.raises(GenerationArgumentError, match=f"min_length {used + 21} is more than the {used} tokens"):
            ask(model, min_length=used + 21, max_tokens=20)

    def test_presence_and_frequency_by_hand(self, model: HuggingfaceLocalModel) -> None:
        """Oracle: a loop that subtracts what OpenAI's reference says from the logits of the model."""
        import torch

        longer = {"min_new_tokens": 24}
        reply = ask(model, presence_penalty=1.5, frequency_penalty=2.0, **longer)
        ids, new = list(reply.prompt["input_ids"]), reply.response["output_ids"]
        for index, token in enumerate(new):
            with torch.no_grad():
                scores = model.model(torch.tensor([ids])).logits[0, -1].float()
            for earlier in set(new[:index]):
                scores[earlier] -= 1.5 + 2.0 * new[:index].count(earlier)
            scores[model.tokenizer.eos_token_id] = -torch.inf
            assert int(scores.argmax()) == token
            ids.append(token)
        assert new != ask(model, **longer).response["output_ids"]
        assert reply.facts["sent"].items() >= {"presence_penalty": 1.5, "frequency_penalty": 2.0}.items()

    def test_a_bias_by_id_and_by_text(self, model: HuggingfaceLocalModel) -> None:
        token = ask(model).response["output_ids"][3]
        text = model.tokenizer.decode([token])
        for key in (token, text):
            reply = ask(model, logit_bias={key: 100}, max_tokens=4)
            assert reply.response["output_ids"] == [token] * 4
            assert reply.facts["sent"]["logit_bias"] == {str(token): 100}

    @pytest.mark.parametrize(
        ("bias", "words"),
        [
            ({"Canberra or Sydney": 1}, "logit_bias: 'Canberra or Sydney' is .* tokens"),
            ({"99999": 1}, "token 99999 does not exist; ids go up to"),
            ({"5": "x"}, "must be an object of numbers"),
            ([5], "must be an object of numbers"),
        ],
    )
    def test_a_bias_that_cannot_be_had(self, model: HuggingfaceLocalModel, bias: Any, words: str) -> None:
        with pytest.raises(GenerationArgumentError, match=words):
            ask(model, logit_bias=bias)

    def test_on_unsupported_decides(self, tiny_chat: Path) -> None:
        model = load(tiny_chat, {"premade_chat_template": True, "on_unsupported": "drop"})
        reply = ask(model, logit_bias={"Canberra or Sydney": 1}, suppress_tokens=[100_000], num_beams=0)
        assert reply.text == CANBERRA
        assert reply.facts["parameters"]["dropped"].keys() == {"logit_bias", "suppress_tokens", "num_beams"}
        assert not reply.facts["sent"].keys() & {"logit_bias", "suppress_tokens"}

    def test_a_token_that_is_named_twice(self, model: HuggingfaceLocalModel) -> None:
        token = ask(model).response["output_ids"][3]
        with pytest.raises(GenerationArgumentError, match=f"names token {token} twice"):
            ask(model, logit_bias={token: 1, model.tokenizer.decode([token]): 2})


class TestLogProbabilities:
    @pytest.mark.parametrize("sampled", [False, True])
    def test_before_and_after_the_processors(self, model: HuggingfaceLocalModel, sampled: bool) -> None:
        """Oracle: one forward pass, and transformers' processors."""
        import torch
        from transformers import GenerationConfig

        settings: dict[str, Any] = {"repetition_penalty": 1.3}
        if sampled:
            settings |= {"temperature": 1.5, "top_k": 5, "top_p": 0.9}
        reply = ask(model, logprobs=True, top_logprobs=3, **settings, **({"seed": 3} if sampled else {}))
        prompt, new = reply.prompt["input_ids"], reply.response["output_ids"]
        ids = torch.tensor([[*prompt, *new]])
        config = GenerationConfig(do_sample=sampled, **settings)
        processors = model.model._get_logits_processor(config, input_ids_seq_length=len(prompt), device="cpu")
        with torch.no_grad():
            logits = model.model(ids).logits[0].float()
        content = reply.facts["logprobs"]["content"]
        assert [entry["id"] for entry in content] == new
        for end, entry in enumerate(content, start=len(prompt)):
            row = logits[end - 1]
            before = row.double().log_softmax(-1)
            after = processors(ids[:, :end], row[None].clone())[0].double().log_softmax(-1)
            assert entry["logprob"] == pytest.approx(float(before[entry["id"]]), abs=1e-4)
            assert entry["logprob_after"] == pytest.approx(float(after[entry["id"]]), abs=1e-4)
            best = before.topk(3).indices.tolist()
            assert [each["id"] for each in entry["top_logprobs"]] == best
            for each in entry["top_logprobs"]:
                ruled_out = after[each["id"]] == -torch.inf
                assert (each["logprob_after"] is None) == bool(ruled_out)

    def test_texts_and_bytes(self, model: HuggingfaceLocalModel) -> None:
        reply = ask(model, logprobs=True)
        content = reply.facts["logprobs"]["content"]
        *answer, end = content
        assert b"".join(bytes(entry["bytes"]) for entry in answer).decode() == reply.text == CANBERRA
        assert (end["token"], end["top_logprobs"]) == ("<|im_end|>", [])

    def test_in_a_batch_each_has_its_own(self, model: HuggingfaceLocalModel) -> None:
        fresh = load_free(model, {"logprobs": True})
        for reply in fresh.generate_batch_response([CAPITAL, THINK]):
            ids = [entry["id"] for entry in reply.facts["logprobs"]["content"]]
            assert ids == reply.response["output_ids"]


class TestTwins:
    def test_equal_questions_with_one_seed(
        self, model: HuggingfaceLocalModel, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "clemcore")
        fresh = load_free(model, {"temperature": 2.0, "seed": 5})
        one, _, other = fresh.generate_batch_response([CAPITAL, THINK, CAPITAL])
        assert one.text == other.text
        assert "items 0 and 2 of a batch ask the same question" in caplog.text
        caplog.clear()
        fresh.generate_batch_response([CAPITAL, CAPITAL], gen_args=[{"seed": 1}, {"seed": 2}])
        load_free(model, {"temperature": 2.0}).generate_batch_response([CAPITAL, CAPITAL])
        load_free(model, {}).generate_batch_response([CAPITAL, CAPITAL])
        assert caplog.text == ""

    def test_without_a_seed_each_draws_one(self, model: HuggingfaceLocalModel) -> None:
        fresh = load_free(model, {"temperature": 2.0})
        replies = fresh.generate_batch_response([CAPITAL, CAPITAL])
        seeds = [reply.facts["sent"]["seed"] for reply in replies]
        assert seeds[0] != seeds[1]
        again = fresh.generate_batch_response([CAPITAL, CAPITAL], gen_args=[{"seed": seed} for seed in seeds])
        assert [reply.text for reply in again] == [reply.text for reply in replies]


class TestStopStrings:
    class Counting:
        """An engine that counts how many tokens it decodes."""

        def __init__(self, tokenizer: Any) -> None:
            self.decoded = 0
            self._tokenizer = tokenizer

        def decode(self, ids: Any) -> str:
            self.decoded += len(ids)
            text: str = self._tokenizer.decode(list(ids))
            return text

    def test_found_as_in_the_whole_text(self, model: HuggingfaceLocalModel) -> None:
        """Random tokens, half characters among them; one or several new tokens at a time."""
        import random

        chance = random.Random(1)
        for trial in range(200):
            engine: Any = self.Counting(model.tokenizer)
            ids = [chance.randrange(3, 400) for _ in range(60)]
            text = model.tokenizer.decode(ids)
            start = chance.randrange(len(text) - 4)
            stops = [text[start : start + chance.randrange(1, 5)]]
            stop_strings, size, step = StopStrings(stops, engine, lambda _: 0), 0, chance.choice([1, 1, 1, 4])
            while size < len(ids):
                size = min(len(ids), size + step)
                whole = model.tokenizer.decode(ids[:size])
                found = stop_strings(ids[:size])
                assert found == any(stop in whole for stop in stops), trial
                if found:
                    break

    def test_the_work_grows_with_the_length(self, model: HuggingfaceLocalModel) -> None:
        counts = []
        for size in (200, 400):
            engine: Any = self.Counting(model.tokenizer)
            stop_strings = StopStrings(["\n\nUser:"], engine, lambda _: 0)
            ids = [290] * size
            for end in range(1, size + 1):
                assert not stop_strings(ids[:end])
            counts.append(engine.decoded)
        assert counts[1] < 2.2 * counts[0]
