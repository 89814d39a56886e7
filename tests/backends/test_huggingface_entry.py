"""Backend huggingface_local, the parts without torch: what an entry says, generation arguments, culling of ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore.arguments.ledger import Ledger
from clemcore.backends.local import arguments as local_arguments
from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.entry import LocalEntry, read_entry
from clemcore.backends.local.text import cull_end
from clemcore.backends.local.transformers.generation_config import NAMES
from clemcore.errors import GenerationArgumentError, SpecError
from clemcore.registry.context_size import parse_context_size
from clemcore.registry.spec import ModelSpec


def entry(config: dict[str, Any] | None = None, **fields: Any) -> LocalEntry:
    fields.setdefault("huggingface_id", "org/model")
    if config is not None:
        fields["model_config"] = config
    return read_entry(ModelSpec(model_name="m", backend="huggingface_local", **fields))


class TestLayouts:
    def test_flat_and_nested_say_the_same(self) -> None:
        settings: dict[str, Any] = {
            "premade_chat_template": True,
            "output_split_prefix": "assistant\n",
            "requires_api_key": True,
        }
        assert entry(settings) == entry(**settings)

    def test_eos_to_cull_is_text_in_the_flat_layout_and_a_pattern_in_the_nested(self) -> None:
        assert entry(eos_to_cull="<|im_end|>").eos_is_literal
        assert not entry({"eos_to_cull": r"<\|im_end\|>"}).eos_is_literal

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"model_config": {"multimodality": {"singel_image": True}}}, 'did you mean "single_image"'),
            ({"multimodality": {"singel_image": True}}, 'did you mean "single_image"'),
            ({"model_config": {"multimodality": {"smell": True}}}, "multimodality.smell has no effect"),
            ({"model_config": {"cot_start_tag": "<think>"}}, "cot_start_tag needs cot_end_tag"),
            ({"cot_start_tag": "<think>"}, "cot_start_tag needs cot_end_tag"),
        ],
    )
    def test_what_would_have_no_effect_is_refused(self, fields: dict[str, Any], words: str) -> None:
        with pytest.raises(SpecError, match=words):
            entry(**fields)

    def test_two_values_for_one_setting(self) -> None:
        assert entry({"requires_api_key": True}, requires_api_key=True).requires_api_key
        with pytest.raises(SpecError, match="requires_api_key has one value in the entry and another"):
            entry({"requires_api_key": True}, requires_api_key=False)

    def test_every_entry_of_the_released_registries_is_read(self, shared: Path) -> None:
        """Those that set do_sample are refused, because it has no effect; no other is."""
        refused = {}
        count = 0
        for path in sorted((shared / "corpus" / "registries").glob("*.json")):
            for fields in json.loads(path.read_text(encoding="utf-8")):
                if fields["backend"] == "huggingface_local":
                    count += 1
                    try:
                        read_entry(ModelSpec(**fields))
                    except SpecError as error:
                        refused[fields["model_name"]] = str(error)
        assert count == 111
        assert len(refused) == 2
        assert all("does not support model_config.do_sample" in text for text in refused.values()), refused


class TestFlagsCountByValue:
    def test_false_is_as_absent(self) -> None:
        names = ("multimodal", "trust_remote_code", "load_in_4bit", "cot_output", "requires_api_key")
        assert entry(dict.fromkeys(names, False)) == entry({})

    def test_true_of_what_is_not_honoured_is_an_error(self) -> None:
        with pytest.raises(
            SpecError,
            match=r"model 'm': huggingface_local does not support do_sample: .* temperature",
        ):
            entry(do_sample=True)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"eos_to_kull": "x"}, 'nothing reads the key "eos_to_kull"; did you mean "eos_to_cull"'),
        ({"colour": "x"}, "no setting model_config.colour; leave it out; known are attn_implementation, "),
        (
            {"premade_chat_template": "true"},
            "premade_chat_template must be true or false, not a string; write true",
        ),
        ({"torch_num_threads": True}, "torch_num_threads must be an integer, not a boolean"),
        ({"torch_num_threads": 0}, "torch_num_threads must be a positive number of threads, not 0"),
        ({"chat_template_kwargs": ["a"]}, "chat_template_kwargs must be an object, not a list"),
        ({"premade_chat_template": False}, "a custom_chat_template is needed"),
        ({"premade_chat_template": True, "custom_chat_template": "x"}, "keep one of them"),
        ({"padding_side": "right"}, 'padding_side must be left, not "right"'),
        ({"eos_to_cull": "(<eos>"}, "'eos_to_cull' is not a regular expression: missing"),
        ({"cot_end_tag": "["}, "'cot_end_tag' is not a regular expression"),
        ({"cot_output": True}, "cot_output needs cot_end_tag"),
        ({"load_in_4bit": True, "load_in_8bit": True}, "exclude each other"),
        ({"dtype": "float32", "torch_dtype": "float16"}, "dtype and torch_dtype are two names of one setting"),
        ({"peft_model": ""}, "peft_model must not be empty: give a value, or remove it"),
        ({"attn_implementation": " ", "revision": ""}, "attn_implementation and revision must not be empty"),
        (
            {"filename": "x.gguf", "load_in_8bit": True},
            "load_in_8bit cannot be had with a GGUF file (x.gguf), whose weights have a format of their own",
        ),
        (
            {"filename": "x.gguf", "quantization_config": {"load_in_4bit": True}},
            "quantization_config cannot be had",
        ),
        ({"filename": "X.GGUF"}, "rename X.GGUF to X.gguf, or use the backend llamacpp"),
        ({"do_sample": False}, "does not support model_config.do_sample: sampling follows .* temperature"),
    ],
)
def test_wrong_settings_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message).replace(r"\.\*", ".*")) as caught:
        entry(config)
    assert "model 'm'" in str(caught.value)


def test_model_config_must_be_an_object() -> None:
    with pytest.raises(SpecError, match="model_config must be an object, not a list"):
        entry(model_config=[])


class TestSource:
    def test_hub_id(self) -> None:
        assert (entry().source, entry().is_folder) == ("org/model", False)

    def test_folder_with_home_and_variables(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "config.json").write_text("{}")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("MODELS", str(tmp_path / "models"))
        for given in ("~/models", "$MODELS", "${MODELS}", str(tmp_path / "models")):
            made = entry(huggingface_id=given)
            assert (made.source, made.is_folder) == (str(tmp_path / "models"), True)
        (tmp_path / "adapter").mkdir()
        assert entry({"peft_model": "~/adapter"}).peft_model == str(tmp_path / "adapter")

    @pytest.mark.parametrize("given", ["/no/such/folder", "~/nothing", "./nothing", "$NOWHERE/x", "a/b/c"])
    def test_a_path_without_a_folder(self, given: str) -> None:
        with pytest.raises(SpecError, match=re.escape(f"'{given}'") + ".*is a path, but there is no such folder"):
            entry(huggingface_id=given)

    @pytest.mark.parametrize("given", [None, "", 7])
    def test_missing(self, given: Any) -> None:
        with pytest.raises(SpecError, match=r"huggingface_id must be a (hub id or a folder's path|string, not)"):
            entry(huggingface_id=given)

    def test_an_address_and_a_slash_at_the_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for given in ("https://huggingface.co/org/m", "org/m/", "hf.co/org/m"):
            with pytest.raises(SpecError, match=r'huggingface_id .*; write "org/m"'):
                entry(huggingface_id=given)
        (tmp_path / "org" / "m").mkdir(parents=True)
        (tmp_path / "org" / "m" / "config.json").write_text("{}")
        monkeypatch.chdir(tmp_path)
        assert entry(huggingface_id="org/m/").is_folder


@pytest.mark.parametrize(
    ("value", "tokens"),
    [(8192, 8192), ("8192", 8192), ("128k", 131072), ("1.5k", 1536), (" 1M ", 1048576), ("", None), (None, None)],
)
def test_context_size(value: Any, tokens: int | None) -> None:
    assert parse_context_size(value, "m") == tokens


@pytest.mark.parametrize("value", ["many", "0", -1, True, "k", 1.5])
def test_context_size_that_is_none(value: Any) -> None:
    with pytest.raises(SpecError, match=re.escape(f'must be like 8192, "8192" or "128k", not {value!r}')):
        parse_context_size(value, "m")


HONOURED = {**NAMES, "stop": "stop"}


def read(gen_args: dict[str, Any], on_unsupported: str = "error") -> tuple[Arguments, Ledger]:
    config = {"on_unsupported": on_unsupported}
    spec = ModelSpec(model_name="m", backend="huggingface_local", huggingface_id="o/m", model_config=config)
    return local_arguments.read_arguments(gen_args, gen_args, spec, HONOURED)


def read_arguments(gen_args: dict[str, Any], on_unsupported: str = "error") -> Arguments:
    return read(gen_args, on_unsupported)[0]


class TestGenerationArguments:
    WRONG = (
        *(("temperature", value) for value in (-1, "0", True)),
        *(("max_tokens", value) for value in (0, 1.0, "3", True)),
        *(("top_p", value) for value in (0, 1.1, "1")),
        *(("top_k", value) for value in (-1, 2.0)),
        *(("min_p", value) for value in (-0.1, 2)),
        ("repetition_penalty", 0),
        *(("seed", value) for value in (-1, 2**63, 1.0)),
        *(("stop", value) for value in ("", ["a", ""], [1], 7)),
    )

    def test_what_is_given_is_kept(self) -> None:
        given: dict[str, Any] = {
            "temperature": 0.5,
            "max_tokens": 3,
            "top_p": 0.9,
            "top_k": 5,
            "min_p": 0.1,
            "seed": 1,
        }
        assert read_arguments({**given, "stop": "x", "repetition_penalty": None}) == Arguments(**given, stop=("x",))
        assert read_arguments({"temperature": 0, "max_tokens": 3, "stop": ["x", "y"]}).stop == ("x", "y")
        assert read_arguments({}) == Arguments(temperature=0.0, max_tokens=300)

    @pytest.mark.parametrize("name", [1, None, ("top_p",)])
    def test_a_name_is_text(self, name: Any) -> None:
        with pytest.raises(GenerationArgumentError, match=r"have names, such as 'temperature', and .* is not text"):
            read({name: 1})

    def test_a_backend_without_a_name_is_not_called_none(self) -> None:
        spec = ModelSpec(model_name="m", huggingface_id="o/m")
        with pytest.raises(
            GenerationArgumentError, match="the backend does not know the generation argument 'abc'"
        ):
            local_arguments.read_arguments({"abc": 1}, {"abc"}, spec, NAMES)

    def test_an_unknown_one_is_refused_by_name(self) -> None:
        with pytest.raises(
            GenerationArgumentError, match=r"argument 'verbosity': it knows temperature.* argument 'n': it knows"
        ) as caught:
            read_arguments({"temperature": 0.0, "max_tokens": 3, "verbosity": "low", "n": 2})
        assert all(name in str(caught.value) for name in HONOURED)

    @pytest.mark.parametrize(
        "name", ["extra_body", "timeout", "stream", "messages", "reasoning", "reasoning_effort"]
    )
    def test_what_only_services_are_asked_for(self, name: str) -> None:
        asked = {name: {"effort": "low"} if name == "reasoning" else "low"}
        with pytest.raises(GenerationArgumentError, match=name):
            read(asked)
        assert read(asked, "drop")[1].dropped.keys() == {name}

    @pytest.mark.parametrize(("name", "value"), WRONG)
    def test_wrong_values(self, name: str, value: Any) -> None:
        with pytest.raises(GenerationArgumentError, match=f"model 'm' .*: {name}: must be .*, not "):
            read_arguments({"temperature": 1.0, "max_tokens": 3, name: value})

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_what_is_not_a_number(self, value: float) -> None:
        with pytest.raises(GenerationArgumentError, match=rf"temperature: must be a finite number, not {value}$"):
            read_arguments({"temperature": value, "max_tokens": 3})

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("logit_bias", {"5": 10**400}, r"logit_bias\['5'\]: must be a number of at most 64 bits"),
            ("sequence_bias", [[[5], 10**400]], r"sequence_bias\[0\]\[1\]: must be a number of at most 64 bits"),
            ("logit_bias", {"5": float("inf")}, r"logit_bias\['5'\]: must be a finite number, not inf"),
            ("bad_words_ids", [[{1}]], r"bad_words_ids\[0\]\[0\]: must be a text, a number, .*, not set"),
        ],
    )
    def test_values_that_no_model_can_compute_with(self, name: str, value: Any, words: str) -> None:
        with pytest.raises(GenerationArgumentError, match=words) as caught:
            read_arguments({"temperature": 1.0, "max_tokens": 3, name: value})
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize("name", ["temperature", "max_tokens", "top_p", "presence_penalty", "seed"])
    @pytest.mark.parametrize("digits", [20, 400, 5000])
    def test_numbers_that_are_too_large(self, name: str, digits: int) -> None:
        words = f"{name}: must be a number of at most 64 bits, not one of \\d+ bits$"
        with pytest.raises(GenerationArgumentError, match=words):
            read_arguments({"temperature": 1.0, "max_tokens": 3, name: 10**digits})

    @pytest.mark.parametrize("depth", [201, 3000, 30_000])
    def test_values_that_are_nested_without_end(self, depth: int) -> None:
        schema: dict[str, Any] = {}
        for _ in range(depth):
            schema = {"items": schema}
        with pytest.raises(GenerationArgumentError, match=r"constraint: is nested more than 200 levels deep"):
            read_arguments({"temperature": 1.0, "max_tokens": 3, "constraint": {"json_schema": schema}})

    def test_all_such_values_are_named_at_once(self) -> None:
        with pytest.raises(GenerationArgumentError, match=r"temperature: must be a finite .*; top_p: must be .*64"):
            read_arguments({"temperature": float("nan"), "max_tokens": 3, "top_p": 10**30})

    def test_what_has_no_effect_is_refused(self) -> None:
        for name, value in (("top_p", 0.9), ("top_k", 5), ("min_p", 0.1)):
            with pytest.raises(
                GenerationArgumentError, match=f"{name}: {value} has no effect at temperature 0"
            ) as caught:
                read_arguments({"temperature": 0.0, "max_tokens": 3, name: value})
            assert "'m'" in str(caught.value)
        with pytest.raises(GenerationArgumentError, match="seed: has no effect at temperature 0"):
            read_arguments({"temperature": 0.0, "max_tokens": 3, "seed": 1})
        neutral = {"temperature": 0.0, "max_tokens": 3, "top_p": 1.0, "top_k": 0, "min_p": 0.0}
        assert read_arguments(neutral).top_p == 1.0


class TestWhatIsNotHonoured:
    """``on_unsupported`` decides, as for services; the account says what became of it."""

    @pytest.mark.parametrize(("name", "value"), TestGenerationArguments.WRONG)
    def test_drop(self, name: str, value: Any) -> None:
        arguments, ledger = read({"temperature": 1.0, "max_tokens": 3, name: value}, "drop")
        assert ledger.dropped.keys() == {name}
        assert ledger.clamped == {}
        default = {"temperature": 0.0, "max_tokens": 300, "stop": ()}
        assert getattr(arguments, name) == default.get(name)

    @pytest.mark.parametrize(
        ("name", "value", "nearest"),
        [
            ("temperature", -1, 0),
            ("max_tokens", 0, 1),
            ("top_p", 1.1, 1),
            ("top_k", -1, 0),
            ("min_p", -0.1, 0),
            ("min_p", 2, 1),
            ("seed", -1, 0),
            ("seed", 2**63, 2**63 - 1),
        ],
    )
    def test_nearest(self, name: str, value: Any, nearest: Any) -> None:
        arguments, ledger = read({"temperature": 1.0, "max_tokens": 3, name: value}, "nearest")
        assert ledger.clamped.keys() == {name}
        assert ledger.clamped[name] | {"why": ""} == {"asked": value, "sent": nearest, "why": ""}
        assert getattr(arguments, name) == nearest

    @pytest.mark.parametrize(
        ("name", "value"), [("top_p", 0), ("seed", 1.0), ("stop", [1]), ("presence_penalty", "1")]
    )
    def test_where_nothing_is_near_it_is_left_out(self, name: str, value: Any) -> None:
        _, ledger = read({"temperature": 1.0, "max_tokens": 3, name: value}, "nearest")
        assert ledger.dropped.keys() == {name}
        assert not ledger.clamped

    def test_what_has_no_effect_is_left_out(self) -> None:
        arguments, ledger = read({"temperature": 0, "top_k": 5}, "drop")
        assert arguments.top_k is None
        assert "5 has no effect at temperature 0" in ledger.dropped["top_k"]

    def test_another_policy(self) -> None:
        with pytest.raises(SpecError, match='on_unsupported must be one of error, drop, nearest, not "ignore"'):
            read({"top_k": 5}, "ignore")


@pytest.mark.parametrize(
    ("text", "pattern", "left"),
    [
        ("a<eos>", "<eos>", "a"),
        ("a <eos>\n<eos>\n", "<eos>", "a "),
        ("a <eos> b", "<eos>", "a <eos> b"),
        ("<eos> a<eos>", "<eos>", "<eos> a"),
        ("a<end_of_turn>\n<eos>", r"<end_of_turn>\n*<eos>", "a"),
        ("a<eos>", "", "a<eos>"),
        ("a<eos>", "(<eos>)?", "a"),
        ("", "<eos>", ""),
        ("a\n", "<eos>", "a\n"),
    ],
)
def test_ends_are_culled_at_the_end_only(text: str, pattern: str, left: str) -> None:
    assert cull_end(text, re.compile(pattern) if pattern else None) == left


@pytest.mark.slow
def test_missing_libraries_name_the_pip_line() -> None:
    """In a process of its own, where torch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from clemcore.backends.huggingface_local import HuggingfaceLocal\n"
        "from clemcore.registry.spec import ModelSpec\n"
        "HuggingfaceLocal().get_model_for(ModelSpec(model_name='m', huggingface_id='org/m'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: backend 'huggingface_local' needs the package 'torch'" in done.stderr
    assert "pip install 'clemcore[huggingface]'" in done.stderr


def test_importing_the_backend_imports_no_library() -> None:
    code = (
        "import sys, clemcore.backends.huggingface_local\n"
        "print([name for name in ('torch', 'transformers', 'tokenizers', 'jinja2') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
