"""Prompts of GGUF files: for each family of tokenizers, the ids are those of transformers.

`make test-llamacpp` installs the package and runs this file.
"""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.llamacpp import Llamacpp
from clemcore.registry.spec import ModelSpec
from support.gguf_files import write_gguf
from support.gguf_tokenizers import FAMILIES, add_tokenizer, build
from support.gguf_windows import write_windowed
from support.tiny import CAPITAL, load
from support.tokenizer_kinds import FRAGMENTS, TEXTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("llama_cpp") is None,
        reason="llama-cpp-python is not installed: make test-llamacpp",
    ),
]
# Letters that compose, also with the end of a control token, and one that is another letter when composed.
COMPOSED = ("Gro\u0308\u00dfe", "A\u030a \u212b", "\u1100\u1161\u11a8", "<|im_end|>\u0338", "\u212aelvin")


def opened(file: Path, config: dict[str, Any] | None = None) -> Any:
    config = {"premade_chat_template": True, "threads": 1, "cache_type": "f32", **(config or {})}
    return Llamacpp().get_model_for(
        ModelSpec(model_name="m", backend="llamacpp", huggingface_id=str(file), model_config=config)
    )


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A family, with a folder that has its model for both engines."""
    folder = tmp_path_factory.mktemp("family")
    build(request.param, folder)
    write_gguf(folder, folder / "m.gguf", lambda writer, path: add_tokenizer(writer, request.param, path))
    return request.param, folder


def some_text(rng: random.Random, name: str) -> str:
    special = FAMILIES[name].special
    return "".join(rng.choices([*FRAGMENTS, *TEXTS, *COMPOSED, *special], k=rng.randint(1, 10)))


def test_ids_of_texts_are_those_of_transformers(family: tuple[str, Path]) -> None:
    from transformers import AutoTokenizer

    name, folder = family
    theirs, ours = AutoTokenizer.from_pretrained(folder), opened(folder / "m.gguf")._front.tokenizer
    rng = random.Random(7)
    for text in [*TEXTS, *COMPOSED, *(some_text(rng, name) for _ in range(400))]:
        ids = theirs(text, add_special_tokens=False).input_ids
        assert ours(text).input_ids == ids, text
        assert ours.decode(ids) == theirs.decode(ids, clean_up_tokenization_spaces=False), text


def test_prompts_and_answers_are_those_of_the_transformers_engine(family: tuple[str, Path]) -> None:
    name, folder = family
    ours, theirs = opened(folder / "m.gguf"), load(folder, {"premade_chat_template": True})
    for model in (ours, theirs):
        model.set_gen_args(temperature=0.0, max_tokens=8)
    rng = random.Random(3)
    dialogues = [CAPITAL, *([{"role": "user", "content": f"Say: {some_text(rng, name)}"}] for _ in range(20))]
    for messages in dialogues:
        here, there = (model.generate_response(messages) for model in (ours, theirs))
        assert here[0]["input_ids"] == there[0]["input_ids"], messages
        # The weights are random, and both compute in f32.
        assert (here[1]["output_ids"], here[2]) == (there[1]["output_ids"], there[2]), messages


def test_without_composing_the_ids_of_qwen_would_differ(tmp_path: Path) -> None:
    """llama.cpp does not normalise texts; this shows that the test above can fail."""
    from transformers import AutoTokenizer

    from clemcore.backends.local.llamacpp.vocabulary import Vocabulary

    build("Qwen", tmp_path)
    file = write_gguf(tmp_path, tmp_path / "m.gguf", lambda writer, path: add_tokenizer(writer, "Qwen", path))
    theirs = AutoTokenizer.from_pretrained(tmp_path)(COMPOSED[0], add_special_tokens=False).input_ids
    assert Vocabulary(file, composes=True).encode(COMPOSED[0]) == theirs
    assert Vocabulary(file, composes=False).encode(COMPOSED[0]) != theirs


def test_a_control_token_cannot_be_made_by_composing(tmp_path: Path) -> None:
    from clemcore.backends.local.llamacpp.vocabulary import Vocabulary

    build("Qwen", tmp_path)
    file = write_gguf(tmp_path, tmp_path / "m.gguf", lambda writer, path: add_tokenizer(writer, "Qwen", path))
    vocabulary = Vocabulary(file, composes=True)
    (end,) = vocabulary.encode("<|im_end|>")
    # The sign of Kelvin is composed to a plain K, and a stroke would join the bracket before it.
    assert end in vocabulary.encode("<|im_end|>\u0338")
    vocabulary.added[end] = ("<|KIM|>", True)
    assert end not in vocabulary.encode("<|\u212aIM|>")


def test_the_demo_model(smollm2: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from support.gguf_tokenizers import as_smollm2

    theirs = AutoTokenizer.from_pretrained(smollm2)
    file = write_gguf(smollm2, tmp_path / "demo.gguf", as_smollm2)
    ours = opened(file)._front
    rng = random.Random(5)
    for text in [*TEXTS, *COMPOSED, *(some_text(rng, "SmolLM2") for _ in range(300))]:
        assert ours.tokenizer(text).input_ids == theirs(text, add_special_tokens=False).input_ids, text
    for messages in (CAPITAL, CAPITAL[:1], [{"role": "system", "content": "Be brief."}, *CAPITAL]):
        ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        assert ours.encode(ours.write(messages)) == ids


@pytest.mark.parametrize("window", [16, 48])
def test_cold_and_warm_scores_are_equal_beyond_a_window(tmp_path: Path, window: int) -> None:
    """Where tokens that left the window were dropped, restored states would lie elsewhere."""
    build("Gemma", tmp_path)
    words = _words(tmp_path)
    file = write_windowed(
        tmp_path / "w.gguf", words, window, lambda writer: add_tokenizer(writer, "Gemma", tmp_path)
    )
    model = opened(file, {"prefill_block": 16})
    model.set_gen_args(temperature=0.0, max_tokens=12, logprobs=True, top_logprobs=5)
    dialogue = [{"role": "user", "content": " ".join([*TEXTS, *TEXTS])}]
    cold = model.generate_response(dialogue)
    warm = model.generate_response(dialogue)
    assert cold.facts["prefill"]["kept"] == 0
    assert warm.facts["prefill"]["kept"] > window
    assert warm.facts["logprobs"] == cold.facts["logprobs"]
    model.forget_kept()
    again = [*dialogue, {"role": "assistant", "content": cold[2]}, dialogue[0]]
    colder = model.generate_response(again)
    model.forget_kept()
    model.generate_response(dialogue)
    warmer = model.generate_response(again)
    assert warmer.facts["prefill"]["kept"] > colder.facts["prefill"]["kept"]
    assert warmer.facts["logprobs"] == colder.facts["logprobs"]


def _words(folder: Path) -> int:
    from transformers import AutoTokenizer

    return len(AutoTokenizer.from_pretrained(folder))
