"""What refusals mean, in the codes and words of each service: one example per row of the table, over the wire."""

from __future__ import annotations

import time
from typing import Any

import pytest

from clemcore.backends.service.http import refusals
from clemcore.backends.service.http.refusals import row_of, wait_in
from clemcore.backends.service.http.verdict import ATTEMPTS, fault_of
from clemcore.errors import RemoteCallError
from support.formats import FORMATS
from support.remote import HELLO
from support.wire_server import Answer, WireServer, refusal, reply


def quota_of(name: str, value: str, **more: Any) -> Answer:
    """A quota of Google, which stands in the details."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **more}]
    if name == "quotaId":
        details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{name: value}]}]
    else:
        details[0]["metadata"] = {name: value}
    details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.001s"})
    error = {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED"}
    return reply(429, {"error": {**error, "details": details}})


def in_base_resp(code: int, words: str) -> Answer:
    return reply(200, {"choices": None, "base_resp": {"status_code": code, "status_msg": words}})


LARGE = "Request too large for gpt-4o in organization o on tokens per min (TPM): Limit 30000, Requested 48000."
# Server, format, reply, kind.
EXAMPLES: list[tuple[str, str, Answer, str]] = [
    ("Cloudflare", "openai_compatible", Answer(403, b"error code: 1010"), "permission"),
    (
        "Cloudflare",
        "openai_compatible",
        Answer(403, b"Access denied | api.example used Cloudflare to restrict access"),
        "permission",
    ),
    ("Cloudflare", "openai_compatible", Answer(429, b"error code: 1015"), "rate_limit"),
    ("OpenAI", "openai", refusal(429, "no credits", code="credit_balance_exhausted"), "quota"),
    ("OpenAI", "openai-responses", refusal(429, "no", code="insufficient_quota"), "quota"),
    ("Z.ai", "openai_compatible", refusal(429, "Insufficient balance.", code="1113"), "quota"),
    ("Z.ai", "openai_compatible", refusal(429, "Limit of the day.", code="1304"), "quota"),
    ("Z.ai", "openai_compatible", refusal(429, "Too many at once.", code="1302"), "rate_limit"),
    ("Z.ai", "openai_compatible", refusal(429, "Much traffic.", code="1312"), "overloaded"),
    ("Z.ai", "openai_compatible", refusal(400, "Unsafe or sensitive.", code="1301"), "content_filter"),
    ("Z.ai", "openai_compatible", refusal(400, "Unknown model.", code="1211"), "not_found"),
    ("MiniMax", "openai_compatible", in_base_resp(1008, "insufficient balance"), "quota"),
    ("MiniMax", "openai_compatible", in_base_resp(1002, "rate limit"), "rate_limit"),
    ("MiniMax", "openai_compatible", in_base_resp(2049, "invalid api key"), "authentication"),
    ("MiniMax", "openai_compatible", in_base_resp(1026, "input new_sensitive"), "content_filter"),
    ("MiniMax", "openai_compatible", in_base_resp(2013, "invalid params"), "bad_request"),
    ("MiniMax", "openai_compatible", in_base_resp(1001, "request timeout"), "timeout"),
    ("MiniMax", "openai_compatible", in_base_resp(1033, "system error"), "server"),
    (
        "Moonshot",
        "openai_compatible",
        refusal(429, "Your account is suspended.", type="exceeded_current_quota_error"),
        "quota",
    ),
    ("Moonshot", "openai_compatible", refusal(429, "Engine.", type="engine_overloaded_error"), "overloaded"),
    (
        "Moonshot",
        "openai_compatible",
        refusal(400, "The request was rejected because it was considered high risk"),
        "content_filter",
    ),
    ("LiteLLM", "openai_compatible", refusal(400, "Budget has been exceeded!", type="budget_exceeded"), "quota"),
    ("Together", "openai_compatible", refusal(429, "Credit limit exceeded", type="credit_limit"), "quota"),
    ("Alibaba", "openai_compatible", refusal(400, "Access denied.", code="Arrearage"), "quota"),
    ("Alibaba", "openai_compatible", refusal(400, "No.", code="data_inspection_failed"), "content_filter"),
    (
        "Alibaba",
        "openai_compatible",
        refusal(400, "Input data may contain inappropriate content."),
        "content_filter",
    ),
    ("ByteDance", "openai_compatible", refusal(403, "Overdue.", code="AccountOverdueError"), "quota"),
    (
        "ByteDance",
        "openai_compatible",
        refusal(400, "No.", code="InputTextSensitiveContentDetected"),
        "content_filter",
    ),
    ("ByteDance", "openai_compatible", refusal(429, "Busy.", code="ServerOverloaded"), "overloaded"),
    ("OpenAI, Azure", "openai", refusal(400, "Invalid prompt.", code="invalid_prompt"), "content_filter"),
    ("OpenAI, Azure", "openai-responses", refusal(400, "No.", code="invalid_prompt"), "content_filter"),
    ("OpenAI, Azure", "openai", refusal(404, "No.", code="model_not_found"), "not_found"),
    (
        "Azure",
        "azure",
        refusal(400, "No.", code="x", innererror={"code": "ResponsibleAIPolicyViolation"}),
        "content_filter",
    ),
    ("Azure", "azure", refusal(400, "It triggered our content management policy."), "content_filter"),
    ("Anthropic, vLLM", "openai_compatible", refusal(500, "Busy.", type="overloaded_error"), "overloaded"),
    ("Cerebras", "openai_compatible", refusal(429, "High traffic.", code="queue_exceeded"), "overloaded"),
    (
        "xAI, Google, Cohere",
        "openai_compatible",
        reply(400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: sk."}),
        "authentication",
    ),
    ("OpenAI, Groq", "openai", refusal(429, LARGE, type="tokens", code="rate_limit_exceeded"), "rate_limit"),
    ("OpenAI, Groq", "openai_compatible", refusal(413, LARGE, type="tokens"), "rate_limit"),
    ("Google", "google", quota_of("quota_limit", "Gemini25ProRequestsPerDay"), "quota"),
    ("Google", "google", quota_of("quotaId", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"), "quota"),
    ("Google", "openai_compatible", quota_of("quotaId", "GenerateRequestsPerDayPerProject"), "quota"),
    ("Google", "google", quota_of("quotaId", "GenerateRequestsPerMinutePerProject"), "rate_limit"),
    ("Google", "google", refusal(429, "Your prepayment credits are depleted."), "quota"),
    ("OpenRouter", "openrouter", refusal(429, "Rate limit exceeded: free-models-per-min."), "rate_limit"),
    ("OpenRouter", "openrouter", refusal(429, "Rate limit exceeded: free-models-per-day."), "quota"),
    (
        "Cohere",
        "cohere",
        reply(429, {"message": "You are using a Trial key, which is limited to 20 API calls / minute."}),
        "rate_limit",
    ),
    ("any", "cohere", reply(429, {"message": "A Trial key is limited to 1000 API calls / month."}), "quota"),
    ("any", "anthropic", refusal(429, "Number of tokens has exceeded your daily rate limit"), "quota"),
    ("any", "openai_compatible", refusal(429, "Tokens per day limit exceeded - too many."), "quota"),
    ("any", "openai_compatible", refusal(429, "Tokens per minute limit exceeded."), "rate_limit"),
    ("any", "openai_compatible", refusal(403, "Insufficient credits: please top up."), "quota"),
    ("any", "openai_compatible", reply(200, {"error": {"message": "insufficient balance"}}), "quota"),
    ("Anthropic", "anthropic", refusal(400, "Your credit balance is too low to access it."), "quota"),
    ("Anthropic", "anthropic", refusal(400, "You have reached your specified API usage limits."), "quota"),
    ("Anthropic", "anthropic", refusal(429, "Extra usage is required for long context requests."), "quota"),
    ("Anthropic", "anthropic", refusal(400, "Output blocked by content filtering policy"), "content_filter"),
    (
        "xAI",
        "openai_compatible",
        reply(429, {"code": "exhausted", "error": "Your team has used all available credits."}),
        "quota",
    ),
    ("xAI", "openai_compatible", refusal(403, "Content violates usage guidelines."), "content_filter"),
    ("Fireworks", "openai_compatible", refusal(412, "Account of you is suspended."), "quota"),
    ("any", "openai_compatible", refusal(402, "You exceeded your monthly included credits."), "quota"),
    (
        "OpenAI",
        "openai",
        refusal(400, "Your prompt was flagged as potentially violating our usage policy."),
        "content_filter",
    ),
    ("DeepSeek", "openai_compatible", refusal(400, "Content Exists Risk"), "content_filter"),
]


@pytest.mark.usefixtures("quick_repeats")
@pytest.mark.parametrize(("server", "name", "answer", "kind"), EXAMPLES)
def test_each_refusal_is_what_its_service_means(
    wire_server: WireServer, server: str, name: str, answer: Answer, kind: str
) -> None:
    wire_server.script = [Answer(answer.status, answer.body, {**answer.headers, "X-Should-Retry": "false"})]
    with pytest.raises(RemoteCallError) as caught:
        FORMATS[name].model(wire_server.url).generate_response(HELLO)
    assert caught.value.kind == kind, caught.value
    assert caught.value.status == answer.status
    assert len(wire_server.requests) == 1


def found(name: str, answer: Answer) -> refusals.Row | None:
    """Return the row that a reply falls under."""
    from clemcore.backends.service.http.exchange import Exchange
    from clemcore.backends.service.limits import Limits

    exchange = Exchange("http://localhost", b"{}", Limits())
    exchange.take(answer.status, {}, answer.body)
    fault = fault_of(exchange, FORMATS[name].model("http://127.0.0.1:1")._errors.dialect)  # type: ignore[attr-defined]
    return row_of(answer.status, fault.codes, fault.message or "")


def test_every_row_of_the_table_has_its_example() -> None:
    rows = {id(row): server for server, name, answer, _ in EXAMPLES if (row := found(name, answer)) is not None}
    assert [row for row in refusals.ROWS if id(row) not in rows] == []
    assert all(row.server == rows[id(row)] for row in refusals.ROWS if row.server != "any")


# -- what waiting does not end -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "answer"),
    [(name, answer) for _, name, answer, kind in EXAMPLES if kind == "quota"]
    + [("openai", refusal(429, LARGE, code="rate_limit_exceeded"))],
)
def test_it_costs_one_request(wire_server: WireServer, name: str, answer: Answer) -> None:
    wire_server.script = [Answer(answer.status, answer.body, {**answer.headers, "Retry-After": "0"})]
    with pytest.raises(RemoteCallError) as caught:
        FORMATS[name].model(wire_server.url).generate_response(HELLO)
    assert len(wire_server.requests) == 1
    assert not caught.value.retryable


@pytest.mark.usefixtures("quick_repeats")
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (
            "cohere",
            reply(429, {"message": "You are using a Trial key, which is limited to 20 API calls / minute."}),
        ),
        ("openrouter", refusal(429, "Rate limit exceeded: free-models-per-min.")),
        ("google", quota_of("quotaId", "GenerateRequestsPerMinutePerProject")),
        ("openai", refusal(429, "Rate limit reached on requests per day (RPD). Please try again in 1ms.")),
        ("openai_compatible", in_base_resp(1002, "rate limit")),
    ],
)
def test_what_waiting_ends_is_waited_for(wire_server: WireServer, name: str, answer: Answer) -> None:
    wire_server.script = [answer, answer, FORMATS[name].answer()]
    assert FORMATS[name].model(wire_server.url).generate_response(HELLO)[2] == "Canberra."
    assert len(wire_server.requests) == 3


def test_a_daily_limit_that_ends_too_late_is_a_quota(wire_server: WireServer) -> None:
    wire_server.script = [refusal(429, "Rate limit of 50 per 86400s exceeded. Please wait 35000 seconds.")]
    with pytest.raises(RemoteCallError) as caught:
        FORMATS["openai_compatible"].model(wire_server.url).generate_response(HELLO)
    assert (caught.value.kind, caught.value.retry_after) == ("quota", 35000)
    assert len(wire_server.requests) == 1


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 20s. Visit our page.", 20),
        ("Please try again in 6ms.", 0.006),
        ("try again in 1h2m3s", 3723),
        ("Please retry after 18 seconds.", 18),
        ("Please wait 2 minutes before retrying", 120),
        ("Please retry in 34.5s.", 34.5),
        ("Please try again later", None),
        ("Retry after 5 requests", None),
        ("Please try again in 99999999999999s", None),
    ],
)
def test_words_say_how_long_to_wait(words: str, seconds: float | None) -> None:
    assert wait_in(words) == (None if seconds is None else pytest.approx(seconds))


def test_the_words_are_obeyed_where_no_header_says_it(wire_server: WireServer) -> None:
    wire_server.script = [refusal(429, "Please try again in 250ms."), FORMATS["openai"].answer()]
    begin = time.monotonic()
    FORMATS["openai"].model(wire_server.url).generate_response(HELLO)
    assert time.monotonic() - begin >= 0.25


def test_openrouter_names_the_time_of_the_reset(wire_server: WireServer) -> None:
    reset = str(int((time.time() + 40) * 1000))
    words = "Rate limit exceeded: free-models-per-min."
    wire_server.script = [refusal(429, words, metadata={"headers": {"X-RateLimit-Reset": reset}})]
    with pytest.raises(RemoteCallError) as caught:
        FORMATS["openrouter"].model(wire_server.url, model_config={"total_timeout": 20}).generate_response(HELLO)
    assert caught.value.kind == "rate_limit"
    assert 30 < (caught.value.retry_after or 0) <= 40
    assert len(wire_server.requests) == 1


# -- words -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("body", [b"error code: 1010", b"error code: 1020\n"])
def test_a_block_in_front_of_the_service_is_not_blamed_on_the_key(wire_server: WireServer, body: bytes) -> None:
    wire_server.script = [Answer(403, body)]
    with pytest.raises(RemoteCallError, match="Cloudflare, which stands in front of the service, blocks") as caught:
        FORMATS["openai_compatible"].model(wire_server.url).generate_response(HELLO)
    assert "may not use this model" not in str(caught.value)


ODD: list[Any] = [
    {"error": {"message": "no", "code": "9" * 5000}},
    {"error": {"message": "no", "code": "²²²", "details": 5}},
    {"error": {"message": "no", "details": [3, {"violations": 5, "metadata": []}], "retryDelay": 1}},
    {"error": {"message": "no", "details": [{"retryDelay": "1.2.3s"}], "status": ["x"]}},
    {"error": {"message": "no", "metadata": {"headers": {"X-RateLimit-Reset": 5}, "raw": [1]}}},
    {"error": {"message": "no", "innererror": [], "type": {}}},
    {"error": {"message": ["no"]}},
    {"errors": [{"message": "no", "code": 5021}], "success": False},
    {"base_resp": {"status_code": "no"}, "message": "no"},
    [{"error": {"message": "no"}}, {"error": 5}],
    [{"error": ["no"]}],
    "no",
]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("status", [400, 429])
def test_whatever_an_error_holds_is_an_error(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    monkeypatch.setattr("clemcore.backends.service.http.verdict.ATTEMPTS", {**ATTEMPTS, "rate_limit": 1})
    model = FORMATS[name].model(wire_server.url)
    for body in ODD:
        wire_server.script = [reply(status, body)]
        with pytest.raises(RemoteCallError) as caught:
            model.generate_response(HELLO)
        assert caught.value.kind in ("bad_request", "rate_limit")
        assert "no" in (caught.value.provider_message or "")
        assert caught.value.response == body
