"""The functions of 3.7.2's ``clemcore.clemeval``, for programs. The command is ``clem eval``.

Functions that take or return a DataFrame need pandas (``pip install 'clemcore[games]'``).
"""

from __future__ import annotations

import importlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from clemcore.clemgame.metrics import BENCH_SCORE, METRIC_PLAYED
from clemcore.clemgame.results.evaluation import TABLE as TABLE_NAME
from clemcore.clemgame.results.evaluation import PlayedScoreError, evaluate

if TYPE_CHECKING:
    from clemcore._core import ResultsTable

# pandas.DataFrame; pandas has no types of its own.
DataFrame: TypeAlias = Any

__all__ = [
    "MAIN_METRICS",
    "TABLE_NAME",
    "PlayedScoreError",
    "build_df_episode_scores",
    "load_json",
    "load_scores",
    "name_as_tuple",
    "parse_directory_name",
    "perform_evaluation",
    "save_clem_table",
]

_logger = logging.getLogger(__name__)
MAIN_METRICS = [METRIC_PLAYED, BENCH_SCORE]
_COLUMNS = ["game", "model", "experiment", "episode", "metric", "value"]


def perform_evaluation(  # noqa: PLR0917 - 3.7.2's parameters
    results_path: str | Path,
    return_dataframe: bool = False,
    show_std: bool = False,
    sort_by: str = "model_name",
    model_selector: str | None = None,
    game_selector: str | None = None,
) -> DataFrame | None:
    """Write ``raw.csv``, ``results.csv``, ``results.html`` and ``results.json`` into a folder of results.

    As in 3.7.2, episodes without scores do not count.

    Args:
        results_path: the folder.
        return_dataframe: return the table; needs pandas.
        show_std: add columns with the standard deviation of the main score.
        sort_by: ``"model_name"``, or ``"clemscore"``: the best first.
        model_selector: bring ``raw.csv`` up to date for line-ups with this text in their name.
        game_selector: bring ``raw.csv`` up to date for this game.

    Raises:
        PlayedScoreError: a game computes the metric "Played" itself.
        RunError: there is nothing to evaluate.
    """
    done = evaluate(
        results_path,
        model=model_selector,
        game=game_selector,
        deviation=show_std,
        by_clemscore=sort_by == "clemscore",
        ignore_missing=True,
    )
    if done.unknown:
        _logger.warning(
            "%d episodes have no scores and do not count, which can raise a clemscore; 'clem eval' shows bounds",
            sum(counts.total() for counts in done.unknown.values()),
        )
    for problem in done.problems:
        if problem.is_played:
            raise PlayedScoreError(f"{problem.place} {problem.text}")
    return _frame(done.table) if return_dataframe else None


def save_clem_table(
    df: DataFrame, path: str | Path, show_std: bool = False, sort_by: str = "model_name"
) -> DataFrame:
    """Write ``results.csv`` and ``results.html`` from the rows of ``raw.csv``, and return the table.

    Args:
        df: the rows, with the columns of ``raw.csv``; those of "Played" included.
        path: the folder to write to.
        show_std: add columns with the standard deviation of the main score.
        sort_by: ``"model_name"``, or ``"clemscore"``: the best first.
    """
    from clemcore._core import Evaluation

    pd = _pandas()
    df = df[df["metric"].isin(MAIN_METRICS)]
    evaluation = Evaluation()
    names = zip(*(df[name].astype(str) for name in _COLUMNS[:4]), strict=True)
    values = pd.to_numeric(df["value"]).astype(float)
    evaluation.add_rows(list(zip(names, df["metric"], values, strict=True)))
    table = evaluation.table(deviation=show_std, by_clemscore=sort_by == "clemscore")
    Path(path, f"{TABLE_NAME}.csv").write_text(table.csv(), encoding="utf-8")
    Path(path, f"{TABLE_NAME}.html").write_text(table.html(), encoding="utf-8")
    return _frame(table)


def load_scores(
    path: str | Path, model_selector: str | None = None, game_selector: str | None = None
) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """Return the episode scores of all episodes below a folder.

    Args:
        path: the folder.
        model_selector: read only line-ups with this text in their name.
        game_selector: read only this game.

    Returns:
        By game, line-up, experiment and episode: a dict whose ``"episodes"`` are the scores by metric.

    Raises:
        ValueError, KeyError: a file is not one of scores.
    """
    from clemcore.clemgame.results.score_files import find_scores

    found: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for scores in find_scores(path):
        is_wanted = model_selector is None or model_selector in scores.names.model
        if is_wanted and game_selector in (None, scores.names.game) and scores.names not in found:
            game, model, experiment, episode = scores.names
            found[game, model, experiment, episode] = {"episodes": json.loads(scores.read())["episode scores"]}
    return found


def build_df_episode_scores(scores: dict[tuple[str, str, str, str], dict[str, Any]]) -> DataFrame:
    """Return what :func:`load_scores` gives as a DataFrame: a row for each metric of each episode."""
    rows = [[*names, metric, value] for names, data in scores.items() for metric, value in data["episodes"].items()]
    return _pandas().DataFrame(rows, columns=_COLUMNS)


def name_as_tuple(name: dict[str, str]) -> tuple[str, str, str, str]:
    """Return the names of an episode as a tuple."""
    return name["game"], name["model"], name["experiment"], name["episode"]


def load_json(path: str | Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def parse_directory_name(name: Path) -> dict[str, str]:
    """Return the names of an episode from the path of its file of scores."""
    model, game, experiment, episode, _ = Path(name).parts[-5:]
    return {"game": game, "model": model, "experiment": experiment, "episode": episode}


def _frame(table: ResultsTable) -> DataFrame:
    return _pandas().DataFrame(table.cells, index=table.models, columns=table.columns, dtype=float)


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as fault:
        raise ImportError(
            "a DataFrame needs the package 'pandas', which is not installed: pip install 'clemcore[games]'",
            name="pandas",
        ) from fault
