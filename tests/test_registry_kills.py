"""Writers of registries: killed at any moment they leave the old or the new file, at once they lose nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from clemcore.registry.registry import ModelRegistry
from support.models import REPOSITORY

HERE = Path("model_registry.json")
# Two hundred and ten in all; the binary starts quickest.
KILLS = {"register": 55, "persist": 15, "clem": 40, "clemcore-check": 100}
BINARY = REPOSITORY / "target" / "debug" / "clemcore-check"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY / "python")}
READY = (
    "import sys\nfrom clemcore.registry import ModelRegistry\nsys.stdout.write('ready\\n'); sys.stdout.flush()\n"
)
CODE = {
    "register": READY + "for turn in range(1000): ModelRegistry.register('changed', backend='mock', turn=turn)",
    "persist": READY
    + "path = ModelRegistry.get_cwd_path()\n"
    + "entries = [{'model_name': f'new{at}', 'backend': 'mock', 'lookup_source': path} for at in range(30)]\n"
    + "ModelRegistry().register_from_list(entries).persist()",
}


def needs_binary() -> None:
    if not BINARY.exists():
        pytest.skip("cargo build has not been run: there is no clemcore-check")


def start() -> list[dict[str, object]]:
    return [{"model_name": f"m{at}", "backend": "mock", "note": "x" * 200} for at in range(300)]


def killed(command: Sequence[str | Path], after: Callable[[], float], *, ready: bool) -> bool:
    """Start a command, kill it so many seconds later (or after it said ready), and tell whether it still lived."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    assert process.stdout is not None
    if ready:
        assert process.stdout.readline() == b"ready\n"
    time.sleep(after())
    lived = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return lived


def check_leftovers() -> None:
    """What a killed writer leaves beside is not an obstacle for the next one."""
    ModelRegistry.register("after", backend="mock")
    done = subprocess.run([sys.executable, "-m", "clemcore", "registry", "check"], env=ENVIRONMENT, check=True)
    assert done.returncode == 0


@pytest.mark.slow
def test_a_killed_register_leaves_a_whole_file() -> None:
    HERE.write_text(json.dumps(start(), indent=2) + "\n", encoding="utf-8")
    names = {entry["model_name"] for entry in start()}
    chance = random.Random(7)
    for _ in range(KILLS["register"]):
        killed([sys.executable, "-c", CODE["register"]], lambda: chance.uniform(0.0, 0.06), ready=True)
        entries = json.loads(HERE.read_bytes())
        assert names <= {entry["model_name"] for entry in entries}
        assert len(entries) <= len(names) + 1
    check_leftovers()


@pytest.mark.slow
def test_a_killed_persist_writes_all_or_nothing() -> None:
    chance = random.Random(7)
    seen = set()
    for _ in range(KILLS["persist"]):
        HERE.write_text(json.dumps(start()), encoding="utf-8")
        killed([sys.executable, "-c", CODE["persist"]], lambda: chance.uniform(0.0, 0.6), ready=True)
        seen.add(len(json.loads(HERE.read_bytes())))
    assert seen <= {300, 330}
    check_leftovers()


@pytest.mark.slow
@pytest.mark.parametrize("fixer", ["clem", "clemcore-check"])
def test_a_killed_fix_leaves_the_old_or_the_new_file(fixer: str) -> None:
    command: list[str | Path] = [sys.executable, "-m", "clemcore", "registry", "check", "--fix"]
    if fixer == "clemcore-check":
        needs_binary()
        command = [BINARY, "--fix", HERE]
    # Faults all over the file, one of them in its last bytes.
    good = json.dumps([{**entry, "release_date": "2024-01-13"} for entry in start()], indent=2)
    old = good.replace("2024-01-13", "13/01/2024").removesuffix("\n]") + ",\n]"
    HERE.write_text(old, encoding="utf-8")
    begin = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    length = time.perf_counter() - begin
    assert HERE.read_text(encoding="utf-8") == good
    chance = random.Random(7)
    killed_alive = 0
    for _ in range(KILLS[fixer]):
        HERE.write_text(old, encoding="utf-8")
        killed_alive += killed(command, lambda: chance.uniform(0.0, 1.2 * length), ready=False)
        assert HERE.read_text(encoding="utf-8") in (old, good)
    assert killed_alive > 0
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert HERE.read_text(encoding="utf-8") == good


FIXES = (
    "import subprocess, sys\n"
    "from clemcore.cli.registry import _mended\n"
    "for _ in range(25):\n"
    "    if sys.argv[1:]: subprocess.run([*sys.argv[1:], '--fix', 'model_registry.json'], capture_output=True)\n"
    "    else: _mended('model_registry.json', [], show_only=False)\n"
)
REGISTERS = (
    "import sys\n"
    "from clemcore.registry import ModelRegistry\n"
    "for at in range(15): ModelRegistry.register(f'{sys.argv[1]}{at}', backend='mock', release_date='13/01/2024')\n"
)


@pytest.mark.slow
def test_fixes_and_registers_at_once_lose_nothing() -> None:
    needs_binary()
    old = [{**entry, "release_date": "13/01/2024", "mine": {"at": at}} for at, entry in enumerate(start()[:50])]
    HERE.write_text(json.dumps(old, indent=2), encoding="utf-8")
    arguments = [[FIXES], [FIXES], [FIXES, str(BINARY)], [REGISTERS, "a"], [REGISTERS, "b"]]
    writers = [subprocess.Popen([sys.executable, "-c", *each], env=ENVIRONMENT) for each in arguments]
    assert [writer.wait() for writer in writers] == [0] * len(writers)
    subprocess.run([BINARY, "--fix", HERE], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    entries = {entry.pop("model_name"): entry for entry in json.loads(HERE.read_bytes())}
    assert {entry["release_date"] for entry in entries.values()} == {"2024-01-13"}
    assert {name for name in entries if name[0] in "ab"} == {f"{name}{at}" for name in "ab" for at in range(15)}
    assert {entry["model_name"]: entry["mine"] for entry in old} == {
        name: entry["mine"] for name, entry in entries.items() if name[0] == "m"
    }
    assert [path.name for path in Path().iterdir()] == ["model_registry.json"]
