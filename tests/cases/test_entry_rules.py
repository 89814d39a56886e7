"""Rules about one entry: the check, --fix, loading and doctor say the same about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core, backends, diagnosis
from clemcore.backends.local.transformers.generation_config import NAMES
from clemcore.backends.lookup import BackendRegistry
from clemcore.backends.service.backend import ServiceBackend
from clemcore.errors import RegistryError, SpecError
from clemcore.registry.prices import prices_of
from clemcore.registry.registry import ModelRegistry
from clemcore.registry.spec import ModelSpec

SERVICES = ("anthropic", "azure", "cohere", "google", "mistral", "openai", "openai_compatible", "openrouter")


def entry(backend: str = "openai", **fields: Any) -> dict[str, Any]:
    needed = {"huggingface_id": "org/m"} if backend == "huggingface_local" else {"model_id": "m"}
    return {"model_name": "m", "backend": backend, **needed, **fields}


def problems(fields: dict[str, Any]) -> list[tuple[str, str | None]]:
    report = _core.check("r.json", json.dumps([fields]).encode())
    return [(problem.code, problem.field) for problem in report.problems]


def local(**config: Any) -> dict[str, Any]:
    return entry("huggingface_local", model_config=config)


def remote(**config: Any) -> dict[str, Any]:
    return entry("openai", model_config=config)


STOPPED = [
    (local(load_in_4bit=True, load_in_8bit=True), "R073"),
    (entry("huggingface_local", load_in_4bit=True, model_config={"load_in_8bit": True}), "R073"),
    (local(premade_chat_template=True, custom_chat_template="x"), "R073"),
    (local(dtype="float32", torch_dtype="float16"), "R073"),
    (remote(timeout=5, total_timeout=6), "R073"),
    (remote(ca_file="ca.pem", verify_tls=False), "R073"),
    (entry(max_connections=2, model_config={"max_connections": 3}), "R073"),
    (local(cot_output=True), "R074"),
    (remote(cot_start_tag="<think>"), "R074"),
    (local(cot_start_tag="<think>"), "R074"),
    (local(premade_chat_template=False), "R074"),
    (local(padding_side="right"), "R054"),
    (local(padding_side="Right"), "R054"),
    (remote(on_identity_change="stop"), "R054"),
    (remote(idle_timeout=0), "R055"),
    (local(torch_num_threads=-1), "R055"),
    (local(do_sample=False), "R071"),
    (remote(temperature=0.7), "R081"),
    (remote(n=2), "R081"),
    (local(max_tokens=100), "R081"),
    (entry(prices={"input": "$0.55", "output": 2}), "R076"),
    (entry(prices={"input": 1, "output": 2, "tiers": 5}), "R076"),
    (entry(prices={"input": 1}), "R076"),
]


@pytest.mark.parametrize(("fields", "code"), STOPPED, ids=str)
def test_check_loading_and_doctor_say_one_sentence(fields: dict[str, Any], code: str) -> None:
    report = _core.check("r.json", json.dumps([fields]).encode())
    told = [problem for problem in report.problems if problem.stops_model]
    assert code in [problem.code for problem in told]
    Path("model_registry.json").write_text(json.dumps([fields]))
    with pytest.raises(SpecError) as caught:
        backends.get_model_for("m")
    words = told[0].message + (f"; {told[0].help}" if told[0].help else "")
    assert str(caught.value) == f"model 'm': {words}"
    rows = [row for row in diagnosis.problem_rows(ModelSpec(**fields)) if row.state == "fault"]
    assert [(row.name, row.value) for row in rows] == [(problem.code, problem.field) for problem in told]


WARNED = [
    (entry(context_size=8192, max_output_tokens=64000), [("R075", "max_output_tokens")]),
    (entry(context_size="8k", max_input_tokens=8193), [("R075", "max_input_tokens")]),
    (entry(max_output_tokens=100, max_tokens=101), [("R075", "max_tokens")]),
    (entry(context_size=8192, max_tokens=9000), [("R075", "max_tokens")]),
    (entry(prices={"input": 5.5e-07, "output": 2.2e-06}), [("R077", "prices.input"), ("R077", "prices.output")]),
    (
        entry(prices={"input": 1, "output": 2, "tiers": [{"above": 9, "input": 1e-6, "output": 2}]}),
        [("R077", "prices.tiers[0].input")],
    ),
    (entry(top_p=90), [("R072", "top_p")]),
    (entry(temperature=-0.1), [("R072", "temperature")]),
    (entry(min_p=1.01), [("R072", "min_p")]),
    (entry(top_k=-2), [("R072", "top_k")]),
    (entry(max_tokens=-1), [("R055", "max_tokens")]),
    (entry(max_tokens=0), [("R055", "max_tokens")]),
    (entry(base_url="localhost:8000/v1"), [("R078", "base_url")]),
    (remote(base_url="https:/h.example/v1"), [("R078", "model_config.base_url")]),
    (entry("slurk", slurk_host="h.example"), [("R078", "slurk_host")]),
    (entry("huggingface_local", huggingface_id="https://huggingface.co/org/m"), [("R079", "huggingface_id")]),
    (entry("huggingface_local", huggingface_id="org/m/"), [("R079", "huggingface_id")]),
    ({"model_name": " m1 ", "backend": "mock"}, [("R080", "model_name")]),
    (entry(model_id="gpt-4o\n"), [("R080", "model_id")]),
    (entry("huggingface_local", eos_to_cull=r"<\|im_end\|>"), [("R082", "eos_to_cull")]),
    (entry("huggingface_local", eos_to_cull=r"\[/INST\]"), [("R082", "eos_to_cull")]),
    (entry("anthropic", response_format={"type": "json_object"}), [("R083", "response_format")]),
    (entry("google", n=2), [("R083", "n")]),
    (remote(load_in_8bit=True), [("R083", "model_config.load_in_8bit")]),
    (remote(eos_to_cull="</s>"), [("R083", "model_config.eos_to_cull")]),
    (entry("openai", chat_template_kwargs={"enable_thinking": False}), [("R083", "chat_template_kwargs")]),
    (entry("anthropic", dtype="float16", huggingface_id="o/m"), [("R083", "dtype")]),
    (remote(context_size="8k"), [("R083", "model_config.context_size")]),
    (local(max_connections=4), [("R083", "model_config.max_connections")]),
    (entry(model_idd=7), [("R053", "model_idd")]),
]


@pytest.mark.parametrize(("fields", "expected"), WARNED, ids=str)
def test_the_check_warns(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert problems(fields) == expected
    rows = diagnosis.problem_rows(ModelSpec(**fields))
    assert [(row.name, row.value) for row in rows] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"deployment": "north", "huggingface_id": "org/m"}, []),
        ({"model_config": {"total_timout": 60}}, [("R053", "model_config.total_timout")]),
        ({"top_p": 90}, [("R072", "top_p")]),
    ],
)
def test_doctor_holds_a_custom_backend_only_to_rules_for_all(
    fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    rows = diagnosis.problem_rows(ModelSpec(model_name="m", backend="lab", **fields))
    assert [(row.name, row.value) for row in rows] == expected


@pytest.mark.parametrize(
    "fields",
    [
        local(load_in_4bit=True, load_in_8bit=False),
        local(premade_chat_template=False, custom_chat_template="{{ messages }}"),
        local(cot_output=False),
        local(cot_start_tag="<think>", cot_end_tag="</think>"),
        entry(context_size="128k", max_output_tokens=131072, max_tokens=300),
        entry(context_size="", max_output_tokens=64000),
        entry(prices={"input": 0, "output": 0.01, "cached_input": 0.001, "tiers": []}),
        entry(top_p=1, temperature=0, min_p=0, top_k=-1, presence_penalty=-2),
        entry(base_url="http://[::1]:8000/v1/"),
        entry("huggingface_local", huggingface_id="~/models/m/"),
        entry("huggingface_local", eos_to_cull="<|im_end|>"),
        entry("openai", n=2, response_format={"type": "json_object"}),
        entry("a_custom_one", model_config={"temperature": 1}, n=2, lint={"allow": ["R052"]}),
        entry("openai_compatible", key_name="a", model_config={"key_name": "a"}, safe_prompt=True),
    ],
    ids=str,
)
def test_what_is_right_is_left_alone(fields: dict[str, Any]) -> None:
    assert problems(fields) == []


FIXED = [
    (entry(prices={"input": "$0.55", "output": "2"}), entry(prices={"input": 0.55, "output": 2})),
    (remote(base_url="https:/h.example/v1"), remote(base_url="https://h.example/v1")),
    (entry(base_url="https://h.example/v1/chat/completions"), entry(base_url="https://h.example/v1")),
    (
        entry("huggingface_local", huggingface_id="https://huggingface.co/org/m-2/"),
        entry("huggingface_local", huggingface_id="org/m-2"),
    ),
    ({"model_name": " m1 ", "backend": "mock"}, {"model_name": "m1", "backend": "mock"}),
    (
        entry("huggingface_local", eos_to_cull=r"<\|im_end\|>"),
        entry("huggingface_local", eos_to_cull="<|im_end|>"),
    ),
]


@pytest.mark.parametrize(("before", "after"), FIXED, ids=str)
def test_what_has_one_meaning_is_fixed(before: dict[str, Any], after: dict[str, Any]) -> None:
    fixed = _core.fix("r.json", json.dumps([before]).encode())
    assert json.loads(fixed.text) == [after]
    assert not fixed.rest.problems


@pytest.mark.parametrize(
    "fields",
    [
        entry(top_p=90),
        entry(prices={"input": 5.5e-07, "output": 2.2e-06}),
        entry(prices={"input": "0,55", "output": 1}),
        entry(base_url="localhost:8000/v1"),
        entry(base_url="http://user:secret@h.example/chat/completions"),
        entry("huggingface_local", huggingface_id="https://example.org/org/m"),
        entry("huggingface_local", eos_to_cull=r"\d+"),
        local(load_in_4bit=True, load_in_8bit=True),
        remote(temperature=0.7),
    ],
    ids=str,
)
def test_what_could_mean_two_things_is_left(fields: dict[str, Any]) -> None:
    assert not _core.fix("r.json", json.dumps([fields]).encode()).is_changed


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("- model_name: m\n  backend: mock\n", "R031", "this is YAML"),
        ("---\nmodels:\n  - model_name: m\n", "R031", "this is YAML"),
        ("# mine\nmodel_name: m\nseed: -0\n", "R031", "this is YAML"),
        ('{"m1": {"backend": "mock"}, "m2": {"backend": "mock"}}', "R040", "keyed by names"),
        ('{"models": [{"model_name": "m", "backend": "mock"}]}', "R040", "an object that holds one"),
    ],
)
def test_a_file_of_another_shape_is_told_once(text: str, code: str, words: str) -> None:
    (problem,) = _core.check("r.json", text.encode()).problems
    assert problem.code == code
    assert words in problem.message
    with pytest.raises(RegistryError, match=words):
        ModelRegistry.from_layers([("r.json", text.encode())])
    assert not _core.fix("r.json", text.encode()).is_changed


@pytest.mark.parametrize("value", [10**400, 1e308, float("inf"), float("nan"), -1, True, None, object()])
def test_a_price_that_is_none_is_told_in_words(value: Any) -> None:
    for prices in ({"input": value, "output": 1}, {"input": 1, "output": 1, "tiers": value or 7}):
        with pytest.raises(SpecError, match=r"model 'm': prices\.(input|tiers) must be") as caught:
            prices_of(ModelSpec(model_name="m", prices=prices))
        assert len(str(caught.value)) < 200


def test_a_complaint_that_is_allowed_is_no_leave_to_load() -> None:
    fields = {**local(cot_output=True), "lint": {"allow": ["R074"]}}
    assert problems(fields) == []
    with pytest.raises(SpecError, match="cot_output needs cot_end_tag"):
        backends.get_model_for(ModelSpec(**fields))


def test_the_local_backend_says_where_generation_arguments_belong() -> None:
    with pytest.raises(SpecError, match=r'temperature has no effect: .* write "temperature" beside "model_config"'):
        backends.get_model_for(ModelSpec(**local(temperature=0.7)))


def _sent(backend: str) -> set[str]:
    """Return the generation arguments that any protocol of a backend sends."""
    cls = BackendRegistry.from_packaged_and_cwd_files().get_backend_class(backend)
    assert issubclass(cls, ServiceBackend)
    names: set[str] = set()
    for api in (None, "chat_completions", "responses", "messages"):
        config = {} if api is None else {"api": api}
        try:
            dialect = cls.service_of(ModelSpec(**entry(backend, model_config=config))).dialect
        except SpecError:  # the service does not speak this protocol
            continue
        names |= dialect.parameters.keys()
    return names


def test_the_check_knows_which_backend_sends_which_generation_argument() -> None:
    sent = {backend: _sent(backend) for backend in SERVICES} | {"huggingface_local": {*NAMES, "stop"}}
    names = set().union(*sent.values())
    known = {name for name in names if ("R083", name) in problems(entry("mock", **{name: 1}))}
    assert {"n", "response_format", "logprobs", "tools"} <= known
    passes_any = ("openai_compatible", "openrouter")
    for backend in sent:
        told = {name for name in known if ("R083", name) in problems(entry(backend, **{name: 1}))}
        assert told == (set() if backend in passes_any else known - sent[backend]), backend
