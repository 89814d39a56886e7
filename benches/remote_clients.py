"""One client of the bench in `remote.py`: sends chat requests at once, prints what they cost as a line of JSON.

Run by remote.py: python remote_clients.py CLIENT URL CONCURRENCY COUNT
Each client is given the same bodies and must show the text that the server made of the number in each. What counts
is the CPU time (user and system, all threads) over the batch; start-up and one call before it are not in.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Ask = Callable[[int], Awaitable[str]]
Close = Callable[[], Awaitable[None]]


def messages(number: int) -> list[dict[str, str]]:
    """A short dialogue that holds the request's number."""
    return [{"role": "system", "content": "You are a player. " * 20}, {"role": "user", "content": f"say {number}"}]


def body(number: int) -> dict[str, Any]:
    """The request body that every client sends."""
    return {"model": "m", "messages": messages(number), "temperature": 0.0, "max_tokens": 300}


def text_of(reply: Any) -> str:
    """The answer's text."""
    text: str = reply["choices"][0]["message"]["content"]
    return text


def make_aiohttp(url: str, limit: int) -> tuple[Ask, Close]:
    """The bare engine: bytes out, bytes in, JSON read."""
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit))

    async def ask(number: int) -> str:
        data = json.dumps(body(number)).encode()
        async with session.post(f"{url}/chat/completions", data=data) as response:
            return text_of(json.loads(await response.read()))

    return ask, session.close


def make_pyreqwest(url: str, limit: int) -> tuple[Ask, Close]:
    """An engine in Rust."""
    from pyreqwest.client import ClientBuilder

    client = ClientBuilder().max_connections(limit).build()

    async def ask(number: int) -> str:
        data = json.dumps(body(number)).encode()
        response = await client.post(f"{url}/chat/completions").body_bytes(data).build().send()
        return text_of(json.loads(bytes(await response.bytes())))

    return ask, client.close


def make_httpx2(url: str, limit: int) -> tuple[Ask, Close]:
    """The engine that the SDKs bring."""
    import httpx2

    limits = httpx2.Limits(max_connections=limit, max_keepalive_connections=limit)
    client = httpx2.AsyncClient(limits=limits, timeout=60)

    async def ask(number: int) -> str:
        data = json.dumps(body(number)).encode()
        return text_of(json.loads((await client.post(f"{url}/chat/completions", content=data)).content))

    return ask, client.aclose


def make_openai(url: str, _limit: int, transport: Any = None) -> tuple[Ask, Close]:
    """The official SDK's async client as it comes, or on another transport."""
    import httpx2
    import openai

    http = httpx2.AsyncClient(transport=transport) if transport is not None else None
    client = openai.AsyncOpenAI(api_key="none", base_url=url, http_client=http, max_retries=0)

    async def ask(number: int) -> str:
        chat: Any = client.chat.completions
        return str((await chat.create(**body(number))).choices[0].message.content)

    return ask, client.close


def make_openai_on_aiohttp(url: str, limit: int) -> tuple[Ask, Close]:
    """The official SDK over a transport that calls the bare engine: what the SDK itself costs."""
    import aiohttp
    import httpx2

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=limit))

    class Transport(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            async with session.post(str(request.url), data=await request.aread()) as response:
                headers = {"content-type": "application/json"}
                return httpx2.Response(response.status, headers=headers, content=await response.read())

    ask, close = make_openai(url, limit, Transport())

    async def close_both() -> None:
        await close()
        await session.close()

    return ask, close_both


def make_inspect_ai(url: str, limit: int) -> tuple[Ask, Close]:
    """`generate` of inspect_ai for an OpenAI-compatible server."""
    from inspect_ai.model import (
        ChatMessageSystem,
        ChatMessageUser,
        GenerateConfig,
        get_model,
    )

    config = GenerateConfig(max_connections=limit, temperature=0.0, max_tokens=300)
    model = get_model("openai-api/local/m", base_url=url, api_key="none", config=config)

    async def ask(number: int) -> str:
        system, user = messages(number)
        output = await model.generate(
            [ChatMessageSystem(content=system["content"]), ChatMessageUser(content=user["content"])]
        )
        return str(output.completion)

    async def close() -> None:
        return None

    return ask, close


MAKERS: dict[str, Callable[[str, int], tuple[Ask, Close]]] = {
    "aiohttp": make_aiohttp,
    "pyreqwest": make_pyreqwest,
    "httpx2": make_httpx2,
    "openai": make_openai,
    "openai_on_aiohttp": make_openai_on_aiohttp,
    "inspect_ai": make_inspect_ai,
}


class Meter:
    """CPU and wall seconds of the code inside."""

    def __enter__(self) -> Meter:
        self._cpu, self._wall = _cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu, self.wall = _cpu_seconds() - self._cpu, time.perf_counter() - self._wall


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def run_peer(name: str, url: str, concurrency: int, count: int) -> tuple[Meter, list[str]]:
    """Send all requests, as many at once as allowed."""
    ask, close = MAKERS[name](url, concurrency)
    gate = asyncio.Semaphore(concurrency)

    async def one(number: int) -> str:
        async with gate:
            return await ask(number)

    await one(0)
    with Meter() as meter:
        texts = await asyncio.gather(*(one(number) for number in range(count)))
    await close()
    return meter, texts


def run_clemcore(name: str, url: str, concurrency: int, count: int) -> tuple[Meter, list[str]]:
    """The batch of clemcore itself, every call recorded; also through a client of the openai package."""
    from clemcore import backends

    client: Any = None
    if name != "clemcore":
        import openai

        made: Any = openai.AsyncOpenAI if name == "clemcore_on_async_openai" else openai.OpenAI
        client = made(api_key="none", base_url=url)

    config = {"requires_api_key": False, "max_connections": concurrency}
    entry = {"model_name": "m", "backend": "openai_compatible", "model_id": "m", "base_url": url}
    model: Any = backends.get_model_for({**entry, "model_config": config}, client=client)
    with tempfile.TemporaryDirectory() as folder, backends.record(f"{folder}/requests.json") as recorder:
        model.generate_response(messages(0))
        batch = [messages(number) for number in range(count)]
        with Meter() as meter:
            replies = model.generate_batch_response(batch)
        written = json.loads(Path(recorder.path).read_text())
        if len(written) != count + 1:
            raise SystemExit(f"{len(written)} calls in the record instead of {count + 1}")
    return meter, [reply[2] for reply in replies]


def main() -> None:
    """Run one client and print its figures."""
    name, url, concurrency, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if name.startswith("clemcore"):
        meter, texts = run_clemcore(name, url, concurrency, count)
    else:
        meter, texts = asyncio.run(run_peer(name, url, concurrency, count))
    if texts != [f"said {number}" for number in range(count)]:
        raise SystemExit("answers are missing or in the wrong places")
    figures = {
        "requests_per_second": count / meter.wall,
        "cpu_ms": meter.cpu / count * 1000,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
