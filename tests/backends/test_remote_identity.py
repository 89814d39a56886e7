"""A change of who answers, within a run."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import IdentityChangeError, SpecError
from support.remote import HELLO, open_model
from support.wire_server import WireServer, completion

ONE = {"model": "m-2026-01", "system_fingerprint": "fp_1"}
TWO = {"model": "m-2026-09", "system_fingerprint": "fp_1"}
THREE = {"model": "m-2026-01", "system_fingerprint": "fp_2"}
SILENT = {"model": None, "system_fingerprint": None}


def script(server: WireServer, *identities: dict[str, Any]) -> None:
    server.script = [completion(**identity) for identity in identities]


def test_a_change_is_told_once_and_recorded_each_time(
    wire_server: WireServer, caplog: pytest.LogCaptureFixture
) -> None:
    script(wire_server, SILENT, ONE, ONE, TWO, TWO, THREE, SILENT, ONE)
    model: Any = open_model(wire_server.url)
    with caplog.at_level(logging.WARNING), backends.record() as recorder:
        for _ in range(8):
            model.generate_response(HELLO)
    told = [record.getMessage() for record in caplog.records if "another answers" in record.getMessage()]
    assert len(told) == 2
    assert "served_model was 'm-2026-01' and is 'm-2026-09'" in told[0]
    assert "system_fingerprint was 'fp_1' and is 'fp_2'" in told[1]
    calls = json.loads(Path(recorder.path).read_text())
    changes = [call["clemcore"].get("identity_change") for call in calls]
    other = {"served_model": {"first": "m-2026-01", "now": "m-2026-09"}}
    newer = {"system_fingerprint": {"first": "fp_1", "now": "fp_2"}}
    assert changes == [None, None, None, other, other, newer, None, None]


def test_a_change_can_stop_the_run(wire_server: WireServer) -> None:
    script(wire_server, ONE, TWO)
    model: Any = open_model(wire_server.url, on_identity_change="error")
    model.generate_response(HELLO)
    with backends.record() as recorder, pytest.raises(IdentityChangeError, match="is 'm-2026-09'") as caught:
        model.generate_response(HELLO)
    assert caught.value.response["model"] == "m-2026-09"
    assert len(wire_server.requests) == 2, "asking again would not help"
    (call,) = json.loads(Path(recorder.path).read_text())
    assert call["clemcore"]["error"]["type"] == "IdentityChangeError"


def test_a_change_can_be_of_no_interest(wire_server: WireServer, caplog: pytest.LogCaptureFixture) -> None:
    script(wire_server, ONE, TWO)
    model: Any = open_model(wire_server.url, on_identity_change="ignore")
    model.generate_response(HELLO)
    assert "identity_change" in model.generate_response(HELLO).facts
    assert "another answers" not in caplog.text


def test_another_word_is_refused() -> None:
    with pytest.raises(SpecError, match="on_identity_change must be one of warn, error, ignore, not"):
        open_model("http://127.0.0.1:1", on_identity_change="stop")
