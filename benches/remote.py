"""HTTP engines and clients against a loopback server that takes 200 ms: requests per second, CPU, memory.

Run: python benches/remote.py [--rounds N] [--markdown] [--peers FOLDER] [CLIENT …]
Every client runs in a process of its own, and so does the server. The peers are installed by uv into an environment
of their own in FOLDER (by default build/bench-peers/remote), which is kept; clemcore runs in that of this script.
The clients take turns, round by round. Of each, the highest rate, the least CPU time and the most memory of all
rounds are shown. What counts are the ratios to the bare engine (aiohttp) in the same run, and to the ideal: calls
at once divided by the latency.
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
# The clients, and the packages that they need.
CLIENTS = {
    "aiohttp": "aiohttp",
    "pyreqwest": "pyreqwest",
    "httpx2": "httpx2",
    "openai": "openai",
    "openai_on_aiohttp": "openai",
    "inspect_ai": "inspect-ai openai",
    "clemcore": "",
    "clemcore_on_openai": "",
    "clemcore_on_async_openai": "",
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
    packages = sorted({"httpx2", *(package for name in names for package in CLIENTS[name].split())})
    environment = {**os.environ, "VIRTUAL_ENV": str(folder)}
    subprocess.run([uv, "pip", "install", "--quiet", *packages], check=True, env=environment)
    return python


Figures = dict[str, float]
HEAD = ("client", "at once", "requests/s", "of ideal", "of aiohttp", "CPU ms/request", "to aiohttp", "RSS MiB")


def measure(python: Path, name: str, url: str, setting: tuple[int, int]) -> Figures | None:
    """Return the figures of one round, or None where the client failed."""
    script = Path(__file__).with_name("remote_clients.py")
    command = [str(python), str(script), name, url, *map(str, setting)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def best(rounds: list[Figures]) -> Figures:
    """Return the best rate, the least CPU time and the most memory of several rounds."""
    return {
        "requests_per_second": max(figures["requests_per_second"] for figures in rounds),
        "cpu_ms": min(figures["cpu_ms"] for figures in rounds),
        "rss_mib": max(figures["rss_mib"] for figures in rounds),
    }


def row(name: str, at_once: int, figures: Figures | None, bare: Figures | None) -> tuple[str, ...]:
    """Return a line of the table."""
    if figures is None:
        return (name, str(at_once), "failed", *("-" * 5))
    rate, cpu = figures["requests_per_second"], figures["cpu_ms"]
    return (
        name,
        str(at_once),
        f"{rate:.0f}",
        f"{rate * LATENCY / at_once:.0%}",
        "-" if bare is None else f"{rate / bare['requests_per_second']:.0%}",
        f"{cpu:.2f}",
        "-" if bare is None else f"{cpu / bare['cpu_ms']:.1f}",
        f"{figures['rss_mib']:.0f}",
    )


def show(cells: tuple[str, ...], *, markdown: bool) -> None:
    """Print a line of the table."""
    if markdown:
        print(f"| {' | '.join(cells)} |", flush=True)
    else:
        print("  ".join(f"{cell:>{max(len(head), 6)}}" for cell, head in zip(cells, HEAD, strict=True)), flush=True)


def main() -> None:
    """Print one row per client and setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/performance.md")
    parser.add_argument("--peers", type=Path, default=Path("build/bench-peers/remote"))
    options = parser.parse_args()
    names: list[str] = options.clients or list(CLIENTS)
    _many_files()
    has_peers = any(not name.startswith("clemcore") for name in names)
    peers = peers_python(options.peers.absolute(), names) if has_peers else Path(sys.executable)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/v1"
        show(HEAD, markdown=options.markdown)
        if options.markdown:
            show(("---",) * len(HEAD), markdown=True)
        for setting in SETTINGS:
            found: dict[str, list[Figures]] = {name: [] for name in names}
            failed: set[str] = set()
            for _ in range(options.rounds):
                for name in (name for name in names if name not in failed):
                    python = Path(sys.executable) if name.startswith("clemcore") else peers
                    figures = measure(python, name, url, setting)
                    if figures is None:
                        failed.add(name)
                    else:
                        found[name].append(figures)
            bare = best(found["aiohttp"]) if found.get("aiohttp") else None
            for name in names:
                figures = None if name in failed else best(found[name])
                show(row(name, setting[0], figures, bare), markdown=options.markdown)
    finally:
        ours.send("done")
        process.join()


if __name__ == "__main__":
    main()
