"""The system's Chromium, headless, driven by Playwright. Nothing is downloaded, and no address can be reached."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

# What `make browser` installs; CLEMCORE_CHROMIUM names another one.
PROGRAM = os.environ.get("CLEMCORE_CHROMIUM") or shutil.which("chromium") or ""


@dataclass
class Seen:
    """What a page did.

    Attributes:
        messages: what its console shows.
        requests: the addresses that it asked for; its own data is not among them.
    """

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Chromium:
    """A browser."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def page(self, width: int = 1280, height: int = 900, *, is_dark: bool = False) -> Iterator[tuple[Page, Seen]]:
        """Give a page in a context of its own, and what it does."""
        context: BrowserContext = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if is_dark else "light"
        )
        try:
            page = context.new_page()
            seen = Seen()
            page.on("console", lambda message: seen.messages.append(message.text))
            page.on("pageerror", lambda error: seen.messages.append(str(error)))
            page.on("request", lambda request: seen.requests.append(request.url))
            page.set_default_timeout(60_000)
            yield page, seen
        finally:
            context.close()


def opened(page: Page, address: str, fragment: str = "") -> None:
    """Go to a page of results, and wait until it shows what its address says."""
    page.goto(address + fragment)
    page.wait_for_selector("main[aria-busy=false]")


def moved(page: Page, fragment: str) -> float:
    """Go to another state of an open page of results; return the seconds until it is shown."""
    return float(page.evaluate(_UNTIL_SHOWN, fragment)) / 1000


_UNTIL_SHOWN = """(fragment) => new Promise((done) => {
    const begin = performance.now();
    const main = document.querySelector("#main");
    const look = new MutationObserver(() => {
        if (main.getAttribute("aria-busy") === "false") {
            look.disconnect();
            main.getBoundingClientRect();
            done(performance.now() - begin);
        }
    });
    look.observe(main, { attributes: true });
    location.hash = fragment;
})"""


# Not for a session: while Playwright drives a browser, other tests of the process cannot run loops of their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """A headless Chromium; where CI promises one (``CLEMCORE_CHROMIUM``), its absence is a failure."""
    if not PROGRAM:
        pytest.skip("no Chromium: install it with 'make browser', or name one in CLEMCORE_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield Chromium(browser)
        browser.close()
