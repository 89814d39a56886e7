"""Loggers by name, as games of all releases ask for them."""

from __future__ import annotations

import json
import logging
from typing import Any


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module."""
    return logging.getLogger(name)


def setup_logger(name: str) -> logging.Logger:
    """Return the logger of a module (the name of some games for 3.x); whoever starts the program sets it up."""
    return get_logger(name)


def format_json(data: Any) -> str:
    """Return a value as indented JSON for a log; what JSON cannot hold is shown as text."""
    return json.dumps(data, indent=2, default=str, ensure_ascii=False)
