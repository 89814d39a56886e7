"""Logging for a while at another level."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def temporary_loglevel(logger: logging.Logger, level: int) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator that sets a logger to a level while the function runs.

    Args:
        logger: the logger.
        level: the level, such as ``logging.WARNING``.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            before = logger.level
            logger.setLevel(level)
            try:
                return function(*args, **kwargs)
            finally:
                logger.setLevel(before)

        return run

    return decorate
