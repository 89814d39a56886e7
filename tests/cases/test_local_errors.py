"""What goes wrong with a local model is one typed error that names the model, the place and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local.diagnosis import examine
from clemcore.backends.local.entry import read_entry
from clemcore.backends.local.patterns import compile_pattern
from clemcore.backends.local.weight_files import fault_of
from clemcore.errors import GenerationError, MessagesError, ModelLoadError, SpecError, TemplateError
from clemcore.model import Model
from clemcore.registry.spec import ModelSpec
from support.tiny import CANBERRA, CAPITAL, END, change, copy_of, load

GREETING = [{"role": "user", "content": "Hello!"}]


@pytest.fixture
def folder(tiny_chat: Path, tmp_path: Path) -> Path:
    return copy_of(tiny_chat, tmp_path / "tiny")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


class TestWeightFiles:
    @pytest.mark.parametrize(
        ("damage", "fault"),
        [
            (lambda _whole: POINTER, "is a git-lfs pointer, .*git lfs pull"),
            (lambda whole: whole[: len(whole) // 2], r"has \d+ bytes, but its header promises \d+"),
            (lambda whole: whole[:-1], "header promises"),
            (lambda whole: whole + b"\0", "header promises"),
            (lambda whole: whole[:20], "is not a safetensors file, or only its beginning"),
            (lambda _whole: b"", "is not a safetensors file, or only its beginning"),
            (lambda whole: whole[:8] + b"[" + whole[9:], "has a header that is not"),
        ],
    )
    def test_what_is_not_whole_is_found_without_reading_it(
        self, folder: Path, damage: Callable[[bytes], bytes], fault: str
    ) -> None:
        weights = folder / "model.safetensors"
        assert fault_of(weights) is None
        weights.write_bytes(damage(weights.read_bytes()))
        with pytest.raises(ValueError, match=fault):
            raise ValueError(fault_of(weights))
        (row,) = examine(ModelSpec(model_name="tiny", huggingface_id=str(folder)))
        assert (row.name, row.state) == ("files", "fault")
        assert str(weights) in row.advice

    def test_the_older_format(self, tmp_path: Path) -> None:
        path = tmp_path / "pytorch_model.bin"
        path.write_bytes(POINTER)
        assert "git-lfs pointer" in str(fault_of(path))
        path.write_bytes(b"PK\x03\x04 and no end")
        assert "not a whole weights file" in str(fault_of(path))

    @pytest.mark.slow
    def test_loading_says_so(self, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(POINTER)
        with pytest.raises(
            ModelLoadError, match=r"model 'tiny': cannot load the weights: .*model.safetensors is a git"
        ):
            load(folder)


@pytest.mark.slow
class TestLoading:
    @pytest.mark.parametrize(
        ("file", "fields", "words"),
        [
            ("config", {"vocab_size": 512}, r"embed_tokens.weight \[\d+, 64\] instead of \[512, 64\]"),
            ("config", {"eos_token_id": "2"}, r"cannot load the configuration .*'2'.*transformers \d"),
            ("generation_config", {"eos_token_id": "2"}, "eos_token_id must be .* not '2'"),
            ("generation_config", {"eos_token_id": [2, "3"]}, "eos_token_id must be"),
            ("generation_config", {"pad_token_id": "0"}, r"cannot load the generation configuration .*torch \d"),
            ("generation_config", {"cache_implementation": "own"}, "cannot load the generation configuration"),
        ],
    )
    def test_files_with_a_fault(self, folder: Path, file: str, fields: dict[str, Any], words: str) -> None:
        change(folder / f"{file}.json", **fields)
        with pytest.raises(ModelLoadError, match=rf"model 'tiny': .*{words}"):
            load(folder)

    @pytest.mark.parametrize(
        ("config", "error", "words"),
        [
            ({"attn_implementation": "flash_attention_2"}, SpecError, "needs the package 'flash-attn': pip"),
            (
                {"attn_implementation": "own"},
                SpecError,
                "attn_implementation 'own' is not one that transformers has",
            ),
            ({"dtype": "float8_e4m3fn"}, SpecError, "dtype must be 'auto' or one of torch's"),
            ({"dtype": "int8"}, SpecError, "dtype must be"),
            ({"dtype": "complex64"}, SpecError, "dtype must be"),
        ],
    )
    def test_settings_that_cannot_be_met(
        self, tiny_chat: Path, config: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=rf"model 'tiny': .*{words}"):
            load(tiny_chat, config)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
    def test_pointers_and_halves_in_place_of_other_files(self, folder: Path, name: str) -> None:
        whole = (folder / name).read_bytes()
        for content in (POINTER, whole[: len(whole) // 2], b"[]"):
            (folder / name).write_bytes(content)
            with pytest.raises(ModelLoadError, match="model 'tiny': cannot load the"):
                load(folder)

    def test_a_path_in_the_place_of_a_template(self, folder: Path) -> None:
        config = {"premade_chat_template": False, "custom_chat_template": str(folder / "own.jinja")}
        with pytest.raises(
            TemplateError, match=r"model 'tiny': custom_chat_template is neither .*own.jinja.*cannot"
        ):
            load(folder, config)
        (row,) = [row for row in examine(_spec(folder, config)) if row.state == "fault"]
        assert "own.jinja" in row.advice
        for text in ("{{ messages[0].content }}!", "{{ messages[0].content }}?"):
            (folder / "own.jinja").write_text(text)
            assert load(folder, config).generate_response(GREETING).prompt["inputs"] == f"Hello!{text[-1]}"
        shutil.copy(folder / "own.jinja", "relative")
        relative = load(folder, {**config, "custom_chat_template": "relative"})
        assert relative.generate_response(GREETING).prompt["inputs"] == "Hello!?"


def _spec(folder: Path, config: dict[str, Any]) -> ModelSpec:
    return ModelSpec(model_name="tiny", huggingface_id=str(folder), model_config=config)


@pytest.mark.slow
class TestCalls:
    @pytest.mark.parametrize("pad", [-1, 100_000])
    def test_any_padding_will_do(self, tiny_chat: Path, tmp_path: Path, pad: int) -> None:
        model = load(copy_of(tiny_chat, tmp_path / "tiny", generation_config={"pad_token_id": pad}))
        batch = model.generate_batch_response([CAPITAL, GREETING])
        assert [reply.text for reply in batch] == [CANBERRA, "Hello! How can I help you?"]
        assert batch[0].facts["sent"]["pad_token_id"] == 0

    def test_what_only_works_alone_is_computed_alone(self, tiny_chat: Path, tmp_path: Path) -> None:
        folder = copy_of(tiny_chat, tmp_path / "tiny", generation_config={"prompt_lookup_num_tokens": 3})
        batch = load(folder).generate_batch_response([CAPITAL, GREETING])
        assert [reply.text for reply in batch] == [CANBERRA, "Hello! How can I help you?"]

    def test_a_token_without_an_embedding(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(["<|extra|>"])
        tokenizer.save_pretrained(folder)
        model = load(folder)
        bad, good = model.generate_batch_response(
            [[{"role": "user", "content": "<|extra|>"}], CAPITAL], return_exceptions=True
        )
        assert good.text == CANBERRA
        assert isinstance(bad, GenerationError)
        assert "model 'tiny': token" in str(bad)
        assert "'<|extra|>'" in str(bad)

    def test_half_a_character(self, tiny_chat: Path) -> None:
        model = load(tiny_chat)
        with pytest.raises(
            MessagesError, match=r"messages\[1\]\['content'\] has the lone surrogate '\\ud83d' at .* 2"
        ):
            model.generate_response([*GREETING, {"role": "assistant", "content": "ab\ud83dc"}, *GREETING])

    @pytest.mark.parametrize("template", ["{% if false %}x{% endif %}", "{{ '' }}"])
    def test_a_template_that_writes_nothing(self, tiny_chat: Path, template: str) -> None:
        model = load(tiny_chat, {"premade_chat_template": False, "custom_chat_template": template})
        with pytest.raises(TemplateError, match="the chat template of 'tiny' renders nothing"):
            model.generate_response(GREETING)

    @pytest.mark.parametrize("mode", ["exact", "fast"])
    def test_whatever_else_fails_names_model_step_and_versions(
        self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch, mode: str
    ) -> None:
        from transformers import NoRepeatNGramLogitsProcessor

        def fail(*_: Any) -> None:
            raise TypeError("broken")

        monkeypatch.setattr(NoRepeatNGramLogitsProcessor, "__call__", fail)
        model: Model = load(tiny_chat, {"premade_chat_template": True, "exactness": mode})
        with pytest.raises(
            GenerationError, match=r"'tiny': it failed while it generated .*broken.*torch \d.*transformers \d"
        ):
            model.generate_response(GREETING, gen_args={"no_repeat_ngram_size": 3})


class TestPatterns:
    @pytest.mark.parametrize(
        "pattern", [END, r"(<\|eot\|>|</s>)+", r"(\s*</s>)+\s*$", r"\s*<end>\s*", r"(?:<e>\n?)*"]
    )
    def test_ordinary_ones_are_compiled(self, pattern: str) -> None:
        assert compile_pattern(pattern).pattern == pattern

    @pytest.mark.slow
    @pytest.mark.parametrize("pattern", ["(a+)+$", "(x|x)*!", r"([a-z]+)*\d"])
    @pytest.mark.parametrize("field", ["eos_to_cull", "cot_end_tag"])
    def test_repetitions_that_multiply_are_refused(self, pattern: str, field: str) -> None:
        spec = ModelSpec(model_name="m", huggingface_id="o/m", model_config={field: pattern})
        with pytest.raises(SpecError, match=f"model 'm': '{field}' can take for ever on some replies"):
            read_entry(spec)

    @pytest.mark.parametrize("pattern", ["(" * 20_000 + ")" * 20_000, "(" * 20_000, "a{1000000000000}"])
    def test_monsters_are_refused_in_a_short_message(self, pattern: str) -> None:
        spec = ModelSpec(model_name="m", huggingface_id="o/m", model_config={"eos_to_cull": pattern})
        with pytest.raises(SpecError, match="model 'm': 'eos_to_cull' is ") as caught:
            read_entry(spec)
        assert len(str(caught.value)) < 400
