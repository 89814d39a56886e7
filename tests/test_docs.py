"""Every example in docstrings, README and docs runs."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

import clemcore
from clemcore import _core
from clemcore.cli.app import clem

ROOT = Path(__file__).parent.parent
PACKAGE = Path(clemcore.__file__).parent

MODULES = sorted(
    ".".join(("clemcore", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.name != "__main__.py"
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(), f"{name} has no docstring"
    failures, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failures == 0


PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# ```python blocks run in order in one namespace per page; a block that needs a key, a hub or a person says so by
# ```python no-run in its first line, and must at least compile.
BLOCK = re.compile(r"^```python( no-run)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_pages(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        line = text[: block.start()].count("\n") + 1
        code = compile("\n" * line + block[2], str(page), "exec")
        if not block[1]:
            exec(code, namespace)  # noqa: S102 - our own pages


DATA = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_data_of_pages_is_what_it_says(page: Path) -> None:
    """JSON is JSON, and registry entries are without a fault."""
    for block in DATA.findall(page.read_text(encoding="utf-8")):
        value = json.loads(block)
        entries = value if isinstance(value, list) else [value]
        if all("backend" in entry for entry in entries):
            report = _core.check(str(page), json.dumps(entries).encode())
            assert [problem.to_dict() for problem in report.problems] == []


FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Of 3.7.2, named where it is said that they are not there.
OF_GAMES = {"run", "score", "transcribe", "eval", "serve"}


def _commands(text: str) -> set[tuple[str, ...]]:
    lines = [line for kind, block in FENCED.findall(text) if kind in ("", "sh") for line in block.splitlines()]
    lines += re.findall(r"`(clem [^`\n]+)`", FENCED.sub("", text))
    found = (re.sub(r"\s{2,}\S.*|\s#.*", "", line) for line in lines if line.startswith("clem "))
    return {words for line in found if (words := tuple(shlex.split(line)[1:]))[0] not in OF_GAMES}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name
)
def test_commands_of_pages_exist(page: Path) -> None:
    """Every ``clem`` command of a page is one, and has the options that it is given there."""
    if page.name == "cli.md":
        return  # generated
    for words in _commands(page.read_text(encoding="utf-8")):
        command: click.Command = clem
        rest = list(words)
        while rest and isinstance(command, click.Group):
            name = rest.pop(0)
            inner = command.get_command(click.Context(command), name)
            assert inner is not None or name in {"--version", "--debug"}, f"clem {' '.join(words)}"
            command = inner or command
        known = {name for parameter in command.params for name in parameter.opts} | {"-h", "--help"}
        options = [word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
        assert set(options) <= known, f"clem {' '.join(words)}"


def test_commands_are_found() -> None:
    readme = _commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert ("registry", "resolve", "MODEL", "--explain") in readme
    assert len(readme) > 8


LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_pages_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page}: {target}"


def _dependencies() -> set[str]:
    names = set()
    for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        names |= {match[1] for match in re.finditer(r'"([a-z][a-z0-9-]*)(?:\[[a-z]+\])?>=', line)}
    for manifest in sorted((ROOT / "rust").glob("clemcore*/Cargo.toml")):
        section = ""
        for line in manifest.read_text(encoding="utf-8").splitlines():
            section = line if line.startswith("[") else section
            if section.endswith("dependencies]") and (match := re.match(r"([a-z][a-z0-9_-]*)[ .]", line)):
                names.add(match[1])
    return names - {"clemcore"}


def test_every_dependency_has_its_reason_in_the_readme() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
    named = {name.partition("[")[0] for name in re.findall(r"`([^`]+)`", table)}
    assert len(_dependencies()) > 20
    assert _dependencies() <= named
