"""Score and evaluate the same records with two versions of clemcore, and compare what they write.

::

    python tools/games/play.py --collection clembench --work build/work --results build/theirs --python OLD
    python tools/games/scores.py --work build/work --records build/theirs --old OLD

OLD is an interpreter that has clemcore 3.7.2. ``scores.json`` is compared as JSON, where null stands for the
literal NaN of 3.7.2. ``raw.csv`` is compared line by line, without the numbers of lines, because they come in the
order of the folders on disk; ``results.csv`` byte by byte. The exit status is 1 if something differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from compare import first_difference
from play import START, _run, startup_for

# What 3.7.2 does not write.
OURS = ("not_finite",)


def _plain(value: Any) -> Any:
    """Return a value with null for NaN, and without what only this version writes."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in OURS}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _scores(folder: Path) -> dict[str, Any]:
    return {
        str(path.parent.relative_to(folder)): _plain(json.loads(path.read_bytes()))
        for path in sorted(folder.rglob("scores.json"))
    }


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return sorted(row[1:] for row in csv.reader(file))


def compare(theirs: Path, ours: Path) -> tuple[int, list[str]]:
    """Return the number of scored episodes that both have, and the first differences."""
    left, right = _scores(theirs), _scores(ours)
    found = [f"{name}: scored by {'3.7.2' if name in left else 'us'} only" for name in left.keys() ^ right.keys()]
    for name in sorted(left.keys() & right.keys()):
        difference = first_difference(left[name], right[name])
        found += [f"{name}/scores.json: {difference}"] if difference else []
    for name in ("raw.csv", "results.csv"):
        there = [(folder / name).exists() for folder in (theirs, ours)]
        if there == [False, False]:
            continue
        if not all(there):
            found.append(f"{name}: only {'3.7.2' if there[0] else 'we'} wrote it")
        elif name == "raw.csv" and _rows(theirs / name) != _rows(ours / name):
            found.append("raw.csv differs")
        elif name == "results.csv" and (theirs / name).read_bytes() != (ours / name).read_bytes():
            found.append("results.csv differs")
    return len(left.keys() & right.keys()), found


def check(game: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Score and evaluate the records of one game in both ways."""
    line: dict[str, Any] = {}
    environment = startup_for(options.work, restore_nan=options.restore_nan)
    for name, python, path in (("theirs", options.old, options.old_path), ("ours", options.python, options.path)):
        results = folder / name
        shutil.copytree(options.records / game / "records", results)
        for scores in [*results.rglob("scores.json"), *results.rglob(".scored.json")]:
            scores.unlink()
        own = dict(environment)
        if path:
            own["PYTHONPATH"] = os.pathsep.join(filter(None, [path, own.get("PYTHONPATH")]))
        for command in (["score", "-g", game, "-r", str(results)], ["eval", "-r", str(results)]):
            log = folder / f"{name}.{command[0]}.txt"
            start = [python, str(START), "--seed", "1", "--", *command]
            done = _run(start, options.work / "collection", own, options.seconds, log)
            line[f"{name}_{command[0]}"] = done["status"]
    line["episodes"], line["differences"] = compare(folder / "theirs", folder / "ours")
    return line


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="that of play.py: it holds the games")
    parser.add_argument("--records", type=Path, required=True, help="the results of play.py")
    parser.add_argument("--old", required=True, help="interpreter that has clemcore 3.7.2 and the games' packages")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has this clemcore and the same")
    parser.add_argument("--old-path", help="more folders of packages for --old")
    parser.add_argument("--path", help="more folders of packages for --python")
    parser.add_argument("--game", action="append", help="only this game (repeatable)")
    parser.add_argument("--seconds", type=int, default=180, help="CPU seconds per command (default: 180)")
    parser.add_argument("--restore-nan", action="store_true", help="give NumPy 2 the name NaN, for games of 2025")
    options = parser.parse_args()
    options.work, options.records = options.work.absolute(), options.records.absolute()
    is_equal = True
    for place in sorted(options.records.iterdir()):
        if not (place / "records").is_dir() or (options.game and place.name not in options.game):
            continue
        with tempfile.TemporaryDirectory() as folder:
            line = check(place.name, options, Path(folder))
        is_equal = is_equal and not line["differences"]
        sys.stdout.write(f"{place.name}: {json.dumps(line, ensure_ascii=False)[:1000]}\n")
        sys.stdout.flush()
    return 0 if is_equal else 1


if __name__ == "__main__":
    raise SystemExit(main())
