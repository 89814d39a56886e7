"""Whether prompt, response and text have the hashes that stand in the record.

What went over a wire has the hash of its bytes; what did not has the hash of its canonical form.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from clemcore.calls.encoding import sha256_of_value
from clemcore.calls.reader import RecordedCall
from clemcore.secrets import MASK
from clemcore.verify.report import CheckedCall

_KEY = "it was left out, because it holds a key"
# How the recorder begins an entry. A program that writes the file anew changes the whitespace inside replies.
_BEGIN = '{"timestamp": '


def check_hashes(call: RecordedCall, checked: CheckedCall) -> None:
    """Prove what has a hash, and note what has none."""
    known = call.facts.get("wire")
    wire: dict[str, Any] = known if isinstance(known, dict) else {}
    has_wire = [_check_side(call, checked, wire, side) for side in ("request", "response")]
    hashes = call.facts.get("hashes")
    if isinstance(hashes, dict):
        for name, digest in hashes.items():
            _check_value(call, checked, name, digest)
    for is_proven, side, value in zip(has_wire, ("prompt", "response"), (call.prompt, call.response), strict=True):
        if not is_proven and value is not None and not (isinstance(hashes, dict) and side in hashes):
            checked.unproven(side, "has no hash in the record")


def _check_value(call: RecordedCall, checked: CheckedCall, name: str, digest: Any) -> None:
    field, value = _value_of(call, name)
    if field in call.left_out:
        checked.unproven(name, f"cannot be proven: {_KEY}")
    elif value is not None and sha256_of_value(value) == digest:
        checked.proven.append(name)
    else:
        checked.wrong(f"clemcore.hashes.{name}", f"is not that of the recorded {name}")


def _value_of(call: RecordedCall, name: str) -> tuple[str, Any]:
    """Return what a hash is of: the field of the record, and the value."""
    if name == "response_text":
        return name, call.facts.get(name)
    is_prompt = name in ("prompt", "input_ids")
    field, value = ("manipulated_prompt_obj", call.prompt) if is_prompt else ("raw_response_obj", call.response)
    if name in ("input_ids", "output_ids"):
        value = value.get(name) if isinstance(value, dict) else None
    return field, value


def _check_side(call: RecordedCall, checked: CheckedCall, wire: dict[str, Any], side: str) -> bool:
    """Prove the bytes of a request or a reply; tell whether they have a hash."""
    digest, size = wire.get(f"{side}_sha256"), wire.get(f"{side}_bytes")
    if digest is None:
        return False
    name = f"clemcore.wire.{side}_sha256"
    candidates = _sent(call) if side == "request" else received(call)
    data = next((one for one in candidates if hashlib.sha256(one).hexdigest() == digest), None)
    if data is None:
        why = _why_unproven(call, wire, side)
        if why is None:
            checked.wrong(name, f"is not that of the recorded {side}")
        else:
            checked.unproven(name, f"cannot be proven: {why}")
        return True
    checked.proven.append(side)
    if size is not None:
        checked.compare(f"clemcore.wire.{side}_bytes", size, len(data), f"the {side}")
    return True


def _sent(call: RecordedCall) -> Iterator[bytes]:
    """Give the bytes that a request may have had."""
    yield call.texts[0].encode("utf-8")
    yield from _rewritten(call.prompt)


def received(call: RecordedCall) -> Iterator[bytes]:
    """Give the bytes that a reply may have had; the first are those that the record says it had."""
    wire = call.facts["wire"]
    encoded, events = wire.get("response_base64"), wire.get("events")
    if isinstance(encoded, str):
        try:
            yield base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return
    if isinstance(events, str):
        yield events.encode("utf-8", "replace")
    around = (wire.get("response_before", ""), call.texts[1], wire.get("response_after", ""))
    if all(isinstance(part, str) for part in around):
        yield "".join(around).encode("utf-8", "replace")
    yield from _rewritten(call.response)


def _rewritten(value: Any) -> Iterator[bytes]:
    if isinstance(value, str):
        yield value.encode("utf-8", "replace")
    try:
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:  # half a character, which no body can hold
        return


def _why_unproven(call: RecordedCall, wire: dict[str, Any], side: str) -> str | None:
    """Return why bytes cannot be proven; None where they should have the hash."""
    field = "manipulated_prompt_obj" if side == "request" else "raw_response_obj"
    is_reply = side == "response" and "response_base64" not in wire
    reasons = (
        (field in call.left_out or (is_reply and wire.get("events", "") is None), _KEY),
        (is_reply and MASK in call.texts[1], "a key was masked in it"),
        (
            is_reply and wire.get("content_encoding"),
            f"the hash is that of the reply as {wire.get('content_encoding')}, which is recorded unpacked",
        ),
        (
            is_reply and wire.get("response_rewritten"),
            "the reply's bytes could not stand in the record, which holds it written anew",
        ),
        (
            not call.text.startswith(_BEGIN),
            "another program has written the file anew, so that the bytes are lost",
        ),
    )
    return next((why for holds, why in reasons if holds), None)
