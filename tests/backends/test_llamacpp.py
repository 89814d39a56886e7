"""GGUF files and llama.cpp: heads of files and faults without the package, everything else with it.

`make test-llamacpp` installs the package, which is compiled for several minutes, and runs this file.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clemcore import backends
from clemcore.backends.compared.comparison import compare
from clemcore.backends.compared.engines import LocalEngine
from clemcore.backends.llamacpp import Llamacpp
from clemcore.backends.local.fitting import row_of
from clemcore.backends.local.llamacpp.engine import LlamaEngine
from clemcore.backends.local.llamacpp.files import choose, find_file
from clemcore.backends.local.llamacpp.fitting import fits
from clemcore.backends.local.llamacpp.head import read_head
from clemcore.backends.local.llamacpp.loading import open_file
from clemcore.backends.local.llamacpp.settings import read_settings
from clemcore.backends.local.memory import Free
from clemcore.cli.compare_engines import compare_engines
from clemcore.cli.selection import name_or_folder
from clemcore.errors import GenerationError, MessagesError, MissingExtraError, ModelLoadError, SpecError
from clemcore.registry.spec import ModelSpec
from support.clem import Clem
from support.gguf_files import write_gguf
from support.models import REPOSITORY
from support.tiny import CANBERRA, CAPITAL, END, load

if TYPE_CHECKING:
    from clemcore.backends.llamacpp import LlamacppModel

pytestmark = pytest.mark.slow  # importing transformers alone takes seconds
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("llama_cpp") is None, reason="llama-cpp-python is not installed: make test-llamacpp"
)
EXACT = {"cache_type": "f32", "threads": 1, "prefill_block": 16}
NEW = {"temperature": 0.0, "max_tokens": 20}


@pytest.fixture(scope="session")
def tiny_gguf(tiny_chat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_chat, tmp_path_factory.mktemp("gguf") / "tiny-f32.gguf")


def spec_of(file: Path | str, config: dict[str, Any] | None = None, **fields: Any) -> ModelSpec:
    config = {"premade_chat_template": True, "eos_to_cull": END, **EXACT, **(config or {})}
    return ModelSpec(model_name="tiny", backend="llamacpp", huggingface_id=str(file), model_config=config, **fields)


def opened(file: Path | str, config: dict[str, Any] | None = None, **fields: Any) -> LlamacppModel:
    model = Llamacpp().get_model_for(spec_of(file, config, **fields))
    model.set_gen_args(**NEW)
    return model  # type: ignore[return-value]


@pytest.fixture(scope="module")
def llama(tiny_gguf: Path) -> LlamacppModel:
    return opened(tiny_gguf)


def copied(file: Path, to: Path, changes: dict[str, Any], byte_order: str = "little") -> Path:
    """Copy a GGUF file with other or further metadata."""
    import gguf

    reader = gguf.GGUFReader(file)
    order = gguf.GGUFEndian[byte_order.upper()]
    writer = gguf.GGUFWriter(str(to), str(changes.get("general.architecture", "llama")), endianess=order)
    for name, field in reader.fields.items():
        if not name.startswith(("GGUF.", "general.architecture")) and name not in changes:
            kind = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], kind)
    for name, value in changes.items():
        if name != "general.architecture":
            kinds = gguf.GGUFValueType
            if isinstance(value, list):
                writer.add_array(name, value)
                continue
            kind = (
                kinds.BOOL
                if isinstance(value, bool)
                else kinds.STRING
                if isinstance(value, str)
                else kinds.FLOAT32
                if isinstance(value, float)
                else kinds.UINT32
            )
            writer.add_key_value(name, value, kind)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return to


class TestHeads:
    def test_a_whole_file(self, tiny_gguf: Path) -> None:
        head = read_head(tiny_gguf, "m")
        assert (head.architecture, head.context_size, head.format) == ("llama", 512, "F32")

    @pytest.mark.parametrize("share", [0.00001, 0.01, 0.5, 0.9999])
    def test_a_file_that_is_cut_off(self, tiny_gguf: Path, tmp_path: Path, share: float) -> None:
        data, path = tiny_gguf.read_bytes(), tmp_path / "cut.gguf"
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ModelLoadError, match=r"model 'm': .*cut\.gguf.*copy or download"):
            read_head(path, "m")

    def test_an_encoder_of_images(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "mmproj.gguf", {"general.architecture": "clip"})
        with pytest.raises(ModelLoadError, match=r"mmproj\.gguf is an image encoder .* not a chat model: choose"):
            read_head(path, "m")

    def test_an_adapter(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "lora.gguf", {"general.type": "adapter"})
        with pytest.raises(ModelLoadError, match=r"lora\.gguf is an adapter for another model"):
            read_head(path, "m")

    def test_a_model_for_embeddings(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "bert.gguf", {"llama.attention.causal": False})
        with pytest.raises(ModelLoadError, match="reads texts as a whole, as for embeddings"):
            read_head(path, "m")

    def test_a_model_in_parts_of_which_one_is_missing(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = tmp_path / "m-00001-of-00003.gguf"
        path.write_bytes(tiny_gguf.read_bytes())
        with pytest.raises(ModelLoadError, match=r"one of 3 parts, of which 2 are not there: m-00002-of-00003"):
            read_head(path, "m")

    def test_the_other_byte_order(self, tiny_gguf: Path, tmp_path: Path, clem: Clem) -> None:
        other = {"little": "big", "big": "little"}[sys.byteorder]
        path = copied(tiny_gguf, tmp_path / "other.gguf", {}, other)
        said = (
            rf"other\.gguf is a {other}-endian file, and this machine is .*gguf-convert-endian FILE {sys.byteorder}"
        )
        with pytest.raises(ModelLoadError, match=said):
            read_head(path, "m")
        assert re.search(said, clem("doctor", str(path)).stdout)

    def test_something_else(self, tmp_path: Path) -> None:
        path = tmp_path / "x.gguf"
        path.write_bytes(b"PK\3\4 an archive")
        with pytest.raises(ModelLoadError, match="does not begin with 'GGUF'"):
            read_head(path, "m")


class TestTokenLists:
    """Faults for which llama.cpp ends the process, or which it passes over."""

    def tokens(self, file: Path) -> list[str]:
        import gguf

        return list(gguf.GGUFReader(file).fields["tokenizer.ggml.tokens"].contents())

    def test_a_token_with_two_ids(self, tiny_gguf: Path, tmp_path: Path, clem: Clem) -> None:
        tokens = self.tokens(tiny_gguf)
        tokens[60] = tokens[70] = tokens[61] = "twin"
        path = copied(tiny_gguf, tmp_path / "twins.gguf", {"tokenizer.ggml.tokens": tokens})
        said = r"twins\.gguf: the token 'twin' has two ids, 60 and 61, and 1 more such pairs .*download a newer"
        with pytest.raises(ModelLoadError, match=said):
            open_file(read_settings(spec_of(path)), path)
        assert re.search(said, clem("doctor", str(path)).stdout)

    @pytest.mark.parametrize("key", ["bos", "eos", "eot"])
    def test_a_special_token_beyond_the_list(self, tiny_gguf: Path, tmp_path: Path, key: str) -> None:
        count = len(self.tokens(tiny_gguf))
        path = copied(tiny_gguf, tmp_path / "far.gguf", {f"tokenizer.ggml.{key}_token_id": count})
        with pytest.raises(
            ModelLoadError,
            match=rf"far\.gguf: .*{key}_token_id is {count}, but the file has {count} tokens.*gguf-set-metadata",
        ):
            open_file(read_settings(spec_of(path)), path)

    @pytest.mark.parametrize("missing", ["all", 1])
    def test_kinds_of_tokens_that_are_missing(self, tiny_gguf: Path, tmp_path: Path, missing: Any) -> None:
        count, path = len(self.tokens(tiny_gguf)), tmp_path / "kinds.gguf"
        if missing == "all":
            path.write_bytes(tiny_gguf.read_bytes().replace(b"ggml.token_type", b"ggml.token_typX"))
        else:
            copied(tiny_gguf, path, {"tokenizer.ggml.token_type": [1] * (count - missing)})
        entries = 0 if missing == "all" else count - missing
        said = rf"kinds\.gguf: tokenizer\.ggml\.token_type has {entries} entries, but the file has {count} tokens"
        with pytest.raises(ModelLoadError, match=said):
            open_file(read_settings(spec_of(path)), path)

    def test_the_entry_may_name_the_first_token_instead(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "far.gguf", {"tokenizer.ggml.bos_token_id": 10**6})
        assert open_file(read_settings(spec_of(path, {"bos_string": "<|im_start|>"})), path).context[0] == 512

    def test_an_id_of_another_token_may_mean_none(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "none.gguf", {"tokenizer.ggml.seperator_token_id": 2**32 - 1})
        assert open_file(read_settings(spec_of(path)), path).context[0] == 512

    @needs_package
    def test_a_file_that_names_no_end_does_not_end_at_an_ordinary_token(
        self, tiny_gguf: Path, tmp_path: Path, llama: LlamacppModel
    ) -> None:
        path = tmp_path / "endless.gguf"
        path.write_bytes(tiny_gguf.read_bytes().replace(b"ggml.eos_token_id", b"ggml.eoX_token_id"))
        model = opened(path)
        ids = model._front.tokenizer.vocabulary.ends
        assert {model._front.tokenizer.decode([token]) for token in ids} == {"<|im_end|>"}
        assert ids == llama._front.tokenizer.vocabulary.ends
        assert model.generate_response(CAPITAL)[2] == CANBERRA

    @needs_package
    def test_empty_tokens_are_no_such_pair(self, tiny_gguf: Path, tmp_path: Path) -> None:
        tokens = self.tokens(tiny_gguf)
        tokens[60] = tokens[61] = ""
        path = copied(tiny_gguf, tmp_path / "empty.gguf", {"tokenizer.ggml.tokens": tokens})
        assert opened(path).generate_response(CAPITAL)[2] == CANBERRA

    def test_a_token_ends_at_a_zero_byte(self, tiny_gguf: Path, tmp_path: Path) -> None:
        tokens = self.tokens(tiny_gguf)
        tokens[60], tokens[61] = "twin", "twin\0 brother"
        path = copied(tiny_gguf, tmp_path / "zero.gguf", {"tokenizer.ggml.tokens": tokens})
        with pytest.raises(ModelLoadError, match="the token 'twin' has two ids, 60 and 61 "):
            open_file(read_settings(spec_of(path)), path)


class TestChoosingAFile:
    NAMES = ("a-Q4_K_M.gguf", "Q8/a-Q8_0-00001-of-00002.gguf", "Q8/a-Q8_0-00002-of-00002.gguf", "mmproj-a.gguf")

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("*Q4_K_M.gguf", "a-Q4_K_M.gguf"),
            ("*Q8_0*.gguf", "Q8/a-Q8_0-00001-of-00002.gguf"),
            ("Q8/*00002-of-00002.gguf", "Q8/a-Q8_0-00001-of-00002.gguf"),
        ],
    )
    def test_a_pattern_means_one_model(self, pattern: str, found: str) -> None:
        assert choose(self.NAMES, pattern, "m", "org/m") == found

    def test_a_pattern_that_means_none_or_several(self) -> None:
        with pytest.raises(SpecError, match=r"no file in 'org/m' matches filename '\*Q2\*.gguf'; it has a-Q4_K_M"):
            choose(self.NAMES, "*Q2*.gguf", "m", "org/m")
        with pytest.raises(
            SpecError, match=r"'org/m' has 2 models that match filename '\*\.gguf' \(Q8/a-Q8_0-00001"
        ):
            choose(self.NAMES, "*.gguf", "m", "org/m")

    def test_a_file_and_a_pattern_of_another(self, tiny_gguf: Path) -> None:
        assert find_file(read_settings(spec_of(tiny_gguf, {"filename": "*f32.gguf"}))) == tiny_gguf
        with pytest.raises(SpecError, match=r"tiny-f32\.gguf', which does not match filename 'a\.gguf': remove"):
            find_file(read_settings(spec_of(tiny_gguf, {"filename": "a.gguf"})))

    def test_without_a_pattern(self) -> None:
        with pytest.raises(
            SpecError, match=r"'org/m' has 2 models \(Q8/a-Q8.*, a-Q4_K_M\.gguf\): name one of them in"
        ):
            choose(self.NAMES, None, "m", "org/m")
        with pytest.raises(
            SpecError, match=r"'org/m' has no GGUF file of a chat model, only mmproj-a\.gguf: correct"
        ):
            choose(self.NAMES[-1:], None, "m", "org/m")
        with pytest.raises(SpecError, match=r"'org/m' has no GGUF file: correct huggingface_id, or download"):
            choose([], "*.gguf", "m", "org/m")


class TestHub:
    @pytest.fixture
    def cache(self, tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A cache of the hub's library with one repository of two files."""
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        folder = tmp_path / "hub" / "models--org--m"
        commit = "0123456789abcdef0123456789abcdef01234567"
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
        for name in ("m-F32.gguf", "m-Q8_0.gguf"):
            (folder / "snapshots" / commit / name).symlink_to(tiny_gguf)
        return folder

    def test_a_pattern_finds_the_file(self, cache: Path) -> None:
        found = find_file(read_settings(spec_of("org/m", {"filename": "*Q8_0.gguf"})), offline=True)
        assert (found.name, found.is_relative_to(cache)) == ("m-Q8_0.gguf", True)

    def test_without_a_pattern_it_is_asked_for(self, cache: Path) -> None:
        with pytest.raises(SpecError, match=r"name its file in model_config\.filename"):
            find_file(read_settings(spec_of("org/m")), offline=True)

    def test_what_is_not_on_this_machine(self, cache: Path) -> None:
        with pytest.raises(ModelLoadError, match=r"\*Q4\.gguf of 'org/other' is not in"):
            find_file(read_settings(spec_of("org/other", {"filename": "*Q4.gguf"})), offline=True)


