"""A light start: what is imported, and what it costs (benches/startup.py)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from clemcore.cli.app import COMMANDS, clem

ROOT = Path(__file__).parent.parent
HEAVY = {
    *("torch", "transformers", "openai", "httpx", "httpx2", "nltk", "pandas", "pydantic", "numpy", "jinja2"),
    *("click", "typing", "json", "logging", "importlib.util"),
}


def imported(code: str) -> set[str]:
    """Return the modules that `-X importtime` reports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], check=True, capture_output=True, text=True
    )
    return set(re.findall(r"^import time:[^|]*\|[^|]*\| +(\S+)$", done.stderr, re.MULTILINE))


def test_importing_backends_imports_next_to_nothing() -> None:
    modules = imported("from clemcore import backends")
    assert "clemcore.backends" in modules
    assert not modules & (HEAVY - imported("pass"))
    ours = {name for name in modules if name.startswith("clemcore")}
    assert ours == {"clemcore", "clemcore._core", "clemcore.compat", "clemcore.names", "clemcore.backends"}


def test_the_first_model_needs_no_sdk() -> None:
    modules = imported("from clemcore import backends; backends.get_model_for('mock')")
    assert not modules & (HEAVY - {"typing", "json", "logging", "importlib.util"})


@pytest.mark.slow
def test_starting_costs_what_was_promised() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benches" / "startup.py"), "--rounds", "7", "--check"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_imports_no_command_and_says_what_each_does() -> None:
    modules = imported("from clemcore.cli.app import run; run(['--help'])")
    assert {name for name in modules if name.startswith("clemcore.cli.")} <= {
        f"clemcore.cli.{name}" for name in ("app", "inputs", "terminal")
    }
    for name, (_, text) in COMMANDS.items():
        command = clem.get_command(click.Context(clem), name)
        assert command is not None
        assert command.get_short_help_str(80) == text
