"""How `clem` starts and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clemcore import __version__
from clemcore.cli.app import COMMANDS
from support.clem import CLEM, Clem, Terminals

HEAVY = {"torch", "transformers", "openai", "httpx", "httpx2", "nltk", "pandas", "pydantic", "numpy", "jinja2"}


def test_version_is_said_without_importing_click(clem: Clem) -> None:
    assert clem.ok("--version") == f"clem {__version__}\n"
    code = "import sys; from clemcore.cli import main; main(['--version']); sys.exit('click' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_version_is_an_option_like_any_other(clem: Clem) -> None:
    assert clem.ok("--debug", "--version") == f"clem {__version__}\n"


def test_python_m_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clemcore", "--version"], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"clem {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list", "models"], ["respond", "-m", "mock", "Hi"], ["registry", "resolve", "zephyr-7b-beta"]],
    ids=" ".join,
)
def test_no_command_imports_an_sdk_that_it_does_not_need(arguments: list[str]) -> None:
    code = (
        "import sys; from clemcore.cli import main; status = main(sys.argv[1:]);"
        f"loaded = {HEAVY!r} & set(sys.modules); assert not loaded, loaded; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(clem: Clem, name: str) -> None:
    page = clem.ok(name, "-h")
    assert page == clem.ok(name, "--help")
    assert "Example" in page
    assert f"clem {name}" in page


def test_help_names_every_command(clem: Clem) -> None:
    page = clem.ok("--help")
    for name in COMMANDS:
        assert f"\n  {name} " in page


def test_wrong_usage_ends_with_2_and_says_where_help_is(clem: Clem) -> None:
    assert "No such command 'lst'. Did you mean 'list'?" in clem.fails("lst", status=2)
    assert "There are: respond, chat" in clem.fails("frobnicate", status=2)
    assert "Try 'clem respond --help'" in clem.fails("respond", status=2)
    assert "Usage: clem" in clem.fails(status=2)


def test_an_error_is_one_message_and_debug_shows_the_traceback(clem: Clem) -> None:
    message = clem.fails("respond", "-m", "zephyr-7b-bet", "Hi")
    assert message.startswith("clem: no model matches {'model_name': 'zephyr-7b-bet'}")
    assert "did you mean 'zephyr-7b-beta'" in message
    for done in (
        clem("--debug", "respond", "-m", "nope", "Hi"),
        clem("respond", "-m", "nope", "Hi", CLEM_DEBUG="1"),
    ):
        assert done.returncode == 1
        assert "Traceback (most recent call last)" in done.stderr
        assert "ModelNotFoundError" in done.stderr


def test_a_backend_that_imports_what_is_not_there_is_told_in_one_line(clem: Clem) -> None:
    Path("retrying_api.py").write_text("from retry_of_3_7_2 import retry\n")
    message = clem.fails("respond", "-m", '{"model_name": "m", "backend": "retrying"}', "Hi")
    file = Path("retrying_api.py").resolve()
    assert message == (
        f"clem: {file} cannot be imported: it needs the module 'retry_of_3_7_2', which is not installed\n"
    )


def test_a_fault_of_a_backend_says_that_it_was_not_expected_and_hides_keys(clem: Clem) -> None:
    Path("faulty_api.py").write_text(
        "from clemcore import backends\n"
        "class Faulty(backends.Backend):\n"
        "    def get_model_for(self, model_spec):\n"
        "        key = backends.KeyRegistry.from_json().get_key_for('faulty')\n"
        "        raise ZeroDivisionError('with ' + key['api_key'])\n"
    )
    model = '{"model_name": "m", "backend": "faulty"}'
    message = clem.fails("respond", "-m", model, "Hi", FAULTY_API_KEY="sk-0123456789")
    assert message == "clem: unexpected ZeroDivisionError: with ***\n  CLEM_DEBUG=1 shows where it happened\n"
    done = clem("--debug", "respond", "-m", model, "Hi", FAULTY_API_KEY="sk-0123456789")
    assert "faulty_api.py" in done.stderr
    assert "sk-0123456789" not in done.stderr


@pytest.mark.parametrize(
    "command", ["list models", "--help", "list --json", "respond -m mock long.json", "--version"]
)
def test_a_reader_that_goes_away_gets_no_traceback(command: str) -> None:
    Path("long.json").write_text('[{"role": "user", "content": "' + "word " * 100_000 + '"}]')
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([CLEM, *command.split()], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 141


def test_head_takes_one_line_without_noise() -> None:
    done = subprocess.run(f"{CLEM} list models | head -1", shell=True, capture_output=True, check=True)  # noqa: S602
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize("command", ["list models", "--version", "--help"])
def test_a_full_disk_is_told(command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([CLEM, *command.split()], stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr == "clem: No space left on device\n"


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("list models >&-", 0, ""),
        ("respond -m mock Hi >&- 2>&-", 0, ""),
        ("respond -m mock <&-", 1, "clem: standard input is empty"),
        ("respond -m human Hi <&-", 1, "standard input has ended"),
        ("chat -m mock <&-", 0, ""),
        ("register key -n openai <&-", 2, "nothing was written"),
    ],
)
def test_a_closed_stream_is_an_empty_one(command: str, status: int, said: str) -> None:
    done = subprocess.run(["sh", "-c", f"{CLEM} {command}"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "unexpected" not in done.stderr


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        ["sh", "-c", f"cd gone && rmdir ../gone && exec {CLEM} list"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "clem: the working directory does not exist any more: change into one that does\n"


def test_interrupted_is_130_and_quiet() -> None:
    process = subprocess.Popen([CLEM, "chat", "-m", "mock"], stdin=subprocess.PIPE, stdout=-1, stderr=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Hello!\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"Hello!\n"  # it is running now
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_colours_are_for_terminals_only(clem: Clem, terminal: Terminals) -> None:
    assert "\x1b" not in clem.fails("respond", "-m", "nope", "Hi")
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        screen = terminal("respond", "-m", "nope", "Hi", **environment)
        assert screen.end() == 1
        assert ("\x1b[31mclem:" in screen.shown) is coloured
        assert "no model matches" in screen.shown


def test_shell_completion_answers(clem: Clem) -> None:
    assert clem.ok(_CLEM_COMPLETE="bash_complete", COMP_WORDS="clem reg", COMP_CWORD="1") == (
        "plain,register\nplain,registry\n"
    )
