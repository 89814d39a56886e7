"""Writes training data from results: conversations, rollouts with token ids, and preference pairs.

It reads episodes of any layout. It does not know how episodes are played or scored.
"""

from __future__ import annotations

from clemcore.clemgame.training.exporting import Exported, Options, export_training
from clemcore.clemgame.training.selection import Filters

__all__ = ["Exported", "Filters", "Options", "export_training"]
