"""The tables of scores equal those that pandas computes, byte by byte, whatever the scores are."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from clemcore.clemgame.results.evaluation import evaluate

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.slow

Scores = dict[str, float]
GAMES = ["taboo", "adventuregame", "wordle, long", "b&<i>"]
MODELS = ["gpt", "a--b", 'say "a"', "<script>alert(1)</script>"]


def write(results: Path, model: str, game: str, episode: int, scores: Scores) -> None:
    folder = results / model / game / "high" / f"instance_{episode:05d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scores.json").write_text(
        json.dumps({"meta": {}, "episode scores": scores, "turn scores": {"0": {}}})
    )


def random_results(results: Path, seed: int) -> None:
    chance = random.Random(seed)
    kinds = (
        lambda: chance.choice([0, 50, 100]),
        lambda: chance.uniform(0, 100),
        lambda: round(chance.uniform(0, 1), 3) * 100,
        lambda: math.nan,
    )
    for model in MODELS:
        for game in chance.sample(GAMES, chance.randint(1, len(GAMES))):
            kind = chance.choice(kinds)
            for episode in range(chance.randint(1, 7)):
                aborted = chance.random() < 0.3
                score = math.nan if aborted else kind()
                write(results, model, game, episode, {"Aborted": int(aborted), "Main Score": score, "Turns": 3})


def in_order_of_folders(results: Path) -> list[list[Any]]:
    rows = []
    for path in results.rglob("scores.json"):
        model, game, experiment, episode = path.parts[-5:-1]
        for metric, value in json.loads(path.read_bytes())["episode scores"].items():
            rows.append([game, model, experiment, episode, metric, value])
    return rows


def oracle(results: Path, *, deviation: bool, by_clemscore: bool) -> dict[str, str]:
    """Compute the three files with pandas, from the definition of the table."""
    names = ["game", "model", "experiment", "episode", "metric", "value"]
    raw = pd.DataFrame(in_order_of_folders(results), columns=names)
    played = raw[raw["metric"] == "Aborted"].assign(metric="Played", value=lambda rows: 1 - rows["value"])
    raw = pd.concat([raw, played], ignore_index=True)

    def per_game(metric: str) -> Any:
        return raw[raw["metric"] == metric].groupby(["model", "game"])["value"]

    parts = {
        "% Played": (per_game("Played").mean() * 100).round(2),
        "Quality Score": per_game("Main Score").mean().round(2),
    }
    table = {
        ("all", "Average % Played"): parts["% Played"].groupby("model").mean().round(2),
        ("all", "Average Quality Score"): parts["Quality Score"].groupby("model").mean().round(2),
    }
    if deviation:
        parts["Quality Score (std)"] = per_game("Main Score").std().round(2)
    for part, values in parts.items():
        for game in values.index.unique("game"):
            table[game, part] = values.xs(game, level="game")
    frame = pd.DataFrame({", ".join(name): table[name] for name in sorted(table)}).sort_index()
    clemscore = (frame["all, Average % Played"] / 100 * frame["all, Average Quality Score"]).round(2)
    frame.insert(0, "-, clemscore", clemscore)
    frame.index.name = None
    if by_clemscore:
        frame = frame.sort_values("-, clemscore", ascending=False, kind="stable")
    return {"raw.csv": raw.to_csv(), "results.csv": frame.to_csv(), "results.html": frame.to_html()}


@pytest.mark.parametrize("seed", range(12))
def test_files_equal_those_of_pandas(tmp_path: Path, seed: int) -> None:
    random_results(tmp_path, seed)
    deviation, by_clemscore = seed % 2 == 1, seed % 3 == 1
    wanted = oracle(tmp_path, deviation=deviation, by_clemscore=by_clemscore)
    evaluate(tmp_path, deviation=deviation, by_clemscore=by_clemscore)
    for name, text in wanted.items():
        assert (tmp_path / name).read_bytes().decode() == text, name


def test_a_selection_brings_the_files_up_to_date(tmp_path: Path) -> None:
    random_results(tmp_path, 1)
    evaluate(tmp_path)
    write(tmp_path, "gpt", "taboo", 0, {"Aborted": 0, "Main Score": 12.5})
    write(tmp_path, "new", "taboo", 0, {"Aborted": 0, "Main Score": 1 / 3})
    for model in ("gpt", "new"):
        evaluate(tmp_path, model=model, game="taboo")
    updated = (tmp_path / "results.csv").read_text()
    rows = sorted(line.partition(",")[2] for line in (tmp_path / "raw.csv").read_text().splitlines())
    evaluate(tmp_path)
    assert (tmp_path / "results.csv").read_text() == updated
    assert sorted(line.partition(",")[2] for line in (tmp_path / "raw.csv").read_text().splitlines()) == rows


def test_functions_of_3_7_2_give_and_take_frames(tmp_path: Path) -> None:
    from clemcore.cli import clemeval

    random_results(tmp_path, 2)
    returned: Any = clemeval.perform_evaluation(tmp_path, return_dataframe=True, show_std=True, sort_by="clemscore")
    text = (tmp_path / "results.csv").read_text()
    assert returned.to_csv() == text
    rows = pd.read_csv(tmp_path / "raw.csv", index_col=0)
    other = tmp_path / "other"
    other.mkdir()
    saved = clemeval.save_clem_table(rows, other, show_std=True, sort_by="clemscore")
    assert saved.to_csv() == (other / "results.csv").read_text() == text
    assert clemeval.perform_evaluation(tmp_path) is None

    scores = clemeval.load_scores(tmp_path, model_selector="gpt")
    assert {names[1] for names in scores} == {"gpt"}
    built = clemeval.build_df_episode_scores(scores)
    assert list(built.columns) == ["game", "model", "experiment", "episode", "metric", "value"]
    assert len(built) == sum(len(each["episodes"]) for each in scores.values())
    named = clemeval.parse_directory_name(Path("r/mock/taboo/high/instance_00000/scores.json"))
    assert clemeval.name_as_tuple(named) == ("taboo", "mock", "high", "instance_00000")
