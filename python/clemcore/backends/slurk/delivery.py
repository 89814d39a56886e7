"""Puts the bot's events into a room, each exactly once; where a receipt is missing, the server's log decides.

Everything here runs on the background loop. It knows the form of the server's log. It does not know how the bot is
connected (``connection.py``), or what an event means.
"""

from __future__ import annotations

import asyncio
from typing import Any

from clemcore.backends.slurk.api import Api
from clemcore.backends.slurk.connection import Connection, Deadline
from clemcore.backends.slurk.content import Event
from clemcore.errors import BadRequestError, RemoteCallError

# The wait before the log is read again, and how much time must be left for that.
_LOG_WAIT = 0.5
_LOG_MARGIN = 5.0
# The events of the bot that the server writes into its log.
_LOGGED = ("text_message", "image_message", "command")


class Delivery:
    """Delivers the bot's events to one room."""

    def __init__(self, connection: Connection, api: Api) -> None:
        """Begin with an empty room.

        Args:
            connection: the bot's connection to the room.
            api: the HTTP API of the server, for its log.
        """
        self._connection = connection
        self._api = api
        self._sent = 0  # events that have gone out
        self._confirmed = 0  # how many of them the server is known to have

    async def send(self, event: Event, deadline: Deadline, sent: list[Event] | None = None) -> int:
        """Put an event into the room, exactly once.

        When a break has swallowed the server's receipt, the server's log tells whether the event has arrived. It
        is sent again only if the log does not have it.

        Args:
            event: the event.
            deadline: how long this may take.
            sent: gets the event as soon as it goes out, so that the caller knows of it even if this call fails.

        Returns:
            The connection's ``losses`` when the event went out. If there are more now, an answer may have been
            missed.

        Raises:
            BadRequestError: the server refused the event.
            RemoteCallError: the event was not sent, or its receipt did not come, before the deadline.
        """
        connection = self._connection
        losses, is_out = connection.losses, False
        while True:
            if not await connection.until(lambda: connection.is_in, deadline):
                raise connection.failure(f"'{event['event']}' was not sent", deadline)
            if self._is_unsure and await self._has_arrived(deadline) and is_out:
                return losses
            losses = connection.losses
            receipt = await connection.emit(event)
            if receipt is None:
                continue
            if sent is not None and not is_out:
                sent.append(event)
            is_out, self._sent = True, self._confirmed + 1
            if await self._comes(receipt, losses, deadline):
                self._check(receipt.result(), event)
                return losses
            if connection.losses == losses:
                raise connection.failure(f"the server did not confirm '{event['event']}'", deadline)

    @property
    def _is_unsure(self) -> bool:
        """Whether only the server's log can tell if the last event has arrived."""
        return self._sent != self._confirmed

    async def _has_arrived(self, deadline: Deadline) -> bool:
        """Look the last event up in the server's log, by counting the bot's entries."""
        logged = sum(self._is_own(entry) for entry in await self._log(deadline))
        has_arrived = logged > self._confirmed
        self._sent = self._confirmed = logged
        return has_arrived

    async def _comes(self, receipt: asyncio.Future[tuple[Any, ...]], losses: int, deadline: Deadline) -> bool:
        """Wait for a receipt; return false if the connection breaks or time is up before."""
        connection = self._connection
        await connection.until(lambda: receipt.done() or connection.losses > losses, deadline)
        return receipt.done()

    def _check(self, receipt: tuple[Any, ...], event: Event) -> None:
        """Read a receipt: it is true, or false and a reason."""
        if receipt and receipt[0] is False:
            self._sent = self._confirmed
            reason = ": ".join(str(part) for part in receipt[1:]) or "it gave no reason"
            raise BadRequestError(f"{self._connection.place}: the server refused '{event['event']}': {reason}")
        self._confirmed = self._sent

    async def missed_texts(self, deadline: Deadline) -> list[dict[str, Any]]:
        """Return the server's log entries for texts that persons wrote after the bot's last event.

        Raises:
            RemoteCallError: the log could not be read before the deadline.
        """
        entries = await self._log(deadline)
        last = max((place for place, entry in enumerate(entries) if self._is_own(entry)), default=len(entries))
        return [entry for entry in entries[last + 1 :] if entry.get("event") == "text_message"]

    async def _log(self, deadline: Deadline) -> list[dict[str, Any]]:
        """Read the server's log of the room; try again while the server cannot be reached."""
        while True:
            try:
                return await self._api.log(self._connection.room, self._connection.bot)
            except RemoteCallError as fault:
                if not fault.retryable or deadline.left < _LOG_MARGIN:
                    raise
            await asyncio.sleep(_LOG_WAIT)

    def _is_own(self, entry: dict[str, Any]) -> bool:
        return entry.get("user_id") == self._connection.bot and entry.get("event") in _LOGGED
