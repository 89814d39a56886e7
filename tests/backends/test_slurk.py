"""Backend `slurk`: a person answers through a slurk server; server, connection and person are real, on loopback."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import logging
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends import requirements
from clemcore.backends.slurk import connection, conversation
from clemcore.backends.slurk.content import Shown, events_of
from clemcore.backends.slurk.settings import layout_of
from clemcore.errors import (
    AuthenticationError,
    BadRequestError,
    CertificateError,
    GenerationArgumentError,
    JoinTimeoutError,
    MessagesError,
    MissingKeyError,
    NotServedError,
    RemoteCallError,
    RemoteConnectionError,
    RemoteTimeoutError,
    ServerError,
    SpecError,
)
from clemcore.model import Model
from clemcore.registry.spec import ModelSpec
from clemcore.verify import verify
from support.certificates import write_certificate
from support.clem import Clem
from support.leaks import shown_by
from support.remote import write_keys
from support.slurk import ADMIN, Cable, Doorman, FakeSlurk, Person

ASK = [{"role": "user", "content": "Where?"}]
SOON = {"join_timeout": 0.3, "response_timeout": 0.3}


@pytest.fixture(autouse=True)
def _quick_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.05)


@pytest.fixture
def models() -> Iterator[list[Any]]:
    """The models of a test, closed at its end."""
    made: list[Any] = []
    yield made
    for model in made:
        model.close()


Open = Callable[..., Any]


@pytest.fixture
def open_room(slurk: FakeSlurk, doorman: Doorman, models: list[Any]) -> Open:
    """Make a model with a person who answers by a function."""

    def make(says: Callable[[str], str | None] | None = None, server: str | None = None, **entry: Any) -> Any:
        write_keys(slurk={"api_key": ADMIN, "slurk_host": server or slurk.url})
        doorman.server = slurk.url
        doorman.expect(says)
        model = backends.get_model_for({"model_name": "slurk", "override": {"response_timeout": 10, **entry}})
        models.append(model)
        until(lambda: len(doorman.persons) == len(models))
        return model

    return make


def until(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def knock(link: str) -> int:
    """Try to get in; return the status of the page."""
    person = Person(link)
    person.close()
    return person.status


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start something; the returned function waits for what it brings."""
    box: list[Any] = []

    def run() -> None:
        try:
            box.append(work())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            box.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> Any:
        thread.join(20)
        return box[0]

    return result


# -- dialogues -------------------------------------------------------------------------------------------------
def test_a_person_answers(open_room: Open, doorman: Doorman, slurk: FakeSlurk) -> None:
    model = open_room(lambda text: f"  {text} and in Käln 🎉\n")
    prompt, response, text = reply = model.generate_response(ASK)
    (room,) = slurk.tables["rooms"]
    assert prompt == {"sent": [{"event": "text", "data": {"message": "Where?", "room": room}}]}
    assert text == "  Where? and in Käln 🎉\n", "exactly as it came"
    assert [heard["event"] for heard in response["received"]] == ["text_message"]
    assert response["received"][0]["data"] == slurk.heard[-1][1]
    assert response["clem_player"]["response"] == text
    assert reply.facts["outcome"] == "answer"
    assert reply.facts["slurk"]["url"] == slurk.url
    assert doorman.persons[0].texts == ["Where?"]


def test_what_goes_over_the_wire_is_what_is_told(open_room: Open, slurk: FakeSlurk) -> None:
    prompt = open_room(lambda _: "ok").generate_response(ASK)[0]
    sent = [{"message": told["message"], "room": told["room"]} for _, told in slurk.heard[:-1]]
    assert sent == [event["data"] for event in prompt["sent"]]


def test_only_what_is_new_is_shown(open_room: Open, doorman: Doorman) -> None:
    model = open_room(lambda text: None if text == "You play a game." else f"re {text}")
    system = {"role": "system", "content": "You play a game."}
    first = [system, {"role": "user", "content": "one"}]
    assert model.generate_response(first).text == "re one"
    person = doorman.persons[0]
    assert person.texts == ["You play a game.", "one"]
    # The game has tidied the answer up before it came into the dialogue: it is the person's all the same.
    later = [*first, {"role": "assistant", "content": "RE"}, {"role": "user", "content": "two"}]
    assert model.generate_response(later).text == "re two"
    assert person.texts == ["You play a game.", "one", "two"]


def test_a_dialogue_that_the_person_has_not_seen_is_shown_in_full() -> None:
    spec = ModelSpec(model_name="slurk", backend="slurk")
    dialogue = [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "How can I help you?"},
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
    ]
    shown = Shown()
    texts = [event["data"]["message"] for event in events_of(dialogue, spec, shown, 1)]
    assert texts == ["Hello!", "[assistant] How can I help you?", "one\n\ntwo"]
    shown.answered(dialogue[:1])
    assert [event["data"]["message"] for event in events_of(dialogue, spec, shown, 1)] == ["one\n\ntwo"]


