"""``clem run``: plays games with models, and continues what was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.greedy import GreedyCommand
from clemcore.cli.inputs import examples, options, put, typed_value
from clemcore.cli.terminal import note

if TYPE_CHECKING:
    from clemcore.clemgame.runs.settings import RunSettings

REFUSED = 2
FILE_SUFFIXES = (".toml", ".yaml", ".yml")
_GREEDY = {
    **dict.fromkeys(("-g", "--game", "--games", "-m", "--model", "--models"), False),
    **dict.fromkeys(("-e", "--experiment", "--experiment-name"), False),
    "--retry-errors": True,
}

_CONTEXT_HELP = "What players remember: their episode, or all episodes of its experiment."
_STEP_HELP = "Longest time in a game's code without a call (300)."
_UNTIL_HELP = "Stop a game when the 95 % interval of its clemscore is so narrow."
_RETRY_HELP = "Play failed episodes again: all, or those with these errors."
_RAY_HELP = "Play the shards of --jobs as tasks of a Ray cluster: this machine's, or that at ADDRESS."
_CHANGES_HELP = "Continue although something that determines results has changed."


_what = options(
    click.option("games", "-g", "--game", "--games", multiple=True, metavar="GAME …", help="The games to play."),
    click.option(
        "models", "-m", "--model", "--models", multiple=True, metavar="MODEL …", help="A model for each role."
    ),
    click.option("--pairs", metavar="self|all|given", help="Each model alone, all pairs, or listed line-ups."),
    click.option(
        "experiment",
        "-e",
        "--experiment",
        "--experiment-name",
        multiple=True,
        metavar="NAME …",
        help="Only these experiments.",
    ),
    click.option(
        "instances", "-i", "--instances", "--instances-filename", metavar="NAME", help="The instance file to play."
    ),
    click.option("results_dir", "-r", "--results-dir", metavar="FOLDER", help="The folder of all runs (results)."),
    click.option("--epochs", type=int, metavar="K", help="Play each instance K times (1)."),
)
_answers = options(
    click.option("temperature", "-t", "--temperature", type=float, help="Sampling temperature (0.0)."),
    click.option("max_tokens", "-l", "--max-tokens", type=int, help="Most tokens of an answer (300)."),
    click.option("gen_arg", "--gen-arg", multiple=True, metavar="NAME=JSON", help="Another generation argument."),
    click.option("--seed", type=int, help="The seed of all random numbers (0)."),
    click.option("--rng", metavar="episode|process", help="Random numbers per episode, or one stream as in 3.7.2."),
    click.option("--keep-context", metavar="episode|experiment", help=_CONTEXT_HELP),
)
_speed = options(
    click.option("--concurrency", type=int, metavar="N", help="Most episodes at once (what the models can take)."),
    click.option("batch_size", "-b", "--batch-size", type=int, metavar="N", help="Largest batch of a local model."),
    click.option("--layout", metavar="classic|store", help="Write 3.7.2's files, or only the store (classic)."),
)
_parts = options(
    click.option("--shard", metavar="I/N", help="Play only this part of the run, into a file of its own."),
    click.option("--jobs", type=int, metavar="N", help="Play N shards here, each in a process of its own."),
    click.option("ray", "--ray", is_flag=False, flag_value="auto", metavar="[ADDRESS]", help=_RAY_HELP),
)
_limits = options(
    click.option("--budget", type=float, metavar="USD", help="Spend no more, earlier commands included."),
    click.option(
        "--budget-per-model",
        multiple=True,
        metavar="USD|MODEL=USD",
        help="The same for each model, or for one; repeatable.",
    ),
    click.option("--max-calls", type=int, metavar="N", help="Most calls of an episode (500)."),
    click.option("--episode-timeout", type=float, metavar="SECONDS", help="Longest time of an episode."),
    click.option("--step-timeout", type=float, metavar="SECONDS", help=_STEP_HELP),
)
_again = options(
    click.option("--until", type=float, metavar="WIDTH", help=_UNTIL_HELP),
    click.option("--retry-errors", multiple=True, metavar="[KIND …]", help=_RETRY_HELP),
    click.option("--accept-changes", is_flag=True, help=_CHANGES_HELP),
    click.option("--fresh", is_flag=True, help="Move an existing run aside and begin anew."),
    click.option("--dry-run", is_flag=True, help="Show the plan and play nothing."),
    click.option("--pilot", type=int, metavar="N", help="With --dry-run: first play N episodes of each game."),
)


@click.command(
    cls=GreedyCommand,
    greedy=_GREEDY,
    file_suffixes=FILE_SUFFIXES,
    short_help="Play games with models; continue what was interrupted.",
    epilog=examples(
        "clem run -g taboo -m mock",
        "clem run -g taboo wordle -m MODEL_A MODEL_B -t 0.7 -r results",
        "clem run -g taboo -m A B C --pairs all --budget 5",
        "clem run -g taboo -m MODEL --dry-run --pilot 3",
        "clem run run.toml --epochs 3",
        "clem run run.toml --jobs 4                  four processes play one run",
        "clem run run.toml --shard 2/8               its second of eight parts, wherever this runs",
        "clem run -g taboo -m MODEL --retry-errors RateLimitError",
    ),
)
@click.argument("run_file", required=False, metavar="[RUN.toml]")
@_what
@_answers
@_speed
@_parts
@_limits
@_again
@click.pass_context
def run(ctx: click.Context, /, *, run_file: str | None, **flags: Any) -> int:
    """Play games with models.

    Every planned episode that is not completed is played. If a run is interrupted, enter the same command again: no
    call that was answered is sent again. RUN.toml holds the same settings as the options, which take precedence.

    Exit status: 0 all played, 1 some ended by an error or a limit, 2 refused, 3 stopped by the budget, 130
    interrupted.
    """
    from clemcore.errors import ClemcoreError

    try:
        address = flags.pop("ray")
        settings = _settings(run_file, flags)
        from clemcore.clemgame.runs.preparing import wanted_hash_seed
        from clemcore.clemgame.runs.run import play
        from clemcore.cli.restart import restart_with_hash_seed
        from clemcore.cli.voice import TerminalVoice

        restart_with_hash_seed(ctx, wanted_hash_seed(settings))
        if address is not None:
            from clemcore.cli.ray_jobs import play_on_ray

            return play_on_ray(settings, address, wanted_hash_seed(settings))
        if settings.jobs is not None and settings.shard is None:
            from clemcore.cli.jobs import play_jobs

            return play_jobs(settings, ctx.obj)
        return play(settings, TerminalVoice()).status
    except ClemcoreError as fault:
        from clemcore.secrets import scrub

        note(f"clem: {scrub(str(fault)).rstrip()}")
        return REFUSED


def _settings(run_file: str | None, flags: dict[str, Any]) -> RunSettings:
    from clemcore.clemgame.runs.settings import RunSettings
    from clemcore.errors import RunError

    settings = RunSettings()
    if run_file is not None:
        from pathlib import Path

        from clemcore.clemgame.runs.runfile import SUFFIXES, read_run_file

        if not run_file.endswith(SUFFIXES) and not Path(run_file).exists():
            several = ", ".join(name for name in _GREEDY if not name.startswith("--"))
            raise RunError(
                f"'{run_file}' belongs to no option and is not a run file (*.toml, *.yaml): of the options, only "
                f"{several} and --retry-errors take several values"
            )
        settings = settings.updated(read_run_file(run_file))
        settings.source = run_file
    _choose_parts(settings, flags)
    given = {
        name: value for name, value in flags.items() if value is not None and value is not False and value != ()
    }
    if "models" in given:
        given["models"] = [_selector(text) for text in given["models"]]
        settings.line_ups = []
    for name in ("games", "experiment"):
        if name in given:
            given[name] = list(given[name])
    if "retry_errors" in given:
        kinds = [kind for kind in given["retry_errors"] if kind]
        given["retry_errors"] = kinds or True
    if "gen_arg" in given:
        given["gen_args"] = {**settings.gen_args, **_pairs(given.pop("gen_arg"), "--gen-arg")}
    if "budget_per_model" in given:
        given["budget_per_model"] = _amounts(given["budget_per_model"])
    return settings.updated(given)


def _choose_parts(settings: RunSettings, flags: dict[str, Any]) -> None:
    """Let a part that is typed take precedence over the parts of a run file.

    Raises:
        RunError: one part and all parts are asked for in the same place.
    """
    from clemcore.clemgame.store.shards import Shard
    from clemcore.errors import RunError

    shard, jobs = flags["shard"], flags["jobs"]
    one_or_all = "--shard plays one part of the run, and --jobs plays all of them: leave out one of the two"
    if shard is not None and jobs is not None:
        raise RunError(one_or_all)
    if shard is None and jobs is None and settings.shard is not None and settings.jobs is not None:
        raise RunError(f"{settings.source}: {one_or_all}")
    if jobs is not None:
        settings.shard = None
    elif shard is not None and settings.jobs == Shard.parse(shard).count:
        settings.jobs = None


def _selector(text: str) -> Any:
    """Return a model's name, or a selector that was written as JSON."""
    if not text.lstrip().startswith("{"):
        return text
    from clemcore.registry.spec import ModelSpec

    return dict(ModelSpec.from_string(text))


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"'{text}' is not NAME=JSON", param_hint=option)
        put(found, [name.strip()], typed_value(value, name, option), name, option)
    return found


def _amounts(texts: tuple[str, ...]) -> Any:
    """Return one amount for each model, or amounts by the models' names."""
    amounts: dict[str, Any] = {}
    for text in texts:
        name, _, usd = text.rpartition("=")
        try:
            amount = float(usd)
        except ValueError:
            raise click.BadParameter(
                f"'{text}' is neither an amount nor MODEL=USD", param_hint="--budget-per-model"
            ) from None
        if not name and len(texts) == 1:
            return amount
        put(amounts, [name], amount, name or "every model", "--budget-per-model")
    return amounts
