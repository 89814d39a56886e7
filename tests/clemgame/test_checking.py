"""`clem check game` finds what would go wrong in a run, above all variables that live episodes share."""

from __future__ import annotations

import itertools
import json
import re
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from clemcore.clemgame.checking.game import check_game
from clemcore.clemgame.checking.trial import SlowError, _alarm
from clemcore.clemgame.reading.spec import GameSpec
from support.clem import Clem

HEAD = """
import random
from clemcore.clemgame import GameBenchmark, Player
from clemcore.clemgame.legacy.master import DialogueGameMaster
from clemcore.clemgame.legacy.scorer import GameScorer

REQUESTS = ("Request Count", "Parsed Request Count", "Violated Request Count")
{variables}

class Speaker(Player):
    said = []
    count = 0
    def _custom_response(self, context):
        {player}
        return "word"

class Master(DialogueGameMaster):
    last = None
    def _on_setup(self, **instance):
        self.word = instance["word"]
        self.left = 2
        self.add_player(Speaker(self.player_models[0]), initial_context=self.word)
        {setup}
    def _does_game_proceed(self):
        return self.left > 0
    def _validate_player_response(self, player, response):
        return True
    def _on_valid_player_response(self, player, response):
        self.left -= 1
        self.set_context_for(player, self.word)
        {turn}
    def _on_after_game(self):
        for key in ("Aborted", "Lose", "Success", *REQUESTS):
            self.log_key(key, 1)
        {end}

class Scorer(GameScorer):
    def score_turns(self, interactions):
        {scorer}
    def log_main_score(self, interactions):
        self.log_episode_score("Main Score", 1)

class Game(GameBenchmark):
    def create_game_master(self, experiment, player_models):
        return Master(self.game_spec, experiment, player_models)
    def create_game_scorer(self, experiment, game_instance):
        return Scorer(self.game_name, experiment, game_instance)
"""
PARTS = ("variables", "player", "setup", "turn", "end", "scorer")


def make_game(folder: Path, fields: Mapping[str, object] | None = None, /, **parts: str) -> GameSpec:
    (folder / "in").mkdir(parents=True)
    code = HEAD.format(**{part: parts.get(part, "pass") for part in PARTS})
    (folder / "master.py").write_text(textwrap.dedent(code))
    (folder / "clemgame.json").write_text(json.dumps({"game_name": "g", "players": 1, **(fields or {})}))
    instances = [{"game_id": number, "word": word} for number, word in enumerate(["apple", "pear", "plum", "fig"])]
    (folder / "in" / "instances.json").write_text(
        json.dumps({"experiments": [{"name": "e", "game_instances": instances}]})
    )
    return GameSpec.from_directory(str(folder))[0]


