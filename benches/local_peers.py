"""16 prompts of different lengths: fast answers against the local backends of inspect_ai and lm-evaluation-harness.

Each peer lives in an environment of its own, whose Python is named:

    uv venv inspect && uv pip install --python inspect/bin/python inspect-ai torch transformers accelerate
    uv venv harness && uv pip install --python harness/bin/python "lm-eval[hf]" torch transformers
    python benches/local.py peers --inspect inspect/bin/python --harness harness/bin/python

Each computes in a process of its own, one after the other, with one thread, in batches of 16, greedily, after a
call that warms it up. Times are seconds of processor time without loading.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKER = Path(__file__).resolve().parent / "peers_worker.py"


def main(arguments: list[str]) -> None:
    """Print the time of each, and how much of it fast answers take."""
    from local_batches import prompts

    from support.models import REPOSITORY, load_script

    options = argparse.ArgumentParser(prog="local.py peers")
    options.add_argument("--inspect", type=Path, help="the Python of an environment with inspect_ai")
    options.add_argument("--harness", type=Path, help="the Python of an environment with lm-eval[hf]")
    options.add_argument("--dtype", default="float32")
    options.add_argument("--new", type=int, default=24)
    asked = options.parse_args(arguments)
    for python in (asked.inspect, asked.harness):
        if python is not None and not python.is_file():
            options.error(f"{python} is not a file: name the Python of the environment, as inspect/bin/python")
    folder = load_script(REPOSITORY / "examples" / "demo" / "model.py").ensure_model()
    order = {"folder": str(folder), "dtype": asked.dtype, "new": asked.new, "dialogues": prompts(16)}
    pythons = {"clemcore": Path(sys.executable), "inspect": asked.inspect, "harness": asked.harness}
    found = {name: answered(name, python, order) for name, python in pythons.items() if python is not None}
    ours = found["clemcore"]
    for each in found.values():
        same = sum(one.strip() == other.strip() for one, other in zip(each["texts"], ours["texts"], strict=True))
        share = ours["seconds"] / each["seconds"]
        print(
            f"{each['version']:20} {each['seconds']:6.1f} s; clemcore takes {share:.2f} of it; "
            f"{same} of 16 texts equal"
        )


def answered(name: str, python: Path, order: dict[str, Any]) -> dict[str, Any]:
    """Let one of them answer in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    # The Python of an environment is a link, and knows its environment by where the link is.
    done = subprocess.run(
        [str(python.absolute()), str(WORKER), name],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
