"""Settings and fixtures of the whole suite."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["support.models", "support.servers", "support.clem", "support.wire_server"]

# A job in the background of a shell ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a home and a working directory of its own, and no key of the user's."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_ORGANIZATION")) or name in (
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "CLEMCORE_REGISTRY",
            "CLEMCORE_CALL_CACHE",
        ):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of corpora that is no part of the project.

    Skips where it is absent; where ``CLEMCORE_SHARED`` promises it, its absence is a failure.
    """
    promised = os.environ.get("CLEMCORE_SHARED")
    folder = (ROOT / (promised or "../shared")).resolve()
    if folder.is_dir():
        return folder
    if promised:
        pytest.fail(f"CLEMCORE_SHARED={promised} names no folder")
    pytest.skip("the corpora are not here: set CLEMCORE_SHARED to their folder")
