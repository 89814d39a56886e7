"""``clem serve``: a game for trainers, behind the protocol of OpenEnv."""

from __future__ import annotations

from typing import Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.terminal import note
from clemcore.errors import RunError


def _pairs(_context: click.Context, parameter: click.Parameter, text: str | None) -> dict[str, Any] | None:
    from clemcore.utils.string_utils import read_query_string

    try:
        return read_query_string(text)
    except ValueError as fault:
        raise click.BadParameter(f"{fault}; write NAME=VALUE,NAME=VALUE", param=parameter) from None


@click.command(
    short_help="Serve a game to trainers.",
    epilog=examples(
        "clem serve -g wordle",
        "clem serve -g taboo -e player_1=gpt-4o --gen-args temperature=0,max_tokens=300",
        "clem serve -g taboo -l player_1 -e player_0=mock --time-limit 120 --reward score",
        "CLEMV_TOKEN=… clem serve -g wordle --host 0.0.0.0 --allow-host trainer.example.org",
    ),
)
@click.option("-g", "--game", required=True, help="The game: a name, or a selector as JSON.")
@click.option("-l", "--learner-agent", default="player_0", show_default=True, help="The agent that clients play.")
@click.option("-e", "--env-agents", callback=_pairs, metavar="AGENT=MODEL,…", help="Models of the other agents.")
@click.option("--gen-args", callback=_pairs, metavar="NAME=VALUE,…", help="Generation arguments of these models.")
@click.option(
    "--split",
    type=click.Choice(["train", "validation"]),
    help="Play the instances of a public split (needs the hub); by default all.",
)
@click.option("--single-pass", is_flag=True, help="Each client plays each instance once.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "-r", "--results-dir", default="openenv-records", show_default=True, help="Write episodes into this folder."
)
@click.option("--run-id", help="The folder of this run in it; by default the names of the models, or 'run'.")
@click.option("--reward", help="outcome (default), score, turn_score, response_score or episode_score.")
@click.option("--seed", type=click.IntRange(min=0), help="Gives each client a seed of its own; by default random.")
@click.option("--time-limit", type=click.FloatRange(min=0, min_open=True), help="Most seconds of an episode.")
@click.option(
    "--idle-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Let a client go that says nothing for so many seconds.",
)
@click.option("--max-clients", type=click.IntRange(min=1), default=256, show_default=True, help="Most clients.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A further name of this server in requests.")
@click.option(
    "--no-token", is_flag=True, help="Let every program of this machine connect; only with a local --host."
)
def serve(**options: Any) -> None:
    """Serve a game to trainers, one stream of episodes for each client.

    It prints the address with the token that clients need. Set $CLEMV_TOKEN to choose the token. Ctrl-C ends the
    server and all episodes.
    """
    from clemcore.clemgame.envs.openenv.hosts import is_loopback
    from clemcore.clemgame.envs.openenv.server.running import run_server

    if options["no_token"] and not is_loopback(options["host"]):
        raise RunError("--no-token is for a local --host only: everybody who reaches this server could use it")
    run_server(note, **options)
