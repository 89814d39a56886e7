"""Scorers that were written for older releases write their files where these lie today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import cli
from clemcore.clemgame import GameScorer
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.legacy.scorer import GameScorer as LegacyScorer
from clemcore.clemgame.metrics import write_scores
from support.echo_game import write_game


class ScorerOf20(GameScorer):
    def compute_scores(self, interactions: dict[str, Any]) -> None:
        self.log_episode_score("Main Score", 50)

    def store_scores(self, results_root: str, dialogue_pair: str, game_record_dir: str) -> None:  # type: ignore[override]
        self.store_results_file(
            self.scores,
            "scores.json",
            dialogue_pair=dialogue_pair,
            sub_dir=game_record_dir,
            results_dir=results_root,
        )


class ScorerOf30(ScorerOf20):
    store_scores = GameScorer.store_scores  # type: ignore[assignment]


def test_a_scorer_can_take_the_folder_in_three_parts(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "mock" / "taboo" / "high" / "instance_00001"
    folder.mkdir(parents=True)
    for kind in (ScorerOf20, ScorerOf30):
        scorer = kind("taboo", {}, {})
        scorer.compute_scores({})
        write_scores(scorer, folder)
        assert json.loads((folder / "scores.json").read_bytes())["episode scores"] == {"Main Score": 50}
        (folder / "scores.json").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize("layout", ["classic", "store"])
def test_clem_score_keeps_what_a_scorer_of_2_0_writes(layout: str) -> None:
    game = write_game(Path())
    master = (game / "master.py").read_text()
    three_parts = (
        "\n    def store_scores(self, results_root, dialogue_pair, game_record_dir):\n"
        "        self.store_results_file(self.scores, 'scores.json', dialogue_pair=dialogue_pair,\n"
        "                                sub_dir=game_record_dir, results_dir=results_root)\n"
    )
    (game / "master.py").write_text(
        master.replace("\n\nclass EchoBenchmark", three_parts + "\n\nclass EchoBenchmark")
    )
    assert cli.main(["run", "-g", "echo", "-m", "mock", "-r", "out", "--layout", layout]) == 0
    assert cli.main(["score", "-r", "out"]) == 0
    scores = [episode.scores for episode in read_episodes(Path("out"))]
    assert [each and each["episode scores"]["Main Score"] for each in scores] == [40, 40, 40]


def test_a_metric_that_the_game_did_not_log_is_named_with_what_to_do() -> None:
    class Legacy(LegacyScorer):
        def score_turns(self, episode_interactions: dict[str, Any]) -> None: ...

    with pytest.raises(KeyError, match=r"have no 'Aborted', .* log it with log_key\(\)"):
        Legacy("taboo", {}, {}).compute_scores({"turns": [[]]})
    with pytest.raises(KeyError, match="have no 'Request Count', which this scorer needs"):
        GameScorer("taboo", {}, {}).score_rounds({"turns": [[]]})
