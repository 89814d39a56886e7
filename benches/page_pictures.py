"""Takes the pictures of docs/pages.md: `python benches/page_pictures.py`. It needs Chromium (`make browser`).

The leaderboard and the errors are those of a synthetic run (pages.py). The other pictures show the games of
`examples/games`, played by the mock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pages import CHROMIUM, make_runs

from clemcore.clemgame.pages.folder import write_folder

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "pictures"
GAMES = ("lineup", "spot_the_change", "word_dominoes")
# Bytes of a picture.
LARGEST = 120_000


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of the file.
        size: width and height of the window, in pixels.
        run: which page: that of the synthetic run, or that of the games.
        view: the address within the page.
        is_dark: whether the page is dark.
        opens: whether the first episode of a list is opened, with its first call.
    """

    name: str
    size: tuple[int, int]
    run: str
    view: str = "view=table"
    is_dark: bool = False
    opens: bool = False


PICTURES = (
    Picture("leaderboard", (1280, 500), "many"),
    Picture("games", (1280, 720), "one", "view=games"),
    Picture("errors", (768, 420), "many", "view=errors", is_dark=True),
    Picture("episode", (768, 900), "one", "view=episodes", opens=True),
    Picture("leaderboard-narrow", (360, 720), "many", is_dark=True),
    Picture("episode-narrow", (360, 720), "one", "view=episodes", opens=True),
)


def main() -> None:
    """Run as a command."""
    from playwright.sync_api import sync_playwright

    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        pages = _pages(Path(temporary))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for each in PICTURES:
            width, height = each.size
            scheme = "dark" if each.is_dark else "light"
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            page.goto(f"{pages[each.run]}#{each.view}")
            page.wait_for_selector("main[aria-busy=false]")
            if each.opens:
                page.locator("tbody a").first.click()
                page.locator("summary >> text=Call 0").click()
                page.locator(".round").first.scroll_into_view_if_needed()
            page.wait_for_timeout(1000)
            path = OUT / f"{each.name}.png"
            page.screenshot(path=path)
            if (size := path.stat().st_size) > LARGEST:
                raise SystemExit(f"{path} has {size:,} bytes, more than {LARGEST:,}: make its window smaller")
            context.close()
        browser.close()


def _pages(folder: Path) -> dict[str, str]:
    """Write the two pages and return their addresses."""
    make_runs(folder / "synthetic", 2_000)
    environment = {**os.environ, "CLEMBENCH_HOME": str(ROOT / "examples" / "games")}
    clem = str(Path(sys.executable).parent / "clem")
    for command in (*(["run", "-g", game, "-m", "mock"] for game in GAMES), ["score"]):
        subprocess.run([clem, *command], cwd=folder, env=environment, check=True, capture_output=True)
    return {
        name: write_folder([folder / results], folder / name).path.as_uri()
        for name, results in (("many", "synthetic"), ("one", "results"))
    }


if __name__ == "__main__":
    main()
