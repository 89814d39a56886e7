"""What starting costs, in CPU time: `clem --version` and `from clemcore import backends`.

Run it by `python benches/startup.py [--rounds N] [--check]`. Each round starts every program once, so that a busy
machine is busy for all of them; what counts is the least CPU time (user and system) of each. `--check` fails when a
promise is broken. It starts real processes and does not know what clemcore imports; `tests/test_startup.py` does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

PYTHON = sys.executable
PROGRAMS = {
    "python -c pass": [PYTHON, "-c", "pass"],
    "clem --version": [str(Path(PYTHON).with_name("clem")), "--version"],
    "import json, pathlib, logging": [PYTHON, "-c", "import json, pathlib, logging"],
    "from clemcore import backends": [PYTHON, "-c", "from clemcore import backends"],
    "first use: get_model_for('mock')": [
        PYTHON,
        "-c",
        "from clemcore import backends; backends.get_model_for('mock')",
    ],
    "clem --help": [str(Path(PYTHON).with_name("clem")), "--help"],
    "clem list models": [str(Path(PYTHON).with_name("clem")), "list", "models"],
    "clem respond -m mock Hi": [str(Path(PYTHON).with_name("clem")), "respond", "-m", "mock", "Hi"],
}
# (what, at most so many times, of what)
PROMISES = [
    ("clem --version", 6.0, "python -c pass"),
    ("from clemcore import backends", 2.0, "import json, pathlib, logging"),
]


def cpu_seconds(command: list[str]) -> float:
    """Run a program and return the CPU time that it took."""
    # With bytecode, as users have it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def measure(rounds: int) -> dict[str, float]:
    """Return the least CPU time of each program."""
    for command in PROGRAMS.values():  # the first run writes bytecode
        cpu_seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, command in PROGRAMS.items():
            taken[name].append(cpu_seconds(command))
    return {name: min(times) for name, times in taken.items()}


def main() -> int:
    """Measure, print, and compare with the promises."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="how often every program is run (15)")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a promise is broken")
    options = parser.parse_args()
    least = measure(options.rounds)
    bare = least["python -c pass"]
    print(f"{'program':34} {'CPU ms':>8} {'x bare Python':>14}")
    for name, seconds in least.items():
        print(f"{name:34} {seconds * 1000:8.1f} {seconds / bare:14.2f}")
    kept = True
    for name, most, other in PROMISES:
        ratio = least[name] / least[other]
        kept = kept and ratio <= most
        print(f"{name} / {other}: {ratio:.2f} (promised: at most {most:g})")
    return 0 if kept or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
