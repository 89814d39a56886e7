"""A room on a slurk server: the bot in it, the person who comes in, what is said and when.

It runs on the background loop and knows no model. Where the connection breaks it connects again; what was said
meanwhile is read from the server's log, so that no answer is lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import socketio

from clemcore.backends.service.http import background
from clemcore.backends.service.http.engine import ScrubbedLog
from clemcore.backends.slurk.api import Api
from clemcore.backends.slurk.content import Event
from clemcore.backends.slurk.premises import Premises
from clemcore.backends.slurk.settings import Settings
from clemcore.errors import (
    BadRequestError,
    ClemcoreError,
    JoinTimeoutError,
    NotServedError,
    RemoteCallError,
    RemoteConnectionError,
    RemoteTimeoutError,
)
from clemcore.secrets import scrub

logger = logging.getLogger(__name__)
# The library's own words; it would else write them to standard error itself.
_wire_logger = logging.getLogger("clemcore.backends.slurk.socketio")
_wire_logger.setLevel(logging.ERROR)  # it warns of every farewell
_wire_logger.addFilter(ScrubbedLog())

# How long the server may take to let the bot in.
CONNECT_TIMEOUT = 15.0
# How long to wait between two attempts to connect again; the longest, and the first.
RECONNECT_WAIT = 5.0
FIRST_WAIT = 0.5
# An episode's end is told to the person's page; where the connection is broken, nobody waits for that.
COMMAND_TIMEOUT = 5.0
# How long the bot's farewell may take.
LEAVE_TIMEOUT = 1.0

# What the person does in a room, as the bot hears it.
_HEARD = ("text_message", "image_message", "command", "status")
# What the bot does there, as the server logs it.
_SAID = ("text_message", "image_message", "command")

Show = Callable[[str], None]


class Room:
    """One room, made for one model.

    Attributes:
        premises: what was made for it on the server.
        incidents: what happened beside the dialogue: connections lost and found again, comings and goings.
    """

    def __init__(self, settings: Settings, model: str) -> None:
        """Make nothing yet.

        Args:
            settings: what the entry says.
            model: the model's name, for messages.
        """
        self.settings = settings
        self.incidents: list[dict[str, Any]] = []
        self._api = Api(settings.endpoint, model)
        self.premises = Premises(self._api, settings)
        self._model = model
        self._heard: list[dict[str, Any]] = []  # what was heard and not used yet, in the server's order
        self._asked_at: int | None = None  # how much was heard when the question stood in the room
        self._news = asyncio.Event()
        self._came_in = False  # the bot was in the room once
        self._is_joined = False  # the server says that the bot is in the room
        self._is_away = False  # it was there, and the connection broke
        self._was_out = False  # it was not there, at some moment since the question
        self._is_gone = False  # there is no such room any more
        self._there: set[int] = set()
        self._came = False
        self._is_closed = False
        self._owed: list[Event] = []  # commands that were not sent yet
        self._said = 0  # events of the bot that the server has taken
        self._is_unsure = False  # whether it has taken the last one, which only its log can tell
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sio: Any = None
        background.close_at_exit(self)

    @property
    def number(self) -> int:
        """The room's id on the server."""
        return self.premises.room

    @property
    def _bot(self) -> int:
        return self.premises.bot

    @property
    def _is_in(self) -> bool:
        """Whether the bot is in the room, connected; the server says both, in either order."""
        return self._is_joined and bool(self._sio.namespaces)

    # -- before the first question ------------------------------------------------------------------------------
    async def open(self) -> None:
        """Make the room and put the bot into it.

        Raises:
            RemoteCallError: the server refused or failed; what was made until then is taken away again.
        """
        try:
            await self.premises.make()
            await self._connect()
        except BaseException:
            await self.close()
            raise

    async def _connect(self) -> None:
        sio = self._sio = socketio.AsyncClient(
            logger=_wire_logger,
            engineio_logger=_wire_logger,
            handle_sigint=False,
            http_session=self._api.session,
            # The library would not come back where the server has sent the bot away, as when it starts anew.
            reconnection=False,
            request_timeout=CONNECT_TIMEOUT,
        )
        sio.on("connect", self._on_connect)
        sio.on("disconnect", self._on_disconnect)
        sio.on("joined_room", self._on_joined)
        for name in _HEARD:
            sio.on(name, self._listener(name))
        fault = await self._dial()
        if fault is not None:
            where = self.settings.endpoint.base_url
            raise RemoteConnectionError(self._words(f"the bot could not connect to {where}: {fault}"))
        if not await self._until(lambda: self._is_in, time.monotonic() + 1.0):
            # Servers put a user into the room of its token by themselves; one that does not is told to.
            await self._api.join(self._bot, self.number)
        if not await self._until(lambda: self._is_in, time.monotonic() + CONNECT_TIMEOUT):
            raise RemoteTimeoutError(self._words("the server has not let the bot into the room"))

    async def _dial(self) -> str | None:
        """Connect; return why that failed, or None."""
        base_url = self.settings.endpoint.base_url
        try:
            await self._sio.connect(
                base_url,
                headers=self._bot_headers,
                namespaces=["/"],
                socketio_path=f"{urlsplit(base_url).path}/socket.io".lstrip("/"),
                wait_timeout=CONNECT_TIMEOUT,
            )
        except (socketio.exceptions.ConnectionError, asyncio.TimeoutError, OSError, ValueError) as fault:
            return scrub(str(fault))
        return None

    async def _dial_again(self) -> None:
        """Connect anew, until it works or the room is gone."""
        wait = FIRST_WAIT
        while not self._is_closed and not self._is_gone:
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret: it spreads the load
            if self._sio.connected:
                return
            if await self._dial() is None:
                await self._look_around()
                return
            await self._look_around()
            wait = min(2 * wait, RECONNECT_WAIT)

    def _bot_headers(self) -> dict[str, str]:
        """Write the headers of a connection; asked for at every one, so that they stay nowhere."""
        return {"Authorization": f"Bearer {self.premises.bot_token.api_key}", "user": str(self._bot)}

    async def wait_for_person(self, show: Show) -> None:
        """Show where a person gets in, and wait for one.

        Args:
            show: shows a text to whoever runs the program; it holds the token.

        Raises:
            JoinTimeoutError: nobody came in time.
        """
        seconds = self.settings.join_timeout
        show(
            f"[{self._model}] a person gets into room {self.number} here, within {seconds:g} s:\n"
            f"{self.premises.login()}\n[{self._model}] token: {self.premises.person_token.api_key}"
        )
        if await self._until(lambda: bool(self._there), time.monotonic() + seconds):
            show(f"[{self._model}] somebody has come into room {self.number}")
            return
        state = "" if self._is_in else "; the connection to the server is broken"
        raise JoinTimeoutError(
            self._words(f"nobody came into room {self.number} within {seconds:g} s (join_timeout){state}")
        )

    # -- questions and answers ----------------------------------------------------------------------------------
    async def ask(
        self, events: list[Event], sent: list[Event]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
        """Put events into the room and wait for the person's next message.

        Args:
            events: the events.
            sent: takes each event when it is sent, so that it is known what was, also where something goes wrong.

        Returns:
            What was heard since the question, the answer last; what was heard before it and answers nothing; the
            answer's text.

        Raises:
            RemoteTimeoutError: no answer came within ``response_timeout``.
            RemoteConnectionError: the connection broke and did not come back in time.
            NotServedError: the room is no longer there.
            BadRequestError: the server did not take an event.
        """
        async with self._turn:
            self._check_open()
            deadline = time.monotonic() + self.settings.response_timeout
            before, self._heard = self._heard, []
            while self._owed:
                await self._say(self._owed.pop(0), deadline)
            for event in events:
                self._asked_at = None
                await self._say(event, deadline, sent)
            if self._asked_at is None:
                self._asked_at = len(self._heard)
            found = await self._answer(deadline)
            heard = self._heard[: found + 1]
            before = [one for one in before + heard[: self._asked_at] if one["event"] != "status"]
            heard = heard[self._asked_at :]
            self._heard = self._heard[found + 1 :]
            self._asked_at = None
            return heard, before, _text_of(heard[-1])

    async def _say(self, event: Event, deadline: float, sent: list[Event] | None = None) -> None:
        """Send an event and wait until the server has taken it; again where the connection broke before."""
        is_repeated = False
        while True:
            await self._come_in(deadline, f"'{event['event']}' was not sent")
            if self._is_unsure:
                logged = sum(self._is_own(entry) for entry in await self._log(deadline))
                was_taken, self._said, self._is_unsure = logged > self._said, logged, False
                if is_repeated and was_taken:
                    return
            self._was_out = False
            taken: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
            try:
                await self._sio.emit(event["event"], event["data"], callback=self._setter(taken))
            except socketio.exceptions.SocketIOError:
                self._is_joined, self._was_out = False, True
                continue
            if sent is not None and not is_repeated:
                sent.append(event)
            self._is_unsure = is_repeated = True
            await self._until(lambda taken=taken: taken.done() or self._was_out, deadline)  # type: ignore[misc]
            if taken.done():
                self._is_unsure = False
                self._check_taken(event, taken.result())
                self._said += 1
                return
            if not self._was_out:
                raise self._too_late(f"the server has not taken '{event['event']}'")

    def _setter(self, taken: asyncio.Future[tuple[Any, ...]]) -> Callable[..., None]:
        def acknowledged(*arguments: Any) -> None:
            if not taken.done():
                taken.set_result(arguments)
            self._news.set()

        return acknowledged

    def _check_taken(self, event: Event, said: tuple[Any, ...]) -> None:
        """Look at what the server says to an event: true, or false and why."""
        if said and said[0] is False:
            reason = ": ".join(str(part) for part in said[1:]) or "no reason given"
            raise BadRequestError(self._words(f"the server did not take '{event['event']}': {reason}"))

    async def _answer(self, deadline: float) -> int:
        """Return the place of the answer in what was heard."""
        while True:
            place = self._answer_place()
            if place is not None:
                return place
            if self._was_out and self._is_in:
                self._was_out = False
                await self._read_log(deadline)
            elif not await self._next_news(deadline):
                raise self._too_late("no answer came")

    def _answer_place(self) -> int | None:
        """Return where in what was heard the answer stands: the first message behind the question."""
        places = range(self._asked_at or 0, len(self._heard))
        return next((at for at in places if self._heard[at].get("event") in ("text_message", "log")), None)

    async def _read_log(self, deadline: float) -> None:
        """Look up what the person has written while the connection was broken."""
        entries = await self._log(deadline)
        own = [entry["id"] for entry in entries if self._is_own(entry)]
        written = [
            entry
            for entry in entries
            if own and entry["id"] > own[-1] and entry.get("event") == "text_message" and not self._is_own(entry)
        ]
        if written and self._answer_place() is None:
            self._heard.append({"event": "log", "data": written[0]})

    async def _log(self, deadline: float) -> list[dict[str, Any]]:
        """Read the server's log of the room; again where it cannot be reached yet."""
        while True:
            try:
                return await self._api.log(self.number, self._bot)
            except RemoteCallError as fault:
                if not fault.retryable or time.monotonic() + RECONNECT_WAIT > deadline:
                    raise
            await asyncio.sleep(FIRST_WAIT)

    def _is_own(self, entry: dict[str, Any]) -> bool:
        """Tell whether an entry of the log is something that the bot has said."""
        return entry.get("user_id") == self._bot and entry.get("event") in _SAID

    async def _come_in(self, deadline: float, what: str) -> None:
        if not await self._until(lambda: self._is_in, deadline):
            raise self._too_late(what)

    def _too_late(self, what: str) -> RemoteCallError:
        seconds = self.settings.response_timeout
        where = f"room {self.number}: {what} within {seconds:g} s (response_timeout)"
        if self._is_gone:
            return NotServedError(self._words(f"room {self.number}: {what}, for it is no longer on the server"))
        if not self._is_in:
            return RemoteConnectionError(self._words(f"{where}: the connection is broken"))
        state = "the person is there" if self._there else "the person has left"
        return RemoteTimeoutError(self._words(f"{where}; {state}"))

    async def command(self, word: str) -> None:
        """Send a command to the person's page, such as ``done`` at the end of an episode.

        Where the connection is broken, it is sent with the next question.

        Raises:
            RemoteCallError: the room was closed, or the server did not take the command.
        """
        async with self._turn:
            self._check_open()
            event = {"event": "message_command", "data": {"command": word, "room": self.number}}
            if await self._until(lambda: self._is_in, time.monotonic() + COMMAND_TIMEOUT):
                await self._say(event, time.monotonic() + COMMAND_TIMEOUT)
            else:
                self._owed.append(event)

    # -- what is heard ------------------------------------------------------------------------------------------
    async def _on_connect(self) -> None:
        self._see_whether_in()

    def _see_whether_in(self) -> None:
        """Note that the bot is back, before anybody goes on because of it."""
        if self._is_in and self._is_away:
            self._is_away = False
            self._note("connected")
        self._news.set()

    async def _on_disconnect(self, reason: object = None) -> None:
        self._is_joined = False
        self._was_out = True
        if not self._is_closed and self._came_in:
            self._is_away = True
            self._note("disconnected", reason=str(reason))
            logger.warning("model '%s': the connection to the slurk server is broken (%s)", self._model, reason)
            self._start(self._dial_again())
        self._news.set()

    async def _on_joined(self, data: Any) -> None:
        if isinstance(data, dict) and data.get("room") == self.number:
            self._is_joined = self._came_in = True
            self._see_whether_in()

    def _listener(self, name: str) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def listen(data: Any) -> None:
            user = data.get("user") if isinstance(data, dict) else None
            if not isinstance(user, dict) or data.get("room") != self.number:
                return
            if user.get("id") != self._bot:
                self._heard.append({"event": name, "data": data})
                if name == "status":
                    self._move(user["id"], data.get("type"))
            elif name in ("text_message", "image_message"):
                self._asked_at = len(self._heard)
            self._news.set()

        return listen

    def _move(self, user: int, kind: object) -> None:
        """Note that somebody came or went. Who went may get in again by the same link."""
        if kind == "join":
            self._there.add(user)
            if self._came:
                self._start(self.premises.mind_door(self._there))
            self._came = True
        elif kind == "leave":
            self._there.discard(user)
            if not self._there and not self._is_closed:
                logger.warning("model '%s': the person has left room %s", self._model, self.number)
                self._start(self.premises.mind_door(self._there))
        self._note(str(kind), user=user)

    async def _look_around(self) -> None:
        """Find out who came and went while the connection was broken, and whether the room is still there.

        A server that has started anew may have lost it.
        """
        try:
            there = {user for user in await self._api.there(self.number) if user != self._bot}
        except NotServedError:
            self._is_gone = True
        except RemoteCallError as fault:
            logger.info("%s", fault)
        else:
            for user in there - self._there:
                self._move(user, "join")
            for user in self._there - there:
                self._move(user, "leave")
        self._news.set()

    # -- the end ------------------------------------------------------------------------------------------------
    async def close(self) -> None:
        """Leave the room and close it, delete it or leave it as it is; once, whoever asks how often."""
        if self._is_closed:
            return
        self._is_closed = True
        self._news.set()
        for task in list(self._tasks):
            task.cancel()
        try:
            if self._sio is not None:
                # In a task of its own: what it waits for may have been cancelled, where the program ends.
                await asyncio.wait({asyncio.ensure_future(self._sio.shutdown())}, timeout=LEAVE_TIMEOUT)
            await self.premises.leave(was_used=self._came)
        except (ClemcoreError, OSError, socketio.exceptions.SocketIOError) as fault:
            logger.warning("model '%s': room %s could not be closed: %s", self._model, self.number, fault)
        finally:
            await self._api.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise RemoteConnectionError(self._words(f"room {self.number} was closed"))

    # -- waiting ------------------------------------------------------------------------------------------------
    async def _until(self, holds: Callable[[], bool], deadline: float) -> bool:
        """Wait until something holds; tell whether it does."""
        while not holds():
            if not await self._next_news(deadline):
                return holds()
        return True

    async def _next_news(self, deadline: float) -> bool:
        """Wait for whatever happens next; false where nothing can, or time is up."""
        self._news.clear()
        left = deadline - time.monotonic()
        if left <= 0 or self._is_gone or self._is_closed:
            return False
        try:
            await asyncio.wait_for(self._news.wait(), left)
        except asyncio.TimeoutError:
            return False
        return True

    def _note(self, incident: str, **more: Any) -> None:
        self.incidents.append({"incident": incident, "at": round(time.time(), 3), **more})

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; where it fails, the room goes on."""

        async def guarded() -> None:
            try:
                await work
            except ClemcoreError as fault:
                logger.warning("model '%s': %s", self._model, fault)

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _words(self, what: str) -> str:
        return f"model '{self._model}' (backend slurk): {what}"


def _text_of(heard: dict[str, Any]) -> str:
    data = heard["data"]["data"] if heard["event"] == "log" else heard["data"]
    return str(data.get("message", ""))
