"""The pages of the documentation: their blocks, links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")), *DOCS.rglob("*.md")])
# Their text comes from code, and other tests compare it with the code.
GENERATED = {
    DOCS / f"{name}.md" for name in ("cli", "compatibility", "registry-codes", "registry-fields", "registry-corpus")
}

# A block may follow a comment that says what the service answers: <!-- service: chat.completion("Yes.") -->
# or a line that names the file that it belongs into: `number_hunt/clemgame.json`:
# or to whose end it is added: At the end of `number_hunt/master.py`:
_BLOCK = re.compile(
    r"(?:^<!-- service: (?P<answer>.*?) -->\n+|^(?P<end>At the end of )?`(?P<path>[\w.-]+/[\w./-]+)`:\n\n)?"
    r"^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# The first line of a block that no test can run says what it needs.
_NEEDS = re.compile(r"# needs (a person|a server|the hub|the network|a clone)\b")
_HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    `needs` is what it cannot be run without, `answer` what the service says, `path` the file that it belongs into,
    and `is_added` whether it goes to the end of that file.
    """

    page: Path
    line: int
    kind: str
    code: str
    answer: str
    path: str = ""
    is_added: bool = False

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def needs(self) -> str:
        found = _NEEDS.match(self.code)
        return found[1] if found else ""

    @property
    def file(self) -> str:
        """The file that the block belongs into, if its first line names one."""
        found = re.match(r"# (\w+\.py)\n", self.code)
        return found[1] if found else ""


def blocks(*kinds: str) -> list[Block]:
    """All blocks of the hand-written pages, or those of some kinds."""
    found = (block for page in PAGES if page not in GENERATED for block in _blocks_of(page))
    return [block for block in found if not kinds or block.kind in kinds]


def _blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        line = text[: match.start("kind")].count("\n") + 1
        answer, path = match["answer"] or "", match["path"] or ""
        yield Block(page, line, match["kind"], match["code"], answer, path, bool(match["end"]))


def without_blocks(text: str) -> str:
    return _BLOCK.sub("", text)


def links(page: Path) -> list[tuple[Path, str]]:
    """The files and anchors that a page links to within the repository."""
    targets = _LINK.findall(without_blocks(page.read_text(encoding="utf-8")))
    parts = [target.partition("#") for target in targets if not re.match(r"[a-z]+:", target)]
    return [(page if not path else (page.parent / path).resolve(), anchor) for path, _, anchor in parts]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(without_blocks(page.read_text(encoding="utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found
