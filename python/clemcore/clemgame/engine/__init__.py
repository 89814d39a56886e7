"""The run engine: plays the episodes of games side by side, although a game is plain blocking Python.

Each live episode has a thread, and game code runs only in the thread that holds the baton. This package does not
know commands, nor how a run is stored. Its public names are listed in ``__init__.pyi``.
"""

from __future__ import annotations

from clemcore.names import lazy

__getattr__, __dir__ = lazy(__name__, __file__)
