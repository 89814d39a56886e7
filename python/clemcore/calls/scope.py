"""Which calls belong together: the labels of a call, and the recorders, budgets and caches that it belongs to.

A scope is chosen by a context variable, so threads and tasks can each have their own. Without any scope, what is
open belongs to the process. It does not know what a recorder, a budget or a cache does.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from clemcore import forks
from clemcore.errors import ScopeError

if TYPE_CHECKING:
    from clemcore.calls.budget import Budget
    from clemcore.calls.cache import CallCache
    from clemcore.calls.call import Reply
    from clemcore.calls.recorder import FinishedCall
    from clemcore.calls.request import Request

LABELS = ("run", "game", "experiment", "episode", "epoch", "player", "call")
# Labels that change within one conversation: a scope that gives no other does not end its state.
_WITHIN = frozenset({"player", "call"})
Labels = Mapping[str, "str | int"]
# Labels that say nothing about what is asked: a repeated run asks the same, and calls have an order of their own.
_OF_ONE_RUN = frozenset({"run", "call"})


def conversation_of(labels: Labels) -> tuple[tuple[str, str | int], ...]:
    """Return the labels that identify a conversation: all but the number of the call."""
    return tuple((name, value) for name, value in labels.items() if name != "call")


def repeated_labels(labels: Labels) -> dict[str, str | int]:
    """Return the labels that are the same when a run is repeated: all but the run and the number of the call."""
    return {name: value for name, value in labels.items() if name not in _OF_ONE_RUN}


class Sink(Protocol):
    """Something that records calls. :func:`clemcore.backends.record` takes one in the place of a path."""

    def put(self, call: FinishedCall) -> None:
        """Take a call that has ended; it may be written later."""

    def flush(self) -> None:
        """Write everything that was put; an exception means that it was not written."""


class Answers(Protocol):
    """A source of answers that is asked before any model."""

    def find(self, request: Request) -> Reply | None:
        """Return the answer to a request, or None where the model has to be asked."""


class Membership:
    """What one call belongs to, captured when it starts.

    Attributes:
        labels: the labels of its scope, the number of the call included; empty without a scope.
        sinks: what records it.
        budgets: the budgets that it must fit.
        cache: the cache that it uses, or None.
        answers: what is asked before the model, innermost first.
        scope: the scope itself, or None.
    """

    __slots__ = ("answers", "budgets", "cache", "labels", "scope", "sinks")

    def __init__(
        self,
        labels: Labels,
        *,
        sinks: tuple[Sink, ...] = (),
        budgets: tuple[Budget, ...] = (),
        cache: CallCache | None = None,
        answers: tuple[Answers, ...] = (),
        scope: Scope | None = None,
    ) -> None:
        self.labels = labels
        self.sinks = sinks
        self.budgets = budgets
        self.cache = cache
        self.answers = answers
        self.scope = scope

    @property
    def conversation(self) -> tuple[tuple[str, str | int], ...]:
        """The labels that identify the conversation: all but the number of the call."""
        return conversation_of(self.labels)

    def numbered(self, number: int) -> Membership:
        """Return the same for the call of a number."""
        return Membership(
            {**self.labels, "call": number},
            sinks=self.sinks,
            budgets=self.budgets,
            cache=self.cache,
            answers=self.answers,
            scope=self.scope,
        )

    def __reduce__(self) -> Any:
        """Copy and pickle the labels alone: files and limits stay in their process."""
        return Membership, (dict(self.labels),)


class Scope:
    """A group of calls with labels, and with recorders, budgets and a cache of its own.

    Open it with ``with``, or give it to a call or to an item of a batch. See :func:`scope`.

    Attributes:
        labels: its labels, those of the scopes around it included.
    """

    def __init__(
        self,
        labels: Labels,
        *,
        sinks: tuple[Sink, ...] = (),
        answers: Answers | None = None,
        is_explicit: bool = True,
    ) -> None:
        self._own = dict(labels)
        self._is_explicit = is_explicit
        self._is_closed = False
        self._answers = () if answers is None else (answers,)
        self.held: dict[str, list[Any]] = {"sinks": list(sinks), "budgets": [], "caches": []}
        self._endings: list[weakref.finalize[[], Scope]] = []
        self._numbers = itertools.count()
        self._membership: tuple[int, Membership] | None = None
        self._enter(innermost())

    def _enter(self, parent: Scope | None) -> None:
        self.parent = parent
        self.labels: dict[str, str | int] = {**(parent.labels if parent is not None else {}), **self._own}
        self.place = _here()

    @property
    def is_open(self) -> bool:
        """Whether calls may belong to it: an implicit one ends with what it holds."""
        return not self._is_closed if self._is_explicit else any(self.held.values())

    def __enter__(self) -> Scope:
        """Let the calls of this context belong to it.

        Raises:
            ScopeError: it was closed before.
        """
        self.require_open()
        self._enter(innermost())
        _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; what was opened inside and is still open stays open until it is closed itself."""
        self.close()

    def close(self) -> None:
        """End the scope, and the conversations in it. It works from any context, and more than once."""
        self._is_closed = True
        endings, self._endings = self._endings, []
        for end in endings:
            end()

    def require_open(self) -> None:
        """Raise ScopeError if it was closed: a call of a closed scope would be recorded nowhere."""
        if self._is_closed:
            raise ScopeError(f"the scope {self.labels} is closed: open a new one with backends.scope(…)")

    def on_close(self, end: Callable[[], None]) -> None:
        """Call a function when the scope that holds a conversation together ends.

        A scope that gives only a player or a call is opened anew for every turn, so the one around it counts.
        """
        node: Scope = self
        while node.parent is not None and (not node._own or node._own.keys() <= _WITHIN):
            node = node.parent
        ending = weakref.finalize(node, end)  # once: when it is closed, or dropped without having been opened
        ending.atexit = False
        node._endings.append(ending)

    def chain(self) -> list[Scope]:
        """Return this scope and the open ones around it, the outermost first."""
        found: list[Scope] = [self]
        node = self.parent
        while node is not None:
            if node.is_open:
                found.append(node)
            node = node.parent
        return found[::-1]

    def membership(self) -> Membership:
        """Return what a call of this scope that starts now belongs to."""
        shared = self.shared_membership()
        if not self.labels or "call" in self._own:
            return shared
        return shared.numbered(next(self._numbers))

    def numbered(self, number: int) -> Scope:
        """Return this scope for one call, whose number somebody else has counted."""
        return _NumberedScope(self, number)

    def shared_membership(self) -> Membership:
        """Return what all calls of this scope belong to; it has no number of a call."""
        known = self._membership
        if known is None or known[0] != _version:
            known = self._membership = _version, self._gathered()
        return known[1]

    def _gathered(self) -> Membership:
        chain = [_process, *self.chain()]
        caches = [cache for each in chain for cache in each.held["caches"]]
        return Membership(
            self.labels,
            sinks=tuple(sink for each in chain for sink in each.held["sinks"]),
            budgets=tuple(budget for each in chain for budget in each.held["budgets"]),
            cache=caches[-1] if caches else None,
            answers=tuple(answers for each in reversed(chain) for answers in each._answers),
            scope=self,
        )


