"""What stands around the thoughts of a model: the tags of its entry, or those of its tokenizer's response template.

It knows entries and texts, and neither tokens nor replies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.entry import LocalEntry

# How response templates of transformers call the thoughts.
_FIELDS = ("reasoning_content", "thinking", "reasoning")
# A part of a pattern that may be left out, and one that is repeated: (…)*, x?, \s*, [ab]*; (…)+
_OPTIONAL = re.compile(r"(?:\((?:\?:)?[^()]*\)|\[[^\]]*\]|\\.|[^\\()\[\]])[*?]\??")
_GROUP = re.compile(r"(?<!\\)\((?:\?:)?([^()]*)(?<!\\)\)\+?")
_ESCAPED = re.compile(r"\\(.)")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class Tags:
    """The tags around a model's thoughts.

    Attributes:
        start: the text with which a thought begins; empty where the chat template may write it.
        end: the pattern of what stands between thought and answer.
        closing: a text that the pattern matches, to end a thought with; None where none could be found.
    """

    start: str
    end: re.Pattern[str]
    closing: str | None

    def last(self, text: str, begin: int = 0) -> re.Match[str] | None:
        """Return the last end tag in a text, or None."""
        return max(self.end.finditer(text, begin), key=lambda match: match.end(), default=None)


def tags_of(entry: LocalEntry, tokenizer: Any) -> Tags | None:
    """Return the tags that a model's thoughts have, or None where neither the entry nor the tokenizer names any.

    Args:
        entry: the settings; its tags come first.
        tokenizer: a transformers tokenizer; it may have a ``response_template``.
    """
    if entry.cot_end_tag:
        return Tags(entry.cot_start_tag, re.compile(entry.cot_end_tag), text_of(entry.cot_end_tag))
    return _of_template(getattr(tokenizer, "response_template", None))


def _of_template(template: Any) -> Tags | None:
    """Return the tags in a response template, or None where it has none that can be read."""
    fields = template.get("fields") if isinstance(template, Mapping) else None
    if not isinstance(fields, Mapping):
        return None
    field = next((fields[name] for name in _FIELDS if isinstance(fields.get(name), Mapping)), None)
    if field is None:
        return None
    start, ends = _texts(field.get("open")), _texts(field.get("close"))
    pattern = "|".join(map(re.escape, ends)) if ends else field.get("close_pattern")
    if not isinstance(pattern, str) or not pattern:
        return None
    try:
        compiled = re.compile(pattern, re.DOTALL)
    except re.error:
        return None
    return Tags(start[0].strip() if start else "", compiled, ends[0] if ends else text_of(pattern))


def _texts(value: Any) -> list[str]:
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [text for text in values if isinstance(text, str) and text]


def text_of(pattern: str) -> str | None:
    r"""Return a text that a pattern matches as a whole, for the simple patterns of end tags; None for others.

    Parts that may be left out are left out.

    Examples:
        >>> text_of("</think>"), text_of(r"<\|end\|>(<\|x\|>to=y)*<\|final\|>"), text_of("[ab]{2}")
        ('</think>', '<|end|><|final|>', None)
    """
    shortest = _OPTIONAL.sub("", pattern)
    for candidate in (pattern, _plain(pattern), _plain(shortest), _plain(_flat(shortest))):
        if candidate and re.fullmatch(pattern, candidate):
            return candidate
    return None


def _flat(pattern: str) -> str:
    """Return a pattern without its groups; of alternatives the first."""
    while (without := _GROUP.sub(lambda match: match[1].split("|")[0], pattern)) != pattern:
        pattern = without
    return re.split(r"(?<!\\)\|", pattern)[0]


def _plain(pattern: str) -> str:
    return _ESCAPED.sub(lambda match: _CONTROLS.get(match[1], match[1]), pattern)
