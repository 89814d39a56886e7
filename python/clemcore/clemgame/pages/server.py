"""Serves the page of results on the loopback address, from what stores and files hold when it is asked for.

Nothing is sent without the token, or under another name than those of this machine. So no page of another site can
read it. Each load of the page shows what is there then, also while a run is going on. Its address has a number,
which changes when there are other episodes: a page that was loaded before then gets no part of the new ones, whose
places and names have other numbers. It does not know what is in an episode.
"""

from __future__ import annotations

import errno
import hmac
import re
import secrets
import threading
from collections.abc import Hashable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from clemcore._core import page_files, results_page
from clemcore.clemgame.layout.episodes import Episode, readable_episodes
from clemcore.clemgame.layout.runs import find_runs
from clemcore.clemgame.pages.contents import Calls, read_calls, read_episode, read_row
from clemcore.clemgame.pages.folder import about, hashes, place_of, places_of, script_of, title_of
from clemcore.clemgame.pages.index import Index, kept_intervals, to_json
from clemcore.clemgame.pages.plots import draw
from clemcore.clemgame.plan import EpisodeKey
from clemcore.clemgame.store.lock import writer_of
from clemcore.clemgame.store.marks import is_run
from clemcore.clemgame.store.schema import store_files
from clemcore.clemgame.transcripts.pictures import roots_of
from clemcore.errors import RunError, StoreError

