"""The registry object: its 3.7.2 methods, and that registering loses nothing."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import ModelNotFoundError, RegistryError, SpecError
from clemcore.registry.registry import ModelRegistry
from clemcore.registry.spec import ModelSpec

ENTRIES: list[dict[str, Any]] = [
    {"model_name": "a", "backend": "mock", "model_config": {"x": 1, "y": {"z": 2}}},
    {"model_name": "b", "backend": "openai", "release_date": "2024-01-01"},
]
HERE = Path("model_registry.json")


def test_reading() -> None:
    registry = ModelRegistry().register_from_list(ENTRIES, lookup_source="test")
    assert len(registry) == 2
    assert [spec.model_name for spec in registry] == registry.select("model_name") == ["a", "b"]
    assert registry.select(lambda spec: spec.backend) == ["mock", "openai"]
    assert registry.select() == registry.model_specs
    assert registry.where(lambda spec: spec.backend == "mock").select("model_name") == ["a"]
    assert registry.select("lookup_source") == ["test", "test"]
    assert "lookup_source" not in ENTRIES[0]


def test_files_know_their_lines() -> None:
    HERE.write_text('[\n  {"model_name": "a", "backend": "mock"},\n\n  {"model_name": "b", "backend": "mock"}\n]')
    registry = ModelRegistry.from_directory(".")
    assert [registry.location(index) for index in (0, 1)] == [
        ("model_registry.json", 2),
        ("model_registry.json", 4),
    ]
    assert registry.find("b") == ModelSpec(model_name="b", backend="mock", lookup_source="model_registry.json")


def test_the_working_directory_comes_before_the_package() -> None:
    HERE.write_text(json.dumps([{"model_name": "zephyr-7b-beta", "backend": "mock"}]))
    registry = ModelRegistry.from_packaged_and_cwd_files()
    assert registry.get_first_model_spec_that_unify_with("zephyr-7b-beta").backend == "mock"
    other = registry.get_first_model_spec_that_unify_with(
        {"model_name": "zephyr-7b-beta", "backend": "huggingface_local"}
    )
    assert other.lookup_source == "packaged"


def test_a_selector_needs_no_name() -> None:
    registry = ModelRegistry().register_from_list(ENTRIES)
    assert registry.get_first_model_spec_that_unify_with({"backend": "openai"}).model_name == "b"
    with pytest.raises(ModelNotFoundError):
        registry.get_first_model_spec_that_unify_with({"backend": "nowhere"})


def test_a_dict_or_a_list_is_registered_and_faults_are_named() -> None:
    assert len(ModelRegistry().register_from_list(ENTRIES[0])) == 1
    with pytest.raises(RegistryError, match=r"entry 0 \('c'\) has no 'backend'; entry 1"):
        ModelRegistry().register_from_list([{"model_name": "c"}, 5])  # type: ignore[list-item]


def test_register_makes_and_updates_an_entry() -> None:
    ModelRegistry.register("m", backend="mock", temperature=1)
    assert json.loads(HERE.read_text()) == [{"model_name": "m", "backend": "mock", "temperature": 1}]
    registry = ModelRegistry.register("m", temperature=2, model_config={"a": 1})
    assert registry.get_first_model_spec_that_unify_with("m").temperature == 2
    ModelRegistry.register("m", model_config={"b": 2})
    assert json.loads(HERE.read_text()) == [
        {"model_name": "m", "backend": "mock", "temperature": 2, "model_config": {"a": 1, "b": 2}}
    ]
    ModelRegistry.register("m", backend="openai", reset=True)
    assert json.loads(HERE.read_text()) == [{"model_name": "m", "backend": "openai"}]


def test_register_takes_the_backend_of_a_packaged_entry() -> None:
    ModelRegistry.register("zephyr-7b-beta", temperature=0.5)
    spec = ModelRegistry.from_packaged_and_cwd_files().get_first_model_spec_that_unify_with("zephyr-7b-beta")
    assert (spec.backend, spec.temperature) == ("huggingface_local", 0.5)
    with pytest.raises(SpecError, match="needs a 'backend'"):
        ModelRegistry.register("nowhere", temperature=0.5)


def test_register_keeps_every_other_byte() -> None:
    first = '[ {"model_name":"x",  "backend":"mock", "n": 1.50, "big": 123456789012345678901234567890}'
    text = first + ',\n\n{"model_name":"y","backend":"mock"}  ]'
    HERE.write_text(text)
    ModelRegistry.register("y", seed=1)
    after = HERE.read_text()
    assert first in after
    assert json.loads(after)[1] == {"model_name": "y", "backend": "mock", "seed": 1}
    ModelRegistry.register("z", backend="mock")
    assert [entry["model_name"] for entry in json.loads(HERE.read_text())] == ["z", "x", "y"]


def test_a_broken_file_is_never_overwritten() -> None:
    text = '[{"model_name": "x", "backend": "mock"},]'
    HERE.write_text(text)
    with pytest.raises(RegistryError, match=r"model_registry\.json:1:"):
        ModelRegistry.register("y", backend="mock")
    assert HERE.read_text() == text


def test_persist_writes_what_was_registered_for_the_working_directory() -> None:
    HERE.write_text('[{"model_name": "x",   "backend": "mock"}]')
    path = ModelRegistry.get_cwd_path()
    entries: list[dict[str, Any]] = [
        {"model_name": "m", "backend": "mock"},
        {"model_name": "m", "backend": "openai", "model_id": "m"},
        {"model_name": "elsewhere", "backend": "mock", "lookup_source": "other"},
    ]
    registry = ModelRegistry.from_packaged_and_cwd_files().register_from_list(entries, lookup_source=path)
    registry.register_from_list({"model_name": "dropped", "backend": "mock"}, lookup_source=path)
    registry = registry.where(lambda spec: spec.get("model_name") != "dropped")
    registry.persist()
    registry.persist()
    assert json.loads(HERE.read_text()) == [*entries[:2], {"model_name": "x", "backend": "mock"}]
    assert '{"model_name": "x",   "backend": "mock"}' in HERE.read_text()
    # Registering again what is there adds nothing.
    before = HERE.read_bytes()
    ModelRegistry().register_from_list(entries[:1], lookup_source=path).persist()
    assert HERE.read_bytes() == before


def test_what_could_not_be_read_again_is_not_written() -> None:
    ModelRegistry.register("m", backend="mock")
    before = Path("model_registry.json").read_bytes()
    with pytest.raises(RegistryError, match=r"nothing was written(?s:.)*temperature must be a number") as caught:
        ModelRegistry.register("n", backend="mock", temperature="hot")
    assert caught.value.problems[0].code == "R044"
    with pytest.raises(RegistryError, match="not a place for a secret") as caught:
        ModelRegistry.register("n", backend="mock", api_key="sk-0123456789abcdefghijkl")
    assert "0123456789" not in str(caught.value)
    assert Path("model_registry.json").read_bytes() == before


@pytest.mark.parametrize(
    "old", [None, "[]", '{"model_name": "a", "backend": "mock"}', '[{"model_name": "b", "backend": "x"}]']
)
def test_many_are_written_at_once_as_one_after_the_other(old: str | None, tmp_path: Path) -> None:
    here = ModelRegistry.get_cwd_path()
    entries = [
        {"model_name": name, "backend": backend, "seed": seed}
        for seed, (name, backend) in enumerate(zip("abacacbc", "xxxyyyzy", strict=True))
    ]
    texts = []
    for at_once in (True, False):
        Path(here).unlink(missing_ok=True)
        if old is not None:
            Path(here).write_text(old)
        registry = ModelRegistry.from_packaged_and_cwd_files()
        registry.register_from_list([{"model_name": "l", "backend": "mock", "lookup_source": here}])
        for entry in entries:
            registry.set_model_spec({**entry, "lookup_source": here})
            if not at_once:
                registry.persist()
                registry = ModelRegistry.from_packaged_and_cwd_files()
        registry.persist()
        registry.persist()
        texts.append(Path(here).read_text())
    assert texts[0] == texts[1]
    assert {spec.model_name for spec in ModelRegistry.from_json_file(here)} >= {"a", "b", "c", "l"}


def test_a_registry_can_be_copied_and_pickled() -> None:
    HERE.write_text('[\n  {"model_name": "a", "backend": "mock", "n": 1.50}]')
    loaded = ModelRegistry.from_packaged_and_cwd_files()
    for same in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):  # noqa: S301 - our own
        assert same.location(0) == loaded.location(0)
        assert same.model_specs == loaded.model_specs
    loaded.set_model_spec({"model_name": "b", "backend": "mock", "lookup_source": loaded.get_cwd_path()})
    same = pickle.loads(pickle.dumps(loaded))  # noqa: S301 - our own
    assert same.model_specs == loaded.model_specs
    same.persist()
    assert [entry["model_name"] for entry in json.loads(HERE.read_text())] == ["b", "a"]


def test_why_nothing_was_found_is_told_when_it_is_read() -> None:
    registry = ModelRegistry([ModelSpec(model_name="first", backend="mock")])
    with pytest.raises(ModelNotFoundError) as caught:
        registry.get_first_model_spec_that_unify_with("frist")
    error = caught.value
    # What changes afterwards is not what was searched.
    registry.register_from_list([{"model_name": "frist", "backend": "mock"}])
    for copied in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):  # noqa: S301 - what was pickled here
        assert "did you mean 'first'?" in str(copied)
        assert copied.args == (str(copied),)
        assert repr(copied) == f"ModelNotFoundError({str(copied)!r})"
    assert str(ModelNotFoundError("plain")) == "plain"


def test_a_registry_error_keeps_its_problems() -> None:
    HERE.write_text('[{"model_name": "x", "backend": "mock"},\n {"model_name": 5}]')
    with pytest.raises(RegistryError) as caught:
        ModelRegistry.from_packaged_and_cwd_files()
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert str(error) == str(caught.value)
    assert error.problems == caught.value.problems != ()
    assert [str(problem) for problem in error.problems] == [str(problem) for problem in caught.value.problems]


def test_aliases() -> None:
    entries: list[dict[str, Any]] = [
        {"model_name": "long-name", "backend": "mock", "aliases": ["short", "other"]},
        {"model_name": "other", "backend": "mock"},
    ]
    HERE.write_text(json.dumps(entries))
    for registry in (
        ModelRegistry.from_packaged_and_cwd_files(),
        ModelRegistry().register_from_list(entries),
        ModelRegistry.from_packaged_and_cwd_files().where(lambda spec: "aliases" in spec),
    ):
        assert registry.get_first_model_spec_that_unify_with("short").model_name == "long-name"
        with pytest.raises(ModelNotFoundError, match="did you mean 'short'"):
            registry.get_first_model_spec_that_unify_with("Short")
    assert registry.get_first_model_spec_that_unify_with("other").model_name == "long-name"
    assert ModelRegistry.from_json_file(HERE).get_first_model_spec_that_unify_with("other").model_name == "other"


def test_in_memory_only() -> None:
    registry = ModelRegistry.register("m", backend="mock", persist=False)
    assert registry.get_first_model_spec_that_unify_with("m").backend == "mock"
    assert not HERE.exists()


@pytest.mark.slow
def test_two_writers_lose_nothing() -> None:
    code = (
        "import sys; from clemcore.backends import ModelRegistry\n"
        "for n in range(20): ModelRegistry.register(f'{sys.argv[1]}{n}', backend='mock')"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("a", "b")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(json.loads(HERE.read_text())) == 40
    assert [path.name for path in Path().iterdir()] == ["model_registry.json"]
