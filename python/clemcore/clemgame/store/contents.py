"""What a run's store holds: the calls of an episode, and how far it is. It does not know how they are stored."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

# What an episode can be: not begun, begun and not ended, and the three ways to end.
STATES = ("planned", "live", "played", "error", "limit")
ENDED = frozenset({"played", "error", "limit"})


class StoredCall(NamedTuple):
    """One call of an episode.

    Attributes:
        number: its number in the episode, from 0.
        player: who made it: "Player 1", or "GM".
        round: the round in which it was made, from 0.
        kind: "model", or "program" for the answer of a programmatic player.
        request: SHA-256 of the messages and the generation arguments, in hex.
        text: the answer, or None if the call failed.
        record: the entry of a record as JSON (docs/record.md).
        attempt: the attempt that made it, from 1.
    """

    number: int
    player: str
    round: int
    kind: str
    request: str
    text: str | None
    record: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class EpisodeState:
    """How far an episode is.

    Attributes:
        state: one of :data:`STATES`. An episode that was interrupted stays "live" until it is begun again.
        attempts: how often it was begun.
        error: type, message and traceback of what ended it, or the name and value of the limit; else None.
    """

    state: str
    attempts: int
    error: dict[str, Any] | None = None


# What is noted about an episode that began as a part of another one.
BRANCH = "branch"


def shared_calls_of(facts: Mapping[str, Any]) -> int:
    """Return how many of the first calls of an episode were made in another one, from which it branched off."""
    branch = facts.get(BRANCH)
    return int(branch.get("calls", 0)) if isinstance(branch, dict) else 0


_plain: dict[tuple[str, int], EpisodeState] = {}


def state_of(state: str, attempts: int, error: bytes | None) -> EpisodeState:
    """Return the state of an episode as a store has it; those without an error share their objects."""
    if error is not None:
        return EpisodeState(sys.intern(state), attempts, json.loads(error))
    return _plain.setdefault((state, attempts), EpisodeState(state, attempts))
