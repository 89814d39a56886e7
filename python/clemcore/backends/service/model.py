"""What all models behind an API share: one answer at a time, many at once, from any thread or event loop.

A model says how one request is answered (``_answer``); here it gets its three faces. It does not know providers.
"""

from __future__ import annotations

import abc
import asyncio
from typing import Any, ClassVar

from clemcore.backends.service.http import background
from clemcore.calls import recorder
from clemcore.calls.batch import Batch, Item
from clemcore.calls.request import Request, request_of, running
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, Reply

# Seconds for which the answers of a batch are collected before they are written down together.
_WRITE_EVERY = 0.02
# Calls of a batch that are prepared in one step of the loop: between the steps the first ones leave.
_PREPARED_AT_ONCE = 20


class RemoteModel(BatchGenerativeModel):
    """A model behind an API; several threads and event loops may call it at once."""

    conversations: ClassVar[int | None] = None

    @abc.abstractmethod
    async def _answer(self, request: Request) -> Reply:
        """Answer one request; runs on the background loop.

        Raises:
            background.Stopped: it was cancelled, and something had been sent.
        """

    def generate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue by one call.

        Args:
            messages: the dialogue; neighbouring messages of one role are merged, images become content parts.

        Returns:
            The body as sent, the body as received, and the answer's text, stripped; ``facts`` beside them.

        Raises:
            GenerationArgumentError: a generation argument cannot be sent as asked; nothing was sent.
            ContextExceededError: prompt and reply do not fit the context window.
            RemoteCallError: the service refused or failed, or its reply holds no answer.
        """
        return background.run(self._answer(self._request(messages)))

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue without a thread of its own; otherwise as :meth:`generate_response`."""
        return await background.run_async(self._answer(self._request(messages)))

    def _request(self, messages: Messages) -> Request:
        """Return the request of the call that runs; a subclass may have changed its messages."""
        what = running(self)
        if not isinstance(what, Request):
            return request_of(messages)
        return Request(messages, what.gen_args, what.scope, what.batch)

    def _answer_items(self, batch: Batch) -> None:
        background.run(self._answer_all(batch))

    async def _answer_all(self, batch: Batch) -> None:
        writer = _Writer(batch)
        tasks: list[asyncio.Task[None]] = []
        try:
            for number, item in enumerate(batch.pending):
                tasks.append(asyncio.create_task(self._put(item, batch, writer)))
                if number % _PREPARED_AT_ONCE == _PREPARED_AT_ONCE - 1:
                    await asyncio.sleep(0)
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            writer.stop()
        batch.check(await recorder.flushed(batch.sinks))

    async def _put(self, item: Item, batch: Batch, writer: _Writer) -> None:
        result: Any
        try:
            result = await self._answer(item.request)
        except Exception as error:  # noqa: BLE001 - one item fails alone
            result = error
        except background.Stopped as stop:
            item.call.put_failure(stop)
            raise
        batch.put(item, result)
        writer.start()


class _Writer:
    """Sees to it that what a batch has brought is written while the rest is under way."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._sinks = batch.sinks
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write soon, once for all that come until then."""
        if self._timer is None and self._sinks:
            self._timer = asyncio.get_running_loop().call_later(_WRITE_EVERY, self._write)

    def _write(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._written())

    async def _written(self) -> None:
        self._batch.check(await recorder.flushed(self._sinks))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