class TestEntries:
    def test_every_packaged_entry_is_read(self) -> None:
        entries = json.loads((REPOSITORY / "model_registry.json").read_text(encoding="utf-8"))
        found = [ModelSpec.from_dict(entry) for entry in entries if entry["backend"] == "llamacpp"]
        assert len(found) == 39
        assert all(read_settings(spec).pattern for spec in found)

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (
                {"execute_on": "cpu", "gpu_layers_offloaded": 3},
                "execute_on is 'cpu', but gpu_layers_offloaded is 3",
            ),
            ({"filename": "model.safetensors"}, "filename must name a GGUF file"),
            (
                {"control_tokens": "escape"},
                "'escape' is not possible with llamacpp, whose tokenizer does not say which",
            ),
            ({"cache_typ": "f32"}, 'did you mean "cache_type"'),
            (
                {"n_ctx": 4096, "n_gpu_layers": 3},
                "write 'context_size' of the entry in place of 'n_ctx', 'gpu_layers_",
            ),
            ({"threads": 10**6}, "threads must be a number from 1 to 512, not 1000000: correct it, or remove it"),
            ({"prefill_block": -1}, "prefill_block must be a number from 0 to 2147483647, not -1"),
            ({"gpu_layers_offloaded": -7}, r"gpu_layers_offloaded must be a number from -1 \(-1: all\) to"),
        ],
    )
    def test_settings_that_contradict_or_are_unknown(self, config: dict[str, Any], message: str) -> None:
        with pytest.raises(SpecError, match=message):
            read_settings(spec_of("org/model", config))

    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        (tmp_path / "there.gguf").touch()
        with pytest.raises(
            SpecError, match=r"none\.gguf' of huggingface_id is not there: its folder has there\.gguf"
        ):
            read_settings(spec_of(tmp_path / "none.gguf"))
        with pytest.raises(SpecError, match=r"'\./none' is a path, but there is no such folder or file"):
            read_settings(spec_of("./none"))

    def test_what_is_neither_a_file_nor_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "link.gguf").symlink_to(tmp_path / "gone.gguf")
        with pytest.raises(SpecError, match=r"link\.gguf' is a link to .*gone\.gguf, which is not there: correct"):
            read_settings(spec_of(tmp_path / "link.gguf"))
        os.mkfifo(tmp_path / "pipe.gguf")
        with pytest.raises(SpecError, match=r"pipe\.gguf' is neither a file nor a folder: correct it"):
            read_settings(spec_of(tmp_path / "pipe.gguf"))

    def test_a_revision_of_a_file_on_this_machine(self, tiny_gguf: Path) -> None:
        with pytest.raises(SpecError, match=r"revision is a commit, branch or tag on the hub, and huggingface_id"):
            read_settings(spec_of(tiny_gguf, {"revision": "main"}))


