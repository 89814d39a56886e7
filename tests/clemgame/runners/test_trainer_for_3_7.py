"""A trainer written for 3.7 runs unmodified, and collects what it collected with 3.7.2."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clemcore.clemgame.training import export_training
from support.playing import GAMES

FOLDER = Path(__file__).parents[2] / "fixtures" / "trainers"


@pytest.mark.slow
def test_a_trainer_for_3_7_collects_what_it_collected_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, FOLDER / "trainer_for_3_7.py", tmp_path],
        cwd=GAMES,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    expected = json.loads((FOLDER / "trainer_for_3_7.json").read_text())
    assert json.loads((tmp_path / "collected.json").read_text()) == expected
    # What it does not know: its branches can be scored and exported like any results.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(GAMES)
        from clemcore.cli import score

        score("legacy_clues", results_dir=str(tmp_path / "branching"))
    export_training(tmp_path / "branching", "dpo", tmp_path / "pairs", missing_reward=0.0)
    rows = [json.loads(line) for line in (tmp_path / "pairs" / "train.jsonl").read_text().splitlines()]
    by_trainer = {(json.dumps(pair["prompt"]), pair["chosen"], pair["rejected"]) for pair in expected["pairs"]}
    exported = {
        (json.dumps(row["prompt"]), row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows
    }
    assert by_trainer == exported
