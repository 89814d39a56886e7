"""The layers of the registry: which files, in which order, and what is said when one is missing or broken."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from clemcore.errors import RegistryError
from clemcore.registry.registry import ModelRegistry
from support.clem import Clem


def write(path: Path, seed: int, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"model_name": name, "backend": "mock", "seed": seed} for name in ("m", *names)]
    path.write_text(json.dumps(entries, indent=1))
    return path


def plugin(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Install a package that provides a registry."""
    info = folder / "their_models-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clemcore.registries]\ntheirs = their_models:registry\n")
    (folder / "their_models.py").write_text(body)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "their_models", raising=False)


def seeds(*names: str) -> list[int]:
    registry = ModelRegistry.from_packaged_and_cwd_files()
    return [registry.get_first_model_spec_that_unify_with(name)["seed"] for name in names]


def test_layers_are_tried_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "theirs.json", 5, "plugin")
    plugin(tmp_path / "site", monkeypatch, f"def registry():\n    return {str(tmp_path / 'theirs.json')!r}\n")
    write(Path.home() / ".clemcore" / "model_registry.json", 4, "home", "plugin")
    first = write(tmp_path / "one.json", 2, "one", "home")
    write(tmp_path / "folder" / "model_registry.json", 3, "two", "one")
    monkeypatch.setenv("CLEMCORE_REGISTRY", os.pathsep.join([str(first), "", str(tmp_path / "folder")]))
    write(Path("model_registry.json"), 1)
    assert seeds("m", "one", "two", "home", "plugin") == [1, 2, 3, 2, 4]
    registry = ModelRegistry.from_packaged_and_cwd_files()
    sources = list(dict.fromkeys(registry.location(index)[0] for index in range(len(registry))))
    assert [Path(source).name for source in sources] == [
        *("model_registry.json", "one.json", "model_registry.json", "model_registry.json", "theirs.json"),
        "packaged",
    ]
    assert registry.location(1)[1] > 1


def test_a_plugin_may_give_a_path_and_must_give_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "theirs.json", 5)
    plugin(tmp_path / "a", monkeypatch, f"from pathlib import Path\nregistry = Path({str(path)!r})\n")
    assert seeds("m") == [5]
    (tmp_path / "a" / "their_models.py").write_text("registry = 7\n")
    monkeypatch.delitem(sys.modules, "their_models")
    with pytest.raises(RegistryError, match=r"plugin 'theirs' must give the path of a file, not 7"):
        seeds("m")
    (tmp_path / "a" / "their_models.py").write_text("import nothing_of_the_kind\n")
    monkeypatch.delitem(sys.modules, "their_models")
    with pytest.raises(RegistryError, match=r"plugin 'theirs' .* failed: ModuleNotFoundError"):
        seeds("m")


def test_what_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEMCORE_REGISTRY", "nowhere.json")
    with pytest.raises(RegistryError, match=r"CLEMCORE_REGISTRY names nowhere\.json, but there is no file"):
        ModelRegistry.from_packaged_and_cwd_files()


def test_faults_of_all_layers_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model_registry.json").write_text("[1]")
    Path("other.json").write_text('[{"model_name": "m"}]')
    monkeypatch.setenv("CLEMCORE_REGISTRY", "other.json")
    with pytest.raises(RegistryError) as caught:
        ModelRegistry.from_packaged_and_cwd_files()
    assert [(Path(problem.source).name, problem.code) for problem in caught.value.problems] == [
        ("model_registry.json", "R041"),
        ("other.json", "R042"),
    ]


def test_the_same_file_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path("model_registry.json"), 1)
    plain = len(ModelRegistry.from_packaged_and_cwd_files())
    monkeypatch.setenv("CLEMCORE_REGISTRY", str(Path.cwd()))
    assert len(ModelRegistry.from_packaged_and_cwd_files()) == plain


def test_list_shows_the_layer(clem: Clem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "mine.json", 1, "mine")
    monkeypatch.setenv("CLEMCORE_REGISTRY", str(path))
    rows = json.loads(clem.ok("list", "models", "mine", "--json"))
    assert [(row["source"], row["line"]) for row in rows if row["model_name"] == "mine"] == [(str(path), 7)]
