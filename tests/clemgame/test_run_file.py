"""Run files: every setting has a key, and every error its place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from clemcore.clemgame.runs.lineups import line_ups_of
from clemcore.clemgame.runs.runfile import read_run_file
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.errors import RunError

TOML = """
# What is played.
games = ["taboo", {game_name = "wordle", benchmark = ["2.0"]}]
pairs = "given"
line_ups = [
  ["a", "b"],  # first
  ["b", {model_name = "a", temperature = 0.7}],
]
max-tokens = 100
budget = 5
retry_errors = ["RateLimitError"]

[budget_per_model]
a = 2.5

[[players]]
temperature = 0.0
[[players]]
temperature = 1.0
stop = ["]", '#']
"""

YAML = """
games: [taboo, {game_name: wordle, benchmark: ['2.0']}]
pairs: given
line_ups: [[a, b], [b, {model_name: a, temperature: 0.7}]]
max_tokens: 100
budget: 5
retry_errors: [RateLimitError]
budget_per_model: {a: 2.5}
players:
- temperature: 0.0
- {temperature: 1.0, stop: [']', '#']}
"""


def _file(folder: Path, text: str, name: str = "run.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("text", "name"), [(TOML, "run.toml"), (YAML, "run.yaml"), (YAML, "run.yml")])
def test_settings_are_read(text: str, name: str, tmp_path: Path) -> None:
    settings = RunSettings().updated(read_run_file(_file(tmp_path, text, name)))
    assert settings.games == ["taboo", {"game_name": "wordle", "benchmark": ["2.0"]}]
    assert settings.line_up_selectors() == [["a", "b"], ["b", {"model_name": "a", "temperature": 0.7}]]
    assert settings.of_all_models() == {"max_tokens": 100}
    assert settings.budget == 5.0
    assert settings.budget_per_model == {"a": 2.5}
    assert settings.players == [{"temperature": 0.0}, {"temperature": 1.0, "stop": ["]", "#"]}]
    assert settings.retry_errors == ["RateLimitError"]


def test_every_setting_is_a_key(tmp_path: Path) -> None:
    texts = {
        "games": '"a"', "models": '["m"]', "pairs": '"all"', "line_ups": '[["m"]]', "experiment": '"e"',
        "instances": '"i"', "results_dir": '"r"', "temperature": "1", "max_tokens": "5", "gen_args": "{a = 1}",
        "players": "[{top_p = 0.5}]", "epochs": "2", "seed": "3", "rng": '"process"', "concurrency": "1",
        "batch_size": "4", "layout": '"store"', "max_calls": "9", "episode_timeout": "1.5", "step_timeout": "2",
        "retry_errors": "true", "keep_context": '"experiment"', "budget": "1", "budget_per_model": "2",
        "until": "10", "pilot": "3", "shard": '"1/2"', "jobs": "2", "dry_run": "true", "accept_changes": "true",
        "fresh": "true",
    }  # fmt: skip
    assert set(texts) == {each.name for each in fields(RunSettings)} - {"source"}
    lines = "\n".join(f"{name} = {value}" for name, value in texts.items())
    found = RunSettings().updated(read_run_file(_file(tmp_path, lines)))
    default = RunSettings()
    assert [name for name in texts if getattr(found, name) == getattr(default, name)] == []


def test_all_problems_are_reported_at_once_with_their_places(tmp_path: Path) -> None:
    text = (
        'gmaes = ["taboo"]\nmodels = ["a", 3]\n  epochs = 0\nrng = "episodes"\nzzz = 1\n\n'
        '[budget_per_model]\ngood = 1\n"bad one" = -1\n'
    )
    path = _file(tmp_path, text)
    with pytest.raises(RunError) as caught:
        read_run_file(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}:1:1: there is no setting 'gmaes': did you mean 'games'?"
    assert lines[1] == f"{path}:2:16: models[1] must be a name or a table of fields, not 3"
    assert lines[2] == f"{path}:3:3: epochs must be a whole number ≥ 1, not 0"
    assert lines[3].endswith("not 'episodes': did you mean 'episode'?")
    assert lines[3].startswith(f"{path}:4:1: rng must be one of episode, process")
    assert lines[4].startswith(f"{path}:5:1: there is no setting 'zzz': settings are games, models,")
    assert lines[5] == f"{path}:9:1: budget_per_model.bad one must be a number ≥ 0, not -1"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("run.toml", "games = [\n'a'\nmodels = 1", ":3:1: Unclosed array"),
        ("run.toml", "games = 'a'\ngames = 'b'\n", ":2:12: Cannot overwrite a value"),
        ("run.toml", "games = 'a", ':1:11: Expected "\'"'),
        ("run.yaml", "games: [a\nmodels: b\n", ":2:7: did not find expected ',' or ']'|:2:7: "),
        ("run.yaml", "games: a\ngames: b\n", ":2:1: 'games' is given twice"),
        ("run.yaml", "- a\n", ":1:1: a run file holds settings"),
        ("run.toml", "experiment = []", ":1:1: experiment must be a text or a list of texts, not []"),
        ("run.toml", "experiment = ['a', 1]", ":1:20: experiment[1] must be a text, not 1"),
        ("run.json", "{}", ": a run file is named *.toml or *.yaml; rename it"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = _file(tmp_path, text, name)
    with pytest.raises(RunError) as caught:
        read_run_file(path)
    assert any(str(caught.value).startswith(f"{path}{part}") for part in message.split("|"))


def test_a_missing_file_and_one_in_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read: No such file"):
        read_run_file(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_bytes(b"games = '\xe9'")
    with pytest.raises(RunError, match="byte 9 is not UTF-8"):
        read_run_file(tmp_path / "run.toml")


def test_an_endless_number_of_epochs_is_refused() -> None:
    with pytest.raises(RunError, match=r"epochs must be at most 1,000,000, not 10000000"):
        RunSettings().updated({"epochs": 10**20})


def test_line_ups_of_pairs() -> None:
    two = RunSettings(models=["a", "b"])
    assert two.line_up_selectors() == [["a", "b"]]
    assert two.updated({"pairs": "self"}).line_up_selectors() == [["a"], ["b"]]
    assert two.updated({"pairs": "all"}).line_up_selectors() == [["a", "a"], ["a", "b"], ["b", "a"], ["b", "b"]]
    with pytest.raises(RunError, match="which has none: add 'line_ups'"):
        two.updated({"pairs": "given"}).line_up_selectors()
    for pairs in (None, "self", "given"):
        with pytest.raises(RunError, match="models and line_ups are both given"):
            two.updated({"pairs": pairs, "line_ups": [["b", "a"]]}).line_up_selectors()
    with pytest.raises(RunError, match="no model is given"):
        RunSettings().line_up_selectors()


def test_names_of_3_7_2_are_taken() -> None:
    found = RunSettings().updated({"game": "taboo", "experiment_name": "e", "instances-filename": "i"})
    assert (found.games, found.experiment, found.instances) == (["taboo"], "e", "i")
    with pytest.raises(RunError, match="'game' is given twice: it means 'games'"):
        RunSettings().updated({"games": "a", "game": "b"})


def test_misspelt_generation_arguments_have_their_places(tmp_path: Path) -> None:
    text = 'models = ["mock"]\nseed = 5\n[[players]]\nstop = ["a"]\ntemprature = 1.0\n[gen_args]\n max_tokn = 1\n'
    path = _file(tmp_path, text)
    settings = RunSettings().updated(read_run_file(path))
    settings.source = str(path)
    with pytest.raises(RunError) as caught:
        line_ups_of(settings)
    what = "is not a generation argument of model 'mock': did you mean"
    assert sorted(str(caught.value).splitlines()) == [
        f"{path}:5:1: players[0].temprature {what} 'temperature'?",
        f"{path}:7:2: gen_args.max_tokn {what} 'max_tokens'?",
    ]
    path.unlink()  # without the file, there is no place, and the problem is the same
    with pytest.raises(RunError, match="max_tokn"):
        line_ups_of(settings.updated({"players": []}))


def test_a_custom_backend_may_take_any_generation_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = (
        "from clemcore import backends\n"
        "class Own(backends.Backend):\n"
        "    def get_model_for(self, model_spec): ...\n"
    )
    Path("own_api.py").write_text(source)
    model = {"model_name": "m", "backend": "own"}
    (line_up,) = line_ups_of(RunSettings(models=[model], gen_args={"temprature": 1}))
    assert line_up.roles[0].gen_args["temprature"] == 1
