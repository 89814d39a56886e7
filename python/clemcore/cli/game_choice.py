"""Which games of a record a command means: ``-g``.

A record may have games whose code is not here any more, so a plain name is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clemcore.clemgame.registry import Selector

ALL = "all"


def game_names(selectors: Iterable[Selector]) -> list[str]:
    """Return the names of the games that any of the selectors means, each once; no name stands for all games.

    Raises:
        GameError: a selector cannot be read, or matches no game.
    """
    from clemcore.clemgame.registry import GameRegistry

    registry = None
    names: dict[str, None] = {}
    for selector in selectors:
        if selector == ALL:
            return []
        if isinstance(selector, str) and not selector.lstrip().startswith("{"):
            names[selector] = None
            continue
        registry = registry or GameRegistry.from_directories_and_cwd_files()
        specs = registry.get_game_specs_that_unify_with(selector, verbose=False)
        names |= dict.fromkeys(spec.game_name for spec in specs)
    return list(names)
