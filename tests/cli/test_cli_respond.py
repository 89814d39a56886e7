"""`clem respond` and `clem chat`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.clem import CLEM, Clem, Terminals

DIALOGUE = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]


def test_a_text(clem: Clem) -> None:
    done = clem("respond", "-m", "mock", "Héllo, 日本")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Héllo, 日本\n", "")


def test_a_file_of_messages(clem: Clem) -> None:
    Path("dialogue.json").write_text(json.dumps(DIALOGUE))
    assert clem.ok("respond", "-m", "mock", "dialogue.json") == DIALOGUE[-1]["content"] + "\n"
    whole = json.loads(clem.ok("respond", "-m", "mock", "dialogue.json", "--json", "--system", "Be brief."))
    assert list(whole) == ["prompt", "response", "response_text"]
    assert whole["prompt"] == [{"role": "system", "content": "Be brief."}, *DIALOGUE]
    assert whole["response_text"] == DIALOGUE[-1]["content"]


@pytest.mark.parametrize("arguments", [["-"], []])
def test_standard_input_holds_a_text_or_messages(clem: Clem, arguments: list[str]) -> None:
    assert clem.ok("respond", "-m", "mock", *arguments, stdin="two\nlines\n") == "two\nlines\n"
    assert clem.ok("respond", "-m", "mock", *arguments, stdin=json.dumps(DIALOGUE)).startswith("Tell me")
    assert clem.ok("respond", "-m", "mock", *arguments, stdin="[1] is not a dialogue") == "[1] is not a dialogue\n"


def test_generation_arguments_reach_the_model_and_the_record(clem: Clem) -> None:
    clem.ok(
        *("respond", "-m", "mock", "-t", "0.5", "-l", "7", "--record", "deep/r.json", "Hi"),
        *("--gen-arg", "seed=3", "--gen-arg", 'stop=["a,b"]', "--gen-arg", "top_k=40"),
    )
    clem.ok("respond", "-m", "mock", "--record", "deep/r.json", "Hi again")
    first, second = json.loads(Path("deep/r.json").read_text())
    asked = {"temperature": 0.5, "max_tokens": 7, "seed": 3, "stop": ["a,b"], "top_k": 40}
    assert first["clemcore"]["gen_args"]["asked"] == asked
    assert second["clemcore"]["gen_args"]["all"] == {"temperature": 0.0, "max_tokens": 300}
    assert second["manipulated_prompt_obj"] == [{"role": "user", "content": "Hi again"}]


def test_a_selector_as_json(clem: Clem) -> None:
    model = {"model_name": "scripted", "backend": "mock", "model_config": {"responses": ["Canberra."]}}
    assert clem.ok("respond", "-m", json.dumps(model), "Where?") == "Canberra.\n"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["-l", "0", "Hi"], "0 is not in the range x>=1"),
        (["-t", "-1", "Hi"], "-1.0 is not in the range x>=0"),
        (["--gen-arg", "seed", "Hi"], "'seed' is not NAME=JSON"),
        (["-t", "1", "--gen-arg", "temperature=0", "Hi"], "'temperature' is given twice"),
        (["--system", "a", "dialogue.json"], "the messages have a system message of their own"),
    ],
)
def test_wrong_usage(clem: Clem, arguments: list[str], fault: str) -> None:
    Path("dialogue.json").write_text('[{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]')
    assert fault in clem.fails("respond", "-m", "mock", *arguments, status=2)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[{]", "bad.json:1:3: no valid JSON"),
        (b"\xff", "bad.json: byte 0 is not UTF-8"),
        (b"[]", "bad.json: messages must be a non-empty list"),
        (b'[{"role": "user"}]', "bad.json: messages[0]['content'] must be a string, but is missing"),
        (b"[" * 100_000, "bad.json: nested too deeply"),
        (None, "bad.json: the file with the messages cannot be read: No such file or directory"),
    ],
)
def test_bad_messages(clem: Clem, content: bytes | None, fault: str) -> None:
    if content is not None:
        Path("bad.json").write_bytes(content)
    assert fault in clem.fails("respond", "-m", "mock", "bad.json")


def test_bad_standard_input(clem: Clem) -> None:
    assert "standard input is empty" in clem.fails("respond", "-m", "mock")
    assert "byte 1 is not UTF-8" in clem.fails("respond", "-m", "mock", stdin=b"a\xff")


def test_a_text_is_read_as_utf_8_also_where_the_locale_is_not() -> None:
    poor = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for argument, status, shown in (("é".encode(), 0, b"\\xe9\n"), (b"\xe9", 1, b"")):
        done = subprocess.run([CLEM, "respond", "-m", "mock", argument], env=poor, check=False, capture_output=True)
        assert (done.returncode, done.stdout) == (status, shown)
    assert b"clem: the text on the command line: byte 0 is not UTF-8" in done.stderr


def test_half_a_character_and_a_poor_terminal_are_no_reason_to_fail(clem: Clem) -> None:
    model = {"model_name": "m", "backend": "mock", "model_config": {"responses": ["\ud83d 日"]}}
    assert clem.ok("respond", "-m", json.dumps(model), "Hi") == "\\ud83d 日\n"
    assert clem.ok("respond", "-m", "mock", "日", PYTHONIOENCODING="latin-1") == "\\u65e5\n"


def test_a_terminal_sees_progress_and_is_not_commanded(terminal: Terminals) -> None:
    model = {"model_name": "m", "backend": "mock", "model_config": {"responses": ["a\x1b[2Jb"]}}
    screen = terminal("respond", "-m", json.dumps(model), "Hi", NO_COLOR="1")
    assert screen.end() == 0
    assert re.fullmatch(r"loading m …\nloading m: done in \d+\.\d s\na\\x1b\[2Jb\n", screen.shown)


def test_without_a_text_on_a_terminal(terminal: Terminals) -> None:
    screen = terminal("respond", "-m", "mock")
    assert screen.end() == 2
    assert "Missing argument" in screen.shown


# -- chat ----------------------------------------------------------------------
def test_piped_lines_are_a_dialogue(clem: Clem) -> None:
    text = clem.ok(
        *("chat", "-m", "mock", "--system", "Be brief.", "--record", "r.json"),
        stdin="one\n\n/help\ntwo\n/reset\nthree\r\n/exit\nnever\n",
    )
    assert text == "one\ntwo\nthree\n"
    calls = json.loads(Path("r.json").read_text())
    asked = [[message["content"] for message in call["manipulated_prompt_obj"]] for call in calls]
    assert asked == [["Be brief.", "one"], ["Be brief.", "one", "one", "two"], ["Be brief.", "three"]]


def test_an_error_ends_a_piped_dialogue(clem: Clem) -> None:
    model = {"model_name": "m", "backend": "mock", "model_config": {"responses": ["only one"]}}
    done = clem("chat", "-m", json.dumps(model), stdin="a\nb\n")
    assert (done.returncode, done.stdout) == (1, "only one\n")
    assert "has 1 responses and was asked once more" in done.stderr
    assert "line 2: byte 1 is not UTF-8" in clem("chat", "-m", "mock", stdin=b"a\nb\xff\n").stderr


def test_a_dialogue_on_a_terminal(terminal: Terminals) -> None:
    model = {"model_name": "m", "backend": "mock", "model_config": {"responses": ["first", "second"]}}
    screen = terminal("chat", "-m", json.dumps(model), NO_COLOR="1")
    screen.expect("/exit or Ctrl-D ends it\n> ")
    screen.type("Helo\x1b[D\x1b[Dl\n")  # the line is edited: two to the left, then an l
    screen.expect("first\n> ")
    screen.type("again\n")
    screen.expect("second\n> ")
    screen.type("too much\n")
    screen.expect("was asked once more")  # a person can go on
    screen.type("/reset\n")
    screen.expect("the dialogue is forgotten\n> ")
    screen.type("anew\n")
    screen.expect("forgotten\n> anew\nfirst\n> ")
    screen.type("\x04")
    assert screen.end() == 0


def test_ctrl_c_ends_a_dialogue_quietly(terminal: Terminals) -> None:
    screen = terminal("chat", "-m", "mock")
    screen.expect("> ")
    assert screen.interrupt() == 130
    screen.end()
    assert "Traceback" not in screen.shown
