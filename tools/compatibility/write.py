"""Write ``docs/compatibility.md``: public games, and every public name, parameter and flag of 3.7.2 beside ours.

::

    python -m venv venv372 && venv372/bin/pip install clemcore==3.7.2
    python tools/compatibility/write.py --python372 venv372/bin/python     # read the names of 3.7.2 again
    python tools/compatibility/write.py --games TITLE=build/theirs:build/ours   # results of tools/games/play.py
    python tools/compatibility/write.py --games TITLE=build/theirs:build/ours:build/older@2.1.0
    python tools/compatibility/write.py --check                            # is the page up to date?

What was read of 3.7.2 and of the games is kept in ``tests/fixtures/compatibility/``, so the page can be checked
without them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from names import commands_part, names_part
from public_games import compared, games_part

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
FIXTURES = ROOT / "tests" / "fixtures" / "compatibility"
NAMES, GAMES = FIXTURES / "names-3.7.2.json", FIXTURES / "games.json"

HEAD = """# Compatibility with clemcore 3.7.2

Use this page to find out whether a game or program written for clemcore 3.7.2 runs here. It lists public games, and
every public name, parameter and flag of 3.7.2 beside ours. `tools/compatibility/write.py` writes it.
[What differs](differences.md) lists changes in behaviour.
"""

LEGEND = """Below, "same" means that every call that fits 3.7.2 fits here. Where parameters differ, ours are shown.
"""


def page(known: dict[str, Any], collections: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the page, and what is missing or different without a reason."""
    commands, lost_flags = commands_part(known)
    names, lost_names = names_part(known)
    lines = [HEAD, *games_part(collections), LEGEND, *commands, *names]
    return "\n".join(lines).rstrip() + "\n", [*lost_flags, *lost_names]


def _read_names(python: str) -> dict[str, Any]:
    worker = str(Path(__file__).with_name("surface.py"))
    # From another folder, so that no package of the working directory is taken for the installed one.
    done = subprocess.run([python, worker], stdout=subprocess.PIPE, check=True, cwd="/")  # noqa: S603
    known: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return known


def _keep(path: Path, value: dict[str, dict[str, Any]]) -> None:
    """Write a value as JSON with a line for each entry of the second level."""
    parts = []
    for name, entries in value.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(entry, ensure_ascii=False)}" for key, entry in entries.items()]
        parts.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python372", help="interpreter of an environment with clemcore 3.7.2")
    parser.add_argument("--games", action="append", default=[], metavar="TITLE=THEIRS:OURS[:OLDER@VERSION]")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is not up to date")
    options = parser.parse_args()
    if options.python372:
        _keep(NAMES, _read_names(options.python372))
    known = json.loads(NAMES.read_bytes())
    collections = json.loads(GAMES.read_bytes()) if GAMES.exists() else {}
    for choice in options.games:
        title, _, folders = choice.rpartition("=")
        theirs, ours, *older = folders.split(":")
        folder, _, version = older[0].partition("@") if older else ("", "", "")
        collections[title] = compared(Path(theirs), Path(ours), Path(folder) if folder else None, version)
    if options.games:
        _keep(GAMES, collections)
    text, wrong = page(known, collections)
    sys.stdout.writelines(f"no reason is known: {line}\n" for line in wrong)
    if options.check:
        return int(bool(wrong) or text != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
