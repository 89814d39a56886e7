"""The store of a run: one SQLite file per writer, in which every call stands before its player sees the answer.

Beside it lies ``run.json`` (``manifest``, ``run_folder``), which says what determines the run's results.

Its public names are listed in ``__init__.pyi`` and loaded when they are first used.
"""

from __future__ import annotations

from clemcore.names import lazy

__getattr__, __dir__ = lazy(__name__, __file__)
