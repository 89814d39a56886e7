"""The engine of transformers behind local models, asked as any pipeline would ask it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import ContinuingEngine, Engine, Generated, Job
from clemcore.backends.local.transformers.description import TokenBytes, state_numbers
from clemcore.backends.local.transformers.states import returned_cache
from clemcore.errors import ClemcoreError, GenerationError
from support.tiny import CANBERRA, CAPITAL, THINK, load

if TYPE_CHECKING:
    from clemcore.backends.local.transformers.engine import TransformersEngine

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

GREEDY = Arguments(temperature=0.0, max_tokens=30)


@pytest.fixture
def engine(model: HuggingfaceLocalModel) -> Engine:
    made: TransformersEngine = model._engine  # type: ignore[assignment]
    return made  # so a type checker compares it with the protocol


@pytest.fixture
def ids(model: HuggingfaceLocalModel) -> list[int]:
    found: list[int] = model.tokenizer.apply_chat_template(CAPITAL, add_generation_prompt=True).input_ids
    return found


def results(engine: Engine, jobs: list[Job], way: str = "padded") -> list[Generated | Exception]:
    found = dict(engine.generate(jobs, way))
    return [found[job] for job in jobs]


def generated(engine: Engine, job: Job) -> Generated:
    (found,) = results(engine, [job])
    assert isinstance(found, Generated)
    return found


class TestDescription:
    def test_what_it_is(self, engine: Engine, model: HuggingfaceLocalModel) -> None:
        import torch

        described = engine.describe()
        assert (described.device, described.dtype) == (str(model.device), "float32")
        assert described.threads == torch.get_num_threads()
        assert described.libraries["torch"] == torch.__version__
        assert described.context_size == 512
        assert described.arguments["max_tokens"] == "max_new_tokens"
        assert (list(described.ways), set(described.hooks)) == (
            ["together", "padded", "alone"],
            {"choose", "on_tokens", "cancelled"},
        )
        assert described.can_continue

    def test_bytes_of_a_state(self, engine: Engine, model: HuggingfaceLocalModel) -> None:
        """Oracle: the cache that transformers makes of some tokens."""
        import torch

        cache = returned_cache(model.model(torch.tensor([[5, 6, 7]], device=model.device), use_cache=True))
        size = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        assert engine.describe().state_bytes == {"full_attention": size // 3}

    def test_bytes_of_a_state_that_are_not_known(self) -> None:
        def numbers(**fields: Any) -> dict[str, int | None]:
            text = SimpleNamespace(num_attention_heads=4, hidden_size=32, num_hidden_layers=2, **fields)
            return state_numbers(SimpleNamespace(get_text_config=lambda: text))

        assert numbers() == {"full_attention": 2 * 2 * 4 * 8}
        assert numbers(num_key_value_heads=1, head_dim=16) == {"full_attention": 2 * 2 * 1 * 16}
        mixed = ["linear_attention", "sliding_attention", "sliding_attention"]
        assert numbers(layer_types=mixed) == {"linear_attention": None, "sliding_attention": 2 * 2 * 4 * 8}
        assert numbers(kv_lora_rank=8) == {"full_attention": None}


class TestTokens:
    TEXT = "Hello! Größe 日本語 👍🏽\n\ta<|im_end|>b "

    def test_text_and_ids(self, engine: Engine, model: HuggingfaceLocalModel) -> None:
        found = engine.encode(self.TEXT)
        assert found == model.tokenizer(self.TEXT, add_special_tokens=False).input_ids
        assert engine.decode(found) == self.TEXT

    def test_bytes_of_tokens(self, engine: Engine) -> None:
        pieces = [engine.bytes_of(token) for token in engine.encode(self.TEXT)]
        assert b"".join(pieces) == self.TEXT.encode()
        assert any(len(piece) == 1 and piece[0] > 127 for piece in pieces)  # a part of a character

    def test_bytes_of_tokens_with_byte_fallback(self) -> None:
        from tokenizers import Tokenizer, decoders, models, normalizers
        from transformers import PreTrainedTokenizerFast

        words = ["<unk>", "\u2581Hi", "\u2581", *(f"<0x{byte:02X}>" for byte in range(256))]
        core = Tokenizer(
            models.BPE({word: n for n, word in enumerate(words)}, [], unk_token="<unk>", byte_fallback=True)  # noqa: S106
        )
        core.normalizer = normalizers.Replace(" ", "\u2581")
        core.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
        found = tokenizer(" ä").input_ids
        bytes_of = TokenBytes(tokenizer)
        assert b"".join(map(bytes_of, [1, *found])) == " Hi ä".encode()


class TestJobs:
    def test_ways_agree(self, engine: Engine, ids: list[int], model: HuggingfaceLocalModel) -> None:
        other = model.tokenizer.apply_chat_template(THINK, add_generation_prompt=True).input_ids
        jobs = [Job(ids, GREEDY), Job(other, GREEDY), Job(ids, Arguments(temperature=0.0, max_tokens=3))]
        padded, alone = results(engine, jobs), results(engine, jobs, "alone")
        for one, two in zip(padded, alone, strict=True):
            assert isinstance(one, Generated)
            assert isinstance(two, Generated)
            assert (one.ids, one.ending, one.ends, one.sent) == (two.ids, two.ending, two.ends, two.sent)
        (first, _, short) = padded
        assert isinstance(first, Generated)
        assert isinstance(short, Generated)
        assert engine.decode(first.ids) == f"{CANBERRA}<|im_end|>"
        assert (first.ending, short.ending, short.sent["max_new_tokens"]) == ("stop", "length", 3)

    def test_an_unknown_way(self, engine: Engine, ids: list[int]) -> None:
        with pytest.raises(ClemcoreError, match="no way 'continuous' to generate; it has together, padded, alone"):
            list(engine.generate([Job(ids, GREEDY)], "continuous"))

    def test_a_token_without_an_embedding_fails_its_job_alone(self, engine: Engine, ids: list[int]) -> None:
        failed, plain = results(engine, [Job([10**6], GREEDY), Job(ids, GREEDY)])
        assert isinstance(failed, GenerationError)
        assert "has no embedding" in str(failed)
        assert isinstance(plain, Generated)

    def test_a_job_goes_on_from_a_state(self, engine: ContinuingEngine, ids: list[int]) -> None:
        """Also beside others, and the answer is that of the whole prompt."""
        state = engine.prefill(ids[:20])
        assert (state.length, list(state.ids)) == (20, ids[:20])
        jobs = [Job(ids[20:], GREEDY, state=state), Job(ids, GREEDY), Job(ids, GREEDY, pieces=[10, 10])]
        continued, plain, in_pieces = results(engine, jobs)
        assert isinstance(continued, Generated)
        assert isinstance(plain, Generated)
        assert isinstance(in_pieces, Generated)
        assert continued.ids == plain.ids == in_pieces.ids

    def test_scores_of_given_tokens(
        self, engine: ContinuingEngine, ids: list[int], model: HuggingfaceLocalModel
    ) -> None:
        """Oracle: one forward pass over everything."""
        import torch

        state, answer = engine.prefill(ids), engine.encode("The capital")
        with torch.no_grad():
            logits = model.model(torch.tensor([[*ids, *answer]])).logits[0, len(ids) - 1 : -1]
        found = engine.score(state, answer)
        assert found.shape == logits.shape
        assert torch.allclose(found, logits, atol=1e-4)
        assert torch.equal(found[0], state.scores)
        state.close()
        with pytest.raises(ValueError, match="closed"):
            engine.score(state, answer)

    @pytest.mark.parametrize("way", ["padded", "alone"])
    def test_a_job_chooses_its_tokens_and_fails_alone(self, engine: Engine, ids: list[int], way: str) -> None:
        """Each hook is given the scores of its own row and its own tokens."""
        seen: list[tuple[int, ...]] = []

        def second_best(scores: Any, new: Sequence[int]) -> int:
            seen.append(tuple(new))
            return int(scores.topk(2).indices[1])

        def fails(_scores: Any, new: Sequence[int]) -> int:
            if len(new) == 2:
                raise GenerationError("no third token")
            return 7

        short = Arguments(temperature=0.0, max_tokens=4)
        jobs = [Job(ids, short, choose=second_best), Job(ids[5:], short), Job(ids[3:], short, choose=fails)]
        chosen, plain, failed = results(engine, jobs, way)
        assert isinstance(chosen, Generated)
        assert isinstance(plain, Generated)
        assert seen == [tuple(chosen.ids[:n]) for n in range(len(chosen.ids))]
        assert plain.ids == generated(engine, Job(ids[5:], short)).ids
        assert chosen.ids != generated(engine, Job(ids, short)).ids
        assert isinstance(failed, GenerationError)
        assert "no third token" in str(failed)

    def test_new_tokens_are_told_and_may_end_the_reply(self, engine: Engine, ids: list[int]) -> None:
        told: list[list[int]] = []

        def third(new: Sequence[int]) -> bool:
            told.append(list(new))
            return len(new) == 3

        ended = generated(engine, Job(ids, GREEDY, on_tokens=third))
        assert ended.ending == "on_tokens"
        assert told == [ended.ids[:1], ended.ids[:2], ended.ids]

    def test_a_job_is_cancelled_and_the_others_go_on(self, engine: Engine, ids: list[int]) -> None:
        answers: Iterator[bool] = iter([False, True])
        cancelled, plain = results(engine, [Job(ids, GREEDY, cancelled=lambda: next(answers)), Job(ids, GREEDY)])
        assert isinstance(cancelled, Generated)
        assert (cancelled.ending, len(cancelled.ids)) == ("cancelled", 2)
        assert isinstance(plain, Generated)
        assert engine.decode(plain.ids) == f"{CANBERRA}<|im_end|>"

    def test_a_hook_that_fails_is_the_result_of_its_job(self, engine: Engine, ids: list[int]) -> None:
        broken, plain = results(engine, [Job(ids, GREEDY, on_tokens=lambda _: 1 // 0 == 0), Job(ids, GREEDY)])
        assert isinstance(broken, GenerationError)
        assert isinstance(broken.__cause__, ZeroDivisionError)
        assert isinstance(plain, Generated)

    def test_a_batch_that_fails_is_asked_again_job_by_job(
        self,
        engine: Engine,
        ids: list[int],
        model: HuggingfaceLocalModel,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        results(engine, [Job(ids, GREEDY), Job(ids[:5], GREEDY)])  # now it knows that the mask is honoured
        real, sizes = model.model.generate, []

        def short_of_memory(**inputs: Any) -> Any:
            rows, tokens = inputs["input_ids"].shape
            sizes.append(rows)
            if rows > 1 or tokens < 10:
                raise MemoryError("no room")
            return real(**inputs)

        monkeypatch.setattr(model.model, "generate", short_of_memory)
        first, second, third = results(engine, [Job(ids, GREEDY), Job(ids[:5], GREEDY), Job(ids, GREEDY)])
        assert sizes == [3, 1, 1, 1]
        assert isinstance(second, GenerationError)
        assert isinstance(second.__cause__, MemoryError)
        assert isinstance(first, Generated)
        assert isinstance(third, Generated)
        assert first.ids == third.ids
        assert "a batch of 3 failed (MemoryError: no room); each is computed alone" in caplog.text

    def test_a_change_of_the_models_own_configuration_counts(
        self, engine: Engine, ids: list[int], model: HuggingfaceLocalModel
    ) -> None:
        before = generated(engine, Job(ids, GREEDY))
        own, model.model.generation_config.eos_token_id = model.model.generation_config.eos_token_id, before.ids[0]
        try:
            assert generated(engine, Job(ids, GREEDY)).ids == before.ids[:1]
        finally:
            model.model.generation_config.eos_token_id = own
        assert generated(engine, Job(ids, GREEDY)).ids == before.ids


class TestSharing:
    """Models of one entry share what does not change."""

    def test_tokenizer_and_template(self, tiny_chat: Path) -> None:
        one, two = load(tiny_chat), load(tiny_chat)
        assert one.tokenizer is two.tokenizer
        assert one._front._template is two._front._template
        assert one.model is two.model  # test_huggingface_sharing.py
        assert one.config is not two.config

    def test_what_is_set_later_is_each_models_own(self, tiny_chat: Path) -> None:
        config = {"custom_chat_template": "{{ strftime_now('%Y') }}{{ shout }}{{ messages[0].content }}"}
        one, two = load(tiny_chat, config), load(tiny_chat, config)
        one.chat_template_kwargs = {"shout": "!"}
        one.template_now = "2001-01-01"
        assert one.generate_response(CAPITAL[:1]).prompt["inputs"] == "2001!Hello!"
        two.template_now = "2002-01-01"
        assert two.generate_response(CAPITAL[:1]).prompt["inputs"] == "2002Hello!"
        one.template_now = None
        assert not one.generate_response(CAPITAL[:1]).prompt["inputs"].startswith("2001")

    def test_other_settings_and_other_files_are_not_shared(self, altered: Path) -> None:
        one, other = load(altered), load(altered, {"premade_chat_template": True, "control_tokens": "error"})
        assert one.tokenizer is not other.tokenizer
        template = altered / "chat_template.jinja"
        template.write_text("New: " + template.read_text())
        changed = load(altered)
        assert changed.generate_response(CAPITAL).prompt["inputs"].startswith("New:")
        assert not one.generate_response(CAPITAL).prompt["inputs"].startswith("New:")

    def test_nothing_is_kept_when_no_model_is_left(self, altered: Path) -> None:
        from clemcore.backends.local.transformers.opening import _scripts

        gc.collect()  # models of other tests
        before = len(_scripts)
        one, two = load(altered), load(altered)
        assert len(_scripts) == before + 1
        del one
        assert len(_scripts) == before + 1
        del two
        assert len(_scripts) == before
