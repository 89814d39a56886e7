"""Exact answers: equal bit by bit, whatever was asked before and whatever was kept of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.modes.exact import Exact
from clemcore.backends.local.prefixes import Prefixes
from clemcore.backends.local.transformers.states import NEW_NAME, cache_name
from clemcore.errors import GenerationError
from support.architectures import build

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

BLOCK = 16
NEW = Arguments(temperature=0.0, max_tokens=5)
PLENTY = 10**9
# Kinds of layers: full, sliding, linear and convolution, latent attention, and encodings of positions.
CONTINUE = ["llama", "gpt2", "gemma3_text", "mistral", "qwen3_next", "lfm2", "deepseek_v3", "mixtral"]
FORMATS = ("float32", "bfloat16")


@pytest.fixture(scope="module")
def tokenizer(tiny_chat: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_chat)


def engine_of(kind: str, tokenizer: Any, dtype: str = "float32", context: int = 512, **more: Any) -> Any:
    import torch

    from clemcore.backends.local.transformers.engine import TransformersEngine

    model = build(kind, **more).to(getattr(torch, dtype))
    model.generation_config.eos_token_id = None
    return TransformersEngine(model, tokenizer, kind, context)


def keeping(engine: Any) -> Exact:
    return Exact(engine, Prefixes(), BLOCK, PLENTY)


def prompt(length: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(3, 500), k=length)


class Asked:
    """An answer with the scores of each of its tokens."""

    def __init__(self, mode: Exact, ids: Sequence[int], arguments: Arguments = NEW) -> None:
        self.scores: list[Any] = []
        ((_, result),) = mode.generate([Job(ids, arguments, choose=self._choose)])
        assert isinstance(result, Generated), result
        self.ids = result.ids
        self.prefill = result.facts["prefill"]

    def _choose(self, scores: Any, _new: Sequence[int]) -> int:
        self.scores.append(scores.clone())
        return int(scores.argmax())

    def __eq__(self, other: object) -> bool:
        import torch

        assert isinstance(other, Asked)
        return self.ids == other.ids and all(map(torch.equal, self.scores, other.scores))

    __hash__ = None  # type: ignore[assignment]


def bare_scores(engine: Any, ids: Sequence[int]) -> tuple[list[int], list[Any]]:
    """Oracle: ``generate`` with nothing of ours."""
    import torch
    from transformers import GenerationConfig

    config = GenerationConfig(
        max_new_tokens=NEW.max_tokens,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )
    row = torch.tensor([list(ids)])
    made = engine._model.generate(row, attention_mask=torch.ones_like(row), generation_config=config)
    return made.sequences[0, len(ids) :].tolist(), [scores[0] for scores in made.logits]


class TestEveryKindOfLayer:
    @pytest.mark.parametrize("dtype", FORMATS)
    @pytest.mark.parametrize("kind", CONTINUE)
    def test_scores_from_kept_states_are_those_from_scratch(self, kind: str, dtype: str, tokenizer: Any) -> None:
        engine = engine_of(kind, tokenizer, dtype)
        kept, scratch = keeping(engine), Exact(engine, Prefixes(), BLOCK, 0)
        ids = prompt(75)
        first, again = Asked(kept, ids), Asked(kept, ids)
        assert (first.prefill["kept"], again.prefill["kept"]) == (0, 64)
        longer = ids[:40] + prompt(90, seed=1)
        branched = Asked(kept, longer)
        assert branched.prefill == {"block": BLOCK, "kept": 32, "computed": 98}
        plain = Asked(scratch, ids)
        assert plain.prefill == {"block": BLOCK, "kept": 0, "computed": 75}
        assert first == again == plain
        assert branched == Asked(scratch, longer)
        assert Asked(kept, ids) == plain

    @pytest.mark.parametrize("dtype", FORMATS)
    @pytest.mark.parametrize("kind", CONTINUE)
    def test_up_to_a_block_it_is_what_generate_computes(self, kind: str, dtype: str, tokenizer: Any) -> None:
        import torch

        engine = engine_of(kind, tokenizer, dtype)
        Asked(keeping(engine), prompt(75))
        for mode, length in ((keeping(engine), BLOCK), (Exact(engine, Prefixes(), 0, PLENTY), 75)):
            ids = prompt(length)
            found = Asked(mode, ids)
            new, scores = bare_scores(engine, ids)
            assert found.ids == new
            assert all(map(torch.equal, found.scores, scores))

    def test_blocks_are_counted_by_generate_too(self, tokenizer: Any) -> None:
        """Oracle: a loop of forward calls by hand, with the library's own cache."""
        import torch
        from transformers import DynamicCache

        engine = engine_of("llama", tokenizer)
        ids, model = prompt(40), engine._model
        cache = DynamicCache(config=model.config)
        for begin in (0, 16, 32):
            piece = torch.tensor([ids[begin : begin + 16]])
            with torch.no_grad():
                made = model(piece, logits_to_keep=1, **{cache_name(): cache})
        found = Asked(keeping(engine), ids)
        assert torch.equal(found.scores[0], made.logits[0, -1])


