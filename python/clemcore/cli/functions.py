"""The functions of ``clemcore.cli`` that other packages call, with 3.7.2's parameters.

Each does what the command of its name does; ``clemcore.cli`` hands them out when they are asked for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clemcore.clemgame.registry import Selector as GameSelector
    from clemcore.registry.resolution import ModelSelector


def run(
    game_selectors: GameSelector | list[GameSelector],
    model_selectors: Sequence[ModelSelector],
    *,
    gen_args: Mapping[str, Any],
    experiment_name: str | None = None,
    instances_filename: str | None = None,
    results_dir_path: Path | str | None = None,
    instances_filter: Callable[[dict[str, Any]], bool] | None = None,
    batch_size: int | None = None,
) -> None:
    """Play games with models, and continue what is there already, as ``clem run`` does.

    Args:
        game_selectors: one game or several: names, dicts or specifications.
        model_selectors: the models in the order of their roles.
        gen_args: generation arguments of all models.
        experiment_name: play only this experiment.
        instances_filename: the instance file to play.
        results_dir_path: the folder of all runs; by default ``results``.
        instances_filter: play only the instances whose row, a dict with ``experiment`` and ``game_instance``,
            passes this condition.
        batch_size: largest batch of a local model; by default the engine chooses.

    Raises:
        ClemcoreError: the run was refused; nothing was sent.
        SystemExit: a game could not be played, or the run was stopped. Episodes that end by an error do not count.
    """
    from clemcore.clemgame.runs.run import play
    from clemcore.clemgame.runs.settings import RunSettings
    from clemcore.cli.voice import TerminalVoice

    settings = RunSettings(
        games=list(game_selectors) if isinstance(game_selectors, (list, tuple)) else [game_selectors],
        models=list(model_selectors),
        gen_args=dict(gen_args),
        experiment=experiment_name,
        instances=instances_filename,
        results_dir=str(results_dir_path or "results"),
        batch_size=batch_size,
    )
    result = play(settings, TerminalVoice(), instances_filter=instances_filter)
    if result.has_problem or any(summary.stopped_by is not None for _, summary in result.runs):
        sys.exit(result.status)


def score(
    game_selector: GameSelector, results_dir: str | Path | None = None, model_selector: str | None = None
) -> None:
    """Score episodes, as ``clem score`` does.

    Args:
        game_selector: the games: a name, ``"all"``, a dict or a specification.
        results_dir: the folder of the results; by default ``results``.
        model_selector: score only results with this text in their path.

    Raises:
        SystemExit: some episodes could not be scored.
    """
    from clemcore.cli.scores import score_all

    status = score_all(
        Path(results_dir or "results"), [game_selector], [] if model_selector is None else [model_selector]
    )
    if status:
        sys.exit(status)


def transcripts(game_selector: GameSelector, results_dir: str | Path | None = None) -> None:
    """Write the transcripts of episodes, as ``clem transcribe`` does.

    Args:
        game_selector: the games: a name, ``"all"``, a dict or a specification.
        results_dir: the folder of the results; by default ``results``.

    Raises:
        SystemExit: some episodes could not be transcribed.
    """
    from clemcore.cli.transcribe import transcribe_all

    status = transcribe_all(Path(results_dir or "results"), game_selector)
    if status:
        sys.exit(status)


def serve(  # noqa: PLR0917 - 3.7.2's parameters
    game: str,
    learner_agent: str,
    env_agents: dict[str, str] | None = None,
    gen_args: dict[str, Any] | None = None,
    split: str | None = None,
    single_pass: bool = False,
    host: str = "127.0.0.1",
    port: int = 5000,
    results_dir: str | None = None,
    run_id: str | None = None,
) -> None:
    """Serve a game to trainers until the process is interrupted, as ``clem serve`` does.

    Args:
        game: the game.
        learner_agent: the agent that clients play.
        env_agents: the names of the models of the other agents.
        gen_args: their generation arguments.
        split: "train" or "validation"; by default all instances.
        single_pass: whether each client plays each instance once.
        host: the address to listen at; 3.7.2 listened at all addresses.
        port: the port.
        results_dir: the folder for records of episodes.
        run_id: the name of the run in it.
    """
    from clemcore.clemgame.envs.openenv.server.running import run_server
    from clemcore.cli.terminal import note

    run_server(
        note,
        game=game,
        learner_agent=learner_agent,
        env_agents=env_agents,
        gen_args=gen_args,
        split=split,
        single_pass=single_pass,
        host=host,
        port=port,
        results_dir=results_dir,
        run_id=run_id,
    )


def list_games(game_selector: GameSelector = "all", verbose: bool = False) -> None:
    """List games, as ``clem list games`` does."""
    from clemcore.cli.listing import list_

    if not isinstance(game_selector, str):
        game_selector = json.dumps(dict(getattr(game_selector, "__dict__", game_selector)))
    _call(list_, ["games", "--selector", game_selector], verbose)


def list_models(verbose: bool = False) -> None:
    """List models, as ``clem list models`` does."""
    from clemcore.cli.listing import list_

    _call(list_, ["models"], verbose)


def list_backends(verbose: bool = False) -> None:
    """List backends, as ``clem list backends`` does."""
    from clemcore.cli.listing import list_

    _call(list_, ["backends"], verbose)


def list_keys() -> None:
    """List keys, as ``clem list keys`` does."""
    from clemcore.cli.listing import list_

    _call(list_, ["keys"], verbose=False)


def _call(command: Any, arguments: list[str], verbose: bool) -> None:
    command.main([*arguments, *(["-v"] if verbose else [])], standalone_mode=False)
