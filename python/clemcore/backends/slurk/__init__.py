"""Backend ``slurk``: a person in a browser answers, in a room on a slurk server (github.com/clp-research/slurk).

Each model has a room of its own, with one person and the game master as a bot. This file only says what the backend
needs. It imports no network library, and it does not know how a room works: the other modules of this folder do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends.base import Backend, require
from clemcore.backends.slurk.content import Shown, events_of
from clemcore.backends.slurk.settings import examine, resolve_settings
from clemcore.diagnosis import Row
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.registry.settings import check_settings
from clemcore.registry.spec import ModelSpec


class Slurk(Backend):
    """Builds models that ask a person through a slurk server."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make a room, show its link, and wait until a person has entered.

        Args:
            model_spec: the entry. The model gets a new name, because each room means another person.

        Raises:
            MissingExtraError: the Socket.IO library is not installed.
            SpecError: the entry lacks a value or contradicts itself.
            MissingKeyError: no key was found.
            JoinTimeoutError: nobody entered within ``join_timeout``.
            RemoteCallError: the server refused or failed.
        """
        require("aiohttp", backend="slurk", extra="slurk")
        require("socketio", backend="slurk", extra="slurk")
        settings = resolve_settings(model_spec)
        from clemcore.backends.slurk.model import SlurkModel

        return SlurkModel.joined(model_spec, settings)

    @classmethod
    def render(
        cls,
        model_spec: ModelSpec,
        messages: Messages,
        gen_args: Mapping[str, Any],  # noqa: ARG003 - a person gets none
        asked: Collection[str],  # noqa: ARG003
    ) -> Any:
        """Return the events that a first call would send; the room's number is None, because no room exists yet."""
        check_settings(model_spec)
        return {"sent": events_of(messages, model_spec, Shown(), room=None)}

    @classmethod
    def examine(cls, model_spec: ModelSpec) -> list[Row]:
        """Return the address, key, TLS, proxy, layout and deadlines of an entry, without connecting."""
        return examine(model_spec)
