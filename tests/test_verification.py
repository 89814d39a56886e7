"""Verifying records: every hash from the bytes of the file, structure, times; and comparing two records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, secrets
from clemcore.errors import ClemcoreError
from clemcore.verify import first_difference, verify
from support.clem import Clem
from support.remote import CANARY, DIALOGUE, HELLO, open_model, write_keys
from support.wire_server import Answer, WireServer, completion, refusal

HARD = [{"role": "user", "content": 'ä "quoted" \\ / \u2028 \U0001f600 \x00 1e400 \ud7ff'}]


def _calls() -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = json.loads(Path("requests.json").read_text())
    return calls


@pytest.fixture
def recorded(wire_server: WireServer) -> WireServer:
    """requests.json: three answers, a refusal, no JSON at all, and a call that never left."""
    spaces = Answer(200, b'{"choices":[{"message":{"content":"x"},"logprobs":-1.0E-5}] ,\t"n":1.10}')
    html = Answer(502, b"<html><title>Bad gateway</title></html>")
    wire_server.script = [completion(), completion("ä\U0001f600"), spaces, refusal(400, "no"), html]
    model: Any = open_model(wire_server.url, total_timeout=0.3)
    with backends.record("requests.json"):
        for ask in (HELLO, HARD, DIALOGUE):
            model.generate_response(ask)
        for _ in range(2):
            with pytest.raises(ClemcoreError):
                model.generate_response(HELLO)
        model.set_gen_args(max_tokens=[1])
        with pytest.raises(ClemcoreError):
            open_model(wire_server.url, {"temperature": float("nan")}).generate_response(HELLO)
    return wire_server


def test_every_hash_is_proven_from_the_file(recorded: WireServer) -> None:
    report = verify("requests.json")
    assert report.findings == []
    assert (report.calls, report.failed, report.hashes, report.without_hashes) == (6, 3, 11, 0)
    assert report.linked == 6


@pytest.mark.parametrize("call", range(5))
@pytest.mark.parametrize("side", ["manipulated_prompt_obj", "raw_response_obj"])
def test_a_changed_byte_is_found(recorded: WireServer, call: int, side: str) -> None:
    from clemcore.calls.reader import read_record

    before = Path("requests.json").read_bytes()
    found = read_record("requests.json")[call]
    text = found.texts[side == "raw_response_obj"]
    begin = before.index(found.text.encode()) + found.text.encode().index(text.encode())
    letter = before.index(b"e", begin)
    Path("requests.json").write_bytes(before[:letter] + b"E" + before[letter + 1 :])
    wrong = verify("requests.json").wrong
    finding = next(each for each in wrong if each.field.endswith("_sha256"))
    assert finding.place == f"requests.json[{call}]"
    assert finding.field.endswith(("request_sha256", "response_sha256")[side == "raw_response_obj"])
    assert any(each.field == "clemcore.previous_sha256" for each in wrong)  # of the call behind it


def test_what_was_left_out_is_not_proven_and_not_wrong(wire_server: WireServer, clem: Clem) -> None:
    write_keys(openai_compatible={"api_key": CANARY})
    secrets.remember(CANARY)
    wire_server.script = [completion(f"{CANARY} you said")]
    with backends.record("requests.json"):
        open_model(wire_server.url).generate_response(HELLO)
    report = verify("requests.json")
    assert report.wrong == []
    assert all("left out, because it holds a key" in str(finding) for finding in report.unproven)
    assert "1 call; 1 hash proven; 1 call linked" in (shown := clem.ok("verify", "requests.json"))
    assert "2 not proven, 0 wrong" in shown
    assert clem("verify", "requests.json", "--strict").returncode == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"timestamp": "yesterday"}, "timestamp: must be an ISO time"),
        ({"clemcore": 7}, "clemcore: must be an object"),
        ({"clemcore.duration_seconds": -1}, "duration_seconds: must be a number"),
        ({"clemcore.response_text": None}, "response_text: must be text"),
        ({"clemcore.error": {"type": "X"}}, "error: must have type and message"),
        ({"clemcore.batch": {"index": 3, "size": 3}}, "batch: must have an index below its size"),
        ({"clemcore.model_spec": None}, "model_spec: is missing"),
        ({"clemcore.record_version": None}, "record_version: is missing"),
    ],
    ids=str,
)
def test_faults_of_the_structure(change: dict[str, Any], fault: str) -> None:
    with backends.record("requests.json"):
        backends.get_model_for("mock").generate_response(HELLO)
    (call,) = _calls()
    for path, value in change.items():
        *outer, name = path.split(".")
        (call[outer[0]] if outer else call)[name] = value
    Path("requests.json").write_text(json.dumps([call]))
    assert fault in str(verify("requests.json").wrong[0])


def test_the_order_of_times() -> None:
    with backends.record("requests.json"):
        for _ in range(2):
            backends.get_model_for("mock").generate_response(HELLO)
    calls = _calls()
    calls[0]["timestamp"] = "2999-01-01T00:00:00+00:00"
    Path("requests.json").write_text(json.dumps(calls))
    (finding,) = verify("requests.json").unproven
    assert (finding.place, finding.field) == ("requests.json[1]", "timestamp")


def test_older_records_are_checked_for_their_structure(clem: Clem) -> None:
    item = {"timestamp": "2025-03-01T12:00:00", "manipulated_prompt_obj": HELLO, "raw_response_obj": {"text": "x"}}
    Path("results").mkdir()
    Path("results/requests.json").write_text(json.dumps([item]))
    wrapped = {"meta": {"model_name": "m"}, "calls": [{"round": 0, "call": item}]}
    Path("results/player_1.requests.json").write_text(json.dumps(wrapped))
    shown = clem.ok("verify", "results")
    assert "2 calls; 0 hashes proven; 2 calls of an older release, checked for structure only" in shown
    report = json.loads(clem.ok("verify", "results", "--json"))
    assert (report["ok"], report["without_hashes"]) == (True, 2)


def test_two_records_are_compared_without_their_times(recorded: WireServer, clem: Clem) -> None:
    calls = _calls()
    for call in calls:
        call["timestamp"] = "2026-01-01T00:00:00+00:00"
        call["clemcore"]["duration_seconds"] = 99.5
        if "wire" in call["clemcore"]:
            call["clemcore"]["wire"]["seconds"] = {}
    Path("folded.json").write_text(json.dumps(calls))
    assert "other bytes" in str(first_difference("requests.json", "folded.json"))
    text = Path("requests.json").read_text()
    Path("other.json").write_text(text.replace('"duration_seconds": 0', '"duration_seconds": 1'))
    assert first_difference("requests.json", "other.json") is None
    assert "the same as other.json, except for times" in clem.ok(
        "verify", "requests.json", "--same-as", "other.json"
    )
    Path("other.json").write_text(text.replace("model-001", "model-002"))
    assert "model-001" in str(first_difference("requests.json", "other.json"))
    Path("other.json").write_text(json.dumps(calls[:-1]))
    done = clem("verify", "requests.json", "--same-as", "other.json", "--count", "7")
    assert done.returncode == 1
    assert "has 6 calls, not 7" in done.stderr
    assert "0 wrong" in done.stdout


def test_what_is_no_record_is_an_error(clem: Clem) -> None:
    assert "cannot be read" in clem.fails("verify", "nothing.json")
    Path("requests.json").write_text("{")
    assert "requests.json:1:2: is not valid JSON" in clem.fails("verify", "requests.json")
