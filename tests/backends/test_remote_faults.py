"""A service with faults of every kind: all is answered, in order, once in the record, without waste."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.http.verdict import ATTEMPTS, wait_asked
from clemcore.errors import REMOTE_ERRORS, RemoteCallError
from support.remote import HELLO, open_model
from support.wire_server import Answer, Received, WireServer, completion, refusal, reply

FAULTS = {
    "429": (0.20, refusal(429, "slow down", headers={"Retry-After-Ms": "100"})),
    "500": (0.05, refusal(500, "oops")),
    "hang": (0.02, Answer(fault="hang")),
    "json": (0.01, Answer(200, b'{"choices": [', {"Content-Type": "application/json"})),
    "reset": (0.01, Answer(fault="reset")),
}


class Plan:
    """Which attempt of which question meets which fault: drawn from both, so that every client meets the same."""

    def __init__(self) -> None:
        self.attempts: Counter[int] = Counter()
        self.met: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, received: Received) -> Answer:
        number = int(received.json["messages"][0]["content"].split()[-1])
        with self._lock:
            attempt = self.attempts[number]
            self.attempts[number] += 1
            drawn = random.Random(f"{number} {attempt}").random()
            for name, (share, answer) in FAULTS.items():
                drawn -= share
                if drawn < 0:
                    self.met[name] += 1
                    return answer
        return completion(f"answer {number}")


@pytest.mark.slow
def test_a_thousand_questions_to_a_service_with_faults(wire_server: WireServer) -> None:
    plan = Plan()
    wire_server.script = [plan]
    model: Any = open_model(wire_server.url, max_connections=50, attempt_timeout=2, bad_reply_attempts=4)
    batch = [[{"role": "user", "content": f"question {number}"}] for number in range(1000)]
    with backends.record("requests.json") as recorder:
        replies = model.generate_batch_response(batch)
    assert [reply.text for reply in replies] == [f"answer {number}" for number in range(1000)]
    calls = json.loads(Path(recorder.path).read_text())
    asked = Counter(call["manipulated_prompt_obj"]["messages"][0]["content"] for call in calls)
    assert asked == Counter(f"question {number}" for number in range(1000)), "each once in the record"
    failed = [each for call in calls for each in call["clemcore"]["wire"].get("failed_attempts", [])]
    assert len(wire_server.requests) == 1000 + len(failed), "no request without a reason that is told"
    told = Counter(_met(each) for each in failed)
    # On a busy machine a good reply may be late too, and so may one of the other faults.
    late = told.pop("hang") - plan.met.pop("hang")
    assert late >= 0
    assert told.keys() == plan.met.keys() == FAULTS.keys() - {"hang"}
    assert 0 <= sum((plan.met - told).values()) <= late
    assert not told - plan.met


def _met(failed: dict[str, Any]) -> str:
    """Which fault of the plan a failed attempt was, by what the record says."""
    if failed.get("error") is None:
        return {429: "429", 500: "500", 200: "json"}[failed["status"]]
    return "hang" if "no whole reply in time" in failed["error"] else "reset"


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, {"message": "no"}, "authentication"),
        (402, {"message": "pay"}, "quota"),
        (403, {"message": "no"}, "permission"),
        (404, {"message": "The model `m` does not exist", "code": "model_not_found"}, "not_found"),
        (400, {"message": "no such model", "code": "model_not_found"}, "not_found"),
        (400, {"message": "no"}, "bad_request"),
        (422, {"message": "no"}, "bad_request"),
        (400, {"message": "filtered", "code": "content_filter"}, "content_filter"),
        (429, {"message": "spent", "code": "insufficient_quota"}, "quota"),
    ],
)
def test_what_is_final_costs_one_request_and_has_a_kind(
    wire_server: WireServer, status: int, error: dict[str, Any], kind: str
) -> None:
    wire_server.script = [reply(status, {"error": error})]
    with pytest.raises(RemoteCallError) as caught:
        open_model(wire_server.url).generate_response(HELLO)
    fault = caught.value
    assert type(fault) is REMOTE_ERRORS[kind]
    assert (fault.kind, fault.status, fault.retryable, fault.request_id) == (kind, status, False, "req_123")
    assert fault.provider_message == error["message"]
    assert len(wire_server.requests) == 1


@pytest.mark.parametrize(
    ("status", "asked", "requests"),
    [(500, "false", 1), (429, "False", 1), (400, "true", 3), (401, "true", 1), (500, "true", 6), (500, "maybe", 6)],
)
def test_the_service_says_whether_to_try_again(
    wire_server: WireServer, status: int, asked: str, requests: int
) -> None:
    wire_server.script = [refusal(status, "no", headers={"X-Should-Retry": asked, "Retry-After": "0"})]
    with pytest.raises(RemoteCallError, match="no") as caught:
        open_model(wire_server.url).generate_response(HELLO)
    assert len(wire_server.requests) == requests
    assert caught.value.retryable == (requests > 1)


def test_an_error_behind_a_good_status_is_judged_by_its_code(wire_server: WireServer) -> None:
    busy = reply(200, {"error": {"message": "upstream is busy", "code": 503}})
    wire_server.script = [busy, busy, completion()]
    assert open_model(wire_server.url).generate_response(HELLO)[2] == "Canberra."
    wire_server.requests.clear()
    wire_server.script = [reply(200, {"error": {"message": "no key", "code": "401"}})]
    with pytest.raises(RemoteCallError) as caught:
        open_model(wire_server.url).generate_response(HELLO)
    assert (caught.value.kind, len(wire_server.requests)) == ("authentication", 1)


def test_a_model_that_is_not_there_is_named_nearly(wire_server: WireServer) -> None:
    words = "no model model-001; there are other-7b, model-0001 and big-70b."
    wire_server.script = [refusal(404, words)]
    with pytest.raises(RemoteCallError, match=r"did you mean 'model-0001'\?"):
        open_model(wire_server.url).generate_response(HELLO)


def test_retryable_says_the_same_everywhere() -> None:
    assert {kind for kind, error in REMOTE_ERRORS.items() if error.retryable} == set(ATTEMPTS)


@pytest.mark.parametrize("value", ["nan", "inf", "-3", "", "Thu, 99 Foo 2020", "1e400", "0x10"])
def test_waits_that_are_none(value: str) -> None:
    assert wait_asked({"retry-after": value}) is None
