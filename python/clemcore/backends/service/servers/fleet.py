"""Which of several servers a call goes to: where its dialogue is, else where the least is under way.

It lives on the background loop alone, so nothing is locked. It does not know what is sent, nor how.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

from clemcore.calls.scope import Membership

_Lane = TypeVar("_Lane")

# A server that failed rests: so many seconds, twice as long each time in a row, at most so many.
FIRST_REST, LONGEST_REST = 1.0, 60.0
# So many answers in a row that are none, and a server rests, although it can be reached.
_MOST_FAILURES = 3
# Homes of so many dialogues are known.
_MOST_HOMES = 100_000
# A dialogue without a scope moves where its server has so many more calls under way than another: it may share its
# beginning with many others.
_MOST_AHEAD = 8


class Server(Generic[_Lane]):
    """One server.

    Attributes:
        address: its base URL.
        lane: what sends to it.
        in_flight: calls that are under way or wait for their turn there.
        dialogues: how many dialogues have begun there.
        rests_until: until when it is not asked while another server is left (monotonic clock).
        fault: what it failed with last, or None.
    """

    def __init__(self, address: str, lane: _Lane) -> None:
        self.address = address
        self.lane = lane
        self.in_flight = 0
        self.dialogues = 0
        self.rests_until = 0.0
        self.fault: str | None = None
        self._failures = 0
        self._rests = 0

    def failed(self, fault: str, *, is_down: bool) -> None:
        """Note that an attempt has failed.

        Args:
            fault: what happened.
            is_down: whether the server could not be reached, or was silent.
        """
        self.fault = fault
        self._failures += 1
        if is_down or self._failures >= _MOST_FAILURES:
            self.rests_until = time.monotonic() + min(FIRST_REST * 2**self._rests, LONGEST_REST)
            self._rests = min(self._rests + 1, 16)

    def answered(self) -> None:
        """Note that it has answered."""
        self._failures = self._rests = 0
        self.rests_until, self.fault = 0.0, None


class Fleet(Generic[_Lane]):
    """The servers of one model."""

    def __init__(self, open_lane: Callable[[str], _Lane]) -> None:
        """Have no server yet.

        Args:
            open_lane: makes what sends to an address.
        """
        self._open_lane = open_lane
        self._known: dict[str, Server[_Lane]] = {}
        self.servers: list[Server[_Lane]] = []
        self._homes: OrderedDict[str, Server[_Lane]] = OrderedDict()
        # Addresses that are not used, each with the reason.
        self.barred: dict[str, str] = {}

    def take(self, addresses: Sequence[str]) -> None:
        """Use the servers at these addresses from now on."""
        self.servers = []
        for address in addresses:
            if address not in self._known:
                self._known[address] = Server(address, self._open_lane(address))
            if address not in self.barred:
                self.servers.append(self._known[address])

    def server_at(self, address: str) -> Server[_Lane]:
        """Return the server at an address that was taken."""
        return self._known[address]

    def choose(
        self, dialogue: str, avoid: Collection[str], *, is_scoped: bool
    ) -> tuple[Server[_Lane], Server[_Lane] | None]:
        """Choose the server of an attempt.

        Args:
            dialogue: the key of the dialogue.
            avoid: addresses of servers that failed this call before.
            is_scoped: whether the key is that of one dialogue for certain.

        Returns:
            The server, and the one where the dialogue was before if that is another.
        """
        now = time.monotonic()
        left = [server for server in self.servers if server.address not in avoid] or self.servers
        usable = [server for server in left if server.rests_until <= now]
        if not usable:  # all rest: the one that is asked first again
            usable = [min(left, key=lambda server: server.rests_until)]
        best = min(usable, key=lambda server: (server.in_flight, server.dialogues))
        home = self._homes.get(dialogue)
        if home in usable and (is_scoped or home.in_flight < best.in_flight + _MOST_AHEAD):
            return home, None
        return best, home

    def settle(self, dialogue: str, server: Server[_Lane]) -> None:
        """Let a dialogue be at home with a server."""
        if self._homes.get(dialogue) is not server:
            server.dialogues += 1
        self._homes[dialogue] = server
        self._homes.move_to_end(dialogue)
        if len(self._homes) > _MOST_HOMES:
            self._homes.popitem(last=False)


def keys_of(belongs: Membership, body: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Return the keys of a call's dialogue.

    Returns:
        The key under which the dialogue may be known, the key of its next turn, and whether the labels of its scope
        identify it for certain.

    Examples:
        >>> ask, told = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}
        >>> first = keys_of(Membership({}), {"messages": [ask]})
        >>> second = keys_of(Membership({}), {"messages": [ask, told, ask]})
        >>> first[1] == second[0], first[0] == second[0]
        (True, False)
    """
    if "episode" in belongs.labels:
        key = repr(belongs.conversation)
        return key, key, True
    turns = body.get("messages") or body.get("input") or []
    if not isinstance(turns, list):
        turns = [turns]
    answers = [
        index for index, turn in enumerate(turns) if isinstance(turn, dict) and turn.get("role") == "assistant"
    ]
    before = _digest(turns[: answers[-1]]) if answers else ""
    return before, _digest(turns), False


def _digest(turns: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(turns, sort_keys=True, default=str).encode("utf-8", "replace")).hexdigest()
