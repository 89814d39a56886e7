"""Small random programs of nested scopes over very few names, compared with jinja2.

What a name means in a template depends on every assignment around it: in a loop, a branch, a macro, a block of a
call, a recursive loop. Few names make them meet. A short run belongs to the suite. The long one::

    python tests/test_templates_scopes.py --cases 100000 --seed 1
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from support.differential import Program, compare, main, random_programs

NAMES = ["a", "b", "c", "x"]
CONTEXTS: list[dict[str, Any]] = [
    {"a": 1, "b": [1, 2], "c": "ab", "x": {"a": 3, "b": [4]}, "t": [{"n": 1, "k": [{"n": 2, "k": []}]}, {"n": 3}]},
    {"a": [], "b": "s", "t": []},
    {
        "a": [[1, [2]], 3],
        "c": None,
        "x": "xyz",
        "b": {"a": 1},
        "t": [{"n": "q", "k": [{"n": "r", "k": [{"n": "s"}]}]}],
    },
]


class Scopes:
    """Writes one program."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.loops = 0
        self.recursive = False
        self.macro = 0
        self.macros: list[str] = []

    def value(self, depth: int = 2) -> str:  # noqa: PLR0911 - one line per kind
        rng = self.rng
        kind = rng.randrange(16)
        if depth <= 0 or kind < 4:
            return rng.choice(NAMES)
        if kind == 4:
            return rng.choice(["1", "'s'", "[1, 2]", "[]", "none", "{'a': 1}", "(1, 2)", "''", "range(2)", "true"])
        if kind == 5:
            return f"{rng.choice(NAMES)} ~ {self.value(depth - 1)}"
        if kind == 6 and self.loops:
            attrs = ["index", "index0", "last", "first", "previtem", "nextitem", "depth", "length", "depth0"]
            return "loop." + rng.choice([*attrs, "cycle(1, 2)", "changed(a)", "cycle(*b)"])
        if kind == 7 and self.macros:
            return f"{rng.choice(self.macros)}({self.arguments()})"
        if kind == 8 and self.macro:
            return rng.choice(
                ["varargs", "kwargs", "caller()", "caller(1)", "caller is defined", "kwargs.k", "name"]
            )
        if kind == 9:
            return f"({self.value(depth - 1)} if {self.value(1)} else {self.value(1)})"
        if kind == 10:
            return f"{rng.choice(NAMES)} is {rng.choice(['', 'not '])}defined"
        if kind == 11:
            return f"[{self.value(depth - 1)}, {self.value(depth - 1)}]"
        if kind == 12:
            return f"ns.{rng.choice('ab')}"
        if kind == 13:
            return f"{rng.choice(NAMES)}|default({self.value(1)})"
        if kind == 14 and self.recursive:
            return rng.choice(["loop(b)", "loop(x.k)", "loop(a.k)", "loop([])", "loop(c)"])
        return rng.choice([f"{rng.choice(NAMES)}.a", f"{rng.choice(NAMES)}[0]", f"{rng.choice(NAMES)}|length"])

    def arguments(self) -> str:
        rng = self.rng
        kinds = ["", self.value(1), f"{self.value(1)}, {self.value(1)}", f"x={self.value(1)}", "1, 2, 3, 4", "k=1"]
        kinds += [
            "*b",
            "**x",
            f"{self.value(1)}, b={self.value(1)}",
            "a=1, a2=2",
            "1, *[2], k=3",
            "*[1], **{'k': 2}",
        ]
        return rng.choice(kinds)

    def tag(self, inside: str) -> str:
        rng = self.rng
        return (
            rng.choice(["{% ", "{% ", "{%- ", "\n{% ", "{%+ "])
            + inside
            + rng.choice([" %}", " %}", " -%}", " %}\n", " +%}"])
        )

    def body(self, depth: int) -> str:
        return "".join(self.statement(depth) for _ in range(self.rng.choice([1, 1, 2, 3])))

    def function_body(self, depth: int, *, macro: bool) -> str:
        """Write what is rendered by a function of its own: loops outside cannot be left from there."""
        loops, recursive, inside = self.loops, self.recursive, self.macro
        if self.rng.random() < 0.9:
            self.loops, self.recursive = 0, False
        self.macro += macro
        text = self.body(depth)
        self.loops, self.recursive, self.macro = loops, recursive, inside
        return text

    def statement(self, depth: int) -> str:  # noqa: PLR0911, PLR0912 - one block per tag
        rng = self.rng
        kind = rng.randrange(26)
        if depth <= 0 or kind < 6:
            return "{{ " + self.value() + " }}" + rng.choice(["", ",", " ", "\n"])
        inner = depth - 1
        if kind < 9:
            target = rng.choice([*NAMES, *NAMES, "ns.a", "ns.b", "a, b", "(a, x)", "[b, c]", "a, (b, c)", "a,"])
            return self.tag(f"set {target} = {self.value()}")
        if kind < 11:
            other = rng.choice(
                [self.tag("else") + self.body(inner), self.tag(f"elif {self.value()}") + self.body(inner), ""]
            )
            return self.tag(f"if {self.value()}") + self.body(inner) + other + self.tag("endif")
        if kind < 16:
            return self.loop(inner)
        if kind < 18:
            name = rng.choice(["m", "n", "a", "b"])
            params = rng.choice(
                ["", "a", "a, b", "a, b=1", "a=a", "a, b=a", "x=c", "a=1, b=a, c=b", "caller", "b, caller=none"]
            )
            text = (
                self.tag(f"macro {name}({params})") + self.function_body(inner, macro=True) + self.tag("endmacro")
            )
            self.macros.append(name)
            return text
        if kind == 18 and self.macros:
            params = rng.choice(["", "(a)", "(a, b)", "(a=1)", "(x, b=a)"])
            head = f"call{params} {rng.choice(self.macros)}({self.arguments()})"
            return self.tag(head) + self.function_body(inner, macro=False) + self.tag("endcall")
        if kind == 19:
            name = rng.choice(["a", "b", "c", "ns.a", "x|upper", "a|trim|length", "b|default('d')", "c|join('-')"])
            return self.tag(f"set {name}") + self.body(inner) + self.tag("endset")
        if kind == 20:
            name = rng.choice(
                ["upper", "trim", "replace('a', 'b')", "length", "trim|upper", "default(a)", "indent(2, true)"]
            )
            return self.tag(f"filter {name}") + self.function_body(inner, macro=False) + self.tag("endfilter")
        if kind == 21:
            what = rng.choice(["", "a = 1", "a = b, b = a", "a = c", "x = a, a = x", "a, b = [1, 2]", "ns = b"])
            return self.tag(f"with {what}") + self.body(inner) + self.tag("endwith")
        if kind == 22:
            return self.tag("generation") + self.function_body(inner, macro=False) + self.tag("endgeneration")
        if kind == 23 and self.loops:
            return self.tag(f"if {self.value()}") + self.tag(rng.choice(["break", "continue"])) + self.tag("endif")
        if kind == 24:
            return rng.choice(
                ["{# c #}", "{#- c -#}", "{% raw %}{{ a }}{% endraw %}", "  \n", "{%- raw -%} x {%- endraw -%}"]
            )
        if kind == 25 and rng.random() < 0.3:
            name = f"blk{rng.randrange(10**6)}"
            scoped = rng.choice(["", " scoped", " required", ""])
            return self.tag(f"block {name}{scoped}") + self.function_body(inner, macro=False) + self.tag("endblock")
        return self.tag(f"set ns = namespace(a={self.value(1)}, b=0)")

    def loop(self, inner: int) -> str:
        rng = self.rng
        known = self.recursive
        recursive = rng.random() < 0.25
        source = rng.choice(
            [*NAMES, *NAMES, "t", "t", "range(3)", "[1, 2]", self.value(1), "x.items()", "[[1, 2], [3, 4]]"]
        )
        target = rng.choice([*NAMES, *NAMES, "a, b", "x, (a, b)", "k"])
        if recursive and rng.random() < 0.7:
            source, target = "t", "x"
        test = f" if {self.value(1)}" if rng.random() < 0.25 else ""
        self.loops += 1
        self.recursive = recursive
        text = self.tag(f"for {target} in {source}{test}{' recursive' if recursive else ''}") + self.body(inner)
        if recursive and rng.random() < 0.8:
            text += "{{ x.n }}{{ " + rng.choice(["loop(x.k)", "loop(x.k or [])", "loop(x.k)|upper"]) + " if x.k }}"
        self.loops -= 1
        self.recursive = known
        if rng.random() < 0.2:
            text += self.tag("else") + self.body(inner)
        return text + self.tag("endfor")

    def template(self) -> str:
        rng = self.rng
        head = "{% set ns = namespace(a=1, b='n') %}" if rng.random() < 0.7 else ""
        return head + "".join(self.statement(rng.choice([1, 2, 3, 4])) for _ in range(rng.choice([1, 2, 3, 4])))


def programs(seed: int) -> Iterator[Program]:
    """Give the programs of a seed."""
    return random_programs(lambda rng: (Scopes(rng).template(), CONTEXTS), seed)


@pytest.mark.slow
def test_random_scopes_are_those_of_jinja2() -> None:
    pytest.importorskip("transformers")
    counts, wrong = compare(programs(datetime.now().toordinal()), 600)
    assert wrong == []
    assert counts["text"] > 100


if __name__ == "__main__":
    sys.exit(main(__doc__, programs))
