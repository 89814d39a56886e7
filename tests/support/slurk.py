"""A slurk server on loopback, a cable that can be cut, and persons who come into rooms.

The server speaks slurk's HTTP API and Socket.IO events as the released one does (github.com/clp-research/slurk):
with versions (ETag) for changes, permissions, single-use tokens, and a log. Persons log in by the link that an
operator would pass on, in a client of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import socketio
from aiohttp import web

ADMIN = "slurk-canary-5d1c0a52-admin"
LINK = re.compile(r"https?://\S+/login\?\S+")


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.start(work).result(20)

    def stop(self) -> None:
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.02)  # connections that are closed say so to their transports


Row = dict[str, Any]


@dataclass
class FakeSlurk:
    """The server; its tables are dicts of rows, as slurk shows them.

    `refuse` answers the next requests with a status, `keeps_out` does not put users into the room of their token,
    `forgets` is a server that has started anew with an empty database.
    """

    certificate: tuple[Path, Path] | None = None
    refuse: int | None = None
    keeps_out: bool = False
    tables: dict[str, dict[Any, Row]] = field(default_factory=dict)
    members: dict[int, list[int]] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    heard: list[tuple[str, Any]] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        for name in ("layouts", "permissions", "rooms", "tokens", "users", "logs"):
            self.tables[name] = {}
        rights = self._add("permissions", {"api": True})
        self._add(
            "tokens", {"id": ADMIN, "permissions_id": rights["id"], "registrations_left": -1, "room_id": None}
        )
        self._users: dict[str, int] = {}  # session → user
        # Slurk's own server answers pings each 5 s; nothing here waits for one.
        self._sio = socketio.AsyncServer(async_mode="aiohttp", cors_allowed_origins="*")
        self.listen()
        self.loop = Loop()
        self.url = self.loop.run(self._serve())

    def listen(self) -> None:
        for name in ("connect", "disconnect", "text", "image", "message_command"):
            self._sio.on(name, getattr(self, f"_on_{name}"))

    async def _serve(self) -> str:
        app = web.Application()
        self._sio.attach(app)
        app.router.add_get("/login", self._login)
        app.router.add_get("/", self._page)
        app.router.add_route("*", "/slurk/api/{path:.*}", self._api)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        tls = None
        if self.certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*self.certificate)
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http{'s' if tls else ''}://127.0.0.1:{port}"

    def close(self) -> None:
        self.loop.run(self._sio.shutdown())
        self.loop.run(self._runner.cleanup())
        self.loop.stop()

    def forget(self) -> None:
        """Start anew with an empty database: rooms and users are gone."""
        self.loop.run(self._forget())

    async def _forget(self) -> None:
        for name in ("rooms", "users", "logs"):
            self.tables[name].clear()
        for session in list(self._users):
            await self._sio.disconnect(session)

    def send_away(self, user: int) -> None:
        """End a user's connection by a word of the server."""
        self.loop.run(self._sio.disconnect(self.tables["users"][user]["session_id"]))

    # -- rows ---------------------------------------------------------------------------------------------------
    def _add(self, table: str, row: Row) -> Row:
        row = {"id": str(uuid.uuid4()) if table == "tokens" else next(self._numbers), **row}
        self.tables[table][row["id"]] = row
        return row

    def _log(self, event: str, user: int, room: int, data: Row) -> None:
        self._add(
            "logs", {"event": event, "user_id": user, "room_id": room, "receiver_id": None, "data": dict(data)}
        )

    def rights(self, user: int) -> Row:
        token = self.tables["tokens"][self.tables["users"][user]["token_id"]]
        return self.tables["permissions"][token["permissions_id"]]

    # -- HTTP ---------------------------------------------------------------------------------------------------
    async def _api(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        authorization = request.headers.get("Authorization", "")
        self.requests.append((request.method, f"/{path}", authorization))
        token = self.tables["tokens"].get(authorization.removeprefix("Bearer "))
        is_admin = token is not None and self.tables["permissions"][token["permissions_id"]].get("api")
        table, *rest = path.split("/")
        key: Any = None if not rest else rest[0] if table == "tokens" else int(rest[0])
        if self.refuse is not None:
            answer = self._error(self.refuse, "no")
        elif not is_admin and request.method != "GET":
            answer = self._error(401, "The server could not verify that you are authorized to access the URL")
        elif table not in self.tables or (key is not None and key not in self.tables[table]):
            answer = self._error(404, f"{table} `{'…' if table == 'tokens' else key}` does not exist")
        elif request.method == "POST":
            answer = await self._posted(table, rest, await request.json() if request.can_read_body else {})
        elif request.method == "GET":
            answer = self._shown(table, key, rest, dict(request.query))
        elif request.headers.get("If-Match") != _version(self.tables[table][key]):
            answer = self._error(428 if "If-Match" not in request.headers else 412, "another version")
        elif request.method == "PATCH":
            self.tables[table][key].update(await request.json())
            answer = self._reply(self.tables[table][key], 200)
        else:
            answer = self._deleted(table, key)
        return answer

    async def _posted(self, table: str, rest: list[str], body: Row) -> web.Response:
        if rest:  # users/N/rooms/M
            await self._join(int(rest[0]), int(rest[2]))
            return self._reply(self.tables[table][int(rest[0])], 201)
        return self._made(table, body)

    def _shown(self, table: str, key: Any, rest: list[str], query: Row) -> web.Response:
        if key is None:
            rows = self.tables[table].values()
            return self._reply([row for row in rows if query.items() <= row.items()], 200)
        return self._part(table, key, rest) if len(rest) > 1 else self._reply(self.tables[table][key], 200)

    def _part(self, table: str, key: Any, rest: list[str]) -> web.Response:
        if rest[-1] == "logs":
            rows = [row for row in self.tables["logs"].values() if row["room_id"] == key]
            return self._reply(rows, 200)
        users = [self.tables["users"][user] for user in self.members.get(key, []) if user in self.tables["users"]]
        return self._reply([user for user in users if user.get("session_id")], 200)

    def _made(self, table: str, body: Row) -> web.Response:
        known = {
            "layouts": {"title", "subtitle", "html", "css", "scripts", "show_users", "show_latency", "read_only"},
            "rooms": {"layout_id", "read_only"},
            "tokens": {"permissions_id", "room_id", "registrations_left", "task_id"},
            "users": {"name", "token_id"},
        }.get(table)
        unknown = {} if known is None else {name: ["Unknown field."] for name in body if name not in known}
        if table == "layouts" and "title" not in body:
            unknown["title"] = ["Missing data for required field."]
        if unknown:
            return web.json_response(
                {"code": 422, "status": "Unprocessable Entity", "errors": {"json": unknown}}, status=422
            )
        if table == "users":
            return self._reply(self._register(body["name"], body["token_id"]), 201)
        return self._reply(self._add(table, body), 201)

    def _register(self, name: str, token_id: str) -> Row:
        token = self.tables["tokens"][token_id]
        assert token["registrations_left"] != 0
        token["registrations_left"] -= 1
        user = self._add("users", {"name": name, "token_id": token_id, "session_id": None})
        if not self.keeps_out:
            self.members.setdefault(token["room_id"], []).append(user["id"])
        return user

    def _deleted(self, table: str, key: Any) -> web.Response:
        uses = {"tokens": ("users", "token_id"), "rooms": ("tokens", "room_id"), "layouts": ("rooms", "layout_id")}
        uses["permissions"] = ("tokens", "permissions_id")
        if table in uses and any(row[uses[table][1]] == key for row in self.tables[uses[table][0]].values()):
            return self._error(422, f"{table} is still in use")
        del self.tables[table][key]
        return web.Response(status=204)

    def _reply(self, row: Any, status: int) -> web.Response:
        return web.json_response(row, status=status, headers={"ETag": _version(row)})

    def _error(self, status: int, message: str) -> web.Response:
        return web.json_response({"code": status, "message": message}, status=status)

    async def _login(self, request: web.Request) -> web.StreamResponse:
        token = self.tables["tokens"].get(request.query["token"])
        if token is None or token["registrations_left"] == 0:
            return web.Response(text="The token is either expired or was already used.", status=403)
        user = self._register(request.query["name"], token["id"])
        answer = web.Response(status=302, headers={"Location": "/"})
        answer.set_cookie("user", str(user["id"]))
        return answer

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text="the chat")

    # -- Socket.IO ----------------------------------------------------------------------------------------------
    async def _on_connect(self, session: str, environ: dict[str, Any]) -> bool:
        request: web.Request = environ["aiohttp.request"]
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        number = int(request.cookies.get("user") or request.headers.get("user") or 0)
        user = self.tables["users"].get(number)
        if user is None or (token and user["token_id"] != token):
            return False
        self.connections += 1
        self._users[session] = number
        user["session_id"] = session
        for room in [room for room, members in self.members.items() if number in members]:
            await self._join(number, room)
        return True

    async def _join(self, number: int, room: int) -> None:
        user = self.tables["users"][number]
        if number not in self.members.setdefault(room, []):
            self.members[room].append(number)
        if user["session_id"] is None:
            return
        await self._sio.enter_room(user["session_id"], str(room))

        async def joined(*_: Any) -> None:
            await self._tell_status("join", user, room)

        told = {"room": room, "user": number}
        await self._sio.emit("joined_room", told, to=user["session_id"], callback=joined)

    async def _tell_status(self, kind: str, user: Row, room: int) -> None:
        data = {"type": kind, "user": {"id": user["id"], "name": user["name"]}, "room": room, "timestamp": "now"}
        await self._sio.emit("status", data, room=str(room))

    async def _on_disconnect(self, session: str, *_: Any) -> None:
        user = self.tables["users"].get(self._users.pop(session, 0))
        if user is None or user["session_id"] != session:
            return
        user["session_id"] = None
        for room in [room for room, members in self.members.items() if user["id"] in members]:
            await self._tell_status("leave", user, room)

    async def _on_text(self, session: str, payload: Row) -> Any:
        data = {"message": payload["message"], "html": False}
        return await self._emit(session, payload, "text_message", "send_message", data)

    async def _on_image(self, session: str, payload: Row) -> Any:
        data = {"url": payload["url"], "width": payload.get("width"), "height": payload.get("height")}
        return await self._emit(session, payload, "image_message", "send_image", data)

    async def _on_message_command(self, session: str, payload: Row) -> Any:
        return await self._emit(session, payload, "command", "send_command", {"command": payload["command"]})

    async def _emit(self, session: str, payload: Row, event: str, right: str, data: Row) -> Any:
        user = self.tables["users"].get(self._users.get(session, 0))
        if user is None:
            return False, "invalid session id"
        if not self.rights(user["id"]).get(right):
            return False, "insufficient rights"
        room = self.tables["rooms"].get(payload["room"])
        if room is None:
            return False, "Room not found"
        if user["id"] not in self.members[room["id"]]:
            return False, "Not in room"
        if room.get("read_only"):
            return False, f"Room {room['id']} is read-only"
        sender = {"id": user["id"], "name": user["name"]}
        told = {"user": sender, "room": room["id"], "timestamp": "now", "private": False, **data}
        self.heard.append((event, told))
        await self._sio.emit(event, told, room=str(room["id"]))
        self._log(event, user["id"], room["id"], data)
        return True


