"""What happens around a call: checks, timing, the record, generation arguments, identity."""

from __future__ import annotations

import copy
import json
import pickle
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import MessagesError
from clemcore.model import BatchGenerativeModel, Model, ReceivedBody, Reply
from clemcore.registry.spec import ModelSpec

ASK = [{"role": "user", "content": "Hello!"}]
SPEC = ModelSpec(model_name="parrot", backend="own")


class Parrot(BatchGenerativeModel):
    """As a backend written for 3.7.2 would define it."""

    def generate_response(self, messages: list[dict[str, Any]]) -> Any:
        text = messages[-1]["content"]
        if text == "fail":
            raise RuntimeError("no seeds")
        return {"sent": messages}, {"received": text}, text.strip()

    def generate_batch_response(self, batch_messages: list[list[dict[str, Any]]]) -> Any:
        return [self.generate_response(messages) for messages in batch_messages]


class LoudParrot(Parrot):
    def generate_response(self, messages: list[dict[str, Any]]) -> Any:
        prompt, response, text = super().generate_response(messages)
        return prompt, response, text.upper()


def _calls(path: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return loaded


def test_the_tuple_is_exact_and_carries_facts() -> None:
    reply = Parrot(SPEC).generate_response(ASK)
    prompt, response, text = reply
    assert (prompt, response, text) == ({"sent": ASK}, {"received": "Hello!"}, "Hello!")
    assert json.loads(json.dumps(response)) == {"received": "Hello!"}
    assert isinstance(reply, Reply)
    assert (reply.prompt, reply.response, reply.text) == tuple(reply)
    for copied in (copy.deepcopy(reply), pickle.loads(pickle.dumps(reply))):  # noqa: S301 - our own bytes
        assert copied == reply
        assert copied.facts == reply.facts


def test_the_bookkeeping_of_3_7_2_is_answered_but_not_stored() -> None:
    response = Parrot(SPEC).generate_response(ASK)[1]
    assert response["clem_player"]["model_name"] == "parrot"
    assert response["clem_player"]["response"] == "Hello!"
    assert re.fullmatch(r"0:00:00(\.\d{6})?", response["clem_player"]["call_duration"])
    assert "clem_player" in response
    assert response.get("clem_player")["response"] == "Hello!"
    assert response.get("nothing") is None
    assert list(response) == ["received"]
    assert copy.deepcopy(response)["clem_player"] == response["clem_player"]
    with pytest.raises(KeyError):
        response["nothing"]


def test_a_body_without_bookkeeping_is_a_dict() -> None:
    assert "clem_player" not in ReceivedBody(a=1)
    assert ReceivedBody(a=1) == {"a": 1}


def test_messages_are_checked_before_the_call() -> None:
    with pytest.raises(MessagesError, match=r"messages\[0\]"):
        Parrot(SPEC).generate_response([{"role": "user"}])
    with pytest.raises(MessagesError, match=r"batch_messages\[1\] must be a non-empty list"):
        Parrot(SPEC).generate_batch_response([ASK, []])
    assert Parrot(SPEC).generate_batch_response([]) == []


def test_a_call_is_recorded_once_however_it_is_made() -> None:
    with backends.record("requests.json") as recorder:
        LoudParrot(SPEC).generate_response(ASK)
        Parrot(SPEC).generate_batch_response([ASK, ASK])
    calls = _calls(recorder.path)
    assert [call["clemcore"]["response_text"] for call in calls] == ["HELLO!", "Hello!", "Hello!"]
    assert calls[0]["manipulated_prompt_obj"] == {"sent": ASK}
    assert calls[0]["raw_response_obj"] == {"received": "Hello!"}
    assert [call["clemcore"].get("batch") for call in calls] == [
        None,
        {"index": 0, "size": 2},
        {"index": 1, "size": 2},
    ]


def test_a_failed_call_is_recorded_too() -> None:
    model = Parrot(SPEC)
    with backends.record("requests.json") as recorder, pytest.raises(RuntimeError, match="no seeds"):
        model.generate_response([{"role": "user", "content": "fail"}])
    (call,) = _calls(recorder.path)
    assert call["clemcore"]["error"] == {"type": "RuntimeError", "message": "no seeds"}
    assert call["manipulated_prompt_obj"] == [{"role": "user", "content": "fail"}]
    assert call["raw_response_obj"] is None
    assert model.generate_response(ASK).text == "Hello!"


def test_threads_are_recorded_whole() -> None:
    model = Parrot(SPEC)
    with backends.record("requests.json") as recorder:
        threads = [
            threading.Thread(
                target=lambda n=n: [
                    model.generate_response([{"role": "user", "content": f"{n}"}]) for _ in range(20)
                ]
            )
            for n in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    texts = sorted(call["clemcore"]["response_text"] for call in _calls(recorder.path))
    assert texts == sorted(f"{n}" for n in range(5) for _ in range(20))


def test_a_model_must_answer_with_three_things() -> None:
    class Wrong(Model):
        def generate_response(self, messages: list[dict[str, Any]]) -> Any:
            return "text"

    with pytest.raises(TypeError, match="Wrong must answer with"):
        Wrong(SPEC).generate_response(ASK)


def test_generation_arguments() -> None:
    model = Parrot(SPEC)
    assert (model.temperature, model.max_tokens, model.gen_args) == (0.0, 300, {})
    model.set_gen_args(temperature=1.0, top_p=0.5)
    model.set_default_gen_args()
    assert model.gen_args == {"temperature": 1.0, "top_p": 0.5, "max_tokens": 300}
    assert model.asked_gen_args == {"temperature": 1.0, "top_p": 0.5}
    model.set_gen_arg("max_tokens", 5)
    assert model.asked_gen_args == {"temperature": 1.0, "top_p": 0.5, "max_tokens": 5}
    assert (model.get_max_tokens(), model.get_temperature(), model.get_gen_arg("top_p")) == (5, 1.0, 0.5)
    model.set_gen_args(temperature=0.1)
    assert model.gen_args == {"temperature": 0.1}
    with pytest.raises(AssertionError, match="'seed'"):
        model.get_gen_arg("seed")


def test_identity() -> None:
    one, two = Parrot(SPEC), Parrot(SPEC.rename("other"))
    assert one == Parrot(SPEC)
    assert one != two
    assert one != "parrot"
    assert len({one, Parrot(SPEC), two}) == 2
    assert (str(one), one.get_name(), repr(one)) == ("parrot", "parrot", "<Parrot name='parrot'>")
    assert Model.to_identifier([one, two]) == "parrot--other"
    assert Model.to_identifier([one, two, one]) == "group-3p-670b4629"
    one.set_gen_args(temperature=0.5)
    assert Model.to_infos([one])[0] == {"model_spec": SPEC.to_dict(), "gen_args": {"temperature": 0.5}}
    assert one.supports_batching()
    assert Model.all_support_batching([one, two])


def test_a_reply_is_built_without_facts() -> None:
    assert Reply(1, 2, "x").facts == {}
