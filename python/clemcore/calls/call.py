"""One call of a model: its reply, and its way into the record when it was answered or failed.

It does not know how a call is made, nor what a model is beyond its name, specification and arguments.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Protocol, cast

from clemcore.calls import recorder
from clemcore.calls.encoding import JsonText, encoded_once
from clemcore.calls.figures import with_usable_figures
from clemcore.calls.request import Request
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
Texts = tuple[JsonText | None, JsonText | None]


class Reply(tuple[Any, Any, str]):
    """The tuple ``(prompt, response, response_text)``, with the facts that go into the record beside it.

    Examples:
        >>> prompt, response, text = Reply({"q": 1}, {"a": 2}, "two", facts={"usage": {"output_tokens": 1}})
        >>> text
        'two'
    """

    facts: dict[str, Any]
    texts: Texts = (None, None)
    # The whole record, where the call is the repetition of one that was recorded before.
    record: JsonText | None = None

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


class Recordable(Protocol):
    """What a record says about a model."""

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
    """One call from its start to its place in the records, which it gets once.

    As a context manager it records what is raised inside. :meth:`answered` and :meth:`failed` write at once. Where
    many calls end together, or a loop must not wait for a disk, :meth:`put` and :meth:`put_failure` only hand the
    call over; then ``recorder.flush`` or ``recorder.flushed`` writes, and :meth:`check` says whether it worked.

    Args:
        model: whose call it is.
        request: what is asked.
    """

    __slots__ = ("_begin", "_model", "_record", "_reply", "_started", "is_put", "request")

    def __init__(self, model: Recordable, request: Request) -> None:
        """Start the clock."""
        self._model = model
        self.request = request
        self._started = time.time()
        self._begin = time.perf_counter()
        self.is_put = False
        self._record: recorder.FinishedCall | None = None
        self._reply: Reply | None = None

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
            Exception: it could not be recorded; the error has the answer as ``reply``.
        """
        reply = self.put(result)
        self.check(self.flush())
        return reply

    def failed(self, error: BaseException) -> None:
        """Record what the call failed with; nothing where it was recorded already."""
        if not self.is_put:
            self.put_failure(error)
            self.check(self.flush())

    def flush(self) -> Mapping[int, Exception]:
        """Write what was put; return what sinks failed with."""
        return recorder.flush(self.request.scope.sinks) if self._record is not None else {}

    def check(self, failures: Mapping[int, Exception]) -> None:
        """Raise what kept the call out of a record.

        Args:
            failures: what sinks failed with, by their ``id``.

        Raises:
            Exception: it could not be recorded; the error has the answer as ``reply``.
        """
        if self._record is None or (not failures and self._record.error is None):
            return
        mine = (failures[id(sink)] for sink in self.request.scope.sinks if id(sink) in failures)
        error = self._record.error or next(mine, None) if failures else self._record.error
        if error is not None:
            raise _with_reply(error, self._reply)

    def put(self, result: Any) -> Reply:
        """Hand an answer to the records and return it as a reply, which the caller may get only after the write.

        Raises:
            TypeError: it is not ``(prompt, response, response_text)``.
        """
        if not isinstance(result, tuple) or len(result) != 3:  # noqa: PLR2004 - the documented tuple
            raise TypeError(
                f"{type(self._model).__name__} must answer with (prompt, response, response_text), "
                f"but gave {type(result).__name__}"
            )
        self.is_put = True
        prompt, response, text = result
        elapsed = time.perf_counter() - self._begin
        record = getattr(result, "record", None)
        if record is not None:  # of a call that was recorded before
            self._hand_over(recorder.FinishedCall.of_text(record, self.request.scope.labels))
            self._reply = Reply(prompt, response, text, getattr(result, "facts", None))
            return self._reply
        body = response
        if isinstance(response, dict) and not isinstance(response, ReceivedBody) and "clem_player" not in response:
            response = ReceivedBody(response)
            response.clem_player = {
                "call_start": str(datetime.fromtimestamp(self._started)),  # local, as in 3.7.2
                "call_duration": str(timedelta(seconds=elapsed)),
                "response": text,
                "model_name": self._model.name,
            }
        facts = self._with_batch(getattr(result, "facts", None) or {})
        sent, received = getattr(result, "texts", (None, None))
        if not _are_counts(facts.get("usage")) or not _are_counts(facts.get("cost")):
            facts = with_usable_figures(facts, self._model.name)
        reply = self._reply = Reply(prompt, response, text, facts)
        if self.request.scope.sinks:
            self._hand_over(
                recorder.finished(
                    started=self._moment(),
                    duration=elapsed,
                    prompt=prompt if sent is None else sent,
                    response=body if received is None else received,
                    text=text,
                    facts=_facts(self._model, facts, self.request.gen_args),
                    labels=self.request.scope.labels,
                )
            )
        return reply

    def put_failure(self, error: BaseException) -> None:
        """Hand over what the call failed with; nothing where it was handed over already."""
        if self.is_put or not self.request.scope.sinks or not getattr(error, "is_recorded", True):
            return
        self.is_put = True
        # An interrupt, or a cancellation, carries what it has stopped where that is known.
        error = getattr(error, "stopped_call", error)
        record = getattr(error, "record", None)
        if record is not None:  # of a call that was recorded before
            self._hand_over(recorder.FinishedCall.of_text(record, self.request.scope.labels))
            return
        prompt = getattr(error, "prompt", None)
        sent, received = getattr(error, "texts", (None, None))
        known = getattr(error, "facts", None)
        facts = self._with_batch(dict(known) if isinstance(known, Mapping) else {})
        self._hand_over(
            recorder.finished(
                started=self._moment(),
                duration=time.perf_counter() - self._begin,
                prompt=sent or (self.request.messages if prompt is None else prompt),
                response=received or getattr(error, "response", None),
                text=None,
                facts=_facts(self._model, facts, self.request.gen_args),
                error=error,
                labels=self.request.scope.labels,
            )
        )

    def _hand_over(self, record: recorder.FinishedCall) -> None:
        self._record = record
        recorder.put(record, self.request.scope.sinks)

    def _with_batch(self, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        batch = self.request.batch
        return facts if batch is None else {**facts, "batch": {"index": batch[0], "size": batch[1]}}

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._started, timezone.utc).astimezone()


