"""Several servers of one model: dialogues stay where they are, a server is killed, a file of addresses changes."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import ClemcoreError, RemoteCallError, SpecError
from support.killable_server import KillableServer, killable_server
from support.remote import CANARY, HELLO, ask, make_model, write_keys
from support.wire_server import WireServer, reply

Start = Callable[..., KillableServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers that end with the test."""
    with ExitStack() as stack:
        count = iter(range(100))
        yield lambda **more: stack.enter_context(killable_server(tmp_path, f"server-{next(count)}", **more))


def model_at(where: Any, model_id: str = "m", **config: Any) -> Any:
    config = {"requires_api_key": False, **config}
    return make_model("openai_compatible", base_url=where, model_id=model_id, model_config=config)


def say(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def play(model: Any, dialogues: int, turns: int) -> list[list[str]]:
    """Answer so many dialogues of so many turns, in rounds as the engine of games does; each has a scope."""
    scopes = [backends.scope(game="g", experiment="x", episode=number, player="A") for number in range(dialogues)]
    histories: list[list[dict[str, str]]] = [[say(f"dialogue {number}")] for number in range(dialogues)]
    for turn in range(turns):
        answers = model.generate_batch_response(histories, scopes=scopes)
        for history, (_, _, text) in zip(histories, answers, strict=True):
            history += [{"role": "assistant", "content": text}, say(f"turn {turn}")]
    return [[each["content"] for each in history if each["role"] == "assistant"] for history in histories]


def read(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def server_of(call: dict[str, Any]) -> dict[str, Any]:
    return call["clemcore"]["wire"]["server"]  # type: ignore[no-any-return]


def test_a_dialogue_stays_with_its_server_and_the_record_names_it(start: Start, tmp_path: Path) -> None:
    servers = [start(), start()]
    with backends.record(tmp_path / "r.json"):
        play(model_at([server.url for server in servers]), 10, 4)
    homes: dict[int, set[str]] = {}
    for call in read(tmp_path / "r.json"):
        homes.setdefault(call["clemcore"]["scope"]["episode"], set()).add(server_of(call)["url"])
        assert call["clemcore"]["wire"]["url"].startswith(server_of(call)["url"])
        assert server_of(call)["of"] == 2
    assert all(len(urls) == 1 for urls in homes.values()), homes
    assert [len(server.requests) for server in servers] == [20, 20]


def test_a_dialogue_without_a_scope_stays_too(start: Start) -> None:
    servers = [start(), start(), start()]
    model = model_at([server.url for server in servers])
    for number in range(6):
        history = [say(f"question {number}")]
        urls = set()
        for _ in range(3):
            answered = ask(model, history)
            urls.add(answered.facts["wire"]["server"]["url"])
            history += [{"role": "assistant", "content": answered.text}, say("And then?")]
        assert len(urls) == 1
    assert [len(server.requests) for server in servers] == [6, 6, 6]


def test_a_server_is_killed_in_the_middle_and_nothing_is_lost(start: Start, tmp_path: Path) -> None:
    alone = play(model_at(start().url), 30, 4)
    first, second = start(delay=0.05), start(delay=0.05)
    model = model_at([first.url, second.url])
    killer = threading.Thread(target=second.kill_after, args=(35,))
    killer.start()
    with backends.record(tmp_path / "r.json"):
        found = play(model, 30, 4)
    killer.join()
    assert found == alone
    calls = read(tmp_path / "r.json")
    assert len(calls) == 120
    keys = [json.dumps(call["clemcore"]["scope"], sort_keys=True) for call in calls]
    assert len(set(keys)) == 120, "a call is in the record twice"
    moved = [call for call in calls if "moved_from" in server_of(call)]
    assert moved
    for call in moved:
        assert server_of(call)["moved_from"] == second.url
        assert server_of(call)["because"]
    # Whatever left twice is in the record as that.
    sent = [each for call in calls for each in call["clemcore"]["wire"].get("failed_attempts", [])]
    assert all(each["server"] == second.url for each in sent)
    on_wire = len(calls) + sum(each["sent"] for each in sent)
    assert len(first.requests) + len(second.requests) <= on_wire
    assert sum(each["sent"] for each in sent) >= 1, "the server died while it answered"


def test_all_servers_are_dead(start: Start) -> None:
    servers = [start(), start()]
    model = model_at([server.url for server in servers], timeout=4)
    ask(model)
    for server in servers:
        server.kill()
    with pytest.raises(RemoteCallError, match="cannot connect") as caught:
        ask(model)
    assert "attempts at 2 servers: " in str(caught.value)
    assert all(server.url in str(caught.value) for server in servers)
    failed = caught.value.facts["wire"]["failed_attempts"]
    assert {each["server"] for each in failed} == {server.url for server in servers}
    assert not any(each["sent"] for each in failed if "cannot connect" in each["error"])


def test_an_address_where_nobody_answers_is_told_and_left_out(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = start()
    with caplog.at_level(logging.WARNING):
        model = model_at(["http://127.0.0.1:9/v1", server.url])
        answers = [ask(model, [say(str(number))]) for number in range(5)]
    assert {each.facts["wire"]["server"]["url"] for each in answers} == {server.url}
    assert "server http://127.0.0.1:9/v1 cannot be asked: cannot connect: Connection refused" in caplog.text
    assert "failed_attempts" not in answers[0].facts["wire"]


def test_a_server_that_answers_with_errors_is_left(wire_server: WireServer, start: Start) -> None:
    server = start()
    models = {"data": [{"id": "m"}]}
    wire_server.script = [reply(200, models), reply(500, {"error": {"message": "engine is dead"}})]
    model = model_at([f"{wire_server.url}/v1", server.url])
    answers = [ask(model, [say(str(number))]) for number in range(12)]
    assert all(each.text.startswith("SAY") for each in answers)
    asked = [each for each in wire_server.requests if each.method == "POST"]
    assert len(asked) == 3, "after three in a row it rests"


# -- bad input ---------------------------------------------------------------------------------------------------
def test_bad_addresses_are_listed_together() -> None:
    with pytest.raises(SpecError) as caught:
        model_at(["http://127.0.0.1:1/v1", "127.0.0.1:8000/v1", "http://h:x/v1", "http://127.0.0.1:1/v1/"])
    assert str(caught.value) == (
        "model 'remote-model': base_url[1] must start with http:// or https:// and name a host; base_url[2] has a "
        "port that is not a number from 1 to 65535; base_url[3] is the same address as base_url[0]"
    )
    with pytest.raises(SpecError, match=r"base_url\[1\] must be a string, not an integer"):
        model_at(["http://127.0.0.1:1/v1", 8000])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("HTTP://LOCALHOST:80/v1/", "is the same address as base_url\\[0\\]"),
        ("http://::1:8000/v1", "has an invalid IPv6 address: write it in brackets, as http://\\[::1\\]:8000/v1"),
        ("http://[::1/v1", "has an invalid IPv6 address"),
        ("http://h:0/v1", "has a port that is not a number from 1 to 65535"),
        ("http://h/v1,http://i/v1", "holds several addresses: write them as a list"),
        ("http://h/v1 http://i/v1", "holds several addresses: write them as a list"),
        ("http://h i/v1", "holds a blank in its host, or a control character"),
        ("http://h/v1\x00", "holds a blank in its host, or a control character"),
        ("http://user:s3cret@h/v1", "must hold no user, password"),
    ],
)
def test_an_address_that_cannot_be_called(address: str, words: str) -> None:
    with pytest.raises(SpecError, match=rf"^model 'remote-model': base_url\[1\] {words}") as caught:
        model_at(["http://localhost/v1", address])
    assert "s3cret" not in str(caught.value)
    Path("servers.txt").write_bytes(f"http://i/v1\r\n{address}\r\n".encode())
    if "same" not in words:
        with pytest.raises(SpecError, match=rf"servers\.txt: line 2 {words}"):
            model_at("file:servers.txt")


def test_a_file_of_another_editor() -> None:
    Path("servers.txt").write_bytes(b"\xef\xbb\xbf# mine\r\nhttp://h/v1 \t\r\nHTTP://H:80/v1/\r\n")
    assert model_at("file:servers.txt")._calls._addresses.current() == ("http://h/v1",)
    Path("servers.txt").write_bytes(b"http://h/v1\n\xff\n")
    with pytest.raises(SpecError, match=r"servers\.txt is not UTF-8 text \(invalid start byte at byte 12\)"):
        model_at("file:servers.txt")
    Path("folder").mkdir()
    with pytest.raises(SpecError, match=r"folder cannot be read: Is a directory"):
        model_at("file:folder")


def test_a_list_without_an_address() -> None:
    with pytest.raises(SpecError, match="base_url is a list without an address"):
        model_at([])


def test_a_list_belongs_to_one_backend() -> None:
    write_keys(openai={"api_key": CANARY})
    with pytest.raises(SpecError, match="only the backend openai_compatible spreads calls over several servers"):
        make_model("openai", base_url=["https://api.openai.com/v1", "https://eu.api.openai.com/v1"])


def test_a_key_goes_to_no_address_of_a_list_that_it_was_not_written_for() -> None:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": "http://127.0.0.1:1/v1"})
    with pytest.raises(SpecError, match=r"is at http://127\.0\.0\.2:1/v1, but the key") as caught:
        model_at(["http://127.0.0.1:1/v1", "http://127.0.0.2:1/v1"], requires_api_key=True)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"model": "m"}, {"model": "n"}, "the first has 'm', the second 'n'"),
        ({"root": "/a/m-7b"}, {"root": "/b/m-8b"}, "root of 'm' is m-7b on the first and m-8b on the second"),
        ({"max_model_len": 512}, {"max_model_len": 4096}, "max_model_len of 'm' is 512 on the first and 4096"),
        ({"meta": {"n_params": 1}}, {"meta": {"n_params": 2}}, "meta of 'm' is"),
    ],
)
def test_servers_of_different_models(start: Start, one: dict[str, Any], other: dict[str, Any], words: str) -> None:
    servers = [start(**one), start(**other)]
    model = model_at([server.url for server in servers])
    for _ in range(2):
        with pytest.raises(SpecError) as caught:
            ask(model)
        assert words in str(caught.value)
        assert "have different models" in str(caught.value)
    assert not any(server.requests for server in servers), "nothing was sent"


