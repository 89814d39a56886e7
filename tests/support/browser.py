"""A headless Chromium, driven by its own protocol (CDP) as a person would use it."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from support.slurk import Loop

# slurk's page takes a library from a CDN, which a test does not reach for; nothing that is tested needs it.
STANDS_IN = "window.showdown = {Converter: function () {}};"


class Browser:
    """One page of one browser.

    Attributes:
        errors: what scripts of the page have failed with.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self.errors: list[str] = []
        self._folder = folder / "profile"
        arguments = ["--no-sandbox", "--remote-debugging-port=0", f"--user-data-dir={self._folder}", "about:blank"]
        self._process = subprocess.Popen(
            [program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._loop = Loop()
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._sent = 0

    def __enter__(self) -> Browser:
        self._run(self._connect())
        for domain in ("Page", "Runtime", "Network"):
            self._call(f"{domain}.enable")
        self._call("Emulation.setFocusEmulationEnabled", enabled=True)
        self._call("Network.setBlockedURLs", urls=["*cdn.jsdelivr*"])
        self._call("Page.addScriptToEvaluateOnNewDocument", source=STANDS_IN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._run(self._http.close())
        self._loop.stop()
        self._process.terminate()
        self._process.wait(10)

    def open(self, url: str) -> None:
        """Go to an address, also to the one that is shown."""
        self._call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && document.getElementById('text') !== null")

    def value(self, expression: str) -> Any:
        """Return what an expression is worth on the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true on the page."""
        end = time.monotonic() + 15
        while self.value(f"Boolean({expression})") is not True:
            assert time.monotonic() < end, f"{expression} is not true on the page; {self.errors}"
            time.sleep(0.05)

    def type(self, text: str) -> None:
        """Type a text where the cursor is."""
        self._call("Input.insertText", text=text)

    def enter(self, shift: bool = False) -> None:
        """Press Enter."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "modifiers": 8 if shift else 0}
        self._call("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self._call("Input.dispatchKeyEvent", type="keyUp", **key)

    def picture(self, path: Path) -> None:
        """Take a picture of the page."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(work)

    def _call(self, method: str, **parameters: Any) -> Any:
        return self._run(self._send(method, parameters))

    async def _connect(self) -> None:
        self._http = aiohttp.ClientSession()
        written = self._folder / "DevToolsActivePort"
        while not written.exists() or len(written.read_text().splitlines()) < 1:
            await asyncio.sleep(0.05)
        port = written.read_text().splitlines()[0]
        async with self._http.get(f"http://127.0.0.1:{port}/json") as reply:
            targets = await reply.json()
        page = next(target for target in targets if target["type"] == "page")
        self._socket = await self._http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._replies.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(told["params"]["exceptionDetails"]))

    async def _send(self, method: str, parameters: dict[str, Any]) -> Any:
        self._sent += 1
        reply = self._replies[self._sent] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        told = await reply
        assert "error" not in told, told
        return told["result"]
