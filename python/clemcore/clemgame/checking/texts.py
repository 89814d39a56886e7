"""What is wrong with the templates of a game: placeholders that nothing fills, and one rule in several wordings.

It reads files, and the messages that players got. It runs nothing.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clemcore.clemgame.checking.remarks import ERROR, HINT, WARNING, Remark

# As string.Template has them, or with a dollar sign on both sides.
_PLACEHOLDER = re.compile(r"\$\$|\$([A-Za-z_]\w*)\$|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)")
# What a file is called that a newer one has replaced.
_OUTDATED = re.compile(r"(?i)[-_ .](v\d+(\.\d+)*|old|bak|backup|copy|orig|deprecated)$")
_WORD = re.compile(r"[\w'$]+")
_NUMBERS = {
    **{"zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5"},
    **{"six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10"},
}
# Words that do not change what a rule says.
_EMPTY = frozenset(["a", "an", "the", "please", "always", "exactly", "only", "just", "also"])
# Characters of a sentence that a message shows.
_SHOWN = 80
# A shorter sentence is a form of an answer, or too common to be a rule.
_FEWEST_WORDS = 5
_LARGEST = 1_000_000


class Template(NamedTuple):
    """A template file.

    Attributes:
        path: the file.
        text: its content.
    """

    path: Path
    text: str

    def placeholders(self) -> Iterator[tuple[str, int]]:
        """Give the names of its placeholders, each with its line."""
        for found in _PLACEHOLDER.finditer(self.text):
            name = found[1] or found[2] or found[3]
            if name:
                yield name, self.text.count("\n", 0, found.start()) + 1


def templates_of(folder: Path) -> tuple[list[Template], list[Remark]]:
    """Return the template files of a game that can be read, and what is wrong with the others."""
    found: list[Template] = []
    remarks: list[Remark] = []
    for path in sorted(folder.rglob("*.template")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and not _OUTDATED.search(path.stem) and not path.is_dir():
            read = _read(path)
            if isinstance(read, Template):
                found.append(read)
            else:
                remarks.append(read)
    return found, remarks


def _read(path: Path) -> Template | Remark:
    try:
        if path.stat().st_size > _LARGEST:
            return Remark(HINT, f"is larger than {_LARGEST} bytes and is not checked", "files", str(path))
        data = path.read_bytes()
        return Template(path, data.decode("utf-8"))
    except OSError as fault:
        return Remark(ERROR, f"cannot be read: {fault.strerror}. Make it readable", "files", str(path))
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        message = f"byte {fault.start} (0x{data[fault.start]:02x}) is not UTF-8: save the file as UTF-8"
        return Remark(ERROR, message, "files", str(path), line)


def unfilled(templates: Sequence[Template], folder: Path, known: set[str], sent: Iterable[str]) -> Iterator[Remark]:
    """Report placeholders that no field has, and those that players saw.

    Args:
        templates: the templates.
        folder: the folder of the game.
        known: the names of all fields of experiments and instances.
        sent: the messages that players got in a trial.
    """
    messages = list(dict.fromkeys(sent))
    words = _words_of_code(folder) | known
    for template in templates:
        for name, line in dict.fromkeys(template.placeholders()):
            place = (str(template.path), line)
            seen = re.compile(rf"\$(?:\{{{name}\}}|{name}\b)")
            if any(seen.search(message) for message in messages):
                message = f"players get '${name}' as it is: give it a value where the template is filled in"
                yield Remark(WARNING, message, "placeholder", *place)
            elif name not in words:
                message = f"nothing fills '${name}': no instance, experiment or line of code has this name"
                yield Remark(WARNING, message, "placeholder", *place)


def _words_of_code(folder: Path) -> set[str]:
    """Return the names and the texts in the code of a game, and what is in the JSON files of its resources."""
    words: set[str] = set()
    for path in folder.rglob("*.py"):
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            for name in ("id", "arg", "attr", "name"):
                value = getattr(node, name, None)
                if isinstance(value, str):
                    words.add(value)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.update(re.findall(r"\w+", node.value))
    for path in folder.rglob("*.json"):
        try:
            if path.stat().st_size <= _LARGEST:
                words |= keys_of(json.loads(path.read_bytes()))
        except (OSError, ValueError, RecursionError):
            continue
    return words


def keys_of(value: Any) -> set[str]:
    """Return all names in a JSON value."""
    found: set[str] = set()
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            found.update(map(str, item))
            rest += item.values()
        elif isinstance(item, list):
            rest += item[:1000]
    return found


def different_wordings(templates: Sequence[Template]) -> Iterator[Remark]:
    """Report sentences of templates that say the same in other words: case, punctuation, numbers, small words."""
    seen: dict[tuple[str, ...], list[tuple[str, Template, int]]] = {}
    for template in templates:
        for sentence, line in _sentences(template.text):
            key = _meaning(sentence)
            if len(key) >= _FEWEST_WORDS:
                seen.setdefault(key, []).append((sentence, template, line))
    for places in seen.values():
        first = places[0]
        for other in places[1:]:
            if _plain(first[0]) != _plain(other[0]):
                here, there = _around_difference(other[0], first[0])
                message = (
                    f"this says the same as {first[1].path}:{first[2]} in other words: {here!r} and {there!r}. "
                    "Word a rule in one way, so that models are told the same"
                )
                yield Remark(HINT, message, "wording", str(other[1].path), other[2])
                break


def _sentences(text: str) -> Iterator[tuple[str, int]]:
    """Give the sentences of a text, which may go on in the next line, with the line in which each begins."""
    for found in re.finditer(r"(?:[^.!?\n]|\n(?!\s*\n))+[.!?:]*", text):
        sentence = found[0]
        lead = len(sentence) - len(sentence.lstrip())
        if sentence.strip():
            yield " ".join(sentence.split()), text.count("\n", 0, found.start() + lead) + 1


def _meaning(sentence: str) -> tuple[str, ...]:
    words = (word.lower() for word in _WORD.findall(sentence))
    return tuple(_NUMBERS.get(word, word) for word in words if word not in _EMPTY)


def _plain(sentence: str) -> str:
    """Return a sentence without what surrounds it in a list or a heading."""
    return sentence.strip(" -*#.:!?1234567890()")


def _around_difference(one: str, other: str) -> tuple[str, str]:
    """Return the part of each sentence in which it begins to differ from the other one."""
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    start = max(0, same - _SHOWN // 2)

    def part(sentence: str) -> str:
        end = start + _SHOWN
        return ("…" if start else "") + sentence[start:end] + ("…" if end < len(sentence) else "")

    return part(one), part(other)


def messages_of(interactions: dict[str, Any]) -> Iterator[str]:
    """Give the texts that players got in an episode."""
    for event in itertools.chain.from_iterable(interactions.get("turns", ())):
        if event.get("from") == "GM" and event.get("to") != "GM":
            content = event.get("action", {}).get("content")
            if isinstance(content, str):
                yield content