def test_the_same_model_in_different_folders(start: Start) -> None:
    servers = [start(root="/a/m-7b", max_model_len=512), start(root="/b/m-7b", max_model_len=512)]
    assert ask(model_at([server.url for server in servers])).text.startswith("SAY")


# -- a file of addresses -----------------------------------------------------------------------------------------
def test_a_file_is_read_again_when_it_changes(start: Start) -> None:
    first, second = start(), start()
    file = Path("servers.txt")
    file.write_text(f"# written by the jobs\n\n{first.url}\n")
    model = model_at("file:servers.txt")
    for number in range(4):
        ask(model, [say(f"a{number}")])
    with file.open("a") as lines:
        lines.write(f"{second.url}/\n")
    for number in range(4):
        ask(model, [say(f"b{number}")])
    assert len(second.requests) == 4, "it has had the fewest dialogues"
    file.write_text(f"{second.url}\n")
    with backends.scope(game="g", episode=1):
        assert ask(model).facts["wire"]["server"] == {"url": second.url, "of": 1}
    assert len(first.requests) == 4


def test_a_dialogue_moves_when_its_server_is_taken_out_of_the_file(start: Start, tmp_path: Path) -> None:
    first, second = start(), start()
    file = tmp_path / "servers.txt"
    file.write_text(f"{first.url}\n")
    model = model_at(str(file))
    with backends.scope(game="g", episode=1):
        ask(model)
        file.write_text(f"{second.url}\n")
        server = ask(model).facts["wire"]["server"]
    assert server == {
        "url": second.url,
        "of": 1,
        "moved_from": first.url,
        "because": "it is no longer among the servers",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("", "it has no address"),
        ("http://127.0.0.1:80", "line 1 has no line end, so it may be half written"),
        ("{url}\nhttp://127.0.0.1:80", "line 2 has no line end"),
        ("{url}\nnode7\n", "line 2 must start with http:// or https://"),
    ],
)
def test_a_file_that_is_not_good_keeps_the_last_good_list(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, words: str
) -> None:
    server = start()
    file = tmp_path / "servers.txt"
    file.write_text(f"{server.url}\n")
    model = model_at(str(file))
    ask(model)
    _write(file, content, server)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert ask(model).facts["wire"]["server"]["url"] == server.url
    told = [record.getMessage() for record in caplog.records if "last good list is kept" in record.getMessage()]
    assert len(told) == 1
    assert words in told[0]
    assert server.url in told[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "does not exist: start the jobs"), ("", "it has no address"), ("http://h:80", "no line end")],
)
def test_a_file_that_is_not_good_from_the_beginning(content: str | None, words: str) -> None:
    _write(Path("servers.txt"), content, None)
    with pytest.raises(SpecError, match=words):
        model_at("file:servers.txt")


