"""Collects the calls of a model that answers batches, and asks it when no game can go on without the answers.

It waits for the baton to be idle, and for nothing else: not for remote calls, not for people, and not for the
batcher of another model. It does not know episodes.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from clemcore.calls.scope import Scope
from clemcore.clemgame.engine.baton import Baton, Place
from clemcore.messages import Messages
from clemcore.model import Model


class Question:
    """One call that waits for its batch.

    Attributes:
        messages: the dialogue.
        gen_args: generation arguments of this call alone.
        scope: its scope.
        answer: the reply, or the exception; None before.
    """

    __slots__ = ("answer", "gen_args", "group", "messages", "scope")

    def __init__(self, messages: Messages, gen_args: Mapping[str, Any] | None, scope: Scope) -> None:
        self.messages = messages
        self.gen_args = gen_args
        self.scope = scope
        self.answer: Any = None
        self.group: _Group | None = None


class _Group:
    """Questions that one thread asks together."""

    __slots__ = ("left", "place")

    def __init__(self, size: int) -> None:
        self.left = size
        self.place = Place()


class Batches(Protocol):
    """What the calls of one model go through on their way into batches."""

    def ask(self, questions: Sequence[Question]) -> None:
        """Give up the baton until all questions have their answers; this thread has it before and after."""

    def close(self) -> None:
        """End whatever was begun; no call may be waiting."""


class HandOver:
    """Hands calls over at once to a model that computes the calls of several threads together by itself.

    Each thread goes on when its own answers are ready, not when a batch is.
    """

    def __init__(self, model: Model, baton: Baton, batch_size: int | None = None) -> None:
        """Begin.

        Args:
            model: the model.
            baton: what the threads give up while they wait.
            batch_size: the most calls that the model has at a time; None: it chooses.
        """
        self._model = model
        self._baton = baton
        self._most = batch_size
        self._under_way = 0
        self._room = threading.Condition()

    def ask(self, questions: Sequence[Question]) -> None:
        """Give up the baton until all questions have their answers."""
        self._baton.give()
        try:
            with self._place(len(questions)):
                _answer(self._model, questions)
        finally:
            self._baton.take()

    def close(self) -> None:
        """Do nothing: there is no thread."""

    @contextlib.contextmanager
    def _place(self, size: int) -> Iterator[None]:
        """Wait until there is room for calls, or until they are the only ones."""
        if self._most is None:
            yield
            return
        with self._room:
            self._room.wait_for(lambda: not self._under_way or self._under_way + size <= (self._most or 0))
            self._under_way += size
        try:
            yield
        finally:
            with self._room:
                self._under_way -= size
                self._room.notify_all()


def _answer(model: Model, questions: Sequence[Question]) -> None:
    """Ask a model for a batch, and give each question its answer or its exception."""
    answers: list[Any]
    try:
        answers = model.generate_batch_response(
            [each.messages for each in questions],
            return_exceptions=True,
            scopes=[each.scope for each in questions],
            gen_args=[each.gen_args for each in questions],
        )
    except BaseException as error:  # noqa: BLE001 - every episode gets it
        answers = [error] * len(questions)
    for question, answer in zip(questions, answers, strict=True):
        question.answer = answer


class Batcher:
    """The calls of one model on their way into batches."""

    def __init__(self, model: Model, baton: Baton, batch_size: int | None = None) -> None:
        """Wait for calls.

        Args:
            model: the model.
            baton: what the threads give up while they wait.
            batch_size: the largest batch; None: any number.
        """
        self._model = model
        self._baton = baton
        self._most = batch_size
        self._lock = threading.Lock()
        self._waiting: deque[Question] = deque()
        self._is_busy = False
        self._work: queue.SimpleQueue[list[Question] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        baton.when_idle(self._start_if_idle)

    def ask(self, questions: Sequence[Question]) -> None:
        """Give up the baton until all questions have their answers; this thread has it before and after."""
        group = _Group(len(questions))
        for question in questions:
            question.group = group
        with self._lock:
            self._waiting.extend(questions)
        if self._most is not None:
            self._start(at_least=self._most)
        self._baton.give()
        group.place.wait()

    def close(self) -> None:
        """End the thread; no call may be waiting."""
        if self._thread is not None:
            self._work.put(None)

    def _start_if_idle(self) -> None:
        if self._waiting:
            self._start(at_least=1)

    def _start(self, at_least: int) -> None:
        with self._lock:
            if self._is_busy or len(self._waiting) < at_least:
                return
            self._is_busy = True
            size = len(self._waiting) if self._most is None else min(self._most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name=f"clemcore-batches-{self._model}", daemon=True
                )
                self._thread.start()
        self._work.put(batch)

    def _run(self) -> None:
        while (batch := self._work.get()) is not None:
            _answer(self._model, batch)
            places = []
            for question in batch:
                group = question.group
                if group is not None:
                    group.left -= 1
                    if not group.left:
                        places.append(group.place)
            with self._lock:
                self._is_busy = False
            self._baton.line_up(*places)
            if self._most is not None:
                self._start(at_least=self._most)
            if self._baton.is_idle:
                self._start_if_idle()
