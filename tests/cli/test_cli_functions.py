"""The functions of `clemcore.cli` that other packages call, and options in the forms of 3.7.2."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import click
import pytest

from clemcore import cli
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.cli.greedy import GreedyCommand
from support.echo_game import write_game


def test_parameters_are_those_of_3_7_2() -> None:
    names = {name: list(inspect.signature(getattr(cli, name)).parameters) for name in cli.FUNCTIONS}
    assert names == {
        "list_backends": ["verbose"],
        "list_games": ["game_selector", "verbose"],
        "list_keys": [],
        "list_models": ["verbose"],
        "run": [
            "game_selectors", "model_selectors", "gen_args", "experiment_name", "instances_filename",
            "results_dir_path", "instances_filter", "batch_size",
        ],
        "score": ["game_selector", "results_dir", "model_selector"],
        "serve": [
            "game", "learner_agent", "env_agents", "gen_args", "split", "single_pass", "host", "port",
            "results_dir", "run_id",
        ],
        "transcripts": ["game_selector", "results_dir"],
    }  # fmt: skip
    assert list(inspect.signature(cli.clemeval.perform_evaluation).parameters) == [
        "results_path", "return_dataframe", "show_std", "sort_by", "model_selector", "game_selector",
    ]  # fmt: skip


def test_the_evaluation_has_the_name_of_3_7_2() -> None:
    from clemcore import clemeval  # type: ignore[attr-defined]

    assert clemeval.perform_evaluation is cli.clemeval.perform_evaluation


def test_importing_the_command_loads_no_command() -> None:
    code = "import clemcore.cli, sys; sys.exit('click' in sys.modules or 'clemcore.clemgame' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_program_plays_scores_and_filters(capsys: pytest.CaptureFixture[str]) -> None:
    write_game(Path(), instances=4)
    cli.run(
        "echo",
        ["mock"],
        gen_args={"temperature": 0.0, "max_tokens": 100},
        results_dir_path=Path("out"),
        instances_filter=lambda row: row["game_instance"]["game_id"] in (1, 3),
    )
    cli.score("echo", results_dir="out")
    played = list(read_episodes(Path("out")))
    assert [episode.key.game_id for episode in played] == [1, 3]
    assert all(episode.scores for episode in played)
    cli.list_games("all")
    cli.list_games({"game_name": "echo"}, verbose=True)
    cli.list_models()
    cli.list_backends(verbose=True)
    assert "echo" in capsys.readouterr().out


def _taken(*arguments: str) -> dict[str, object]:
    found: dict[str, object] = {}

    @click.command(cls=GreedyCommand, greedy={"-g": False, "--retry": True}, file_suffixes=(".toml",))
    @click.argument("file", required=False)
    @click.option("-g", multiple=True)
    @click.option("--retry", multiple=True)
    @click.option("--max-calls")
    @click.option("--flag", is_flag=True)
    def command(**given: object) -> None:
        found.update(given)

    command.main(list(arguments), standalone_mode=False)
    return found


def test_options_take_several_values() -> None:
    assert _taken("-g", "a", "b", "--flag", "-g", "c")["g"] == ("a", "b", "c")
    assert _taken("run.toml", "-g", "a") == {
        "file": "run.toml", "g": ("a",), "retry": (), "max_calls": None, "flag": False,
    }  # fmt: skip
    assert _taken("-g", "a", "run.toml")["file"] == "run.toml"
    assert _taken("--retry", "--flag")["retry"] == ("",)
    assert _taken("--retry", "A", "B")["retry"] == ("A", "B")
    assert _taken("--max_calls", "5")["max_calls"] == _taken("--max_calls=5")["max_calls"] == "5"
    with pytest.raises(click.UsageError, match="'-g' requires an argument"):
        _taken("-g", "--flag")
