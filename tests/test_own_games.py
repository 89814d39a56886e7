"""The games of examples/games: their instances are right, and each rule has the consequence that they promise."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import random
import runpy
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.clemgame import GameBenchmark, GameInteractionsRecorder, GameMaster, GameSpec
from clemcore.clemgame.engine import Options, play
from clemcore.clemgame.plan import make_plan
from clemcore.clemgame.store import RunReader, RunStore
from clemcore.images import image_type
from support.models import REPOSITORY
from support.pages import blocks
from support.wire_server import Answer, Received, WireServer, completion

GAMES = REPOSITORY / "examples" / "games"
NAMES = ("word_dominoes", "lineup", "spot_the_change")

Instance = dict[str, Any]


def experiments(game: str) -> list[dict[str, Any]]:
    """The committed experiments of a game."""
    found: dict[str, Any] = json.loads((GAMES / game / "in" / "instances.json").read_text(encoding="utf-8"))
    return list(found["experiments"])


def instances(game: str) -> Iterator[tuple[dict[str, Any], Instance]]:
    """All instances of a game, each with its experiment."""
    for experiment in experiments(game):
        for instance in experiment["game_instances"]:
            yield {key: value for key, value in experiment.items() if key != "game_instances"}, instance


class Episode:
    """One played episode: the answers come from a list, or from the mock if there is none."""

    def __init__(
        self, game: str, experiment: dict[str, Any], instance: Instance, answers: Iterable[str] | None = None
    ) -> None:
        spec = GameSpec.from_directory(str(GAMES / game))[0]
        self.contexts: list[dict[str, Any]] = []
        with GameBenchmark.load_from_spec(spec) as benchmark:
            models = [backends.get_model_for("mock")]
            master = benchmark.create_game_master(experiment, models)
            recorder = GameInteractionsRecorder(game, experiment["name"], instance["game_id"], "mock", {})
            master.register(recorder)
            master.setup(**instance)
            master.before_game()
            self._play(master, answers)
            self.interactions = recorder.interactions
            scorer = benchmark.create_game_scorer(experiment, instance)
            scorer.compute_scores(self.interactions)
        self.scores: dict[str, Any] = scorer.scores["episode scores"]
        self.rounds: dict[int, dict[str, Any]] = scorer.scores["round scores"]

    def _play(self, master: GameMaster, answers: Iterable[str] | None) -> None:
        given, done = None if answers is None else iter(answers), False
        while not done:
            context = master.get_context_for(master.current_player)
            assert context is not None
            self.contexts.append(context)
            done, _ = master.step(master.current_player(context) if given is None else next(given))
        if given is not None:
            assert next(given, None) is None, "the game ended before the last answer"

    @property
    def outcome(self) -> str:
        [name] = [name for name in ("Aborted", "Lose", "Success") if self.scores[name]]
        return name

    @property
    def main(self) -> float:
        return float(self.scores["Main Score"])


def first(game: str, experiment: str) -> tuple[dict[str, Any], Instance]:
    """The first instance of an experiment, with the experiment."""
    return next(pair for pair in instances(game) if pair[0]["name"] == experiment)


def longest_row(instance: Instance) -> list[str]:
    """A longest row, found by trying everything."""

    def follow(letter: str, stones: list[str]) -> list[str]:
        rows = [[word, *follow(word[-1], [s for s in stones if s != word])] for word in stones if word[0] == letter]
        return max(rows, key=len, default=[])

    return follow(instance["start"][-1], instance["stones"])


def played(game: str, folder: Path, options: Options) -> dict[str, Any]:
    """Play several epochs of a game with the mock, and return what happened in each episode, without the times."""
    plan = make_plan(GameSpec.from_directory(str(GAMES / game)), epochs=5)
    with contextlib.closing(RunStore.open(folder)) as store:
        summary = play(plan, [backends.get_model_for("mock")], store, options)
    assert not summary.errors
    reader = RunReader(folder)
    found = {}
    for key, state in reader.states().items():
        assert state.state == "played"
        turns = json.loads(reader.interactions(key))["turns"]
        for event in (event for turn in turns for event in turn):
            del event["timestamp"]
        found[str(key)] = turns
    return found


def best_answers(game: str, instance: Instance) -> list[str]:
    """Answers that win an instance with the highest score."""
    if game == "word_dominoes":
        return [f"LAY: {word}" for word in longest_row(instance)]
    if game == "lineup":
        return ["SAY: Guess well!", f"ARREST: {instance['guilty']}"]
    return [f"CELL: {shown['cell']} {shown['colour']}" for shown in instance["rounds"]]


class TestEveryGame:
    @pytest.mark.slow
    @pytest.mark.parametrize("game", NAMES)
    def test_the_generator_makes_the_committed_files_again(self, game: str, tmp_path: Path) -> None:
        copy = tmp_path / game
        shutil.copytree(GAMES / game, copy, ignore=shutil.ignore_patterns("in", "__pycache__"))
        subprocess.run([sys.executable, "instancegenerator.py"], cwd=copy, check=True)
        made, committed = copy / "in", GAMES / game / "in"
        assert json.loads((made / "instances.json").read_text()) == {"experiments": experiments(game)}
        small = json.loads((made / "small.json").read_text())
        assert small == json.loads((committed / "small.json").read_text())
        assert [len(experiment["game_instances"]) for experiment in small["experiments"]] == [1, 1, 1]
        names = {path.relative_to(committed) for path in committed.rglob("*.*")}
        assert names == {path.relative_to(made) for path in made.rglob("*.*")}

    @pytest.mark.parametrize("game", NAMES)
    def test_the_best_answers_win_every_instance_with_100(self, game: str) -> None:
        for experiment, instance in instances(game):
            episode = Episode(game, experiment, instance, best_answers(game, instance))
            assert (episode.outcome, episode.main) == ("Success", 100.0), (experiment["name"], instance["game_id"])

    @pytest.mark.slow
    @pytest.mark.parametrize("game", NAMES)
    def test_the_mock_ends_every_instance_in_each_way(self, game: str) -> None:
        outcomes = set()
        for seed in range(12):
            random.seed(seed)
            for experiment, instance in instances(game):
                episode = Episode(game, experiment, instance)
                outcomes.add(episode.outcome)
                if episode.outcome == "Aborted":
                    assert math.isnan(episode.main)
                else:
                    assert 0 <= episode.main <= 100
                    assert (episode.main == 100) <= (episode.outcome == "Success")
        assert outcomes >= {"Lose", "Success"}

    @pytest.mark.parametrize("game", NAMES)
    def test_the_third_answer_in_a_wrong_form_aborts(self, game: str) -> None:
        key = {"word_dominoes": "LAY", "lineup": "SAY", "spot_the_change": "CELL"}[game]
        for experiment, instance in instances(game):
            episode = Episode(game, experiment, instance, ["What?", "", f"{key}: \nA1 red"])
            assert episode.outcome == "Aborted"
            assert math.isnan(episode.main)
            assert episode.interactions["Violated Request Count"] == [3]
            assert len(episode.interactions["turns"]) == 1  # all in one round
            assert "Try again." in episode.contexts[2]["content"]
            assert episode.contexts[2]["content"].count("Try again.") == 1

    @pytest.mark.parametrize("game", NAMES)
    def test_a_mistake_that_is_put_right_costs_no_points(self, game: str) -> None:
        experiment, instance = next(instances(game))
        answers = best_answers(game, instance)
        episode = Episode(game, experiment, instance, ["What?", *answers])
        assert (episode.outcome, episode.main) == ("Success", 100.0)
        without = Episode(game, experiment, instance, answers)
        assert len(episode.interactions["turns"]) == len(without.interactions["turns"])

    @pytest.mark.parametrize("game", NAMES)
    def test_prompts_are_filled_in(self, game: str) -> None:
        for experiment, instance in instances(game):
            for context in Episode(game, experiment, instance).contexts:
                assert "$" not in context["content"]

    def test_answers_may_have_blanks_around_them_and_capitals(self) -> None:
        experiment, instance = first("word_dominoes", "short")
        answers = [f"\n {answer.upper()} \n" for answer in best_answers("word_dominoes", instance)]
        assert Episode("word_dominoes", experiment, instance, answers).main == 100

    @pytest.mark.slow
    def test_the_commands_of_the_readme_play_them(self, tmp_path: Path) -> None:
        [code] = [
            block.code
            for block in blocks("sh")
            if block.page.name == "README.md" and "cd examples/games" in block.code
        ]
        (tmp_path / "examples").mkdir()
        shutil.copytree(GAMES, tmp_path / "examples" / "games")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        shell = ["bash", "-euc", code]
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(shell, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "36 episodes evaluated" in done.stderr

    @pytest.mark.slow
    def test_the_check_of_games_finds_nothing(self) -> None:
        clem = Path(sys.executable).with_name("clem")
        done = subprocess.run([clem, "check", "game"], cwd=GAMES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count(": ready") == len(NAMES)

    @pytest.mark.slow
    @pytest.mark.parametrize("game", NAMES)
    def test_episodes_that_play_side_by_side_go_as_they_go_alone(self, game: str, tmp_path: Path) -> None:
        """Whatever the order in which the players answer; the mock gives up its turn at every answer."""
        alone = played(game, tmp_path / "alone", Options(concurrency=1))
        assert len(alone) > 50
        for concurrency, order in ((16, 1), (200, 2), (200, 3)):
            folder = tmp_path / f"{concurrency}_{order}"
            assert played(game, folder, Options(concurrency=concurrency, shuffle=order)) == alone


class TestWordDominoes:
    def test_the_longest_row_is_what_the_instance_says(self) -> None:
        for _, instance in instances("word_dominoes"):
            assert len(longest_row(instance)) == instance["longest"]
            assert len(set(instance["stones"])) == len(instance["stones"])
            assert instance["start"] not in instance["stones"]

    def test_random_play_does_not_win_on_its_own(self) -> None:
        assert all(instance["random_play"] < 90 for _, instance in instances("word_dominoes"))

    def test_a_dead_end_loses_with_the_share_that_was_laid(self) -> None:
        experiment, instance = first("word_dominoes", "dead_ends")
        letter, stones, laid = instance["start"][-1], list(instance["stones"]), []
        while fitting := [word for word in stones if word[0] == letter]:  # a player who does not think ahead
            laid.append(fitting[0])
            stones.remove(fitting[0])
            letter = fitting[0][-1]
        assert len(laid) < instance["longest"]
        episode = Episode("word_dominoes", experiment, instance, [f"LAY: {word}" for word in laid])
        assert (episode.outcome, episode.main) == ("Lose", round(100 * len(laid) / instance["longest"], 2))
        assert [scores["Laid"] for scores in episode.rounds.values()] == [1] * len(laid)

    def test_the_third_violation_loses_and_keeps_what_was_laid(self) -> None:
        experiment, instance = first("word_dominoes", "short")
        right = best_answers("word_dominoes", instance)
        other = next(word for word in instance["stones"] if word[0] != instance["start"][-1])
        episode = Episode("word_dominoes", experiment, instance, [f"LAY: {other}", *right[:2], right[0], "LAY: x"])
        assert (episode.outcome, episode.main) == ("Lose", 33.33)
        assert episode.scores["Rule Violations"] == 3
        assert episode.scores["Violated Request Count"] == 0  # these answers had the asked form
        assert f'"{other}" does not begin with' in episode.contexts[1]["content"]
        assert "is not one of your stones" in episode.contexts[4]["content"]


class TestLineup:
    @pytest.fixture
    def easy(self) -> tuple[dict[str, Any], Instance]:
        return first("lineup", "easy")

    def test_no_two_suspects_are_equal(self) -> None:
        for experiment, instance in instances("lineup"):
            suspects = list(instance["suspects"].values())
            assert all(suspects.count(suspect) == 1 for suspect in suspects)
            if experiment["name"] == "look_alikes":
                guilty = instance["suspects"][instance["guilty"]]
                differences = [sum(one[name] != guilty[name] for name in guilty) for one in suspects]
                assert max(differences) <= 2

    def test_each_player_sees_its_part_only(self, easy: tuple[dict[str, Any], Instance]) -> None:
        experiment, instance = easy
        asked = [f"ARREST: {instance['guilty']}"]
        witness, detective = (
            context["content"] for context in Episode("lineup", *easy, ["SAY: Hm", *asked]).contexts
        )
        assert all(name not in witness for name in instance["suspects"])
        assert all(value in witness for value in instance["suspects"][instance["guilty"]].values())
        assert all(name in detective for name in instance["suspects"])
        assert detective.endswith("Round 1. The witness says: Hm")
        assert f"at most {experiment['statement_words']} words" in witness

    def test_the_score_falls_with_each_round(self, easy: tuple[dict[str, Any], Instance]) -> None:
        for rounds, score in enumerate((100, 80, 60, 40, 20), start=1):
            answers = ["SAY: Green coat", "ASK: What about the hat?"] * (rounds - 1)
            episode = Episode("lineup", *easy, [*answers, "SAY: Boots", f"ARREST: {easy[1]['guilty']}."])
            assert (episode.outcome, episode.main) == ("Success", score)
            assert episode.scores["Words"] == 2 * (rounds - 1) + 1
            assert len(episode.interactions["turns"]) == rounds

    def test_questions_are_passed_without_the_key_word(self, easy: tuple[dict[str, Any], Instance]) -> None:
        answers = ["SAY: Tall", "ASK: Which hat?", "SAY: Felt", f"ARREST: {easy[1]['guilty']}"]
        contexts = Episode("lineup", *easy, answers).contexts
        assert contexts[2]["content"] == "The detective asks: Which hat?"
        assert contexts[3]["content"] == "Round 2. The witness says: Felt"

    def test_a_wrong_arrest_loses(self, easy: tuple[dict[str, Any], Instance]) -> None:
        innocent = next(name for name in easy[1]["suspects"] if name != easy[1]["guilty"])
        episode = Episode("lineup", *easy, ["SAY: Tall", f"ARREST: {innocent}"])
        assert (episode.outcome, episode.main) == ("Lose", 0.0)

    def test_violations_of_both_players_count_together(self, easy: tuple[dict[str, Any], Instance]) -> None:
        long = " ".join(["very"] * (easy[0]["statement_words"] + 1))
        answers = [f"SAY: {long}", "SAY: Tall", "ARREST: Moriarty", f"ASK: {'very ' * 13}tall?"]
        episode = Episode("lineup", *easy, answers)
        assert (episode.outcome, episode.main, episode.scores["Rule Violations"]) == ("Lose", 0.0, 3)
        assert "Your text had 9 words, but at most 8 are allowed. Try again." in episode.contexts[1]["content"]

    def test_the_last_round_allows_no_question(self, easy: tuple[dict[str, Any], Instance]) -> None:
        answers = ["SAY: Tall", "ASK: Hat?"] * 5
        episode = Episode("lineup", *easy, [*answers, f"ARREST: {easy[1]['guilty']}"])
        assert (episode.outcome, episode.main, episode.scores["Rule Violations"]) == ("Success", 20.0, 1)
        assert "you must arrest a suspect. Try again.\nRound 5, the last round." in episode.contexts[-1]["content"]


class TestSpotTheChange:
    @pytest.fixture
    def board(self) -> tuple[dict[str, Any], Instance]:
        return first("spot_the_change", "3x3")

    def test_pictures_differ_in_the_cell_that_the_instance_names(self) -> None:
        pixels_of = runpy.run_path(str(GAMES / "spot_the_change" / "master.py"))["pixels_of"]
        for experiment, instance in instances("spot_the_change"):
            shown = instance["rounds"]
            pictures = [pixels_of(GAMES / "spot_the_change" / one["picture"]) for one in shown]
            step = len(pictures[0]) // experiment["size"]
            boards = [[row[step // 2 :: step] for row in picture[step // 2 :: step]] for picture in pictures]
            for number, (before, after) in enumerate(pairwise(boards), start=1):
                size = range(experiment["size"])
                changed = [(x, y) for x in size for y in size if before[y][x] != after[y][x]]
                assert [f"{'ABCDE'[x]}{y + 1}" for x, y in changed] == [shown[number]["cell"]]
                [(x, y)] = changed
                assert experiment["colours"][after[y][x]] == shown[number]["colour"]

    def test_the_committed_pictures_have_the_pixels_of_the_generator(self, tmp_path: Path) -> None:
        """Their bytes may differ, because versions of zlib compress differently."""
        game = GAMES / "spot_the_change"
        pixels_of = runpy.run_path(str(game / "master.py"))["pixels_of"]
        shutil.copytree(game, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("in"))
        subprocess.run([sys.executable, "instancegenerator.py"], cwd=tmp_path, check=True)
        for picture in (game / "in" / "pictures").iterdir():
            assert pixels_of(picture) == pixels_of(tmp_path / "in" / "pictures" / picture.name)

    def test_pictures_are_valid_png_files(self) -> None:
        for picture in (GAMES / "spot_the_change" / "in" / "pictures").iterdir():
            data, kinds = picture.read_bytes(), []
            assert image_type(data) == "image/png"
            rest = data[8:]
            while rest:
                length = int.from_bytes(rest[:4], "big")
                kinds.append(rest[4:8])
                assert zlib.crc32(rest[4 : 8 + length]) == int.from_bytes(rest[8 + length : 12 + length], "big")
                rest = rest[12 + length :]
            assert kinds == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
            assert len(data) < 1000

    def test_each_message_carries_one_picture(self, board: tuple[dict[str, Any], Instance]) -> None:
        episode = Episode("spot_the_change", *board, best_answers("spot_the_change", board[1]))
        shown = [context["image"] for context in episode.contexts]
        assert [Path(path).name for [path] in shown] == [f"3x3_0_{number}.png" for number in range(5)]
        assert all(Path(path).is_file() for [path] in shown)
        sent = [event["action"] for turn in episode.interactions["turns"] for event in turn]
        assert [action["image"] for action in sent if action["type"] == "send message"] == shown

    def test_half_a_point_for_the_cell_or_the_colour(self, board: tuple[dict[str, Any], Instance]) -> None:
        right = best_answers("spot_the_change", board[1])
        cell, colour = right[2].removeprefix("CELL: ").split()
        other = next(name for name in board[0]["colours"] if name != colour)
        episode = Episode("spot_the_change", *board, [*right[:2], f"CELL: {cell} {other}", *right[3:]])
        assert (episode.outcome, episode.main, episode.scores["Comparing"]) == ("Lose", 90.0, 87.5)
        assert [scores["Right"] for scores in episode.rounds.values()] == [1, 1, 0, 1, 1]
        assert episode.contexts[3]["content"].startswith("Wrong. This is picture 4.")

    def test_cells_and_colours_that_do_not_exist(self, board: tuple[dict[str, Any], Instance]) -> None:
        episode = Episode("spot_the_change", *board, ["CELL: D1 red", "CELL: A0 red", "CELL: A1 pink"])
        assert (episode.outcome, episode.main, episode.scores["Rule Violations"]) == ("Lose", 0.0, 3)
        assert 'The board has no cell "D1".' in episode.contexts[1]["content"]
        assert episode.contexts[1]["image"] == episode.contexts[0]["image"]

    @pytest.mark.slow
    def test_a_model_behind_an_api_sees_the_pictures(self, wire_server: WireServer, tmp_path: Path) -> None:
        """The server knows the answer to each picture by its bytes, so it wins only if it gets them unchanged."""
        answers = {
            (GAMES / "spot_the_change" / shown["picture"]).read_bytes(): answer
            for _, instance in instances("spot_the_change")
            for shown, answer in zip(instance["rounds"], best_answers("spot_the_change", instance), strict=True)
        }

        def look(received: Received) -> Answer:
            parts = received.json["messages"][-1]["content"]
            [url] = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
            return completion(answers[base64.b64decode(url.removeprefix("data:image/png;base64,"))])

        wire_server.script = [look]
        model = backends.get_model_for(
            {
                "model_name": "seer",
                "backend": "openai_compatible",
                "model_id": "seer",
                "base_url": f"{wire_server.url}/v1",
                "model_config": {
                    "requires_api_key": False,
                    "multimodality": {"single_image": True, "multiple_images": True},
                },
            }
        )
        [spec] = GameSpec.from_directory(str(GAMES / "spot_the_change"))
        plan = make_plan([spec], instances="small")
        with contextlib.closing(RunStore.open(tmp_path / "run")) as store:
            summary = play(plan, [model], store, Options())
        assert not summary.errors
        reader = RunReader(tmp_path / "run")
        records = [json.loads(reader.interactions(episode.key)) for episode in plan[0].episodes]
        assert [record["points"] for record in records] == [[1.0] * 5] * 3
        assert len(wire_server.requests) == 15
