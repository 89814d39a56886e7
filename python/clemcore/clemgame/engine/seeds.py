"""Seeds: which one an episode starts from, and which one a call gets.

A seed depends only on the run's seed and on names. It does not know random generators.
"""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class EpisodeName(Protocol):
    """What identifies an episode."""

    @property
    def game(self) -> str:
        """The game's name."""

    @property
    def experiment(self) -> str:
        """The experiment's name."""

    @property
    def game_id(self) -> int:
        """The instance's number."""

    @property
    def epoch(self) -> int:
        """The epoch, from 1."""


def derived_seed(*parts: str | int) -> int:
    """Return a number that depends on all parts: the first 8 bytes of the SHA-256 of their JSON.

    Examples:
        >>> derived_seed(1, "a") == derived_seed(1, "a"), derived_seed(1, "a") == derived_seed("1a")
        (True, False)
    """
    return int.from_bytes(hashlib.sha256(_ENCODER.encode(parts).encode("ascii")).digest()[:8], "big")


def seed_of(run_seed: int, key: EpisodeName) -> int:
    """Return the seed that an episode's random numbers start from."""
    return derived_seed(run_seed, key.game, key.experiment, key.game_id, key.epoch)


def seed_of_call(episode_seed: int, number: int) -> int:
    """Return the seed that a call sends to its model: 31 bits, which every service takes."""
    return derived_seed(episode_seed, "call", number) % 2**31
