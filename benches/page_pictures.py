"""Takes the pictures of docs/pages.md: `python benches/page_pictures.py`. It needs Chromium (`make browser`).

The leaderboard is that of a synthetic run (pages.py); the episode is one of the game lineup with the mock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import CHROMIUM, make_runs

from clemcore.clemgame.pages.folder import write_folder

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "pictures"


def main() -> None:
    """Run as a command."""
    from playwright.sync_api import sync_playwright

    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        make_runs(folder / "synthetic", 2_000)
        environment = {**os.environ, "CLEMBENCH_HOME": str(ROOT / "examples" / "games")}
        clem = str(Path(sys.executable).parent / "clem")
        for command in (["run", "-g", "lineup", "-m", "mock"], ["score"]):
            subprocess.run([clem, *command], cwd=folder, env=environment, check=True, capture_output=True)
        many = write_folder([folder / "synthetic"], folder / "many").path.as_uri()
        one = write_folder([folder / "results"], folder / "one").path.as_uri()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, width, height, address, is_dark, opens in (
            ("leaderboard", 1280, 760, many, False, False),
            ("games", 800, 900, f"{many}#view=games", True, False),
            ("episode", 360, 760, f"{one}#view=episodes", False, True),
        ):
            scheme = "dark" if is_dark else "light"
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
            page = context.new_page()
            page.goto(address)
            page.wait_for_selector("main[aria-busy=false]")
            if opens:
                page.locator("tbody a").first.click()
                page.locator("summary >> text=Call 0").click()
            page.wait_for_timeout(1000)
            page.screenshot(path=OUT / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
