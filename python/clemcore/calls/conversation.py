"""What a model keeps between the calls of one conversation, and how many conversations it can have at once.

A conversation is identified by the labels of its scope, without the number of the call; all unlabelled calls of a
model are one conversation. It does not know what a model keeps.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

from clemcore import forks
from clemcore.calls.request import Request, running
from clemcore.calls.scope import Membership, conversation_of, innermost

_T = TypeVar("_T")
ConversationKey = tuple[tuple[str, "str | int"], ...]
STATES = "_conversation_states"
_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")


def current(model: object) -> tuple[ConversationKey, Any]:
    """Return the conversation of the call that a model is answering, or else of this context, and its scope."""
    what = running(model)
    if isinstance(what, Request):
        return what.scope.conversation, what.scope.scope
    node = innermost()
    return ((), None) if node is None else (conversation_of(node.labels), node)


def state_of(model: Any, make: Callable[[], _T], belongs: Membership | None = None) -> _T:
    """Return what a model keeps for a conversation; it is made at the first use, and dropped when its scope ends.

    Args:
        model: the model, which holds the states of its conversations.
        make: makes the state of a new conversation.
        belongs: what a call belongs to; by default the conversation of the call that the model is answering.
    """
    key, node = current(model) if belongs is None else (belongs.conversation, belongs.scope)
    with _lock:
        states: dict[ConversationKey, Any] = model.__dict__.setdefault(STATES, {})
        if key in states:
            return cast("_T", states[key])
        state = states[key] = make()
    if key and node is not None:
        reference = weakref.ref(model)
        node.on_close(lambda: end_conversation(reference(), key))
    return state


def end_conversation(model: Any, key: ConversationKey | None = None) -> None:
    """Forget what a model keeps for a conversation, by default for the current one."""
    if model is None:
        return
    key = current(model)[0] if key is None else key
    with _lock:
        model.__dict__.get(STATES, {}).pop(key, None)


class Turns:
    """Lets so many calls of a model run at once."""

    def __init__(self, model: object, most: int) -> None:
        """Have so many free places."""
        self._most = most
        self._free = threading.Semaphore(most)
        number = id(model)
        self._watch = weakref.finalize(model, _turns.pop, number, None)
        self._watch.atexit = False
        forks.guard(self, in_child=Turns._begin_anew)

    def _begin_anew(self) -> None:
        self._free = threading.Semaphore(self._most)

    def take(self, *, wait: bool = True) -> bool:
        """Take a place; tell whether there was one."""
        return self._free.acquire(blocking=wait)

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self._free.release()


_turns: dict[int, Turns] = {}


def turns_of(model: Any) -> Turns:
    """Return what lets as many calls of a model run at once as its ``conversations`` says."""
    with _lock:
        found = _turns.get(id(model))
        if found is None:
            found = _turns[id(model)] = Turns(model, model.conversations)
    return found