def _write(file: Path, content: str | None, server: KillableServer | None) -> None:
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_text(content.replace("{url}", "" if server is None else server.url))


def test_a_server_with_another_model_that_joins_later_is_not_used(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, other = start(), start(model="n")
    file = tmp_path / "servers.txt"
    file.write_text(f"{first.url}\n")
    model = model_at(str(file))
    ask(model)
    file.write_text(f"{first.url}\n{other.url}\n")
    for number in range(4):
        ask(model, [say(str(number))])
    assert not other.requests
    assert f"server {other.url} is not used" in caplog.text


def test_a_key_of_a_file_is_checked_too(start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = start()
    write_keys(openai_compatible={"api_key": CANARY, "base_url": server.url})
    file = tmp_path / "servers.txt"
    file.write_text(f"{server.url}\n")
    model = model_at(str(file), requires_api_key=True)
    file.write_text(f"{server.url}\nhttp://127.0.0.2:9/v1\n")
    assert ask(model).facts["wire"]["server"]["of"] == 1
    assert "line 2 cannot be used" in caplog.text
    assert CANARY not in caplog.text


def test_answers_are_found_in_the_cache_whichever_server_gave_them(start: Start, tmp_path: Path) -> None:
    first, second = start(), start()
    os.environ["CLEMCORE_CALL_CACHE"] = str(tmp_path / "cache.sqlite")
    try:
        texts = {ask(model_at(where)).text for where in ([first.url, second.url], [second.url, first.url])}
    finally:
        del os.environ["CLEMCORE_CALL_CACHE"]
    assert len(texts) == 1
    assert len(first.requests) + len(second.requests) == 1


def test_the_doctor_lists_the_servers() -> None:
    from clemcore.backends.openai_compatible import OpenAICompatible
    from clemcore.registry.spec import ModelSpec

    urls = ["http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"]
    entry = {"model_name": "m", "model_id": "m", "backend": "openai_compatible", "base_url": urls}
    spec = ModelSpec(**entry, model_config={"requires_api_key": False})
    rows = {row.name: row.value for row in OpenAICompatible.examine(spec)}
    assert rows["servers"]["addresses"] == urls


def test_errors_are_those_of_clemcore(start: Start) -> None:
    with pytest.raises(ClemcoreError):
        ask(model_at([start().url, start(model="x").url]), HELLO)
