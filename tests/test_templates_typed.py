"""Random templates whose expressions know their types, and sources of odd tokens, compared with jinja2.

The writers of ``test_templates_fuzz`` choose freely, so that most of what they write ends in an error early; those
of ``support.typed_templates`` write what fits. A short run belongs to the suite. The long one (found cases become
fixtures)::

    python tests/test_templates_typed.py --cases 200000 --seed 1
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from support.differential import Program, compare, main, random_programs
from support.template_tokens import tokens
from support.typed_templates import INTEGERS, KEYS, REALS, ROLES, WORDS, Typed


def value(rng: random.Random, depth: int = 3) -> Any:  # noqa: PLR0911 - one line per type
    """Make one value."""
    kind = rng.randrange(9 if depth else 5)
    if kind < 2:
        return rng.choice(WORDS)
    if kind == 2:
        return rng.choice(INTEGERS)
    if kind == 3:
        return rng.choice([None, True, False])
    if kind == 4:
        return rng.choice(REALS)
    if kind == 5:
        return tuple(value(rng, depth - 1) for _ in range(rng.randrange(3)))
    if kind == 6:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    keys: list[Any] = [*KEYS, 1, None, True, 2.5, (1, "t")] if rng.random() < 0.2 else list(KEYS)
    return {rng.choice(keys): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def context(rng: random.Random) -> dict[str, Any]:
    """Make the variables of one render."""
    messages: list[dict[str, Any]] = [
        {"role": rng.choice(ROLES), "content": rng.choice(WORDS)} for _ in range(rng.randrange(1, 5))
    ]
    if rng.random() < 0.3:
        messages[-1] = {"role": rng.choice(ROLES), "content": value(rng), "a": {"b": value(rng, 1)}}
    return {
        "messages": messages,
        "tools": rng.choice([None, [], [value(rng)]]),
        **{"s": rng.choice(WORDS), "s2": rng.choice(WORDS), "n": rng.choice([0, 1, 2, 3, -1])},
        **{"i": rng.choice(INTEGERS), "f": rng.choice(REALS), "flag": rng.choice([True, False]), "none_": None},
        "d": {"a": rng.choice(WORDS), **{rng.choice(KEYS): value(rng, 1) for _ in range(rng.randrange(4))}},
        "dn": {rng.choice([1, None, True, 2.5, "k", (1,), -1]): value(rng, 1) for _ in range(rng.randrange(3))},
        "l": [value(rng, 1) for _ in range(rng.randrange(5))],
        "ls": [rng.choice(WORDS) for _ in range(rng.randrange(4))],
        "li": [rng.choice(INTEGERS[:12]) for _ in range(rng.randrange(4))],
        "ll": [[value(rng, 0)], [], [[value(rng, 0), [value(rng, 0)]]]],
        "t": (rng.choice(WORDS), value(rng, 1)),
        "nested": value(rng),
    }


def program(rng: random.Random) -> Program:
    """Make one template and some contexts."""
    if rng.random() < 0.25:
        return tokens(rng), [context(rng)]
    return Typed(rng).template(), [context(rng) for _ in range(3)]


def programs(seed: int) -> Iterator[Program]:
    """Give the programs of a seed."""
    return random_programs(program, seed)


@pytest.mark.slow
def test_templates_that_know_their_types_render_as_in_jinja2() -> None:
    pytest.importorskip("transformers")
    counts, wrong = compare(programs(datetime.now().toordinal()), 600)
    assert wrong == []
    assert counts["text"] > 100


if __name__ == "__main__":
    sys.exit(main(__doc__, programs))
