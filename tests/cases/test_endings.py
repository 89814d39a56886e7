"""How replies end: what is an answer, what is a failure and is asked for again, and what nobody can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.dialects.base import NoAnswerError
from clemcore.backends.service.dialects.chat_completions import ChatCompletions
from clemcore.backends.service.dialects.finish_reasons import FINISH_REASONS
from clemcore.errors import BadReplyError, OverloadedError, RemoteCallError, ServerError, SpecError
from clemcore.registry.spec import ModelSpec
from support.anthropic_wire import message
from support.formats import FORMATS
from support.google_wire import generated
from support.mistral_wire import chat
from support.mistral_wire import completion as mistral_completion
from support.remote import ask, open_model
from support.wire_server import Answer, WireServer, completion, reply, response


@pytest.fixture(autouse=True)
def _quick_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clemcore.backends.service.http.retries.FIRST_WAIT", 0.001)


# -- every finish reason that is documented ----------------------------------------------------------------------
# For a reply with some text: its outcome, or the kind of error that it is.
ROWS = {
    "answer": "stop length tool_calls function_call repetition matched_eos eos_token stop_sequence eos eosFound "
    "stopStringFound toolCalls maxPredictedTokensReached contextLengthReached end_turn done max_output "
    "model_length MAX_TOKENS model_context_window_exceeded tool_use COMPLETE TOOL_CALL ERROR_LIMIT CONTINUATION "
    "completed max_output_tokens max_messages",
    "content_filter": "content_filter sensitive ERROR_TOXIC SAFETY RECITATION LANGUAGE BLOCKLIST "
    "PROHIBITED_CONTENT SPII ESCALATION MODEL_ARMOR IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION "
    "guardrail_intervened content_filtered content-filter content_filter:_OTHER",
    "refusal": "refusal",
    "bad_reply, again": "abort error load unload modelUnloaded network_error MALFORMED_FUNCTION_CALL "
    "MALFORMED_RESPONSE UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE function_call_filter "
    "malformed_model_output malformed_tool_use failed",
    "bad_reply, once": "userStopped USER_CANCEL pause_turn steered cancelled",
    "overloaded, again": "insufficient_system_resource",
    "timeout, again": "TIMEOUT",
    "unknown": "OTHER FINISH_REASON_UNSPECIFIED incomplete whatever stop? null",
}
EACH = [(reason, meaning) for meaning, reasons in ROWS.items() for reason in reasons.split()]
SPEC = ModelSpec(model_name="m")


@pytest.mark.parametrize(("reason", "meaning"), EACH)
def test_a_finish_reason_has_one_meaning(reason: str, meaning: str) -> None:
    body = json.loads(completion("Canb", finish_reason=reason).body)
    if "," not in meaning:
        text, facts = ChatCompletions().read(body, SPEC)
        assert (text, facts["outcome"]) == ("Canb", meaning)
        return
    with pytest.raises(NoAnswerError) as caught:
        ChatCompletions().read(body, SPEC)
    fault = caught.value
    assert f"{fault.kind}, {'again' if fault.may_repeat else 'once'}" == meaning
    assert fault.facts["usage"]["output_tokens"] == 4, "it may have to be paid for"


def test_every_finish_reason_has_its_test() -> None:
    assert FINISH_REASONS.keys() <= {reason.lower() for reason, _ in EACH}


@pytest.mark.parametrize("finish", [None, "", [], {}, 3, True, "x" * 5000, "\ud800"])
def test_an_ending_that_is_not_known_is_said_and_not_kept(
    wire_server: WireServer, finish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.loads(completion("Canberra.").body)
    body["choices"][0]["finish_reason"] = finish
    wire_server.script = [Answer(200, json.dumps(body).encode())]
    with backends.cache("calls.sqlite3"), backends.record("r.json"):
        model = open_model(wire_server.url)
        for _ in range(2):
            result = ask(model)
            assert (result.text, result.facts["outcome"]) == ("Canberra.", "unknown")
            assert result.facts["cache"] == "not kept"
    assert len(wire_server.requests) == 2
    assert caplog.text.count("a reply may be incomplete") == 1
    assert [call["clemcore"]["finish_reason"] for call in json.loads(Path("r.json").read_text())] == [finish] * 2


# -- a generation that failed ------------------------------------------------------------------------------------
def failed(code: int, words: str = "Upstream idle timeout exceeded", finish: str | None = "error") -> Answer:
    body = json.loads(completion("Canb", finish_reason=finish).body)
    body["choices"][0]["error"] = {"code": code, "message": words}
    return reply(200, body)


FAILURES = {
    "openai_compatible": [
        failed(502),
        failed(503, finish="stop"),
        completion("Canb", finish_reason="insufficient_system_resource"),
        completion("Canb", finish_reason="abort"),
        completion(choices=[]),
    ],
    "openrouter": [failed(502), completion("Canb", finish_reason="error"), completion(choices=[])],
    "mistral": [mistral_completion("Canb", "error")],
    "cohere": [chat("Canb", finish="ERROR"), chat("Canb", finish="TIMEOUT")],
    "google": [
        generated(candidates=None),
        generated(candidates=[]),
        generated("Canb", finishReason="MALFORMED_RESPONSE"),
    ],
    "openai-responses": [response("Canb", status="failed", error={"code": "server_error", "message": "oops"})],
}


@pytest.mark.parametrize(("name", "first"), [(name, each) for name, row in FAILURES.items() for each in row])
def test_a_generation_that_failed_is_asked_for_again_and_never_kept(
    wire_server: WireServer, name: str, first: Answer
) -> None:
    wire_server.script = [first, FORMATS[name].answer()]
    model = FORMATS[name].model(wire_server.url, {"max_tokens": 20}, prices={"input": 1, "output": 2})
    with backends.cache("calls.sqlite3"), backends.budget(1) as limit:
        replies = [ask(model) for _ in range(2)]
    assert [result.text for result in replies] == ["Canberra."] * 2
    assert [result.facts["cache"] for result in replies] == ["kept", "hit"]
    assert len(wire_server.requests) == 2
    (attempt,) = replies[0].facts["wire"]["failed_attempts"]
    assert attempt["status"] == 200
    assert limit.left == pytest.approx(1 - limit.spent), "nothing is left reserved"
    assert limit.spent > replies[0].facts["cost"]["usd"], "what failed is paid for too"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (failed(502), ServerError, "Upstream idle timeout exceeded"),
        (completion("Canb", finish_reason="insufficient_system_resource"), OverloadedError, "run out of resources"),
        (completion("Canb", finish_reason="error"), BadReplyError, "ended the answer with an error"),
        (completion(choices=[]), BadReplyError, "the reply has no choices"),
    ],
)
def test_one_that_fails_every_time_is_a_typed_error(
    wire_server: WireServer, answer: Answer, error: type[RemoteCallError], words: str
) -> None:
    wire_server.script = [answer]
    with backends.record("r.json"), pytest.raises(error, match=words) as caught:
        ask(open_model(wire_server.url))
    assert caught.value.retryable
    assert len(wire_server.requests) == caught.value.facts["wire"]["attempts"] > 1
    (call,) = json.loads(Path("r.json").read_text())
    assert call["raw_response_obj"] == json.loads(answer.body)
    assert call["clemcore"]["error"]["type"] == error.__name__


def test_the_service_says_that_it_must_not_be_asked_again(wire_server: WireServer) -> None:
    body = completion("Canb", finish_reason="error").body
    wire_server.script = [Answer(200, body, {"X-Should-Retry": "false"})]
    with pytest.raises(BadReplyError):
        ask(open_model(wire_server.url))
    assert len(wire_server.requests) == 1


def test_a_turn_that_is_paused_is_not_an_answer(wire_server: WireServer) -> None:
    wire_server.script = [message("Let me look.", stop_reason="pause_turn")]
    model = FORMATS["anthropic"].model(wire_server.url)
    with backends.cache("calls.sqlite3"), pytest.raises(BadReplyError, match="has paused") as caught:
        ask(model)
    assert not caught.value.retryable
    assert caught.value.facts["usage"] == {"input_tokens": 9, "output_tokens": 4}
    assert len(wire_server.requests) == 1, "asking again would cost again"


def test_a_failed_generation_costs_what_it_counts(wire_server: WireServer) -> None:
    wire_server.script = [Answer(200, completion("C", finish_reason="error").body, {"X-Should-Retry": "false"})]
    model = FORMATS["openai_compatible"].model(wire_server.url, prices={"input": 1, "output": 2})
    with backends.budget(1) as limit, pytest.raises(BadReplyError):
        ask(model)
    assert limit.spent == pytest.approx((9 * 1 + 4 * 2) / 1e6)
    assert limit.left == pytest.approx(1 - limit.spent)


def test_a_reply_that_an_older_version_kept_is_asked_for_again(wire_server: WireServer) -> None:
    """It took a failed generation for an answer; the file is still there."""
    import sqlite3
    from hashlib import sha256

    wire_server.script = [completion("Canberra.")]
    model = open_model(wire_server.url)
    with backends.cache("calls.sqlite3"):
        ask(model)
    for finish in ("insufficient_system_resource", "whatever"):
        body = completion("Canb", finish_reason=finish).body
        with sqlite3.connect("calls.sqlite3") as connection:
            ((status, headers),) = connection.execute("SELECT status, headers FROM replies").fetchall()
            digest = sha256(f"{status}\n{headers}\n".encode() + body).hexdigest()
            connection.execute("UPDATE replies SET body = ?, sha256 = ?", (body, digest))
        connection.close()
        wire_server.requests.clear()
        with backends.cache("calls.sqlite3"):
            results = [ask(model) for _ in range(2)]
        assert [result.text for result in results] == ["Canberra."] * 2
        assert [result.facts["cache"] for result in results] == ["kept", "hit"]
        assert results[0].facts["wire"]["attempts"] == len(wire_server.requests) == 1


# -- reasoning ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "message",
    [
        {"reasoning": "Think."},
        {"reasoning_content": "Think."},
        {"thinking": "Think."},
        {"reasoning": {"content": "Think."}},
        {"reasoning": None, "reasoning_details": [{"type": "reasoning.text", "text": "Think."}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Think."}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}, {"text": "Think."}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Think.", "signature": "x"}]},
        {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Think."}]}]},
        {"content": [{"type": "reasoning", "text": "Think."}]},
        {"content": [{"type": "reasoning", "reasoning": "Think."}]},
        {"content": [{"type": "thinking", "thinking": "Think."}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Th"}, {"text": "ink."}]}]},
    ],
)
def test_reasoning_is_read_in_every_form(wire_server: WireServer, message: dict[str, Any]) -> None:
    wire_server.script = [completion(None, message=message)]
    facts = ask(open_model(wire_server.url)).facts
    assert (facts["outcome"], facts["reasoning"]) == ("reasoning_only", "Think.")
    answer = [*message.get("content", []), {"type": "text", "text": "A."}] if "content" in message else "A."
    wire_server.script = [completion(None, message={**message, "content": answer})]
    result = ask(open_model(wire_server.url))
    assert (result.text, result.facts["outcome"], result.facts["reasoning"]) == ("A.", "answer", "Think.")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (["Canb", "erra."], "Canberra."),
        (["Canb", {"type": "text", "text": "erra."}], "Canberra."),
        ([{"type": "thinking", "thinking": "Think."}, "Canberra."], "Canberra."),
        ([5, None, ["Sydney."]], ""),
    ],
)
def test_texts_without_a_part_around_them_are_read(wire_server: WireServer, content: Any, text: str) -> None:
    wire_server.script = [completion(None, message={"content": content})]
    result = ask(open_model(wire_server.url))
    assert (result.text, result.facts["outcome"]) == (text, "answer" if text else "empty")


def test_paragraphs_of_a_summary_stay_apart(wire_server: WireServer) -> None:
    summary = [{"type": "summary_text", "text": words} for words in ("One.", "Two.")]
    wire_server.script = [completion(None, message={"content": [{"type": "reasoning", "summary": summary}]})]
    assert ask(open_model(wire_server.url)).facts["reasoning"] == "One.\n\nTwo."


@pytest.mark.parametrize("kind", ["image_url", "output_audio", "tool_result", "widget"])
def test_parts_of_other_types_are_not_reasoning(wire_server: WireServer, kind: str) -> None:
    wire_server.script = [completion(None, message={"content": [{"type": kind, "text": "Hm."}]})]
    facts = ask(open_model(wire_server.url)).facts
    assert facts["outcome"] == "empty"
    assert "reasoning" not in facts


def test_reasoning_that_cannot_be_read_is_reasoning(wire_server: WireServer) -> None:
    details = [{"type": "reasoning.encrypted", "data": "abc"}]
    wire_server.script = [completion(None, message={"reasoning_details": details})]
    facts = ask(open_model(wire_server.url)).facts
    assert facts["outcome"] == "reasoning_only"
    assert "reasoning" not in facts


# -- thoughts in the text ----------------------------------------------------------------------------------------
TAGS: dict[str, Any] = {"cot_start_tag": "<think>", "cot_end_tag": "</think>"}


@pytest.mark.parametrize(
    ("config", "sent", "expected"),
    [
        (TAGS, ("<think>Sydney is larger</think>Canberra.", "stop"), ("Canberra.", "Sydney is larger", "answer")),
        ({**TAGS, "cot_output": True}, ("<think>Hm.</think>\n\nA.", "stop"), ("A.", "Hm.", "answer")),
        # The chat template has written the first tag.
        (TAGS, ("Hm.\n</think>A.", "stop"), ("A.", "Hm.", "answer")),
        ({"cot_end_tag": r"</?think>\s*|\[END\]"}, ("Hm.[END] A.", "stop"), ("A.", "Hm.", "answer")),
        (TAGS, ("A.", "stop"), ("A.", None, "answer")),
        (TAGS, ("<think></think>A.", "stop"), ("A.", None, "answer")),
        (TAGS, ("<think>Hm.</think>", "stop"), ("", "Hm.", "reasoning_only")),
        (TAGS, ("<think>Hm. And", "length"), ("", "Hm. And", "length")),
        (TAGS, ("Hm. And", "length"), ("", "Hm. And", "length")),
        # Not declared, or turned off: the text stays as received.
        ({}, ("<think>Hm.</think>A.", "stop"), ("<think>Hm.</think>A.", None, "answer")),
        ({**TAGS, "cot_output": False}, ("<think>Hm.</think>A.", "stop"), ("<think>Hm.</think>A.", None, "answer")),
    ],
)
def test_thoughts_between_tags(
    wire_server: WireServer, config: dict[str, Any], sent: tuple[str, str], expected: tuple[str, str | None, str]
) -> None:
    text, finish = sent
    wire_server.script = [completion(text, finish_reason=finish)]
    result = ask(open_model(wire_server.url, **config))
    assert (result.text, result.facts.get("reasoning"), result.facts["outcome"]) == expected
    assert result.response["choices"][0]["message"]["content"] == text


def test_tags_are_read_in_every_format(wire_server: WireServer) -> None:
    text = "<think>Hm.</think>A."
    answers = {
        "openrouter": completion(text),
        "mistral": completion(text),
        "openai-responses": response(text),
        "anthropic": message(text),
        "google": generated(text),
        "cohere": chat(text),
    }
    for name, answer in answers.items():
        wire_server.script = [answer]
        result = ask(FORMATS[name].model(wire_server.url, model_config=TAGS))
        assert (result.text, result.facts["reasoning"]) == ("A.", "Hm.")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"cot_start_tag": "<think>"}, "cot_start_tag needs cot_end_tag"),
        ({"cot_output": True}, "cot_output needs cot_end_tag"),
        ({"cot_end_tag": "(</think>"}, "is not a regular expression"),
        ({"cot_end_tag": 3}, "cot_end_tag must be a string, not an integer"),
        ({"cot_endtag": "x"}, 'did you mean "cot_end_tag"'),
    ],
)
def test_tags_that_cannot_be_read(config: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        open_model("http://127.0.0.1:1", **config)
