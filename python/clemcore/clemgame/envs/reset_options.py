"""The options of ``reset``: refuses or names unknown ones, which would have no effect. It does not follow them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from clemcore.errors import EnvError
from clemcore.spelling import misspelling_of

_logger = logging.getLogger(__name__)


def checked_options(options: Any, game: Any, known: Sequence[str], *, takes_others: bool = False) -> dict[str, Any]:
    """Return the options of ``reset`` as a dict of their own.

    Args:
        options: what was given.
        game: how errors name the game.
        known: the names of the options that there are.
        takes_others: log unknown names that are not like a known one, and go on: PettingZoo's checker gives one.

    Raises:
        EnvError: they are not a dict, or a name is unknown (a ValueError).
    """
    if options is not None and not isinstance(options, Mapping):
        raise EnvError(f"{game}: the options of reset() must be a dict, not {options!r:.80}")
    given = dict(options or {})
    for name in given:
        if name not in known:
            near = misspelling_of(str(name), known)
            hint = "." if near is None else f"; did you mean '{near}'?"
            told = f"{game}: reset() has no option {name!r:.80}{hint} Its options are {', '.join(known)}"
            if near is not None or not takes_others:
                raise EnvError(told)
            _logger.warning("%s", told)
    return given
