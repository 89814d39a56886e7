"""Backend ``slurk``: a person in a browser answers, in a room on a slurk server (github.com/clp-research/slurk).

Every model is a room of its own, with the game master as a bot and one person in it. What is said there, and how
long it may take, is in the modules of this folder; this file says what the backend needs.
It imports no network library.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends.base import Backend, require
from clemcore.backends.slurk.content import Shown, events_of
from clemcore.backends.slurk.settings import check_settings, examine, resolve_settings
from clemcore.diagnosis import Row
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.registry.spec import ModelSpec


class Slurk(Backend):
    """Makes models that ask a person through a slurk server."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make a room, show where a person gets in, and wait until somebody has.

        Args:
            model_spec: the entry; the model gets a name of its own, because every room is another person.

        Raises:
            MissingExtraError: the Socket.IO library is not installed.
            SpecError: the entry lacks something or contradicts itself.
            MissingKeyError: there is no key.
            JoinTimeoutError: nobody has come within ``join_timeout``.
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
        gen_args: Mapping[str, Any],  # noqa: ARG003 - a person is sent none
        asked: Collection[str],  # noqa: ARG003
    ) -> Any:
        """Return the events that a first call would send into the room, whose number is not known yet."""
        check_settings(model_spec)
        return {"sent": events_of(messages, model_spec, Shown(), room=None)}

    @classmethod
    def examine(cls, model_spec: ModelSpec) -> list[Row]:
        """Return address, key, TLS, proxy, layout and deadlines; open no connection."""
        return examine(model_spec)
