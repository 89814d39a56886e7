"""Settings and fixtures of the whole suite."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Machines are busy, and no test asserts a time.
settings.register_profile("clemcore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clemcore")

pytest_plugins = [
    "support.models",
    "support.servers",
    "support.clem",
    "support.wire_server",
    "support.providers",
    "support.chromium",
]

# A job in the background of a shell ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a home and a working directory of its own, and no key of the user's."""
    home = tmp_path_factory.mktemp("home")  # searched for keys by `_no_key_is_written`
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_ORGANIZATION")) or name in (
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "CLEMCORE_REGISTRY",
            "CLEMCORE_CALL_CACHE",
            "CLEMCORE_MODEL",
        ):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_key_is_written(request: pytest.FixtureRequest, _private_home: None) -> Iterator[None]:
    """Search all that a test has written for the key that its module uses; only key files may hold it."""
    canary = getattr(request.module, "CANARY", None)
    folders = [Path.home(), Path.cwd()]
    if "tmp_path" in request.fixturenames:
        folders.append(request.getfixturevalue("tmp_path"))
    yield
    if canary is None:
        return
    files = {file for folder in folders for file in folder.rglob("*") if file.is_file()}
    found = [file for file in files if file.name != "key.json" and canary.encode() in file.read_bytes()]
    assert not found, f"a key stands in {', '.join(map(str, found))}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Search all that a test has printed and logged for the key that its module uses."""
    report = yield
    canary = getattr(getattr(item, "module", None), "CANARY", None)
    told = [name for name, text in report.sections if canary is not None and canary in text]
    if told and report.outcome == "passed":
        report.outcome = "failed"
        report.longrepr = f"a key stands in: {', '.join(told)}"
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of corpora that is not a part of the project.

    Skips where it is absent; where ``CLEMCORE_SHARED`` promises it, its absence is a failure.
    """
    promised = os.environ.get("CLEMCORE_SHARED")
    folder = (ROOT / (promised or "../shared")).resolve()
    if folder.is_dir():
        return folder
    if promised:
        pytest.fail(f"CLEMCORE_SHARED={promised} names no folder")
    pytest.skip("the corpora are not here: set CLEMCORE_SHARED to their folder")
