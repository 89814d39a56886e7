"""Run the checkers of PettingZoo and Gymnasium on games.

::

    python tools/games/check_environments.py FOLDER              # every game in a folder
    python tools/games/check_environments.py FOLDER taboo wordle # some of them

It runs ``api_test`` (1,000 cycles), ``seed_test`` and ``check_env``, and prints a line for each game. It exits with
1 if a checker refuses a game.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import sys
import warnings

from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, seed_test

from clemcore.clemgame.envs.pettingzoo import env, gym_env
from clemcore.clemgame.registry import GameRegistry


def check(game: str) -> None:
    """Run all checkers on a game; they raise what they find."""
    api_test(env(game), num_cycles=1000)
    seed_test(lambda: env(game), num_cycles=100)
    alone = gym_env(game)
    try:
        check_env(alone)
    finally:
        alone.close()


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the folder of the games")
    parser.add_argument("games", nargs="*", help="names of games; all by default")
    options = parser.parse_args()
    os.chdir(options.folder)
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")  # they advise numbers and arrays for spaces, and a render mode for each display
    status = 0
    known = GameRegistry.from_directories_and_cwd_files()
    for game in options.games or [spec.game_name for spec in known]:
        said = "passes"
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                check(game)
        except (Exception, SystemExit) as fault:  # noqa: BLE001 - whatever a game or a checker raises
            status, said = 1, f"{type(fault).__name__}: {' '.join(str(fault).split())[:200]}"
        sys.stdout.write(f"{game}: {said}\n")
        sys.stdout.flush()
    return status


if __name__ == "__main__":
    raise SystemExit(main())
