"""Start ``clem`` with seeded generators, in whichever version of clemcore this interpreter finds.

::

    PYTHONHASHSEED=0 python tools/games/start.py --seed 1 -- run -g taboo -m mock -r results

The import of the command comes before the seeds are set, so that nothing that it imports can draw in between. So
does that of rich, where it is installed: it draws when it is imported, and a game's scikit-learn imports it.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("arguments", nargs="+", help="arguments of clem, after --")
    options = parser.parse_args()
    sys.argv = ["clem", *options.arguments]
    import numpy as np

    from clemcore import cli

    with contextlib.suppress(ImportError):
        import rich.style  # noqa: F401
    random.seed(options.seed)
    np.random.seed(options.seed)
    raise SystemExit(cli.main())


if __name__ == "__main__":
    main()
