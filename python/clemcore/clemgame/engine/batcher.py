"""Collects the calls of a model that answers batches, and asks it when no game can go on without the answers.

It waits for the baton to be idle, and for nothing else: not for remote calls, not for people, and not for the
batcher of another model. It does not know episodes.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

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
            try:
                answers = self._model.generate_batch_response(
                    [each.messages for each in batch],
                    return_exceptions=True,
                    scopes=[each.scope for each in batch],
                    gen_args=[each.gen_args for each in batch],
                )
            except BaseException as error:  # noqa: BLE001 - every episode gets it
                answers = [error] * len(batch)
            places = []
            for question, answer in zip(batch, answers, strict=True):
                question.answer = answer
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
