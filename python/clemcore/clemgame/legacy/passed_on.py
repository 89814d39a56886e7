"""Names that modules of 3.7.2 only imported, which programs may import from there: they are passed on.

Names of what a module no longer uses are not in it, such as those that tests replaced: a replacement would have no
effect.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

_HOMES = {
    "clemcore.backends": ("BatchGenerativeModel", "CustomResponseModel", "Model", "ModelSpec"),
    "clemcore.clemgame": (
        "GameBenchmark",
        "GameBenchmarkCallbackList",
        "GameInstances",
        "GameMaster",
        "GameRegistry",
        "GameScorer",
        "GameSpec",
        "Player",
    ),
    "clemcore.clemgame.master": ("GameState", "Outcome"),
    "clemcore.clemgame.resources": ("load_json", "store_file"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def passed_on(module: str, *names: str) -> Callable[[str], Any]:
    """Return ``__getattr__`` for a module that passes on names of others.

    Args:
        module: the module's ``__name__``.
        names: the names.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_HOME_OF[name]), name)

    return load
