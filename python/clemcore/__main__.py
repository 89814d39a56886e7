"""``python -m clemcore SCRIPT.py [ARGUMENTS]`` runs a script in which ``import backends`` means clemcore's.

Without a script it is the ``clem`` command.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the script that is named on the command line, or ``clem``."""
    arguments = sys.argv[1:]
    if not arguments or not arguments[0].endswith(".py"):
        from clemcore.cli import main as clem

        sys.exit(clem())
    script = Path(arguments[0])
    if not script.is_file():
        print(f"python -m clemcore: no such script: {script}", file=sys.stderr)
        sys.exit(2)
    from clemcore import aliases

    aliases.install(top_level=True)
    sys.argv = arguments
    # As the interpreter does for a script: its own folder comes first on the path, not the working directory.
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
