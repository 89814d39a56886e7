"""Fixtures of the cases."""

from __future__ import annotations

import pytest


@pytest.fixture
def quick_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let repeated attempts of remote calls follow at once, where the service names no wait."""
    monkeypatch.setattr("clemcore.backends.service.http.retries.FIRST_WAIT", 0.001)