class TestFit:
    """`clem fit`: what a file needs, or an estimate."""

    def test_a_file_is_measured(self, tiny_gguf: Path) -> None:
        (found,) = fits(spec_of(tiny_gguf), Free(850_000, "it"))
        row = row_of(found)
        assert (row["weights_bytes"], row["format"]) == (tiny_gguf.stat().st_size, "F32")
        # Two layers, one head of 32 numbers, for keys and for values, in f32.
        assert row["state_bytes_per_token"] == {"attention": 2 * 32 * 2 * 4}
        # llama.cpp reserves the whole context when it loads the model.
        assert (row["needed_for_tokens"], row["fits"], row["full_dialogues"]) == (512, True, 1)
        # A block of 16 tokens: scores of 408 tokens, six vectors of 64 numbers, and two heads and a mask, in f32.
        assert row["working_bytes"] == 16 * 4 * (408 + 6 * 64 + 3 * 512)
        assert row["needed_bytes"] == tiny_gguf.stat().st_size + 512 * 512 + row["working_bytes"]
        assert row_of(fits(spec_of(tiny_gguf, {"cache_type": "f16"}), Free(750_000, "it"))[0])["fits"]
        row = row_of(fits(spec_of(tiny_gguf), Free(750_000, "it"))[0])
        assert (row["fits"], row["full_dialogues"]) == (False, 0)

    @needs_package
    def test_what_computing_takes_is_about_what_llama_cpp_reserves(self, tiny_gguf: Path) -> None:
        code = (
            f"import llama_cpp as l; m = l.llama_model_load_from_file({str(tiny_gguf).encode()!r},"
            "l.llama_model_default_params()); o = l.llama_context_default_params(); o.n_ctx = o.n_batch = 512;"
            "o.n_ubatch = 512; o.flash_attn_type = 0; l.llama_free(l.llama_init_from_model(m, o))"
        )
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
        found = re.search(r"compute buffer size = +([\d.]+) MiB", told)
        assert found is not None
        reserved = float(found[1]) * 2**20
        estimated = row_of(fits(spec_of(tiny_gguf, {"prefill_block": 512}), Free(0, "it"))[0])["working_bytes"]
        assert reserved < estimated < 2 * reserved

    def test_without_the_file_the_entry_gives_an_estimate(self) -> None:
        spec = spec_of("org/m", {"filename": "sub/*q4_k_m-00001-of-00002.gguf"}, parameters="8B")
        row = row_of(fits(spec, Free(10**10, "it"))[0])
        assert (row["weights_bytes"], row["format"]) == (4_840_000_000, "Q4_K_M")
        assert "the file would make it exact" in row["weights_estimated_from"]

    @pytest.mark.parametrize(
        ("pattern", "fields", "lacking"),
        [
            ("*Q4_K_M.gguf", {}, "the entry has no 'parameters': add"),
            ("*XQ4_Kx.gguf", {"parameters": "8B"}, "'*XQ4_Kx.gguf' does not name a format"),
        ],
    )
    def test_what_is_not_known_is_said(self, pattern: str, fields: dict[str, Any], lacking: str) -> None:
        with pytest.raises(ModelLoadError, match=re.escape(lacking)):
            fits(spec_of("org/m", {"filename": pattern}, **fields))

    def test_every_packaged_entry_is_estimated_or_says_what_lacks(self, clem: Clem) -> None:
        entries = json.loads((REPOSITORY / "model_registry.json").read_text(encoding="utf-8"))
        for spec in [ModelSpec.from_dict(entry) for entry in entries if entry["backend"] == "llamacpp"]:
            if spec.get("parameters"):
                assert row_of(fits(spec, Free(0, "it"))[0])["weights_bytes"] > 10**8
            else:
                with pytest.raises(ModelLoadError, match="the entry has no 'parameters'"):
                    fits(spec)
        shown = clem.ok("fit", "Qwen3-8B-GGUF-q4-k-m", "--memory", "24GB")
        assert "Q4_K_M\tabout 4.8 GB" in shown


