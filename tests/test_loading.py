"""From what the user wrote to a model: selectors, layers, backends of the user's own."""

from __future__ import annotations

import json
import pickle
import textwrap
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import (
    BackendLoadError,
    BackendNotFoundError,
    MissingExtraError,
    ModelNotFoundError,
    RegistryError,
    SpecError,
)

ASK = [{"role": "user", "content": "Hello!"}]


def _registry(*entries: dict[str, Any]) -> None:
    Path("model_registry.json").write_text(json.dumps(entries))


def _module(name: str, code: str) -> None:
    Path(name).write_text(textwrap.dedent(code))


PARROT = """
    from clemcore import backends
    from clemcore.backends.utils import augment_response_object, ensure_messages_format

    class Parrot(backends.Backend):
        def get_model_for(self, model_spec):
            return ParrotModel(model_spec)

    class ParrotModel(backends.Model):
        @augment_response_object
        @ensure_messages_format
        def generate_response(self, messages):
            return messages, {"n": len(messages)}, messages[-1]["content"]
"""


def test_a_name_a_dict_and_a_spec_find_the_first_entry_that_unifies() -> None:
    _registry(
        {"model_name": "m", "backend": "mock", "model_config": {"responses": ["first"]}},
        {"model_name": "m", "backend": "mock", "seed": 2, "model_config": {"responses": ["second"]}},
    )
    spec = backends.ModelSpec(model_name="m", seed=2)
    for selector, answer in (("m", "first"), ({"model_name": "m", "seed": 2}, "first"), (spec, "first")):
        assert backends.get_model_for(selector).generate_response(ASK).text == answer
    picked = backends.get_model_for({"model_name": "m", "model_config": {"responses": ["second"]}})
    assert picked.generate_response(ASK)[2] == "second"


def test_sampling_parameters_of_a_selector_are_honoured() -> None:
    model = backends.get_model_for({"model_name": "mock", "temperature": 0.7, "seed": 5, "stop": ["x"]})
    assert model.gen_args == {"temperature": 0.7, "seed": 5, "stop": ["x"], "max_tokens": 300}
    assert backends.get_model_for("mock").gen_args == {"temperature": 0.0, "max_tokens": 300}
    model = backends.load_model("mock", gen_args={"temperature": 0.9})
    assert model.gen_args == {"temperature": 0.9, "max_tokens": 300}
    model = backends.load_model(backends.ModelSpec(model_name="mock", temperature=0.1), {"temperature": 0.9})
    assert model.temperature == 0.9


def test_load_models_gives_one_model_each() -> None:
    models = backends.load_models(["mock", "human"], {"temperature": 0.0, "max_tokens": 5})
    assert [type(model).__name__ for model in models] == ["CustomResponseModel", "HumanModel"]
    assert [model.max_tokens for model in models] == [5, 5]


def test_a_spec_with_a_backend_needs_no_entry() -> None:
    model = backends.get_model_for({"model_name": "nowhere", "backend": "mock"})
    assert model.generate_response(ASK)[2] == "Hello!"
    with pytest.raises(ModelNotFoundError, match="give its 'model_name'"):
        backends.get_model_for({"backend": "mock", "x": 1})


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(ModelNotFoundError, match=r"did you mean '(zephyr-7b-beta|zephyr-7b-alpha)'") as caught:
        backends.get_model_for("zephir-7b-beta")
    assert isinstance(caught.value, ValueError)


def test_a_refused_field_is_named() -> None:
    with pytest.raises(ModelNotFoundError, match="context_size"):
        backends.get_model_for({"model_name": "openchat-3.5-0106", "context_size": "9k"})


def test_an_unknown_backend_lists_the_known() -> None:
    with pytest.raises(BackendNotFoundError, match=r"did you mean 'mock'\? known are .*human.*mock"):
        backends.get_model_for({"model_name": "m", "backend": "mook"})


def test_all_models_are_found_before_the_first_is_loaded() -> None:
    _module("noisy_api.py", 'raise SystemExit("must not be imported")')
    with pytest.raises(BackendNotFoundError):
        backends.load_models([{"model_name": "a", "backend": "noisy"}, {"model_name": "b", "backend": "nowhere"}])


def test_a_broken_registry_is_an_error_that_names_everything() -> None:
    Path("model_registry.json").write_text(
        '[\n  {"model_name": "m", "backend": "mock",},\n  {"model_name": 5}\n]\n'
    )
    with pytest.raises(RegistryError) as caught:
        backends.get_model_for("mock")
    assert {(problem.line, problem.code) for problem in caught.value.problems} >= {(2, "R010")}
    assert len(caught.value.problems) >= 3
    assert "model_registry.json:2:" in str(caught.value)


