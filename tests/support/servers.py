"""Session fixtures for chat servers on the loopback address: a pytest plugin (see conftest.py).

The servers are `transformers serve`, started by the demo's own examples/demo/server.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.models import REPOSITORY, load_script


@pytest.fixture(scope="session")
def tiny_server(tiny_chat: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The tiny chat model behind an OpenAI-compatible server: has `base_url`, `model`, `log` and `pid`."""
    yield from _serve(tiny_chat, tmp_path_factory)


@pytest.fixture(scope="session")
def smollm2_server(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The demo's real model behind an OpenAI-compatible server: has `base_url`, `model`, `log` and `pid`."""
    yield from _serve(smollm2, tmp_path_factory)


def _serve(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = load_script(REPOSITORY / "examples" / "demo" / "server.py")
    with server.serve(folder, log=tmp_path_factory.mktemp("server") / "log") as running:
        yield running
