"""Scores of episodes, computed by the scorers of their games, again only where something changed.

Its public names are listed in ``__init__.pyi`` and loaded when they are first used.
"""

from __future__ import annotations

from clemcore.names import lazy

__getattr__, __dir__ = lazy(__name__, __file__)
