"""Backend `slurk` against a released slurk server, where one is named.

`docker run -d -e FLASK_ENV=development -p 5000:80 slurk/server`, then `CLEMCORE_SLURK=http://127.0.0.1:5000` (and
its admin token in `CLEMCORE_SLURK_TOKEN`, where it is not that of the development mode). With a headless Chromium
in `CLEMCORE_CHROMIUM`, the packaged page is used as a person would.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.slurk import connection
from clemcore.errors import AuthenticationError, BadRequestError, JoinTimeoutError
from support.browser import Browser
from support.remote import write_keys
from support.slurk import Cable, Doorman, Person

SERVER = os.environ.get("CLEMCORE_SLURK", "")
TOKEN = os.environ.get("CLEMCORE_SLURK_TOKEN", "00000000-0000-0000-0000-000000000000")
ASK = [{"role": "user", "content": "Where? 🎉"}]

pytestmark = pytest.mark.skipif(not SERVER, reason="CLEMCORE_SLURK names no slurk server")


def get(path: str) -> Any:
    request = urllib.request.Request(f"{SERVER}/slurk/api/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def status_of(path: str) -> int:
    try:
        get(path)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def until(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def open_room(doorman: Doorman, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.1)
    made: list[Any] = []

    def make(says: Callable[[str], str | None] | None, server: str = SERVER, **entry: Any) -> Any:
        write_keys(slurk={"api_key": TOKEN, "slurk_host": server})
        doorman.server = SERVER
        doorman.expect(says)
        made.append(backends.get_model_for({"model_name": "slurk", "override": {"response_timeout": 20, **entry}}))
        until(lambda: len(doorman.persons) == len(made))
        return made[-1]

    yield make
    for model in made:
        model.close()


Open = Callable[..., Any]


def test_a_dialogue(open_room: Open, doorman: Doorman) -> None:
    model = open_room(lambda text: f"re: {text}")
    reply = model.generate_response(ASK)
    assert reply.text == "re: Where? 🎉"
    logged = [entry for entry in get("logs") if entry["room_id"] == reply.facts["slurk"]["room"]]
    said = [entry["data"]["message"] for entry in logged if entry["event"] == "text_message"]
    assert sorted(said) == sorted(["Where? 🎉", "re: Where? 🎉"])
    later = [
        *ASK,
        {"role": "assistant", "content": reply.text},
        {"role": "user", "content": "two", "image": "https://x.example/a.png"},
    ]
    assert model.generate_response(later).text == "re: two"
    model.reset()
    until(lambda: doorman.persons[0].saw[-1][0] == "command")
    names = [name for name, _ in doorman.persons[0].saw]
    assert names == ["text_message", "image_message", "text_message", "command"]


def test_an_answer_while_the_connection_is_broken(open_room: Open, doorman: Doorman) -> None:
    cable = Cable(SERVER)
    model = open_room(None, server=cable.url)
    person = doorman.persons[0]
    box: list[Any] = []
    asking = threading.Thread(target=lambda: box.append(model.generate_response(ASK)))
    asking.start()
    until(lambda: person.texts)
    cable.cut()
    until(lambda: ("status", "leave") in [(name, data.get("type")) for name, data in person.saw])
    person.write("said to nobody")
    cable.mend()
    asking.join(20)
    assert box[0].text == "said to nobody"
    assert box[0].response["received"][-1]["event"] == "log"
    person._says = lambda _: "heard again"
    assert model.generate_response(ASK).text == "heard again"
    model.close()
    cable.close()


def test_who_has_left_may_get_in_again(open_room: Open, doorman: Doorman) -> None:
    model = open_room(lambda _: "first")
    (link,) = doorman.links
    token = link.partition("token=")[2]
    assert model.generate_response(ASK).text == "first"
    assert get(f"tokens/{token}")["registrations_left"] == 0
    doorman.persons[0].leave()
    until(lambda: get(f"tokens/{token}")["registrations_left"] == 1)
    doorman.persons.append(Person(link, lambda _: "second"))
    assert model.generate_response(ASK).text == "second"


def test_a_page_that_is_loaded_again(open_room: Open, doorman: Doorman) -> None:
    model = open_room(None)
    person = doorman.persons[0]
    person.leave()
    person.come_back()
    person._says = lambda _: "back"
    assert model.generate_response(ASK).text == "back"


@pytest.mark.parametrize(("policy", "status"), [("close", 200), ("delete", 404), ("keep", 200)])
def test_the_end_of_a_room(open_room: Open, doorman: Doorman, policy: str, status: int) -> None:
    model = open_room(lambda _: "x", on_close=policy)
    room = model.generate_response(ASK).facts["slurk"]["room"]
    made = model._room.premises
    model.close()
    assert status_of(f"rooms/{room}") == status_of(f"layouts/{made._layout}") == status
    assert status_of(f"users/{made.bot}") == status_of(f"permissions/{made._permissions[0]}") == status
    tokens = made.bot_token.api_key, made.person_token.api_key
    assert [status_of(f"tokens/{token}") for token in tokens] == [status] * 2
    if status == 200:
        assert get(f"rooms/{room}")["read_only"] is (policy == "close")


def test_nobody_comes(open_room: Open, doorman: Doorman) -> None:
    before = [len(get(name)) for name in ("rooms", "users", "tokens", "layouts", "permissions")]
    write_keys(slurk={"api_key": TOKEN, "slurk_host": SERVER})
    with pytest.raises(JoinTimeoutError):
        backends.get_model_for({"model_name": "slurk", "override": {"join_timeout": 0.3}})
    assert [len(get(name)) for name in ("rooms", "users", "tokens", "layouts", "permissions")] == before


def test_what_the_server_refuses(open_room: Open, tmp_path: Any) -> None:
    (tmp_path / "odd.json").write_text('{"title": "x", "colour": "red"}')
    with pytest.raises(BadRequestError, match=r"colour.*Unknown field"):
        open_room(None, room_layout_path=str(tmp_path / "odd.json"))
    write_keys(slurk={"api_key": "11111111-1111-1111-1111-111111111111", "slurk_host": SERVER})
    with pytest.raises(AuthenticationError, match="answered 401"):
        backends.get_model_for("slurk")
    model = open_room(lambda _: "x")
    urllib.request.urlopen(  # somebody else closes the room
        urllib.request.Request(
            f"{SERVER}/slurk/api/rooms/{model._room.number}",
            method="PATCH",
            data=b'{"read_only": true}',
            headers={
                "Authorization": f"Bearer {TOKEN}",
                "Content-Type": "application/json",
                "If-Match": _version(f"rooms/{model._room.number}"),
            },
        )
    ).close()
    with pytest.raises(BadRequestError, match="is read-only"):
        model.generate_response(ASK)


def _version(path: str) -> str:
    request = urllib.request.Request(f"{SERVER}/slurk/api/{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request) as reply:
        return str(reply.headers["ETag"])


def test_two_persons(open_room: Open) -> None:
    first, second = open_room(lambda _: "A"), open_room(lambda _: "B")
    box: list[str] = []
    work = [threading.Thread(target=functools.partial(_ask, model, box)) for model in (first, second)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(20)
    assert sorted(box) == ["A", "B"]


def _ask(model: Any, box: list[str]) -> None:
    box.append(model.generate_response(ASK).text)


BROWSER = os.environ.get("CLEMCORE_CHROMIUM", "")
PIXEL = "data:image/png;base64," + (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WAITING = "Please wait for the next message."


@pytest.mark.skipif(not BROWSER, reason="CLEMCORE_CHROMIUM names no headless Chromium")
def test_the_page(doorman: Doorman, tmp_path: Path) -> None:
    write_keys(slurk={"api_key": TOKEN, "slurk_host": SERVER})
    with Browser(BROWSER, tmp_path) as page:
        loading = _Thread(
            lambda: backends.get_model_for({"model_name": "slurk", "override": {"on_close": "close"}})
        )
        until(lambda: doorman.links)
        page.open(doorman.links[0])
        model: Any = loading.result()

        def ask(text: str, **more: Any) -> _Thread:
            return _Thread(lambda: model.generate_response([{"role": "user", "content": text, **more}]).text)

        def shows(text: str, placeholder: str | None = None) -> None:
            page.until(f"document.getElementById('chat-area').innerText.includes({json.dumps(text)})")
            if placeholder is not None:
                page.until(f"document.getElementById('text').placeholder === {json.dumps(placeholder)}")

        shows("", WAITING)
        assert page.value("document.getElementById('text').disabled") is True
        answer = ask("What <b>is</b> it?", image=PIXEL)
        shows("What <b>is</b> it?")
        page.until("document.querySelector('#chat-area img').naturalWidth === 1")
        page.until("document.activeElement.id === 'text'")
        page.type("/say @you")
        page.enter(shift=True)
        page.type("ü 🎉  ")
        page.enter()
        assert answer.result() == "/say @you\nü 🎉"
        shows("/say @you", WAITING)
        page.open(f"{SERVER}/")  # loaded again: the episode is still there
        shows("/say @you", WAITING)
        answer = ask("And now?")
        shows("And now?")
        page.open(f"{SERVER}/")  # and so is the question
        shows("And now?")
        page.until("document.activeElement.id === 'text' && !document.getElementById('text').disabled")
        page.type("   ")
        page.enter()
        page.type("again")
        page.enter()
        assert answer.result() == "again"
        model.reset()
        shows("This episode is over.", WAITING)
        assert "And now?" not in page.value("document.getElementById('chat-area').innerText")
        page.open(f"{SERVER}/")
        shows("", WAITING)
        assert page.value("document.getElementById('chat-area').innerText").strip() == ""
        model.close()
        page.open(f"{SERVER}/")
        page.until("document.getElementById('text').placeholder === 'This room is read-only'")
        assert page.errors == []


class _Thread:
    """Something that runs beside the test."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._box: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._box.append(work()))
        self._thread.start()

    def result(self) -> Any:
        self._thread.join(30)
        return self._box[0]
