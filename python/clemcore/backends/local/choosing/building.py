"""Builds the chooser of an answer from what was asked."""

from __future__ import annotations

from collections.abc import Sequence

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.chooser import Chooser


def chooser_of(arguments: Arguments, prompt_ids: Sequence[int]) -> Chooser | None:  # noqa: ARG001
    """Return what chooses the tokens of an answer, or None where the engine can choose by itself.

    Args:
        arguments: the checked generation arguments.
        prompt_ids: token ids of the prompt; penalties count them.
    """
    return None
