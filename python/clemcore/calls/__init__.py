"""One call from its start to its record: request, scope, call, recorder, reader, budget, cache.

Its public names are listed in ``__init__.pyi`` and loaded when they are first used.
"""

from __future__ import annotations

from clemcore.names import lazy

__getattr__, __dir__ = lazy(__name__, __file__)
