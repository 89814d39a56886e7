"""Plays the game of the benchmarks, here or with clemcore 3.7.2, and measures it (see games.py).

Standard input has one JSON object: ``episodes`` and ``calls`` of each, ``players``, ``model`` (a name or an entry),
and ``settings``, which only this version has. Standard output gets the seconds and the seconds of CPU that all
episodes took together. What a run takes before its first episode and after its last is measured apart and left out.

With ``batch``, the same calls are one batch of the model, without any game. With ``replay``, the episodes are
played again from their record, and that is measured. ``memory`` is the largest memory of the process, in MB.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Episodes of the short runs that are taken off.
SHORT = 4


def main() -> None:
    """Play, and print what was measured."""
    asked = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)  # games and 3.7.2 print
    with tempfile.TemporaryDirectory(dir=asked.get("folder")) as folder:
        os.chdir(folder)
        _lay_out(Path(folder), asked)
        play = _answer if asked.get("batch") else _play
        play("short", asked, 0)  # imports, and whatever is made once
        few, few_cpu = play("short", asked, 1)
        many, many_cpu = play("long", asked, 2)
        if asked.get("replay"):
            few, few_cpu = _replay(1)
            many, many_cpu = _replay(2)
        os.chdir("/")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    os.write(out, json.dumps({"wall": many - few, "cpu": many_cpu - few_cpu, "memory": memory}).encode())


def _lay_out(folder: Path, asked: dict[str, Any]) -> None:
    game, source = folder / "relay", Path(__file__).with_name("relay")
    game.mkdir()
    shutil.copy(source / "master.py", game)
    shutil.copy(source / "numbers_api.py", folder)
    spec = json.loads((source / "clemgame.json").read_text())
    (game / "clemgame.json").write_text(json.dumps({**spec, "players": asked["players"]}))
    (game / "in").mkdir()
    counts = {"short": SHORT, "long": asked["episodes"] + SHORT}
    for name, count in counts.items():
        instances = [
            {"game_id": number, "first": number * asked["calls"], "calls": asked["calls"]}
            for number in range(count)
        ]
        experiment = {"name": "numbers", "players": asked["players"], "game_instances": instances}
        (game / "in" / f"{name}.json").write_text(json.dumps({"experiments": [experiment]}))
    if isinstance(asked["model"], dict):
        (folder / "model_registry.json").write_text(json.dumps([asked["model"]]))


def _play(instances: str, asked: dict[str, Any], number: int) -> tuple[float, float]:
    """Play all instances of a file; return seconds and seconds of CPU."""
    model = asked["model"]
    name = model["model_name"] if isinstance(model, dict) else model
    models, results = [name] * asked["players"], f"results{number}"
    begin, begin_cpu = time.perf_counter(), time.process_time()
    try:
        from clemcore.clemgame.runs import run
        from clemcore.clemgame.runs.settings import RunSettings
    except ImportError:
        _play_old(models, instances, results)
    else:
        settings = RunSettings(
            games=["relay"],
            models=models,
            instances=instances,
            results_dir=results,
            temperature=0.0,
            **asked["settings"],
        )
        result = run.play(settings)
        if result.status:
            raise SystemExit(f"not all episodes were played: {result}")
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def _replay(number: int) -> tuple[float, float]:
    """Play a run again from its record; return seconds and seconds of CPU."""
    from clemcore.clemgame.runs.replaying import replay

    (run,) = Path(f"results{number}").iterdir()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    found = replay(run)
    if found.differences:
        raise SystemExit(f"not all episodes are the same: {found}")
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def _answer(instances: str, asked: dict[str, Any], _: int) -> tuple[float, float]:
    """Ask all that the episodes of a file ask, as one batch; return seconds and seconds of CPU."""
    from clemcore import backends

    sys.path.insert(0, "relay")
    from master import RULES  # type: ignore[import-not-found,unused-ignore]

    (experiment,) = json.loads(Path("relay", "in", f"{instances}.json").read_text())["experiments"]
    batch = []
    for instance in experiment["game_instances"]:
        messages: list[dict[str, str]] = []
        for number in range(instance["first"], instance["first"] + instance["calls"]):
            text = f"The next number is yours. Please say {number}"
            content = text if messages else f"{RULES}\n\n{text}"
            messages = [*messages, {"role": "user", "content": content}]
            batch.append(messages)
            messages = [*messages, {"role": "assistant", "content": f"said {number}"}]
    model: Any = backends.get_model_for(asked["model"])
    model.set_gen_args(temperature=0.0, max_tokens=300)
    begin, begin_cpu = time.perf_counter(), time.process_time()
    model.generate_batch_response(batch)
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def _play_old(models: list[str], instances: str, results: str) -> None:
    from clemcore import backends, cli

    arguments = {"temperature": 0.0, "max_tokens": 300}
    selectors: Any = backends.ModelSpec.from_strings(models)  # type: ignore[attr-defined,unused-ignore]
    cli.run(  # type: ignore[attr-defined,unused-ignore]
        "relay", selectors, gen_args=arguments, instances_filename=instances, results_dir_path=Path(results)
    )


if __name__ == "__main__":
    main()
