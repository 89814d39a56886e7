"""The page of results on the loopback address: who gets it, and what it shows while a run goes on."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from clemcore.clemgame.pages.folder import write_folder
from clemcore.clemgame.pages.server import ViewServer
from clemcore.clemgame.store import RunStore
from clemcore.errors import RunError, StoreError
from support.chromium import Chromium, opened
from support.clem import Clem
from support.shown_runs import Texts, start_of, write_run

_WIDTH_OF_PICTURE = """new Promise((done) => {
    const end = performance.now() + 30_000;
    const look = () => {
        const picture = document.querySelector("figure img");
        if (picture?.complete && picture.naturalWidth || performance.now() > end) done(picture?.naturalWidth ?? -1);
        else setTimeout(look, 20);
    };
    look();
})"""


@contextmanager
def serving(*paths: Path) -> Iterator[ViewServer]:
    server = ViewServer(paths)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def get(
    server: ViewServer, name: str = "", *, host: str | None = None, token: str | None = None, method: str = "GET"
) -> http.client.HTTPResponse:
    parts = urlsplit(server.address)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
    path = parts.path if token is None else f"/{token}/"
    connection.request(method, f"{path}{name}", headers={} if host is None else {"Host": host})
    reply = connection.getresponse()
    reply.body = reply.read()  # type: ignore[attr-defined]
    connection.close()
    if reply.status == 302:  # to the number of the episodes that are shown
        return get(server, host=host, token=reply.headers["Location"].strip("/"), method=method)
    return reply


def test_only_who_knows_the_token_on_this_machine_sees_something(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [Texts()])
    with serving(tmp_path / "run") as server:
        port = urlsplit(server.address).port
        whole = get(server)
        assert whole.status == 200
        assert whole.headers["Referrer-Policy"] == "no-referrer"
        assert whole.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Server" not in whole.headers or "Python" not in whole.headers["Server"]
        assert get(server, host=f"localhost:{port}").status == 200
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1.evil.example:{port}", ""):
            assert get(server, host=host).status == 421, host
        cut = server.address.rsplit("/", 2)[1][:-1]
        for token in ("", "x", "%C3%A9", "..", cut):
            assert get(server, token=token).status == 404, token
        names = ("../run.json", "data/../store.sqlite3", "0/data/c0.js", "0/data/0/c1.js", "0/data/0/r0.js",
                 "0/data/r00.js", "0/data/r9.js", "0/data/p99999.js", "0/data/1/c0.js",
                 "store.sqlite3")  # fmt: skip
        for name in names:
            assert get(server, name).status == 404, name
        for name in ("index.html", "page.css", "page.js?1"):
            assert get(server, name).status == 200, name
        for name in ("data/0/c0.js", "data/0/t0.js", "data/r0.js", "data/p3.js"):
            assert get(server, f"0/{name}").status == 200, name
            assert get(server, name).status == get(server, f"1/{name}").status == 404, name
        assert get(server, method="POST").status == 501
        head = get(server, method="HEAD")
        assert head.status == 200
        assert head.body == b""  # type: ignore[attr-defined]


def test_a_run_in_progress_is_shown_as_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [Texts(), Texts(instance=1, state="planned")])
    with serving(run) as server:
        assert b'2 episodes, 1 model, 1 game"' in get(server).body  # type: ignore[attr-defined]
        with RunStore.open(run):
            assert b"in progress: load the page again" in get(server).body  # type: ignore[attr-defined]
        write_run(run, [Texts(instance=2)])
        assert b'3 episodes, 1 model, 1 game"' in get(server).body  # type: ignore[attr-defined]
        (run / "store.sqlite3").rename(tmp_path / "gone")
        assert get(server).status == 200


def test_a_page_that_was_loaded_before_gets_no_part_of_other_episodes(tmp_path: Path) -> None:
    write_run(tmp_path / "results" / "b", [Texts(answer="Answer of b"), Texts(instance=1, state="planned")])
    with serving(tmp_path / "results") as server:
        first = get(server, "0/")
        write_run(tmp_path / "results" / "b", [Texts(instance=1)])  # what was planned is played: its number stays
        assert get(server, "0/").status == get(server, "0/data/0/c0.js").status == 200
        write_run(tmp_path / "results" / "a", [Texts(answer="Answer of a")])  # it comes before
        second = get(server, "0/")
        assert b"3 episodes, 2 models" in second.body  # type: ignore[attr-defined]
        assert get(server, "0/data/0/c0.js").status == 404
        assert get(server, "1/data/0/c0.js").status == 200
        assert first.status == second.status == 200


def test_it_shows_what_the_page_in_a_folder_shows(tmp_path: Path, clem: Clem) -> None:
    aborted = {"Aborted": 1, "Lose": 0, "Main Score": None}
    run = write_run(tmp_path / "results" / "a", [Texts(), Texts(instance=1, scores=aborted)])
    clem("export", str(run), "--to", "classic", "-o", str(tmp_path / "exported"))
    (tmp_path / "exported" / "a").rename(tmp_path / "results" / "classic")
    write_run(run, [Texts(instance=2, state="limit"), Texts(instance=3, state="error"), Texts(instance=4)])
    write_run(run, [Texts(instance=4)])  # a second attempt
    with serving(tmp_path / "results") as server:
        for more in range(2):  # the second load knows the calls of the first one
            write_folder([tmp_path / "results"], tmp_path / "page")
            shown = start_of(get(server).body.decode())  # type: ignore[attr-defined]
            wanted = start_of((tmp_path / "page" / "index.html").read_text())
            assert sum(shown["cells"]["calls"]) == 7 + more
            assert sum(shown["cells"]["seconds"]) == (7 + more) / 2
            assert "aborted by the game: more" in shown["kinds"]
            for name in ("chunks", "texts", "about"):  # the server sends smaller parts
                shown.pop(name)
                wanted.pop(name)
            assert shown == wanted
            write_run(run, [Texts(instance=5, answer="one more")])


def test_a_port_that_is_taken_and_a_folder_without_runs_are_refused(tmp_path: Path, clem: Clem) -> None:
    run = write_run(tmp_path / "run", [Texts()])
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RunError, match=f"The port {port} is in use by another program"):
            ViewServer([run], port)
        assert "--port" in clem.fails("view", str(run), "--port", str(port), status=2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no episodes"):
        ViewServer([tmp_path / "empty"])


@pytest.mark.slow
def test_the_page_works_from_the_server(tmp_path: Path, chromium: Chromium) -> None:
    write_run(tmp_path / "run", [Texts(instance=at, answer=f"Answer {at}") for at in range(25)])
    with serving(tmp_path / "run") as server, chromium.page() as (page, seen):
        opened(page, server.address)
        opened(page, server.address, "#view=search&q=answer 2")
        assert page.locator(".hit").count() == 6
        page.locator(".hit a").nth(3).click()
        page.wait_for_selector(".message >> text=Answer 22")
        opened(page, server.address, "#view=games")
        assert page.evaluate(_WIDTH_OF_PICTURE) > 100
        assert not seen.messages
        assert all(url.startswith((server.address, "data:image/")) for url in seen.requests)
