"""The conversations by which an engine is proven: a fixed corpus, and what a template's own text suggests.

``conversations.json`` holds the fixed ones. It knows how a case is written, and nothing of how it is rendered.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore.errors import MessagesError
from clemcore.messages import check_messages

CORPUS = Path(__file__).with_name("conversations.json")

_FIELDS = {
    "id": str,
    "about": str,
    "messages": list,
    "tools": list,
    "documents": list,
    "add_generation_prompt": bool,
    "continue_final_message": (bool, str),
    "kwargs": dict,
}
# A long dialogue, as games have them; written here, because a file of it would say nothing more.
_LONG_TURNS = 25
# Words of a template: long enough to be searched for in a message, and not so many that a proof takes long.
_WORD = re.compile(r"'((?:[^'\\\n]|\\.){2,60})'|\"((?:[^\"\\\n]|\\.){2,60})\"")
_MOST_WORDS = 60
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
# Variables that are not switches of a template: what every template is given, and tokens.
_GIVEN = {"messages", "tools", "documents", "add_generation_prompt"}


@dataclass(frozen=True)
class Case:
    """One conversation and how it is to be rendered.

    Attributes:
        id: its name in reports.
        messages: the conversation.
        tools: tools on offer, or None.
        documents: documents for retrieval, or None.
        add_generation_prompt: whether the prompt ends with the header of the assistant's turn.
        continue_final_message: whether the last message is continued, or which of its fields.
        kwargs: further variables for the template.
    """

    id: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    documents: list[dict[str, Any]] | None = None
    add_generation_prompt: bool = False
    continue_final_message: bool | str = False
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> dict[str, Any]:
        """Return everything but the messages, as ``apply_chat_template`` and our own engine take it."""
        given: dict[str, Any] = {"add_generation_prompt": self.add_generation_prompt}
        if self.tools is not None:
            given["tools"] = self.tools
        if self.documents is not None:
            given["documents"] = self.documents
        if self.continue_final_message:
            given["continue_final_message"] = self.continue_final_message
        return {**given, **self.kwargs}


@functools.cache
def corpus() -> tuple[Case, ...]:
    """Return the fixed conversations; one that is not continued stands with and without generation prompt."""
    cases = [case for item in json.loads(CORPUS.read_text(encoding="utf-8")) for case in _variants(item)]
    turns = [("user", "assistant")[n % 2] for n in range(2 * _LONG_TURNS + 1)]
    long = [{"role": "system", "content": "A long game."}]
    long += [{"role": role, "content": f"Move {n}: {'abcdefgh'[n % 8]}{n % 8 + 1}"} for n, role in enumerate(turns)]
    return (*cases, *_variants({"id": "long", "messages": long}))


def adapted(source: str, variables: Iterable[str]) -> list[Case]:
    """Return conversations that are made from a template's own words and variables.

    A template that looks into messages looks for words that stand in it (a tag of thinking, a role's name). So each
    becomes a part of a message, in its middle and at both ends. A variable is set to true, to false and to a word.

    Args:
        source: the template's text.
        variables: the names that it reads and does not set.
    """
    cases = []
    words = words_of(source)
    if words:
        for name, form in (("within", "a {} b"), ("first", "{}b"), ("last", "a{}"), ("alone", "{}")):
            turns = [
                {"role": ("user", "assistant")[n % 2], "content": form.replace("{}", word)}
                for n, word in enumerate([*words, words[0]] if len(words) % 2 == 0 else words)
            ]
            cases += _variants({"id": f"words-{name}", "messages": turns})
            # The other way round, so that every word was said by both.
            turns = [{"role": "user", "content": "Go."}, *turns]
            swapped = [{**turn, "role": ("user", "assistant")[n % 2]} for n, turn in enumerate(turns)]
            cases += _variants({"id": f"words-{name}-swapped", "messages": swapped})
    dialogue = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    for name in sorted(set(variables) - _GIVEN):
        if name.endswith(("_token", "_tokens")):
            continue
        for value in (True, False, "word"):
            cases += _variants(
                {"id": f"{name}={json.dumps(value)}", "messages": dialogue[1:], "kwargs": {name: value}}
            )
    return cases


def words_of(source: str) -> list[str]:
    r"""Return the texts in quotes that stand in a template, each once, in their order.

    Examples:
        >>> words_of("{% if '</think>' in m %}{{ \"x\\n\" + 'user' + 'user' }}")
        ['</think>', 'x\n', 'user']
    """
    found: dict[str, None] = {}
    for match in _WORD.finditer(source):
        word = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), match[1] or match[2])
        if not word.isspace():
            found[word] = None
    return list(found)[:_MOST_WORDS]


def read_cases(path: Path) -> list[Case]:
    """Read cases from a JSON file: messages, a case ``{"messages": …, "tools": …}``, or a list of cases.

    Raises:
        MessagesError: the file cannot be read or holds something else.
    """
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as fault:
        raise MessagesError(f"{path}: the case cannot be read: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        raise MessagesError(f"{path}: byte {fault.start} is not UTF-8") from None
    except json.JSONDecodeError as fault:
        raise MessagesError(f"{path}:{fault.lineno}:{fault.colno}: no valid JSON: {fault.msg}") from None
    except RecursionError:
        raise MessagesError(f"{path}: nested too deeply") from None
    if isinstance(value, list) and value and all(isinstance(item, dict) and "role" in item for item in value):
        value = {"messages": value}
    items = value if isinstance(value, list) else [value]
    if not items:
        raise MessagesError(f"{path}: no case in it")
    cases = []
    for index, item in enumerate(items):
        name = path.name if len(items) == 1 else f"{path.name}[{index}]"
        _check(item, f"{path}: case {index}")
        cases += _variants({"id": name, **item})
    return cases


def _check(item: Any, where: str) -> None:
    if not isinstance(item, dict) or "messages" not in item:
        raise MessagesError(f'{where}: neither messages nor {{"messages": …}}')
    for key, value in item.items():
        if key not in _FIELDS:
            raise MessagesError(f"{where}: unknown key '{key}'; known are {', '.join(_FIELDS)}")
        if not isinstance(value, _FIELDS[key]):  # type: ignore[arg-type]
            raise MessagesError(f"{where}: '{key}' has the wrong type: {type(value).__name__}")
    check_messages(item["messages"], where=f"{where}: messages")


def _variants(item: Mapping[str, Any]) -> list[Case]:
    fields = {key: value for key, value in item.items() if key != "about"}
    if "add_generation_prompt" in fields or fields.get("continue_final_message"):
        return [Case(**fields)]
    return [Case(**fields), Case(**{**fields, "id": f"{fields['id']}+prompt", "add_generation_prompt": True})]
