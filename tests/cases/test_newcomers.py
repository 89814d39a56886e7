"""What a person meets in the first minutes with `clem`: names, files, questions, defaults, images, servers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from support.clem import Clem, Terminals
from support.streams import streamed
from support.wire_server import WireServer, completion


def _asked(clem: Clem, *arguments: str, **streams: str) -> Any:
    return json.loads(clem.ok("respond", *arguments, "--json", **streams))["prompt"]


# -- a text or a file --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "question", ["What is in package.json", "Compare a.json\nwith b.json", "Explain /etc/app/package.json"]
)
def test_a_question_that_ends_with_the_name_of_a_file_is_a_text(clem: Clem, question: str) -> None:
    done = clem("respond", "-m", "mock", question)
    assert (done.returncode, done.stdout) == (0, f"{question}\n")
    assert "it is sent as text" in done.stderr


def test_a_file_is_a_file_also_with_blanks_in_its_name(clem: Clem) -> None:
    Path("my dialogue.json").write_text('[{"role": "user", "content": "Hello!"}]')
    assert clem.ok("respond", "-m", "mock", "my dialogue.json") == "Hello!\n"
    assert "dialogue.json: the file with the messages" in clem.fails("respond", "-m", "mock", "dialogue.json")
    Path("package.json").write_text('{"name": "app"}')
    assert "package.json: messages must be" in clem.fails("respond", "-m", "mock", "package.json")


# -- lists -------------------------------------------------------------------------------------------------------
def test_models_without_an_entry_are_listed(clem: Clem) -> None:
    listed = json.loads(clem.ok("list", "models", "--json"))
    built_in = {row["model_name"]: row for row in listed if row["source"] == "built in"}
    assert set(built_in) == {"mock", "human"}
    for name, row in built_in.items():
        assert (row["backend"], row["line"]) == (name, None)
    assert clem.ok("list", "models", "dry_run").startswith("mock\tmock\t-\tbuilt in\t")
    Path("model_registry.json").write_text('[{"model_name": "mock", "backend": "openai"}]')
    sources = [row.split("\t")[3] for row in clem.ok("list", "models", "mock").splitlines()]
    assert sources == ["model_registry.json:1"]  # an entry of that name comes first


@pytest.mark.parametrize("what", ["models", "backends", "keys"])
def test_a_mistyped_backend_is_an_error(clem: Clem, what: str) -> None:
    assert "did you mean 'openai'?" in clem.fails("list", what, "--backend", "opnai", status=2)
    clem.ok("list", what, "--backend", "human")


def test_a_backend_that_only_an_entry_names_can_be_listed(clem: Clem) -> None:
    Path("model_registry.json").write_text('[{"model_name": "m", "backend": "lab"}]')
    assert clem.ok("list", "models", "--backend", "lab").startswith("m\tlab\t")


# -- chat --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "near"), [("/hlep", "/help"), ("/rset", "/reset"), ("/reset now", "/reset"), ("/EXIT", "/exit")]
)
def test_a_mistyped_command_is_not_sent(clem: Clem, line: str, near: str) -> None:
    done = clem("chat", "-m", "mock", stdin=f"one\n{line}\ntwo\n")
    assert (done.returncode, done.stdout) == (1, "one\n")
    assert f"there is no command '{line}'" in done.stderr
    if line != "/EXIT":  # nothing is like it
        assert f"did you mean '{near}'?" in done.stderr


def test_lines_that_only_look_like_commands_are_sent(clem: Clem) -> None:
    lines = ["/etc/hosts", "/srv is a folder", "1/2", "//srv", "/ alone"]
    answers = clem.ok("chat", "-m", "mock", stdin="".join(f"{line}\n" for line in lines)).splitlines()
    assert answers == ["/etc/hosts", "/srv is a folder", "1/2", "/srv", "/ alone"]


def test_a_person_can_go_on_after_a_mistyped_command(terminal: Terminals) -> None:
    screen = terminal("chat", "-m", "mock", NO_COLOR="1")
    screen.expect("> ")
    screen.type("/hlep\n")
    screen.expect("did you mean '/help'?")
    screen.type("Hello!\n")
    screen.expect("\nHello!\n> ")
    screen.type("/exit\n")
    assert screen.end() == 0


# -- the default model -------------------------------------------------------------------------------------------
def test_a_default_model_is_kept(clem: Clem) -> None:
    assert "No model is given" in clem.fails("respond", "Hi", status=2)
    assert clem.ok("config") == ""
    clem.ok("config", "model", "mock")
    assert clem.ok("config") == f"model\tmock\t{Path.home() / '.clemcore' / 'config.json'}\n"
    assert clem.ok("respond", "Hi") == "Hi\n"
    assert clem.ok("chat", stdin="Hi\n") == "Hi\n"
    assert json.loads(clem.ok("render", "Hi")) == [{"role": "user", "content": "Hi"}]
    assert '"mock"' in clem.ok("doctor", "--json")
    assert "removed" in clem("config", "model", "--unset").stderr
    assert "nothing was changed" in clem("config", "model", "--unset").stderr
    assert "No model is given" in clem.fails("respond", "Hi", status=2)


def test_which_default_comes_first(clem: Clem) -> None:
    scripted = json.dumps({"model_name": "s", "backend": "mock", "model_config": {"responses": ["scripted"]}})
    clem.ok("config", "model", "mock")
    assert clem.ok("respond", "Hi", CLEMCORE_MODEL=scripted) == "scripted\n"
    assert clem.ok("config", CLEMCORE_MODEL="human") == "model\thuman\t$CLEMCORE_MODEL\n"
    assert clem.ok("respond", "-m", "mock", "Hi", CLEMCORE_MODEL=scripted) == "Hi\n"
    assert clem.ok("respond", "Hi", "--set", 'model_config.responses=["set"]') == "set\n"


def test_a_default_that_is_none_is_refused(clem: Clem) -> None:
    assert "'gpt-4o-mimi'" in clem.fails("config", "model", "gpt-4o-mimi")
    assert "--unset removes one setting" in clem.fails("config", "--unset", status=2)
    kept = Path.home() / ".clemcore" / "config.json"
    assert not kept.exists()
    kept.parent.mkdir(exist_ok=True)
    for text in ("{", "[]", '{"model": 7}', b"\xff"):
        kept.write_bytes(text if isinstance(text, bytes) else text.encode())
        message = clem.fails("respond", "Hi")
        assert str(kept) in message
        assert "correct or remove the file" in message
        clem.fails("config", "model", "mock")  # nothing is overwritten
        assert kept.read_bytes() == (text if isinstance(text, bytes) else text.encode())


# -- images ------------------------------------------------------------------------------------------------------
def test_images_belong_to_the_last_message(clem: Clem) -> None:
    Path("a.png").write_bytes(b"\x89PNG")
    asked = _asked(clem, "-m", "mock", "--image", "a.png", "--image", "https://models.example/b.png", "What?")
    assert asked == [{"role": "user", "content": "What?", "image": ["a.png", "https://models.example/b.png"]}]
    asked = _asked(clem, "-m", "mock", "--system", "Be brief.", "--image", "a.png", stdin="What?")
    assert [sorted(message) for message in asked] == [["content", "role"], ["content", "image", "role"]]


def test_images_that_cannot_be_sent_are_refused(clem: Clem) -> None:
    assert "there is no file 'b.png'" in clem.fails("respond", "-m", "mock", "--image", "b.png", "Hi", status=2)
    Path("a.png").write_bytes(b"\x89PNG")
    for last, words in (
        ({"role": "assistant", "content": "Hi"}, "the last one is of 'assistant'"),
        ({"role": "user", "content": "Hi", "image": "c.png"}, "has images or parts of its own"),
        ({"role": "user", "content": [{"type": "text", "text": "Hi"}]}, "has images or parts of its own"),
    ):
        Path("d.json").write_text(json.dumps([last]))
        assert words in clem.fails("respond", "-m", "mock", "--image", "a.png", "d.json", status=2)


# -- a server without an entry -----------------------------------------------------------------------------------
def test_a_server_needs_no_entry_and_gets_no_key(clem: Clem, wire_server: WireServer) -> None:
    wire_server.script = [completion("Canberra.")]
    address = ("--base-url", f"{wire_server.url}/v1", "-m", "llama3.2:1b")
    assert clem.ok("respond", *address, "Where?") == "Canberra.\n"
    (request,) = wire_server.requests
    assert request.json["model"] == "llama3.2:1b"
    assert "authorization" not in {name.lower() for name in request.headers}
    assert json.loads(clem.ok("render", *address, "Where?"))["model"] == "llama3.2:1b"
    rows = {row["name"]: row["value"] for row in json.loads(clem.ok("doctor", "m", *address[:2], "--json"))["rows"]}
    assert rows["base_url"] == f"{wire_server.url}/v1"


def test_a_server_without_an_entry_gets_images(clem: Clem, wire_server: WireServer) -> None:
    wire_server.script = [completion("A cat."), completion("Two cats.")]
    address = ("--base-url", f"{wire_server.url}/v1", "-m", "llava:7b")
    images = ("--image", "https://example.org/1.png", "--image", "https://example.org/2.png")
    assert clem.ok("respond", *address, *images[:2], "What is this?") == "A cat.\n"
    assert clem.ok("respond", *address, *images, "And these?") == "Two cats.\n"
    sent = [json.dumps(request.json["messages"]) for request in wire_server.requests]
    assert [text.count("https://example.org/") for text in sent] == [1, 2]


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ((), {"OPENAI_COMPATIBLE_API_KEY": "sk-lab-7654321"}),
        (("--key-name", "lab"), {"LAB_API_KEY": "sk-lab-7654321"}),
    ],
)
def test_a_key_is_sent_where_it_was_asked_for(
    clem: Clem, wire_server: WireServer, options: tuple[str, ...], environment: dict[str, str]
) -> None:
    wire_server.script = [completion("Canberra.")]
    clem.ok("respond", "--base-url", f"{wire_server.url}/v1", "-m", "m", *options, "Where?", **environment)
    headers = {name.lower(): value for name, value in wire_server.requests[0].headers.items()}
    assert headers["authorization"] == "Bearer sk-lab-7654321"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--base-url", "http://127.0.0.1:1/v1", "Hi"),
        ("--base-url", "http://127.0.0.1:1/v1", "-m", '{"model_name": "m", "backend": "openai"}', "Hi"),
    ],
)
def test_an_address_needs_a_name(clem: Clem, arguments: tuple[str, ...]) -> None:
    assert "--base-url needs the model's name" in clem.fails("respond", *arguments, status=2)


def test_a_key_needs_an_address(clem: Clem) -> None:
    message = clem.fails("respond", "--key-name", "lab", "-m", "mock", "Hi", status=2)
    assert "--key-name needs --base-url" in message


# -- completion and help -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("clem respond -m gpt-4o-mi", "gpt-4o-mini"),
        ("clem respond -m mo", "mock"),
        ("clem doctor my-m", "my-model"),
        ("clem registry resolve my-m", "my-model"),
        ("clem list models --backend open", "openai_compatible"),
        ("clem veri", "verify"),
    ],
)
def test_completion_knows_names(clem: Clem, words: str, wanted: str) -> None:
    Path("model_registry.json").write_text('[{"model_name": "my-model", "backend": "mock"}]')
    last = str(len(words.split()) - 1)
    told = clem.ok(_CLEM_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=last)
    assert wanted in [line.partition(",")[2] for line in told.splitlines()]


def test_completion_with_a_faulty_registry_is_quiet(clem: Clem) -> None:
    Path("model_registry.json").write_text("[")
    words = "clem respond -m mo"
    done = clem(_CLEM_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD="3")
    assert (done.stdout, done.stderr) == ("plain,mock\n", "")


def test_no_line_of_the_help_is_cut_off(clem: Clem) -> None:
    for arguments in ((), ("registry",), ("register",), ("cache",)):
        for columns in ("80", "100"):
            page = clem.ok(*arguments, "--help", COLUMNS=columns)
            commands = page.partition("Commands:")[2].partition("Examples:")[0]
            assert "..." not in commands


# -- clearing a cache --------------------------------------------------------------------------------------------
def _cached(clem: Clem, wire_server: WireServer) -> None:
    wire_server.script = [completion("Canberra.")]
    clem.ok("respond", "--base-url", f"{wire_server.url}/v1", "-m", "m", "--cache", "c.sqlite3", "Where?")


def test_a_cache_is_cleared_only_with_consent(clem: Clem, wire_server: WireServer) -> None:
    _cached(clem, wire_server)
    for options in ((), ("--model", "m"), ("--before", "2999-01-01")):
        assert "add --yes" in clem.fails("cache", "clear", "c.sqlite3", *options, status=2)
        assert clem.ok("cache", "stat", "c.sqlite3").split("\t")[2] == "1"
    assert "1 replies removed" in clem("cache", "clear", "c.sqlite3", "--yes").stderr
    assert clem("cache", "clear", "c.sqlite3").returncode == 0  # there is nothing to lose


@pytest.mark.parametrize("typed", ["n", "", "y"])
def test_a_person_is_asked(clem: Clem, terminal: Terminals, wire_server: WireServer, typed: str) -> None:
    _cached(clem, wire_server)
    screen = terminal("cache", "clear", "c.sqlite3")
    screen.expect("keeps 1 replies. Remove all of them? [y/N]: ")
    screen.type(f"{typed}\n")
    is_cleared = typed == "y"
    assert screen.end() == (0 if is_cleared else 130)
    assert len(clem.ok("cache", "stat", "c.sqlite3").splitlines()) == (0 if is_cleared else 1)


# -- answers that are shown while they arrive --------------------------------------------------------------------
LONG = "Canberra is the capital.\nSydney is larger, but not the capital."


def test_a_terminal_shows_the_answer_while_it_arrives(terminal: Terminals, wire_server: WireServer) -> None:
    whole = streamed(completion(LONG))
    wire_server.script = [dataclasses.replace(whole, fault="stall")]
    address = ("--base-url", f"{wire_server.url}/v1", "-m", "m", "--set", "model_config.idle_timeout=2")
    screen = terminal("respond", *address, "Where?", NO_COLOR="1")
    screen.expect("Canberra is")  # the rest does not come
    assert screen.end() == 1
    before, _, message = screen.shown.partition("\nclem: ")
    assert LONG.startswith(before.rpartition(" s\n")[2])  # what was shown stays, and the error has its own line
    assert "idle_timeout" in message
    assert wire_server.requests[0].json["stream"] is True


@pytest.mark.parametrize("command", ["respond", "chat"])
@pytest.mark.parametrize("options", [(), ("--whole",)])
def test_an_answer_looks_the_same_in_pieces_and_whole(
    terminal: Terminals, wire_server: WireServer, command: str, options: tuple[str, ...]
) -> None:
    wire_server.script = [completion(LONG)] if options else [streamed(completion(LONG))]
    question = ("Where?",) if command == "respond" else ()
    address = ("--base-url", f"{wire_server.url}/v1", "-m", "m")
    screen = terminal(command, *address, *options, *question, NO_COLOR="1")
    if command == "chat":
        screen.expect("> ")
        screen.type("Where?\n")
        screen.expect(f"\n{LONG}\n> ")
        screen.type("/exit\n")
    assert screen.end() == 0
    assert f"\n{LONG}\n" in screen.shown
    assert ("stream" in wire_server.requests[0].json) is not bool(options)


def test_a_pipe_and_json_get_the_answer_in_one_piece(clem: Clem, wire_server: WireServer) -> None:
    wire_server.script = [completion(LONG)]
    address = ("--base-url", f"{wire_server.url}/v1", "-m", "m")
    assert clem.ok("respond", *address, "Where?") == f"{LONG}\n"
    assert json.loads(clem.ok("respond", *address, "--json", "Where?"))["response_text"] == LONG
    assert all("stream" not in request.json for request in wire_server.requests)
