"""The dialogues of one batch, each with its request, and what has become of each.

Every item fails alone: one that is malformed, does not fit, or fails does not keep the others from their answers.
It does not know how a dialogue is answered.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clemcore.calls import recorder
from clemcore.calls.call import Call, Recordable, Reply
from clemcore.calls.progress import Progress
from clemcore.calls.request import NO_ARGUMENTS, Request, request_of
from clemcore.calls.scope import Scope, Sink
from clemcore.errors import ClemcoreError, GenerationArgumentError, MessagesError, ScopeError
from clemcore.messages import Messages, check_messages


class Item:
    """One well-formed dialogue of a batch.

    Attributes:
        index: its place in the batch.
        request: what is asked.
        call: its way into the records.
    """

    __slots__ = ("call", "index", "request")

    def __init__(self, index: int, call: Call) -> None:
        """Take its place and its call."""
        self.index = index
        self.call = call
        self.request = call.request


class Batch:
    """The dialogues of one batch; threads may answer its items at once.

    Attributes:
        items: the well-formed ones.
        results: a reply or an exception for each dialogue, in order; None where neither is there yet.
        gen_args: generation arguments that all items share; for a :meth:`group`.
    """

    def __init__(self, model: Recordable, size: int, progress: bool | None) -> None:
        """Begin a batch of so many dialogues."""
        self.items: list[Item] = []
        self.results: list[Any] = [None] * size
        self.gen_args: Mapping[str, Any] = NO_ARGUMENTS
        self._model = model
        self._progress = Progress(size, model.name, progress)
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls,
        model: Recordable,
        batch_messages: Iterable[Messages],
        *,
        progress: bool | None = None,
        scopes: Sequence[Scope | None] | None = None,
        gen_args: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
    ) -> Batch:
        """Check the dialogues and make their requests; a malformed one has its error as its result.

        Raises:
            ScopeError: ``scopes`` has not one value for each dialogue, or one that is not a scope.
            GenerationArgumentError: ``gen_args`` has not one value for each dialogue, or one that is not a dict.
            MessagesError: ``batch_messages`` is not a list of dialogues at all.
        """
        dialogues = _dialogues(batch_messages)
        size = len(dialogues)
        given_scopes = _each(scopes, size, "scopes", ScopeError)
        given_args: Sequence[Any] = (
            [gen_args] * size
            if isinstance(gen_args, Mapping)
            else _each(gen_args, size, "gen_args", GenerationArgumentError)
        )
        requests = [
            _request(messages, given_args[index], given_scopes[index], (index, size))
            for index, messages in enumerate(dialogues)
        ]
        batch = cls(model, size, progress)
        for index, request in enumerate(requests):
            try:
                check_messages(request.messages, where=f"batch_messages[{index}]")
            except MessagesError as error:
                batch._set(index, error)
            else:
                batch.items.append(Item(index, Call(model, request)))
        return batch

    @property
    def pending(self) -> list[Item]:
        """The items that have neither an answer nor an error yet."""
        return [item for item in self.items if self.results[item.index] is None]

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Everything that records an item, each once."""
        return tuple({id(sink): sink for item in self.items for sink in item.request.scope.sinks}.values())

    def group(self, items: list[Item]) -> Batch:
        """Return some items as a batch of their own, whose results are those of this one.

        Args:
            items: items with the same generation arguments, which are those of the group.
        """
        part = copy.copy(self)
        part.items = items
        part.gen_args = items[0].request.gen_args if items else NO_ARGUMENTS
        return part

    def item_of(self, messages: Messages, *, same: bool = False) -> Item | None:
        """Return the first item without a result that asks these messages, or None.

        Args:
            messages: the messages; the very same list is preferred to an equal one.
            same: take the very same list alone.
        """
        found = self._first(lambda asked: asked is messages)
        return found if found is not None or same else self._first(lambda asked: asked == messages)

    def _first(self, is_meant: Callable[[Messages], bool]) -> Item | None:
        results = self.results
        return next(
            (item for item in self.items if results[item.index] is None and is_meant(item.request.messages)), None
        )

    def items_of(self, dialogues: Iterable[Messages]) -> list[Item]:
        """Return an item without a result for each dialogue that has one, no item twice; others are left out."""
        left: dict[int, deque[Item]] = {}
        for item in self.pending:
            left.setdefault(id(item.request.messages), deque()).append(item)
        found = []
        for messages in dialogues:
            items = left.get(id(messages)) or next(
                (items for items in left.values() if items and items[0].request.messages == messages), None
            )
            if items:
                found.append(items.popleft())
        return found

    def put(self, item: Item, result: Any) -> Any:
        """Take an answer, or an exception, and hand it over to the records; :meth:`check` says whether that worked.

        Returns:
            The reply, or the exception.
        """
        if self.results[item.index] is not None:  # it failed, and the model found an answer all the same
            item.call = Call(self._model, item.request)
        taken: Any
        if isinstance(result, BaseException):
            item.call.put_failure(result)
            taken = result.with_traceback(None) if isinstance(result, Exception) else result
        else:
            try:
                taken = item.call.put(result)
            except TypeError as error:
                item.call.put_failure(error)
                taken = error.with_traceback(None)
        self._set(item.index, taken)
        return taken

    def _set(self, index: int, result: Any) -> None:
        with self._lock:
            is_first = self.results[index] is None
            self.results[index] = result
            if is_first:
                self._progress.count(failed=isinstance(result, BaseException))

    def check(self, failures: Mapping[int, Exception], items: Iterable[Item] | None = None) -> None:
        """Put the error of a record that failed in the place of an answer.

        Args:
            failures: what sinks failed with, by their ``id``.
            items: those that were written; by default all that have a result.
        """
        for item in self.items if items is None else items:
            if isinstance(self.results[item.index], Reply):
                try:
                    item.call.check(failures)
                except Exception as error:  # noqa: BLE001 - it is this item's result
                    self.results[item.index] = error.with_traceback(None)

    def finish(self, item: Item, result: Any) -> Any:
        """Take an answer, or an exception, and write it at once; return what the item's result is."""
        self.put(item, result)
        self.check(item.call.flush(), (item,))
        return self.results[item.index]

    def finish_rest(self, error: BaseException) -> None:
        """Let every item that has no result fail with an error, and write everything."""
        for item in self.pending:
            self.put(item, error)
        self.check(recorder.flush(self.sinks))

    def close(self) -> None:
        """End the progress bar."""
        self._progress.close()

    def outcome(self, *, return_exceptions: bool) -> list[Any]:
        """Return all results in order.

        Raises:
            Exception: the first failure, unless exceptions are returned; it has all results as ``batch_results``,
                and its message names the index of its item.
        """
        failed = next((result for result in self.results if isinstance(result, BaseException)), None)
        if failed is not None and not return_exceptions:
            failed.batch_results = self.results  # type: ignore[attr-defined]
            if isinstance(failed, ClemcoreError) and len(self.results) > 1:
                places = [index for index, result in enumerate(self.results) if result is failed]
                failed.batch_index = places[0] if len(places) == 1 else None
            raise failed
        return self.results


def _dialogues(batch_messages: Any) -> list[Any]:
    # Texts and dicts can be iterated over, but their pieces are not dialogues.
    if isinstance(batch_messages, (str, bytes, Mapping)) or not isinstance(batch_messages, Iterable):
        raise MessagesError(f"batch_messages must be a list of dialogues, not {type(batch_messages).__name__}")
    return list(batch_messages)


def _request(messages: Messages, gen_args: Any, scope: Any, place: tuple[int, int]) -> Request:
    """Return the request of an item; an error about its arguments or its scope names the index."""
    try:
        return request_of(messages, gen_args, scope, place)
    except (GenerationArgumentError, ScopeError) as fault:
        if place[1] > 1:
            fault.batch_index = place[0]
        raise


def _each(values: Any, size: int, name: str, kind: type[ClemcoreError]) -> Sequence[Any]:
    if values is None:
        return [None] * size
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise kind(f"{name} must be a list with one value for each dialogue, not {type(values).__name__}")
    if len(values) != size:
        raise kind(f"{name} has {len(values)} values for {size} dialogues: give one for each, or None")
    return values
