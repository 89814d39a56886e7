"""`clem register`."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click import BadParameter

from clemcore.cli.inputs import read_assignments
from support.clem import Clem, Terminals

SECRET = "sk-do-not-show-0123"


def entries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path("model_registry.json").read_text(encoding="utf-8"))
    return found


def home_keys() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path.home() / ".clemcore" / "key.json").read_text())
    return found


# -- values ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("texts", "fields"),
    [
        (["a=1,b=1.5,c=true,d=null,e=text"], {"a": 1, "b": 1.5, "c": True, "d": None, "e": "text"}),
        (['a=["x,y", {"z": 1}] , b="1"'], {"a": ["x,y", {"z": 1}], "b": "1"}),
        (
            ["a=7B,b=2024-01-02,c=128k,d=1e5x,e=-"],
            {"a": "7B", "b": "2024-01-02", "c": "128k", "d": "1e5x", "e": "-"},
        ),
        (["a.b.c=1,a.b.d=x", "a.e=y"], {"a": {"b": {"c": 1, "d": "x"}, "e": "y"}}),
        (["a=,b= spaces inside ,c=k=v"], {"a": "", "b": "spaces inside", "c": "k=v"}),
        (["a=True,b=False,c=on,d=NaN,e=Infinity"], {"a": True, "b": False, "c": "on", "d": "NaN", "e": "Infinity"}),
        (["a=[1,b=2"], {"a": "[1", "b": 2}),
        ([""], {}),
    ],
)
def test_values(texts: list[str], fields: dict[str, Any]) -> None:
    assert read_assignments(texts) == fields


def test_values_of_keys_stay_text() -> None:
    text = 'organization=123,base_url=http://localhost:1/v1,flag=true,more={"a": 1},quoted="x,y"'
    assert read_assignments([text], typed=False) == {
        "organization": "123",
        "base_url": "http://localhost:1/v1",
        "flag": "true",
        "more": {"a": 1},
        "quoted": "x,y",
    }


@pytest.mark.parametrize("text", ["a", "=1", "a=1,b", "a..b=1", "a=1,a=2", "a=1,a.b=2", "a.b=1,a=2"])
def test_bad_values(text: str) -> None:
    with pytest.raises(BadParameter):
        read_assignments([text])


# -- models ----------------------------------------------------------------------
def test_an_entry_is_made_changed_and_replaced(clem: Clem) -> None:
    done = clem("register", "model", "-n", "mine", "-b", "mock", "-v", 'languages=["en", "de"],c.x=1,parameters=7B')
    path = Path("model_registry.json").resolve()
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"wrote the entry of 'mine' into {path}\n"
    assert entries() == [
        {"model_name": "mine", "backend": "mock", "languages": ["en", "de"], "c": {"x": 1}, "parameters": "7B"}
    ]
    clem.ok("register", "model", "-n", "mine", "-v", "c.y=2,parameters=8B")
    assert entries()[0]["c"] == {"x": 1, "y": 2}
    assert entries()[0]["parameters"] == "8B"
    clem.ok("register", "model", "-n", "mine", "--reset", "-v", "backend=mock")
    assert entries() == [{"model_name": "mine", "backend": "mock"}]


def test_the_backend_of_a_packaged_entry_is_taken_over(clem: Clem) -> None:
    clem.ok("register", "model", "-n", "zephyr-7b-beta", "-v", "model_config.eos_to_cull=x")
    assert entries() == [
        {"model_name": "zephyr-7b-beta", "backend": "huggingface_local", "model_config": {"eos_to_cull": "x"}}
    ]


def test_other_entries_and_the_form_of_the_file_stay(clem: Clem) -> None:
    text = '[{"model_name":"other",   "backend":"mock"},\n\n {"model_name": "mine", "backend": "mock"}]'
    Path("model_registry.json").write_text(text)
    clem.ok("register", "model", "-n", "mine", "-v", "a=1")
    assert Path("model_registry.json").read_text().startswith('[{"model_name":"other",   "backend":"mock"},\n\n {')


def test_a_registry_with_faults_is_not_touched(clem: Clem) -> None:
    broken = '[{"model_name": "a", "backend": "mock"},]'
    Path("model_registry.json").write_text(broken)
    assert "model_registry.json:1:" in clem.fails("register", "model", "-n", "b", "-b", "mock")
    assert Path("model_registry.json").read_text() == broken


@pytest.mark.parametrize(
    ("arguments", "status", "fault"),
    [
        (["-n", "new", "-v", "a=1"], 1, "needs a 'backend'"),
        (["-n", "new", "-b", "mock", "-v", "backend=human"], 2, "'backend' differs from -b"),
        (["-n", "new", "-b", "mock", "-v", "model_name=x"], 2, "give it by -n"),
        (["-n", "new", "-b", "mock", "-v", f"model_config.api_key={SECRET}"], 2, "clem register key"),
        (["-b", "mock"], 2, "Missing option '-n'"),
        (["-n", "", "-b", "mock"], 1, "error[R043]: model_name is empty"),
        (["-n", "new", "-b", "openai", "-v", "model_id=5"], 1, "nothing was written, for the file would read:"),
    ],
)
def test_what_cannot_be_registered(clem: Clem, arguments: list[str], status: int, fault: str) -> None:
    message = clem.fails("register", "model", *arguments, status=status)
    assert fault in message
    assert SECRET not in message
    assert not Path("model_registry.json").exists()


# -- keys ----------------------------------------------------------------------
def test_a_key_is_read_from_standard_input(clem: Clem) -> None:
    done = clem("register", "key", "-n", "openai", "-v", "organization=lab", stdin=f"{SECRET}\n")
    path = Path.home() / ".clemcore" / "key.json"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"wrote the key of 'openai' into {path}\n")
    assert home_keys() == {"openai": {"api_key": SECRET, "organization": "lab"}}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_taken_from_the_environment(clem: Clem) -> None:
    clem.ok("register", "key", "-n", "openai", "--from-env", "MY_KEY", "--cwd", MY_KEY=SECRET)
    assert json.loads(Path("key.json").read_text()) == {"openai": {"api_key": SECRET}}
    assert "$UNSET is not set" in clem.fails("register", "key", "-n", "x", "--from-env", "UNSET", status=2)


def test_a_person_types_a_key_that_is_not_shown(terminal: Terminals) -> None:
    screen = terminal("register", "key", "-n", "openai")
    screen.expect("key for openai (not shown)")
    screen.type(f"{SECRET}\n")
    assert screen.end() == 0
    assert SECRET not in screen.shown
    assert home_keys() == {"openai": {"api_key": SECRET}}


def test_ctrl_c_at_the_question_writes_nothing(terminal: Terminals) -> None:
    screen = terminal("register", "key", "-n", "openai")
    screen.expect("(not shown)")
    assert screen.interrupt() == 130
    assert not (Path.home() / ".clemcore").exists()


def test_further_fields_are_changed_and_the_key_stays(clem: Clem) -> None:
    clem.ok("register", "key", "-n", "server", "-v", "base_url=http://127.0.0.1:1/v1,tag=a", stdin=SECRET)
    clem.ok("register", "key", "-n", "server", "-v", "base_url=http://127.0.0.1:2/v1")
    assert home_keys() == {"server": {"api_key": SECRET, "base_url": "http://127.0.0.1:2/v1", "tag": "a"}}
    clem.ok("register", "key", "-n", "server", "--reset", "-v", "base_url=b")
    assert home_keys() == {"server": {"base_url": "b"}}
    assert "no key was given" in clem.fails("register", "key", "-n", "server", status=2)


def test_a_key_on_the_command_line_works_and_is_warned_of(clem: Clem) -> None:
    done = clem("register", "key", "-n", "openai", "-v", "api_key=123456789")
    assert done.returncode == 0
    assert "shell's history" in done.stderr
    assert "123456789" not in done.stderr
    assert home_keys() == {"openai": {"api_key": "123456789"}}


def test_what_is_no_key(clem: Clem) -> None:
    assert "several words" in clem.fails("register", "key", "-n", "x", stdin="a b\n", status=2)
    assert "byte 0 is not UTF-8" in clem.fails("register", "key", "-n", "x", stdin=b"\xff", status=2)


def test_a_broken_key_file_is_not_touched(clem: Clem) -> None:
    Path("key.json").write_text('{"a": {"api_key": "sk-a-secret",}}')
    message = clem.fails("register", "key", "-n", "x", stdin=SECRET)
    assert "key.json:1:" in message
    assert "sk-a-secret" not in message
    assert Path("key.json").read_text() == '{"a": {"api_key": "sk-a-secret",}}'


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("model_id=a,model_idd=7", 'nothing reads the key "model_idd"; did you mean "model_id"?'),
        ("contxt_size=8k", 'did you mean "context_size"?'),
        ("model_config.temperature=0.7", 'write "temperature" beside "model_config"'),
        ("model_config.total_timeout=0", "must be a positive number of seconds, not 0"),
    ],
)
def test_a_field_without_effect_is_not_written(clem: Clem, values: str, words: str) -> None:
    message = clem("register", "model", "-n", "m", "-b", "openai", "-v", values)
    assert message.returncode == 2
    assert words in " ".join(message.stderr.split())
    assert not Path("model_registry.json").exists()
    clem.ok("register", "model", "-n", "m", "-b", "mock", "-v", "own=7,top_p=0.9")


def test_a_custom_backend_takes_any_field(clem: Clem) -> None:
    Path("mine_api.py").write_text("")
    clem.ok("register", "model", "-n", "m", "-b", "mine", "-v", "model_idd=7,model_config.temperature=1")
