"""One call that is asked for: messages, generation arguments of this call alone, and its scope.

Here is also which requests run in this context, so that a model finds the arguments of the call that it answers. It
does not know how a call is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from clemcore.calls.scope import Membership, Scope, capture
from clemcore.errors import GenerationArgumentError
from clemcore.messages import Messages

if TYPE_CHECKING:
    from clemcore.calls.batch import Batch

NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


class Listener:
    """Gets the pieces of an answer as they arrive, from whatever thread the model answers in.

    Attributes:
        is_stopped: whether the rest of the answer is unwanted.
        take: called by a model with each piece of the answer's text.
        belongs: what the call belongs to; the call may begin in another thread, when a scope has ended.
    """

    def __init__(self, take: Callable[[str], None], belongs: Membership) -> None:
        self.take = take
        self.belongs = belongs
        self.is_stopped = False
        self._stops: list[Callable[[], None]] = []

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Say how the call is stopped, which is done at once if it is no longer wanted."""
        self._stops.append(stop)
        if self.is_stopped:
            self.stop()

    def stop(self) -> None:
        """Stop the call; nothing happens where it has ended."""
        self.is_stopped = True
        while self._stops:
            self._stops.pop()()


@dataclass(frozen=True)
class Request:
    """One call that is asked for. It can be pickled: then its scope keeps its labels alone.

    Attributes:
        messages: the dialogue.
        gen_args: generation arguments of this call; they win over those of the model.
        scope: what the call belongs to, captured when it started.
        batch: its place in its batch and the size of the batch, or None.
        listener: gets the pieces of the answer as they arrive, or None. A copy of the request has none.
    """

    messages: Messages
    gen_args: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)
    scope: Membership = field(default_factory=capture)
    batch: tuple[int, int] | None = None
    listener: Listener | None = None

    def __reduce__(self) -> Any:
        """Copy and pickle by parts."""
        return Request, (self.messages, dict(self.gen_args), self.scope, self.batch)

    def with_arguments(self, gen_args: Mapping[str, Any]) -> Request:
        """Return the same request with further generation arguments, which win."""
        return replace(self, gen_args={**self.gen_args, **gen_args})


def request_of(
    messages: Messages,
    gen_args: Mapping[str, Any] | None = None,
    scope: Scope | None = None,
    batch: tuple[int, int] | None = None,
    listener: Listener | None = None,
) -> Request:
    """Make the request of a call that starts now.

    Raises:
        GenerationArgumentError: ``gen_args`` is not a dict.
        ScopeError: ``scope`` is not a scope, or it is closed.
    """
    belongs = capture(scope) if listener is None else listener.belongs
    return Request(messages, checked_arguments(gen_args), belongs, batch, listener)


def checked_arguments(gen_args: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return generation arguments of one call.

    Raises:
        GenerationArgumentError: they are not a dict.
    """
    if gen_args is None:
        return NO_ARGUMENTS
    if not isinstance(gen_args, Mapping):
        raise GenerationArgumentError(f"gen_args must be a dict, not {type(gen_args).__name__}")
    return dict(gen_args)


# What runs in this context, by the id of the model: a subclass that calls super() is one call, not two.
_running: ContextVar[Mapping[int, Request | Batch]] = ContextVar("clemcore_running", default=MappingProxyType({}))


def running(model: object) -> Request | Batch | None:
    """Return the request, or the batch, that a model is answering in this context; None where it is idle."""
    return _running.get().get(id(model))


class Running:
    """While this block runs, a model answers a request or a batch in this context."""

    __slots__ = ("_model", "_token", "_what")

    def __init__(self, model: object, what: Request | Batch) -> None:
        self._model = model
        self._what = what

    def __enter__(self) -> None:
        self._token = _running.set({**_running.get(), id(self._model): self._what})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _running.reset(self._token)


# Who listens to the next call of a model in this context, by the id of the model.
_listening: ContextVar[Mapping[int, Listener]] = ContextVar("clemcore_listening", default=MappingProxyType({}))


def listener_of(model: object) -> Listener | None:
    """Return who listens to the call of a model that starts in this context, or None."""
    return _listening.get().get(id(model))


class Listening:
    """While this block runs, a listener gets the pieces of the call that a model is asked for in this context."""

    def __init__(self, model: object, listener: Listener) -> None:
        self._model = model
        self._listener = listener

    def __enter__(self) -> None:
        self._token = _listening.set({**_listening.get(), id(self._model): self._listener})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _listening.reset(self._token)
