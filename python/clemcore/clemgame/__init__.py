"""The framework of dialogue games: ``from clemcore.clemgame import DialogueGameMaster, Player, …``.

Every name is loaded from its own module when it is first used; importing this package imports no SDK and no NumPy.
The names are listed in ``__init__.pyi``.

Examples:
    >>> from clemcore.clemgame import GameState
    >>> state = GameState()
    >>> state.abort()
    >>> state.outcome.value
    'aborted'
"""

from __future__ import annotations

from clemcore.names import lazy

# Names of other releases, and their modules today.
_FORMER = {
    "DefaultGameRecorder": "clemcore.clemgame.legacy.recorder",
    "GameInstanceIterator": "clemcore.clemgame.instances",
    "GameRecorder": "clemcore.clemgame.legacy.recorder",
    "NoopGameRecorder": "clemcore.clemgame.legacy.recorder",
    "Outcome": "clemcore.clemgame.state",
    "get_logger": "clemcore.utils.logger",
    # They need an extra, so `from clemcore.clemgame import *` must not load them.
    "ClemGameAction": "clemcore.clemgame.envs.openenv.models",
    "ClemGameEnv": "clemcore.clemgame.envs.openenv.client",
    "ClemGameObservation": "clemcore.clemgame.envs.openenv.models",
    "ClemGameState": "clemcore.clemgame.envs.openenv.models",
    "env": "clemcore.clemgame.envs.pettingzoo.master",
    "gym_env": "clemcore.clemgame.envs.pettingzoo.master",
}
_load, __dir__ = lazy(__name__, __file__)


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used."""
    if name not in _FORMER:
        return _load(name)
    import importlib

    value: object = getattr(importlib.import_module(_FORMER[name]), name)
    globals()[name] = value
    return value
