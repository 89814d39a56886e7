"""What holds for the choice of the tokens of one answer, as an engine works it out from what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.chooser import Step


@dataclass(frozen=True)
class Rules:
    """The rules of one answer.

    Attributes:
        arguments: what was asked for, over the model's own defaults, over those of the engine. A sampled answer has
            a seed.
        first: steps of the engine that stand before the penalties.
        masks: steps of the engine that stand after the penalties.
        heated: steps of the engine between the temperature and ``top_k``.
        filtered: steps of the engine after ``min_p``.
        is_search: whether the engine searches for the answer as a whole, as with beams, so that no chooser can take
            its tokens one by one.
        ends: ids of the tokens that end a reply.
    """

    arguments: Arguments
    first: Sequence[Step] = ()
    masks: Sequence[Step] = ()
    heated: Sequence[Step] = ()
    filtered: Sequence[Step] = ()
    is_search: bool = False
    ends: frozenset[int] = frozenset()