def _version(row: Any) -> str:
    return '"' + hashlib.sha1(json.dumps(row, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + '"'


class Cable:
    """What lies between the bot and the server; it can be cut and mended. Persons have connections of their own."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rsplit(":", 1)[1])
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._loop = Loop()
        self._server = self._loop.run(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends |= {writer, far_writer}
        await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()

    def cut(self) -> None:
        self._is_cut = True

        async def abort() -> None:
            for end in self._ends:
                end.transport.abort()
            self._ends.clear()

        self._loop.run(abort())

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()

        async def close() -> None:
            self._server.close()

        self._loop.run(close())
        self._loop.stop()


Says = Callable[[str], "str | None"]


class Person:
    """Somebody with a browser: logs in by a link and answers every text by a function (None: not at all)."""

    def __init__(self, link: str, says: Says | None = None, server: str | None = None) -> None:
        self.saw: list[tuple[str, Any]] = []
        self._says = says
        self._base = server or link.partition("/login")[0]
        self._link = self._base + link[link.index("/login") :]
        self.loop = Loop()
        self.status = 0
        self._user: int | None = None
        self._room: int | None = None
        self.loop.run(self._come())

    async def _come(self) -> None:
        self._http = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(ssl=False)
        )
        async with self._http.get(self._link) as page:
            self.status = page.status
            await page.read()
        if self.status == 200:
            await self._connect()

    async def _connect(self) -> None:
        self._sio = socketio.AsyncClient(http_session=self._http, handle_sigint=False, reconnection=False)
        self._sio.on("joined_room", self._joined)
        for name in ("text_message", "image_message", "command", "status"):
            self._sio.on(name, self._hears(name))
        await self._sio.connect(self._base)

    async def _joined(self, data: Any) -> None:
        self._user, self._room = data["user"], data["room"]

    def _hears(self, name: str) -> Any:
        async def hear(data: Any) -> None:
            if data["user"]["id"] == self._user:
                return
            self.saw.append((name, data))
            if name == "text_message" and self._says is not None:
                answer = self._says(data["message"])
                if answer is not None:
                    await self._sio.emit("text", {"room": self._room, "message": answer})

        return hear

    @property
    def texts(self) -> list[str]:
        """The texts of the game master."""
        return [data["message"] for name, data in self.saw if name == "text_message"]

    def write(self, text: str) -> Any:
        return self.loop.run(self._sio.call("text", {"room": self._room, "message": text}, timeout=10))

    def command(self, word: str) -> Any:
        return self.loop.run(self._sio.call("message_command", {"room": self._room, "command": word}, timeout=10))

    def leave(self) -> None:
        self.loop.run(self._sio.disconnect())

    def come_back(self) -> None:
        """Reload the page: the cookie is still there."""
        self.loop.run(self._connect())

    def close(self) -> None:
        self.loop.run(self._end())
        self.loop.stop()

    async def _end(self) -> None:
        if self.status == 200:
            await self._sio.disconnect()
        await self._http.close()


class Doorman:
    """Takes what the operator is shown, and lets persons in by the links in it."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.persons: list[Person] = []
        self.scripts: list[Says | None] = []
        self.server: str | None = None

    def __call__(self, text: str) -> None:
        self.shown.append(text)
        found = LINK.search(text)
        if found and self.scripts:
            says = self.scripts.pop(0)
            threading.Thread(target=self._let_in, args=(found[0], says), daemon=True).start()

    def _let_in(self, link: str, says: Says | None) -> None:
        self.persons.append(Person(link, says, self.server))

    @property
    def links(self) -> list[str]:
        return [found[0] for text in self.shown if (found := LINK.search(text))]

    def expect(self, *scripts: Says | None) -> None:
        """Let as many persons in as there are scripts, in the order of the links."""
        self.scripts += scripts
