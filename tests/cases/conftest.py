"""Fixtures of the cases."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def quick_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let repeated attempts of remote calls follow at once, where the service names no wait."""
    monkeypatch.setattr("clemcore.backends.service.http.retries.FIRST_WAIT", 0.001)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the proxies of the machine that runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
