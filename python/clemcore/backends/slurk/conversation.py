"""What is asked and heard in a room: a question goes in, and the person's next message is its answer.

Everything here runs on the background loop. A conversation knows the deadlines and the order of what was heard. It
does not know how the bot is connected (``connection.py``) or how events arrive (``delivery.py``), and it does not
know dialogues or models.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from clemcore.backends.slurk.connection import Connection, Deadline, Link
from clemcore.backends.slurk.content import Event
from clemcore.backends.slurk.delivery import Delivery
from clemcore.backends.slurk.settings import Settings
from clemcore.errors import RemoteConnectionError

# How long the command at an episode's end may take. If the connection is broken, nobody waits for longer.
COMMAND_TIMEOUT = 5.0


@dataclass(frozen=True)
class Answer:
    """What a question has brought.

    Attributes:
        text: the answer, exactly as it came.
        received: the events after the question; the answer is the last one.
        unasked: the events before the question. They answer nothing.
    """

    text: str
    received: list[Event]
    unasked: list[Event]


class Conversation:
    """The questions and answers in one room, one at a time.

    Attributes:
        incidents: what happened beside the dialogue: broken connections, and persons who came or went.
    """

    def __init__(self, connection: Connection, delivery: Delivery, settings: Settings) -> None:
        """Begin with an empty room.

        Args:
            connection: the bot's connection to the room.
            delivery: puts events into the room.
            settings: what the entry says.
        """
        self.incidents: list[dict[str, Any]] = []
        self._connection = connection
        self._delivery = delivery
        self._settings = settings
        self._heard: list[Event] = []  # what was heard and not used yet, in the server's order
        self._asked_at: int | None = None  # how much of it was heard before the question stood in the room
        self._owed: list[Event] = []  # commands that could not be sent yet
        self._turn = asyncio.Lock()

    # -- the listener of the connection -------------------------------------------------------------------------
    def heard(self, event: Event) -> None:
        """Take an event of another user."""
        self._heard.append(event)

    def echoed(self) -> None:
        """Note that a message of the bot now stands in the room: what is heard from now on may answer it."""
        self._asked_at = len(self._heard)

    def note(self, incident: str, **details: Any) -> None:
        """Add an incident, with the time."""
        self.incidents.append({"incident": incident, "at": round(time.time(), 3), **details})

    # -- questions and answers ----------------------------------------------------------------------------------
    async def ask(self, events: list[Event], sent: list[Event]) -> Answer:
        """Put events into the room and wait for the person's next message.

        Args:
            events: the events; there is at least one.
            sent: gets each event as soon as it goes out, so that the caller knows of it even if this call fails.

        Raises:
            RemoteTimeoutError: no answer came within ``response_timeout``.
            RemoteConnectionError: the connection broke and did not come back in time, or the room was closed.
            NotServedError: the room is no longer on the server.
            BadRequestError: the server refused an event.
        """
        connection = self._connection
        async with self._turn:
            self._check_open()
            deadline = Deadline.after(self._settings.response_timeout, "response_timeout")
            before, self._heard = self._heard, []
            while self._owed:
                await self._delivery.send(self._owed.pop(0), deadline)
            losses = connection.losses
            for event in events:
                self._asked_at = None
                losses = await self._delivery.send(event, deadline, sent)
            if self._asked_at is None:
                self._asked_at = len(self._heard)
            end = await self._await_answer(deadline, losses) + 1
            begin, self._asked_at = self._asked_at, None
            received, unasked = self._heard[begin:end], before + self._heard[:begin]
            self._heard = self._heard[end:]
            return Answer(
                text=_text_of(received[-1]),
                received=received,
                unasked=[event for event in unasked if event["event"] != "status"],
            )

    async def _await_answer(self, deadline: Deadline, losses: int) -> int:
        """Wait for the answer and return its place in what was heard.

        Args:
            deadline: how long this may take.
            losses: the connection's losses when the question went out. After each further one, the server's log is
                read, because the person may have written during the break.
        """
        connection = self._connection
        while True:
            place = self._answer_place()
            if place is not None:
                return place
            if connection.losses > losses and connection.is_in:
                losses = connection.losses
                missed = await self._delivery.missed_texts(deadline)
                if missed and self._answer_place() is None:
                    self._heard.append({"event": "log", "data": missed[0]})
            elif not await connection.next_news(deadline):
                raise connection.failure("no answer came", deadline)

    def _answer_place(self) -> int | None:
        """Return the place of the first message after the question in what was heard."""
        places = range(self._asked_at or 0, len(self._heard))
        return next((at for at in places if self._heard[at].get("event") in ("text_message", "log")), None)

    async def command(self, word: str) -> None:
        """Send a command to the person's page, such as ``done`` at the end of an episode.

        If the connection is broken, the command is sent with the next question.

        Raises:
            RemoteCallError: the room was closed, or the server refused the command.
        """
        connection = self._connection
        async with self._turn:
            self._check_open()
            event = {"event": "message_command", "data": {"command": word, "room": connection.room}}
            if await connection.until(lambda: connection.is_in, Deadline.after(COMMAND_TIMEOUT)):
                await self._delivery.send(event, Deadline.after(COMMAND_TIMEOUT))
            else:
                self._owed.append(event)

    def _check_open(self) -> None:
        if self._connection.link is Link.CLOSED:
            raise RemoteConnectionError(f"{self._connection.place} was closed")


def _text_of(event: Event) -> str:
    data = event["data"]["data"] if event["event"] == "log" else event["data"]
    return str(data.get("message", ""))
