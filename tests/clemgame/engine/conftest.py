from __future__ import annotations

from pathlib import Path

import pytest

from support.tiny_games import Stage


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path / "run", monkeypatch)
