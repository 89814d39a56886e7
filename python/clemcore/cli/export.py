"""``clem export``: training data, tables, or the classic files, from the results of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clemcore.cli.inputs import examples, note_set_aside, options
from clemcore.cli.terminal import note, show_some
from clemcore.secrets import scrub

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
_TRAINING = ("sft", "dpo", "rollouts")
_TABLES = ("jsonl", "parquet")
_ONLY |= {"missing_reward": ("rollouts", "dpo"), "requests": ("classic",), "force": (*_TRAINING, *_TABLES)}


@click.command(
    epilog=examples(
        "clem export results/mock --to sft -o data --outcome success --split 0.9",
        "clem export results/mock --to rollouts -o data",
        "clem export results/mock --to dpo -o data --missing-reward 0",
        "clem export results --to parquet -o tables         rows of all episodes and calls",
        "clem export results/mock --to classic              into the run itself",
        "clem export results --to classic -o classic        all runs, into another folder",
    )
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "kind",
    type=click.Choice(["sft", "dpo", "rollouts", "jsonl", "parquet", "classic"]),
    required=True,
    help="What to write.",
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
def export(run: Path, kind: str, output: Path | None, **given: Any) -> int:
    """Write the episodes of RUN as training data, as tables, or in the classic layout.

    RUN is the folder of a run, or a folder that holds some. sft writes a conversation for each player; rollouts
    writes the token ids of each turn; dpo writes preference pairs from epochs or branches. Each writes
    train.jsonl, a card (README.md) and, with --split, test.jsonl. jsonl and parquet write a row for each episode
    and each call. classic writes the files of clemcore 3.7.2.
    """
    stated = {name: value for name, value in given.items() if value not in (None, ())}
    _refuse_others(kind, stated)
    note_set_aside(run)
    if kind == "classic":
        _export_classic(run, output, **stated)
        return 0
    if output is None:
        raise click.UsageError(f"--to {kind} needs -o FOLDER")
    if kind in _TABLES:
        return _export_tables(run, kind, output, **stated)
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
    return 0


def _refuse_others(kind: str, stated: dict[str, Any]) -> None:
    for name in stated:
        kinds = _ONLY.get(name, _TRAINING)
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


def _export_tables(run: Path, kind: str, output: Path, force: bool = False) -> int:
    from clemcore.clemgame.layout.runs import find_runs
    from clemcore.clemgame.results.parquet import is_available, write_jsonl, write_parquet
    from clemcore.errors import RunError, StoreError

    if kind == "parquet" and not is_available():
        raise RunError("--to parquet needs pyarrow: pip install 'clemcore[results]'")
    find_runs(run)  # a run that is not there is said first
    there = [output / f"{name}.{kind}" for name in ("episodes", "calls") if (output / f"{name}.{kind}").exists()]
    if there and not force:
        names = ", ".join(map(str, there))
        raise StoreError(f"{names} exists already. Choose another folder, or replace with --force")
    output.mkdir(parents=True, exist_ok=True)
    files, unreadable = write_jsonl(run, output) if kind == "jsonl" else write_parquet(run, output)
    for file in files:
        click.echo(file)
    show_some([f"clem: {folder} cannot be read and is left out: {scrub(why)}" for folder, why in unreadable])
    return 1 if unreadable else 0


def _export_classic(run: Path, output: Path | None, requests: str = "players") -> None:
    from clemcore.clemgame.layout.exporting import export_classic

    exported = export_classic(run, to=output, requests=requests)
    for folder in exported.folders:
        click.echo(folder)
    rest = f"; {exported.left_out} did not end and have no files" if exported.left_out else ""
    note(f"{exported.episodes} episodes written{rest}")
