"""From messages to the prompt text of a local model: chat templates and the proofs of their exactness.

Its public names are listed in ``__init__.pyi`` and loaded when they are first used.
"""

from __future__ import annotations

from clemcore.names import lazy

__getattr__, __dir__ = lazy(__name__, __file__)
