"""A cache gives the answer of the very call that is asked, or none."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import CacheError
from support.formats import FORMATS
from support.remote import HELLO, ask, make_model, open_model, write_keys
from support.wire_server import Received, WireServer, completion


def question(number: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"question {number}"}]


def echoed(received: Received) -> Any:
    """Answer with the number that was asked for."""
    return completion(received.json["messages"][0]["content"].removeprefix("question "))


def fill(server: WireServer, size: int) -> Any:
    server.script = [echoed]
    model = open_model(server.url)
    with backends.cache("c.sqlite3"):
        for number in range(size):
            model.generate_response(question(number))
    return model


CHANGES = {
    "bodies swapped": "UPDATE replies SET body = (SELECT body FROM replies ORDER BY key LIMIT 1)",
    "whole rows swapped": (
        "UPDATE replies SET (provider, model, stored, status, headers, body, sha256) = "
        "(SELECT provider, model, stored, status, headers, body, sha256 FROM replies ORDER BY key LIMIT 1)"
    ),
    "another status": "UPDATE replies SET status = 201",
    "a status in words": "UPDATE replies SET status = 'fine'",
    "another time": "UPDATE replies SET stored = '2020-01-01T00:00:00+00:00'",
    "another model": "UPDATE replies SET model = 'm'",
    "headers that are bytes": "UPDATE replies SET headers = x'ff'",
    "a body that is a number": "UPDATE replies SET body = 7",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_row_is_no_hit(wire_server: WireServer, change: str, caplog: pytest.LogCaptureFixture) -> None:
    model = fill(wire_server, 6)
    with sqlite3.connect("c.sqlite3") as connection:
        connection.execute(CHANGES[change])
    connection.close()
    with backends.cache("c.sqlite3"):
        replies = [ask(model, question(number)) for number in range(6)]
    assert [reply.text for reply in replies] == list("012345")
    assert sum(reply.facts["cache"] == "hit" for reply in replies) <= 1  # the first row may be as it was
    assert "was damaged" in caplog.text


def test_rows_that_change_their_keys_are_no_hits(wire_server: WireServer) -> None:
    model = fill(wire_server, 2)
    with sqlite3.connect("c.sqlite3") as connection:
        one, other = (key for (key,) in connection.execute("SELECT key FROM replies"))
        for before, after in ((one, "x"), (other, one), ("x", other)):
            connection.execute("UPDATE replies SET key = ? WHERE key = ?", (after, before))
    connection.close()
    with backends.cache("c.sqlite3"):
        assert [ask(model, question(number)).text for number in range(2)] == ["0", "1"]


@pytest.mark.slow
def test_damaged_pages_give_no_wrong_answer(wire_server: WireServer) -> None:
    draw = random.Random(6)
    model = fill(wire_server, 30)
    whole = Path("c.sqlite3").read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(draw.randrange(1, 200)):
            data[draw.randrange(4096, len(data))] = draw.randrange(256)
        size = draw.choice([1024, 4096])
        one, other = (4096 + size * draw.randrange((len(data) - 4096) // size) for _ in range(2))
        data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]
        for path in Path().glob("c.sqlite3*"):
            path.unlink()
        Path("c.sqlite3").write_bytes(data)
        try:
            cache = backends.cache("c.sqlite3")
        except CacheError:
            continue
        with cache:
            for number in draw.sample(range(30), 5):
                assert ask(model, question(number)).text == str(number)


def test_a_damaged_schema_is_a_typed_error(wire_server: WireServer) -> None:
    fill(wire_server, 1)
    path = Path("c.sqlite3")
    whole = path.read_bytes()
    at = whole.index(b"CREATE TABLE replies")
    for damage in (b"\xff\xfe\xfd\xf0\x9f", b"\0\0\0\0", b"CREATE TABEL"):
        for place in (at, at + len("CREATE TABLE ")):
            path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
            try:
                with backends.cache(path):
                    pass
            except CacheError as error:
                assert "is not a cache of calls" in str(error)  # noqa: PT017 - some damage does no harm


def kept(server: WireServer, backend: str, gen_args: dict[str, Any], **entry: Any) -> list[str]:
    """Return how often a call is kept and found, when it is asked twice."""
    form = FORMATS[backend]
    server.script = [form.answer()]
    model: Any = form.model(server.url + ("/v1" if "openai" in backend else ""), gen_args, **entry)
    with backends.cache("c.sqlite3"):
        return [ask(model).facts["cache"] for _ in range(2)]


@pytest.mark.parametrize(
    ("backend", "seeded"),
    [
        ("openai_compatible", {"seed": 7}),
        ("openai_compatible", {"seed": 0}),
        ("openrouter", {"seed": 7}),
        ("google", {"seed": 7}),
        ("mistral", {"seed": 7}),
        ("cohere", {"seed": 7}),
    ],
)
def test_a_seed_where_the_format_has_it_makes_a_call_repeatable(
    wire_server: WireServer, backend: str, seeded: dict[str, Any]
) -> None:
    assert kept(wire_server, backend, {"temperature": 1.0, **seeded}) == ["kept", "hit"]


@pytest.mark.parametrize(
    "extra",
    [
        {"metadata": {"seed": "7"}},
        {"metadata": {"temperature": 0}},
        {"seed": False},
        {"seed": -1},
        {"random_seed": 7},
        {"chat_template_kwargs": {"seed": 7}},
        {"temperature": 1.0, "options": {"seed": 7, "temperature": 0}},
    ],
    ids=json.dumps,
)
def test_a_seed_elsewhere_does_not(wire_server: WireServer, extra: dict[str, Any]) -> None:
    gen_args = {"temperature": 1.0}
    assert kept(wire_server, "openai_compatible", gen_args, extra_body=extra) == ["not kept", "not kept"]


def test_organisation_and_project_are_other_calls(wire_server: WireServer) -> None:
    url = f"{wire_server.url}/v1"
    accounts: list[dict[str, str]] = [
        {},
        {"organization": "org-1"},
        {"organisation": "org-2"},
        {"organization": "org-1", "project": "proj-1"},
        {"organization": "org-1", "project": "proj-2"},
    ]
    with backends.cache("c.sqlite3"):
        for number, account in enumerate(accounts):
            write_keys(openai={"api_key": "sk-of-the-test-1", "base_url": url, **account})
            model = make_model("openai")
            assert ask(model).facts["cache"] == "kept"
            assert ask(model).facts["cache"] == "hit"
            assert len(wire_server.requests) == number + 1
            assert ask(model, HELLO).text == "Canberra."