class TestWhatCannotGoOn:
    def test_a_model_without_such_a_cache(self, tokenizer: Any) -> None:
        import torch

        engine = engine_of("mamba", tokenizer)
        ids = prompt(75)
        found, again = (Asked(keeping(engine), ids) for _ in range(2))
        assert found.prefill == again.prefill
        assert (found.prefill["block"], found.prefill["kept"], found.prefill["computed"]) == (0, 0, 75)
        # Since 5.24 it takes the same argument as others; that it computes otherwise is found by trying it.
        why = (
            "gives other scores when it goes"
            if cache_name() == NEW_NAME
            else "has no cache of keys and values to go"
        )
        assert f"MambaForCausalLM {why} on from" in found.prefill["reason"]
        assert found == again
        assert all(map(torch.equal, found.scores, bare_scores(engine, ids)[1]))

    def test_a_model_that_computes_otherwise_from_a_state_is_found_out(self, tokenizer: Any) -> None:
        engine = engine_of("llama", tokenizer)
        attention = engine._model.model.layers[0].self_attn
        forward = attention.forward

        def disturbed(**kwargs: Any) -> Any:
            out, *rest = forward(**kwargs)
            calls.append(1)
            return (out * (1 + len(calls) * 1e-3), *rest)

        calls: list[int] = []
        attention.forward = disturbed
        found = Asked(keeping(engine), prompt(75))
        assert "gives other scores" in found.prefill["reason"]

    def test_beams(self, tokenizer: Any) -> None:
        engine = engine_of("llama", tokenizer)
        engine._model.generation_config.num_beams = 2
        ((_, result),) = keeping(engine).generate([Job(prompt(75), NEW)])
        assert isinstance(result, Generated)
        assert result.facts["prefill"] == {
            "block": 0,
            "kept": 0,
            "computed": 75,
            "reason": "beam search is one call of generate",
        }


