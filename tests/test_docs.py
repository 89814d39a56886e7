"""The documentation holds: every block runs, every link leads somewhere, every name in it exists.

A Python block runs in a namespace and an empty folder of its own, a shell block in an empty folder of its own. A
block that begins with the name of a file ("# lab_api.py") is in that folder for the blocks below it. Calls of
providers reach a loopback server (`support.providers`). A block that cannot run says so in its first line ("# needs
the hub"), and must at least compile.
"""

from __future__ import annotations

import doctest
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

import clemcore
from clemcore import _core
from clemcore.cli.app import clem
from support.pages import DOCS, GENERATED, PAGES, ROOT, Block, anchors, blocks, links, without_blocks
from support.providers import Providers
from support.slurk import ADMIN, Doorman, FakeSlurk

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


@pytest.fixture(autouse=True)
def _games_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks play the games of this repository."""
    monkeypatch.setenv("CLEMBENCH_HOME", str(ROOT / "examples" / "games"))


def _name(value: Any) -> str:
    return value.name if isinstance(value, Block) else str(value.relative_to(ROOT))


def _run_python(block: Block) -> dict[str, Any]:
    for other in blocks("python"):
        if other.page == block.page and other.line < block.line and other.file:
            Path(other.file).write_text(other.code, encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    code = compile("\n" * block.line + block.code, str(block.page), "exec")
    exec(code, namespace)  # noqa: S102 - our own pages
    return namespace


# The blocks of these pages build on each other, as the pages say.
OF_STEPS = (DOCS / "store.md", DOCS / "writing-games.md")


def _alone(kind: str) -> list[Block]:
    """The blocks that run in an empty folder."""
    return [block for block in blocks(kind) if not block.needs and block.page not in OF_STEPS]


@pytest.mark.parametrize("block", _alone("python"), ids=_name)
def test_python_block_runs(block: Block, providers: Providers) -> None:
    providers.says(block.answer)
    _run_python(block)


def _run_shell(code: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(PACKAGE.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("block", _alone("sh"), ids=_name)
def test_shell_block_runs(block: Block, providers: Providers) -> None:
    providers.says(block.answer)
    done = _run_shell(block.code)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "getting-started.md"], ids=_name)
def test_pages_for_newcomers_run_from_top_to_bottom(page: Path, providers: Providers) -> None:
    """All blocks run one after the other in one folder, and none of them is silent."""
    assert providers.requests == []
    for block in (block for block in blocks("sh", "python") if block.page == page and not block.needs):
        if block.kind == "python":
            Path("program.py").write_text(block.code, encoding="utf-8")
        done = _run_shell("python program.py" if block.kind == "python" else block.code)
        assert done.returncode == 0, f"{block.name}: {done.stdout}{done.stderr}"
        assert done.stdout.strip(), f"{block.name} shows nothing"
    assert providers.requests  # a provider was asked, too


@pytest.mark.slow
@pytest.mark.parametrize("page", OF_STEPS, ids=_name)
def test_pages_of_steps_run_from_top_to_bottom(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks run one after the other in one folder; a block below the name of a file goes into that file."""
    Path("page").mkdir()
    monkeypatch.chdir("page")  # a block may make a folder beside it
    for block in (block for block in blocks() if block.page == page):
        if block.path:
            Path(block.path).parent.mkdir(parents=True, exist_ok=True)
            with Path(block.path).open("a" if block.is_added else "w", encoding="utf-8") as file:
                file.write(f"\n\n{block.code}" if block.is_added else block.code)
        elif block.kind == "python":
            _run_python(block)
        elif block.kind == "sh":
            done = _run_shell(block.code)
            assert done.returncode == 0, f"{block.name}: {done.stdout}{done.stderr}"
            assert (done.stdout + done.stderr).strip(), f"{block.name} shows nothing"


@pytest.mark.parametrize("block", [block for block in blocks("python", "sh") if block.needs], ids=_name)
def test_block_that_needs_something_compiles(block: Block) -> None:
    if block.kind == "python":
        compile(block.code, block.name, "exec")
    else:
        subprocess.run(["bash", "-n", "-c", block.code], check=True)


