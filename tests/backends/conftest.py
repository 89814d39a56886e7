"""Fixtures of the backends' tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from clemcore.backends.huggingface_local import HuggingfaceLocalModel
    from support.slurk import Doorman, FakeSlurk


@pytest.fixture(scope="module")
def loaded(tiny_chat: Path) -> HuggingfaceLocalModel:
    """The tiny model, loaded once per file."""
    from support.tiny import load

    return load(tiny_chat)


@pytest.fixture
def model(loaded: HuggingfaceLocalModel) -> HuggingfaceLocalModel:
    """The tiny model with no generation arguments set."""
    loaded.set_gen_args()
    return loaded


@pytest.fixture
def altered(tiny_chat: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to change."""
    return Path(shutil.copytree(tiny_chat, tmp_path / "tiny"))


@pytest.fixture(autouse=True)
def _quick_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let repeated attempts of remote calls follow at once, where the service names no wait."""
    monkeypatch.setattr("clemcore.backends.service.http.retries.FIRST_WAIT", 0.001)


@pytest.fixture
def slurk() -> Iterator[FakeSlurk]:
    """A slurk server."""
    from support.slurk import FakeSlurk

    server = FakeSlurk()
    yield server
    server.close()


@pytest.fixture
def doorman(monkeypatch: pytest.MonkeyPatch) -> Iterator[Doorman]:
    """Somebody who reads the operator's terminal and passes links on."""
    from support.slurk import Doorman

    doorman = Doorman()
    monkeypatch.setattr("clemcore.backends.slurk.model.show", doorman)
    yield doorman
    for person in doorman.persons:
        person.close()
