"""Writers of registries that are killed at any moment leave the old or the new file, whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.models import REPOSITORY

KILLS = 200
# Each run changes the file: it stays a whole registry with every entry that it had.
WRITERS = {
    "register": (
        "import os, sys\n"
        "from clemcore.registry import ModelRegistry\n"
        "sys.stdout.write('ready\\n'); sys.stdout.flush()\n"
        "for turn in range(1000):\n"
        "    ModelRegistry.register('changed', backend='mock', turn=turn)\n"
    ),
    "fix": (
        "import sys\n"
        "from pathlib import Path\n"
        "from clemcore.cli.registry import _mended\n"
        "from clemcore.atomic import locked, replace_file\n"
        "path = Path('model_registry.json')\n"
        "good = path.read_bytes()\n"
        "sys.stdout.write('ready\\n'); sys.stdout.flush()\n"
        "for turn in range(1000):\n"
        "    with locked(path):\n"
        "        replace_file(path, good.replace(b'\\n]', b',\\n]'))\n"
        "    _mended(path.name, [], show_only=False)\n"
    ),
}


def start() -> list[dict[str, object]]:
    return [{"model_name": f"m{at}", "backend": "mock", "note": "x" * 200} for at in range(300)]


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
def test_a_killed_writer_leaves_a_whole_file(writer: str) -> None:
    path = Path("model_registry.json")
    path.write_text(json.dumps(start(), indent=2) + "\n", encoding="utf-8")
    names = {entry["model_name"] for entry in start()}
    chance = random.Random(7)
    for _ in range(KILLS // len(WRITERS)):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITERS[writer]],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "python")},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        text = path.read_text(encoding="utf-8")
        # The file that is to be mended has one comma too much, and nothing else.
        entries = json.loads(text.replace(",\n]", "\n]"))
        assert names <= {entry["model_name"] for entry in entries}
        assert len(entries) <= len(names) + 1
        path.write_text(text.replace(",\n]", "\n]"), encoding="utf-8")
    # What a killed writer leaves beside is no obstacle for the next one.
    subprocess.run([sys.executable, "-m", "clemcore", "registry", "check"], check=True, stdout=subprocess.DEVNULL)
