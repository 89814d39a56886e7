"""``clem export``: training data, or the classic files, from the results of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clemcore.cli.inputs import examples, options
from clemcore.cli.terminal import note

_training_options = options(
    click.option("games", "-g", "--game", multiple=True, help="Only this game; repeatable."),
    click.option(
        "outcomes",
        "--outcome",
        multiple=True,
        type=click.Choice(["success", "lose", "aborted", "unknown"]),
        help="Only episodes that ended like this; repeatable.",
    ),
    click.option("--min-score", type=float, help="Only episodes whose reward metric is at least this."),
    click.option("--max-score", type=float, help="Only episodes whose reward metric is at most this."),
    click.option(
        "roles", "--role", multiple=True, help="Only this role, or player such as 'Player 1'; repeatable."
    ),
    click.option("models", "-m", "--model", multiple=True, help="Only answers of this model; repeatable."),
    click.option("--reward", help="Metric of an episode that is its score and reward (Main Score)."),
    click.option("--turn-reward", help="rollouts: metric of a round that is the reward of its turns."),
    click.option(
        "--missing-reward",
        metavar="NUMBER|skip",
        help="rollouts, dpo: what an episode without a reward counts as, or skip it. By default it is an error.",
    ),
    click.option("--min-margin", type=click.FloatRange(min=0), help="dpo: least difference of the rewards."),
    click.option("--require-ids", is_flag=True, default=None, help="rollouts: refuse turns without token ids."),
    click.option(
        "--split", type=float, metavar="SHARE", help="Share of the instances for train.jsonl, such as 0.9."
    ),
    click.option("--split-seed", type=int, help="Another seed gives another split (0)."),
    click.option("--canary", metavar="TEXT", help="Put this text into each row and into the card."),
    click.option("--force", is_flag=True, default=None, help="Replace files that exist."),
)
_OF_FILTERS = ("games", "outcomes", "min_score", "max_score", "roles", "models")
_ONLY: dict[str, tuple[str, ...]] = {
    "turn_reward": ("rollouts",),
    "require_ids": ("rollouts",),
    "min_margin": ("dpo",),
}
_ONLY |= {"missing_reward": ("rollouts", "dpo"), "requests": ("classic",)}


@click.command(
    epilog=examples(
        "clem export results/mock --to sft -o data --outcome success --split 0.9",
        "clem export results/mock --to rollouts -o data",
        "clem export results/mock --to dpo -o data --missing-reward 0",
        "clem export results/mock --to classic              into the run itself",
        "clem export results --to classic -o classic        all runs, into another folder",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to", "kind", type=click.Choice(["sft", "dpo", "rollouts", "classic"]), required=True, help="What to write."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write to; for classic by default the run itself.",
)
@click.option(
    "--requests",
    type=click.Choice(["players", "single", "both"]),
    help="classic: calls in one file per player, in a single requests.json, or in both (players).",
)
@_training_options
def export(run: Path, kind: str, output: Path | None, **given: Any) -> None:
    """Write the episodes of RUN as training data, or in the classic layout.

    RUN is the folder of a run, or a folder that holds some. sft writes a conversation for each player; rollouts
    writes the token ids of each turn; dpo writes preference pairs from epochs. Each writes train.jsonl, a card
    (README.md) and, with --split, test.jsonl. classic writes the files of clemcore 3.7.2.
    """
    stated = {name: value for name, value in given.items() if value not in (None, ())}
    _refuse_others(kind, stated)
    if kind == "classic":
        _export_classic(run, output, **stated)
        return
    if output is None:
        raise click.UsageError("training data needs -o FOLDER")
    from clemcore.clemgame.training import Filters, export_training

    if "missing_reward" in stated:
        stated["missing_reward"] = _missing(stated["missing_reward"])
    filters = Filters(**{name: stated.pop(name) for name in _OF_FILTERS if name in stated})
    exported = export_training(run, kind, output, filters=filters, **stated)
    for file in exported.files:
        click.echo(file)
    note(", ".join(f"{count} rows in {name}" for name, count in exported.rows.items()))
    for line in exported.notes:
        note(line)


def _refuse_others(kind: str, stated: dict[str, Any]) -> None:
    for name in stated:
        kinds = _ONLY.get(name, ("sft", "dpo", "rollouts"))
        if kind not in kinds:
            option = {"games": "game", "outcomes": "outcome", "roles": "role", "models": "model"}.get(name, name)
            raise click.UsageError(
                f"--{option.replace('_', '-')} goes with --to {' or '.join(kinds)}, not with {kind}"
            )


def _missing(value: str) -> float | str:
    if value == "skip":
        return value
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number - number != 0:
        raise click.UsageError(f"--missing-reward is a finite number or 'skip', not {value!r}")
    return number


def _export_classic(run: Path, output: Path | None, requests: str = "players") -> None:
    from clemcore.clemgame.exporting import export_classic

    exported = export_classic(run, to=output, requests=requests)
    for folder in exported.folders:
        click.echo(folder)
    rest = f"; {exported.left_out} did not end and have no files" if exported.left_out else ""
    note(f"{exported.episodes} episodes written{rest}")