def _are_counts(part: Any) -> bool:
    """Tell at a glance whether figures can be summed up; :func:`with_usable_figures` looks at others closely."""
    return not part or (type(part) is dict and all(type(value) is int and value >= 0 for value in part.values()))


def _with_reply(error: Exception, reply: Reply | None) -> Exception:
    """Return the error of this call alone; several calls may have failed in one write."""
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error that cannot be copied is shared
        own = error
    own.__cause__ = error.__cause__
    with contextlib.suppress(AttributeError):  # an error without a dict of its own
        own.reply = reply  # type: ignore[attr-defined]
    return own


def _facts(model: Recordable, facts: Mapping[str, Any], of_this_call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a record; what stays the same from call to call is encoded already."""
    from clemcore._core import __version__

    rest = dict(facts)
    asked = {**model.asked_gen_args, **of_this_call}
    everything = {**model.gen_args, **of_this_call}
    gen_args = {
        "all": everything,
        "asked": asked,
        "defaults": sorted(name for name in everything if name not in asked),
        "sent": rest.pop("sent", None),
    }
    fixed = {
        **_encoded_spec(model.model_spec),
        "gen_args": encoded_once(gen_args),
        "versions": encoded_once({"clemcore": __version__, **rest.pop("versions", {})}),
    }
    if "parameters" in rest:
        rest["parameters"] = encoded_once(rest["parameters"])
    return {**fixed, **rest}


# Specifications never change; the text stands beside the specification itself, so that no other has its id.
_encoded_specs: dict[int, tuple[ModelSpec, dict[str, Any]]] = {}
_MOST_SPECS = 256


def _encoded_spec(spec: ModelSpec) -> dict[str, Any]:
    known = _encoded_specs.get(id(spec))
    if known is None:
        if len(_encoded_specs) >= _MOST_SPECS:
            _encoded_specs.clear()
        fields: dict[str, Any] = {"model_spec": encoded_once(mask_fields(spec.to_dict()))}
        if changes := changes_of(spec):
            fields["overridden"] = changes
        known = _encoded_specs[id(spec)] = spec, fields
    return known[1]
