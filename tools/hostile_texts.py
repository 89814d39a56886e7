"""Put the texts of public collections into every field of results, and look at the pages in Chromium.

::

    python tools/hostile_texts.py FILE... [--every N] [--work FOLDER] [--tex PROGRAM]

Each line of a file is a text. Lists of XSS payloads are meant, such as those of ``payloadbox/xss-payload-list``.
Each text is the name of a game, an experiment, a player and a key, and it is a prompt, an answer, an error and so
on. Every view and every episode of the page is opened, and a transcript with all texts, also as Markdown. It is a
fault if a dialog opens, the policy of a page has to stop something, a request leaves, or an element appears that no
template has. With ``--tex``, such as ``lualatex``, the transcripts are compiled, too. The exit status is 1 if there
is a fault.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from clemcore.clemgame.pages.folder import write_folder
from clemcore.clemgame.transcripts.builder import build_tex, build_transcript
from support.chromium import PROGRAM, Chromium, moved, opened
from support.shown_runs import Texts, folder_of, interactions_of, name_of, write_run

# Texts of one page, and of one transcript.
_TEXTS = 100
_VIEWS = ("table", "games", "episodes", "instances", "errors", "search", "about")
_STATES = ("played", "played", "error", "limit")
_TAGS = "[...new Set([...document.querySelectorAll('body *')].map((each) => each.localName))]"
_OF_TEMPLATES = """[...new Set([...document.querySelectorAll('template')].flatMap((each) =>
    [...each.content.querySelectorAll('*')].map((inner) => inner.localName))
    .concat([...document.querySelectorAll('body *')].map((each) => each.localName), ['option', 'tr']))]"""
_OPEN = "for (const each of document.querySelectorAll('main details')) each.open = true"
# Elements that Markdown makes of a text, such as a list or a table.
_OF_MARKDOWN = {
    "p",
    "em",
    "strong",
    "del",
    "code",
    "pre",
    "blockquote",
    "ul",
    "ol",
    "li",
    "hr",
    "br",
    "table",
    "thead",
}
_OF_MARKDOWN |= {"tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6"}


def texts_of(paths: Sequence[Path]) -> list[str]:
    """Return the lines of files, each once."""
    lines = (line for path in paths for line in path.read_bytes().decode("utf-8", "replace").splitlines())
    return list(dict.fromkeys(line for line in lines if line.strip()))


def check_page(texts: Sequence[str], folder: Path, browser: Chromium) -> Iterator[str]:
    """Write the page of a run with texts in every field, open all of it, and give what is wrong."""
    episodes = [
        Texts(name_of(text), name_of(text), text, text, text, at, state=_STATES[at % len(_STATES)])
        for at, text in enumerate(texts)
    ]
    for each, text in zip(episodes, texts, strict=True):
        each.scores |= {text: text}
    write_run(folder / "results" / folder_of(texts[0]), episodes)
    page_file = write_folder([folder / "results"], folder / "page").path
    with browser.page() as (page, seen):
        page.on("dialog", lambda dialog: (seen.messages.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        opened(page, page_file.as_uri())
        written = set(page.evaluate(_OF_TEMPLATES))
        for view in _VIEWS:
            opened(page, page_file.as_uri(), f"#view={view}&q=a")
            yield from (f"{view}: <{tag}>" for tag in set(page.evaluate(_TAGS)) - written)
        opened(page, page_file.as_uri(), "#view=episodes")
        places = page.eval_on_selector_all("tbody tr th a", "(all) => all.map((each) => each.hash)")
        if len(places) != len(texts):
            yield f"{len(places)} episodes are listed, and not {len(texts)}"
        for text, place in zip(texts, places, strict=False):
            moved(page, place)
            page.evaluate(_OPEN)
            page.evaluate(_OPEN)
            yield from (f"{text!r}: <{tag}>" for tag in set(page.evaluate(_TAGS)) - written)
        yield from _acts(seen, page_file.parent)


def check_transcripts(texts: Sequence[str], folder: Path, browser: Chromium, tex: str) -> Iterator[str]:
    """Write transcripts with texts in every field, open them, and give what is wrong."""
    for is_markdown in (False, True):
        written = _interactions(["text"], is_markdown=is_markdown)
        allowed = {*_tags(build_transcript(written), folder, browser)[0]} | (_OF_MARKDOWN if is_markdown else set())
        found, problems = _tags(build_transcript(_interactions(texts, is_markdown=is_markdown)), folder, browser)
        yield from problems
        yield from (f"transcript of {texts[0]!r}…: <{tag}>" for tag in found - allowed)
    if tex:
        (folder / "transcript.tex").write_text(build_tex(_interactions(texts)), encoding="utf-8", errors="replace")
        command = [tex, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "transcript.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)  # noqa: S603 - named by its user
        if done.returncode:
            errors = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("!")]
            yield f"{tex}: {texts[0]!r}…: {'; '.join(errors)}"


def _interactions(texts: Sequence[str], *, is_markdown: bool = False) -> dict[str, Any]:
    all_of_them = [interactions_of(Texts(text, text, text, text, text), is_markdown) for text in texts]
    joined = all_of_them[0]
    joined["turns"] = [turn for each in all_of_them for turn in each["turns"]]
    return joined


def _tags(page_text: str, folder: Path, browser: Chromium) -> tuple[set[str], list[str]]:
    file = folder / "transcript.html"
    file.write_text(page_text, encoding="utf-8")
    with browser.page() as (page, seen):
        page.on("dialog", lambda dialog: (seen.messages.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri())
        return set(page.evaluate(_TAGS)), list(_acts(seen, folder))


def _acts(seen: Any, folder: Path) -> Iterator[str]:
    yield from seen.messages
    ours = (folder.as_uri(), "data:image/", "blob:")
    yield from (f"request: {url}" for url in seen.requests if not url.startswith(ours))


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--every", type=int, default=1, help="take only every so many-th text")
    parser.add_argument("--work", help="where to write; by default the system's folder for temporary files")
    parser.add_argument("--tex", default="", help="a program that compiles LaTeX")
    given = parser.parse_args()
    texts = texts_of(given.files)[:: given.every]
    faults = 0
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        browser = Chromium(started)
        for at in range(0, len(texts), _TEXTS):
            some = texts[at : at + _TEXTS]
            with tempfile.TemporaryDirectory(dir=given.work) as folder:
                checks = (check_page(some, Path(folder), browser),
                          check_transcripts(some, Path(folder), browser, given.tex))  # fmt: skip
                for fault in (fault for check in checks for fault in check):
                    faults += 1
                    print(ascii(fault), flush=True)
        started.close()
    print(f"{len(texts)} texts, {faults} faults")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
