"""A bar that shows on a terminal how far a batch is; drawn by tqdm, which is imported only then.

It counts, and does not know what.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from clemcore.visible import visible

VARIABLE = "CLEMCORE_PROGRESS"
_NO = ("", "0", "false", "no", "off")


class Progress:
    """Counts the calls of a batch that have ended.

    Args:
        total: number of calls.
        name: stands before the bar.
        wanted: whether to show it; None: the environment variable ``CLEMCORE_PROGRESS`` says it.
            Without a terminal nothing is shown.
    """

    def __init__(self, total: int, name: str, wanted: bool | None) -> None:
        """Show the empty bar."""
        self._failed = 0
        self._bar: Any = None
        if wanted is None:
            wanted = os.environ.get(VARIABLE, "").strip().lower() not in _NO
        if wanted and total and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=visible(name), unit="call", file=sys.stderr, dynamic_ncols=True)

    def count(self, *, failed: bool) -> None:
        """Count a call that has ended."""
        if self._bar is None:
            return
        if failed:
            self._failed += 1
            self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is, and the line."""
        if self._bar is not None:
            self._bar.close()
