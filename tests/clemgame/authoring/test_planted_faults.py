"""Faults that are planted in a game are found, each at its line; the game without them has no remarks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from clemcore import cli
from clemcore.clemgame import GameSpec
from clemcore.clemgame.authoring.new_game import new_game
from clemcore.clemgame.checking.game import check_game
from clemcore.clemgame.checking.remarks import Remark

pytestmark = pytest.mark.slow

Plant = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_game("hunt", tmp_path_factory.mktemp("sound"), players=2)


def _in(name: str, old: str, new: str) -> Plant:
    def plant(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return plant


def _code(old: str, new: str) -> Plant:
    return _in("master.py", old, new)


def _instances(change: Callable[[dict[str, object]], None]) -> Plant:
    def plant(folder: Path) -> None:
        path = folder / "in" / "instances.json"
        content = json.loads(path.read_text())
        for experiment in content["experiments"]:
            change(experiment)
        path.write_text(json.dumps(content, indent=2))

    return plant


_RULE = "You have $guesses guesses for this number"
_GIVE_UP = "    def _give_up(self):\n        self.state.abort()\n"
_TEMPLATE = "resources/en/guesser.template"

# What is planted; rule and severity of the remark; the file, and a text in its line; a part of the message.
FAULTS: dict[str, tuple[Plant, str, str, str, str, str]] = {
    "a misspelt field of the specification": (
        _in("clemgame.json", '"players"', '"plyers"'),
        *("files", "error", "clemgame.json", "{", "meant to be 'players'"),
    ),
    "two instances with one number": (
        _in("in/instances.json", '"game_id": 1', '"game_id": 0'),
        *("files", "error", "in/instances.json", '"game_id": 0', "have the game_id 0"),
    ),
    "a template in another encoding": (
        lambda folder: (folder / "resources/en/extra.template").write_bytes(
            "Say 7.\nOr a café.\n".encode("latin-1")
        ),
        *("files", "error", "resources/en/extra.template", "caf", "byte 15 (0xe9) is not UTF-8: save"),
    ),
    "a placeholder that nothing fills": (
        _in(_TEMPLATE, "whole number", "whole $kind number"),
        *("placeholder", "warning", _TEMPLATE, "$kind", "nothing fills '$kind'"),
    ),
    "a placeholder that players see": (
        lambda folder: (
            _in(_TEMPLATE, "whole number", "whole $guesses_of number")(folder),
            _code('guesser_prompt"]).substitute', 'guesser_prompt"]).safe_substitute')(folder),
            _instances(
                lambda each: each.update(guesser_prompt=str(each["guesser_prompt"]).replace("whole", "$guesses_of"))
            )(folder),
        ),
        *("placeholder", "warning", _TEMPLATE, "$guesses_of", "players get '$guesses_of' as it is"),
    ),
    "one rule in two wordings": (
        _in("resources/en/hinter.template", "\n\nAnswer", f"\n{_RULE} in total.\n{_RULE}, in total.\n\nAnswer"),
        *("wording", "hint", "resources/en/hinter.template", ", in total", "in other words"),
    ),
    "an end that nothing calls": (
        _code("    def _on_parse_error", f"{_GIVE_UP}\n    def _on_parse_error"),
        *("outcome", "warning", "master.py", "def _give_up", "nothing calls it"),
    ),
    "an end that is never reached": (
        _code("            state.failed()\n", "            return\n            state.failed()\n"),
        *("outcome", "warning", "master.py", "state.failed()", "never reached"),
    ),
    "an end behind a condition that never holds": (
        _code("            state.failed()\n", "            if False:\n                state.failed()\n"),
        *("outcome", "warning", "master.py", "state.failed()", "never reached"),
    ),
    "an outcome that no code sets": (
        _code("        self.state.abort()\n", "        self.state.failed()\n"),
        *("outcome", "hint", "master.py", "state.succeed()", "ends an episode as aborted"),
    ),
    "a trial that fails": (
        _code("        state.guesses += 1\n", "        state.guesses += 1\n        self.nothing += 1\n"),
        *("trial", "error", "master.py", "self.nothing += 1", "cannot be played with the mock: AttributeError"),
    ),
    "a clock": (
        _code('self.log_to_self("guess", state.guess)', 'self.log_to_self("guess", __import__("time").time_ns())'),
        *("determinism", "error", "master.py", "time_ns", "differs when it is played again"),
    ),
    "the order of a set": (
        _code('self.log_to_self("hint", hint)', 'self.log_to_self("hint", list(set("abcdefghij")))'),
        *("determinism", "warning", "master.py", "list(set(", "depends on the order of a set"),
    ),
    "an answer that is not checked": (
        _code(
            'return self._part_of(response, "guess_tag", "[0-9]{1,9}")',
            'return json.loads("[" + response.split(":")[1] + "]")[0]',
        ),
        *("hostile-player", "error", "master.py", "json.loads", "if a player answers with nothing"),
    ),
    "an episode that does not end": (
        _code(
            "        self.state.abort()\n",
            "        [self.set_context_for(each, 'Say 7.') for each in self.get_players()]\n",
        ),
        *("hostile-player", "warning", "master.py", "class HuntMaster", "the episode does not end"),
    ),
    "a score out of its range": (
        _code("score = 100 * (1 +", "score = 1000 * (1 +"),
        *("scores", "error", "master.py", "self.log_episode_score(BENCH_SCORE", "outside of 0 to 100"),
    ),
    "a score that is infinite": (
        _code('self.log_episode_score("Guesses", needed)', 'self.log_episode_score("Guesses", float("inf"))'),
        *("scores", "error", "master.py", 'float("inf")', "is infinite"),
    ),
    "a score out of its declared range": (
        _in("clemgame.json", '"players"', '"score_ranges": {"Guesses": [50, 60]},\n  "players"'),
        *("scores", "error", "master.py", '"Guesses", needed', "outside of 50 to 60"),
    ),
    "a score that is not counted": (
        _code('float("nan") if interactions[METRIC_ABORTED] else score', 'float("nan")'),
        *("scores", "warning", "master.py", "self.log_episode_score(BENCH_SCORE", "left out of the mean"),
    ),
    "a variable that episodes share": (
        lambda folder: (
            _code("class State(", "SEEN = []\n\n\n@dataclass\nclass State(")(folder),
            _code("@dataclass\nSEEN", "SEEN")(folder),
            _code("        state.guesses += 1\n", "        state.guesses += 1\n        SEEN.append(1)\n")(folder),
        ),
        *("shared-variable", "error", "master.py", "SEEN.append(1)", "which all live episodes share"),
    ),
}


def _remarks(folder: Path) -> list[Remark]:
    from clemcore.clemgame.checking.game import remarks_of
    from clemcore.errors import GameError

    try:
        (spec,) = GameSpec.from_directory(str(folder))
    except GameError as fault:
        return remarks_of(fault)
    return check_game(spec, seconds=20, most_steps=60)[0]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_at_its_line(sound: Path, tmp_path: Path, name: str) -> None:
    plant, rule, severity, file, text, message = FAULTS[name]
    folder = tmp_path / "hunt"
    shutil.copytree(sound, folder)
    if "json.loads" in text:
        _code("import re\n", "import json\nimport re\n")(folder)
    plant(folder)
    found = [each for each in _remarks(folder) if each.rule == rule and message in each.message]
    assert found, [str(each) for each in _remarks(folder)]
    assert found[0].severity == severity
    assert found[0].file == str(folder / file)
    assert text in (folder / file).read_text(errors="replace").splitlines()[max(found[0].line, 1) - 1]


def test_formats_name_file_and_line(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sound, "hunt")
    _in("clemgame.json", '"players"', '"score_ranges": {"Guesses": [50, 60]},\n  "players"')(Path("hunt"))
    _in(_TEMPLATE, "whole number", "whole $kind number")(Path("hunt"))
    assert cli.main(["check", "game", "hunt", "--format", "github"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("::error file=hunt/master.py,line=")
    assert f"::warning file=hunt/{_TEMPLATE},line=1,title=hunt%3A placeholder::" in second
    assert cli.main(["check", "game", "hunt", "--format", "sarif"]) == 1
    report = json.loads(capsys.readouterr().out)
    (run,) = report["runs"]
    assert report["version"] == "2.1.0"
    assert [(each["ruleId"], each["level"]) for each in run["results"]] == [
        ("scores", "error"),
        ("placeholder", "warning"),
    ]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": f"hunt/{_TEMPLATE}"}, "region": {"startLine": 1}}
    assert {each["id"] for each in run["tool"]["driver"]["rules"]} >= {each["ruleId"] for each in run["results"]}


def test_a_specification_that_cannot_be_read_is_part_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad").mkdir()
    Path("bad/clemgame.json").write_text('{\n  "game_name": "bad",\n  "players": 0\n}')
    assert cli.main(["check", "game", "bad", "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=bad/clemgame.json,line=3,title=bad%3A files::")
