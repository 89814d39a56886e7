"""`clem serve`: each client gets a stream of episodes; those that leave, flood it or are strangers are ended."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette")
pytest.importorskip("websockets")

from starlette.testclient import TestClient
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from clemcore.clemgame import ClemGameAction, ClemGameEnv
from clemcore.clemgame.envs.openenv.server.access import checked_token, name_in, names_of, shown_name
from clemcore.clemgame.envs.openenv.server.app import create_clemv_app
from clemcore.clemgame.envs.openenv.server.environment import ClemGameEnvironment
from clemcore.clemgame.envs.openenv.server.sessions import Limits
from clemcore.errors import EnvError
from support.clem import CLEM, Clem
from support.environments import write_guessing
from support.models import REPOSITORY

TOKEN = "a-token-for-tests-only"


class Server:
    """A running `clem serve`."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        self.plain = f"http://{urlsplit(url).netloc.rpartition('@')[2]}"

    def client(self) -> ClemGameEnv:
        return ClemGameEnv(self.url)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Send a request, by default with the token."""
        sent = {"Authorization": f"Bearer {urlsplit(self.url).password}"} | headers
        request = urllib.request.Request(self.plain + path, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    @property
    def clients(self) -> int:
        return int(json.loads(self.get("/metadata")[1])["clients"])

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the server has not done it in time"
            time.sleep(0.02)


def serving(folder: Path, *options: str, **environment: str) -> Server:
    command = [CLEM, "serve", "-g", "guessing", "--port", "0", *options]
    if "-e" not in options:
        command += ["-e", "player_1=mock"]
    process = subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "is served at" in line, line + process.stderr.read()
    return Server(process, line.split()[-1])


def stopped(server: Server) -> str:
    server.process.send_signal(signal.SIGINT)
    _, said = server.process.communicate(timeout=20)
    return said


def end_of(socket: Any, messages: list[str]) -> str:
    """Send messages without waiting for answers, and return how the server ends the connection."""
    try:
        for message in messages:
            socket.send(message)
        while True:
            socket.recv(timeout=10)
    except ConnectionClosed as ended:
        return str(ended)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    write_guessing(tmp_path)
    running: list[Server] = []

    def serve(*options: str, **environment: str) -> Server:
        running.append(serving(tmp_path, *options, **environment))
        return running[-1]

    yield serve
    for server in running:
        assert "Traceback" not in stopped(server)


def said(text: str) -> ClemGameAction:
    return ClemGameAction(response=text)


def files(folder: Path, name: str) -> list[Path]:
    return list(folder.glob(f"openenv-records/**/{name}"))


@pytest.mark.slow
def test_two_hundred_clients_play_at_once_and_those_that_leave_are_ended(
    served: Callable[..., Server], tmp_path: Path
) -> None:
    server = served("--seed", "1", "--reward", "turn_score")

    async def plays(number: int) -> list[Any]:
        async with server.client() as env:
            first = await env.reset()
            every.append(1)
            while len(every) < 200:  # all are there before anybody goes on
                await asyncio.sleep(0.01)
            if number % 2:  # it leaves midway, without a word
                await env.step(said("x"))
                env._socket.transport.abort()
                return []
            game_id = first.observation.metadata["game_id"]
            second = await env.step(said("x"))
            last = await env.step(said(str(game_id)))
            state = await env.state()
            return [second.reward, last.reward, last.done, state.step_count, state.episode_count, game_id]

    async def play() -> list[list[Any]]:
        return list(await asyncio.gather(*(plays(number) for number in range(200))))

    every: list[int] = []
    found = [each for each in asyncio.run(play()) if each]
    assert [each[:5] for each in found] == [[10, 20, True, 2, 1]] * 100
    assert len({each[5] for each in found}) > 1, "clients have seeds of their own"
    server.wait_for(lambda: server.clients == 0)
    server.wait_for(lambda: len(files(tmp_path, "error.json")) == 100)
    assert all("was abandoned" in path.read_text() for path in files(tmp_path, "error.json"))
    assert len(files(tmp_path, "completed.json")) == len(files(tmp_path, "interactions.json")) == 100


def test_a_client_plays_a_stream_that_its_seed_decides(served: Callable[..., Server]) -> None:
    server = served()
    streams = []
    for _ in range(2):
        with server.client().sync() as env:
            games: list[int] = []
            heard: list[str] = []
            for _ in range(3):
                first = env.reset(seed=5) if not games else env.reset()
                games.append(first.observation.metadata["game_id"])
                heard.append(env.step(said("x")).observation.context["content"])
            streams.append((games, heard))
            assert env.state().episode_count == 3
            assert env.reset(game_id=4, episode_id="mine").observation.metadata["game_id"] == 4
            assert env.state().episode_id == "mine"
    assert streams[0] == streams[1]


def test_strangers_are_refused_before_they_are_heard(served: Callable[..., Server]) -> None:
    server = served(CLEMV_TOKEN=TOKEN)
    host = urlsplit(server.url)
    assert server.url == f"http://clem:{TOKEN}@127.0.0.1:{host.port}"
    assert server.get("/health", Authorization="") == (200, '{"status":"healthy"}')
    assert server.get("/metadata")[0] == 200
    basic = base64.b64encode(f"x:{TOKEN}".encode()).decode()
    assert server.get("/schema", Authorization=f"Basic {basic}")[0] == 200
    wrong = ("", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Basic ???", f"Token {TOKEN}", "Bearer é")
    for authorization in wrong:
        status, told = server.get("/metadata", Authorization=authorization.encode().decode("latin-1"))
        assert status == 401
        assert "The token is missing or wrong" in told
        assert TOKEN not in told
    for name in ("evil.example", f"evil.example:{host.port}", "127.0.0.1.evil.example", ""):
        assert server.get("/metadata", Host=name)[0] in (400, 421), name
        assert server.get("/health", Host=name)[0] in (400, 421), name
    assert server.get("/metadata", Host=f"localhost:{host.port}")[0] == 200
    assert server.get("/metadata", Origin="https://evil.example")[0] == 403
    assert server.get("/reset")[0] == 426
    for url, told in ((server.plain, "401"), (server.plain.replace("//", "//clem:wrong@"), "401")):
        with pytest.raises(ConnectionError, match=told), ClemGameEnv(url).sync():
            pass
    with pytest.raises(ConnectionError, match="cannot be reached"), ClemGameEnv("http://127.0.0.1:9").sync():
        pass
    assert not [each for each in threading.enumerate() if each.name == "clemcore-client"]
    with ClemGameEnv(server.plain, token=TOKEN).sync() as env:
        assert env.reset(seed=1).observation.context["role"] == "user"
    server.wait_for(lambda: server.clients == 0)


def talk(server: Server) -> Any:
    headers = {"Authorization": f"Bearer {urlsplit(server.url).password}"}
    return connect(f"{server.plain.replace('http', 'ws')}/ws", additional_headers=headers, proxy=None)


def test_a_client_that_floods_the_server_is_let_go_and_others_are_served(served: Callable[..., Server]) -> None:
    server = served()
    with server.client().sync() as other:
        first = other.reset(seed=1)
        with talk(server) as socket:
            assert "1008" in end_of(socket, ['{"type": "state"}'] * 5000)
        with talk(server) as socket:
            for _ in range(9):
                socket.send("{")
                assert json.loads(socket.recv(timeout=5))["data"]["code"] == "INVALID_JSON"
            assert "1008" in end_of(socket, ["{"])
        with talk(server) as socket:
            assert "1009" in end_of(socket, ["x" * 2_000_000])
        assert other.reset(seed=1) == first
    server.wait_for(lambda: server.clients == 0)


@pytest.mark.parametrize(
    ("message", "code", "told"),
    [
        ("[]", "INVALID_JSON", "must be a JSON object"),
        ('{"type": "jump"}', "UNKNOWN_TYPE", "no message of type 'jump': use reset, step, state or close"),
        ('{"type": "step", "data": {"response": "x"}}', "EXECUTION_ERROR", r"no episode has begun: call reset\(\)"),
        (
            '{"type": "step", "data": {"response": 3}}',
            "VALIDATION_ERROR",
            "response: Input should be a valid string",
        ),
        (
            '{"type": "step", "data": {"answer": "x"}}',
            "VALIDATION_ERROR",
            "response: Field required; answer: Extra",
        ),
        ('{"type": "reset", "data": {"sed": 3}}', "VALIDATION_ERROR", "no option 'sed'; did you mean 'seed'"),
        ('{"type": "reset", "data": {"seed": -1}}', "VALIDATION_ERROR", "'seed' of reset cannot be -1"),
        ('{"type": "reset", "data": {"game_id": 99}}', "EXECUTION_ERROR", "no instance with the game_id 99"),
        ('{"type": "reset", "data": 3}', "VALIDATION_ERROR", "'data' must be an object"),
    ],
)
def test_what_a_client_says_wrong_is_told(
    message: str, code: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with application(tmp_path, monkeypatch) as client, client.websocket_connect("ws://localhost/ws") as socket:
        socket.send_text(message)
        answer = socket.receive_json()
        assert answer["type"] == "error"
        assert answer["data"]["code"] == code
        assert pytest.importorskip("re").search(told, answer["data"]["message"]), answer
        socket.send_json({"type": "reset", "data": {"seed": 1}})
        assert socket.receive_json()["type"] == "observation"  # the client goes on


def application(folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> TestClient:
    monkeypatch.chdir(folder)
    if not (folder / "guessing").exists():
        write_guessing(folder)
    given: dict[str, Any] = {"learner_agent": "player_0", "env_agents": {"player_1": "mock"}, "token": TOKEN}
    app = create_clemv_app("guessing", **(given | options))
    return TestClient(app, base_url="http://localhost", headers={"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_late_answer_is_not_taken_for_the_next_one(is_cancelled: bool) -> None:
    async def answer(socket: ServerConnection) -> None:
        number = 0
        async for text in socket:
            number += 1
            kind = json.loads(text)["type"]
            if kind == "step":
                await asyncio.sleep(0.3)
            seen = {"context": {"role": "user", "content": f"{number} {kind}"}}
            data = {"observation": seen, "reward": None, "done": False}
            await socket.send(json.dumps({"type": "observation", "data": data}))

    async def played() -> list[Any]:
        async with serve(answer, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            seconds = 60 if is_cancelled else 0.1
            async with ClemGameEnv(f"http://127.0.0.1:{port}", message_timeout_s=seconds) as env:
                await env.reset()
                with pytest.raises((TimeoutError, asyncio.TimeoutError)) as late:
                    await asyncio.wait_for(env.step(said("a")), 0.1 if is_cancelled else 60)
                await asyncio.sleep(0.4)
                return [str(late.value), (await env.reset()).observation.context["content"]]

    told, content = asyncio.run(played())
    assert content == "1 reset"
    assert is_cancelled or "has not answered for 0.1 s, so the episode is given up" in told


def test_a_connection_that_has_ended_is_told_and_made_again() -> None:
    async def answer(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"type": "error", "data": {"message": "too quiet", "code": "SESSION_ERROR"}}))

    async def played() -> list[str]:
        told = []
        async with serve(answer, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with ClemGameEnv(f"http://127.0.0.1:{port}") as env:
                for _ in range(3):
                    with pytest.raises((RuntimeError, ConnectionError)) as refused:
                        await env.reset()
                    told.append(str(refused.value))
                    await asyncio.sleep(0.1)
        return told

    first, second, third = asyncio.run(played())
    assert "too quiet" in first
    assert "has ended the connection, and the episode with it" in second
    assert third == first


def test_what_a_client_is_told_without_a_server() -> None:
    env = ClemGameEnv("http://127.0.0.1:9").sync()
    with pytest.raises(ConnectionError, match="cannot be reached"):
        env.reset()
    env.close()
    with pytest.raises(EnvError, match="the client is closed: make another one"):
        env.reset()
    with pytest.raises(EnvError, match=r"must be a ClemGameAction.*, not 'x'"):
        ClemGameEnv("http://127.0.0.1:9")._step_payload("x")  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"data": {"time_limit": 0.05}}])
def test_an_episode_ends_when_its_time_is_over(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(time_limit=None if options else 0.05)
    with (
        application(tmp_path, monkeypatch, limits=limits) as client,
        client.websocket_connect("ws://localhost/ws") as socket,
    ):
        socket.send_json({"type": "reset", **options})
        socket.receive_json()
        time.sleep(0.3)
        socket.send_json({"type": "step", "data": {"response": "x"}})
        data = socket.receive_json()["data"]
        assert data["done"]
        facts = data["observation"]["metadata"]
        assert facts["truncated"]
        assert facts["truncated_by"] == "time_limit"


def test_silent_clients_and_those_that_are_too_many_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(max_clients=1, idle_timeout=0.3)
    with application(tmp_path, monkeypatch, limits=limits) as client:
        with client.websocket_connect("ws://localhost/ws") as first:
            first.send_json({"type": "reset"})
            first.receive_json()
            with client.websocket_connect("ws://localhost/ws") as second:
                assert second.receive_json()["data"]["code"] == "CAPACITY_REACHED"
            assert "no message for 0.3 s" in first.receive_json()["data"]["message"]
        with client.websocket_connect("ws://localhost/ws") as third:
            third.send_json({"type": "reset"})
            assert third.receive_json()["type"] == "observation"


def test_a_single_pass_ends_and_a_game_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        application(tmp_path, monkeypatch, single_pass=True) as client,
        client.websocket_connect("ws://localhost/ws") as socket,
    ):
        for number in range(6):
            socket.send_json({"type": "reset"})
            assert socket.receive_json()["data"]["observation"]["metadata"]["game_id"] == number
        socket.send_json({"type": "step", "data": {"response": "break"}})
        assert "RuntimeError: the game broke" in socket.receive_json()["data"]["message"]
        socket.send_json({"type": "reset"})
        assert "every instance has been played" in socket.receive_json()["data"]["message"]


def test_settings_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_guessing(tmp_path)
    with pytest.raises(EnvError, match=r"game_name and learner_agent must be given.* CLEMV_GAME and CLEMV_LEARNER"):
        create_clemv_app()
    settings = {
        "CLEMV_GAME": "guessing",
        "CLEMV_LEARNER_AGENT": "player_1",
        "CLEMV_ENV_AGENTS": "player_0=mock",
        "CLEMV_SINGLE_PASS": "true",
        "CLEMV_TOKEN": TOKEN,
        "CLEMV_RESULTS_DIR": "kept",
        "CLEMV_RUN_ID": "mine",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with (
        TestClient(create_clemv_app(), base_url="http://127.0.0.1", headers=headers) as client,
        client.websocket_connect("ws://localhost/ws") as socket,
    ):
        socket.send_json({"type": "reset"})
        assert socket.receive_json()["data"]["observation"]["context"]["content"].startswith("heard ")
    assert (tmp_path / "kept" / "mine" / "guessing" / "easy" / "episode_00001" / "error.json").exists()
    monkeypatch.setenv("CLEMV_TOKEN", "short")
    with pytest.raises(EnvError, match="at least 16 printable ASCII"):
        create_clemv_app()
    with pytest.raises(AssertionError, match="player_0"):
        create_clemv_app(env_agents={}, token=TOKEN)
    with pytest.raises(EnvError, match="no split 'trian'; did you mean 'train'"):
        create_clemv_app(game_instance_split="trian", token=TOKEN)


def test_a_split_keeps_its_instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(*given: Any, split: str) -> list[dict[str, Any]]:
        asked.append((*given, split))
        return [{"game": "guessing", "experiment": "easy", "task_id": number} for number in ("3", "5")]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    options = {"game_instance_split": "validation", "single_pass": True}
    with (
        application(tmp_path, monkeypatch, **options) as client,
        client.websocket_connect("ws://localhost/ws") as socket,
    ):
        found = []
        for _ in range(2):
            socket.send_json({"type": "reset"})
            found.append(socket.receive_json()["data"]["observation"]["metadata"]["game_id"])
    assert found == [3, 5]
    assert asked == [("colab-potsdam/playpen-data", "instances", "validation")]
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(EnvError, match="pip install datasets"):
        application(tmp_path, monkeypatch, **options)


def test_the_environment_of_one_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_guessing(tmp_path)
    env = ClemGameEnvironment("guessing", env_agents={"player_1": "mock"})
    assert env.reset(game_id=2).context["content"] == "Guess the number of 2."
    seen = env.step(said("2"))
    assert (seen.done, seen.reward, seen.metadata["truncated"]) == (True, 1.0, False)
    assert (env.state.step_count, env.state.episode_id) == (1, "episode_1")
    env.close()


def test_names_and_tokens() -> None:
    assert names_of("::", ["Trainer.example"]) == {"localhost", "127.0.0.1", "::1", "trainer.example"}
    assert "10.0.0.5" in names_of("10.0.0.5")
    assert name_in("[::1]:80") == "::1"
    for host in ("0.0.0.0", "::", "10.0.0.5", "here"):  # clients use the address that is printed  # noqa: S104
        for more in ([], ["trainer.example"]):
            assert shown_name(host, more) in names_of(host, more)
    for token in ("", "short", "has spaces in it, sixteen", "ünïcödé-tokens-are-bad"):
        with pytest.raises(EnvError, match="the token must have"):
            checked_token(token)


def test_a_command_that_cannot_serve_says_why(clem: Clem, tmp_path: Path) -> None:
    write_guessing(Path())
    assert "needs agents that the mapping does not have: player_1: give each" in clem.fails(
        "serve", "-g", "guessing", "--port", "0", status=2
    )
    assert "guessing has no agent 'player_9'. Its agents are player_0, player_1" in clem.fails(
        "serve", "-g", "guessing", "-l", "player_9", "--port", "0", status=2
    )
    assert "--no-token is for a local --host only" in clem.fails(
        "serve", "-g", "guessing", "--no-token", "--host", "10.0.0.5", status=2
    )
    assert "no reward 'scor'; did you mean 'score'" in clem.fails(
        "serve", "-g", "guessing", "-e", "player_1=mock", "--reward", "scor", "--port", "0", status=2
    )
    assert "not of the form key=value; write NAME=VALUE" in clem.fails(
        "serve", "-g", "guessing", "-e", "player_1", status=2
    )


def test_the_container_file_uses_flags_that_exist() -> None:
    import re
    import shlex

    from clemcore.cli.serving import serve

    text = (REPOSITORY / "examples" / "serve" / "Dockerfile").read_text()
    command = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)[0])
    assert command[:2] == ["clem", "serve"]
    known = {name for parameter in serve.params for name in parameter.opts}
    assert {word for word in command if word.startswith("-")} <= known
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in shlex.split(copied):
            assert (REPOSITORY / source).exists(), source
