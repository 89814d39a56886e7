"""`clem registry` and `clem render`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from clemcore import _core
from support.clem import Clem, Terminals
from support.models import REPOSITORY

GOOD = '[{"model_name": "good", "backend": "mock"}]\n'
WARNED = '[{"model_name": "warned", "backend": "mokc"}]\n'
BROKEN = '[\n  {"model_name": "m", "backend": "mock",},\n  {"model_name": 5}\n]\n'


@pytest.fixture(autouse=True)
def _files() -> None:
    for name, text in (("good.json", GOOD), ("warned.json", WARNED), ("broken.json", BROKEN)):
        Path(name).write_text(text)


# -- check ----------------------------------------------------------------------
def test_exit_statuses_of_check(clem: Clem) -> None:
    assert clem("registry", "check", "good.json").returncode == 0
    assert clem("registry", "check", "warned.json").returncode == 0
    assert clem("registry", "check", "warned.json", "--deny", "warnings").returncode == 1
    assert clem("registry", "check", "good.json", "broken.json").returncode == 1
    done = clem("registry", "check", "nowhere.json", "broken.json")
    assert done.returncode == 2
    assert "nowhere.json: cannot be read: No such file or directory" in done.stderr
    assert "R010" in done.stdout  # the other file is checked all the same


def test_check_reports_every_fault_with_its_place(clem: Clem) -> None:
    done = clem("registry", "check", "broken.json")
    assert "broken.json:2:" in done.stdout
    assert "broken.json:3:" in done.stdout
    assert done.stderr == ""


def test_check_looks_at_the_working_directory_by_default(clem: Clem) -> None:
    done = clem("registry", "check")
    assert done.returncode == 2
    assert "name another FILE" in done.stderr
    Path("model_registry.json").write_text(BROKEN)
    done = clem("registry", "check")
    assert done.returncode == 1
    assert "model_registry.json:2:" in done.stdout


def test_check_compares_the_layers_that_are_here(clem: Clem, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("more").mkdir()
    Path("more/model_registry.json").write_text('[{"model_name": "m", "backend": "mock", "aliases": ["gpt-4o"]}]')
    monkeypatch.setenv("CLEMCORE_REGISTRY", "more")
    Path("model_registry.json").write_text('[{"model_name": "gpt-4o", "backend": "openai", "model_id": "mine"}]')
    problems = json.loads(clem.ok("registry", "check", "--format", "json"))["problems"]
    found = [(problem["code"], problem["source"], problem["line"]) for problem in problems]
    more = str(Path("more/model_registry.json").resolve())
    assert found == [("R056", "model_registry.json", 1), ("R057", more, 1)]
    assert "packaged:" in problems[0]["message"]
    assert 'another model_id: "gpt-4o"' in problems[0]["message"]
    # A file that is named is judged alone, and its owner can allow what the other layers make of it.
    assert clem.ok("registry", "check", "model_registry.json") == "no problems\n"
    allowed = '[{"model_name": "gpt-4o", "backend": "openai", "model_id": "mine", "lint": {"allow": ["R056"]}}]'
    Path("model_registry.json").write_text(allowed)
    assert clem.ok("registry", "check", "model_registry.json") == "no problems\n"
    assert "R056" not in clem.ok("registry", "check")


def test_check_knows_the_backends_of_the_working_directory(clem: Clem) -> None:
    Path("mokc_api.py").write_text("")
    assert clem("registry", "check", "warned.json", "--deny-warnings").returncode == 0


def test_check_reports_several_files_as_one_json(clem: Clem) -> None:
    done = clem("registry", "check", "broken.json", "warned.json", "--format", "json")
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert report["errors"] == sum(problem["severity"] == "error" for problem in report["problems"]) > 1
    assert report["warnings"] == sum(problem["severity"] == "warning" for problem in report["problems"]) > 0
    assert {problem["source"] for problem in report["problems"]} == {"broken.json", "warned.json"}
    assert set(report) == set(json.loads(_core.check("good.json", GOOD.encode()).render("json")))


def test_check_reads_standard_input(clem: Clem) -> None:
    done = clem("registry", "check", "-", stdin=BROKEN)
    assert done.returncode == 1
    assert "<stdin>:2:" in done.stdout


@pytest.mark.parametrize("format_", ["human", "json", "github", "sarif"])
def test_check_says_what_clemcore_check_says(clem: Clem, format_: str) -> None:
    binary = REPOSITORY / "target" / "debug" / "clemcore-check"
    if not binary.exists():
        pytest.skip("cargo build has not been run: there is no clemcore-check to compare with")
    Path("mokc_api.py").write_text("")  # what is known differs: here the backends that are there
    for files in (["good.json"], ["broken.json", "good.json"], ["nowhere.json", "broken.json"]):
        theirs = subprocess.run([binary, "--format", format_, *files], capture_output=True, text=True, check=False)
        ours = clem("registry", "check", "--format", format_, *files)
        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
    alone = clem("registry", "check", "--format", format_, "nowhere.json")
    assert (alone.returncode, alone.stdout) == (2, "")


def test_check_annotates_for_ci(clem: Clem) -> None:
    lines = clem("registry", "check", "broken.json", "--format", "github").stdout.splitlines()
    assert lines
    assert all(line.startswith("::") and "file=broken.json" in line for line in lines)


def test_check_colours_on_a_terminal_only(terminal: Terminals) -> None:
    coloured, plain = (
        terminal("registry", "check", "broken.json"),
        terminal("registry", "check", "broken.json", NO_COLOR="1"),
    )
    assert (coloured.end(), plain.end()) == (1, 1)
    assert "\x1b[" in coloured.shown
    assert "\x1b[" not in plain.shown


# -- fix ----------------------------------------------------------------------
def test_fix_mends_what_has_one_meaning(clem: Clem) -> None:
    path = Path("model_registry.json")
    path.write_text('[\n  {\'model_name\': "m",   "backend": "mock", "mine": 1e3,}\n]\n')
    path.chmod(0o640)
    diff = clem("registry", "check", "--fix", "--diff")
    assert "-  {'model_name'" in diff.stdout
    assert "model_name'" in path.read_text()
    done = clem("registry", "check", "--fix")
    assert path.read_text() == '[\n  {"model_name": "m",   "backend": "mock", "mine": 1e3}\n]\n'
    assert (done.returncode, done.stdout) == (0, "no problems\n")
    assert done.stderr == "model_registry.json: fixed 2 problems\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert clem("registry", "check", "--fix").stderr == ""


def test_fix_refuses_what_it_cannot_do(clem: Clem) -> None:
    assert clem("registry", "check", "--diff").returncode == 2
    assert clem("registry", "check", "--fix", "-", stdin=BROKEN).returncode == 2
    done = clem("registry", "check", "--fix", "nowhere.json")
    assert done.returncode == 2
    assert "nowhere.json: cannot be fixed: No such file" in done.stderr
    assert not [path for path in Path().iterdir() if path.name.startswith(".nowhere")]


# -- schema, explain ----------------------------------------------------------------------
def test_schema_is_the_cores(clem: Clem) -> None:
    assert json.loads(clem.ok("registry", "schema")) == json.loads(_core.json_schema())


def test_explain(clem: Clem) -> None:
    codes = [line.split("\t")[0] for line in clem.ok("registry", "explain").splitlines()]
    assert codes == [row["code"] for row in _core.catalogue()]
    assert clem.ok("registry", "explain", "r010").rstrip("\n") == str(_core.explain("R010")).rstrip("\n")
    assert clem.ok("registry", "explain", "trailing-comma") == clem.ok("registry", "explain", "R010")
    assert "there is no code and no key 'R999'" in clem.fails("registry", "explain", "R999")


def test_explain_writes_the_page_of_all_codes(clem: Clem) -> None:
    page = clem.ok("registry", "explain", "--format", "markdown")
    assert page == (REPOSITORY / "docs" / "registry-codes.md").read_text()
    assert all(row["explanation"] in page for row in _core.catalogue())
    assert json.loads(clem.ok("registry", "explain", "--format", "json")) == _core.catalogue()
    assert "is for the list of all codes" in clem.fails("registry", "explain", "R010", "--format", "json", status=2)


def test_explain_knows_keys(clem: Clem) -> None:
    page = clem.ok("registry", "explain", "context_size")
    assert page.startswith("context_size: ")
    assert "tokens" in page
    # A key that stands in the entry and in model_config has both pages.
    page = clem.ok("registry", "explain", "multimodality")
    assert page.count("multimodality: an object") == 2


# -- render ----------------------------------------------------------------------
BACKEND = """
from clemcore import backends
class Local(backends.Backend):
    def __init__(self):
        raise RuntimeError("rendering makes no backend, so it needs no key and no device")
    def get_model_for(self, model_spec):
        raise RuntimeError("rendering loads no model")
    @classmethod
    def render(cls, model_spec, messages, gen_args, asked):
        text = "".join(f"<{m['role']}>{m['content']}\\n" for m in messages) + "<assistant>"
        return text if model_spec["local"] else {"messages": messages, **gen_args}