def test_no_other_block_is_left_out() -> None:
    """A block that is not run needs a reason; a new one is added here on purpose."""
    assert sorted(
        (str(block.page.relative_to(ROOT)), block.kind, block.needs) for block in blocks() if block.needs
    ) == [
        ("CONTRIBUTING.md", "sh", "a clone"),
        ("README.md", "sh", "a clone"),
        ("README.md", "sh", "a clone"),
        ("README.md", "sh", "a clone"),
        ("docs/arguments.md", "python", "the hub"),
        ("docs/audits.md", "sh", "the hub"),
        ("docs/backends/huggingface_local.md", "python", "the hub"),
        ("docs/backends/huggingface_local.md", "python", "the hub"),
        ("docs/backends/huggingface_local.md", "python", "the hub"),
        ("docs/backends/huggingface_local.md", "python", "the hub"),
        ("docs/backends/huggingface_local.md", "sh", "the hub"),
        ("docs/backends/human.md", "python", "a person"),
        ("docs/backends/llamacpp.md", "sh", "the hub"),
        ("docs/backends/llamacpp.md", "sh", "the hub"),
        ("docs/backends/ray.md", "sh", "a clone"),
        ("docs/backends/slurk.md", "python", "a person"),
        ("docs/backends/slurk.md", "sh", "the network"),
        ("docs/cluster.md", "sh", "the network"),
        ("docs/cluster.md", "sh", "the network"),
        ("docs/cluster.md", "sh", "the network"),
        ("docs/cluster.md", "sh", "the network"),
        ("docs/cluster.md", "sh", "the network"),
        ("docs/constraints.md", "python", "the hub"),
        ("docs/differences.md", "sh", "the network"),
        ("docs/engines.md", "sh", "the hub"),
        ("docs/engines.md", "sh", "the network"),
        ("docs/environments.md", "python", "a server"),
        ("docs/environments.md", "sh", "a clone"),
        ("docs/environments.md", "sh", "a clone"),
        ("docs/environments.md", "sh", "a person"),
        ("docs/getting-started.md", "sh", "a clone"),
        ("docs/getting-started.md", "sh", "the hub"),
        ("docs/memory.md", "sh", "the hub"),
        ("docs/memory.md", "sh", "the hub"),
        ("docs/pages.md", "sh", "a person"),
        ("docs/pages.md", "sh", "the network"),
        ("docs/registry.md", "sh", "the network"),
        ("docs/scores.md", "python", "the hub"),
        ("docs/scoring.md", "sh", "a clone"),
        ("docs/templates.md", "sh", "the hub"),
        ("docs/thinking.md", "python", "the hub"),
        ("docs/vision.md", "python", "the hub"),
    ]


def _with_needs(page: str) -> list[Block]:
    found = [block for block in blocks("python") if block.page == DOCS / page and block.needs]
    assert found
    return found


def test_blocks_that_need_a_person_run_with_one_at_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for block in _with_needs("backends/human.md"):
        monkeypatch.setattr(sys, "stdin", io.StringIO("Canberra.\n"))
        assert _run_python(block)["response_text"] == "Canberra."


def test_blocks_that_need_a_person_run_with_one_in_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    server, doorman = FakeSlurk(), Doorman()
    monkeypatch.setattr("clemcore.backends.slurk.model.show", doorman)
    monkeypatch.setenv("SLURK_API_KEY", ADMIN)
    monkeypatch.setenv("SLURK_BASE_URL", server.url)
    try:
        for block in _with_needs("backends/slurk.md"):
            doorman.expect(lambda _: "Canberra.")
            assert _run_python(block)["response_text"] == "Canberra."
    finally:
        for person in doorman.persons:
            person.close()
        server.close()


def test_blocks_are_of_known_kinds_and_show_nothing_of_the_tests() -> None:
    for block in blocks():
        assert block.kind in {"python", "sh", "json", "yaml", "text", ""}, block.name
        assert "from support" not in block.code, block.name
        if block.kind in ("text", ""):  # nothing runs these
            assert not re.search(r"^(clem|pip|make|python) ", block.code, re.MULTILINE), block.name


