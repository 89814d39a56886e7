"""One call of a model: its reply, and its way into the record when it was answered or failed.

It does not know how a call is made, nor what a model is beyond its name, specification and arguments.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Protocol, cast

from clemcore import recording
from clemcore.messages import Messages
from clemcore.secrets import mask_fields
from clemcore.spec import ModelSpec


class ReceivedBody(dict[str, Any]):
    """A response body exactly as received, which also answers ``["clem_player"]``.

    3.7.2 stored its own bookkeeping under ``clem_player`` inside the received body. Here the body stays what came
    back (length, iteration, equality and JSON are the body's), and the bookkeeping is found when asked for.
    """

    clem_player: dict[str, Any] | None = None

    def __missing__(self, name: str) -> Any:
        """Answer ``clem_player``; anything else is missing."""
        if name == "clem_player" and self.clem_player is not None:
            return self.clem_player
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field of that name, ``clem_player`` included, or the default."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        """Tell whether ``[name]`` would answer."""
        return dict.__contains__(self, name) or (name == "clem_player" and self.clem_player is not None)


class Reply(tuple[Any, Any, str]):
    """The tuple ``(prompt, response, response_text)``, with the facts that go into the record beside it.

    Examples:
        >>> prompt, response, text = Reply({"q": 1}, {"a": 2}, "two", facts={"usage": {"output_tokens": 1}})
        >>> text
        'two'
    """

    facts: dict[str, Any]

    def __new__(cls, prompt: Any, response: Any, text: str, facts: Mapping[str, Any] | None = None) -> Reply:
        """Build the tuple.

        Args:
            prompt: the exact object that was sent to the model.
            response: the exact object that came back.
            text: the model's answer alone.
            facts: whatever else is known (``sent`` generation arguments, ``usage``, versions, timings, …), JSON.
        """
        self = super().__new__(cls, cast("Any", (prompt, response, text)))
        self.facts = dict(facts or {})
        return self

    def __getnewargs__(self) -> Any:
        """Copy and pickle by parts."""
        return (*self, self.facts)

    @property
    def prompt(self) -> Any:
        """The exact object that was sent."""
        return self[0]

    @property
    def response(self) -> Any:
        """The exact object that came back."""
        return self[1]

    @property
    def text(self) -> str:
        """The model's answer alone."""
        return self[2]


class Caller(Protocol):
    """What is recorded of a model."""

    model_spec: ModelSpec

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def gen_args(self) -> dict[str, Any]:
        """All generation arguments."""

    @property
    def asked_gen_args(self) -> dict[str, Any]:
        """Those that somebody asked for."""


class Call:
    """One call from its start to its place in the record, which it gets once.

    As a context manager it records what is raised inside.

    Args:
        model: whose call it is.
        messages: what was asked.
        batch: the call's place in its batch and the batch's size, or None.
    """

    def __init__(self, model: Caller, messages: Messages, batch: tuple[int, int] | None = None) -> None:
        """Start the clock."""
        self._model = model
        self._messages = messages
        self._more = {} if batch is None else {"batch": {"index": batch[0], "size": batch[1]}}
        self._started = datetime.now(timezone.utc).astimezone()
        self._begin = time.perf_counter()
        self._recorded = False

    def __enter__(self) -> Call:
        """Return the call itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record what was raised."""
        if error is not None:
            self.failed(error)

    def answered(self, result: Any) -> Reply:
        """Record an answer and return it as a reply.

        Raises:
            TypeError: it is not ``(prompt, response, response_text)``.
        """
        if not isinstance(result, tuple) or len(result) != 3:  # noqa: PLR2004 - the documented tuple
            raise TypeError(
                f"{type(self._model).__name__} must answer with (prompt, response, response_text), "
                f"but gave {type(result).__name__}"
            )
        self._recorded = True
        prompt, response, text = result
        elapsed = time.perf_counter() - self._begin
        if isinstance(response, dict) and not isinstance(response, ReceivedBody) and "clem_player" not in response:
            response = ReceivedBody(response)
            response.clem_player = {
                "call_start": str(self._started.replace(tzinfo=None)),
                "call_duration": f"{elapsed:.6f}",
                "response": text,
                "model_name": self._model.name,
            }
        facts = {**getattr(result, "facts", {}), **self._more}
        if recording.is_recording():
            recording.add_call(
                started=self._started,
                duration=elapsed,
                prompt=prompt,
                response=response,
                text=text,
                facts=_facts(self._model, facts),
            )
        return Reply(prompt, response, text, facts)

    def failed(self, error: BaseException) -> None:
        """Record what the call failed with; nothing where it was recorded already."""
        if self._recorded or not recording.is_recording():
            return
        self._recorded = True
        prompt = getattr(error, "prompt", None)
        known = getattr(error, "facts", None)
        facts = {**(known if isinstance(known, Mapping) else {}), **self._more}
        recording.add_call(
            started=self._started,
            duration=time.perf_counter() - self._begin,
            prompt=self._messages if prompt is None else prompt,
            response=getattr(error, "response", None),
            text=None,
            facts=_facts(self._model, facts),
            error=error,
        )


def _facts(model: Caller, facts: Mapping[str, Any]) -> dict[str, Any]:
    from clemcore import __version__

    rest = dict(facts)
    asked = model.asked_gen_args
    gen_args = {
        "all": dict(model.gen_args),
        "asked": asked,
        "defaults": sorted(name for name in model.gen_args if name not in asked),
        "sent": rest.pop("sent", None),
    }
    versions = {"clemcore": __version__, **rest.pop("versions", {})}
    return {
        "model_spec": mask_fields(model.model_spec.to_dict()),
        "gen_args": gen_args,
        "versions": versions,
        **rest,
    }
