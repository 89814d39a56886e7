"""1,000 sampled answers of the tiny model at temperature 2 for each kind of constraint: how many satisfy it.

``--count 100`` asks for fewer answers, ``--new 60`` for other lengths. Answers that ``max_tokens`` cut say so, and
are not expected to satisfy the constraint.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from typing import Any

from clemcore.backends.local.asking import Ask
from support.models import built_model
from support.tiny import END, load

CHOICES = ["Canberra", "Sydney", "I do not know.", "42"]
REGEX = r"[A-Z][a-z]{2,8}( [a-z]{1,6}){1,4}[.!?]"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "maxLength": 12},
        "sure": {"type": "boolean"},
        "from": {"enum": ["memory", "guess"]},
    },
    "required": ["answer", "sure", "from"],
    "additionalProperties": False,
}
GRAMMAR = 'start: NUMBER ("+" NUMBER)*\nNUMBER: /[0-9]{1,4}/'


def main(arguments: list[str]) -> None:
    """Print for each kind how many answers are whole, and how many of these satisfy the constraint."""
    options = argparse.ArgumentParser(prog="local.py constraints")
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--new", type=int, default=80, help="most tokens of an answer")
    asked = options.parse_args(arguments)
    model = load(
        built_model("tiny_chat"), {"premade_chat_template": True, "eos_to_cull": END, "torch_num_threads": 1}
    )
    kinds: dict[str, tuple[Any, Callable[[str], bool]]] = {
        "choices": (CHOICES, lambda text: text in CHOICES),
        "regex": (REGEX, lambda text: re.fullmatch(REGEX, text) is not None),
        "json_schema": (SCHEMA, satisfies_schema),
        "grammar": (GRAMMAR, lambda text: re.fullmatch(r"[0-9]{1,4}(\+[0-9]{1,4})*", text) is not None),
    }
    for name, (constraint, is_satisfied) in kinds.items():
        begin = time.process_time()
        texts, cut = answers(model, {name: constraint}, asked.count, asked.new)
        wrong = [text for text in texts if not is_satisfied(text)]
        print(
            f"{name:12} {len(texts)} of {asked.count} whole, {cut} cut by {asked.new} tokens and say so, "
            f"{len(set(texts))} different; {len(texts) - len(wrong)} of {len(texts)} satisfy it; "
            f"{time.process_time() - begin:.0f} s of CPU"
        )
        if wrong:
            raise SystemExit(f"{name}: not satisfied by {wrong[:3]}")


def answers(model: Any, constraint: dict[str, Any], count: int, new: int) -> tuple[list[str], int]:
    """Return the texts of whole answers, and how many were cut."""
    asks = [
        Ask(
            [{"role": "user", "content": f"Tell me something. {number}"}],
            {"constraint": constraint, "temperature": 2.0, "seed": number, "max_tokens": new},
        )
        for number in range(count)
    ]
    texts, cut = [], 0
    for _, reply in model.answer_all(asks, model._modes["fast"]):
        if isinstance(reply, Exception):
            raise reply
        ending = reply.facts["finish_reason"]
        if ending == "length":
            cut += 1
        elif ending == "stop":
            texts.append(reply.text)
        else:
            raise SystemExit(f"an answer ended by {ending}")
    return texts, cut


def satisfies_schema(text: str) -> bool:
    """Tell whether a text is JSON of the schema, by hand."""
    value = json.loads(text)
    return (
        set(value) == {"answer", "sure", "from"}
        and isinstance(value["answer"], str)
        and len(value["answer"]) <= SCHEMA["properties"]["answer"]["maxLength"]
        and isinstance(value["sure"], bool)
        and value["from"] in ("memory", "guess")
    )
