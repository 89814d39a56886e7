"""``os._exit`` in game code: an error of its episode, where it would end the run without a word.

It does not know what an episode does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from clemcore.clemgame.engine.live import current


@contextmanager
def contained() -> Iterator[None]:
    """Let ``os._exit`` of game code raise SystemExit in the block; everybody else's ends the process as ever."""
    before = os._exit

    def leave(status: int) -> NoReturn:
        episode = current()
        if episode is not None and episode.in_game and not episode.is_copy:  # a forked child ends by it
            raise SystemExit(status)
        before(status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = before
