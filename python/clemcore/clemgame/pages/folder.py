"""Writes the page of results: a folder that any static host can serve and that opens from disk, or one file.

Data is in chunks, as base64 of compressed JSON. So no text of a model is a part of a script, and a folder has few
files however many episodes there are. It does not know what is in an episode.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clemcore._core import __version__, page_files, results_page
from clemcore.clemgame.layout.jsonfile import write_whole
from clemcore.clemgame.pages.contents import ShownEpisode, read_episode
from clemcore.clemgame.pages.index import Index, kept_intervals, to_json
from clemcore.clemgame.pages.plots import draw
from clemcore.clemgame.transcripts.pictures import roots_of
from clemcore.errors import RunError

# Episodes that one file takes.
MOST_IN_ONE_FILE = 1000
# A part of the data is full with so many bytes, or with so many episodes.
_CHUNK, _CHUNK_EPISODES = 1_000_000, 100
_TEXTS, _TEXTS_EPISODES = 1_000_000, 2000
# How hard the data of a folder is compressed: 6 takes 1.6 times as long for files that are 6 % smaller.
_LEVEL = 5
# Files of one folder.
_GROUP = 500
# What says that a folder is one that we may replace.
_MARK = "page.js"
# Stands in each page; what models say cannot, because it is escaped.
_MADE_BY = b"Made by <code>clem page</code>"


@dataclass
class Written:
    """What was written.

    Attributes:
        path: the file to open.
        episodes: how many episodes it shows.
        problems: what could not be read.
    """

    path: Path
    episodes: int
    problems: list[str]


@dataclass
class _Parts:
    """Collects JSON values until a part of the data is full."""

    letter: str
    most_bytes: int
    most_values: int
    write: Callable[[str, bytes], None]
    starts: list[int] = field(default_factory=list)
    _values: list[bytes] = field(default_factory=list)
    _size: int = 0
    _count: int = 0

    def add(self, value: bytes) -> None:
        if not self._values:
            self.starts.append(self._count)
        self._values.append(value)
        self._count += 1
        self._size += len(value)
        if self._size >= self.most_bytes or len(self._values) >= self.most_values:
            self.flush()

    def flush(self) -> None:
        if self._values:
            self.write(f"{self.letter}{len(self.starts) - 1}", b"[%s]" % b",".join(self._values))
        self._values.clear()
        self._size = 0


def write_folder(paths: Sequence[Path], folder: Path) -> Written:
    """Write the page of runs as a folder. An earlier page there is replaced when the new one is complete.

    Args:
        paths: runs, or folders that hold some.
        folder: where to write.

    Raises:
        RunError: the folder holds something else.
        StoreError: there are no episodes.
        OSError: a file cannot be written.
    """
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not place.is_dir():
        raise RunError(f"{place} is a file, but the page is a folder. Choose another one with -o, or use --single")
    if folder.exists() and not ((folder / _MARK).is_file() or not any(folder.iterdir())):
        raise RunError(f"{folder} holds other files, which would be lost. Choose another folder with -o")
    folder = folder.absolute()
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    try:
        (new / "data").mkdir(parents=True)

        def write(name: str, data: bytes) -> None:
            path = new / place_of(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(script_of(name, data))

        index, start = _collect(paths, write)
        style, script = page_files()
        (new / "page.css").write_text(style, encoding="utf-8")
        (new / _MARK).write_text(script, encoding="utf-8")
        page = results_page(title_of(paths), to_json(start), hashes())
        (new / "index.html").write_bytes(page)
        _swap(new, folder, old)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return Written(folder / "index.html", index.count, index.problems)


def write_single(paths: Sequence[Path], file: Path) -> Written:
    """Write the page of runs as one file.

    Args:
        paths: runs, or folders that hold some.
        file: the file to write.

    Raises:
        RunError: there are too many episodes for one file, or the file is something else than an earlier page.
        StoreError: there are no episodes.
        OSError: the file cannot be written.
    """
    if file.exists() and not _is_page(file):
        raise RunError(f"{file} is not a page of clem, and would be lost. Choose another file with --single")
    parts: list[tuple[str, str]] = []

    def write(name: str, data: bytes) -> None:
        parts.append((name, base64.b64encode(zlib.compress(data, 9)).decode("ascii")))

    index, start = _collect(paths, write, most=MOST_IN_ONE_FILE)
    page = results_page(title_of(paths), to_json({**start, "is_single": True}), hashes(), parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(str(file), page)
    return Written(file.absolute(), index.count, index.problems)


def _is_page(file: Path) -> bool:
    """Tell whether a file is an empty one, or a page that :func:`write_single` has written."""
    content = file.read_bytes() if file.is_file() else b"\0"
    return not content or (content.startswith(b"<!DOCTYPE html>") and _MADE_BY in content)


def _collect(
    paths: Sequence[Path], write: Callable[[str, bytes], None], most: int | None = None
) -> tuple[Index, dict[str, Any]]:
    index = Index(kept_intervals(paths))
    chunks = _Parts("c", _CHUNK, _CHUNK_EPISODES, write)
    texts = _Parts("t", _TEXTS, _TEXTS_EPISODES, write)
    for shown in _shown(paths, index):
        if not index.add(shown):
            continue
        if most is not None and index.count > most:
            raise RunError(f"One file takes {most:,} episodes, and there are more. Write a folder with -o")
        chunks.add(shown.body)
        texts.add(to_json(shown.answers).encode())
    chunks.flush()
    texts.flush()
    for name, table in index.tables().items():
        write(name, table)
    more = {
        "chunks": chunks.starts,
        "texts": texts.starts,
        "about": about(paths),
        "places": places_of(paths, index.models),
    }
    start = index.start(more)
    start["plots"] = list(_plots(start, write))
    return index, start


def _plots(start: dict[str, Any], write: Callable[[str, bytes], None]) -> Iterator[dict[str, Any]]:
    for number, plot in enumerate(draw(start)):
        for is_dark, image in enumerate(plot.images):
            write(f"p{2 * number + is_dark}", to_json(image).encode())
        yield {"game": plot.game, "number": number, "text": plot.text}


def _shown(paths: Sequence[Path], index: Index) -> Iterator[ShownEpisode]:
    from clemcore.clemgame.layout.episodes import Episode, readable_episodes
    from clemcore.clemgame.layout.runs import find_runs

    for path in paths:
        for run in find_runs(path):
            roots = roots_of(run)
            for found in readable_episodes(run):
                if isinstance(found, Episode):
                    yield read_episode(found, roots)
                else:
                    index.problems.append(found)


def places_of(paths: Sequence[Path], models: Iterable[str]) -> list[str]:
    """Return the folder of each line-up, as it was named, for commands to be copied."""
    from clemcore.clemgame.layout.runs import find_runs
    from clemcore.clemgame.store.marks import is_run

    found: dict[str, str] = {}
    for path in paths:
        for run in [path] if is_run(path) else find_runs(path):
            found.setdefault(run.name, run.as_posix())
    return [found.get(model, "") for model in models]


def about(paths: Sequence[Path]) -> list[tuple[str, str]]:
    """Return what the page says about itself."""
    return [
        ("Results", "\n".join(map(str, paths))),
        ("Written", datetime.now().astimezone().isoformat(timespec="seconds")),
        ("clemcore", __version__),
    ]


def title_of(paths: Sequence[Path]) -> str:
    """Return the title of the page: the names of what it shows."""
    names = [path.absolute().name or str(path) for path in paths]
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")  # noqa: PLR2004 - more would not fit


def place_of(name: str) -> str:
    """Return the file of a part of the data, below the page; the page's script computes the same."""
    inner = "" if name[0] in "rp" else f"{int(name[1:]) // _GROUP}/"
    return f"data/{inner}{name}.js"


def script_of(name: str, data: bytes) -> bytes:
    """Return a part of the data as the script that gives it to the page. It holds base64, and no text."""
    return b'clemData("%s","%s");\n' % (name.encode("ascii"), base64.b64encode(zlib.compress(data, _LEVEL)))


def hashes() -> tuple[str, str]:
    """Return SHA-256 of style sheet and script, in base64, as a policy names them."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") for text in page_files()
    )
    return style, script


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put a folder into the place of another one."""
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)  # noqa: PTH104 - as below
    os.rename(new, folder)  # noqa: PTH104 - never over a folder that somebody else made in between
    shutil.rmtree(old, ignore_errors=True)
