"""`python -m clemcore SCRIPT.py`: scripts of 2024 run as they are, all else as under `python SCRIPT.py`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


def python(*arguments: str, **environment: str) -> Done:
    """Run the interpreter in the test's working directory."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=60,
    )


def run(script: str, *arguments: str) -> str:
    """Run a script through clemcore; return what it printed."""
    Path("script.py").write_text(script)
    done = python("-m", "clemcore", "script.py", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- the documented examples of 2024 ----------------------------------------------------------------------
NAMES = ["zephyr-7b-alpha", "zephyr-7b-beta", "openchat-3.5-0106", "gpt-3.5-turbo-0125"]


def documented_examples(shared: Path) -> list[str]:
    page = (shared / "seeds" / "use-the-model-backend-directly.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_the_documented_examples_run_verbatim(shared: Path) -> None:
    entries = [
        {"model_name": name, "backend": "mock", "model_config": {"responses": [f"Canberra, says {name}."]}}
        for name in NAMES
    ]
    Path("model_registry.json").write_text(json.dumps(entries))
    one, several = documented_examples(shared)
    assert run(one) == "zephyr-7b-beta reply:\nCanberra, says zephyr-7b-beta.\n"
    assert run(several) == "".join(f"{name} reply:\nCanberra, says {name}.\n" for name in NAMES)


# -- names ----------------------------------------------------------------------
SAME = """
import backends
import clemcore.backends
assert backends is clemcore.backends
assert backends.__name__ == backends.__spec__.name == "clemcore.backends"

from backends import ModelSpec, get_model_for
from clemcore.registry.spec import ModelSpec as Today
assert ModelSpec is Today

import backends.utils
import clemcore.backends.utils
assert backends.utils is clemcore.backends.utils

from clemcore.backends.model_registry import Model, ModelRegistry
from clemcore.backends.key_registry import Key, KeyRegistry
from clemcore.backends.backend_registry import Backend, BackendRegistry
assert Model is backends.Model and KeyRegistry is backends.KeyRegistry and Backend is backends.Backend

import clemcore.backends.mock_api
import backends.mock_api
from backends import mock_api
import clemcore.backends.mock
assert mock_api is backends.mock_api is clemcore.backends.mock_api is clemcore.backends.mock
assert clemcore.backends.mock.__spec__.name == "clemcore.backends.mock"

import pickle
spec = ModelSpec(model_name="m")
assert pickle.loads(pickle.dumps(spec)) == spec
print("same")
"""


def test_old_names_are_todays_objects() -> None:
    assert run(SAME) == "same\n"


def test_a_name_that_does_not_exist_is_missed_under_the_name_that_was_written() -> None:
    script = """
for name in ("backends.nothing", "clemgame.nothing", "clemcore.backends.nothing_api"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    missing, game, api = run(script).splitlines()
    assert missing == "No module named 'backends.nothing'"
    assert game.startswith("No module named 'clemgame")
    assert api == "No module named 'clemcore.backends.nothing_api'"


def test_clemcores_backends_come_before_a_folder_of_that_name() -> None:
    Path("backends").mkdir()
    Path("backends/__init__.py").write_text("raise RuntimeError('the copy of 2024')")
    assert run("import backends; print(backends.__name__)") == "clemcore.backends\n"


def test_no_alias_leaks_into_other_processes() -> None:
    done = python("-c", "import clemcore, clemcore.backends, clemcore.loading\nimport backends")
    assert done.returncode == 1
    assert "No module named 'backends'" in done.stderr


def test_games_of_3_7_2_find_their_names_in_any_process() -> None:
    code = "from clemcore.backends.model_registry import Key; from clemcore import keys; print(Key is keys.Key)"
    assert python("-c", code).stdout == "True\n"


# -- as under plain python ----------------------------------------------------------------------
PROBE = r'''"""A docstring."""
from __future__ import annotations
import atexit, sys, threading

main = sys.modules["__main__"]
print(sys.argv, __name__, __file__, __doc__, __package__, __spec__, type(__loader__).__name__, __builtins__)
print(sorted(globals()), main.__dict__ is globals(), sys.path[0], len(sys.path))
print("ä", __annotations__, sys.flags.safe_path if hasattr(sys.flags, "safe_path") else None)
atexit.register(lambda: print("at exit", sys.modules["__main__"] is main, flush=True))
thread = threading.Thread(target=lambda: (threading.main_thread().join(), print("thread", main.__name__)))
thread.start()
class Here: pass
print(Here, Here.__module__)
'''
ENDINGS = {
    "end": "",
    "exit-3": "sys.exit(3)",
    "exit-text": "sys.exit('a last word')",
    "exit-none": "raise SystemExit",
    "error": "def deep():\n    {}['missing']\ndeep()",
    "chained": "try:\n    1 / 0\nexcept ZeroDivisionError as cause:\n    raise ValueError('b') from cause",
    "hook": "sys.excepthook = lambda kind, _, trace: print('hook', kind, trace.tb_lineno, trace.tb_next)\n1 / 0",
    "syntax": "this is no Python",
    "syntax-late": "compile('1 +', 'other.py', 'exec')",
    "os-exit": "sys.stdout.flush(); import os; os._exit(7)",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_everything_else_is_as_under_plain_python(ending: str) -> None:
    Path("folder").mkdir()
    Path("folder/probe.py").write_text(PROBE + ENDINGS[ending] + "\n", encoding="utf-8")
    Path("link.py").symlink_to("folder/probe.py")
    for arguments in (["folder/probe.py", "--help", "-x", "a b"], ["link.py"]):
        plain, ours = python(*arguments), python("-m", "clemcore", *arguments)
        assert (ours.stdout, ours.stderr) == (plain.stdout, plain.stderr)
        assert ours.returncode == plain.returncode


@pytest.mark.parametrize("flag", ["-I", "-E", "-O", "-Wdefault"])
def test_flags_of_the_interpreter_count(flag: str) -> None:
    Path("probe.py").write_text(
        "import sys, os\n"
        "here = os.path.dirname(os.path.abspath(__file__))\n"
        "print(here in sys.path, os.getcwd() in sys.path, '' in sys.path, __debug__, sys.warnoptions)\n"
    )
    plain, ours = python(flag, "probe.py"), python(flag, "-m", "clemcore", "probe.py")
    assert (ours.stdout, ours.stderr, ours.returncode) == (plain.stdout, plain.stderr, plain.returncode)


def test_a_script_in_another_encoding() -> None:
    Path("latin.py").write_bytes("# -*- coding: latin-1 -*-\nprint('ä')\n".encode("latin-1"))
    Path("mark.py").write_bytes(b"\xef\xbb\xbfprint('mark')\n")
    assert python("-m", "clemcore", "latin.py").stdout == "ä\n"
    assert python("-m", "clemcore", "mark.py").stdout == "mark\n"


def test_a_missing_script_is_2_and_named() -> None:
    done = python("-m", "clemcore", "nowhere.py")
    assert done.returncode == 2
    assert done.stderr.endswith("/nowhere.py': No such file or directory\n")


def test_interrupted_it_ends_as_plain_python_does() -> None:
    Path("slow.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen([sys.executable, "-m", "clemcore", "slow.py"], stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, trace = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert trace.startswith('Traceback (most recent call last):\n  File "')
    assert "slow.py" in trace
    assert "clemcore" not in trace


# -- without a script --------------------------------------------------------------------------------------------
OLD_NAMES = "import backends\nfrom backends import ModelSpec\nfrom backends.utils import ensure_messages_format\n"


def test_a_program_can_ask_for_the_old_names() -> None:
    """As in a notebook, where nothing is started by `python -m clemcore`."""
    Path("backends.py").write_text("raise AssertionError('another module')")
    done = python("-c", f"import clemcore.compat\nclemcore.compat.install()\n{OLD_NAMES}print(backends.__name__)")
    assert done.stdout == "clemcore.backends\n", done.stderr


def test_a_module_that_is_imported_already_stays_what_it_is() -> None:
    Path("backends.py").write_text("mine = True")
    code = "import backends, clemcore.compat\ntry: clemcore.compat.install()\nexcept ImportError as e: print(e)"
    told = python("-c", f"{code}\nprint(backends.mine)").stdout
    assert "another module 'backends' is imported already" in told
    assert told.endswith("\nTrue\n")


@pytest.mark.parametrize("name", ["backends", "clemgame"])
def test_an_old_name_says_what_to_do(name: str) -> None:
    Path("script.py").write_text(f"import clemcore\nimport {name}\n")
    told = python("script.py").stderr
    assert f"No module named '{name}': clemcore.{name} had this name in 2024." in told
    assert "clemcore.compat.install()" in told
    caught = "try: import backends\nexcept ImportError as e: print(e.name)"
    assert python("-c", f"import clemcore\n{caught}").stdout == "backends\n"
    Path(f"{name}.py").write_text("mine = True")
    assert python("script.py").returncode == 0  # the user's own module


def test_scripts_of_2024_find_the_framework_and_miss_what_is_gone() -> None:
    Path("script.py").write_text("from clemgame.clemgame import Player\nprint(Player.__module__)")
    assert python("-m", "clemcore", "script.py").stdout == "clemcore.clemgame.player\n"
    Path("script.py").write_text("import backends.nothing")
    assert "No module named 'backends.nothing'\n" in python("-m", "clemcore", "script.py").stderr


def test_an_old_name_in_a_backend_file_says_what_to_do() -> None:
    Path("lab_api.py").write_text("import backends\nclass Lab(backends.Backend): pass\n")
    selector = '{"model_name": "m", "backend": "lab"}'
    told = python("-m", "clemcore", "respond", "-m", selector, "Hi").stderr
    assert "lab_api.py cannot be imported: No module named 'backends': clemcore.backends had this name" in told
    assert "not installed" not in told


# -- modules -----------------------------------------------------------------------------------------------------
MODULE = OLD_NAMES + "import sys\nprint(__name__, __spec__.name, __package__, sys.argv[1:], __file__)\n"


def test_a_module_runs_as_under_python() -> None:
    Path("tool").mkdir()
    Path("tool/__init__.py").write_text("")
    for name in ("part", "__main__"):
        Path(f"tool/{name}.py").write_text(MODULE)
    here = Path.cwd()
    done = python("-m", "clemcore", "-m", "tool.part", "a", "-m", "b")
    assert done.stdout == f"__main__ tool.part tool ['a', '-m', 'b'] {here / 'tool' / 'part.py'}\n", done.stderr
    done = python("-m", "clemcore", "-m", "tool")
    assert done.stdout == f"__main__ tool.__main__ tool [] {here / 'tool' / '__main__.py'}\n", done.stderr


def test_how_a_module_ends() -> None:
    Path("tool.py").write_text("import sys\nsys.exit(7)")
    assert python("-m", "clemcore", "-m", "tool").returncode == 7
    Path("tool.py").write_text("def f():\n    raise ValueError('no')\nf()")
    done = python("-m", "clemcore", "-m", "tool")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1].startswith(f'  File "{Path.cwd() / "tool.py"}", line 3')
    assert done.stderr.endswith("ValueError: no\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "-m needs the name of a module"),
        (("nothing",), "No module named nothing"),
        (("nothing.inside",), "No module named 'nothing'"),
        (("sys",), "'sys' cannot be run as a program"),
    ],
)
def test_a_module_that_cannot_be_run(arguments: tuple[str, ...], words: str) -> None:
    done = python("-m", "clemcore", "-m", *arguments)
    assert (done.returncode, done.stderr) == (2, f"python -m clemcore: {words}\n")