class _NumberedScope(Scope):
    """A scope for one call whose number is known; see :meth:`Scope.numbered`."""

    def __init__(self, scope: Scope, number: int) -> None:
        self._scope = scope
        self._number = number

    def require_open(self) -> None:
        self._scope.require_open()

    def membership(self) -> Membership:
        return self._scope.shared_membership().numbered(self._number)


def scope(*, sinks: tuple[Sink, ...] = (), answers: Answers | None = None, **labels: str | int) -> Scope:
    """Open a scope: its calls get its labels, and belong to the records, budgets and caches opened inside it.

    Args:
        sinks: objects that record the calls, in addition to the recorders opened inside the scope.
        answers: a source of answers that is asked before any model; see :class:`Answers`.
        labels: ``run``, ``game``, ``experiment``, ``episode``, ``epoch``, ``player`` and ``call``; a string or
            an integer. They are recorded as ``clemcore.scope``. Calls are numbered from 0 unless
            ``call`` is given.

    Raises:
        ScopeError: a label is unknown, or its value is neither a string nor an integer.

    Examples:
        >>> from clemcore import backends
        >>> model = backends.get_model_for("mock")
        >>> with backends.scope(game="taboo", episode=3, player="A"):
        ...     reply = model.generate_response([{"role": "user", "content": "Hi"}])
    """
    for name, value in labels.items():
        if name not in LABELS:
            import difflib

            near = difflib.get_close_matches(name, LABELS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"labels are {', '.join(LABELS)}"
            raise ScopeError(f"a scope has no label '{name}': {hint}")
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ScopeError(f"the label '{name}' of a scope must be a text or a whole number, not {value!r}")
    return Scope(labels, sinks=tuple(sinks), answers=answers)


# -- where a scope is found ------------------------------------------------------------------------------------
_current: ContextVar[Scope | None] = ContextVar("clemcore_scope", default=None)
_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")
# Raised whenever something is opened or closed: what scopes gathered before no longer holds.
_version = 0
_everything: tuple[int, Membership] | None = None
_all: dict[str, list[Any]] = {"sinks": [], "budgets": [], "caches": []}


def innermost() -> Scope | None:
    """Return the innermost open scope of this context, or None. Closed ones are skipped."""
    node = _current.get()
    while node is not None and not node.is_open:
        node = node.parent
    return node


def _here() -> tuple[int, int]:
    """Identify the thread and the task that run now."""
    return threading.get_ident(), _task()


def _task() -> int:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return 0
    try:
        return id(asyncio.current_task())
    except RuntimeError:  # no event loop runs in this thread
        return 0


_process = Scope({}, is_explicit=False)


def attach(kind: str, thing: Any) -> Scope:
    """Open something: a sink, a budget or a cache. Return the scope that it belongs to from now on.

    It belongs to the explicit scope that this context opened; else to the process, where the main thread opens it
    outside a task; else to this context alone.
    """
    global _version  # noqa: PLW0603 - one for the process
    node = innermost()
    if node is None and threading.current_thread() is threading.main_thread() and not _task():
        node = _process
    elif node is None or node.place != _here():  # inherited from the context that started this one
        node = Scope({}, is_explicit=False)
        _current.set(node)
    with _lock:
        node.held[kind].append(thing)
        _all[kind].append(thing)
        _version += 1
    return node


def detach(kind: str, thing: Any, node: Scope) -> None:
    """Close something that was opened, from any context and in any order."""
    global _version  # noqa: PLW0603 - as above
    with _lock:
        for things in (node.held[kind], _all[kind]):
            things[:] = [each for each in things if each is not thing]
        _version += 1


def capture(given: Scope | None = None) -> Membership:
    """Return what a call that starts now in this context belongs to.

    A call whose context has no scope belongs to everything that is open: one record too many is better than none.

    Args:
        given: the scope of the call, where one was given with it.

    Raises:
        ScopeError: it is not a scope, or it was closed before.
    """
    global _everything  # noqa: PLW0603 - kept from call to call
    if given is not None:
        if not isinstance(given, Scope):
            raise ScopeError(f"scope must be what backends.scope(…) returns, not {type(given).__name__}")
        given.require_open()
        return given.membership()
    node = innermost()
    if node is not None:
        return node.membership()
    known = _everything
    if known is None or known[0] != _version:
        with _lock:
            sinks, budgets, caches = (tuple(things) for things in _all.values())
            known = _everything = (
                _version,
                Membership({}, sinks=sinks, budgets=budgets, cache=caches[-1] if caches else None),
            )
    return known[1]