_HOST = "127.0.0.1"
# Episodes in a part of the data, and in a part of the responses.
_CHUNK, _TEXTS = 10, 200
_PART = re.compile(r"data/(?:\d+/)?([crtp])(\d{1,9})\.js")
_NUMBERED = re.compile(r"(?:(\d{1,9})/)?(.*)", re.DOTALL)
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class KnownCalls:
    """What the calls of episodes come to; a later load of the page reads only those that have changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, EpisodeKey], tuple[Hashable, Calls]] = {}

    def of(self, episode: Episode) -> Calls:
        """Return those of an episode; they are read if it is new or has changed."""
        version = episode.version
        place = episode.run, episode.key
        known, calls = self._known.get(place, (None, None))
        if calls is None or version is None or known != version:
            calls = read_calls(episode)
            self._known[place] = version, calls
        return calls


class Snapshot:
    """What the runs hold at one moment: all rows, and the episodes to be read when they are asked for.

    Args:
        paths: runs, or folders that hold some.
        intervals: those of an earlier moment.
        known: calls that were read at an earlier moment; it takes those that are read now.

    Attributes:
        start: what the page begins with.
        intervals: the intervals of the figures in it.
        numbered: what the page names by its number: episodes, and names in their order.
    """

    def __init__(self, paths: Sequence[Path], intervals: bytes, known: KnownCalls) -> None:
        self._index = Index(intervals)
        self._episodes: list[Episode] = []
        self._roots: dict[Path, list[Path]] = {}
        writers = []
        for run in runs_of(paths):
            writers += [writer for file in store_files(run) if (writer := writer_of(file)) is not None]
            for found in readable_episodes(run):
                if isinstance(found, Episode):
                    if self._index.add(read_row(found, known.of(found))):
                        self._episodes.append(found)
                else:
                    self._index.problems.append(found)
        self._tables = self._index.tables()
        count = len(self._episodes)
        self.start = self._index.start(
            {
                "chunks": list(range(0, count, _CHUNK)),
                "texts": list(range(0, count, _TEXTS)),
                "about": about(paths),
                "places": places_of(paths, self._index.models),
            }
        )
        self.intervals = self._index.intervals()
        names = [self.start[name] for name in ("models", "games", "experiments", "languages", "kinds")]
        self.numbered = [(episode.run, episode.key) for episode in self._episodes], names
        if writers:
            told = ", ".join(f"process {writer.get('pid')} on {writer.get('host')}" for writer in writers)
            self.start["summary"] += "; in progress: load the page again to see more"
            self.start["about"].append(("In progress", told))
        plots = list(draw(self.start))
        self._images = [image for plot in plots for image in plot.images]
        self.start["plots"] = [
            {"game": plot.game, "number": number, "text": plot.text} for number, plot in enumerate(plots)
        ]

    def part(self, letter: str, number: int) -> bytes:
        """Return a part of the data as JSON.

        Raises:
            LookupError: there is no such part.
        """
        if letter == "r":
            return self._tables[f"r{number}"]
        if letter == "p":
            return to_json(self._images[number]).encode()
        size = _CHUNK if letter == "c" else _TEXTS
        episodes = self._episodes[number * size : (number + 1) * size]
        if not episodes:
            raise LookupError(number)
        shown = [read_episode(episode, self._roots_of(episode.run)) for episode in episodes]
        if letter == "c":
            return b"[%s]" % b",".join(each.body for each in shown)
        return to_json([each.answers for each in shown]).encode()

    def _roots_of(self, run: Path) -> list[Path]:
        if run not in self._roots:
            self._roots[run] = roots_of(run)
        return self._roots[run]


def runs_of(paths: Sequence[Path]) -> list[Path]:
    """Return the runs that paths stand for. A run that was just begun may hold no episode yet.

    Raises:
        StoreError: a path stands for none.
    """
    return [run for path in paths for run in ([path] if is_run(path) else find_runs(path))]


class ViewServer:
    """Serves the page until it is closed.

    Attributes:
        address: the address of the page, with its token.

    Args:
        paths: runs, or folders that hold some.
        port: the port; 0 takes a free one.

    Raises:
        RunError: the port is not free.
        StoreError: there is nothing to show.
    """

    def __init__(self, paths: Sequence[Path], port: int = 0) -> None:
        self._paths = paths
        self._known = KnownCalls()
        self._snapshot = Snapshot(paths, kept_intervals(paths), self._known)
        self._number = 0
        self._lock = threading.Lock()
        self._token = secrets.token_urlsafe(24)
        try:
            self._server = ThreadingHTTPServer((_HOST, port), _handler(self))
        except OSError as fault:
            if fault.errno != errno.EADDRINUSE:
                raise
            raise RunError(
                f"The port {port} is in use by another program. Choose another one with --port, or leave it out to "
                "take a free one"
            ) from None
        self._port = self._server.server_address[1]
        self.address = f"http://{_HOST}:{self._port}/{self._token}/"

    def serve(self) -> None:
        """Serve until another thread calls :meth:`close`."""
        self._server.serve_forever()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def knows(self, host: str | None) -> bool:
        """Tell whether a request names this machine. A page of another site would name its own."""
        return host in (f"{_HOST}:{self._port}", f"localhost:{self._port}")

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Return the media type and the content of a path, or None if the path is unknown or its token is wrong.

        An empty type means a redirect: then the content is the path of the current page.
        """
        token, slash, rest = path.partition("?")[0].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode("utf-8", "replace"), self._token.encode()):
            return None
        number, name = _NUMBERED.fullmatch(rest).groups()  # type: ignore[union-attr]
        style, script = page_files()
        fixed = {"page.css": style, "page.js": script}
        if name in fixed:
            return _TYPES[name.rpartition(".")[2]], fixed[name].encode()
        with self._lock:  # stores are read by one thread at a time
            return self._page(token, number) if name in ("", "index.html") else self._part(number, name)

    def _page(self, token: str, number: str | None) -> tuple[str, bytes]:
        if number == str(self._number):
            self._look_again()
        if number != str(self._number):
            return "", f"/{token}/{self._number}/".encode()
        return _TYPES["html"], results_page(title_of(self._paths), to_json(self._snapshot.start), hashes())

    def _part(self, number: str | None, name: str) -> tuple[str, bytes] | None:
        found = _PART.fullmatch(name)
        if number != str(self._number) or found is None or place_of(f"{found[1]}{int(found[2])}") != name:
            return None
        try:
            data = self._snapshot.part(found[1], int(found[2]))
        except LookupError:
            return None
        return _TYPES["js"], script_of(f"{found[1]}{int(found[2])}", data)

    def _look_again(self) -> None:
        before = self._snapshot
        try:
            self._snapshot = Snapshot(self._paths, before.intervals, self._known)
        except StoreError as fault:  # the last state stays
            before.start["problems"] = [str(fault), *before.start["problems"]][:1]
        if self._snapshot.numbered != before.numbered:
            self._number += 1


def _handler(view: ViewServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "clem", ""
        timeout = 60

        def do_GET(self) -> None:
            if not view.knows(self.headers.get("Host")):
                self._send(421, "text/plain", b"This server answers under the names of this machine only.\n")
                return
            found = view.answer(self.path)
            if self.path == "/favicon.ico":  # every browser asks for one
                self._send(204, "image/png", b"")
            elif found is None:
                self._send(404, "text/plain", b"There is no such page. Use the address that 'clem view' printed.\n")
            elif not found[0]:
                self._send(302, "text/plain", b"", location=found[1].decode())
            else:
                self._send(200, *found)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def _send(self, status: int, kind: str, body: bytes, location: str = "") -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    return Handler
