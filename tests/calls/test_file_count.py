"""How many files of clemcore one recorded call enters: what a reader has to open to follow it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import clemcore
from support.wire_server import WireServer

PACKAGE = Path(clemcore.__file__).parent
_PROFILE = """
import json, os, sys, threading
from pathlib import Path
import clemcore
from clemcore import backends
package = str(Path(clemcore.__file__).parent)
entered, is_on = {}, False
def profile(frame, event, argument):
    code = frame.f_code
    if is_on and event == "call" and code.co_filename.startswith(package):
        entered.setdefault(code.co_filename, set()).add(code.co_firstlineno)
threading.setprofile(profile)  # before the first call, which starts the background thread
sys.setprofile(profile)
if sys.argv[1] == "service":
    from support.remote import open_model
    model = open_model(sys.argv[2])
else:
    from support.tiny import load
    model = load(Path(sys.argv[2]))
ask = [{"role": "user", "content": "Hello!"}]
with backends.record("r.json"):
    model.generate_response(ask)
    is_on = True
    model.generate_response(ask)
    is_on = False
sys.setprofile(None)
Path("entered.json").write_text(json.dumps({name: sorted(lines) for name, lines in entered.items()}))
"""
LONGEST_FILE, LONGEST_FUNCTION = 400, 60


def entered_by(kind: str, where: str) -> dict[str, list[int]]:
    """Return the files that the second call of a model enters, each with the lines of its functions."""
    subprocess.run(
        [sys.executable, "-c", _PROFILE, kind, where],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])},
        check=True,
        timeout=240,
    )
    found: dict[str, list[int]] = json.loads(Path("entered.json").read_text())
    return {str(Path(name).relative_to(PACKAGE)): lines for name, lines in found.items()}


def check_sizes(entered: dict[str, list[int]]) -> None:
    """Check that few files are not reached by long ones."""
    for name, lines in entered.items():
        text = (PACKAGE / name).read_text()
        assert text.count("\n") <= LONGEST_FILE, name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno in lines:
                assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{name}: {node.name}"


def test_a_call_of_a_service_enters_few_files(wire_server: WireServer) -> None:
    entered = entered_by("service", wire_server.url)
    assert len(entered) <= 22, "\n".join(sorted(entered))
    assert not {"backends/service/http/failures.py", "backends/service/http/verdict.py"} & entered.keys()
    check_sizes(entered)


@pytest.mark.slow
def test_a_call_of_a_local_model_enters_few_files(tiny_chat: Path) -> None:
    entered = entered_by("local", str(tiny_chat))
    # docs/decisions/0012-local-models.md says which they are, and why they stay apart.
    assert len(entered) <= 35, "\n".join(sorted(entered))
    check_sizes(entered)