def test_a_backend_file_for_3_7_2_works_unmodified() -> None:
    _module("parrot_api.py", PARROT)
    _registry({"model_name": "polly", "backend": "parrot"})
    model = backends.get_model_for("polly")
    prompt, response, text = model.generate_response([*ASK, *ASK])
    assert (prompt, text) == ([{"role": "user", "content": "Hello!\n\nHello!"}], "Hello!\n\nHello!")
    assert response["clem_player"]["model_name"] == "polly"
    rows = {row["backend"]: row for row in backends.BackendRegistry.from_packaged_and_cwd_files()}
    assert rows["parrot"]["lookup_source"] == "cwd"
    assert rows["mock"]["lookup_source"] == "packaged"
    assert pickle.loads(pickle.dumps(type(model))) is type(model)  # noqa: S301 - our own bytes


def test_the_working_directory_comes_before_the_package() -> None:
    _module("mock_api.py", PARROT)
    model = backends.get_model_for({"model_name": "m", "backend": "mock"})
    assert type(model).__name__ == "ParrotModel"


def test_imported_backend_classes_do_not_count() -> None:
    _module(
        "parrot_api.py",
        PARROT.replace(
            "import backends\n", "import backends\n    from clemcore.backends import RemoteBackend, Backend\n"
        ),
    )
    assert type(backends.get_model_for({"model_name": "m", "backend": "parrot"})).__name__ == "ParrotModel"


@pytest.mark.parametrize("code", ["x = 1", PARROT + "\n    class Second(Parrot):\n        pass\n"])
def test_a_file_must_define_one_backend(code: str) -> None:
    _module("odd_api.py", code)
    with pytest.raises(BackendLoadError, match=r"odd_api\.py must define exactly one"):
        backends.get_model_for({"model_name": "m", "backend": "odd"})


def test_a_backend_file_that_fails_says_so_and_can_be_mended() -> None:
    _module("late_api.py", "import nothing_of_this_name")
    with pytest.raises(ModuleNotFoundError, match=r"late_api\.py cannot be imported: .*'nothing_of_this_name'"):
        backends.get_model_for({"model_name": "m", "backend": "late"})
    _module("late_api.py", PARROT)
    assert backends.get_model_for({"model_name": "m", "backend": "late"}).name == "m"


def test_a_client_of_3_7_2_for_another_address_is_not_passed_over() -> None:
    _module(
        "lab_api.py",
        """
        from clemcore.backends import openai_api

        class Lab(openai_api.OpenAI):
            def _make_api_client(self):
                return "a client of the lab's own server"
    """,
    )
    with pytest.raises(
        BackendLoadError,
        match=r"must be made with the openai package .* but is a str",
    ):
        backends.get_model_for({"model_name": "m", "backend": "lab", "model_id": "m"})


def test_a_field_that_a_backend_reads_and_nobody_gave_is_named_with_those_that_are_there() -> None:
    _module("parrot_api.py", PARROT.replace("return ParrotModel(", "model_spec.model_id; return ParrotModel("))
    with pytest.raises(AttributeError, match=r"no field 'model_id' \(it has: model_name, backend\)"):
        backends.get_model_for({"model_name": "p", "backend": "parrot"})


def test_an_installed_package_can_provide_a_backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "parrots").mkdir(parents=True)
    (site / "parrots" / "__init__.py").write_text(textwrap.dedent(PARROT))
    (site / "parrots-1.0.dist-info").mkdir()
    (site / "parrots-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: parrots\nVersion: 1.0\n")
    (site / "parrots-1.0.dist-info" / "entry_points.txt").write_text(
        "[clemcore.backends]\nparrot_class = parrots:Parrot\n"
        "parrot_module = parrots\nparrot_wrong = parrots:backends\n"
    )
    monkeypatch.syspath_prepend(str(site))
    for name in ("parrot_class", "parrot_module"):
        assert type(backends.get_model_for({"model_name": "m", "backend": name})).__name__ == "ParrotModel"
    with pytest.raises(BackendLoadError):
        backends.get_model_for({"model_name": "m", "backend": "parrot_wrong"})


def test_a_missing_extra_prints_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'clemcore\[openai\]'"):
        backends.get_model_for(
            {
                "model_name": "m",
                "model_id": "m",
                "backend": "openai_compatible",
                "base_url": "http://127.0.0.1:9/v1",
                "model_config": {"requires_api_key": False},
            }
        )


def test_an_empty_selector_is_not_the_first_model_of_all() -> None:
    _registry({"model_name": "first", "backend": "mock"})
    for selector in ({}, {"override": {"temperature": 1}}, backends.ModelSpec()):
        with pytest.raises(SpecError, match="an empty selector fits every model"):
            backends.get_model_for(selector)


def test_wrong_selectors() -> None:
    for wrong in (None, 5, ["mock"]):
        with pytest.raises(SpecError):
            backends.get_model_for(wrong)  # type: ignore[arg-type]


def test_the_old_registry_call_is_there() -> None:
    assert len(backends.load_model_registry()) > 5


def test_a_generic_alias_is_no_backend() -> None:
    # Python 3.10 calls list[int] a class; a backend's module that names one was not found to be a backend.
    assert not backends.is_backend(list[int])
    assert not backends.is_backend(backends.Backend)
    assert backends.is_backend(type("Mine", (backends.Backend,), {}))
