"""Reads the images of an episode for its page: only those that are images, and lie where images may be read.

They become ``data:`` addresses, so a page needs no other file. It does not know what the images show.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable
from pathlib import Path

from clemcore.images import image_type

# Of these kinds no browser runs anything.
KINDS = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
# A larger image is shown by its name.
MOST_BYTES = 10_000_000


def roots_of(run: Path) -> list[Path]:
    """Return the folders below which images of a run may be read, in the order in which they are tried.

    They are ``$IMAGE_ROOT``, the working directory, the folder of the run, and those of its games.
    """
    roots = [Path(os.environ["IMAGE_ROOT"])] if os.environ.get("IMAGE_ROOT") else []
    roots += [Path.cwd(), run]
    try:
        games = json.loads((run / "run.json").read_bytes())["games"].values()
        roots += [Path(game["game_path"]) for game in games if game.get("game_path")]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # results of an older release
    return [root.resolve() for root in roots]


def read_images(names: Iterable[str], roots: list[Path]) -> dict[str, str]:
    """Return the ``data:`` addresses of images by their names; what is not such an image is left out.

    Args:
        names: paths and ``data:`` addresses, as messages name them.
        roots: folders; an image must lie below one of them, with all symbolic links followed.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        data = _of_address(name) if name.startswith("data:") else _of_file(name, roots)
        kind = image_type(data) if data else None
        if data and kind in KINDS:
            found[name] = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return found


def _of_address(name: str) -> bytes | None:
    head, comma, body = name.partition(",")
    if not comma or not head.endswith(";base64") or len(body) > MOST_BYTES * 4 // 3:
        return None
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None


def _of_file(name: str, roots: list[Path]) -> bytes | None:
    for root in roots:
        try:
            path = (root / name).resolve()
            if any(path.is_relative_to(each) for each in roots) and path.is_file():
                return path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
        except (OSError, ValueError):  # no such name can exist: it is too long, or has a null character
            continue
    return None
