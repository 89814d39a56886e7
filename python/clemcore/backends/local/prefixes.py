"""Kept prefixes: states of earlier prompts, from which later prompts with the same beginning go on.

They form a tree over token ids, one block per node, shared by all dialogues of a model, so that one system text is
computed once. Only identical leading ids count. The tree is limited in bytes; what was not used for the longest
time goes first, the ends of dialogues before their beginnings. It knows states by their size, and no engine.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import weakref
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from clemcore import forks
from clemcore.backends.local.engine import State

# Entries of the queue of leaves that may be out of date before it is made anew.
_STALE = 64


@dataclass(eq=False)
class _Node:
    """A block of tokens after those of its parent.

    Attributes:
        parent: returns the node before; None for a root. Weak, so that dropped states are freed at once.
        key: its place among the children of its parent.
        state: what the model has made of all tokens up to here; None for a root and for a node that was dropped.
        children: the nodes after it, by their blocks.
        used: when it was last used, as a number that grows.
    """

    parent: weakref.ref[_Node] | None
    key: Hashable
    state: State | None
    children: dict[Hashable, _Node] = field(default_factory=dict)
    used: int = 0


class Prefixes:
    """The kept states of one set of weights. Threads may share it."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._forget(None)
        self._clock = itertools.count(1)
        forks.guard(self, "_lock")

    @property
    def bytes(self) -> int:
        """The memory that all kept states take."""
        return self._bytes

    def longest(self, ids: Sequence[int], block: int, version: Hashable) -> State | None:
        """Return the state of the longest kept beginning of a prompt, or None.

        Args:
            ids: the prompt. Its last token is always fed, so it never counts.
            block: tokens per block.
            version: of the engine. If it is not that of the kept states, they are forgotten.
        """
        with self._lock:
            if version != self._version:
                self._forget(version)
            node: _Node = self._root(block)
            for key in _blocks(ids, block):
                child = node.children.get(key)
                if child is None:
                    break
                node = child
            self._use(node)
            return node.state

    def keep(self, ids: Sequence[int], block: int, state: State, version: Hashable, limit: int) -> None:
        """Keep the state after whole blocks of a prompt.

        It is kept only if the state before it is there, and the weights are still the same.

        Args:
            ids: the prompt.
            block: tokens per block.
            state: what was made of its first ``state.length`` tokens.
            version: of the engine when the state was made.
            limit: the most bytes that all kept states may take afterwards.
        """
        with self._lock:
            if version != self._version:
                return
            node: _Node | None = self._root(block)
            *before, last = itertools.islice(_blocks(ids, block), state.length // block)
            for key in before:
                node = None if node is None else node.children.get(key)
            if node is None:
                return
            child = node.children.get(last)
            if child is None:
                child = node.children[last] = _Node(weakref.ref(node), last, state)
                self._count += 1
                self._bytes += state.bytes
            self._use(child)
            self._shrink(limit)

    def shrink(self, limit: int) -> None:
        """Drop states until the rest takes no more than ``limit`` bytes."""
        with self._lock:
            self._shrink(limit)

    def forget(self) -> int:
        """Drop all states, and return how many bytes they took."""
        with self._lock:
            before = self._bytes
            self._forget(self._version)
            return before

    # -- with the lock -----------------------------------------------------------------------------------------
    def _forget(self, version: Hashable) -> None:
        self._version = version
        # States of blocks of another length are other states, although the tokens are the same.
        self._roots: dict[int, _Node] = {}
        self._leaves: list[tuple[int, int, _Node]] = []
        self._bytes = 0
        self._count = 0

    def _root(self, block: int) -> _Node:
        return self._roots.setdefault(block, _Node(None, block, None))

    def _use(self, node: _Node) -> None:
        """Note that a node and all before it were used now."""
        now = next(self._clock)
        each: _Node | None = node
        while each is not None:
            each.used = now
            each = None if each.parent is None else each.parent()
        if not node.children:
            self._queue(node)

    def _queue(self, leaf: _Node) -> None:
        heapq.heappush(self._leaves, (leaf.used, id(leaf), leaf))
        if len(self._leaves) > 2 * self._count + _STALE:
            self._leaves = [entry for entry in self._leaves if _is_current(entry)]
            heapq.heapify(self._leaves)

    def _shrink(self, limit: int) -> None:
        while self._bytes > limit and self._leaves:
            entry = heapq.heappop(self._leaves)
            if _is_current(entry):
                self._drop(entry[2])

    def _drop(self, leaf: _Node) -> None:
        """Drop a node without children. Whoever goes on from its state at this moment still can."""
        parent = None if leaf.parent is None else leaf.parent()
        if parent is None or leaf.state is None:
            return
        del parent.children[leaf.key]
        self._bytes -= leaf.state.bytes
        self._count -= 1
        leaf.state = leaf.parent = None
        if not parent.children and parent.parent is not None:
            self._queue(parent)


def _is_current(entry: tuple[int, int, _Node]) -> bool:
    used, _, node = entry
    return node.used == used and not node.children and node.state is not None


def _blocks(ids: Sequence[int], block: int) -> Iterator[tuple[int, ...]]:
    """Yield the whole blocks before the last piece, which has at least one token."""
    for begin in range(0, (len(ids) - 1) // block * block, block):
        yield tuple(ids[begin : begin + block])
