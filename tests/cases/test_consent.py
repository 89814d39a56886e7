"""Code that comes with a model never runs unless the entry consents, whatever stands on standard input."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from clemcore.backends.local.entry import read_entry
from clemcore.errors import ModelLoadError, SpecError
from clemcore.registry.spec import ModelSpec
from support.tiny import change, copy_of, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds


@pytest.fixture
def folder(tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose modules leave a file behind when they run, and somebody who answers yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\ny\n"))
    folder = copy_of(tiny_chat, tmp_path / "tiny")
    for name in ("own_config", "own_tokenizer", "own_model"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Own: pass\n")
    return folder


@pytest.mark.parametrize("part", ["configuration", "tokenizer"])
@pytest.mark.parametrize("setting", [{}, {"trust_remote_code": False}])
def test_it_is_refused_with_the_setting(folder: Path, tmp_path: Path, part: str, setting: dict[str, bool]) -> None:
    if part == "configuration":
        change(folder / "config.json", auto_map={"AutoConfig": "own_config.Own"}, model_type="own")
    else:
        own = {"AutoTokenizer": ["own_tokenizer.Own", None]}
        change(folder / "tokenizer_config.json", auto_map=own, tokenizer_class="Own")
    with pytest.raises(
        ModelLoadError, match=rf"'tiny': the {part} of .* set model_config.trust_remote_code to true"
    ):
        load(folder, setting)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("backend", [{}, {"backend": "huggingface_local"}, {"backend": "own"}])
@pytest.mark.parametrize("consent", ["yes", "false", 1])
def test_consent_is_true_and_nothing_like_it(backend: dict[str, str], consent: object) -> None:
    spec = ModelSpec(model_name="m", huggingface_id="o/m", model_config={"trust_remote_code": consent}, **backend)
    with pytest.raises(SpecError, match="trust_remote_code must be true or false"):
        read_entry(spec)


def test_known_architectures_run_without_it(folder: Path, tmp_path: Path) -> None:
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "own_model.Own"})
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text((folder / "own_model.py").read_text())
    model = load(folder)
    assert model.generate_response([{"role": "user", "content": "Hello!"}]).text == "Hello! How can I help you?"
    assert not (tmp_path / "ran").exists()


def test_attention_from_the_hub_is_code(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"'lab/attention' is code from the hub.*trust_remote_code"):
        load(folder, {"attn_implementation": "lab/attention"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "attn_implementation": "lab/attention"}))
    with pytest.raises(SpecError, match="'lab/attention' is code from the hub"):
        load(folder)
