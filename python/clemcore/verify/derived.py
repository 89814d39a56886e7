"""What follows from recorded bytes: text, counts, outcome, cost, arguments. It is computed again and compared.

Replies are read by the same code that read them when they came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clemcore._core import __version__
from clemcore.arguments.outcome import outcome_of
from clemcore.backends.lookup import packaged_backend
from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.base import Dialect
from clemcore.backends.service.http.reading import UnreadableError, json_in, plain
from clemcore.backends.service.streaming.events import events_of
from clemcore.calls.encoding import dumped
from clemcore.calls.reader import RecordedCall
from clemcore.errors import ClemcoreError
from clemcore.registry.prices import prices_of
from clemcore.registry.spec import ModelSpec
from clemcore.verify.hashes import received
from clemcore.verify.report import CheckedCall, Finding

# What is read from a reply, where the reply says it.
_READ = ("usage", "finish_reason", "outcome", "served_model", "system_fingerprint", "reasoning", "refusal")
_LARGEST = 64 * 1024 * 1024


def check_service(call: RecordedCall, checked: CheckedCall) -> None:
    """Read request and reply of a service again, and compare with what is recorded."""
    before = len(checked.findings)
    try:
        spec = ModelSpec.from_dict(call.facts["model_spec"])
        dialect = _dialect_of(spec, call.facts["dialect"])
    except (ClemcoreError, LookupError, TypeError, ValueError, AttributeError) as fault:
        checked.unproven("clemcore.dialect", f"the reply cannot be read again: {fault}")
        return
    _check_sent(call, checked, dialect)
    if "raw_response_obj" in call.left_out:
        checked.unproven(
            "clemcore.response_text", "cannot be compared: the reply was left out, because it holds a key"
        )
    elif call.response is not None:
        reply = _reply_of(call, checked, dialect)
        is_text = reply is None and isinstance(call.response, str)
        if is_text and call.error is None:  # it was too deep to stand in the record as JSON
            checked.unproven("clemcore.response_text", "cannot be compared: the reply cannot be read again")
        elif call.error is None:
            _check_answer(call, checked, dialect, spec, reply)
        else:
            _check_refusal(call, checked, dialect, reply)
    _check_cost(call, checked, spec)
    version = _version_of(call)
    if version != __version__:  # which may have read replies in another way
        checked.findings[before:] = [
            Finding(each.place, each.field, f"{each.what} (recorded by clemcore {version})", is_wrong=False)
            for each in checked.findings[before:]
        ]


def _version_of(call: RecordedCall) -> Any:
    versions = call.facts.get("versions")
    return versions.get("clemcore") if isinstance(versions, dict) else None


def _dialect_of(spec: ModelSpec, name: str) -> Dialect:
    """Return the packaged dialect that an entry speaks; no code of a user is run."""
    backend = packaged_backend(str(spec.get("backend")))
    if backend is None or not issubclass(backend, ServiceBackend):
        raise ValueError(f"the backend '{spec.get('backend')}' does not come with clemcore")
    dialect = backend.service_of(spec).dialect
    if dialect.name != name:
        raise ValueError(f"the entry speaks '{dialect.name}', not '{name}'")
    return dialect


def _check_sent(call: RecordedCall, checked: CheckedCall, dialect: Dialect) -> None:
    """Compare the arguments that are said to be sent with the request."""
    body, arguments = call.prompt, call.facts.get("gen_args")
    sent = arguments.get("sent") if isinstance(arguments, dict) else None
    has_left = _wire(call).get("request_sha256") is not None
    if not has_left or not isinstance(body, dict):
        return
    found = {name: value for name, value in body.items() if name not in dialect.own_fields}
    if isinstance(sent, dict) and "stream" not in sent and found.get("stream") is True:  # asked for in pieces
        found.pop("stream")
        found = {name: _as_asked(name, value, sent) for name, value in found.items()}
        if "stream_options" not in sent and found.get("stream_options") == {}:
            found.pop("stream_options")
    checked.compare("clemcore.gen_args.sent", sent, found, "the request")


def _as_asked(name: str, value: Any, sent: Mapping[str, Any]) -> Any:
    """Return a field of a streamed request without the wish for counts, which streams add to it."""
    asked = sent.get(name)
    if (
        name != "stream_options"
        or not isinstance(value, dict)
        or (isinstance(asked, dict) and "include_usage" in asked)
    ):
        return value
    return {key: item for key, item in value.items() if key != "include_usage"}


def _reply_of(call: RecordedCall, checked: CheckedCall, dialect: Dialect) -> Any:
    """Return the reply, read from the bytes where the record has them beside it."""
    wire, value = _wire(call), call.response
    data = next(received(call), b"") if "response_base64" in wire or "events" in wire else None
    if data is None:
        return _json(value) if isinstance(value, str) else value
    is_cut = "events" in wire and call.error is not None and isinstance(value, str)
    found = None if is_cut else _from_bytes(data, wire, dialect)
    if found is None:  # the bytes are not JSON, or a stream that was cut, so the record has them as text
        found = _unpacked(data, wire).decode("utf-8", "replace")
    checked.compare("raw_response_obj", value, json.loads(dumped(found)), "its bytes")
    return found


def _from_bytes(data: bytes, wire: Mapping[str, Any], dialect: Dialect) -> Any:
    data = _unpacked(data, wire)
    if "events" in wire and dialect.joiner is not None:
        joiner = dialect.joiner()
        for event in events_of(data):
            joiner.take(event)
        is_whole = joiner.is_complete or joiner.error is not None
        return joiner.body() if is_whole else None
    return _json(data)


def _unpacked(data: bytes, wire: Mapping[str, Any]) -> bytes:
    try:
        return plain(data, str(wire.get("content_encoding", "")), _LARGEST)
    except UnreadableError:
        return data


def _json(data: bytes | str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        found = json_in(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
        return None if found is None else found.value


def _check_answer(call: RecordedCall, checked: CheckedCall, dialect: Dialect, spec: ModelSpec, reply: Any) -> None:
    """Read an answer again."""
    try:
        text, read = dialect.read(reply, spec)
    except Exception as fault:  # noqa: BLE001 - a reply that was changed may fail in any way
        checked.wrong("raw_response_obj", f"holds no answer, but the call has one: {fault}")
        return
    read.setdefault("usage", {})
    read.setdefault("outcome", outcome_of(text, reasoned=bool(read.get("reasoning"))))
    found = json.loads(dumped(read))
    if "response_text" not in call.left_out:
        checked.compare("clemcore.response_text", call.facts.get("response_text"), text, "the reply")
    for name in dict.fromkeys((*_READ, *found)):
        if name not in call.left_out and (name in found or name in call.facts):
            checked.compare(f"clemcore.{name}", call.facts.get(name), found.get(name), "the reply")


def _check_refusal(call: RecordedCall, checked: CheckedCall, dialect: Dialect, reply: Any) -> None:
    """Compare the service's words with those in the error."""
    words = (call.error or {}).get("provider_message")
    try:
        fault = dialect.fault(reply)
    except Exception:  # noqa: BLE001 - as above
        fault = None
    if words is not None and fault is not None and fault.message is not None:
        checked.compare("clemcore.error.provider_message", words, fault.message, "the reply")