def test_the_same_words_twice_are_two_questions(open_room: Open, doorman: Doorman) -> None:
    answers = iter("abc")
    model = open_room(lambda _: next(answers))
    assert [model.generate_response(ASK).text for _ in range(3)] == ["a", "b", "c"]
    assert doorman.persons[0].texts == ["Where?"] * 3


def test_an_episode_ends(open_room: Open, doorman: Doorman) -> None:
    model = open_room(lambda _: "x")
    system = [{"role": "system", "content": "rules"}, *ASK]
    model.generate_response(system)
    model.reset()
    until(lambda: ("command", "done") in [(name, data.get("command")) for name, data in doorman.persons[0].saw])
    assert len(model.generate_response(system).prompt["sent"]) == 2, "the next one begins with the rules again"


def test_an_episode_that_ends_while_a_call_waits_leaves_nothing_to_the_next(
    open_room: Open, doorman: Doorman
) -> None:
    model, person = open_room(), doorman.persons[0]
    system = [{"role": "system", "content": "rules"}, *ASK]
    shown = model.shown
    answer = in_thread(lambda: model.generate_response(system))
    until(lambda: len(person.texts) == 2)
    done = in_thread(model.reset)
    until(lambda: model.shown is not shown)
    person.write("late")
    assert answer().text == "late"
    assert done() is None
    person._says = lambda _: "x"
    assert len(model.generate_response(system).prompt["sent"]) == 2


def test_two_players_sit_in_two_rooms(slurk: FakeSlurk, doorman: Doorman, models: list[Any]) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    doorman.expect(lambda text: f"A: {text}", lambda text: f"B: {text}")
    models += backends.load_models(["slurk", "slurk"], {"temperature": 0.0, "max_tokens": 300})
    first, second = models
    assert first.name != second.name
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{8}", first.name)
    assert Model.to_identifier(models) == f"{first.name}--{second.name}"
    assert [link.count("token=") for link in doorman.links] == [1, 1]
    assert first.name not in "".join(doorman.links), "the name is not a part of the token"
    answers = [in_thread(functools.partial(model.generate_response, ASK)) for model in models]
    assert sorted(answer().text for answer in answers) == ["A: Where?", "B: Where?"]
    assert len(slurk.tables["rooms"]) == 2
    assert not first.supports_batching()


def test_one_question_at_a_time(open_room: Open, doorman: Doorman) -> None:
    model = open_room()
    person = doorman.persons[0]
    asked = [[{"role": "user", "content": text}] for text in ("p", "q")]
    answers = [in_thread(functools.partial(model.generate_response, messages)) for messages in asked]
    until(lambda: len(person.texts) == 1)
    time.sleep(0.05)
    assert len(person.texts) == 1
    person._says = lambda text: f"re {text}"
    person.write(f"re {person.texts[0]}")
    assert sorted(answer().text for answer in answers) == ["re p", "re q"]


def test_it_can_be_awaited(open_room: Open) -> None:
    model = open_room(lambda text: text.upper())
    assert asyncio.run(model.agenerate_response(ASK)).text == "WHERE?"


def test_what_was_written_before_the_question_answers_nothing(open_room: Open, doorman: Doorman) -> None:
    model = open_room()
    person = doorman.persons[0]
    person.write("Is anybody there?")
    person.command("hint")
    answer = in_thread(lambda: model.generate_response(ASK))
    until(lambda: person.texts)
    person.write("Here.")
    reply = answer()
    assert reply.text == "Here."
    unasked = [(heard["event"], heard["data"].get("message")) for heard in reply.facts["slurk"]["unasked"]]
    assert unasked == [("text_message", "Is anybody there?"), ("command", None)]


def test_an_answer_may_come_before_the_receipt(
    open_room: Open, slurk: FakeSlurk, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit = FakeSlurk._emit

    async def slow_receipt(self: FakeSlurk, session: str, *arguments: Any) -> Any:
        taken = await emit(self, session, *arguments)
        if arguments[0].get("message") == "Where?":
            await asyncio.sleep(0.2)
        return taken

    monkeypatch.setattr(FakeSlurk, "_emit", slow_receipt)
    assert open_room(lambda _: "at once", response_timeout=5).generate_response(ASK).text == "at once"


# -- images ----------------------------------------------------------------------------------------------------
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63fcffff3f030005fe02fe"
    "a72d94a90000000049454e44ae426082"
)


