"""Where this machine keeps what can be made anew. It does not know what is kept there."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def cache_dir() -> Path:
    """Return the user's cache: ``$CLEMCORE_CACHE``, else ``$XDG_CACHE_HOME/clemcore``, else ``~/.cache/clemcore``.

    The folder need not exist.

    Raises:
        FileNotFoundError: the user has no home folder, and neither variable is set.
    """
    if own := os.environ.get("CLEMCORE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "clemcore"
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises without HOME and without an account
    if home == "~":
        raise FileNotFoundError(errno.ENOENT, "there is no home folder: set $CLEMCORE_CACHE")
    return Path(home) / ".cache" / "clemcore"
