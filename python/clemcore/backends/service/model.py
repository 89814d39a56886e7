"""What all remote models share: one answer at a time, many at once, from any thread or event loop.

A remote model says how one dialogue is answered (``_answer``); here it gets its three faces. It does not know
providers.
"""

from __future__ import annotations

import abc
import asyncio
from typing import Any

from clemcore.backends.service.http import background
from clemcore.calls import recorder
from clemcore.calls.call import Call
from clemcore.calls.progress import Progress
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, Reply, records_each_call

# Seconds for which the answers of a batch are collected before they are written down together.
_WRITE_EVERY = 0.02
# Calls of a batch that are prepared in one step of the loop: between the steps the first ones leave.
_PREPARED_AT_ONCE = 20


class RemoteModel(BatchGenerativeModel):
    """A model behind an API; several threads and event loops may call it at once."""

    @abc.abstractmethod
    async def _answer(self, messages: Messages) -> Reply:
        """Answer one dialogue; runs on the background loop.

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
        return background.run(self._answer(messages))

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue without a thread of its own; otherwise as :meth:`generate_response`."""
        return await background.run_async(self._answer(messages))

    @records_each_call
    def generate_batch_response(
        self, batch_messages: list[Messages], return_exceptions: bool = False, progress: bool | None = None
    ) -> list[Any]:
        """Answer several dialogues at once; each is recorded when it is answered.

        Args:
            batch_messages: the dialogues.
            return_exceptions: put the exception of a call that failed in the place of its answer.
            progress: show a bar where standard error is a terminal; None: when ``CLEMCORE_PROGRESS`` is set to 1.

        Returns:
            The answers, in the order of the dialogues.

        Raises:
            Exception: the first failure in the order of the dialogues, unless ``return_exceptions``; all others
                were answered and recorded before, and stand in its ``batch_results``.
        """
        try:
            results: list[Any] = background.run(self._answer_all(batch_messages, progress))
        except BaseException:
            recorder.flush()  # what was answered before an interrupt, and what was under way at it
            raise
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        if failed is not None and not return_exceptions:
            failed.batch_results = results  # type: ignore[attr-defined]
            raise failed
        return results

    async def _answer_all(self, batch_messages: list[Messages], progress: bool | None) -> list[Any]:
        size = len(batch_messages)
        writer, bar = _Writer(), Progress(size, self.name, progress)
        tasks: list[asyncio.Task[Any]] = []
        try:
            for index, messages in enumerate(batch_messages):
                call = Call(self, messages, batch=(index, size))
                tasks.append(asyncio.create_task(self._put(call, messages, writer, bar)))
                if index % _PREPARED_AT_ONCE == _PREPARED_AT_ONCE - 1:
                    await asyncio.sleep(0)
            ended = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            writer.stop()
            bar.close()
        await recorder.flushed()
        return [_written(call, result) for call, result in ended]

    async def _put(self, call: Call, messages: Messages, writer: _Writer, bar: Progress) -> tuple[Call, Any]:
        result: Any
        try:
            result = call.put(await self._answer(messages))
        except Exception as error:  # noqa: BLE001 - one item fails alone
            call.put_failure(error)
            result = error.with_traceback(None)
        except background.Stopped as stop:
            call.put_failure(stop)
            raise
        writer.start()
        bar.count(failed=isinstance(result, Exception))
        return call, result


def _written(call: Call, result: Any) -> Any:
    """Return an answer, or why it could not be written down."""
    try:
        call.check()
    except Exception as error:  # noqa: BLE001 - stands in the answer's place
        return error.with_traceback(None)
    return result


class _Writer:
    """Sees to it that what a batch has brought is written while the rest is under way."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write soon, once for all that come until then."""
        if self._timer is None and recorder.is_recording():
            self._timer = asyncio.get_running_loop().call_later(_WRITE_EVERY, self._write)

    def _write(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(recorder.flushed())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
