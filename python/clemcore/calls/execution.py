"""The one path of every call: single, awaited or in a batch, whatever class the model is.

Messages are checked, the call gets its scope, a source of answers is asked before the model, and the answer is in
every record before anybody gets it. It does not know how a model answers.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from clemcore import forks
from clemcore.calls import recorder
from clemcore.calls.batch import Batch, Item
from clemcore.calls.call import Call, Reply
from clemcore.calls.conversation import Turns, turns_of
from clemcore.calls.request import Request, Running, checked_arguments, listener_of, request_of, running
from clemcore.calls.scope import Scope, innermost
from clemcore.messages import Messages, check_messages

Answer = Callable[[], Any]
# Batches that users' classes answer, by the id of their model, for answers that arrive from their worker threads.
_batches: dict[int, list[Batch]] = {}
_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")
# Seconds between two looks for a free place, where a coroutine waits for one.
_LOOK_AGAIN = 0.005


def run(model: Any, messages: Messages, answer: Answer, gen_args: Any = None, scope: Scope | None = None) -> Any:
    """Answer one dialogue by ``answer``, which is the model's own method."""
    outer = inside(model, messages)
    if isinstance(outer, Request):  # a method that calls super(): one call, not two
        if gen_args is None:
            return answer()
        with Running(model, outer.with_arguments(checked_arguments(gen_args))):
            return answer()
    if isinstance(outer, Batch):
        with _InBatch(model, messages, outer, gen_args) as part:
            part.result = answer()
        return part.taken
    check_messages(messages)
    request = request_of(messages, gen_args, scope, listener=listener_of(model))
    with _turn(model) or contextlib.nullcontext(), Call(model, request) as call:
        return call.answered(_found(request) or _asked(model, request, answer))


async def run_async(
    model: Any,
    messages: Messages,
    answer: Callable[[], Awaitable[Any]],
    gen_args: Any = None,
    scope: Scope | None = None,
) -> Any:
    """Answer one dialogue as :func:`run` does, by a coroutine."""
    import asyncio

    outer = inside(model, messages)
    if isinstance(outer, Request):
        if gen_args is None:
            return await answer()
        with Running(model, outer.with_arguments(checked_arguments(gen_args))):
            return await answer()
    if isinstance(outer, Batch):
        with _InBatch(model, messages, outer, gen_args) as part:
            part.result = await answer()
        return part.taken
    check_messages(messages)
    request = request_of(messages, gen_args, scope)
    turns = _turn(model)
    while turns is not None and not turns.take(wait=False):
        await asyncio.sleep(_LOOK_AGAIN)
    try:
        with Call(model, request) as call:
            result = _found(request)
            if result is None:
                with Running(model, request):
                    result = await answer()
            reply = call.put(result)
            call.check(await recorder.flushed(request.scope.sinks))
            return reply
    finally:
        if turns is not None:
            turns.__exit__()


def _turn(model: Any) -> Turns | None:
    """Return what a call of the model has to wait for, or None where any number may run at once."""
    return None if model.conversations is None else turns_of(model)


def _asked(model: Any, request: Request, answer: Answer) -> Any:
    with Running(model, request):
        return answer()


def _found(request: Request) -> Reply | None:
    """Return the answer that a source of the scope knows, or None."""
    for source in request.scope.answers:
        reply = source.find(request)
        if reply is not None:
            return reply
    return None


def inside(model: Any, messages: Messages) -> Request | Batch | None:
    """Return the request or the batch of the model that a call belongs to, or None for a call of its own.

    A worker thread that a batch started has no context. It is known by the very list of messages that it asks; a
    context with a scope says itself what a call belongs to.
    """
    outer = running(model)
    if outer is None and id(model) in _batches and innermost() is None:
        for batch in list(_batches.get(id(model), ())):
            if batch.item_of(messages, same=True) is not None:
                return batch
    return outer


class _InBatch:
    """A call that the batch method of a model makes of the model itself; it is recorded at once.

    Attributes:
        result: what the model answers; set inside the block.
        taken: the reply, once the block has ended.
    """

    def __init__(self, model: Any, messages: Messages, batch: Batch, gen_args: Any) -> None:
        """Find the item that asks these messages; other messages are a question that helps to answer the batch."""
        self.result: Any = None
        self.taken: Any = None
        self._batch = batch
        self._item = batch.item_of(messages)
        if self._item is None:
            check_messages(messages)
            self._call = Call(model, request_of(messages, gen_args))
        elif gen_args is not None:
            self._call = self._item.call = Call(
                model, self._item.request.with_arguments(checked_arguments(gen_args))
            )
        else:
            self._call = self._item.call
        self._running = Running(model, self._call.request)

    def __enter__(self) -> _InBatch:
        self._running.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)
        if self._item is not None:
            self.taken = self._batch.finish(self._item, self.result if error is None else error)
            if error is None and isinstance(self.taken, Exception):
                raise self.taken
        elif error is None:
            with self._call:
                self.taken = self._call.answered(self.result)
        else:
            self._call.failed(error)


