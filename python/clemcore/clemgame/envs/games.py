"""Which game an environment plays, and which of its instances. It does not know how they are played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clemcore.clemgame.instances import GameInstances, Row
from clemcore.clemgame.reading.spec import GameSpec
from clemcore.clemgame.registry import GameRegistry
from clemcore.errors import EnvError, GameError

# Games that are shown where a selector means several.
_SHOWN = 5


def game_of(selector: Any) -> GameSpec:
    """Return the game that a selector means.

    Args:
        selector: a name, a dict of fields (also as text), or a specification.

    Raises:
        GameError: no game matches, or several do (a ValueError).
    """
    found = GameRegistry.from_directories_and_cwd_files().get_game_specs_that_unify_with(selector)
    if len(found) > 1:
        names = ", ".join(spec.game_name for spec in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        raise GameError(f"an environment plays one game, but {selector!r:.80} means {len(found)}: {names}")
    return found[0]


def instances_of(spec: GameSpec, condition: Callable[[Row], bool] | None) -> GameInstances:
    """Return the instances of a game that are played.

    Args:
        spec: the game.
        condition: takes a row, and says whether it is played; None for all.

    Raises:
        GameError: the file has faults, or no instance is left (a ValueError).
        EnvError: the condition is not a function (a ValueError).
    """
    if condition is not None and not callable(condition):
        raise EnvError(
            f"{spec.game_name}: instances_filter must be a function of a row with 'experiment' and "
            f"'game_instance', not {condition!r:.80}"
        )
    instances = GameInstances.from_game_spec(spec).filter(condition)
    if not len(instances):
        raise GameError(f"{spec.game_name}: instances_filter leaves no instance to play")
    return instances
