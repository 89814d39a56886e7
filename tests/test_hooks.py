"""The hooks for pre-commit: valid, and their commands do what they promise."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from support.clem import Clem

HOOKS = Path(__file__).parent.parent / ".pre-commit-hooks.yaml"


def entries() -> dict[str, str]:
    text = HOOKS.read_text(encoding="utf-8")
    return dict(re.findall(r"^- id: (\S+)$.*?^  entry: (.*?)$", text, re.MULTILINE | re.DOTALL))


def test_hooks_are_valid() -> None:
    yaml = pytest.importorskip("yaml")
    hooks = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    assert [hook["id"] for hook in hooks] == list(entries())
    for hook in hooks:
        assert {"id", "name", "entry", "language", "files"} <= hook.keys()
        assert re.search(hook["files"], "a/model_registry.json")
        assert not re.search(hook["files"], "my_model_registry.json.bak")


def test_the_commands_check_and_mend(clem: Clem) -> None:
    check = shlex.split(entries()["clemcore-registry"])[1:]
    fix = shlex.split(entries()["clemcore-registry-fix"])[1:]
    Path("model_registry.json").write_text('[{"model_name": "m", "backend": "mock",}]')
    assert clem(*check, "model_registry.json").returncode == 1
    assert clem(*fix, "model_registry.json").returncode == 0
    assert clem(*check, "model_registry.json").returncode == 0
