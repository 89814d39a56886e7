"""What all remote models share: one answer at a time, many at once, from any thread or event loop.

A remote model says how one dialogue is answered (``_answer``); here it gets its three faces. It does not know
providers.
"""

from __future__ import annotations

import abc
import asyncio
from typing import Any

from clemcore.backends._remote import background
from clemcore.calls import Call
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, Reply, records_each_call

# Steps of the loop that a waiting call needs until its request is out: it leaves before an answer is written down,
# so that the service is never idle for the sake of the record.
_HOPS_TO_SEND = 3


class RemoteModel(BatchGenerativeModel):
    """A model behind an API; several threads and event loops may call it at once."""

    @abc.abstractmethod
    async def _answer(self, messages: Messages) -> Reply:
        """Answer one dialogue; runs on the background loop."""

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
    def generate_batch_response(self, batch_messages: list[Messages], return_exceptions: bool = False) -> list[Any]:
        """Answer several dialogues at once; each is recorded when it is answered.

        Args:
            batch_messages: the dialogues.
            return_exceptions: put the exception of a call that failed in the place of its answer.

        Returns:
            The answers, in the order of the dialogues.

        Raises:
            Exception: the first failure in the order of the dialogues, unless ``return_exceptions``; all others
                were answered and recorded before, and stand in its ``batch_results``.
        """
        results: list[Any] = background.run(self._answer_all(batch_messages))
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        if failed is not None and not return_exceptions:
            failed.batch_results = results  # type: ignore[attr-defined]
            raise failed
        return results

    async def _answer_all(self, batch_messages: list[Messages]) -> list[Any]:
        size = len(batch_messages)
        items = [self._recorded(messages, index, size) for index, messages in enumerate(batch_messages)]
        return await asyncio.gather(*items)

    async def _recorded(self, messages: Messages, index: int, size: int) -> Any:
        call = Call(self, messages, batch=(index, size))
        try:
            answer = await self._answer(messages)
            for _ in range(_HOPS_TO_SEND):
                await asyncio.sleep(0)
            return call.answered(answer)
        except Exception as error:  # noqa: BLE001 - one item fails alone
            call.failed(error)
            return error.with_traceback(None)
