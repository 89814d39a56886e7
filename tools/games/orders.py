"""Play each game of a collection in many orders, and show that its episodes have the same turns in all of them.

::

    python tools/games/orders.py --collection clembench --work build/work --results build/orders

The players are programs that give up the baton at every answer and get it back in a random order. Each game is
played with 1, 16 and 200 live episodes, in three orders, and with two hash seeds; epochs make enough episodes. A
game that differs keeps its episodes' state outside of the game master, or draws on something besides its own
random numbers. The first event that differs is printed. ``summary.json`` has a line per game.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from collection import Game, copy_trimmed, games_of
from compare import events_of, first_difference
from play import startup_for

HASH_SEEDS = ("0", "1")
# Live episodes and the seed of the order. With one live episode there is one order.
SETTINGS = [(1, 1), *((live, order) for live in (16, 200) for order in (1, 2, 3))]


def _played(game: str, epochs: int, live: int, order: int) -> tuple[dict[str, Any], int, dict[str, int]]:
    """Play a game of the working directory; return turns by episode, how many were live at once, and outcomes."""
    from clemcore.backends import get_model_for
    from clemcore.clemgame.engine import Options, play
    from clemcore.clemgame.engine import engine as engine_module
    from clemcore.clemgame.plan import make_plan
    from clemcore.clemgame.registry import GameRegistry
    from clemcore.clemgame.store import RunReader, RunStore

    made: list[Any] = []

    class Counted(engine_module.Shuffler):  # type: ignore[name-defined, misc]
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    engine_module.Shuffler = Counted  # type: ignore[attr-defined]
    specs = [spec for spec in GameRegistry.from_directories_and_cwd_files() if spec.game_name == game]
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan(specs, epochs=epochs)
        with RunStore.open(Path(folder)) as store:
            options = Options(concurrency=live, shuffle=order, step_timeout=None)
            summary = play(plan, [get_model_for("mock")], store, options)
        reader = RunReader(Path(folder))
        turns = {
            f"{key.experiment}/{key.game_id}/{key.epoch}": events_of(json.loads(reader.interactions(key))["turns"])
            for key, state in sorted(reader.states().items())
            if state.state == "played"
        }
    return turns, max((each.most for each in made), default=0), dict(summary.counts)


def _affordable(game: str, most: int, seconds: float) -> int:
    """Return how many epochs of a game fit into CPU seconds: as many as make ``most`` episodes, but at least 1."""
    _played(game, 1, 1, 1)  # imports packages, which the next play does not
    began = time.process_time()
    turns, *_ = _played(game, 1, 1, 1)
    spent = time.process_time() - began
    return max(1, math.ceil(min(most / max(1, len(turns)), seconds / max(spent, 0.001))))


def work(game: str, epochs: int, most: int, seconds: float, keep: Path) -> None:
    """Play all settings in this process, and print a line of JSON for each. Without epochs, find their number."""
    first: dict[str, Any] | None = None
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    epochs = epochs or _affordable(game, most, seconds)
    for live, order in SETTINGS:
        began = time.process_time()
        turns, at_once, outcomes = _played(game, epochs, live, order)
        if first is None:
            first = turns
            keep.write_text(json.dumps(turns), encoding="utf-8")
        line = {
            "live": live,
            "order": order,
            "most": at_once,
            "epochs": epochs,
            "outcomes": outcomes,
            "digest": hashlib.sha256(json.dumps(turns, sort_keys=True).encode()).hexdigest(),
            "difference": first_difference(first, turns),
            "cpu": round(time.process_time() - began, 1),
        }
        output.write(json.dumps(line) + "\n")
        output.flush()


def check(game: Game, options: argparse.Namespace, environment: dict[str, str]) -> dict[str, Any]:
    """Play a game with both hash seeds, and return its line of the summary."""
    lines: list[dict[str, Any]] = []
    kept = []
    epochs = 0
    for seed in HASH_SEEDS:
        kept.append(options.results / f"{game.name}.{seed}.json")
        with (options.results / f"{game.name}.{seed}.txt").open("wb") as log:
            done = subprocess.run(  # noqa: S603 - this file itself
                [
                    *(options.python, __file__, "--worker", game.name, str(epochs)),
                    *(str(options.episodes), str(options.seconds), str(kept[-1].absolute())),
                ],
                cwd=options.work / "collection",
                env={**environment, "PYTHONHASHSEED": seed},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
            )
        lines += [{"hash_seed": seed, **json.loads(line)} for line in done.stdout.splitlines()]
        epochs = lines[0]["epochs"] if lines else 0
    differences = [
        f"{line['live']} live, order {line['order']}, hash seed {line['hash_seed']}: {line['difference']}"
        for line in lines
        if line["difference"]
    ]
    if all(path.exists() for path in kept):
        found = first_difference(*(json.loads(path.read_bytes()) for path in kept))
        differences += [f"hash seeds {' and '.join(HASH_SEEDS)}: {found}"] if found else []
    for path in kept:
        path.unlink(missing_ok=True)
    # A game that cannot be imported has the same turns in all settings: none.
    is_played = bool(lines) and all(line["outcomes"].get("played") for line in lines)
    is_complete = len(lines) == len(SETTINGS) * len(HASH_SEEDS)
    return {
        "settings": len(lines),
        "is_complete": is_complete,
        "is_equal": is_complete and is_played and len({line["digest"] for line in lines}) == 1,
        "is_played": is_played,
        "most_live": max((line["most"] for line in lines), default=0),
        "outcomes": lines[0]["outcomes"] if lines else {},
        "cpu": round(sum(line["cpu"] for line in lines)),
        "differences": differences,
    }


def _verdict(line: dict[str, Any]) -> str:
    if line["is_equal"]:
        return "equal"
    if not line["is_complete"]:
        return "not finished"
    return "differs" if line["is_played"] else "not played"


def main() -> int:
    """Run as a command."""
    if sys.argv[1:2] == ["--worker"]:
        game_name, epochs, most, seconds, keep = sys.argv[2:]
        work(game_name, int(epochs), int(most), float(seconds), Path(keep))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collection", type=Path, required=True, help="folder of the games; it is only read")
    parser.add_argument("--work", type=Path, required=True, help="folder for the trimmed copy; it is replaced")
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--game", action="append", help="only this game (repeatable)")
    parser.add_argument(
        "--episodes", type=int, default=200, help="most episodes of a game, by epochs (default: 200)"
    )
    parser.add_argument(
        "--seconds", type=float, default=30, help="CPU seconds per setting; fewer episodes fit into them"
    )
    parser.add_argument("--restore-nan", action="store_true", help="give NumPy 2 the name NaN, for games of 2025")
    options = parser.parse_args()
    options.work, options.results = options.work.absolute(), options.results.absolute()
    options.results.mkdir(parents=True, exist_ok=True)
    copy_trimmed(options.collection, options.work / "collection", experiments=3, instances=2)
    environment = startup_for(options.work, restore_nan=options.restore_nan)
    summary_file = options.results / "summary.json"
    summary = json.loads(summary_file.read_bytes()) if options.game and summary_file.exists() else {}
    for game in games_of(options.work / "collection"):
        if (options.game and game.name not in options.game) or not game.planned():
            continue
        line = check(game, options, environment)
        summary[game.name] = line
        summary_file.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        sys.stdout.write(
            f"{game.name}: {_verdict(line)}, {line['settings']} settings, "
            f"{line['most_live']} at once, {line['outcomes']}, {line['cpu']} s\n"
        )
        sys.stdout.writelines(f"  {text[:400]}\n" for text in line["differences"][:3])
        sys.stdout.flush()
    return int(not all(line["is_equal"] for line in summary.values()))


if __name__ == "__main__":
    raise SystemExit(main())
