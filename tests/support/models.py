"""Session fixtures for the models that tests load: pytest imports this module as a plugin (see conftest.py).

A tiny model is built by a script of tests/models in a process of its own, into build/test-models/, once per
version of the script and of the libraries that make it. The demo's real model comes from the user's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILT = REPOSITORY / "build" / "test-models"


def load_script(path: Path) -> ModuleType:
    """Import a Python file that is in no package, like those of examples/."""
    name = f"script_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Before it runs: its dataclasses look themselves up there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def built_model(script: str, *arguments: str) -> Path:
    """The folder made by `tests/models/SCRIPT.py ARGUMENTS… FOLDER`, made now where it is not there yet."""
    source = REPOSITORY / "tests" / "models" / f"{script}.py"
    made_from = [source.read_text(encoding="utf-8"), sys.version, *arguments]
    made_from += [f"{name}=={version(name)}" for name in ("torch", "transformers", "tokenizers")]
    name = f"{script}-{hashlib.sha256(chr(10).join(made_from).encode()).hexdigest()[:12]}"
    folder = BUILT / name
    if folder.is_dir():
        return folder
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / f".{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial = BUILT / f".{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
            command = [sys.executable, str(source), *arguments, str(partial)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.fail(f"{source} failed:\n{done.stderr[-4000:]}", pytrace=False)
            partial.rename(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_chat() -> Path:
    """Folder of a tiny ChatML chat model that knows the dialogues of tests/models/tiny_chat.py by heart."""
    return built_model("tiny_chat")


@pytest.fixture(scope="session")
def tiny_dialogues() -> ModuleType:
    """The module tests/models/tiny_chat.py: what the tiny model was taught."""
    return load_script(REPOSITORY / "tests" / "models" / "tiny_chat.py")


@pytest.fixture(scope="session", params=["llava", "gemma3"])
def tiny_vision(request: pytest.FixtureRequest, tiny_chat: Path) -> Path:
    """Folder of a tiny vision-language model with random weights; of each kind of tiny_vision.py."""
    return built_model("tiny_vision", request.param, str(tiny_chat))


@pytest.fixture(scope="session")
def tiny_llava(tiny_chat: Path) -> Path:
    """Folder of a tiny vision-language model with random weights."""
    return built_model("tiny_vision", "llava", str(tiny_chat))


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Folder of the demo's real chat model; fetched and converted when not there (half a minute)."""
    folder = load_script(REPOSITORY / "examples" / "demo" / "model.py").ensure_model()
    assert isinstance(folder, Path)
    return folder
