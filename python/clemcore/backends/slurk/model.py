"""The model of a room: a dialogue goes in, and the person's answer comes out.

It does not know how the bot is connected, or how a question reaches the person.
"""

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
from clemcore.calls.conversation import state_of
from clemcore.errors import InterruptedCallError, MessagesError, RemoteCallError
from clemcore.messages import Messages, sha256_of
from clemcore.model import Model, Reply
from clemcore.registry.spec import ModelSpec
from clemcore.visible import visible

_WHY_NOT_SENT = "a person answers, and a person takes no generation arguments"


def show(text: str) -> None:
    """Print the link to a room; on standard error and never in a log, because the link holds a token."""
    print(visible(text), file=sys.stderr, flush=True)


class SlurkModel(Model):
    """A person in a room of a slurk server.

    The person answers one dialogue at a time. Calls from several threads wait for each other, and there are no
    batches.
    """

    def __init__(self, model_spec: ModelSpec, room: Room) -> None:
        """Take a room that the bot and the person have entered.

        Args:
            model_spec: the entry, with the name of this room's person.
            room: the room. The model closes it at its end.
        """
        super().__init__(model_spec)
        self._room = room
        self._closing = weakref.finalize(self, _close_later, room)
        self._closing.atexit = False  # at exit, the background loop closes the rooms

    @classmethod
    def joined(cls, model_spec: ModelSpec, settings: Settings) -> SlurkModel:
        """Make a room, wait until a person has entered, and return the model of this person.

        As in 3.7.2, each person is a model with a random name of eight characters, so that the results of two
        persons are never mixed up.
        """
        spec = model_spec.rename(secrets.token_hex(4))
        return cls(spec, background.run(_joined_room(settings, spec["model_name"])))

    def generate_response(self, messages: Messages) -> Reply:
        """Show the person the new part of a dialogue, and wait for the answer.

        Args:
            messages: the dialogue. Neighbouring messages of the same role are merged.

        Returns:
            The events that were sent into the room, the events from the question to the answer, and the answer's
            text.

        Raises:
            GenerationArgumentError: generation arguments were set, and the entry says ``on_unsupported: error``.
            MessagesError: a message cannot be shown in the room. Nothing was sent.
            RemoteCallError: no answer came in time, or the server failed.
        """
        return background.run(self._answer(messages, self.shown, self._ledger()))

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Do the same as :meth:`generate_response`, without blocking the event loop."""
        return await background.run_async(self._answer(messages, self.shown, self._ledger()))

    @property
    def shown(self) -> Shown:
        """What the person has seen and said in the current conversation.

        This is the only state that a call leaves for the next one. Each call reads it once, when it begins.
        """
        return state_of(self, Shown)

    async def _answer(self, messages: Messages, shown: Shown, ledger: Ledger) -> Reply:
        room = self._room
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
        """End the episode: the person's page is cleared, and the next dialogue is shown from its beginning."""
        super().reset()
        background.run(self._room.conversation.command("done"))

    def close(self) -> None:
        """Leave the room, and close it as the entry says (``on_close``); deleting the model does the same."""
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
