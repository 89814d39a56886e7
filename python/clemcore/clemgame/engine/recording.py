"""The interactions of a live episode. It does not know how they are stored."""

from __future__ import annotations

from clemcore.calls.encoding import to_json
from clemcore.clemgame.recorder import GameInteractionsRecorder


class EpisodeRecorder(GameInteractionsRecorder):
    """Keeps the interactions of an episode, and counts its rounds."""

    @property
    def round(self) -> int:
        """The current round, from 0."""
        return self._current_round

    def to_json(self) -> bytes:
        """Return the interactions so far as JSON."""
        return to_json(self.interactions)