def run_batch(
    model: Any,
    batch_messages: Iterable[Messages],
    method: Callable[..., Any] | None,
    *,
    return_exceptions: bool = False,
    progress: bool | None = None,
    scopes: Sequence[Scope | None] | None = None,
    gen_args: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
) -> list[Any]:
    """Answer several dialogues.

    Args:
        model: the model.
        batch_messages: the dialogues.
        method: a method of the user's class that answers a list of dialogues; None: the model answers item by item,
            or in a way of its own (``_answer_items``).
        return_exceptions: put the exception of an item in the place of its answer.
        progress: show a progress bar; None: when ``CLEMCORE_PROGRESS`` says so.
        scopes: a scope for each item, or None.
        gen_args: generation arguments for all items, or for each.
    """
    outer = running(model)
    if isinstance(outer, Request) and method is not None:
        batch_messages = list(batch_messages)
        if len(batch_messages) == 1 and batch_messages[0] == outer.messages:  # one call, which answers as a batch
            return list(_as_many(method(batch_messages), 1, model))
    batch = Batch.of(model, batch_messages, progress=progress, scopes=scopes, gen_args=gen_args)
    if isinstance(outer, Batch):  # a user's method that calls super()
        return _hand_on(outer, model, batch, return_exceptions=return_exceptions)
    # A question that helps to answer another one has its turn already.
    with (None if outer is not None else _turn(model)) or contextlib.nullcontext():
        for item in batch.items:
            found = _found(item.request)
            if found is not None:
                batch.put(item, found)
        try:
            with _known(model, batch, method):
                if method is None:
                    _ask_model(model, batch)
                else:
                    _ask_method(model, batch, method, return_exceptions=return_exceptions, progress=progress)
        finally:
            batch.close()
            batch.check(recorder.flush(batch.sinks))
    return batch.outcome(return_exceptions=return_exceptions)


@contextlib.contextmanager
def _known(model: Any, batch: Batch, method: Callable[..., Any] | None) -> Iterator[None]:
    """Let the worker threads of a user's class find its batch.

    A model that any number of threads may ask at once answers a batch without such threads. There, another thread
    that asks the same list has a call of its own.
    """
    if method is None and model.conversations is None:
        yield
        return
    with _lock:
        _batches.setdefault(id(model), []).append(batch)
    try:
        yield
    finally:
        with _lock:
            _batches[id(model)].remove(batch)
            if not _batches[id(model)]:
                del _batches[id(model)]


def _hand_on(outer: Batch, model: Any, asked: Batch, *, return_exceptions: bool) -> list[Any]:
    """Answer the items that a user's batch method hands on to the class that it derives from."""
    own = outer.items_of(item.request.messages for item in asked.items)
    are_the_same = len(own) == len(asked.items)
    part = outer.group(own) if are_the_same else asked  # else other questions, which help to answer the batch
    _ask_model(model, part)
    part.check(recorder.flush(part.sinks))
    if are_the_same:
        for item, there in zip(asked.items, own, strict=True):
            asked.results[item.index] = outer.results[there.index]
    return asked.outcome(return_exceptions=return_exceptions)


def _ask_model(model: Any, batch: Batch) -> None:
    """Let the model answer the items in its own way; if that fails, the items without an answer get the error."""
    with Running(model, batch):
        try:
            model._answer_items(batch)
        except Exception as error:  # noqa: BLE001 - it is the result of these items
            for item in batch.pending:
                batch.put(item, error)


def answer_one_by_one(model: Any, batch: Batch) -> None:
    """Answer each item by the model's ``generate_response``."""
    for item in batch.pending:
        try:
            with Running(model, batch.group([item])):
                model.generate_response(item.request.messages)
        except Exception:  # noqa: BLE001, S112 - it is the item's result already
            continue


def _ask_method(
    model: Any, batch: Batch, method: Callable[..., Any], *, return_exceptions: bool, progress: bool | None
) -> None:
    """Ask a user's method; items whose arguments differ are asked in groups."""
    import inspect

    offered = {"return_exceptions": return_exceptions, "progress": progress}
    names = inspect.signature(method).parameters
    keywords = {name: value for name, value in offered.items() if name in names}
    for items in _groups(batch.pending):
        with Running(model, batch.group(items)):
            try:
                results = _as_many(method([item.request.messages for item in items], **keywords), len(items), model)
            except Exception as error:  # noqa: BLE001 - the items that have no answer get it
                results = [error] * len(items)
            except BaseException as stop:
                batch.finish_rest(stop)
                raise
        for item, result in zip(items, results, strict=True):
            known = batch.results[item.index]
            if known is None or (isinstance(known, Exception) and isinstance(result, tuple)):
                batch.put(item, result)
            elif isinstance(known, Reply) and isinstance(result, tuple) and result != known:
                batch.results[item.index] = Reply(result[0], result[1], result[2], known.facts)


def _as_many(results: Any, size: int, model: Any) -> Any:
    if not isinstance(results, (list, tuple)):
        raise TypeError(
            f"{type(model).__name__}.generate_batch_response must return a list with an answer for each dialogue, "
            f"but gave {type(results).__name__}"
        )
    if len(results) != size:
        raise ValueError(
            f"{type(model).__name__}.generate_batch_response returned {len(results)} answers for {size} dialogues"
        )
    return results


def _groups(items: list[Item]) -> list[list[Item]]:
    groups: list[list[Item]] = []
    for item in items:
        for group in groups:
            if group[0].request.gen_args == item.request.gen_args:
                group.append(item)
                break
        else:
            groups.append([item])
    return groups
