"""The same model on two engines: prompt ids, answers, and each other's scores; a server of whatever kind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from clemcore.backends.compared.comparison import EngineComparison, compare
from clemcore.backends.compared.dialogues import fitting
from clemcore.backends.compared.engines import LocalEngine
from clemcore.backends.compared.server import ServerEngine
from clemcore.backends.compared.store import comparisons_of, save
from clemcore.cli.compare_engines import compare_engines
from clemcore.errors import ClemcoreError, ContextExceededError, MessagesError, RemoteCallError, SpecError
from support.clem import Clem
from support.remote import DIALOGUE, HELLO
from support.tiny import copy_of, load
from support.wire_server import Answer, Received, WireServer, reply

RIVER = [{"role": "user", "content": "Write one sentence about a river."}]


@pytest.fixture
def tiny(tiny_chat: Path) -> LocalEngine:
    return LocalEngine(load(tiny_chat), "transformers")


def vllm(tiny: LocalEngine, *, shift: int = 0, answers: bool = True) -> Callable[[Received], Answer]:
    """A server that answers as vLLM does, with the model of this process; `shift` changes its prompt ids."""

    def script(received: Received) -> Answer:
        if received.target == "/v1/models":
            return reply(200, {"data": [{"id": "tiny", "root": "/models/tiny", "max_model_len": 512}]})
        asked = received.json
        if received.target == "/tokenize" and answers:
            ids = tiny.prompt(asked["messages"]).ids or []
            return reply(200, {"tokens": [*ids[:-1], ids[-1] + shift], "count": len(ids), "max_model_len": 512})
        if received.target == "/v1/chat/completions":
            found = tiny.answer(asked["messages"], asked["max_tokens"])
            choice = {"message": {"role": "assistant", "content": found.text}, "finish_reason": "stop", "index": 0}
            if asked.get("return_token_ids") and answers:
                choice["token_ids"] = [*(found.ids or []), 0]
            usage = {"prompt_tokens": tiny.prompt(asked["messages"]).count}
            return reply(200, {"choices": [choice], "usage": usage})
        if received.target == "/v1/completions" and answers:
            rows = [None, *({str(token): {"logprob": -0.5, "rank": 1}} for token in asked["prompt"][1:])]
            return reply(200, {"choices": [{"prompt_logprobs": rows}]})
        return reply(404, {"detail": "Not Found"})

    return script


def llamacpp(tiny: LocalEngine) -> Callable[[Received], Answer]:
    """A server that answers as llama.cpp does: it shows prompts, and no ids of its answers."""

    def script(received: Received) -> Answer:
        if received.target == "/v1/models":
            return reply(200, {"data": [{"id": "tiny.gguf", "meta": {"n_vocab": 391}}]})
        asked = received.json
        if received.target == "/apply-template":
            return reply(200, {"prompt": tiny.prompt(asked["messages"]).text})
        if received.target == "/tokenize":
            if "content" not in asked:
                return reply(400, {"error": "content is missing"})
            tokenizer = tiny.model._front.tokenizer
            return reply(200, {"tokens": tokenizer.encode(asked["content"], add_special_tokens=False)})
        if received.target == "/v1/completions":
            return reply(501, {"error": {"message": "not supported"}})
        found = tiny.answer(asked["messages"], asked["max_tokens"])
        choice = {"message": {"role": "assistant", "content": found.text}, "finish_reason": "stop"}
        return reply(200, {"choices": [choice], "usage": {"prompt_tokens": 1}})

    return script


def compared(tiny: LocalEngine, server: WireServer, *dialogues: Any) -> EngineComparison:
    other = ServerEngine(f"{server.url}/v1")
    return compare("tiny", tiny, other, dialogues or [HELLO, DIALOGUE], new_tokens=12)


def test_two_servers_of_the_model_here_agree(tiny: LocalEngine, wire_server: WireServer) -> None:
    wire_server.script = [vllm(tiny)]
    made = compared(tiny, wire_server)
    assert (made.equal_prompts, made.equal_answers) == (2, 1.0)
    row = made.rows[1]
    url = f"{wire_server.url}/v1"
    assert row.sums[url]["transformers"] == pytest.approx(-0.5 * len(tiny.answer(DIALOGUE, 12).ids or []))
    assert row.sums["transformers"]["transformers"] == row.sums["transformers"][url] != 0
    assert made.notes == (
        f"{url}: it does not say in which format it computes, so equal answers cannot be expected",
    )


def test_a_prompt_that_differs_is_shown_with_its_first_id(tiny: LocalEngine, wire_server: WireServer) -> None:
    wire_server.script = [vllm(tiny, shift=1)]
    made = compared(tiny, wire_server)
    assert made.differing_prompts == 2
    first = made.rows[0].first_id
    ids = tiny.prompt(HELLO).ids
    assert first is not None
    assert ids is not None
    assert first.token == len(ids) - 1
    assert first.ids["transformers"] == ids[-5:]


def test_a_server_like_llamacpp(tiny: LocalEngine, wire_server: WireServer) -> None:
    wire_server.script = [llamacpp(tiny)]
    made = compared(tiny, wire_server)
    assert (made.equal_prompts, made.equal_answers) == (2, 1.0)
    assert any("it does not score given answers" in words for words in made.notes)
    assert any("ids of the answer's text" in words for words in made.notes)


def test_a_server_that_only_counts(tiny: LocalEngine, wire_server: WireServer) -> None:
    wire_server.script = [vllm(tiny, answers=False)]
    made = compared(tiny, wire_server)
    assert [row.prompt for row in made.rows] == ["equal in number", "equal in number"]
    assert made.equal_answers == 1.0
    assert any("it does not show prompt ids, only how many there are" in words for words in made.notes)


def test_a_planted_fault_of_a_template_is_found(tiny: LocalEngine, tiny_chat: Path, tmp_path: Path) -> None:
    folder = copy_of(tiny_chat, tmp_path / "faulty")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>assistant", "<|im_start|> assistant"))
    made = compare("tiny", tiny, LocalEngine(load(folder), "faulty"), [HELLO, RIVER], new_tokens=12)
    assert made.differing_prompts == 2
    first = made.rows[0].first_id
    assert first is not None
    assert first.texts["transformers"] != first.texts["faulty"]
    assert " assistant" in first.texts["faulty"]


def test_answers_that_differ_are_shown_with_the_margin(tiny_chat: Path, tmp_path: Path) -> None:
    import torch

    one, other = load(tiny_chat), load(copy_of(tiny_chat, tmp_path / "other"))
    weights = other._engine._model.get_input_embeddings().weight  # type: ignore[attr-defined]
    with torch.no_grad():
        weights += 0.3 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    made = compare("tiny", LocalEngine(one, "A"), LocalEngine(other, "B"), [HELLO, DIALOGUE, RIVER], new_tokens=12)
    differing = [row.first_token for row in made.rows if row.first_token is not None]
    assert differing
    for first in differing:
        assert first.margins["A"] is not None
        assert first.margins["A"] >= 0
        assert first.margins["B"] is not None
        assert first.margins["B"] >= 0
        assert first.texts["A"] != first.texts["B"]


def test_formats_that_differ_are_told(tiny_chat: Path) -> None:
    one = LocalEngine(load(tiny_chat), "A")
    other = LocalEngine(load(tiny_chat, {"premade_chat_template": True, "dtype": "bfloat16"}), "B")
    made = compare("tiny", one, other, [HELLO], new_tokens=4)
    assert made.notes == ("the formats differ (float32 and bfloat16), so equal answers cannot be expected",)


def test_a_stored_comparison_is_named_in_the_facts_of_calls(tiny: LocalEngine, tiny_chat: Path) -> None:
    other = LocalEngine(load(tiny_chat, {"premade_chat_template": True, "dtype": "bfloat16"}), "bf16")
    made = compare("tiny", tiny, other, [HELLO], new_tokens=4)
    id_ = save(made.to_dict(), {each.name: each.fingerprint for each in (tiny, other)})
    assert comparisons_of(tiny.fingerprint)[0]["id"] == id_
    (found,) = load(tiny_chat).generate_response(HELLO).facts["model"]["compared"]
    assert found["id"] == id_
    assert found["engines"] == ["transformers", "bf16"]
    assert found["equal_prompts"] == 1


def test_default_dialogues_fit(tiny: LocalEngine) -> None:
    assert all((tiny.prompt(each).count or 0) + 24 <= 512 for each in fitting([tiny], None, 24))


def test_faults_of_dialogues_name_them(tiny: LocalEngine) -> None:
    good = [{"role": "user", "content": "Hello!"}]
    with pytest.raises(MessagesError, match=r"^dialogue 1: messages must be a non-empty list"):
        fitting([tiny], [good, 1], 4)  # type: ignore[list-item]
    with pytest.raises(MessagesError, match=r"^dialogue 1: messages\[0\] has an 'image'"):
        fitting([tiny], [good, [{**good[0], "image": "a.png"}]], 4)
    with pytest.raises(ContextExceededError, match=r"exceeded by dialogue 1 "):
        fitting([tiny], [good, [{"role": "user", "content": "word " * 600}]], 4)


def test_an_engine_that_fails_names_the_dialogue(tiny: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ClemcoreError("model 'tiny': it failed")

    monkeypatch.setattr(LocalEngine, "answer", fails)
    with pytest.raises(ClemcoreError, match=r"^dialogue 0: model 'tiny': it failed"):
        compare(
            "tiny", tiny, LocalEngine(tiny.model, "other"), [[{"role": "user", "content": "Hello!"}]], new_tokens=4
        )


def test_bad_input_is_found_before_models_are_loaded(tiny_chat: Path) -> None:
    Path("odd.json").write_text("{}")
    for given, words in (
        ([str(tiny_chat), "transformers", "/gone.gguf", "odd.json"], "odd.json must hold a list"),
        (["./gone", "transformers", "llamacpp"], "there is no folder or file './gone': correct the path"),
        ([str(tiny_chat), "../gone.gguf", "llamacpp"], "there is no folder or file '../gone.gguf'"),
        (
            [str(tiny_chat), "Transformers", "llamacpp"],
            "an engine is transformers, llamacpp, the address of a server",
        ),
    ):
        with pytest.raises(ClemcoreError, match=re.escape(words)):
            compare_engines.main(given, standalone_mode=False)


def test_settings_that_neither_engine_would_take() -> None:
    with pytest.raises(
        click.UsageError, match="--set changes the entry of MODEL, but neither 'one' nor 'other' runs it"
    ):
        compare_engines.main(
            ["model", "one", "other", "--set", "model_config.dtype=float32"], standalone_mode=False
        )


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(RemoteCallError, match="Connection refused; is the server running"):
        ServerEngine("http://127.0.0.1:9/v1")


def test_a_server_without_models(wire_server: WireServer) -> None:
    wire_server.script = [reply(404, {})]
    with pytest.raises(SpecError, match="does not list its models: name the model with --model-id"):
        ServerEngine(f"{wire_server.url}/v1")


@pytest.mark.slow
def test_the_commands_against_transformers_serve(tiny_server: Any, tiny_chat: Path, clem: Clem) -> None:
    proved = clem("prove", str(tiny_chat), "--server", tiny_server.base_url, "--model-id", tiny_server.model)
    assert proved.returncode == 2, "it shows only how many ids a prompt has"
    assert "the prompt ids are equal in number only" in proved.stdout
    arguments = [str(tiny_chat), "transformers", tiny_server.base_url, "--model-id", tiny_server.model, "-l", "12"]
    Path("two.json").write_text(json.dumps(["Hello!", DIALOGUE]))
    found = clem("compare-engines", *arguments, "two.json", "--json")
    assert found.returncode == 0, found.stderr
    made = json.loads(found.stdout)
    assert made["equal_answers"] == 1.0
    assert made["prompts"] == 2
    assert made["differing_prompts"] == 0
