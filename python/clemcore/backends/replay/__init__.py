"""Backend ``replay``: answers from a record, call by call, and sends nothing.

``replay:PATH`` is the model of a record; ``replay:PATH#MODEL`` one of several. What is compared, in which order
calls may come, and which records can be read: ``docs/replay.md``.
"""

from __future__ import annotations

from clemcore.backends.base import Backend
from clemcore.backends.replay.model import ReplayModel
from clemcore.model import Model
from clemcore.registry.spec import ModelSpec

__all__ = ["Replay", "ReplayModel"]


class Replay(Backend):
    """Makes models that repeat what was recorded."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model of a record.

        Args:
            model_spec: its name is ``replay:PATH`` or ``replay:PATH#MODEL``; or it is an entry with ``path``, and
                ``model`` where the record has several.

        Raises:
            RecordError: the record cannot be read.
            SpecError: the record has no calls of the model, or several models and none is named.
        """
        return ReplayModel(model_spec)
