"""A run in shards of which some are missing: every reader names them, and no figure looks complete."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clemcore import cli
from clemcore.clemgame.pages.folder import write_folder
from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.results.comparison import compare
from clemcore.clemgame.results.evaluation import evaluate
from clemcore.clemgame.results.parquet import write_parquet
from clemcore.clemgame.runs.run import play
from clemcore.clemgame.runs.settings import RunSettings
from clemcore.clemgame.store.shards import Shard
from support.clem import Clem, clem
from support.echo_game import write_game

__all__ = ["clem"]
KEYS = [EpisodeKey("echo", "words_0", number) for number in range(6)]
RUN = Path("results/mock")


def play_shards(*shards: str, results: str = "results", layout: str = "classic") -> None:
    for shard in shards:
        gen_args = {"temperature": 0.0, "max_tokens": 10}
        settings = RunSettings(
            games=["echo"], models=["mock"], gen_args=gen_args, shard=shard, results_dir=results, layout=layout
        )
        assert play(settings).status == 0
    cli.score("all", results_dir=results)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["classic", "store"])
def test_a_shard_that_was_never_started_makes_a_run_incomplete(clem: Clem, layout: str) -> None:
    write_game(Path(), instances=6)
    play_shards("1/2", layout=layout)
    lost = sum(Shard(2, 2).has(key) for key in KEYS)
    assert 0 < lost < 6
    shown = clem("eval", "--no-parquet")
    assert shown.returncode == 1
    assert "shard 2/2 was never started, or the file (" in shown.stderr
    assert f"and {lost} of 6 planned episodes are not in the store" in shown.stderr
    assert f"mock, echo: {lost} episodes have no scores ({lost} missing)" in shown.stderr
    assert "incomplete: " in shown.stdout
    for _ in range(2):  # the second one knows the scores
        done = evaluate("results")
        [found] = done.figures["models"].values()
        assert (found["clemscore"], found["is_complete"]) == (None, False)
        assert (found["counts"]["planned"], found["counts"]["missing"]) == (6, lost)
        assert done.table.columns[1] == "-, clemscore (lower bound)"

    page = write_folder([Path("results")], Path("page"))
    assert page.problems == [text for text in page.problems if "shard 2/2 was never started" in text] != []
    start = json.loads(page.path.read_text().partition('id="start">')[2].partition("</script>")[0])
    assert start["results"]["models"]["mock"]["counts"] == found["counts"]
    assert start["results"]["models"]["mock"]["bounds"] == found["bounds"]

    files, problems = write_parquet(Path("results"))
    assert len(problems) == 1
    states = pytest.importorskip("pyarrow.parquet").read_table(files[0])["state"].to_pylist()
    assert sorted(states) == ["planned"] * lost + ["played"] * (6 - lost)

    play_shards("2/2", layout=layout)
    assert clem("eval", "--no-parquet").returncode == 0
    assert evaluate("results").figures["models"]["mock"]["is_complete"]


@pytest.mark.slow
def test_the_file_of_a_shard_is_lost(clem: Clem) -> None:
    write_game(Path(), instances=6)
    for results in ("results", "other"):
        play_shards("1/2", "2/2", results=results, layout="store")
    [lost_file] = RUN.glob("store-2-of-2*")
    content = lost_file.read_bytes()
    lost = sum(Shard(2, 2).has(key) for key in KEYS)
    for damage in (lost_file.unlink, lambda: lost_file.write_bytes(b"")):
        damage()
        compared = compare(["other/mock", "results/mock"], "results")
        assert ["shard 2/2" in problem.text for problem in compared.problems] == [True]
        assert compared.figures["models"][1]["counts"]["missing"] == lost
        assert compared.figures["pairs"][0]["differences"][0]["left_out"] == lost
        assert evaluate("results").figures["models"]["mock"]["counts"]["missing"] == lost
    lost_file.write_bytes(content)
    assert evaluate("results").figures["models"]["mock"]["is_complete"]


def test_classic_files_stand_for_the_file_of_a_shard(clem: Clem) -> None:
    write_game(Path(), instances=6)
    play_shards("1/2", "2/2")
    [lost_file] = RUN.glob("store-2-of-2*")
    lost_file.unlink()
    one = next(
        path for path in sorted(RUN.rglob("scores.json")) if Shard(2, 2).has(KEYS[int(path.parent.name[-5:])])
    )
    one.unlink()
    done = evaluate("results")
    assert done.figures["models"]["mock"]["counts"]["unscored"] == 1
    assert done.figures["models"]["mock"]["counts"]["planned"] == 6
    assert write_folder([Path("results")], Path("page")).episodes == 6


def test_shards_without_episodes_are_not_missing(clem: Clem) -> None:
    write_game(Path(), instances=1)
    play_shards(*(f"{number}/3" for number in range(1, 4) if Shard(number, 3).has(KEYS[0])))
    done = evaluate("results")
    assert (done.problems, done.figures["models"]["mock"]["is_complete"]) == ([], True)
