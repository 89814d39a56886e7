"""The life of one room: it is made on the server, the bot and a person enter it, and it is closed.

Everything here runs on the background loop. A room does not know how the bot is connected (``connection.py``), what
is said in it (``conversation.py``), or which model it belongs to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from clemcore.backends.service.http import background
from clemcore.backends.slurk.api import Api
from clemcore.backends.slurk.connection import Connection, Deadline, Link
from clemcore.backends.slurk.conversation import Conversation
from clemcore.backends.slurk.delivery import Delivery
from clemcore.backends.slurk.premises import Premises
from clemcore.backends.slurk.settings import Settings
from clemcore.errors import ClemcoreError, JoinTimeoutError

logger = logging.getLogger(__name__)

Show = Callable[[str], None]


class Room:
    """One room, made for one model.

    Attributes:
        settings: what the entry says.
        premises: what exists on the server for this room.
        connection: the bot's connection to it.
        conversation: the questions and answers in it.
    """

    def __init__(self, settings: Settings, model: str) -> None:
        """Make nothing yet.

        Args:
            settings: what the entry says.
            model: the model's name, for messages.
        """
        self.settings = settings
        self._model = model
        self._api = Api(settings.endpoint, model)
        self.premises = Premises(self._api, settings)
        self.connection = Connection(self._api, self.premises, model)
        self.conversation = Conversation(self.connection, Delivery(self.connection, self._api), settings)
        background.close_at_exit(self)

    @property
    def number(self) -> int:
        """The room's id on the server."""
        return self.premises.room

    async def open(self) -> None:
        """Make the room and put the bot into it.

        Raises:
            RemoteCallError: the server refused or failed. What was made before is deleted again.
        """
        try:
            await self.premises.make()
            await self.connection.open(self.conversation)
        except BaseException:
            await self.close()
            raise

    async def wait_for_person(self, show: Show) -> None:
        """Show the link to the room, and wait until a person has entered.

        Args:
            show: shows a text to the user who runs the program. The text holds the token.

        Raises:
            JoinTimeoutError: nobody entered within ``join_timeout``.
        """
        deadline = Deadline.after(self.settings.join_timeout, "join_timeout")
        show(
            f"[{self._model}] open this link within {self.settings.join_timeout:g} s to enter room {self.number}:\n"
            f"{self.premises.login()}\n[{self._model}] token: {self.premises.person_token.api_key}"
        )
        connection = self.connection
        if await connection.until(lambda: bool(connection.there), deadline):
            show(f"[{self._model}] a person has entered room {self.number}")
            return
        reason = "open the link sooner, or raise join_timeout"
        if not connection.is_in:
            reason = "the connection to the server is broken"
        raise JoinTimeoutError(f"{connection.place}: nobody entered {deadline.words}; {reason}")

    async def close(self) -> None:
        """Leave the room, and close, delete or keep it, as the entry says; a second call does nothing."""
        if self.connection.link is Link.CLOSED:
            return
        try:
            await self.connection.close()
            await self.premises.leave(was_used=bool(self.connection.visitors))
        except (ClemcoreError, OSError) as fault:
            logger.warning("model '%s': room %s could not be closed: %s", self._model, self.number, fault)
        finally:
            await self._api.close()
