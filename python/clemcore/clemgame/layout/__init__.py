"""The classic layout of results: the names of folders, and the files of one episode as 3.7.2 wrote them.

Its public names are listed in ``__init__.pyi`` and loaded when they are first used.
"""

from __future__ import annotations

from clemcore.names import lazy

__getattr__, __dir__ = lazy(__name__, __file__)
