"""The model behind a room: a dialogue goes in, what the person writes comes out. It knows no connection."""

from __future__ import annotations

import asyncio
import importlib.metadata
import secrets
import sys
import time
import weakref
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.backends.service.http import background
from clemcore.backends.slurk.content import Event, Shown, events_of, has_images
from clemcore.backends.slurk.room import Room
from clemcore.backends.slurk.settings import Settings
from clemcore.errors import InterruptedCallError, MessagesError, RemoteCallError
from clemcore.messages import Messages, sha256_of
from clemcore.model import Model, Reply
from clemcore.registry.spec import ModelSpec

_WHY_NOT_SENT = "a person answers, who takes no generation arguments"


def show(text: str) -> None:
    """Show where a person gets in; on standard error and in no log, because it holds a token."""
    print(text, file=sys.stderr, flush=True)


class SlurkModel(Model):
    """A person in a room of a slurk server.

    It answers one dialogue at a time: calls from several threads wait for each other, and there are no batches.
    """

    def __init__(self, model_spec: ModelSpec, room: Room) -> None:
        """Take a room that the bot is in.

        Args:
            model_spec: the entry, under the name of this room's person.
            room: the room; it is closed with the model.
        """
        super().__init__(model_spec)
        self._room = room
        self._shown = Shown()
        self._closing = weakref.finalize(self, _close_later, room)
        self._closing.atexit = False  # the background loop closes what is open when the program ends

    @classmethod
    def joined(cls, model_spec: ModelSpec, settings: Settings) -> SlurkModel:
        """Make a room and the model of the person who comes into it.

        Every person is another model, with eight characters of chance for a name, as in 3.7.2: results of two
        persons are never mixed up.
        """
        spec = model_spec.rename(secrets.token_hex(4))
        return cls(spec, background.run(_joined_room(settings, spec["model_name"])))

    def generate_response(self, messages: Messages) -> Reply:
        """Show the person what is new in a dialogue, and wait for the answer.

        Args:
            messages: the dialogue; neighbouring messages of one role are merged.

        Returns:
            The events that were sent into the room, what was heard in it until the answer, and the answer's text.

        Raises:
            GenerationArgumentError: the entry says ``on_unsupported: error``, and some were asked for.
            MessagesError: something cannot be shown in the room; nothing was sent.
            RemoteCallError: no answer came in time, or the server failed.
        """
        return background.run(self._answer(messages))

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Ask without blocking the event loop; otherwise as :meth:`generate_response`."""
        return await background.run_async(self._answer(messages))

    @property
    def shown(self) -> Shown:
        """What the person has seen and said in the current conversation.

        This is the only state that a call leaves for the next one. Each call reads it once, when it begins.
        """
        return self._shown

    async def _answer(self, messages: Messages) -> Reply:
        room, shown, ledger = self._room, self.shown, self._ledger()
        events = events_of(messages, self.model_spec, shown, room.number)
        if has_images(events) and not room.settings.shows_images:
            raise MessagesError(
                f"model '{self.name}': the room's layout cannot show images; add "
                '"incoming-image": "display-image" to its scripts'
            )
        sent: list[Event] = []
        begin, incidents = time.monotonic(), len(room.conversation.incidents)

        def facts() -> dict[str, Any]:
            slurk = {
                "url": room.settings.endpoint.base_url,
                "room": room.number,
                "incidents": room.conversation.incidents[incidents:],
                "seconds": round(time.monotonic() - begin, 3),
                **({} if room.settings.endpoint.verify_tls else {"tls_verified": False}),
            }
            # A replay compares the hash, because only a part of the messages may have been shown.
            return {
                **ledger.facts(),
                "messages_sha256": sha256_of(messages),
                "slurk": slurk,
                "versions": {"python-socketio": importlib.metadata.version("python-socketio")},
            }

        try:
            answer = await room.conversation.ask(events, sent)
        except RemoteCallError as fault:
            fault.prompt = {"sent": sent} if sent else None
            fault.facts = facts()
            raise
        except asyncio.CancelledError:
            if not sent:
                raise
            where = f"model '{self.name}' (backend slurk): room {room.number}"
            stopped = InterruptedCallError(f"{where}: interrupted before an answer came", prompt={"sent": sent})
            stopped.facts = facts()
            raise background.Stopped(stopped) from None
        shown.answered(messages)
        known = facts()
        if answer.unasked:
            known["slurk"]["unasked"] = answer.unasked
        known["outcome"] = "answer" if answer.text else "empty"
        return Reply({"sent": sent}, {"received": answer.received}, answer.text, known)

    def _ledger(self) -> Ledger:
        ledger = Ledger(self.name, self.asked_gen_args, self._room.settings.on_unsupported)
        for name, value in self.gen_args.items():
            ledger.unsupported(name, _WHY_NOT_SENT, value=value)
        ledger.require()
        return ledger

    def reset(self) -> None:
        """Tell the person's page that the episode is done; the next dialogue is shown from its beginning."""
        self._shown = Shown()
        background.run(self._room.conversation.command("done"))

    def close(self) -> None:
        """Leave the room and close it as the entry says (``on_close``); also done when the model is deleted."""
        self._closing.detach()
        background.run(self._room.close())


async def _joined_room(settings: Settings, name: str) -> Room:
    room = Room(settings, name)
    await room.open()
    try:
        await room.wait_for_person(show)
    except BaseException:
        await room.close()
        raise
    return room


def _close_later(room: Room) -> None:
    background.post(room.close())
