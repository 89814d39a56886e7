"""``clem compare``: which differences between models are more than chance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from clemcore.cli.figures import ends_of, note_cautions
from clemcore.cli.game_choice import game_names
from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note, out, progress, show_some, table
from clemcore.secrets import scrub

_PAIRS = (
    "first", "second", "game", "instances", "left out", "difference", "95 % interval", "p", "p (Holm)",
    "first / second succeeds more often", "p (McNemar, Holm)",
)  # fmt: skip
_MODELS = ("model", "rank", "planned", "played", "aborted", "lost", "limit", "error", "missing", "unscored")


@click.command(
    short_help="Compare models on the instances that they share.",
    epilog=examples(
        "clem compare gpt-4o claude-sonnet-4",
        "clem compare results/a results/b -g taboo",
        "clem compare old/mock new/mock --across    also if code or instances differ, which is listed",
        "clem compare A B C --json",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="A B [...]")
@click.option(
    "results_dir", "-r", "--results-dir", "--results_dir", type=click.Path(path_type=Path), default=Path("results"),
    show_default=True,
    help="The folder of the results in which models are looked up.",
)  # fmt: skip
@click.option(
    "-g",
    "--game",
    "games",
    multiple=True,
    metavar="GAME",
    help="Compare only this game, or those of a selector (repeatable).",
)
@click.option("--across", is_flag=True, help="Compare runs of different code, instances, templates or arguments.")
@click.option("--json", "as_json", is_flag=True, help="Write all figures as JSON.")
def compare(
    *, names: tuple[str, ...], results_dir: Path, games: tuple[str, ...], across: bool, as_json: bool
) -> int:
    """Compare models, or runs, on the instances that both of a pair played.

    A and B are names of line-ups in the results, or folders of runs. Each pair gets the mean difference of main
    scores (0 for an aborted episode), its interval and p-values, which are corrected for all pairs. Exit status 1:
    some files of scores do not count.
    """
    from clemcore.clemgame.repeats import without_repeats
    from clemcore.clemgame.results.comparison import compare as compare_runs

    with progress(f"comparing {', '.join(names)}"):
        done = compare_runs(names, results_dir, games=game_names(games), across=across)
    show_some(without_repeats(f"clem: {problem.place} {scrub(problem.text)}" for problem in done.problems))
    show_some([f"clem: differs: {scrub(line)}" for line in done.across])
    if as_json:
        out(json.dumps({**done.figures, "across": done.across}, indent=2, ensure_ascii=False))
    else:
        table(_PAIRS, [row for pair in done.figures["pairs"] for row in _rows(pair)])
        out("")
        table(_MODELS, [_of_model(model) for model in done.figures["models"]])
        note("difference: main score of the first minus that of the second, 0 for an aborted episode")
        found = [each for pair in done.figures["pairs"] for each in pair["differences"]]
        note_cautions(each["interval"] for each in found)
        if any(each["level"] > done.figures["statistics"]["level"] for each in found):
            note("--until looked at some games several times: their intervals are wider, and their p-values larger")
        note("rank: the places that a model may have, if differences with a corrected p below 0.05 are certain")
    return 1 if done.problems else 0


def _rows(pair: dict[str, Any]) -> list[list[str]]:
    first, second = pair["first"], pair["second"]
    if not pair["differences"]:
        return [[first, second, "none in common", "0", *([""] * 7)]]
    return [[first, second, *_cells(found)] for found in pair["differences"]]


def _cells(found: dict[str, Any]) -> list[str]:
    interval, success = found["interval"], found["success"]
    return [
        found["game"] or "all games",
        str(found["instances"]),
        str(found["left_out"]),
        "not a number" if found["difference"] is None else f"{found['difference']:+.2f}",
        ends_of(interval, "+"),
        _p(found["p"]),
        _p(found["p_holm"]),
        f"{success['first_better']} / {success['second_better']}",
        _p(success["p_holm"]),
    ]


def _p(value: float | None) -> str:
    if value is None:  # the difference is not a number
        return ""
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"  # noqa: PLR2004 - as many decimals are shown


def _of_model(model: dict[str, Any]) -> list[str]:
    best, worst = model["rank"]["best"], model["rank"]["worst"]
    rank = str(best) if best == worst else f"{best} to {worst}"
    return [model["name"], rank, *(str(model["counts"][name]) for name in _MODELS[2:])]