def test_without_the_package_the_error_names_the_extra(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'clemcore\[llamacpp\]'"):
        Llamacpp().get_model_for(spec_of(tiny_gguf))


@needs_package
class TestAnswers:
    def test_prompts_and_answers_are_those_of_transformers(self, llama: LlamacppModel, tiny_chat: Path) -> None:
        model = load(tiny_chat)
        model.set_gen_args(**NEW)
        ours, theirs = (each.generate_response(CAPITAL) for each in (llama, model))
        assert ours[2] == theirs[2] == CANBERRA
        assert ours[0]["input_ids"] == theirs[0]["input_ids"]
        assert ours[1]["output_ids"] == theirs[1]["output_ids"]
        assert ours.facts["template"]["engine"] == "clemcore"

    def test_cold_and_warm_scores_are_equal_bit_by_bit(self, llama: LlamacppModel) -> None:
        llama.set_gen_args(**NEW, logprobs=True)
        llama.forget_kept()
        cold, warm = (llama.generate_response(CAPITAL) for _ in range(2))
        llama.set_gen_args(**NEW)
        assert (cold.facts["prefill"]["kept"], warm.facts["prefill"]["kept"]) == (0, 32)
        assert warm.facts["logprobs"] == cold.facts["logprobs"]

    @pytest.mark.parametrize("exactness", ["exact", "fast"])
    def test_scores_of_answers_are_those_of_transformers(
        self, llama: LlamacppModel, tiny_chat: Path, exactness: str
    ) -> None:
        answers = [CANBERRA, "No.", "Größe 東京"]
        model = load(tiny_chat)
        ours, theirs = (each.score_answers(CAPITAL, answers, exactness=exactness) for each in (llama, model))
        assert [one.sum for one in ours] == pytest.approx([other.sum for other in theirs], abs=1e-3)

    def test_sampled_answers_are_those_of_their_seed(self, llama: LlamacppModel) -> None:
        llama.set_gen_args(temperature=1.5, max_tokens=12, seed=3)
        one, other = (llama.generate_response(CAPITAL)[2] for _ in range(2))
        llama.set_gen_args(**NEW)
        assert one == other

    def test_a_stop_string_and_a_limit(self, llama: LlamacppModel) -> None:
        llama.set_gen_args(**NEW, stop=["Austr"])
        _, response, text = llama.generate_response(CAPITAL)
        assert (text, response["finish_reason"]) == ("The capital of", "stop_string")
        llama.set_gen_args(temperature=0.0, max_tokens=2)
        assert llama.generate_response(CAPITAL)[1]["finish_reason"] == "length"
        llama.set_gen_args(**NEW)

    def test_a_batch_gives_each_its_answer(self, llama: LlamacppModel) -> None:
        texts = [reply[2] for reply in llama.generate_batch_response([CAPITAL, CAPITAL[:1], CAPITAL])]
        assert texts == [CANBERRA, CAPITAL[1]["content"], CANBERRA]

    def test_bad_items_of_a_batch_fail_alone_and_answers_are_recorded_when_they_are_ready(
        self, llama: LlamacppModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorded: list[list[str]] = []
        generated = LlamaEngine._generated

        def answers() -> list[str]:
            calls = json.loads(Path("calls.json").read_text(encoding="utf-8"))
            return [call["clemcore"]["response_text"] for call in calls if "error" not in call["clemcore"]]

        def watched(engine: LlamaEngine, job: Any) -> Any:
            # Another thread records; all earlier answers have to arrive while this one is not yet computed.
            deadline = time.monotonic() + 30
            while len(answers()) < len(recorded) and time.monotonic() < deadline:
                time.sleep(0.01)
            recorded.append(answers())
            return generated(engine, job)

        monkeypatch.setattr(LlamaEngine, "_generated", watched)
        too_long, no_text = [{"role": "user", "content": "word " * 600}], [{"role": "user", "content": 3}]
        image = [{"role": "user", "content": "What?", "image": "a.png"}]
        batch: list[Any] = [CAPITAL, too_long, CAPITAL[:1], no_text, image, CAPITAL]
        with backends.record("calls.json"):
            found = llama.generate_batch_response(batch, return_exceptions=True)
        kinds = ["Reply", "ContextExceededError", "Reply", "MessagesError", "MessagesError", "Reply"]
        assert [type(result).__name__ for result in found] == kinds
        texts = [result[2] for result in found if not isinstance(result, Exception)]
        assert texts == [CANBERRA, CAPITAL[1]["content"], CANBERRA]
        assert recorded == [[], texts[:1], texts[:2]]
        calls = json.loads(Path("calls.json").read_text(encoding="utf-8"))
        assert sorted(call["clemcore"]["batch"]["index"] for call in calls) == [0, 1, 2, 4, 5]

    def test_a_constraint_is_kept(self, llama: LlamacppModel) -> None:
        pytest.importorskip("llguidance")
        llama.set_gen_args(**NEW, constraint={"choices": ["yes", "no"]})
        text = llama.generate_response(CAPITAL)[2]
        llama.set_gen_args(**NEW)
        assert text in ("yes", "no")

    def test_models_of_one_file_share_their_weights(self, llama: LlamacppModel, tiny_gguf: Path) -> None:
        assert opened(tiny_gguf)._weights is llama._weights

    def test_a_folder_with_a_pattern(self, tiny_gguf: Path) -> None:
        assert opened(tiny_gguf.parent, {"filename": "*f32.gguf"}).generate_response(CAPITAL)[2] == CANBERRA


class TestParts:
    @pytest.fixture
    def parts(self, tiny_chat: Path, tmp_path: Path) -> list[Path]:
        write_gguf(tiny_chat, tmp_path / "m.gguf", tensors_per_part=8)
        return sorted(tmp_path.glob("m-*.gguf"))

    def test_the_head_counts_all_parts(self, parts: list[Path], tiny_gguf: Path) -> None:
        assert [path.name for path in parts] == [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
        heads = [read_head(path, "m") for path in (*parts, tiny_gguf)]
        assert {head.parameters for head in heads} == {heads[-1].parameters}
        assert heads[1].path == parts[0]

    def test_files_that_are_parts_by_their_names_alone(
        self, parts: list[Path], tiny_gguf: Path, tmp_path: Path
    ) -> None:
        shutil.copy(parts[2], parts[1])
        with pytest.raises(
            ModelLoadError, match=r"00002-of-00003\.gguf is part 3 of 3 by its metadata, but by its name"
        ):
            read_head(parts[0], "m")
        for number in (1, 2):
            shutil.copy(tiny_gguf, tmp_path / f"k-0000{number}-of-00002.gguf")
        with pytest.raises(
            ModelLoadError, match=r"00001-of-00002\.gguf is part 1 of 1 by its metadata, but by its name"
        ):
            read_head(tmp_path / "k-00001-of-00002.gguf", "m")
        for name in ("k-00000-of-00000.gguf", "k-00007-of-00002.gguf"):
            assert read_head(Path(shutil.copy(tiny_gguf, tmp_path / name)), "m").parameters

    def test_a_part_that_is_cut_off(self, parts: list[Path]) -> None:
        parts[1].write_bytes(parts[1].read_bytes()[:-100])
        with pytest.raises(
            ModelLoadError, match=r"m-00002-of-00003\.gguf has \d+ bytes, but its head promises \d+"
        ):
            read_head(parts[0], "m")

    @needs_package
    @pytest.mark.parametrize("named", [0, 2])
    def test_any_part_names_the_model(self, parts: list[Path], named: int, llama: LlamacppModel) -> None:
        model = opened(parts[named])
        assert model.generate_response(CAPITAL)[1] == llama.generate_response(CAPITAL)[1]
        folder = opened(parts[0].parent, {"filename": "m-00001-of-*.gguf"})
        assert folder._weights is model._weights


@needs_package
class TestComparedWithTransformers:
    def engines(self, file: Path, folder: Path) -> tuple[LocalEngine, LocalEngine]:
        return LocalEngine(load(folder), "transformers"), LocalEngine(opened(file), "llamacpp")

    def test_both_engines_agree(self, tiny_gguf: Path, tiny_chat: Path) -> None:
        one, other = self.engines(tiny_gguf, tiny_chat)
        made = compare("tiny", one, other, [CAPITAL, CAPITAL[:1]], new_tokens=12)
        assert (made.equal_prompts, made.equal_answers, made.notes) == (2, 1.0, ())
        assert made.formats == {"transformers": "float32", "llamacpp": "float32"}
        for row in made.rows:
            sums = [each for by_name in row.sums.values() for each in by_name.values()]
            assert sums == pytest.approx([sums[0]] * 4, abs=1e-3)

    def test_a_planted_fault_of_a_template_is_found(self, tiny_gguf: Path, tiny_chat: Path, tmp_path: Path) -> None:
        template = (tiny_chat / "chat_template.jinja").read_text().replace("|>assistant", "|> assistant")
        path = copied(tiny_gguf, tmp_path / "faulty.gguf", {"tokenizer.chat_template": template})
        made = compare("tiny", *self.engines(path, tiny_chat), [CAPITAL], new_tokens=4)
        assert made.differing_prompts == 1
        first = made.rows[0].first_id
        assert first is not None
        assert " assistant" in first.texts["llamacpp"]

    def test_formats_that_differ_are_said(self, tiny_gguf: Path, tiny_chat: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "q.gguf", {"general.file_type": 3})
        made = compare("tiny", *self.engines(path, tiny_chat), [CAPITAL], new_tokens=1)
        assert made.formats["llamacpp"] == "Q4_1, {'method': 'gguf', 'format': 'Q4_1'}"
        assert "so equal answers cannot be expected" in made.notes[0]

    def test_the_command_takes_a_gguf_file(
        self, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        Path("prompts.json").write_text('["Hello!"]', encoding="utf-8")
        given = [str(tiny_gguf), "transformers", "llamacpp", "prompts.json", "-l", "12"]
        assert compare_engines.main(given, standalone_mode=False) == 0
        told = capsys.readouterr().out
        assert "prompt ids: 1 equal, of 1" in told
        assert "equal answers: 1 of 1" in told
        assert name_or_folder(str(tiny_gguf), ()).get("backend") == "llamacpp"


@needs_package
class TestFaults:
    def test_a_file_without_a_chat_template(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = tmp_path / "bare.gguf"
        path.write_bytes(tiny_gguf.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_templatX"))
        with pytest.raises(SpecError, match=r"bare\.gguf has no chat template .*give a custom_chat_template"):
            opened(path)

    def test_a_file_that_has_only_templates_of_other_names(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = tmp_path / "tools.gguf"
        changes = {"tokenizer.chat_template.tool_use": "{{ 1 }}", "tokenizer.chat_template.rag": "{{ 2 }}"}
        copied(tiny_gguf, path, changes)
        path.write_bytes(path.read_bytes().replace(b"tokenizer.chat_template\x08", b"tokenizer.chat_templatX\x08"))
        with pytest.raises(
            SpecError, match=r"it has tokenizer\.chat_template\.rag, tokenizer\.chat_template\.tool_use\): set"
        ):
            open_file(read_settings(spec_of(path)), path)

    def test_metadata_that_contradict_the_entry(self, tiny_gguf: Path) -> None:
        with pytest.raises(SpecError, match=r"context_size is 4096 tokens, but .* is of a model for 512"):
            opened(tiny_gguf, context_size="4k")
        with pytest.raises(SpecError, match=r"eos_string '</s>' is not a token of .*, which reads it as \d tokens"):
            opened(tiny_gguf, {"eos_string": "</s>"})

    def test_an_architecture_that_llama_cpp_does_not_know(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "new.gguf", {"general.architecture": "llama9"})
        with pytest.raises(ModelLoadError, match=r"cannot read .*new\.gguf.*unknown model architecture: 'llama9'"):
            opened(path)

    def test_a_model_with_an_encoder(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "t5.gguf", {"general.architecture": "t5"})
        with pytest.raises(ModelLoadError, match="t5"):
            opened(path)

    def test_a_file_of_another_model(self, tiny_gguf: Path) -> None:
        with pytest.raises(
            SpecError, match=r"'parameters' of the entry are 7,000,000,000, but tiny-f32\.gguf has 100,160"
        ):
            opened(tiny_gguf, parameters="7B")

    @pytest.mark.parametrize("config", [{"execute_on": "gpu"}, {"gpu_layers_offloaded": 3}])
    def test_a_gpu_where_llama_cpp_was_compiled_without_one(
        self, tiny_gguf: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("clemcore.backends.local.llamacpp.loading.has_gpu", lambda: False)
        with pytest.raises(ModelLoadError, match=r"the entry wants a GPU .* compiled without one"):
            opened(tiny_gguf, config)

    def test_a_context_that_does_not_fit(self, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clemcore.backends.local.llamacpp.loading.free_ram", lambda: Free(800_000, "machine"))
        with pytest.raises(
            ModelLoadError,
            match=r"needs 822 kB \(weights 411 kB in F32, 512 tokens of context 262 kB, computing about 149 kB\)",
        ):
            opened(tiny_gguf, {"own_weights": True})
        assert opened(tiny_gguf, {"own_weights": True, "preflight": False}).context_size == 512

    def test_a_closed_model(self, tiny_gguf: Path) -> None:
        model = opened(tiny_gguf, {"own_weights": True})
        model.close()
        with pytest.raises(ModelLoadError, match="was closed"):
            model.generate_response(CAPITAL)
        assert model._front.tokenizer.decode([3, 4])  # llama.cpp still has the vocabulary

    def test_weights_that_llama_cpp_cannot_read(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = tmp_path / "odd.gguf"
        path.write_bytes(tiny_gguf.read_bytes().replace(b"output_norm.weight", b"output_morm.weight"))
        with pytest.raises(ModelLoadError, match=r"llama\.cpp cannot load .*odd\.gguf.*output_norm"):
            opened(path)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"tokenizer.ggml.model": "llama"}, r"cannot read .*, and ends the process: unordered_map::at \(llama"),
            ({"llama.block_count": 0}, r"cannot load .*, and ends the process: llama-model\.cpp:\d+: GGML_ASSERT"),
            ({"llama.attention.head_count_kv": [1, 2]}, r"cannot load .*, and ends the process: ggml\.c:\d+: GGML"),
        ],
    )
    def test_a_file_for_which_llama_cpp_ends_the_process(
        self, tiny_gguf: Path, tmp_path: Path, changes: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ModelLoadError, match=rf"model 'tiny': llama\.cpp {words}.*The file is damaged, or of"):
            opened(copied(tiny_gguf, tmp_path / "odd.gguf", changes))

    def test_a_file_is_tried_once(self, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuses(*_: Any, **__: Any) -> Any:
            raise AssertionError("it was tried before")

        opened(tiny_gguf, {"own_weights": True})
        monkeypatch.setattr("clemcore.backends.local.llamacpp.trial.subprocess.run", refuses)
        assert opened(tiny_gguf, {"own_weights": True}).generate_response(CAPITAL)[2] == CANBERRA

    def test_a_template_of_a_wrong_type(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "odd.gguf", {"tokenizer.chat_template": 7})
        with pytest.raises(
            ModelLoadError, match=r"model 'tiny': .*odd\.gguf: .*chat_template is not a string.*again"
        ):
            open_file(read_settings(spec_of(path)), path)

    def test_weights_that_give_no_numbers(self, tiny_gguf: Path, tmp_path: Path) -> None:
        path = copied(tiny_gguf, tmp_path / "odd.gguf", {"llama.rope.freq_base": float("nan")})
        with pytest.raises(GenerationError, match=r"model 'tiny': the model gives scores that are not numbers"):
            opened(path).generate_response(CAPITAL)

    def test_an_image(self, llama: LlamacppModel) -> None:
        with pytest.raises(MessagesError, match=r"loaded as a text model.*only with the backend huggingface_local"):
            llama.generate_response([{"role": "user", "content": "What?", "image": "a.png"}])

    def test_a_dialogue_beyond_the_context(self, llama: LlamacppModel) -> None:
        from clemcore.errors import ContextExceededError

        with pytest.raises(ContextExceededError, match="Context token limit for tiny exceeded"):
            llama.generate_response([{"role": "user", "content": "word " * 600}])


@needs_package
def test_memory_is_steady_over_thirty_loads(tiny_gguf: Path) -> None:
    def resident() -> int:
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    sizes = []
    for _ in range(35):
        model = opened(tiny_gguf, {"own_weights": True})
        model.generate_response(CAPITAL)
        del model
        sizes.append(resident())
    assert sizes[-1] - sizes[4] < 4_000_000
