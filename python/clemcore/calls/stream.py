"""An answer as it arrives: its pieces, and the whole reply at the end.

A stream is one ordinary call: checked, recorded and paid for as any other. It does not know how a model answers.
"""

from __future__ import annotations

import atexit
import contextvars
import functools
import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from clemcore.calls import execution
from clemcore.calls.call import Reply
from clemcore.calls.request import Listener, Listening, listener_of
from clemcore.calls.scope import Scope, capture
from clemcore.errors import RecordError
from clemcore.messages import Messages

logger = logging.getLogger(__name__)

# Seconds that a stream which is closed early waits for its call to stop and to be recorded.
_LET_GO = 5.0


class Stream(Iterator[str]):
    """The answer of a model, piece by piece.

    Iterate over it to get the pieces; joined, they are the text of the reply. At the end, :attr:`reply` is the
    whole reply. If several threads read one stream, each piece goes to one of them. If you close a stream before
    its end, the call stops, and the record says that it was interrupted.

    Examples:
        >>> from clemcore import backends
        >>> stream = backends.get_model_for("mock").stream_response([{"role": "user", "content": "Hi"}])
        >>> "".join(stream) == stream.reply.text
        True
    """

    def __init__(
        self, model: Any, messages: Messages, gen_args: Mapping[str, Any] | None = None, scope: Scope | None = None
    ) -> None:
        """Start the call. A model that cannot stream starts when the first piece is requested.

        The call has the messages, and belongs to the scope, of this moment.

        Args:
            model: the model.
            messages: the dialogue.
            gen_args: generation arguments of this call only.
            scope: the scope of the call; by default the current one.

        Raises:
            ValueError: the scope is closed.
            RuntimeError: a stream of the model asks for another one to answer itself, which would never end.
        """
        if listener_of(model) is not None:
            raise RuntimeError(
                f"the generate_response of {type(model).__name__} asks for a stream, which calls generate_response "
                "again: call super().generate_response there, whose pieces go to the reader of the stream"
            )
        asked = _copied(messages) if execution.inside(model, messages) is None else messages
        arguments = dict(gen_args) if isinstance(gen_args, Mapping) else gen_args

        def ask() -> Reply:
            with Listening(model, listener):
                reply: Reply = model.generate_response(asked, gen_args=arguments, scope=scope)
                return reply

        course = self._course = _Course(ask)
        listener = course.listener = Listener(course.give, capture(scope))
        context = contextvars.copy_context()
        self._pid = os.getpid()
        self._is_cut = False
        self._closer: int | None = None
        self._start: Callable[[], None] | None = lambda: context.run(course)
        self._stop = weakref.finalize(self, listener.stop)
        self._stop.atexit = False  # see _end_all
        if model.streams:
            course.thread = threading.Thread(target=self._start, name="clemcore-stream", daemon=True)
            self._start = None
            _under_way.add(course)
            _end_all_at_exit()
            course.thread.start()

    def __next__(self) -> str:
        """Wait for the next piece.

        Raises:
            StopIteration: the answer has ended.
            RuntimeError: the stream belongs to the process that forked this one.
            Exception: the call has failed; pieces that arrived before were given.
        """
        if self._course.is_read:
            raise self._end()
        if self._start is not None:
            start, self._start = self._start, None
            start()
        if self._pid != os.getpid() and self._course.pieces.empty():
            raise RuntimeError(
                "the stream was started by the process that forked this one, so nothing more arrives here: start a "
                "stream in this process"
            )
        try:
            piece = self._course.pieces.get()
        except BaseException:  # Ctrl-C while it waits
            self.close()
            raise
        return self._last() if piece is None else piece

    def _last(self) -> str:
        """Return what the reply has beyond the pieces: all of it where the model gave none."""
        course, is_read = self._course, self._course.is_read
        course.is_read = True
        course.pieces.put(None)  # for another thread that waits
        if is_read:
            raise self._end()
        if course.reply is None:
            raise self._failure()
        text, given = course.reply.text, course.given
        if not text.startswith(given) or text == given:
            raise StopIteration
        return text[len(given) :]

    def _end(self) -> BaseException:
        """Return what the reader of a stream that is read to its end, or closed, gets.

        To the thread that closed it, it has ended. Another one must not take its pieces for the whole answer.
        """
        is_cut_elsewhere = self._is_cut and self._course.reply is None and self._closer != threading.get_ident()
        return self._failure() if is_cut_elsewhere else StopIteration()

    def _failure(self) -> BaseException:
        """Return why there is no reply."""
        error = self._course.error
        if error is not None and not self._is_cut:
            return error
        closed = RuntimeError("the stream was closed before its end, so it has no reply: read it to its end first")
        closed.__cause__ = error
        return closed

    @property
    def reply(self) -> Reply:
        """The whole reply; waits until it has arrived.

        Raises:
            RuntimeError: the stream was closed before its end.
            Exception: the call has failed.
        """
        for _ in self:
            pass
        if self._course.reply is None:
            raise self._failure()
        return self._course.reply

    def close(self) -> None:
        """Stop the call if it is still running, and wait until it is recorded."""
        self._start = None
        self._closer = threading.get_ident()
        self._is_cut = self._is_cut or not self._course.has_ended
        self._stop()
        self._course.wait()
        self._course.is_read = True

    def __enter__(self) -> Stream:
        """Return the stream itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


class _Course:
    """The call behind a stream. It holds no reference to the stream, so that an unread stream ends."""

    listener: Listener
    thread: threading.Thread | None = None

    def __init__(self, ask: Callable[[], Reply]) -> None:
        self._ask = ask
        self.pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.given = ""
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.has_ended = False
        self.is_read = False

    def give(self, piece: str) -> None:
        """Take a piece from the model."""
        self.given += piece
        self.pieces.put(piece)

    def wait(self) -> None:
        """Wait a while until a call that was stopped has ended and is recorded."""
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join(_LET_GO)

    def __call__(self) -> None:
        try:
            self.reply = self._ask()
        except BaseException as error:  # noqa: BLE001 - raised where the stream is read
            self.error = error
            if self.listener.is_stopped and isinstance(error, RecordError):
                logger.warning("a stream that was not read to its end is missing in a record: %s", error)
        finally:
            self.has_ended = True
            self.pieces.put(None)


# Calls whose thread runs; a thread keeps its call alive.
_under_way: weakref.WeakSet[_Course] = weakref.WeakSet()


@functools.cache
def _end_all_at_exit() -> None:
    atexit.register(_end_all)  # after the loop of the services, so that it is called before that is closed


def _end_all() -> None:
    """Stop the calls that are under way when the program ends, so that records have them."""
    courses = list(_under_way)
    for course in courses:
        course.listener.stop()
    for course in courses:
        course.wait()


def _copied(messages: Any) -> Any:
    """Copy messages: programs change theirs while the answer arrives, to show it."""
    if not isinstance(messages, (list, tuple)):
        return messages  # refused by the call
    return [dict(message) if isinstance(message, dict) else message for message in messages]
