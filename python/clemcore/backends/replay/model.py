"""A model that answers as a record says, call by call. It does not know how records are compared."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from clemcore import forks
from clemcore.backends.replay.answers import text_of
from clemcore.backends.replay.failures import failure_of
from clemcore.backends.replay.order import Asked, Order
from clemcore.calls.batch import Batch, Item
from clemcore.calls.encoding import LINK, JsonText
from clemcore.calls.reader import RecordedCall, read_record, record_files
from clemcore.calls.request import Request, running
from clemcore.errors import SpecError
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, ReceivedBody, Reply
from clemcore.registry.spec import REPLAY, ModelSpec


class ReplayModel(BatchGenerativeModel):
    """Answers as recorded; a call that is not the recorded one is an error.

    It has the recorded name, specification and generation arguments; made from an entry, the entry's name and
    specification.

    Attributes:
        path: the record.
    """

    conversations: ClassVar[int | None] = None

    def __init__(self, model_spec: ModelSpec) -> None:
        """Read the record."""
        self.path, wanted = _path_and_model(model_spec)
        files = _files_of(self.path, wanted)
        first = files[0][0]
        recorded = first.facts.get("model_spec")
        arguments = first.facts.get("gen_args")
        known = arguments.get("all") if isinstance(arguments, dict) else None
        self._recorded_gen_args: dict[str, Any] = dict(known) if isinstance(known, dict) else {}
        if "path" not in model_spec:
            fields = recorded if isinstance(recorded, dict) else {"model_name": first.model_name or self.path.stem}
            model_spec = ModelSpec.from_dict(fields)
        super().__init__(model_spec)
        self._order = _shared_order(self.path, first.model_name, files)

    @property
    def remaining(self) -> int:
        """Number of recorded calls that were not asked for yet."""
        return self._order.remaining

    def set_default_gen_args(self, defaults: Mapping[str, Any] | None = None) -> None:
        """Fill in the recorded generation arguments where none were given."""
        super().set_default_gen_args({**(defaults or {}), **self._recorded_gen_args})

    def generate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue as recorded.

        Raises:
            ReplayError: it differs from the recorded call, or no recorded call is left.
            Exception: what the recorded call failed with.
        """
        (call,) = self._order.take([self._asked(messages)])
        return self._repeated(call)

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue as recorded; see :meth:`generate_response`."""
        (call,) = self._order.take([self._asked(messages)])
        return self._repeated(call)

    def _asked(self, messages: Messages, item: Item | None = None) -> Asked:
        asked = self.asked_gen_args
        if item is not None:
            asked = {**asked, **item.request.gen_args}
        what = item.request if item is not None else running(self)
        labels = what.scope.labels if isinstance(what, Request) else {}
        return Asked(messages, asked, labels, None if item is None else item.index)

    def _answer_items(self, batch: Batch) -> None:
        """Answer several dialogues as recorded; they are recorded again in the order of the record.

        Raises:
            ReplayError: a dialogue differs from every recorded call that may come; none was answered.
        """
        items = batch.pending
        calls = self._order.take([self._asked(item.request.messages, item) for item in items])
        for number in sorted(range(len(calls)), key=lambda number: (str(calls[number].path), calls[number].index)):
            try:
                result: Any = self._repeated(calls[number])
            except Exception as error:  # noqa: BLE001 - a recorded failure; one item fails alone
                result = error
            batch.finish(items[number], result)

    def _repeated(self, call: RecordedCall) -> Reply:
        record = JsonText(call.text.encode("utf-8"))
        if call.error is not None:
            failure = failure_of(call)
            failure.record = record  # type: ignore[attr-defined]
            raise failure
        text = text_of(call)
        reply = Reply(call.prompt, self._received(call, text), text, _facts_of(call))
        reply.record = record
        return reply

    def _received(self, call: RecordedCall, text: str) -> Any:
        response = call.response
        if not isinstance(response, dict) or "clem_player" in response:
            return response
        body = ReceivedBody(response)
        started = call.started
        body.clem_player = {
            "call_start": "" if started is None else str(datetime.fromtimestamp(started)),
            "call_duration": str(timedelta(seconds=call.facts.get("duration_seconds", 0.0))),
            "response": text,
            "model_name": self.name,
        }
        return body


# What the record adds to the facts of a reply.
_OF_THE_RECORD = frozenset(
    {"record_version", "duration_seconds", "response_text", "model_spec", "gen_args", "hashes", "left_out", LINK}
)


def _facts_of(call: RecordedCall) -> dict[str, Any]:
    arguments = call.facts.get("gen_args")
    sent = arguments.get("sent") if isinstance(arguments, dict) else None
    rest = {name: value for name, value in call.facts.items() if name not in _OF_THE_RECORD}
    return rest if sent is None else {"sent": sent, **rest}


def _path_and_model(spec: ModelSpec) -> tuple[Path, str | None]:
    """Return the record's path, and the name of the model in it that is meant."""
    if "path" in spec:
        path, wanted = spec["path"], spec.get("model")
        if not isinstance(path, str) or not path or not (wanted is None or isinstance(wanted, str)):
            raise SpecError(f"model '{spec['model_name']}': 'path' and 'model' must be texts")
        return Path(path).expanduser(), wanted
    name: str = spec["model_name"]
    written = name.removeprefix(REPLAY)
    if not name.startswith(REPLAY) or not written:
        raise SpecError(
            f"model '{name}': backend replay needs a record: name the model {REPLAY}PATH, "
            'or add "path" to its entry'
        )
    path = Path(written).expanduser()
    if "#" not in written or path.exists():
        return path, None
    head, _, wanted = written.rpartition("#")
    return Path(head).expanduser(), wanted


def _files_of(path: Path, wanted: str | None) -> list[list[RecordedCall]]:
    """Return the calls of one model, file by file."""
    files = [read_record(file) for file in record_files(path)]
    names = list(dict.fromkeys(call.model_name for calls in files for call in calls))
    if not names:
        raise SpecError(f"{path} holds no calls: there is nothing to replay")
    if wanted is None and len(names) > 1:
        listed = ", ".join(f"{REPLAY}{path}#{name}" for name in names if name is not None)
        raise SpecError(f"{path} holds the calls of {len(names)} models: name one of {listed}")
    if wanted is not None and wanted not in names:
        import difflib

        near = difflib.get_close_matches(wanted, [name for name in names if name], n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has those of {', '.join(map(str, names))}"
        raise SpecError(f"{path} holds no calls of a model '{wanted}': {hint}")
    name = names[0] if wanted is None else wanted
    mine = [[call for call in calls if call.model_name == name] for calls in files]
    return [calls for calls in mine if calls]


# Two models of one record that are loaded before the first call, as for self-play, share its order.
_orders: weakref.WeakValueDictionary[tuple[str, str | None], Order] = weakref.WeakValueDictionary()
_orders_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_orders_lock")


def _shared_order(path: Path, name: str | None, files: Sequence[Sequence[RecordedCall]]) -> Order:
    key = (str(path.resolve()), name)
    with _orders_lock:
        order = _orders.get(key)
        if order is None or not order.is_untouched:
            what = f"replay of {path}" + (f", model '{name}'" if name is not None else "")
            order = _orders[key] = Order(files, what)
    return order
