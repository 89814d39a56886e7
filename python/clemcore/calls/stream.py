"""An answer as it arrives: its pieces, and the whole reply at the end.

A stream is one ordinary call: checked, recorded and paid for as any other. It does not know how a model answers.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from clemcore.calls.call import Reply
from clemcore.calls.request import Listener, Listening
from clemcore.calls.scope import Scope
from clemcore.messages import Messages

# Seconds that a stream which is closed early waits for its call to stop and to be recorded.
_LET_GO = 5.0


class Stream(Iterator[str]):
    """The answer of a model, piece by piece.

    Iterate over it to get the pieces; joined, they are the text of the reply. At the end, :attr:`reply` is the
    whole reply. If you close a stream before its end, the call stops, and the record says that it was interrupted.

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

        Args:
            model: the model.
            messages: the dialogue.
            gen_args: generation arguments of this call only.
            scope: the scope of the call; by default the current one.
        """

        def ask() -> Reply:
            with Listening(model, listener):
                reply: Reply = model.generate_response(messages, gen_args=gen_args, scope=scope)
                return reply

        course = self._course = _Course(ask)
        listener = Listener(course.pieces.put)
        context = contextvars.copy_context()
        self._given = ""
        self._start: Callable[[], None] | None = lambda: context.run(course)
        self._stop = weakref.finalize(self, listener.stop)
        self._thread: threading.Thread | None = None
        if model.streams:
            self._thread = threading.Thread(target=self._start, name="clemcore-stream", daemon=True)
            self._start = None
            self._thread.start()

    def __next__(self) -> str:
        """Wait for the next piece.

        Raises:
            StopIteration: the answer has ended.
            Exception: the call has failed; pieces that arrived before were given.
        """
        if self._course.is_read:
            raise StopIteration
        if self._start is not None:
            start, self._start = self._start, None
            start()
        try:
            piece = self._course.pieces.get()
        except BaseException:  # Ctrl-C while it waits
            self.close()
            raise
        if piece is None:
            piece = self._last()
        self._given += piece
        return piece

    def _last(self) -> str:
        """Return what the reply has beyond the pieces: all of it where the model gave none."""
        self._course.is_read = True
        if self._course.error is not None:
            raise self._course.error
        text = self._course.reply.text if self._course.reply is not None else ""
        if not text.startswith(self._given) or text == self._given:
            raise StopIteration
        return text[len(self._given) :]

    @property
    def reply(self) -> Reply:
        """The whole reply; waits until it has arrived.

        Raises:
            Exception: the call has failed.
        """
        for _ in self:
            pass
        if self._course.reply is None:
            raise self._course.error or RuntimeError("the stream was closed before its end")
        return self._course.reply

    def close(self) -> None:
        """Stop the call if it is still running, and wait until it is recorded."""
        self._start = None
        self._stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_LET_GO)
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
    """The call behind a stream. It holds no reference to the stream, so that one which nobody reads ends."""

    def __init__(self, ask: Callable[[], Reply]) -> None:
        self._ask = ask
        self.pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.reply: Reply | None = None
        self.error: BaseException | None = None
        self.is_read = False

    def __call__(self) -> None:
        try:
            self.reply = self._ask()
        except BaseException as error:  # noqa: BLE001 - raised where the stream is read
            self.error = error
        finally:
            self.pieces.put(None)
