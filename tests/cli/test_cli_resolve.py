"""`clem registry resolve`, and `--set` where a model is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.clem import Clem

REGISTRY = """[
  {"model_name": "m", "backend": "openai", "model_id": "x", "aliases": ["em"]},
  {"model_name": "m", "backend": "mock", "aliases": ["em"], "model_config": {"responses": ["Yes."], "own": 1}}
]
"""


@pytest.fixture(autouse=True)
def _registry() -> None:
    Path("model_registry.json").write_text(REGISTRY)


def place(line: int) -> str:
    return f"{Path('model_registry.json').resolve()}:{line}"


def test_it_says_what_a_name_stands_for_and_where_it_comes_from(clem: Clem) -> None:
    done = clem("registry", "resolve", "m")
    assert done.stderr == f"{place(2)}\n"
    assert json.loads(done.stdout)["model_id"] == "x"
    shown = json.loads(clem.ok("registry", "resolve", '{"model_name": "m", "backend": "mock"}', "--json"))
    assert (shown["line"], shown["spec"]["model_config"]["own"]) == (3, 1)
    assert json.loads(clem.ok("registry", "resolve", "em", "--json"))["spec"]["model_name"] == "m"
    assert json.loads(clem.ok("registry", "resolve", "mock", "--json")) == {
        "source": "packaged",
        "line": None,
        "spec": {"model_name": "mock", "backend": "_player_programmed"},
    }
    own = '{"model_name": "own", "backend": "mock"}'
    assert json.loads(clem.ok("registry", "resolve", own, "--json")) == {
        "source": None,
        "line": None,
        "spec": {"model_name": "own", "backend": "mock"},
    }


def test_it_says_why_not(clem: Clem) -> None:
    assert "did you mean 'zephyr-7b-beta'" in clem.fails("registry", "resolve", "zephyr7b-beta")
    message = clem.fails("registry", "resolve", '{"model_name": "m", "model_config": {"own": 2}, "model_id": 5}')
    assert "model_id is 'x', not 5" in message
    assert "--set FIELD=VALUE" in message
    assert "must be JSON or a Python dict" in clem.fails("registry", "resolve", "{nonsense")


def test_explain_shows_what_was_tried_and_where_fields_come_from(clem: Clem) -> None:
    selector = '{"model_name": "em", "backend": "mock", "seed": 7}'
    arguments = ("registry", "resolve", selector, "--explain", "--set", "model_config.own=null")
    text = clem.ok(*arguments)
    for line in (
        f"  refused: {place(2)} 'm', by its alias",
        '    backend: asked "mock", found "openai"',
        f"  taken: {place(3)} 'm', by its alias",
        "  seed                    7  from selector",
        '  backend                 "mock"  from selector and entry',
        '  model_name              "m"  from entry',
        "  model_config.own        removed by override (was 1)",
    ):
        assert line in text.splitlines(), text
    told = json.loads(clem.ok(*arguments, "--json"))
    assert [(trial["line"], trial["by"], len(trial["refused"])) for trial in told["tried"]] == [
        (2, "alias", 1),
        (3, "alias", 0),
    ]
    assert told["overridden"] == [{"field": "model_config.own", "old": 1}]
    assert told["spec"]["model_config"] == {"responses": ["Yes."]}


def test_explain_of_nothing_has_its_own_status(clem: Clem) -> None:
    done = clem("registry", "resolve", "gtp-4o", "--explain")
    assert done.returncode == 1
    assert "result, by rule 5: nothing; did you mean 'gpt-4o'" in done.stdout
    done = clem("registry", "resolve", '{"model_name": "m", "backend": "nowhere"}', "--explain", "--json")
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "inline")


MOCK = '{"model_name": "m", "backend": "mock"}'


def test_set_replaces_fields_of_the_entry(clem: Clem) -> None:
    arguments = ("respond", "-m", MOCK, "--set", 'model_config.responses=["No."]', "Really?")
    assert clem.ok(*arguments, "--record", "r.json") == "No.\n"
    changes = [{"field": "model_config.responses", "old": ["Yes."], "new": ["No."]}]
    assert json.loads(clem.ok(*arguments, "--json"))["overridden"] == changes
    call = json.loads(Path("r.json").read_text())[0]["clemcore"]
    assert call["overridden"] == changes
    assert call["model_spec"]["model_config"] == {"responses": ["No."], "own": 1}
    assert list(call)[list(call).index("model_spec") + 1] == "overridden"
    assert "overridden" not in json.loads(clem.ok("respond", "-m", MOCK, "Really?", "--json"))


def test_set_is_taken_by_chat_and_render(clem: Clem) -> None:
    assert clem.ok("chat", "-m", MOCK, "--set", 'model_config.responses=["No."]', stdin="Really?\n") == "No.\n"
    Path("mine_api.py").write_text(
        "from clemcore import backends\n"
        "class Mine(backends.Backend):\n"
        "    def get_model_for(self, model_spec): raise NotImplementedError\n"
        "    @classmethod\n"
        "    def render(cls, model_spec, messages, gen_args, asked=None): return model_spec['model_config']\n"
    )
    arguments = ("render", "-m", MOCK, "Hi", "--set", "backend=mine", "--set")
    shown = json.loads(clem.ok(*arguments, "model_config.a.b=text, and more"))
    assert shown == {"responses": ["Yes."], "own": 1, "a": {"b": "text, and more"}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["x"], "'x' is not FIELD=VALUE"),
        (["a..b=1"], "'a..b=1' is not FIELD=VALUE"),
        (["a=1", "a.b=2"], "'a.b' is a field of something that is given a value itself"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a=b,c=d"], "one field for each --set"),
    ],
)
def test_set_says_what_it_cannot_read(clem: Clem, given: list[str], message: str) -> None:
    arguments = [argument for text in given for argument in ("--set", text)]
    assert message in clem.fails("respond", "-m", MOCK, *arguments, "Hi", status=2)


def test_set_needs_a_model(clem: Clem) -> None:
    Path("t.jinja").write_text("x")
    assert "they need -m" in clem.fails("render", "--template", "t.jinja", "--set", "a=1", "Hi", status=2)
    assert "it needs MODEL" in clem.fails("prove", "--template", "t.jinja", "--set", "a=1", status=2)


def test_a_near_miss_is_refused(clem: Clem) -> None:
    message = clem.fails("respond", "-m", MOCK, "--set", "model_config.respnses=[]", "Hi")
    assert 'nothing reads the key "respnses": did you mean "responses"?' in message