@pytest.mark.parametrize("block", blocks("json", "yaml"), ids=_name)
def test_data_is_what_it_says(block: Block) -> None:
    """JSON is JSON, YAML is YAML, and registry entries have no problem."""
    if block.kind == "yaml":
        assert pytest.importorskip("yaml").safe_load(block.code)
        return
    value = json.loads(block.code)
    entries = value if isinstance(value, list) else [value]
    if all("backend" in entry for entry in entries):
        from clemcore.backends.custom_keys import described

        report = _core.check(block.name, json.dumps(entries).encode(), described())
        assert [problem.to_dict() for problem in report.problems] == []


def _commands(page: Path) -> set[tuple[str, ...]]:
    shown = [block.code for block in blocks("sh") if block.page == page]
    lines = [line.rpartition("| ")[2] for code in shown for line in code.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(clem [^`\n]+)`", without_blocks(page.read_text(encoding="utf-8")))
    found = (re.sub(r"\s{2,}\S.*|\s#.*", "", line) for line in lines if line.startswith("clem "))
    return {tuple(shlex.split(line)[1:]) for line in found}


@pytest.mark.parametrize("page", [page for page in PAGES if page not in GENERATED], ids=_name)
def test_commands_of_pages_exist(page: Path) -> None:
    """Every ``clem`` command of a page is one, and has the options that the page gives it."""
    for words in _commands(page):
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
    assert ("registry", "resolve", "gpt-4o-mini", "--explain") in _commands(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(target), f"{target} has no heading #{anchor}"


def test_the_index_leads_to_every_page() -> None:
    linked = {target for target, _ in links(DOCS / "index.md")}
    assert linked >= set(DOCS.rglob("*.md")) - {DOCS / "index.md"}


def test_the_site_has_every_page() -> None:
    yaml = pytest.importorskip("yaml")
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = yaml.safe_load(re.sub(r"!!python/\S+", "", text))["nav"]
    named = set(re.findall(r"[\w/.-]+\.md", json.dumps(nav)))
    assert named == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


PATHS = re.compile(r"`((?:python|rust|tests|tools|benches|docs|examples)/[\w./-]*)`")
TESTS = re.compile(r"`(test_\w+|Test\w+)(\.py)?`")


def test_files_and_tests_that_pages_name_exist() -> None:
    files = list((ROOT / "tests").rglob("*.py"))
    sources = "\n".join(file.read_text(encoding="utf-8") for file in files)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for path in PATHS.findall(text):
            assert (ROOT / path).exists(), f"{page}: {path}"
        ours = re.sub(r"^## Tests of 3\.7\.2$.*?(?=^## |\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
        for name, ending in TESTS.findall(ours):
            found = (
                any(file.stem == name for file in files) if ending else re.search(rf"(def|class) {name}\b", sources)
            )
            assert found, f"{page}: {name}"


def test_the_tree_of_the_readme_names_every_folder_and_module() -> None:
    tree = next(block.code for block in blocks("text") if block.page.name == "README.md")
    named = set(re.findall(r"[\w-]+", tree))
    for path in PACKAGE.rglob("*.py"):
        folders = path.relative_to(PACKAGE).parent.parts
        assert set(folders) <= named, path
        if not folders and not path.stem.startswith("__"):
            assert path.stem in named, path


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


def test_the_readme_names_every_folder_of_code() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[\w.-]+", text[text.index("## Where things are") : text.index("## Dependencies")]))
    packages = {path.parent for path in PACKAGE.rglob("__init__.py")} - {PACKAGE}
    crate = {path for path in (ROOT / "rust" / "clemcore" / "src").iterdir() if path.is_dir()}
    assert [str(path.relative_to(ROOT)) for path in packages | crate if path.name not in words] == []


def test_the_flow_names_files_that_exist() -> None:
    flows = (DOCS / "decisions" / "0001-layout-and-flow.md").read_text(encoding="utf-8").split("```")[1:4:2]
    games = PACKAGE / "clemgame"
    for flow, folder in zip(flows, (ROOT, games), strict=True):
        for line in flow.splitlines():
            first, *others = re.findall(r"[\w/]+\.py\b", line) or [""]
            assert not first or (folder / first).exists(), line
            # A second file without a folder is beside the first.
            assert all((folder / one).exists() or (folder / first).with_name(one).exists() for one in others), line