def test_images_are_shown(open_room: Open, doorman: Doorman, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(PIXEL)
    model = open_room(lambda _: "a pixel")
    message = {"role": "user", "content": "What?", "image": ["https://x.example/a.png", str(tmp_path / "p.png")]}
    prompt = model.generate_response([message])[0]
    assert [event["event"] for event in prompt["sent"]] == ["image", "image", "text"]
    person = doorman.persons[0]
    urls = [data["url"] for name, data in person.saw if name == "image_message"]
    assert urls[0] == "https://x.example/a.png"
    assert urls[1].startswith("data:image/png;base64,iVBOR")
    parts = [{"type": "text", "text": "This?"}, {"type": "image_url", "image_url": {"url": urls[1]}}]
    assert len(model.generate_response([{"role": "user", "content": parts}]).prompt["sent"]) == 2


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"image": "missing.png"}, "cannot be sent: No such file"),
        ({"content": "x" * 1_000_000}, "the text has 10000"),
        ({"content": [{"type": "audio", "audio": "…"}]}, "a part of type 'audio' cannot be shown"),
    ],
)
def test_what_cannot_be_shown_is_refused(message: dict[str, Any], words: str) -> None:
    spec = ModelSpec(model_name="slurk", backend="slurk")
    with pytest.raises(MessagesError, match=words):
        events_of([{"role": "user", "content": "What?", **message}], spec, Shown(), 1)


def test_a_layout_without_a_place_for_images(open_room: Open, tmp_path: Path, slurk: FakeSlurk) -> None:
    layout = {"title": "Taboo", "scripts": {"incoming-text": "display-text", "submit-message": "send-message"}}
    (tmp_path / "taboo.json").write_text(json.dumps(layout))
    model = open_room(lambda _: "x", room_layout_path=str(tmp_path / "taboo"))
    assert [row["title"] for row in slurk.tables["layouts"].values()] == ["Taboo"]
    with pytest.raises(MessagesError, match='"incoming-image": "display-image"'):
        model.generate_response([{**ASK[0], "image": "https://x.example/a.png"}])
    assert model.generate_response(ASK).text == "x"


# -- arguments -------------------------------------------------------------------------------------------------
def test_arguments_are_not_sent_and_the_record_says_so(open_room: Open) -> None:
    model = open_room(lambda _: "x")
    model.set_gen_args(temperature=0.0, max_tokens=300, top_p=0.5)
    reply = model.generate_response(ASK)
    assert reply.facts["sent"] == {}
    assert set(reply.facts["parameters"]["dropped"]) == {"temperature", "max_tokens", "top_p"}


def test_an_entry_can_refuse_them(open_room: Open, slurk: FakeSlurk) -> None:
    model = open_room(lambda _: "x", on_unsupported="error")
    assert model.generate_response(ASK).text == "x", "defaults are not asked for"
    model.set_gen_args(temperature=0.7)
    with pytest.raises(GenerationArgumentError, match="temperature: a person answers"):
        model.generate_response(ASK)
    assert [event for event, _ in slurk.heard] == ["text_message"] * 2


