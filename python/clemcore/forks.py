"""What a fork does to locks and open things: locks are held while the process forks, and are new in the child.

A fork copies one thread and every lock, also those that other threads hold at that moment: nothing would ever
release them in the child. It does not know what the locks protect.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

# How long a fork waits for a lock that another thread holds, or for a thread that ends, in seconds.
_WAIT = 10.0


class _Guard:
    """An object whose locks a fork must not copy half-way."""

    __slots__ = ("held", "hold", "in_child", "names", "owner", "settle")

    def __init__(
        self,
        owner: Any,
        names: tuple[str, ...],
        hold: bool,
        settle: Callable[[Any], None] | None,
        in_child: Callable[[Any], None] | None,
    ) -> None:
        number = id(owner)
        self.owner = weakref.ref(owner, lambda _: _guards.pop(number, None))
        self.names = names
        self.hold = hold
        self.settle = settle
        self.in_child = in_child
        self.held: list[Any] = []


_guards: dict[int, _Guard] = {}


def guard(
    owner: Any,
    *names: str,
    hold: bool = True,
    settle: Callable[[Any], None] | None = None,
    in_child: Callable[[Any], None] | None = None,
) -> None:
    """Make the locks of an object safe to fork with.

    Args:
        owner: an object, or a module; kept weakly.
        names: its attributes that hold a :class:`threading.Lock`; each is new in a forked child.
        hold: hold the locks while the process forks, so that the child finds what they protect complete. Locks that
            are held for long (while a model generates) must not be waited for.
        settle: called before the fork with the owner, while no lock is held; what was guarded last comes first.
        in_child: called in the child with the owner, after all locks are new.
    """
    _guards[id(owner)] = _Guard(owner, names, hold, settle, in_child)


def wait_for_end(thread: threading.Thread) -> None:
    """Wait until a thread that is about to end is gone for the operating system too.

    Python forgets a thread before the C libraries have given back what they kept for it; a fork in between would
    copy that half-way.
    """
    if thread is threading.current_thread() or thread.ident is None:  # or it could not be started
        return
    deadline = time.monotonic() + _WAIT
    thread.join(_WAIT)
    task = Path(f"/proc/self/task/{thread.native_id}")  # Linux; elsewhere there is no such file
    while task.exists() and time.monotonic() < deadline:
        time.sleep(0.0001)


def _before() -> None:
    for each in reversed(list(_guards.values())):
        owner = each.owner()
        if owner is not None and each.settle is not None:
            each.settle(owner)
    for each in list(_guards.values()):
        owner = each.owner()
        each.held = []
        if owner is None or not each.hold:
            continue
        for name in each.names:
            lock = getattr(owner, name)
            if lock.acquire(timeout=_WAIT):
                each.held.append(lock)


def _after_in_parent() -> None:
    for each in list(_guards.values()):
        held, each.held = each.held, []
        for lock in held:
            lock.release()


def _after_in_child() -> None:
    guards = list(_guards.values())
    for each in guards:
        each.held = []
        owner = each.owner()
        if owner is not None:
            for name in each.names:
                setattr(owner, name, threading.Lock())
    for each in guards:
        owner = each.owner()
        if owner is not None and each.in_child is not None:
            each.in_child(owner)


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