def line_of(folder: Path, text: str) -> int:
    lines = (folder / "master.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_game_that_keeps_its_state_in_its_master_has_no_remarks(tmp_path: Path) -> None:
    constants = "WORDS = ['a', 'b']\nRULES = {'a': 1}\nimport logging\nlogger = logging.getLogger(__name__)"
    spec = make_game(tmp_path / "g", variables=constants, turn="logger.info('turn'); print('a turn')")
    assert check_game(spec) == ([], 3)


SHARED = [
    ({"player": "self.said.append(context['content'])"}, "Speaker.said", "self.said.append"),
    ({"player": "Speaker.count += 1"}, "Speaker.count", "Speaker.count += 1"),
    ({"setup": "type(self).last = self.word"}, "Master.last", "type(self).last"),
    ({"variables": "word = None", "setup": "global word; word = self.word"}, "word", "global word"),
    ({"variables": "now = {}", "setup": "now['word'] = self.word"}, "now", "now['word']"),
    # It looks the same after each episode.
    ({"variables": "now = []", "setup": "now.append(1)", "end": "now.clear()"}, "now", "now.append"),
    ({"variables": "dice = random.Random(1)", "turn": "dice.random()"}, "dice", "dice = random"),
    (
        {"variables": "def keep(word, kept=[]): kept.append(word)", "turn": "keep(self.word)"},
        "keep().kept",
        "master.py",
    ),
    ({"variables": "class Box: pass\nbox = Box()", "turn": "box.word = self.word"}, "box", "box = Box()"),
]


@pytest.mark.parametrize(("parts", "variable", "text"), SHARED)
def test_a_variable_that_episodes_change_is_found_with_its_line(
    tmp_path: Path, parts: dict[str, str], variable: str, text: str
) -> None:
    spec = make_game(tmp_path / "g", **parts)
    remarks, played = check_game(spec)
    assert played == 3
    [remark] = [each for each in remarks if f"'{variable}'" in each.message]
    assert remark.severity == "error"
    assert '"concurrency": 1' in remark.message
    if text != "master.py":
        assert f"{tmp_path / 'g' / 'master.py'}:{line_of(tmp_path / 'g', text)}" in remark.message


@pytest.mark.parametrize(("parts", "variable", "text"), SHARED)
def test_a_game_that_declares_it_has_no_remarks(
    tmp_path: Path, parts: dict[str, str], variable: str, text: str
) -> None:
    assert check_game(make_game(tmp_path / "g", {"concurrency": 1}, **parts)) == ([], 3)


def test_what_only_the_first_episode_loads_is_a_hint_at_most(tmp_path: Path) -> None:
    spec = make_game(tmp_path / "g", variables="words = None", setup="global words; words = words or ['a']")
    remarks, _ = check_game(spec)
    assert [(each.severity, "words" in each.message) for each in remarks] == [("hint", True)]


def test_a_cache_that_grows_is_a_warning(tmp_path: Path) -> None:
    remarks, _ = check_game(make_game(tmp_path / "g", variables="cache = {}", turn="cache[self.word] = 1"))
    assert [each.severity for each in remarks] == ["warning"]


FAILURES = [
    ({"turn": "raise ValueError('oh')"}, r"g/e/0/1 cannot be played with the mock: ValueError: oh \(.*master.py:"),
    ({"scorer": "1 / 0"}, r"g/e/0/1 cannot be scored with the mock: ZeroDivisionError: .* \(.*master.py:"),
    ({"turn": "self.left = 9"}, "does not end with the mock: the episode has not ended after 200 steps"),
    ({"turn": "import sys; sys.exit(1)"}, "cannot be played with the mock: SystemExit: 1"),
    ({"variables": "import no_such_package"}, "No module named 'no_such_package'"),
    ({"end": "import time; time.sleep(9)"}, "the episode has not ended after 0.5 s"),
]


@pytest.mark.parametrize(("parts", "message"), FAILURES)
def test_what_goes_wrong_in_the_trial_is_told_with_its_line(
    tmp_path: Path, parts: dict[str, str], message: str
) -> None:
    seconds = 0.5 if "0.5 s" in message else 60
    remarks, _ = check_game(make_game(tmp_path / "g", **parts), episodes=1, seconds=seconds)
    assert [each.severity for each in remarks] == ["warning" if "not ended" in message else "error"]
    assert re.search(message, remarks[0].message)
    assert Path(remarks[0].file).name in ("master.py", "clemgame.json")
    if "200 steps" in message:
        line = (tmp_path / "g" / "master.py").read_text().splitlines()[remarks[0].line - 1]
        assert line.strip() == "def _does_game_proceed(self):"


def test_a_score_that_is_a_truth_value_is_told_once_and_with_the_line_of_the_game(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = make_game(tmp_path / "g", scorer="self.log_episode_score('Long', True)")
    remarks, played = check_game(spec)
    assert played > 1
    (found,) = remarks
    assert (found.severity, Path(found.file).name) == ("warning", "master.py")
    assert found.line == line_of(tmp_path / "g", "'Long'")
    assert found.message == "the score 'Long' is True: the evaluation needs numbers, log 1 instead"
    told = [record.getMessage() for record in caplog.records]
    assert [text for text in told if f"master.py:{found.line}" in text] == told
    assert len(told) == 1


@pytest.mark.slow
def test_what_a_game_prints_is_not_a_part_of_the_report(clem: Clem, tmp_path: Path) -> None:
    loud = "print('by print'); import os; os.write(1, b'by os.write\\n'); os.system('echo by a program')"
    make_game(tmp_path / "g", variables=loud, setup=loud, turn=loud, end=loud, scorer=loud)
    done = clem("check", "game", str(tmp_path / "g"), "--format", "json")
    assert json.loads(done.stdout) == []
    for way in ("by print", "by os.write", "by a program"):
        assert way in done.stderr


def test_roles_are_as_many_as_players(tmp_path: Path) -> None:
    remarks, _ = check_game(make_game(tmp_path / "g", {"roles": ["A", "B"]}))
    assert [each.severity for each in remarks] == ["warning"]
    assert "'roles' names 2 roles (A, B), but 'players' is 1" in remarks[0].message


@pytest.mark.slow
def test_the_command_checks_folders_and_names(clem: Clem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_game(tmp_path / "good", {"game_name": "good"})
    make_game(tmp_path / "bad", {"game_name": "bad"}, player="Speaker.count += 1")
    assert clem.ok("check", "game", "good") == "good: ready (3 episodes played with the mock)\n"
    done = clem("check", "game", "--json")
    assert done.returncode == 1
    assert [(row["game"], row["severity"]) for row in json.loads(done.stdout)] == [("bad", "error")]
    (tmp_path / "bad" / "clemgame.json").write_text('{"game_name": "bad", "player": 1}')
    done = clem("check", "game", "bad", "--json")  # nothing is left to check, and this is a finding, too
    assert done.returncode == 1
    assert {Path(row["file"]).name for row in json.loads(done.stdout)} == {"clemgame.json"}
    monkeypatch.chdir(tmp_path / "good")
    assert clem.ok("check", "game", "--episodes", "1").startswith("good: ready (1 episodes")
    assert "there is no game 'elsewhere': there are: good" in clem.fails("check", "game", "elsewhere", status=2)


def test_a_busy_machine_makes_no_player_slow() -> None:
    """The time limit of a hostile player is of the processor; waiting is allowed for longer."""
    with _alarm(0.05, patience=100):
        time.sleep(0.2)
    with pytest.raises(SlowError), _alarm(0.05, patience=1000):
        sum(1 for _ in itertools.count())
    with pytest.raises(SlowError), _alarm(0.05):
        time.sleep(60)