# -- getting in ------------------------------------------------------------------------------------------------
def test_where_a_person_gets_in_is_shown_and_not_logged(
    slurk: FakeSlurk, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    with pytest.raises(JoinTimeoutError, match=r"room \d+: nobody entered within 0.3 s \(join_timeout\)") as caught:
        backends.get_model_for({"model_name": "slurk", "override": SOON})
    assert isinstance(caught.value, RuntimeError), "as in 3.7.2"
    out, shown = capfd.readouterr()
    token = re.search(r"token=([0-9a-f-]{36})", shown)
    assert token is not None
    assert f"{slurk.url}/login?name=player&token={token[1]}" in shown
    assert f"token: {token[1]}" in shown
    assert token[1] not in caplog.text + out + str(caught.value)
    assert slurk.tables["rooms"] == {} == slurk.tables["users"]
    assert [row["id"] for row in slurk.tables["tokens"].values()] == [ADMIN]
    assert len(slurk.tables["layouts"]) == 0, "nobody was there: nothing stays"


def test_a_server_that_lets_nobody_in_by_itself(open_room: Open, slurk: FakeSlurk) -> None:
    slurk.keeps_out = True
    with pytest.raises(JoinTimeoutError):
        open_room(lambda _: "x", join_timeout=0.2)
    assert [path for method, path, _ in slurk.requests if method == "POST" and path.startswith("/users/")] != []


def test_a_wrong_key_costs_one_request(slurk: FakeSlurk) -> None:
    write_keys(slurk={"api_key": "not-the-admin-token", "slurk_host": slurk.url})
    with pytest.raises(
        AuthenticationError, match=r"answered 401.*check the key \(found in .*key\.json\)"
    ) as caught:
        backends.get_model_for("slurk")
    assert (caught.value.status, len(slurk.requests)) == (401, 1)
    assert "not-the-admin-token" not in str(caught.value)


@pytest.mark.parametrize(("status", "error"), [(500, ServerError), (404, NotServedError), (422, BadRequestError)])
def test_a_server_that_refuses(slurk: FakeSlurk, status: int, error: type[RemoteCallError]) -> None:
    slurk.refuse = status
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    with pytest.raises(error, match=f"POST layouts answered {status}: no"):
        backends.get_model_for("slurk")


def test_a_layout_that_the_server_does_not_take(open_room: Open, tmp_path: Path, slurk: FakeSlurk) -> None:
    (tmp_path / "odd.json").write_text('{"title": "x", "colour": "red"}')
    with pytest.raises(BadRequestError, match=r"answered 422: Unprocessable Entity.*colour.*Unknown field"):
        open_room(room_layout_path=str(tmp_path / "odd.json"))
    assert slurk.connections == 0


def test_no_server() -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": "http://127.0.0.1:9"})
    with pytest.raises(RemoteConnectionError, match=r"is the slurk server at http://127\.0\.0\.1:9 up"):
        backends.get_model_for("slurk")


def test_the_proxy_is_named_where_it_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    write_keys(slurk={"api_key": ADMIN, "slurk_host": "http://slurk.example"})
    with pytest.raises(
        RemoteConnectionError, match=r"cannot connect to the proxy: .*; check the proxy's"
    ) as caught:
        backends.get_model_for("slurk")
    assert "through the proxy http://127.0.0.1:9" in str(caught.value)
    assert "is the slurk server" not in str(caught.value)


# -- deadlines and broken connections --------------------------------------------------------------------------
def test_no_answer_in_time(open_room: Open, doorman: Doorman, tmp_path: Path) -> None:
    model = open_room(None, response_timeout=1)
    with backends.record(tmp_path / "requests.json"), pytest.raises(RemoteTimeoutError) as caught:
        model.generate_response(ASK)
    assert re.search(
        r"room \d+: no answer came within 1 s \(response_timeout\); the person is there", str(caught.value)
    )
    assert caught.value.prompt["sent"][0]["data"]["message"] == "Where?"
    (call,) = json.loads((tmp_path / "requests.json").read_text())
    assert call["clemcore"]["error"]["type"] == "RemoteTimeoutError"
    assert call["manipulated_prompt_obj"] == caught.value.prompt
    doorman.persons[0].write("too late")
    doorman.persons[0]._says = lambda _: "now"
    reply = model.generate_response(ASK)
    assert reply.text == "now"
    assert reply.facts["slurk"]["unasked"][0]["data"]["message"] == "too late"


def test_a_person_who_leaves_and_comes_back(
    open_room: Open, doorman: Doorman, slurk: FakeSlurk, caplog: pytest.LogCaptureFixture
) -> None:
    model = open_room()
    person = doorman.persons[0]
    token = slurk.tables["tokens"][doorman.links[0].partition("token=")[2]]
    answer = in_thread(lambda: model.generate_response(ASK))
    until(lambda: person.texts)
    person.leave()
    until(lambda: "the person has left room" in caplog.text and token["registrations_left"] == 1)
    person.come_back()
    until(lambda: token["registrations_left"] == 0)
    person.write("back")
    reply = answer()
    assert reply.text == "back"
    assert [each["incident"] for each in reply.facts["slurk"]["incidents"]] == ["leave", "join"]
    assert [each["event"] for each in reply.response["received"]] == ["status", "status", "text_message"]


def test_who_has_left_may_get_in_again_and_nobody_else(open_room: Open, doorman: Doorman, slurk: FakeSlurk) -> None:
    model = open_room(lambda text: f"first {text}")
    (link,) = doorman.links
    token = slurk.tables["tokens"][link.partition("token=")[2]]
    assert knock(link) == 403
    assert model.generate_response(ASK).text == "first Where?"
    doorman.persons[0].leave()
    until(lambda: token["registrations_left"] == 1)
    doorman.persons.append(Person(link, lambda text: f"second {text}"))
    assert model.generate_response(ASK).text == "second Where?"
    until(lambda: token["registrations_left"] == 0)


@pytest.fixture
def cable(slurk: FakeSlurk) -> Iterator[Cable]:
    cable = Cable(slurk.url)
    yield cable
    cable.close()


def test_an_answer_while_the_connection_is_broken_is_not_lost(
    open_room: Open, doorman: Doorman, cable: Cable
) -> None:
    model = open_room(server=cable.url)
    person = doorman.persons[0]
    answer = in_thread(lambda: model.generate_response(ASK))
    until(lambda: person.texts)
    cable.cut()
    until(lambda: ("status", "leave") in [(name, data.get("type")) for name, data in person.saw])
    person.write("said to nobody")
    cable.mend()
    reply = answer()
    assert reply.text == "said to nobody"
    assert reply.response["received"][-1]["event"] == "log"
    assert [each["incident"] for each in reply.facts["slurk"]["incidents"]] == ["disconnected", "connected"]
    person._says = lambda _: "heard again"
    assert model.generate_response(ASK).text == "heard again"


def test_a_question_waits_for_the_connection(open_room: Open, doorman: Doorman, cable: Cable) -> None:
    model = open_room(lambda _: "x", server=cable.url)
    person = doorman.persons[0]
    cable.cut()
    until(lambda: ("status", "leave") in [(name, data.get("type")) for name, data in person.saw])
    answer = in_thread(lambda: model.generate_response(ASK))
    time.sleep(0.1)
    cable.mend()
    assert answer().text == "x"
    assert person.texts == ["Where?"], "once"


def test_an_event_whose_receipt_was_lost_is_not_sent_again(
    open_room: Open, doorman: Doorman, cable: Cable, slurk: FakeSlurk, monkeypatch: pytest.MonkeyPatch
) -> None:
    emit = FakeSlurk._emit

    async def cut_before_the_receipt(self: FakeSlurk, session: str, *arguments: Any) -> Any:
        taken = await emit(self, session, *arguments)
        if arguments[1] == "text_message" and arguments[0]["message"] == "Where?":
            await asyncio.to_thread(cable.cut)
            threading.Timer(0.1, cable.mend).start()
        return taken

    monkeypatch.setattr(FakeSlurk, "_emit", cut_before_the_receipt)
    model = open_room(lambda text: f"re {text}", server=cable.url)
    reply = model.generate_response(ASK)
    assert reply.text == "re Where?"
    assert doorman.persons[0].texts == ["Where?"], "once"
    assert model.generate_response([{"role": "user", "content": "next"}]).text == "re next"


def test_an_episode_that_ends_while_the_connection_is_broken(
    open_room: Open, doorman: Doorman, cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "COMMAND_TIMEOUT", 0.1)
    model = open_room(lambda _: "x", server=cable.url)
    cable.cut()
    person = doorman.persons[0]
    until(lambda: ("status", "leave") in [(name, data.get("type")) for name, data in person.saw])
    model.reset()
    cable.mend()
    assert model.generate_response(ASK).text == "x"
    assert [name for name, _ in person.saw if name != "status"] == ["command", "text_message"]


def test_a_connection_that_stays_broken(open_room: Open, cable: Cable, caplog: pytest.LogCaptureFixture) -> None:
    model = open_room(server=cable.url, response_timeout=0.5)
    cable.cut()
    # The bot has to know, or it would send: the server may hear of it before.
    until(lambda: "the connection to the slurk server is broken" in caplog.text)
    with pytest.raises(
        RemoteConnectionError, match=r"within 0\.5 s \(response_timeout\): the connection is broken"
    ) as caught:
        model.generate_response(ASK)
    assert caught.value.prompt is None, "nothing was sent"


def test_a_bot_that_the_server_sends_away_comes_back(open_room: Open, doorman: Doorman, slurk: FakeSlurk) -> None:
    model = open_room(lambda _: "x")
    bot = min(slurk.tables["users"])
    slurk.send_away(bot)
    assert model.generate_response(ASK).text == "x"
    assert slurk.connections == 3


def test_a_server_that_has_forgotten_the_room(open_room: Open, slurk: FakeSlurk) -> None:
    model = open_room(None, response_timeout=3600)  # it does not wait for an answer that cannot come
    slurk.forget()
    with pytest.raises(NotServedError, match="is no longer on the server"):
        model.generate_response(ASK)


def test_an_event_that_the_server_refuses(open_room: Open, slurk: FakeSlurk) -> None:
    model = open_room(lambda _: "x")
    next(iter(slurk.tables["rooms"].values()))["read_only"] = True
    with pytest.raises(BadRequestError, match=r"refused 'text': Room \d+ is read-only"):
        model.generate_response(ASK)


# -- the end ---------------------------------------------------------------------------------------------------
def test_a_closed_room_keeps_its_log_and_nobody_gets_in(
    open_room: Open, slurk: FakeSlurk, doorman: Doorman
) -> None:
    model = open_room(lambda _: "x")
    model.generate_response(ASK)
    model.close()
    model.close()
    (room,) = slurk.tables["rooms"].values()
    assert room["read_only"] is True
    assert doorman.persons[0].write("more") == (False, f"Room {room['id']} is read-only")
    doorman.persons[0].leave()
    assert knock(doorman.links[0]) == 403
    assert len(slurk.tables["logs"]) == 2
    assert slurk.tables["users"][min(slurk.tables["users"])]["session_id"] is None
    with pytest.raises(RemoteConnectionError, match="was closed"):
        model.generate_response(ASK)
    doorman.persons[0].come_back()


def test_a_room_that_is_closed_while_a_call_waits(open_room: Open, doorman: Doorman) -> None:
    model = open_room()
    answer = in_thread(lambda: model.generate_response(ASK))
    until(lambda: doorman.persons[0].texts)
    model.close()
    error = answer()
    assert isinstance(error, RemoteConnectionError)
    assert re.search(r"room \d+ was closed", str(error))


@pytest.mark.parametrize(("policy", "rooms_left", "logs_left"), [("delete", 0, 0), ("keep", 1, 2)])
def test_what_becomes_of_a_room_is_the_entrys_choice(
    open_room: Open, slurk: FakeSlurk, policy: str, rooms_left: int, logs_left: int
) -> None:
    model = open_room(lambda _: "x", on_close=policy)
    model.generate_response(ASK)
    model.close()
    assert len(slurk.tables["rooms"]) == rooms_left
    assert [room.get("read_only") for room in slurk.tables["rooms"].values()] == [None] * rooms_left
    if policy == "delete":
        assert [len(slurk.tables[name]) for name in ("users", "tokens", "layouts", "permissions")] == [0, 1, 0, 1]


def test_a_model_that_is_deleted_closes_its_room(open_room: Open, models: list[Any], slurk: FakeSlurk) -> None:
    model = open_room(lambda _: "x")
    model.generate_response(ASK)
    models.clear()
    del model
    gc.collect()
    until(lambda: next(iter(slurk.tables["rooms"].values())).get("read_only"))


def test_the_end_of_the_program_closes_the_room(slurk: FakeSlurk, tmp_path: Path) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    code = (
        "from clemcore import backends\n"
        "model = backends.get_model_for('slurk')\n"
        "print(model.generate_response([{'role': 'user', 'content': 'Where?'}]).text)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    link = next(line for line in process.stderr if "/login?" in line).strip()
    person = Person(link, lambda _: "x")
    out, err = process.communicate(timeout=20)
    person.close()
    assert (out, process.returncode) == ("x\n", 0)
    assert "Traceback" not in err
    (room,) = slurk.tables["rooms"].values()
    assert room["read_only"] is True


# -- TLS and keys ----------------------------------------------------------------------------------------------
@pytest.fixture
def tls_slurk(tmp_path: Path) -> Iterator[FakeSlurk]:
    server = FakeSlurk(certificate=write_certificate(tmp_path))
    yield server
    server.close()


def test_a_certificate_is_verified(tls_slurk: FakeSlurk) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": tls_slurk.url})
    with pytest.raises(CertificateError, match="set ca_file to its PEM file"):
        backends.get_model_for("slurk")
    assert tls_slurk.requests == []


@pytest.mark.parametrize("how", ["ca_file", "verify_tls"])
def test_tls(
    tls_slurk: FakeSlurk, doorman: Doorman, tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": tls_slurk.url})
    doorman.expect(lambda _: "safe")
    setting = {"ca_file": str(tmp_path / "certificate.pem"), "verify_tls": False}[how]
    model: Any = backends.get_model_for({"model_name": "slurk", "override": {"model_config": {how: setting}}})
    reply = model.generate_response(ASK)
    model.close()
    assert reply.text == "safe"
    assert reply.facts["slurk"].get("tls_verified") == (None if how == "ca_file" else False)
    assert ("TLS IS NOT VERIFIED" in caplog.text) == (how == "verify_tls")


def test_no_token_is_seen_anywhere(
    open_room: Open, slurk: FakeSlurk, doorman: Doorman, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
    capfd: pytest.CaptureFixture[str] = request.getfixturevalue("capfd")
    caplog.set_level(logging.DEBUG)
    with backends.record(tmp_path / "requests.json"):
        model = open_room(lambda _: f"you are {ADMIN} with {doorman.links[0].partition('token=')[2]}")
        seen = [repr(model), repr(vars(model)), repr(vars(model._room)), repr(vars(model._room._api))]
        seen += [repr(vars(model._room.connection)), repr(vars(model._room.conversation))]
        seen += [repr(model._room.settings), repr(vars(model._room.premises))]
        model.generate_response(ASK)
        doorman.persons[0]._says = None
        model._room.settings.__dict__["response_timeout"] = 0.2
        seen += shown_by(lambda: model.generate_response(ASK), RemoteCallError)
    slurk.refuse = 500
    seen += shown_by(lambda: backends.get_model_for("slurk"), RemoteCallError)
    seen += shown_by(model.close, RemoteCallError)
    slurk.refuse = None
    seen += shown_by(lambda: backends.get_model_for({"model_name": "slurk", "override": SOON}), RemoteCallError)
    seen += [caplog.text, *capfd.readouterr(), (tmp_path / "requests.json").read_text()]
    assert {authorization for _, _, authorization in slurk.requests} == {f"Bearer {ADMIN}"}
    tokens = {ADMIN, *(link.partition("token=")[2] for link in doorman.links), *slurk.tables["tokens"]}
    assert len(tokens) >= 4
    for text in seen:
        assert not [token for token in tokens if token in text], text


def test_a_token_in_a_failed_request_is_not_seen(slurk: FakeSlurk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot's token is in the body of a request, and a person's in a path: where these fail, nobody sees them."""
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    register = FakeSlurk._made

    def made(self: FakeSlurk, table: str, body: dict[str, Any]) -> Any:
        return self._error(500, f"cannot: {body}") if table == "users" else register(self, table, body)

    monkeypatch.setattr(FakeSlurk, "_made", made)
    monkeypatch.setattr(FakeSlurk, "_deleted", lambda self, _, key: self._error(500, f"no: {key}"))
    seen = shown_by(lambda: backends.get_model_for("slurk"), RemoteCallError)
    tokens = [token for token in slurk.tables["tokens"] if token != ADMIN]
    assert len(tokens) == 2
    assert len(seen) > 3
    assert not [token for token in tokens for text in seen if token in text]


# -- entries ---------------------------------------------------------------------------------------------------
def test_the_packaged_entry_is_that_of_3_7_2() -> None:
    spec = backends.resolve("slurk")
    assert (spec.response_timeout, spec.join_timeout, spec.bot_name) == (1800, 300, "Game Master")
    assert spec.room_layout_path == "packaged"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"join_timeout": 0}, "join_timeout must be a positive number of seconds"),
        ({"response_timeout": "long"}, "response_timeout must be a number, not a string"),
        ({"on_close": "burn"}, 'on_close must be one of close, delete, keep, not "burn"'),
        ({"on_unsupported": "shout"}, "on_unsupported must be one of"),
        ({"bot_name": ""}, "'bot_name' must be a string that is not empty"),
        (
            {"room_layout_path": "nowhere"},
            r"room_layout_path nowhere.json: the file cannot be read \(current folder: .*No such file",
        ),
        ({"slurk_host": "http://a.example", "base_url": "http://b.example"}, "both slurk_host and base_url"),
        (
            {"slurk_host": "http://a.example"},
            "is at http://a.example, but the key 'slurk' was written for http://h",
        ),
        (
            {"bot_name": "a", "model_config": {"bot_name": "b"}},
            "bot_name has one value in the entry and another in model_config",
        ),
        ({"slurk_host": "a.example"}, "must start with http:// or https://"),
    ],
)
def test_entries_that_contradict_themselves(entry: dict[str, Any], words: str) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": "http://h.example"})
    with pytest.raises(SpecError, match=words):
        backends.get_model_for({"model_name": "slurk-x", "backend": "slurk", **entry})


def test_a_layout_with_a_fault(tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text('{"title": "x",\n "scripts": }')
    spec = ModelSpec(model_name="m", backend="slurk", room_layout_path=str(tmp_path / "l"))
    with pytest.raises(SpecError, match=r"l\.json: Expecting value \(line 2, column 13\)"):
        layout_of(spec)
    (tmp_path / "l.json").write_text("[]")
    with pytest.raises(SpecError, match="must hold a JSON object"):
        layout_of(spec)


def test_the_packaged_layout_loads_nothing_from_elsewhere() -> None:
    text = json.dumps(layout_of(ModelSpec(model_name="m", backend="slurk")))
    assert "http" not in text
    assert "<" not in re.sub(r"[^\\]*<script", "", text), "no tag ends the script early"


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingKeyError, match=r"\$SLURK_API_KEY"):
        backends.get_model_for("slurk")
    monkeypatch.setenv("SLURK_API_KEY", ADMIN)
    with pytest.raises(SpecError, match='add "slurk_host"'):
        backends.get_model_for("slurk")
    monkeypatch.setenv("SLURK_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(RemoteConnectionError):
        backends.get_model_for("slurk")


@pytest.mark.parametrize("field", ["slurk_host", "base_url"])
def test_an_address_beside_the_key_has_either_name(slurk: FakeSlurk, doorman: Doorman, field: str) -> None:
    write_keys(slurk={"api_key": ADMIN, field: f"{slurk.url}/"})
    doorman.expect(lambda _: "x")
    model: Any = backends.get_model_for("slurk")
    assert model.generate_response(ASK).text == "x"
    model.close()


# -- record, replay, command -----------------------------------------------------------------------------------
def test_a_run_is_replayed_without_a_server(open_room: Open, tmp_path: Path) -> None:
    record, again = tmp_path / "requests.json", tmp_path / "again.json"
    model = open_room(lambda text: f"re {text}")
    dialogue = [{"role": "user", "content": "one ä"}]
    with backends.record(record):
        first = model.generate_response(dialogue)
        dialogue = [*dialogue, {"role": "assistant", "content": first.text}, {"role": "user", "content": "two"}]
        second = model.generate_response(dialogue)
    assert verify(record).wrong == []
    replayed = backends.get_model_for(f"replay:{record}")
    assert replayed.name == model.name
    with backends.record(again):
        assert replayed.generate_response(dialogue[:1]) == first
        assert replayed.generate_response(dialogue).text == second.text
    assert again.read_text() == record.read_text()


def test_what_would_be_sent_and_what_is_wrong(clem: Clem, slurk: FakeSlurk) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    Path("messages.json").write_text(json.dumps(ASK))
    shown = clem("render", "-m", "slurk", "messages.json")
    assert json.loads(shown.stdout) == {"sent": [{"event": "text", "data": {"message": "Where?", "room": None}}]}
    report = clem("doctor", "slurk")
    assert report.returncode == 0, report.stderr
    assert slurk.url in report.stdout
    assert "Game Master" in report.stdout
    assert ADMIN not in report.stdout + report.stderr
    assert slurk.requests == [], "nothing was sent"


def test_games_of_3_7_2_find_what_they_call(open_room: Open) -> None:
    """What the framework of 3.7.2 does with a model: arguments for all, a call, an end of the episode."""
    model = open_room(lambda _: "x")
    model.set_gen_args(temperature=0.0, max_tokens=300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prompt, response, text = model.generate_response([*ASK, {"role": "user", "content": "And when?"}])
    assert json.loads(json.dumps([prompt, response, text]))[2] == "x"
    assert prompt["sent"][0]["data"]["message"] == "Where?\n\nAnd when?"
    assert model.get_temperature() == 0.0
    model.reset()


# -- around it -------------------------------------------------------------------------------------------------
def test_it_needs_its_extra_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_is_installed", lambda _: False)
    file = Path(backends.__file__).parent / "slurk" / "__init__.py"
    assert requirements.missing_packages(file) == (["aiohttp", "socketio"], "pip install 'clemcore[slurk]'")


def test_a_proxy_is_used(
    slurk: FakeSlurk, doorman: Doorman, models: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", slurk.url)
    write_keys(slurk={"api_key": ADMIN, "slurk_host": "http://slurk.example"})
    doorman.server = slurk.url
    doorman.expect(lambda _: "x")
    models.append(backends.get_model_for("slurk"))
    assert models[0].generate_response(ASK).text == "x"
    assert doorman.links[0].startswith("http://slurk.example/login?")
    monkeypatch.setenv("http_proxy", slurk.url.replace("//", "//user:password-of-the-proxy@"))
    with pytest.raises(SpecError, match="a proxy that wants a login"):
        backends.get_model_for("slurk")


def test_ctrl_c_while_nobody_has_come(slurk: FakeSlurk) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    code = "from clemcore import backends; backends.get_model_for('slurk')"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert next(line for line in process.stderr if "/login?" in line)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=20)[1]
    assert "KeyboardInterrupt" in err
    assert (slurk.tables["rooms"], slurk.tables["users"]) == ({}, {})


def test_ctrl_c_while_a_person_thinks(slurk: FakeSlurk) -> None:
    write_keys(slurk={"api_key": ADMIN, "slurk_host": slurk.url})
    code = (
        "from clemcore import backends\n"
        "with backends.record('requests.json'):\n"
        "    backends.get_model_for('slurk').generate_response([{'role': 'user', 'content': 'Where?'}])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    person = Person(next(line for line in process.stderr if "/login?" in line).strip())
    until(lambda: person.texts)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
    person.close()
    (call,) = json.loads(Path("requests.json").read_text())
    assert call["clemcore"]["error"]["type"] == "InterruptedCallError"
    assert call["manipulated_prompt_obj"]["sent"][0]["data"]["message"] == "Where?"
    assert next(iter(slurk.tables["rooms"].values()))["read_only"] is True


def test_whoever_awaits_may_give_up(open_room: Open, doorman: Doorman, tmp_path: Path) -> None:
    model = open_room()

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(model.agenerate_response(ASK), 0.2)

    with backends.record(tmp_path / "requests.json"):
        asyncio.run(give_up())
    (call,) = json.loads((tmp_path / "requests.json").read_text())
    assert call["clemcore"]["error"]["type"] == "InterruptedCallError"
    doorman.persons[0]._says = lambda _: "x"
    assert model.generate_response(ASK).text == "x"
