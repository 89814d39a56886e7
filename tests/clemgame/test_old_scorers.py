"""Scorers that were written for older releases write their files where these lie today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clemcore.clemgame import GameScorer
from clemcore.clemgame.metrics import write_scores


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
