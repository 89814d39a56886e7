"""What our linter finds in the two real registries of the shared corpus: ``docs/registry-corpus.md``.

    CLEMCORE_SHARED=../shared python tools/registry_corpus.py > docs/registry-corpus.md

The registries are those that clemcore 3.x packaged in 2025-12 and 2026-04; they are not part of this repository.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path

from clemcore import _core

FILES = {"2025-12": "clemcore-2025-12.json", "2026-04": "clemcore-2026-04.json"}
# What a fault of the kind did to clemcore 3.7.2; kinds that are not here have not been judged yet.
HURT = {
    "R045": "Yes: using the entry was an AttributeError.",
    "R051": "Yes: nothing selected the later entry, without a word.",
    "R052": "Yes: 3.7.2 has no such backend, so selecting the entry was a ValueError.",
    "R056": "Yes: the second was never found by its name, and its facts differ.",
    "R061": "Yes: it took the size for unknown.",
    "R063": "Yes: it cut characters out of every answer.",
    "R064": "Yes: a flag that says false was taken for true.",
    "R069": "No: it read none of these keys.",
    "R071": "No: it loaded these models.",
    "R068": "No: it read no languages; who looks for the language by its code does not find the model.",
}
INTRODUCTION = """# What the linter finds in two real registries

Written by `tools/registry_corpus.py`; run it again after a change of the linter. The files are the packaged
registries of clemcore 3.x of 2025-12 (230 entries) and 2026-04 (18 entries). What was changed by hand on the way
from them to ours, which is more than a linter can know, stands in [registry.md](registry.md).
"""


def section(title: str, path: Path) -> list[str]:
    """The report on one file, as lines of Markdown."""
    report = _core.check(path.name, path.read_bytes())
    lines = ["", f"## {title}", ""]
    lines.append(f"{report.errors} errors, {report.warnings} warnings, {report.hints} hints.")
    groups: defaultdict[tuple[str, str], list[_core.Problem]] = defaultdict(list)
    for problem in report.problems:
        groups[problem.code, problem.message].append(problem)
    if groups:
        lines += ["", "| kind | count | first | it says | did it hurt 3.7.2? |", "|---|---|---|---|---|"]
    for (code, message), problems in sorted(groups.items()):
        first = problems[0]
        place = f"`{first.model}`, `{first.field}`, line {first.line}" if first.field else f"line {first.line}"
        said = message if first.help is None else f"{message}; {first.help}"
        row = (f"{code} {first.kind}", str(len(problems)), place, said, HURT.get(code, "Not judged yet."))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
    return lines


def main() -> int:
    """Print the page."""
    folder = Path(os.environ.get("CLEMCORE_SHARED", "../shared")) / "corpus" / "registries"
    if not folder.is_dir():
        print(f"{folder} is not there; set CLEMCORE_SHARED", file=sys.stderr)
        return 2
    lines = INTRODUCTION.splitlines()
    for title, name in FILES.items():
        lines += section(title, folder / name)
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
