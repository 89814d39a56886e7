"""The rules of each version of transformers, as the version itself showed them (tools/template_versions.py)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import template_versions

ANSWERS: dict[str, list[dict[str, str]]] = json.loads(template_versions.FIXTURE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("version", ANSWERS)
def test_messages_are_prepared_as_that_version_does(version: str) -> None:
    programs = template_versions.own_programs()
    assert len(programs) == len(ANSWERS[version])
    wrong: list[Any] = []
    for program, expected in zip(programs, ANSWERS[version], strict=True):
        got = template_versions.ours(program, version)
        if not template_versions.agree(expected, got):
            wrong.append((program, expected, got))
    assert wrong == []
    assert sum("text" in answer for answer in ANSWERS[version]) > 150
