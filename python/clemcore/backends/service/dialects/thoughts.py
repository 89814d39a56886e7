"""Thoughts that a service leaves in the answer: an entry names the tags that open and close them.

The settings are those of local models (``cot_start_tag``, ``cot_end_tag``, ``cot_output``) and mean the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from clemcore.errors import SpecError
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec


@dataclass(frozen=True)
class Tags:
    """The tags of one model.

    Attributes:
        start: the text with which its thoughts begin; empty where the chat template writes it.
        end: the pattern of what stands between thoughts and answer.
    """

    start: str
    end: re.Pattern[str]


def tags_of(spec: ModelSpec) -> Tags | None:
    """Return the tags that an entry names; None where it names none, or says ``cot_output: false``.

    Raises:
        SpecError: the pattern is not a regular expression.
    """
    start, end = setting(spec, "cot_start_tag"), setting(spec, "cot_end_tag")
    is_on = setting(spec, "cot_output")
    name = spec["model_name"]
    if end is None:
        return None
    try:
        pattern = re.compile(end)
    except re.error as fault:
        reason = str(fault)
    else:
        return None if is_on is False or not end else Tags(start or "", pattern)
    raise SpecError(f"model '{name}': cot_end_tag {end!r} is not a regular expression: {reason}")


def split_off(text: str, facts: dict[str, Any], spec: ModelSpec, *, is_cut: bool) -> str:
    """Return the answer alone; the thoughts before it are added to ``facts["reasoning"]``.

    Args:
        text: the service's text.
        facts: what was read of the reply.
        spec: the entry.
        is_cut: whether a limit on tokens ended the reply; without an end tag, it ended among the thoughts.
    """
    tags = tags_of(spec)
    if tags is None:
        return text
    last = max(tags.end.finditer(text), key=lambda match: match.end(), default=None)
    if last is not None:
        thought, answer = text[: last.start()], text[last.end() :]
    elif is_cut or (tags.start and tags.start in text):
        thought, answer = text, ""
    else:
        return text
    thought = (thought.replace(tags.start, "") if tags.start else thought).strip()
    said = [words for words in (facts.get("reasoning"), thought) if words]
    if said:
        facts["reasoning"] = "\n\n".join(said)
    return answer