"""


def test_render_shows_what_the_backend_would_send(clem: Clem) -> None:
    Path("mine_api.py").write_text(BACKEND)
    local = '{"model_name": "m", "backend": "mine", "local": true}'
    assert clem.ok("render", "-m", local, "Hi", "--system", "Brief.") == "<system>Brief.\n<user>Hi\n<assistant>"
    assert json.loads(clem.ok("render", "-m", local, "Hi", "--json")) == "<user>Hi\n<assistant>"
    remote = '{"model_name": "m", "backend": "mine", "local": false, "seed": 3}'
    assert json.loads(clem.ok("render", "-m", remote, "-t", "0.5", "Hi")) == {
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "max_tokens": 300,
        "seed": 3,
    }


def test_render_on_a_terminal_ends_with_a_line_end_of_its_own(terminal: Terminals) -> None:
    Path("mine_api.py").write_text(BACKEND)
    screen = terminal("render", "-m", '{"model_name": "m", "backend": "mine", "local": true}', "Hi")
    assert screen.end() == 0
    assert screen.shown == "<user>Hi\n<assistant>\n"


def test_render_says_when_a_backend_does_not_show_it(clem: Clem) -> None:
    Path("old_api.py").write_text(BACKEND.replace("render(", "other("))
    message = clem.fails("render", "-m", '{"model_name": "m", "backend": "old"}', "Hi")
    assert "backend 'old' does not show what it would send for 'm'" in message
    assert json.loads(clem.ok("render", "-m", "mock", "Hi")) == [{"role": "user", "content": "Hi"}]


def test_wrong_usage_of_render(clem: Clem) -> None:
    Path("t.jinja").write_text("x")
    assert "either -m MODEL or --template" in clem.fails("render", "Hi", status=2)
    assert "either -m MODEL or --template" in clem.fails(
        "render", "-m", "mock", "--template", "t.jinja", "Hi", status=2
    )
    assert "need --template" in clem.fails("render", "-m", "mock", "--special-token", "a=b", "Hi", status=2)
    message = clem.fails("render", "--template", "t.jinja", "--template-arg", "messages=[]", "Hi", status=2)
    assert "'messages' is the argument of the command" in message
    assert "play no role" in clem.fails("render", "--template", "t.jinja", "-t", "1", "Hi", status=2)
    assert "'a' is not NAME=VALUE" in clem.fails(
        "render", "--template", "t.jinja", "--special-token", "a", "Hi", status=2
    )


CHATML = (
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant{{ ' thinks' if thinking }}>{% endif %}"
)


def test_render_by_a_template_needs_no_model(clem: Clem) -> None:
    Path("t.jinja").write_text(CHATML)
    arguments = ("render", "--template", "t.jinja", "--special-token", "bos_token=<s>", "Hi")
    assert clem.ok(*arguments) == "<s><user>Hi\n<assistant>"
    assert clem.ok(*arguments, "--no-generation-prompt") == "<s><user>Hi\n"
    assert clem.ok(*arguments, "--template-arg", "thinking=true") == "<s><user>Hi\n<assistant thinks>"
    assert json.loads(clem.ok(*arguments, "--json")) == "<s><user>Hi\n<assistant>"


def test_a_template_with_a_fault_is_named_with_its_place(clem: Clem) -> None:
    Path("t.jinja").write_text("a\n{% if %}")
    assert clem.fails("render", "--template", "t.jinja", "Hi").startswith("clem: t.jinja:2:")
    Path("t.jinja").write_text("{{ raise_exception('Only users here') }}")
    assert "Only users here" in clem.fails("render", "--template", "t.jinja", "Hi")
    assert "cannot be read" in clem.fails("render", "--template", "nowhere.jinja", "Hi")
    Path("t.jinja").write_bytes(b"\xff")
    assert "byte 0 is not UTF-8" in clem.fails("render", "--template", "t.jinja", "Hi")
