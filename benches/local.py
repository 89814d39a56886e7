"""Measures local models on one thread: ``python benches/local.py PART``.

Each part is a module of its own, ``benches/local_PART.py`` with a function ``main(arguments)``. All times of a part
are of one run, so take ratios, not times, on a machine that does other things as well. It needs no hub: the models
are the demo's (SmolLM2-135M-Instruct, made by ``make demo``) and the tiny ones of the tests.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def parts() -> dict[str, str]:
    """Return the first line of each part's docstring, by its name."""
    found = {}
    for path in sorted(HERE.glob("local_*.py")):
        first = path.read_text(encoding="utf-8").splitlines()[0].strip('"')
        found[path.stem.removeprefix("local_")] = first
    return found


def main() -> None:
    """Run the part that is named."""
    known = parts()
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        lines = "\n".join(f"  {name:12} {what}" for name, what in known.items())
        raise SystemExit(f"usage: python benches/local.py PART\n{lines}")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]
    import torch

    torch.set_num_threads(1)
    # Some parts take minutes: what is measured is seen at once, also in a file.
    getattr(sys.stdout, "reconfigure", lambda **_: None)(line_buffering=True)
    importlib.import_module(f"local_{sys.argv[1]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