def _check_cost(call: RecordedCall, checked: CheckedCall, spec: ModelSpec) -> None:
    """Compute the cost from the recorded counts, with the prices of the recorded entry."""
    usage, recorded = call.facts.get("usage"), call.facts.get("cost")
    try:
        prices = prices_of(spec)
        usd = None if prices is None or not isinstance(usage, dict) else prices.cost(usage)
    except (ClemcoreError, ArithmeticError, TypeError, ValueError):
        return
    if usd is not None and call.facts.get("cache") == "hit":
        usd = 0.0
    found = None if usd is None or prices is None else {"usd": usd, "date": prices.date}
    if recorded is not None or (found is not None and call.error is None):
        checked.compare("clemcore.cost", recorded, found, "the entry with its prices")


def _wire(call: RecordedCall) -> dict[str, Any]:
    wire = call.facts.get("wire")
    return wire if isinstance(wire, dict) else {}


def check_local(call: RecordedCall, checked: CheckedCall) -> None:
    """Compare what a model on this machine has said with its parts."""
    facts, prompt, response = call.facts, call.prompt, call.response
    usage = facts.get("usage")
    if isinstance(usage, dict):
        for value, ids, count in ((prompt, "input_ids", "input_tokens"), (response, "output_ids", "output_tokens")):
            tokens = value.get(ids) if isinstance(value, dict) else None
            if isinstance(tokens, list) and count in usage:
                checked.compare(f"clemcore.usage.{count}", usage[count], len(tokens), ids)
    if isinstance(response, dict) and call.error is None:
        text = facts.get("response_text")
        if list(response) == ["text"] and isinstance(response["text"], str):  # mock and human
            said = response["text"]
            is_line = isinstance(text, str) and text != said
            checked.compare(
                "clemcore.response_text", text, said.rstrip("\r\n") if is_line else said, "the response"
            )
        if "finish_reason" in response and "finish_reason" in facts:
            checked.compare(
                "clemcore.finish_reason", facts["finish_reason"], response["finish_reason"], "the response"
            )
