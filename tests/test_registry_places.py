"""The places in reports, against two judges that share nothing with the checker.

Where ``json.loads`` refuses a text too, it says where. The first fault of the syntax has to be there, or to say by
its kind why it is elsewhere (:func:`explains`). Of every fault the text at its place has to be what it quotes.
Damaged are the fixtures and, where ``CLEMCORE_SHARED`` names a folder with ``corpus/registries``, two real ones;
``CLEMCORE_CORRUPTIONS`` sets how many texts are made of each of those.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core

FIXTURES = Path(__file__).parent / "fixtures" / "registries"
SHARED = Path(os.environ.get("CLEMCORE_SHARED", "nowhere")) / "corpus" / "registries"
SPLINTERS = [
    '"',
    "'",
    "\\",
    "\\u",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    ",,",
    "//",
    "/*",
    "#",
    "None",
    "True",
    "NaN",
    "-Infinity",
    "00",
    "-",
    "+1",
    ".5",
    "1e999",
    "“",
    "”",
    "😀",
    "é",
    '"a":1,',
    '"a":1,"a":1,',
    "null",
    "=",
    "null,",
    "[[[[",
    "9e",
    '"temperatur":1,',
]
SPLINTERS += ["\n", "\r", "\r\n", "\t", "\0", "\ufeff", "\xa0", '"x" "y"']
# Double, single and typographic quotes, and backticks.
QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019\u201a"
# What json.loads takes and a registry must not hold, or what only a registry means.
OURS = {"R017", "R022", "R027"}
KINDS = {
    "a string": str,
    "a list": list,
    "an object": dict,
    "a boolean": bool,
    "null": type(None),
    "an integer": int,
}


# Blanks, what cannot be seen, and comments.
NOTHING = re.compile(r"(?:[\s=\ufeff\x00-\x1f\x7f]|//[^\r\n]*|#[^\r\n]*|/\*.*?(?:\*/|\Z))*", re.DOTALL)


def corrupt(original: bytes, chance: random.Random) -> bytes:
    text = bytearray(original)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(7):
            case 0 if at < len(text):
                text[at] ^= 1 << chance.randrange(8)
            case 1:
                del text[at:]
            case 2:
                del text[at : at + chance.randrange(30)]
            case 3 if at < len(text):
                text[at] = chance.randrange(256)
            case _:
                text[at:at] = chance.choice(SPLINTERS).encode()
    return bytes(text)


class Text:
    """A text whose lines are counted here."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", text))]

    def offset(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column - 1

    def span(self, problem: Any) -> tuple[int, int]:
        return (
            self.offset(problem.line, problem.column),
            self.offset(problem.end_line, problem.end_column),
        )


def first_invalid(data: bytes) -> int | None:
    """Where the first byte stands that is not UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as fault:
        return fault.start
    return None


def refusal(text: str) -> int | None:
    """Where json.loads refuses a text; None where it does not."""

    def no_number(word: str) -> None:
        raise ValueError(word)

    try:
        json.loads(text, parse_constant=no_number)
    except json.JSONDecodeError as fault:
        return fault.pos
    except (ValueError, RecursionError):  # NaN and numbers of too many digits have no place there
        return -1
    return None


def open_brackets(text: str) -> set[int]:
    """Where brackets are opened outside of strings."""
    plain = re.sub(r'"(?:[^"\\\n]|\\.)*"', lambda match: "_" * len(match[0]), text)
    return {at for at, character in enumerate(plain) if character in "[{"}


def explains(problem: Any, span: tuple[int, int], text: str, refused: int) -> bool:  # noqa: PLR0911 - a line per kind
    """Whether a fault that does not stand where json.loads gave up can be what made it give up there."""
    start, end = span
    if start > refused:
        return False
    between = text[end:refused]
    match problem.code:
        case "R003":
            return start == 0
        case "R010" | "R018" | "R019":  # said where the comma or colon is or belongs; noticed at what follows
            return NOTHING.fullmatch(between) is not None
        case "R020":  # said at the quote; noticed at the line break, the end, or what follows the next quote
            return text[start] in QUOTES
        case "R024":  # said at the bracket; noticed at the end of what it holds
            return text[start] in "[{" and (start in open_brackets(text[:refused]) or '"' in text)
        case "R029":  # said of a key; noticed at what follows it
            return not between.strip()
        case "R012":  # `word"` is a word to json.loads
            return start <= refused <= end
        case "R015" | "R016":  # the number that json.loads reads of it ends earlier
            return start <= refused <= end
        case "R021":  # said of the whole escape
            return start <= refused <= end
        case "R014" | "R028" | "R013":
            return start <= refused <= end
        case _:
            return False


def quotes(problem: Any, found: str) -> bool:  # noqa: PLR0911, PLR0912 - a line per kind
    """Whether the text at the place of a fault is what its words say."""
    message = problem.message

    def value() -> Any:
        return json.loads(found, strict=False)

    match problem.code:
        case "R010":
            return found == ","
        case "R011":
            return found.startswith(("#", "//", "/*"))
        case "R012":
            return found[0] in QUOTES[1:] or found.endswith('"')
        case "R013" | "R014" | "R016":
            return f"`{found[:40]}" in message
        case "R018":
            return found == ""
        case "R020":
            return found[0] in QUOTES
        case "R021":
            return found[0] == "\\" and (found in message or "\\u" in message or "nothing after" in message)
        case "R022":
            return found in message or found.lower() in message.lower()
        case "R023":
            return ord(found) < ord(" ")
        case "R024":
            return bool(message.startswith(f"this {found} "))
        case "R025":
            return f"found {found}," in message or f"this {found} " in message
        case "R028":
            return f"`{found[:40]}" in message or "invisible" in message or "a key has to stand here" in message
        case "R030":
            return found[0] in QUOTES or found == ":" or found in message
        case "R041":
            return isinstance(value(), KINDS.get(message.rpartition("not ")[2], (int, float)))
        case "R042" | "R050" | "R051":
            return found == "{"
        case "R043":
            return bool(not value().strip())
        case "R044":
            return isinstance(value(), KINDS.get(message.rpartition("not ")[2], (int, float)))
        case "R052" | "R053" | "R054":
            return all(word in message for word in re.findall(r"[A-Za-z]+", value()[:20]))
        case "R067":
            words = re.findall(r"[A-Za-z]+", value()[:20])
            return all(word in message for word in words) or value() == "cot_effort"
        case "R057":
            return "own name" in message or all(word in message for word in re.findall(r"[A-Za-z]+", value()[:20]))
        case "R060" | "R061" | "R068":
            return all(word in message for word in re.findall(r"[A-Za-z0-9]+", str(value())[:20]))
        case "R062" | "R063" | "R066":
            return isinstance(value(), str)
        case "R064":
            return found == "false"
        case _:
            return True


def check_places(data: bytes) -> Counter[str]:
    report = _core.check("x.json", data)
    tally: Counter[str] = Counter()
    stripped = data.removeprefix(b"\xef\xbb\xbf")
    start = first_invalid(stripped)
    if start is not None:
        told = next(problem for problem in report.problems if problem.code == "R001")
        if "UTF-16" not in told.message:
            lines = re.split(r"\r\n|\r|\n", stripped[:start].decode())
            assert (told.line, told.column) == (len(lines), len(lines[-1]) + 1), str(told)
            assert f" at offset {start + len(data) - len(stripped)} " in told.message, str(told)
        return Counter(encoding=1)
    text = Text(stripped.decode())
    spans = [(problem, text.span(problem)) for problem in report.problems]
    for problem, (start, end) in spans:
        found = text.text[start:end]
        try:
            said = "***" in str(problem) or quotes(problem, found)
        except json.JSONDecodeError:
            # What was read for it has a fault of its own.
            assert any(other.code < "R030" and start <= at < end for other, (at, _) in spans), (str(problem), found)
            continue
        assert said, (str(problem), found)
        tally["quoted"] += 1
    # UTF-16 without its mark, which is valid UTF-8 too; YAML and merge conflicts, which are reported once.
    if any(problem.code in ("R001", "R031", "R090") for problem in report.problems):
        return tally
    refused = refusal(text.text)
    syntax = [
        row for row in spans if row[0].severity == "error" and row[0].code < "R030" and row[0].code not in OURS
    ]
    if refused is None:
        assert not syntax or {problem.code for problem, _ in syntax} <= OURS
        return tally
    if refused == -1:
        return tally
    before = [row for row in spans if row[0].code in OURS and row[1][0] < refused]
    assert syntax or before, report.render()
    if before or not syntax:
        return tally
    # Several can begin at one place; the file can also be given up before its end.
    exact = any(span[0] == refused for _, span in syntax)
    explained = any(explains(problem, span, text.text, refused) for problem, span in syntax)
    assert exact or explained, (refused, text.text[max(0, refused - 40) : refused + 20], report.render())
    early = [row for row in syntax if row[1][0] < refused and not explains(*row, text.text, refused)]
    assert not early, (refused, [str(problem) for problem, _ in early], report.render())
    tally["exact" if exact else "explained"] += 1
    return tally


def originals() -> list[tuple[Path, int]]:
    count = int(os.environ.get("CLEMCORE_CORRUPTIONS", "60"))
    shared = [(path, count) for path in sorted(SHARED.glob("*.json"))]
    return [*((path, 6) for path in sorted(FIXTURES.glob("*valid/*.json"))), *shared]


@pytest.mark.slow
def test_every_fault_stands_where_it_says() -> None:
    tally: Counter[str] = Counter()
    for path, count in originals():
        original = path.read_bytes()
        for seed in range(count):
            data = corrupt(original, random.Random(f"{path.name} {seed}"))
            try:
                tally += check_places(data)
            except BaseException as fault:
                raise AssertionError(f"{path.name}, seed {seed}: {fault}") from fault
    print(tally)
    assert tally["exact"] > tally["explained"] > 0
    assert tally["quoted"] > tally["exact"]
