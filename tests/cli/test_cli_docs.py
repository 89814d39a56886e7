"""docs/cli.md says what the commands say."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from support.clem import Clem
from support.models import REPOSITORY

PAGE = REPOSITORY / "docs" / "cli.md"


def test_the_page_is_what_the_commands_say() -> None:
    script = REPOSITORY / "docs" / "build_cli.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SECTION = re.compile(r"^## `clem ?([^`\n]*)`\n```\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECTIONS = SECTION.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("command", "page"), SECTIONS, ids=lambda text: str(text)[:30].strip() or "clem")
def test_every_section_is_what_help_prints(clem: Clem, command: str, page: str) -> None:
    # Wide terminals are not used up: 100 columns are what reads well.
    for columns in ("100", "200"):
        assert clem.ok(*command.split(), "--help", COLUMNS=columns) == page
