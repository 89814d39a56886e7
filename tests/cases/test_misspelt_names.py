"""Misspelt names of backends, keys and models; names that are not text; and secrets in addresses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, loading
from clemcore.errors import (
    BackendNotFoundError,
    GenerationArgumentError,
    ModelNotFoundError,
    RegistryError,
    SpecError,
)
from clemcore.registry import ModelRegistry, ModelSpec, resolve
from support.clem import Clem

PASSWORD = "hunter-22-of-mine"


# -- names -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("given", "meant"), [("openai_compatble", "openai_compatible"), ("opnai", "openai")])
def test_a_misspelt_backend_is_not_registered(clem: Clem, given: str, meant: str) -> None:
    message = clem.fails("register", "model", "-n", "m", "-b", given, "-v", "model_id=m", status=2)
    assert f"there is no backend '{given}': did you mean '{meant}'?" in message
    assert f"did you mean '{meant}'" in clem.fails(
        "register", "model", "-n", "m", "-v", f"backend={given}", status=2
    )
    assert not Path("model_registry.json").exists()


def test_a_backend_that_is_not_here_yet_is_registered_with_a_warning(clem: Clem) -> None:
    done = clem("register", "model", "-n", "m", "-b", "parrot")
    assert done.returncode == 0
    assert "there is no backend 'parrot' here" in done.stderr
    Path("opnai_api.py").write_text("")
    done = clem("register", "model", "-n", "n", "-b", "opnai")
    assert done.returncode == 0
    assert "no backend" not in done.stderr


@pytest.mark.parametrize(
    ("given", "meant"), [("opnai", "openai"), ("hugingface", "huggingface"), ("cohre", "cohere")]
)
def test_a_misspelt_key_is_warned_of(clem: Clem, given: str, meant: str) -> None:
    done = clem("register", "key", "-n", given, stdin="sk-0123456789")
    assert done.returncode == 0
    assert f"no backend or service is called '{given}': did you mean '{meant}'?" in done.stderr


def test_known_and_new_names_of_keys_are_not_warned_of(clem: Clem) -> None:
    for name in ("openai", "huggingface", "azure_gpt", "lab"):
        assert "did you mean" not in clem("register", "key", "-n", name, stdin="sk-0123456789").stderr


@pytest.mark.parametrize(
    ("given", "meant"), [("temprature", "temperature"), ("top_pp", "top_p"), ("enable-thinking", "enable_thinking")]
)
@pytest.mark.parametrize("name", ["mock", "human"])
def test_a_misspelt_argument_is_refused_where_no_argument_is_used(name: str, given: str, meant: str) -> None:
    ask: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
    model: Any = backends.get_model_for(name, {given: 1})
    later: Any = backends.get_model_for(name)
    words = f"{given!r} of model '{name}': did you mean '{meant}'"
    calls: list[Callable[[], Any]] = [
        lambda: model.generate_response(ask),
        lambda: later.generate_response(ask, gen_args={given: 1}),
        lambda: loading.render(name, ask, {given: 1}),
    ]
    for call in calls:
        with pytest.raises(GenerationArgumentError, match=words):
            call()
    later.set_gen_args(**{given: 1})
    with pytest.raises(GenerationArgumentError, match=words):
        later.generate_response(ask)


def test_a_misspelt_argument_fails_its_own_item_of_a_batch() -> None:
    ask = [{"role": "user", "content": "Hi"}]
    model: Any = backends.get_model_for("mock")
    good, bad = model.generate_batch_response(
        [ask, ask], gen_args=[{"seed": 1}, {"sede": 1}], return_exceptions=True
    )
    assert good.text == "Hi"
    assert "did you mean 'seed'" in str(bad)


def test_an_argument_that_another_model_may_know_is_accepted_by_the_mock(clem: Clem) -> None:
    options = [f"--gen-arg={each}" for each in ("seed=1", "top_a=0.5", "enable_thinking=false")]
    assert clem.ok("respond", "-m", "mock", "-t", "0.7", "-l", "9", *options, "Hi") == "Hi\n"
    assert "did you mean 'seed'" in clem.fails("respond", "-m", "mock", "--gen-arg", "sede=1", "Hi")


@pytest.mark.parametrize("what", ["models", "backends", "keys"])
def test_list_refuses_a_misspelt_backend(clem: Clem, what: str) -> None:
    message = clem.fails("list", what, "--backend", "opnai", status=2)
    assert "there is no backend 'opnai'" in message
    assert what == "keys" or "did you mean 'openai'?" in message
    assert clem.ok("list", "models", "--backend", "openai")
    assert clem("list", "keys", "--backend", "openai").returncode == 0


def test_a_misspelt_special_name_has_a_hint(clem: Clem) -> None:
    assert "did you mean 'mock'?" in clem.fails("respond", "-m", "mok", "Hi")
    assert "did you mean 'human'" in clem.fails("chat", "-m", "humen")
    assert "did you mean 'mock'?" in clem("registry", "resolve", "mok", "--explain").stdout


def test_json_as_text_is_a_selector_in_python_too() -> None:
    model = backends.get_model_for('{"model_name": "mock", "temperature": 0.7}')
    assert model.temperature == 0.7
    assert backends.load_models([" {'model_name': 'mock'}"])[0].name == "mock"
    with pytest.raises(SpecError, match="must be JSON or a Python dict"):
        backends.get_model_for("{mock}")


@pytest.mark.parametrize("one", ["srv", {"model_name": "mock"}, ModelSpec(model_name="mock"), ""])
def test_a_list_of_models_is_not_a_single_one(one: Any) -> None:
    with pytest.raises(SpecError, match=r"takes a list of models, not one: write load_models\(\["):
        backends.load_models(one)
    assert len(backends.load_models(("mock",))) == 1


@pytest.mark.parametrize("name", ["\udc80", "gpt-4o\ud800", "\udfff/x"])
def test_half_a_character_in_a_name_has_a_message(clem: Clem, name: str) -> None:
    for selector in (name, {"model_name": name, "seed": 1}, {"model_id": name}, {"huggingface_id": name}):
        with pytest.raises(ModelNotFoundError) as caught:
            resolve(selector)
        assert str(caught.value).encode("utf-8")
        assert ModelRegistry.from_packaged_and_cwd_files().explain(selector).outcome == "nothing"
    with pytest.raises(ModelNotFoundError) as caught:
        backends.get_model_for({"nickname": name})
    assert str(caught.value).encode("utf-8")
    for fields in ({"model_name": "m", "backend": name}, {name: 1}, {"model_config": {name: 1}}):
        with pytest.raises((SpecError, BackendNotFoundError)) as invalid:
            backends.get_model_for({"model_name": "mock", **fields})
        assert str(invalid.value).encode("utf-8")


# -- a faulty registry -------------------------------------------------------------------------------------------
def test_errors_of_a_registry_are_not_lost_among_warnings(clem: Clem) -> None:
    warned = [{"model_name": f"m{n}", "backend": "opnai"} for n in range(100)]
    text = json.dumps(
        [*warned[:50], {"model_name": "e1"}, *warned[50:], {"model_name": 5, "backend": "mock"}], indent=1
    )
    Path("model_registry.json").write_text(text)
    with pytest.raises(RegistryError) as caught:
        backends.get_model_for("mock")
    shown = str(caught.value)
    assert shown.count("error[") == 2
    assert "warning[" not in shown
    assert "100 warnings" in shown
    assert len(caught.value.problems) == 102
    assert len(clem.fails("respond", "-m", "mock", "Hi").splitlines()) < 30
    assert clem("registry", "check").stdout.count("warning[") == 100


# -- secrets -----------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{PASSWORD}@models.example/v1",
        f"http://{PASSWORD}@models.example:8000",
        f"https://me:p@ss{PASSWORD}@models.example/v1?x=1",
    ],
)
def test_a_login_in_an_address_is_masked(clem: Clem, url: str) -> None:
    entry = {"model_name": "m", "backend": "openai_compatible", "model_id": "m"}
    for fields in ({"base_url": url}, {"model_config": {"base_url": url, "own": [url]}}):
        Path("model_registry.json").write_text(json.dumps([{**entry, **fields}]))
        for command in (
            ["list", "models", "m", "-v"],
            ["list", "models", "--json"],
            ["registry", "resolve", "m"],
            ["registry", "resolve", "m", "--json"],
            ["registry", "resolve", "m", "--explain"],
            ["registry", "resolve", "m", "--explain", "--json"],
            ["registry", "resolve", json.dumps({"model_name": "m", "base_url": "http://other"}), "--explain"],
            ["registry", "resolve", json.dumps({"model_name": "m", "backend": "mock", "base_url": url}), "--json"],
            ["registry", "check"],
            ["doctor", "m"],
            ["doctor", "m", "--json"],
            ["respond", "-m", "m", "Hi"],
            ["respond", "-m", json.dumps({**entry, "model_name": "o", "base_url": url, "seed": "x"}), "Hi"],
        ):
            done = clem(*command)
            assert PASSWORD not in done.stdout + done.stderr, command
        assert PASSWORD not in repr(resolve("m").spec)
        assert "***@models.example" in repr(resolve("m").spec)


def test_an_address_without_a_login_is_shown_as_it_is() -> None:
    for url in ("https://models.example/@me/v1?mail=a@b", "me@models.example", "https://models.example"):
        assert url in repr(ModelSpec(model_name="m", base_url=url))


@pytest.mark.parametrize(
    ("entry", "near"),
    [
        (
            {
                "backend": "openai_compatible",
                "model_id": "m",
                "base_url": "http://127.0.0.1:1/v1",
                "model_confg": {},
            },
            "model_config",
        ),
        ({"backend": "huggingface_local", "huggingface_id": "nowhere", "model_confg": {}}, "model_config"),
        ({"backend": "huggingface_local", "huggingface_id": "nowhere", "contex_size": "4k"}, "context_size"),
        ({"backend": "slurk", "model_id": "m", "slurk_hst": "http://127.0.0.1:1"}, "slurk_host"),
    ],
)
def test_a_misspelt_key_of_an_entry_is_refused_when_its_model_is_loaded(entry: dict[str, Any], near: str) -> None:
    Path("model_registry.json").write_text(json.dumps([{"model_name": "m", **entry}]))
    with pytest.raises(SpecError, match=f'did you mean "{near}"'):
        backends.get_model_for("m")
