"""One call of a model: its reply, and its way into the record when it was answered or failed.

It does not know how a call is made, nor what a model is beyond its name, specification and arguments.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Protocol, cast

from clemcore.calls import recorder
from clemcore.messages import Messages
from clemcore.registry.override import changes_of
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import mask_fields


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


# Prompt and response as JSON text, as far as their bytes are known.
Texts = tuple[recorder.JsonText | None, recorder.JsonText | None]


class Reply(tuple[Any, Any, str]):
    """The tuple ``(prompt, response, response_text)``, with the facts that go into the record beside it.

    Examples:
        >>> prompt, response, text = Reply({"q": 1}, {"a": 2}, "two", facts={"usage": {"output_tokens": 1}})
        >>> text
        'two'
    """

    facts: dict[str, Any]
    texts: Texts = (None, None)

    def __new__(
        cls,
        prompt: Any,
        response: Any,
        text: str,
        facts: Mapping[str, Any] | None = None,
        texts: Texts = (None, None),
    ) -> Reply:
        """Build the tuple.

        Args:
            prompt: the exact object that was sent to the model.
            response: the exact object that came back.
            text: the model's answer alone.
            facts: whatever else is known (``sent`` generation arguments, ``usage``, versions, timings, …), JSON.
            texts: prompt and response as the bytes that went over a wire, where they are JSON: the record gets
                these instead of the objects. Callers of a model do not see them.
        """
        self = super().__new__(cls, cast("Any", (prompt, response, text)))
        self.facts = dict(facts or {})
        if texts != (None, None):
            self.texts = texts
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

    As a context manager it records what is raised inside. :meth:`answered` and :meth:`failed` write at once. Where
    many calls end together, or a loop must not wait for a disk, :meth:`put` and :meth:`put_failure` only hand the
    call over; then ``recorder.flush`` or ``recorder.flushed`` writes, and :meth:`check` says whether it worked.

    Args:
        model: whose call it is.
        messages: what was asked.
        batch: the call's place in its batch and the batch's size, or None.
    """

    __slots__ = ("_batch", "_begin", "_entry", "_is_put", "_messages", "_model", "_started")

    def __init__(self, model: Caller, messages: Messages, batch: tuple[int, int] | None = None) -> None:
        """Start the clock."""
        self._model = model
        self._messages = messages
        self._batch = batch
        self._started = time.time()
        self._begin = time.perf_counter()
        self._is_put = False
        self._entry: recorder.Entry | None = None

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
            RecordError: it could not be written.
        """
        reply = self.put(result)
        recorder.flush()
        self.check()
        return reply

    def failed(self, error: BaseException) -> None:
        """Record what the call failed with; nothing where it was recorded already."""
        if not self._is_put:
            self.put_failure(error)
            recorder.flush()
            self.check()

    def check(self) -> None:
        """Raise what kept the call out of the record, where something did.

        Raises:
            RecordError: it could not be written.
        """
        if self._entry is not None:
            self._entry.check()

    def put(self, result: Any) -> Reply:
        """Hand an answer over to the record and return it as a reply, which nobody may get before the write.

        Raises:
            TypeError: it is not ``(prompt, response, response_text)``.
        """
        if not isinstance(result, tuple) or len(result) != 3:  # noqa: PLR2004 - the documented tuple
            raise TypeError(
                f"{type(self._model).__name__} must answer with (prompt, response, response_text), "
                f"but gave {type(result).__name__}"
            )
        self._is_put = True
        prompt, response, text = result
        elapsed = time.perf_counter() - self._begin
        if isinstance(response, dict) and not isinstance(response, ReceivedBody) and "clem_player" not in response:
            response = ReceivedBody(response)
            response.clem_player = {
                "call_start": str(datetime.fromtimestamp(self._started)),  # local, as in 3.7.2
                "call_duration": str(timedelta(seconds=elapsed)),
                "response": text,
                "model_name": self._model.name,
            }
        facts = getattr(result, "facts", None) or {}
        if self._batch is not None:
            facts = {**facts, "batch": {"index": self._batch[0], "size": self._batch[1]}}
        if recorder.is_recording():
            sent, received = getattr(result, "texts", (None, None))
            self._entry = recorder.put_call(
                started=self._moment(),
                duration=elapsed,
                prompt=prompt if sent is None else sent,
                response=response if received is None else received,
                text=text,
                facts=_facts(self._model, facts),
            )
        return Reply(prompt, response, text, facts)

    def put_failure(self, error: BaseException) -> None:
        """Hand over what the call failed with; nothing where it was handed over already."""
        if self._is_put or not recorder.is_recording():
            return
        self._is_put = True
        # An interrupt, or a cancellation, carries what it has stopped where that is known.
        error = getattr(error, "stopped_call", error)
        prompt = getattr(error, "prompt", None)
        sent, received = getattr(error, "texts", (None, None))
        known = getattr(error, "facts", None)
        facts = dict(known) if isinstance(known, Mapping) else {}
        if self._batch is not None:
            facts["batch"] = {"index": self._batch[0], "size": self._batch[1]}
        self._entry = recorder.put_call(
            started=self._moment(),
            duration=time.perf_counter() - self._begin,
            prompt=sent or (self._messages if prompt is None else prompt),
            response=received or getattr(error, "response", None),
            text=None,
            facts=_facts(self._model, facts),
            error=error,
        )

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._started, timezone.utc).astimezone()


def _facts(model: Caller, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a record; what stays the same from call to call is encoded already."""
    from clemcore._core import __version__

    rest = dict(facts)
    asked = model.asked_gen_args
    gen_args = {
        "all": model.gen_args,
        "asked": asked,
        "defaults": sorted(name for name in model.gen_args if name not in asked),
        "sent": rest.pop("sent", None),
    }
    changes = changes_of(model.model_spec)
    fixed = {
        "model_spec": _encoded_spec(model.model_spec),
        **({"overridden": changes} if changes else {}),
        "gen_args": recorder.encoded_once(gen_args),
        "versions": recorder.encoded_once({"clemcore": __version__, **rest.pop("versions", {})}),
    }
    if "parameters" in rest:
        rest["parameters"] = recorder.encoded_once(rest["parameters"])
    return {**fixed, **rest}


# Specifications never change; the text stands beside the specification itself, so that no other has its id.
_encoded_specs: dict[int, tuple[ModelSpec, recorder.JsonText]] = {}
_MOST_SPECS = 256


def _encoded_spec(spec: ModelSpec) -> recorder.JsonText:
    known = _encoded_specs.get(id(spec))
    if known is None:
        if len(_encoded_specs) >= _MOST_SPECS:
            _encoded_specs.clear()
        known = _encoded_specs[id(spec)] = spec, recorder.encoded_once(mask_fields(spec.to_dict()))
    return known[1]
