"""The registry's speed beside orjson's and clemcore 3.7.2's: load, resolve, memory, and the ModelSpec itself.

Run: python benches/registry.py [--million] [--million-3-7-2] [--rounds N]

What is measured is CPU time (user and system) of the call alone, in a process of its own per reading; the peers
come from PyPI into environments of their own beneath `build/`. Of each number the median over the rounds is shown;
a round measures everybody once, one after the other, so that a busy machine is busy for all of them.

The entries are those of the packaged registry, again and again with names of their own, as compact JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("registry_worker.py")
# No dependencies of 3.7.2: it needs a few of them for its registry, and hundreds of megabytes for the rest.
PEERS = {
    "orjson": ["orjson==3.13.0"],
    "clemcore 3.7.2": ["clemcore==3.7.2", "nltk", "pyyaml", "retry", "numpy"],
}
OURS, ORJSON, OLD = "clemcore", "orjson", "clemcore 3.7.2"
SELECTORS = {
    "first of all, by name": "first",
    "last of all, by name": "last",
    "last, by name and nested model_config": "nested",
    "absent name": "absent",
    "no name, fits nothing (per entry)": "nameless",
}


def pythons() -> dict[str, str]:
    """Give the interpreter of everybody; make the environments that are not there."""
    found = {OURS: sys.executable}
    uv = str(Path(sys.executable).with_name("uv"))
    for peer, packages in PEERS.items():
        folder = ROOT / "build" / "bench-peers" / peer.replace(" ", "-")
        python = folder / "bin" / "python"
        done = folder / "done"
        if not done.exists():
            subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
            install = [uv, "pip", "install", "--quiet", "--python", str(python)]
            own, others = packages[:1], packages[1:]
            subprocess.run([*install, "--no-deps", *own], check=True)
            if others:
                subprocess.run([*install, *others], check=True)
            done.touch()
        found[peer] = str(python)
    return found


def texts(count: int) -> Iterator[str]:
    """Make entries: those of the packaged registry in turn, each with a name of its own."""
    entries = json.loads((ROOT / "model_registry.json").read_text("utf-8"))
    # All keys that are read as anything are there; the order of the keys stays.
    patterns = []
    for entry in entries:
        text = json.dumps({**entry, "model_name": "\0"}, ensure_ascii=False, separators=(",", ":"))
        patterns.append((entry["model_name"], text.split('"\\u0000"')))
    for at in range(count):
        name, (before, after) = patterns[at % len(patterns)]
        yield f'{before}"{name}-{at}"{after}'


def write(path: Path, count: int) -> None:
    """Write a registry of so many entries."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for at, text in enumerate(texts(count)):
            file.write("," + text if at else text)
        file.write("]")


def reading(python: str, who: str, what: str, *arguments: str) -> dict[str, Any]:
    """Let one of them do one thing in a new process."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [python, str(WORKER), who, what, *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd=empty,
            env=environment,
        )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def median(rows: list[dict[str, Any]], key: str) -> float:
    """Give the median of one number of all rounds."""
    return float(statistics.median(row[key] for row in rows))


def unit(seconds: float) -> str:
    """Write a time in a unit that suits it."""
    for name, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {name}"
    return f"{seconds * 1e9:.3g} ns"


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a table as Markdown."""
    print(f"\n### {title}\n\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def measure(
    names: dict[str, str], size: int, path: Path, rounds: int, with_old: bool
) -> dict[str, list[dict[str, Any]]]:
    """Measure load, resolve and memory at one size."""
    taking_part = [who for who in names if who != OLD or with_old]
    readings: dict[str, list[dict[str, Any]]] = {who: [] for who in taking_part}
    for _ in range(rounds if size < 1_000_000 else min(rounds, 3)):
        for who in taking_part:
            readings[who].append(reading(names[who], who, "registry", str(path)))
    return readings


def load_rows(size: int, file: int, readings: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Write one row of the table of loading."""
    ours, orjson = median(readings[OURS], "load"), median(readings[ORJSON], "load")

    def memory(who: str) -> str:
        # A small file fits into memory that the process has already.
        shown = who in readings and file > 20_000_000
        return f"{median(readings[who], 'memory') / file:.2f}" if shown else "-"

    old = median(readings[OLD], "load") if OLD in readings else None
    return [
        f"{size:,} ({file / 1e6:.3g} MB)",
        unit(ours),
        unit(orjson),
        f"{ours / orjson:.2f}",
        unit(old) if old else "-",
        f"1/{old / ours:.1f}" if old else "-",
        *(memory(who) for who in (OURS, ORJSON, OLD)),
    ]


def resolve_rows(results: dict[int, dict[str, list[dict[str, Any]]]]) -> list[list[str]]:
    """Write the table of resolving: one row per selector."""
    rows = []
    sizes = list(results)
    for title, key in SELECTORS.items():
        ours = {size: median(results[size][OURS], key) for size in sizes}
        row = [title, *(unit(ours[size]) for size in sizes)]
        row.append("-" if key == "nameless" else f"{ours[sizes[-1]] / ours[sizes[0]]:.2f}")
        reference = 10_000
        if key == "nameless":
            # 3.7.2 fails on a selector without a name.
            row += ["-", "-"]
        elif reference in results and OLD in results[reference]:
            old = median(results[reference][OLD], key)
            row += [unit(old), f"{old / ours[reference]:,.0f}"]
        rows.append(row)
    return rows


def spec_rows(names: dict[str, str], rounds: int) -> list[list[str]]:
    """Write the table of ModelSpec: one row per operation."""
    everybody: dict[str, list[dict[str, Any]]] = {OURS: [], OLD: []}
    for _ in range(rounds):
        for who, rows in everybody.items():
            rows.append(reading(names[who], who, "spec"))
    operations = everybody[OURS][0]
    ours = {what: median(everybody[OURS], what) for what in operations}
    old = {what: median(everybody[OLD], what) for what in operations}
    return [[what, unit(ours[what]), unit(old[what]), f"{ours[what] / old[what]:.2f}"] for what in operations]


def main() -> None:
    """Measure and print all tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=5, help="how often everything is measured (5; 3 of a million)"
    )
    parser.add_argument("--million", action="store_true", help="also a registry of a million entries (half a GB)")
    parser.add_argument(
        "--million-3-7-2", action="store_true", help="let clemcore 3.7.2 load it too (minutes, gigabytes)"
    )
    options = parser.parse_args()
    names = pythons()
    sizes = [215, 10_000, 100_000] + [1_000_000] * (options.million or options.million_3_7_2)
    results, rows = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / "model_registry.json"
            write(path, size)
            with_old = size < 1_000_000 or options.million_3_7_2
            results[size] = measure(names, size, path, options.rounds, with_old)
            rows.append(load_rows(size, path.stat().st_size, results[size]))
            print(rows[-1], file=sys.stderr)
    head = ["entries", "clemcore", "orjson.loads", "ratio", "3.7.2", "of 3.7.2"]
    table(
        "Load, index included (memory: added resident memory, times the file)",
        [*head, "memory", "orjson", "3.7.2"],
        rows,
    )
    table(
        "Resolve, per call",
        ["selector", *(f"{size:,}" for size in sizes), "growth", "3.7.2 at 10,000", "times faster"],
        resolve_rows(results),
    )
    table("ModelSpec, per call", ["operation", "clemcore", "3.7.2", "ratio"], spec_rows(names, options.rounds))


if __name__ == "__main__":
    main()