class TestWhatAModelRemembers:
    DYNAMIC: ClassVar[dict[str, Any]] = {
        "max_position_embeddings": 64,
        "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0},
    }

    def test_the_longest_prompt(self, tokenizer: Any) -> None:
        """`rope_type: dynamic` gives another answer after a longer prompt, unless it is reset."""
        engine = engine_of("llama", tokenizer, context=256, **self.DYNAMIC)
        short, long = prompt(60), prompt(200, seed=1)
        for mode in (keeping(engine), Exact(engine, Prefixes(), 0, 0)):
            first = Asked(mode, short)
            Asked(mode, long)
            assert Asked(mode, short) == first
            assert Asked(mode, long) == Asked(mode, long)

    def test_beyond_the_length_where_positions_change_it_is_fed_in_one_piece(self, tokenizer: Any) -> None:
        engine = engine_of("llama", tokenizer, context=256, **self.DYNAMIC)
        mode = keeping(engine)
        assert "reason" not in Asked(mode, prompt(64)).prefill
        reason = Asked(mode, prompt(65)).prefill["reason"]
        assert reason == "the model changes how it encodes positions when a prompt has more than 64 tokens"

    def test_a_state_in_its_modules(self, tokenizer: Any) -> None:
        """A module that counts its calls is put back; marks such as "ready" stay."""
        import torch

        engine = engine_of("llama", tokenizer)
        norm = engine._model.model.norm

        class Counting(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.calls, self.is_ready = 0, False

            def forward(self, hidden: Any) -> Any:
                self.calls, self.is_ready = self.calls + 1, True
                return norm(hidden) * self.calls

        counting = engine._model.model.norm = Counting()
        engine = type(engine)(engine._model, tokenizer, "counting", 512)
        mode = keeping(engine)
        Asked(mode, prompt(10))
        second, third = Asked(mode, prompt(10)), Asked(mode, prompt(10))
        assert second == third
        assert counting.calls == NEW.max_tokens


class TestWhatMakesStatesWorthless:
    @pytest.fixture
    def asked(self, tokenizer: Any) -> tuple[Any, Callable[[], Asked]]:
        engine = engine_of("llama", tokenizer)
        mode = keeping(engine)
        Asked(mode, prompt(75))
        assert Asked(mode, prompt(75)).prefill["kept"] == 64
        return engine._model, lambda: Asked(mode, prompt(75))

    @pytest.mark.parametrize("change", ["in place", "replaced", "attention", "threads", "module"])
    def test_a_change_is_noticed(
        self, asked: tuple[Any, Callable[[], Asked]], change: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch

        model, ask = asked
        layer = model.model.layers[1].mlp.down_proj
        if change == "in place":
            with torch.no_grad():
                layer.weight.mul_(2)
        elif change == "replaced":
            layer.weight = torch.nn.Parameter(layer.weight.detach() * 2)
        elif change == "attention":
            model.set_attn_implementation("eager")
        elif change == "module":
            model.model.layers[1].mlp.down_proj = torch.nn.Linear(96, 64, bias=False)
        else:
            monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
        assert ask().prefill["kept"] == 0
        assert ask().prefill["kept"] == 64

    def test_a_write_through_data_needs_to_be_told(self, asked: tuple[Any, Callable[[], Asked]]) -> None:
        model, ask = asked
        model.model.layers[0].mlp.down_proj.weight.data.mul_(2)
        assert ask().prefill["kept"] == 64


class TestDeterminism:
    """What is done on CUDA, with the switch of torch but without its devices."""

    CUDA = SimpleNamespace(type="cuda")

    def test_the_switch_is_on_within_the_last_call_and_then_as_before(self) -> None:
        import torch

        from clemcore.backends.local.transformers.determinism import deterministic

        assert not torch.are_deterministic_algorithms_enabled()
        with deterministic(self.CUDA, "m"):
            with deterministic(self.CUDA, "other"):
                pass
            assert torch.are_deterministic_algorithms_enabled()
        assert not torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            with deterministic(self.CUDA, "m"):
                assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled()
        finally:
            torch.use_deterministic_algorithms(False)

    def test_cublas_without_its_variable(self) -> None:
        from clemcore.backends.local.transformers.determinism import deterministic

        text = "Deterministic behavior was enabled, but you must set CUBLAS_WORKSPACE_CONFIG=:4096:8"

        def call() -> None:
            with deterministic(self.CUDA, "m"):
                raise RuntimeError(text)

        with pytest.raises(
            GenerationError, match="'m': exact answers on CUDA need CUBLAS_WORKSPACE_CONFIG=:4096:8"
        ):
            call()

    def test_nothing_is_switched_on_the_cpu(self, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        def never(*_: Any, **__: Any) -> None:
            raise AssertionError

        monkeypatch.setattr(torch, "use_deterministic_algorithms", never)
        Asked(keeping(engine_of("llama", tokenizer)), prompt(40))
