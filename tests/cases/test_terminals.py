"""Nothing that people read steers their terminal or reorders its lines, wherever it comes from."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, errors
from clemcore.registry.spec import MissingFieldError
from clemcore.visible import visible, visible_json
from support.clem import Clem, Terminals

# A title (OSC), clearing the screen (CSI, also as one C1 character), going back, reordering the line.
HOSTILE = "\x1b]0;owned\x07 \x1b[2J \x9b2J over\rwritten \u202etxt.exe \u2066\u200f\u061c"
SHOWN = "\\x1b]0;owned\\x07 \\x1b[2J \\x9b2J over\\rwritten \\u202etxt.exe \\u2066\\u200f\\u061c"
FORBIDDEN = "\x1b\x07\x9b\r\u202e\u2066\u200f\u061c"


def _is_harmless(text: str) -> bool:
    return not any(character in text for character in FORBIDDEN)


def test_each_kind_of_character_is_escaped_and_ordinary_text_is_not() -> None:
    for code in [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), 0xDC80]:
        character = chr(code)
        assert (visible(character) == character) is (character in "\n\t"), hex(code)
    for code in range(0x2066, 0x206A):
        assert visible(chr(code)) == f"\\u{code:04x}"
    for text in ("Zürich\n\t日本", "עברית", "👩\u200d🔬", "\u0645\u06cc\u200c\u062e", "a\xa0b\u2003c", "\\x1b[2J"):
        assert visible(text) == text
    assert json.loads(visible_json(json.dumps([HOSTILE], ensure_ascii=False))) == [HOSTILE]
    assert _is_harmless(visible_json(json.dumps([HOSTILE], ensure_ascii=False)))


ERRORS = [
    *(cls(HOSTILE) for cls in errors.RemoteCallError.__subclasses__()),
    errors.MessagesError(HOSTILE),
    errors.ModelLoadError(HOSTILE),
    errors.ModelNotFoundError(lambda: HOSTILE),
    errors.RecordError(HOSTILE),
    errors.TemplateError(HOSTILE),
    errors.RegistryError(HOSTILE),
    MissingFieldError(HOSTILE),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors(error: Exception) -> None:
    assert str(error) == SHOWN
    assert str(pickle.loads(pickle.dumps(error))) == SHOWN  # noqa: S301


def test_a_replayed_dialogue_that_differs() -> None:
    with backends.record("requests.json"):
        backends.get_model_for("mock").generate_response([{"role": "user", "content": f"{HOSTILE} then"}])
    replay = backends.get_model_for("replay:requests.json")
    with pytest.raises(errors.ReplayError) as caught:
        replay.generate_response([{"role": "user", "content": f"{HOSTILE} now"}])
    assert _is_harmless(str(caught.value))


@pytest.mark.parametrize("role", ["user", f"user{HOSTILE}"])
def test_a_person_reads_what_another_player_said(
    role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Yes.\n"))
    model = backends.get_model_for({"model_name": "human", "backend": "human"})
    reply = model.generate_response([{"role": role, "content": HOSTILE}])
    assert reply.prompt[0]["content"] == HOSTILE  # what is recorded stays exact
    shown = capsys.readouterr().err
    assert SHOWN in shown
    assert _is_harmless(shown)


# -- the command -------------------------------------------------------------------------------------------------
def _mock(**config: Any) -> str:
    return json.dumps({"model_name": "m", "backend": "mock", "model_config": config})


def _shown(terminal: Terminals, *arguments: str) -> str:
    screen = terminal(*arguments, NO_COLOR="1")
    screen.end()
    return screen.shown


@pytest.mark.parametrize("command", [("respond", "-m"), ("respond", "--json", "-m"), ("render", "-m"), ("doctor",)])
def test_answers_prompts_and_values(clem: Clem, terminal: Terminals, command: tuple[str, ...]) -> None:
    shown = _shown(terminal, *command, _mock(), HOSTILE.replace("\r", ""))
    assert "owned" in shown
    assert _is_harmless(shown)
    if command == ("respond", "-m"):
        assert clem.ok(*command, _mock(), HOSTILE) == f"{HOSTILE}\n"  # data in a pipe stays exact


def test_a_rendered_template(clem: Clem, terminal: Terminals) -> None:
    Path("t.jinja").write_text("{{ messages[0].content }}", encoding="utf-8")
    Path("d.json").write_text(json.dumps([{"role": "user", "content": HOSTILE}]))
    assert SHOWN in _shown(terminal, "render", "--template", "t.jinja", "d.json")
    assert clem.ok("render", "--template", "t.jinja", "d.json") == HOSTILE
    Path("t.jinja").write_text("{{ raise_exception(messages[0].content) }}", encoding="utf-8")
    assert SHOWN in clem.fails("render", "--template", "t.jinja", "d.json")


def test_a_record(clem: Clem, terminal: Terminals) -> None:
    clem.ok("respond", "-m", "mock", "--record", "r.json", "Hi")
    calls = json.loads(Path("r.json").read_text("utf-8"))
    calls[0]["timestamp"] = HOSTILE
    calls[0]["clemcore"]["duration_seconds"] = HOSTILE
    name = "r\x1b[2J\u202e.json"
    Path(name).write_text(json.dumps(calls), encoding="utf-8")
    piped = clem("verify", name)
    assert piped.returncode == 1
    assert _is_harmless(piped.stderr)
    assert _is_harmless(_shown(terminal, "verify", name))


def test_lists(clem: Clem, terminal: Terminals) -> None:
    entry = {"model_name": f"{HOSTILE}1", "model_id": HOSTILE, "backend": "mock"}
    Path("model_registry.json").write_text(json.dumps([entry]), encoding="utf-8")
    assert SHOWN in clem.ok("list", "models", "--backend", "mock")
    for options in ([], ["-v"], ["--json"]):
        assert _is_harmless(_shown(terminal, "list", "models", "--backend", "mock", *options))
    assert _is_harmless(_shown(terminal, "registry", "resolve", f"{HOSTILE}1".replace("\r", "")))
    explained = clem.ok("registry", "resolve", f"{HOSTILE}1", "--explain")  # it is prose, also in a pipe to a pager
    assert SHOWN in explained
    assert _is_harmless(explained)


def test_problems_of_a_registry_and_their_corrections(clem: Clem, terminal: Terminals) -> None:
    text = '[{"model_name": "a \x9b2J \u202etxt.exe", "backend": "mock", "temperatur": 1,},]\n'
    Path("model_registry.json").write_text(text, encoding="utf-8")
    for options in ((), ("--fix", "--diff")):
        shown = _shown(terminal, "registry", "check", *options, "model_registry.json")
        assert "txt.exe" in shown
        assert _is_harmless(shown)
    assert _is_harmless(clem("respond", "-m", "a", "Hi").stderr)


def test_notes_warnings_and_wrong_usage(clem: Clem) -> None:
    Path("loud_api.py").write_text(
        "import logging\n"
        "from clemcore import backends\n"
        "class Loud(backends.Backend):\n"
        "    def get_model_for(self, model_spec):\n"
        f"        logging.getLogger('lab').warning({HOSTILE!r})\n"
        "        return backends.CustomResponseModel(model_spec)\n"
    )
    done = clem("respond", "-m", '{"model_name": "m", "backend": "loud"}', "Hi")
    assert (done.stdout, done.stderr) == ("Hi\n", f"{SHOWN}\n")
    assert SHOWN in clem.fails("respond", "-m", HOSTILE, "Hi")
    assert _is_harmless(clem.fails("respond", "-m", "mock", "--gen-arg", HOSTILE, "Hi", status=2))


@pytest.mark.parametrize("state", [("ok", "32"), ("fault", "31")])
def test_colours_of_our_own_are_obeyed(terminal: Terminals, state: tuple[str, str]) -> None:
    word, colour = state
    screen = terminal("doctor", "gpt-4o", **({"OPENAI_API_KEY": "sk-7654321"} if word == "ok" else {}))
    screen.end()
    assert f"\x1b[{colour}m{word}" in screen.shown
    assert "\\x1b" not in screen.shown
