"""`clem prove`: what holds, what differs, what cannot be compared; with model folders that have a fault."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clemcore.prompts.proof import Proof
from support.clem import Clem
from support.templates import RIGHT

pytestmark = pytest.mark.slow  # each starts a process that imports transformers


@pytest.fixture
def folder(tiny_chat: Path, tmp_path: Path) -> Path:
    """The tiny model's tokenizer and configuration, without weights."""
    names = shutil.ignore_patterns("*.safetensors")
    return Path(shutil.copytree(tiny_chat, tmp_path / "tiny", ignore=names))


def rows(shown: str) -> dict[str, str]:
    return {line.partition("\t")[0]: line.partition("\t")[2] for line in shown.splitlines() if "\t" in line}


def test_a_template(clem: Clem) -> None:
    Path("t.jinja").write_text(RIGHT + "{{ strftime_now('%d %B %Y') }}")
    arguments = ("prove", "--template", "t.jinja", "--special-token", "bos_token=<s>")
    shown = rows(clem.ok(*arguments, "--template-now", "2026-07-26"))
    assert shown["result"] == "holds"
    assert shown["clock"] == "2026-07-26T00:00:00 (pinned)"
    assert shown["compared"] == "texts and errors"
    made = Proof.from_dict(json.loads(clem.ok(*arguments, "--json")))
    assert (made.holds, made.clock_is_pinned, made.special_tokens) == (True, False, {"bos_token": "<s>"})


def test_a_model_and_its_stored_proof(clem: Clem, folder: Path, tmp_path: Path) -> None:
    entry = {"model_name": "tiny", "backend": "huggingface_local", "huggingface_id": str(folder)}
    Path("model_registry.json").write_text(json.dumps([entry]))
    shown = rows(clem.ok("prove", "tiny", CLEMCORE_CACHE=str(tmp_path / "cache")))
    assert shown["compared"] == "texts, errors and token ids"
    assert shown["result"] == "holds"
    (stored,) = (tmp_path / "cache" / "proofs").iterdir()
    assert Proof.from_dict(json.loads(stored.read_text())).holds


def test_the_demo_model(clem: Clem, smollm2: Path) -> None:
    made = Proof.from_dict(json.loads(clem.ok("prove", str(smollm2), "--json")))
    assert made.holds
    assert made.tokenizer
    assert made.engine == "clemcore"


class TestFaultyModels:
    """The model's own files are wrong: a proof compares, and it also looks for what no model wants."""

    def test_a_template_that_writes_two_first_tokens(self, clem: Clem, folder: Path) -> None:
        path = folder / "chat_template.jinja"
        path.write_text("{{ bos_token + bos_token }}" + path.read_text())
        done = clem("prove", str(folder))
        assert done.returncode == 1
        assert rows(done.stdout)["result"].startswith("does not hold: case user differs (double BOS at byte 12); ")
        assert "first difference: case user: double BOS, byte 12, line 1, token 1\n" in done.stdout
        assert "  ours    \"1:'<|im_start|>'" in done.stdout

    @pytest.mark.parametrize(
        ("method", "what"),
        [
            ("__call__(self, *args, **kwargs)", "double BOS"),
            ("apply_chat_template(self, *args, **kwargs)", "token ids"),
        ],
    )
    def test_a_tokenizer_that_adds_a_first_token_in_its_own_code(
        self, clem: Clem, folder: Path, method: str, what: str
    ) -> None:
        """For every text, where ``add_special_tokens=False`` does not reach; or for dialogues alone."""
        name = method.partition("(")[0]
        (folder / "own_tokenizer.py").write_text(
            "from transformers import PreTrainedTokenizerFast\n\n\n"
            "class OwnTokenizer(PreTrainedTokenizerFast):\n"
            f"    def {method}:\n"
            f"        made = super().{name}(*args, **kwargs)\n"
            "        if not isinstance(made, str):\n"
            "            made['input_ids'] = [1, *made['input_ids']]\n"
            "        return made\n"
        )
        path = folder / "tokenizer_config.json"
        content = json.loads(path.read_text())
        content["tokenizer_class"] = "OwnTokenizer"
        content["auto_map"] = {"AutoTokenizer": [None, "own_tokenizer.OwnTokenizer"]}
        path.write_text(json.dumps(content))
        entry = {
            "model_name": "tiny",
            "backend": "huggingface_local",
            "huggingface_id": str(folder),
            "model_config": {"trust_remote_code": True},
        }
        done = clem("prove", json.dumps(entry), "--json")
        assert done.returncode == 1, done.stderr
        first = json.loads(done.stdout)["first"]
        assert (first["case"], first["what"], first["token"]) == ("user", what, 1)

    def test_a_case_of_ones_own(self, clem: Clem, folder: Path) -> None:
        path = folder / "chat_template.jinja"
        path.write_text(
            "{% if messages[0].content == 'Bo' %}{{ bos_token + bos_token }}{% endif %}" + path.read_text()
        )
        assert rows(clem.ok("prove", str(folder)))["result"] == "holds"
        Path("mine.json").write_text('[{"role": "user", "content": "Bo"}]')
        done = clem("prove", str(folder), "--case", "mine.json")
        assert done.returncode == 1
        assert "first difference: case mine.json: double BOS" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give either MODEL or --template FILE"),
        (("mock", "--template", "t.jinja"), "Give either MODEL or --template FILE"),
        (("mock", "--special-token", "a=b"), "--special-token needs --template"),
        (("--template", "t.jinja", "--special-token", "a"), "'a' is not NAME=VALUE"),
        (("--template", "t.jinja", "--template-now", "soon"), "'soon' is not an ISO time"),
        (("--template", "t.jinja", "--case", "none.json"), "none.json: the case cannot be read"),
        (("--template", "none.jinja"), "none.jinja: the template cannot be read"),
        (("--template", "t.jinja"), "t.jinja:2:"),
        (("mock",), "makes no prompt from a chat template here"),
        (("nobody",), "nobody"),
    ],
)
def test_what_cannot_be_run(clem: Clem, arguments: tuple[str, ...], message: str) -> None:
    Path("t.jinja").write_text("one\n{% for %}")
    assert message in clem.fails("prove", *arguments, status=2)


def test_a_template_that_refuses_everything_is_neither(clem: Clem) -> None:
    Path("t.jinja").write_text("{{ raise_exception('only documents') }}")
    done = clem("prove", "--template", "t.jinja")
    assert done.returncode == 2
    assert "the template refuses every conversation of the proof" in done.stdout
