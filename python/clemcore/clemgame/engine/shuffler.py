"""Lets programmatic players return in a random order, to show that a game's episodes do not influence each other.

It does not know games.
"""

from __future__ import annotations

import random
import threading

from clemcore.clemgame.engine.baton import Baton, Place
from clemcore.clemgame.engine.live import LiveEpisode


class Shuffler:
    """A pool of episodes that have given up the baton; when nobody wants it, one of them goes on.

    Attributes:
        most: how many episodes were in the pool at once at most.
    """

    def __init__(self, baton: Baton, seed: int) -> None:
        """Begin with nobody in the pool."""
        self._baton = baton
        self._random = random.Random(seed)  # noqa: S311 - an order for a test
        self._lock = threading.Lock()
        self._waiting: list[Place] = []
        self.most = 0
        baton.when_idle(self._let_one_go)

    def __call__(self, episode: LiveEpisode) -> None:
        """Give up the baton, and wait until it is this episode's turn again."""
        place = Place()
        with self._lock:
            self._waiting.append(place)
            self.most = max(self.most, len(self._waiting))
        episode.is_waiting = True
        self._baton.give()
        place.wait()
        episode.is_waiting = False

    def _let_one_go(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            place = self._waiting.pop(self._random.randrange(len(self._waiting)))
        self._baton.line_up(place)
