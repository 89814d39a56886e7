"""16 episodes of a game with the demo's model: one at a time, and together in each of the three modes.

``--game lineup`` plays another game of ``examples/games``, ``--episodes 8`` fewer episodes, ``--dtype bfloat16``
uses another number format. Certified answers need the audit of the model, in this format and with one thread:

    clem audit FOLDER --set model_config.dtype=float32 --set model_config.torch_num_threads=1
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.models import REPOSITORY, load_script

# The mode of the answers and the most live episodes, by what is printed.
WAYS: dict[str, tuple[str, int]] = {
    "exact, one at a time": ("exact", 1),
    "fast": ("fast", 16),
    "certified": ("certified", 16),
    "exact": ("exact", 16),
}


def main(arguments: list[str]) -> None:
    """Print the time of each way, and how many episodes went as they do one at a time."""
    options = argparse.ArgumentParser(prog="local.py games")
    options.add_argument("--game", default="word_dominoes")
    options.add_argument("--episodes", type=int, default=16)
    options.add_argument("--dtype", default="float32")
    options.add_argument("--new", type=int, default=24, help="most tokens of an answer")
    options.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    asked = options.parse_args(arguments)
    folder = load_script(REPOSITORY / "examples" / "demo" / "model.py").ensure_model()
    first: tuple[float, list[Any]] | None = None
    print(f"{asked.episodes} episodes of {asked.game}, up to {asked.new} new tokens, {asked.dtype}")
    with laid_out(folder, asked):
        for name in asked.ways:
            exactness, concurrency = WAYS[name]
            seconds, turns, calls, words = played(asked, exactness, concurrency)
            first = first or (seconds, turns)
            same = sum(one == other for one, other in zip(turns, first[1], strict=True))
            print(
                f"{name:20} {seconds:6.1f} s of CPU ({first[0] / seconds:.2f}x), {calls} calls, "
                f"{same} of {len(turns)} episodes equal; {words}"
            )


@contextlib.contextmanager
def laid_out(model: Path, asked: argparse.Namespace) -> Iterator[None]:
    """Stand in a folder with the game and an entry for each mode."""
    before = Path.cwd()
    entries = [
        {
            "model_name": f"demo-{exactness}",
            "backend": "huggingface_local",
            "huggingface_id": str(model),
            "model_config": {
                "premade_chat_template": True,
                "dtype": asked.dtype,
                "torch_num_threads": 1,
                "exactness": exactness,
            },
        }
        for exactness in ("exact", "fast", "certified")
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(REPOSITORY / "examples" / "games" / asked.game, folder / asked.game)
        (folder / "model_registry.json").write_text(json.dumps(entries))
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def played(asked: argparse.Namespace, exactness: str, concurrency: int) -> tuple[float, list[Any], int, str]:
    """Play the episodes; return the seconds of CPU, the turns of each, the number of calls and the modes."""
    from clemcore.clemgame.runs import run
    from clemcore.clemgame.runs.settings import RunSettings
    from clemcore.clemgame.store import RunReader

    results = Path(f"results-{exactness}-{concurrency}")
    settings = RunSettings(
        games=[asked.game],
        models=[f"demo-{exactness}"],
        results_dir=str(results),
        temperature=0.0,
        max_tokens=asked.new,
        concurrency=concurrency,
        layout="store",
    )
    left = iter(range(asked.episodes))
    begin = time.process_time()
    result = run.play(settings, instances_filter=lambda _: next(left, None) is not None)
    seconds = time.process_time() - begin
    if result.status:
        raise SystemExit(f"not all episodes were played: {result}")
    reader = RunReader(next(results.glob("*/run.json")).parent)
    keys = sorted(reader.states())
    turns = [json.loads(reader.interactions(key))["turns"] for key in keys]
    for turn in (turn for episode in turns for turn in episode):
        for event in turn:
            event["timestamp"] = ""
    records = [json.loads(call.record) for key in keys for call in reader.calls(key)]
    modes = sorted({str(record["clemcore"]["exactness"]) for record in records})
    again = sum(record["clemcore"].get("certified", {}).get("recomputed", False) for record in records)
    return seconds, turns, len(records), ", ".join(modes) + (f", {again} computed again" if again else "")
