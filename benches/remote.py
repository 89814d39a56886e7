"""HTTP engines and clients against a loopback server that takes 200 ms: requests per second, CPU, memory.

Run: python benches/remote.py [--rounds N] [--peers FOLDER] [CLIENT …]
Every client runs in a process of its own, and so does the server. The peers are installed by uv into an environment
of their own in FOLDER (by default build/bench-peers), which is kept; clemcore runs in this script's environment.
The figures are those of the best round by CPU time; ratios between clients are what counts, not the seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

LATENCY = 0.2
CLIENTS = {
    "aiohttp": "aiohttp",
    "pyreqwest": "pyreqwest",
    "httpx2": "httpx2",
    "openai": "openai",
    "openai_on_aiohttp": "openai",
    "inspect_ai": "inspect-ai",
    "clemcore": "",
}
SETTINGS = ((100, 1000), (1000, 1000))
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Server(asyncio.Protocol):
    """Answers each request of a connection after the latency, from the number that it holds."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self.transport: Any = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer once the whole request is there."""
        self.buffer += data
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        if not _:
            return
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        number = rest[:length].rsplit(b"say ", 1)[1].split(b'"')[0].decode()
        self.schedule(number)

    def schedule(self, number: str) -> None:
        """Answer when the latency is over."""
        asyncio.get_running_loop().call_later(LATENCY, self.answer, number)

    def answer(self, number: str) -> None:
        """Write a chat completion."""
        message = {"role": "assistant", "content": f"said {number}"}
        body = {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
        }
        data = json.dumps(body).encode()
        if not self.transport.is_closing():
            self.transport.write(_HEAD % len(data) + data)


def serve(pipe: Connection, protocol: type[Server] = Server) -> None:
    """Run the server until the client side says that it is done."""
    _many_files()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=2048)
        pipe.send(server.sockets[0].getsockname()[1])
        await loop.run_in_executor(None, pipe.recv)
        server.close()

    asyncio.run(run())


def _many_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))


def peers_python(folder: Path, names: list[str]) -> Path:
    """Make the peers' environment where it is missing."""
    python = folder / "bin" / "python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    packages = sorted({*(CLIENTS[name] for name in names), "httpx2"} - {""})
    environment = {**os.environ, "VIRTUAL_ENV": str(folder)}
    subprocess.run([uv, "pip", "install", "--quiet", *packages], check=True, env=environment)
    return python


def measure(python: Path, name: str, url: str, setting: tuple[int, int], rounds: int) -> dict[str, float] | None:
    """Return the figures of the round that cost the least CPU, or None where the client failed."""
    script = Path(__file__).with_name("remote_clients.py")
    found = []
    for _ in range(rounds):
        command = [str(python), str(script), name, url, *map(str, setting)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode:
            print(done.stderr[-2000:], file=sys.stderr)
            return None
        found.append(json.loads(done.stdout.splitlines()[-1]))
    best: dict[str, float] = min(found, key=lambda figures: figures["cpu_ms"])
    return best


def main() -> None:
    """Print one row per client and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=Path("build/bench-peers"))
    options = parser.parse_args()
    names: list[str] = options.clients or list(CLIENTS)
    _many_files()
    peers = peers_python(options.peers.absolute(), names) if set(names) != {"clemcore"} else Path(sys.executable)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/v1"
        print("client             at once  requests/s  of ideal  CPU ms/request  RSS MiB")
        for setting in SETTINGS:
            for name in names:
                row = measure(
                    Path(sys.executable) if name == "clemcore" else peers, name, url, setting, options.rounds
                )
                if row is None:
                    print(f"{name:18} {setting[0]:7}  failed")
                    continue
                rate = row["requests_per_second"]
                print(
                    f"{name:18} {setting[0]:7}  {rate:10.0f}  {rate * LATENCY / setting[0]:8.0%}"
                    f"  {row['cpu_ms']:14.2f}  {row['rss_mib']:7.0f}",
                    flush=True,
                )
    finally:
        ours.send("done")
        process.join()


if __name__ == "__main__":
    main()
