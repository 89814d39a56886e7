"""Random templates and conversations, rendered by the core and by jinja2 in transformers' own environment.

A short run belongs to the suite. The long one (found cases become fixtures)::

    python tests/test_templates_fuzz.py --cases 200000 --seed 1
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from support.differential import Program, compare, main, random_programs

TEXTS = [
    "",
    "a",
    "Hello World",
    "  pad\t\n",
    "x\ny",
    "it's",
    'say "q"',
    "Äß ǆ",
    "<b>&",
    "{{ x }}",
    "l1\r\nl2",
    "12",
    "-3.5",
    "a,b,,c",
    "é\u200b",
    "<think>\nhm\n</think>\n\nyes",
    "\x1c\x1d ",
    "日本 😀",
    "ΑΣ",
    "%s|%d",
    "{0}-{a}",
    "None",
    "aAbB",
]
NUMBERS = [0, 1, -1, 2, 3, 7, -7, 255, 10**6, 2**63, -(10**20), 0.5, -2.5, 1.0, 1e16, 1e-7, 0.1, 3.14159, 100.0]
KEYS = ["role", "content", "name", "a", "b", "items", "tool_calls", "type", "text"]
FILTERS = [
    "upper",
    "lower",
    "trim",
    "length",
    "string",
    "list",
    "first",
    "last",
    "tojson",
    "title",
    "capitalize",
    "join",
    "sort",
    "unique|list",
    "reverse|list",
    "items|list",
    "dictsort",
    "int",
    "float",
    "abs",
    "sum",
    "min",
    "max",
    "safe",
    "e",
    "default('d')",
    "default('d', true)",
    "join(', ')",
    "join('-', attribute='role')",
    "replace('a', 'X')",
    "replace('l', '', 1)",
    "indent(2)",
    "indent(3, true, true)",
    "tojson(indent=2)",
    "tojson(ensure_ascii=true)",
    "tojson(sort_keys=true)",
    "tojson(separators=(',', ':'))",
    "map(attribute='role')|list",
    "map('upper')|list",
    "map('length')|list",
    "select|list",
    "select('string')|list",
    "reject('none')|list",
    "selectattr('role')|list",
    "selectattr('role', 'equalto', 'user')|list",
    "rejectattr('name', 'defined')|list",
    "batch(2)|list",
    "slice(2)|list",
    "round",
    "round(2)",
    "round(1, 'floor')",
    "wordcount",
    "center(9)",
    "truncate(6)",
    "format(1)",
    "format('x', 2)",
    "attr('upper')",
    "count",
    "d",
    "groupby('role')|list",
    "map(attribute='a', default=0)|list",
    "striptags",
    "urlencode",
    "trim('a ')",
    "string|length",
    "float|round(1)",
    "int(default=4)",
    "xmlattr",
    "wordwrap(5)",
    "filesizeformat",
    "forceescape",
    "pprint",
]
TESTS = [
    "defined",
    "undefined",
    "none",
    "string",
    "number",
    "mapping",
    "iterable",
    "sequence",
    "boolean",
    "true",
    "false",
    "integer",
    "float",
    "odd",
    "even",
    "lower",
    "upper",
    "callable",
    "escaped",
    "in [1, 'a']",
    "eq(1)",
    "equalto('a')",
    "divisibleby 2",
    "gt 0",
    "sameas none",
    "ne ''",
    "in 'abc'",
    "ge(1)",
]
METHODS = [
    "strip()",
    "lstrip()",
    "rstrip()",
    "strip('a\\n')",
    "split()",
    "split(',')",
    "split('a', 1)",
    "upper()",
    "lower()",
    "title()",
    "capitalize()",
    "startswith('a')",
    "endswith('d')",
    "replace('a', 'b')",
    "find('l')",
    "count('l')",
    "splitlines()",
    "items()",
    "keys()",
    "values()",
    "get('role')",
    "get('zz', 1)",
    "join(['a', 'b'])",
    "isdigit()",
    "format(1, a=2)",
    "rsplit(None, 1)",
    "swapcase()",
    "zfill(5)",
    "partition(',')",
    "index('a')",
    "casefold()",
    "removeprefix('a')",
    "append(1)",
    "pop()",
    "update({})",
    "copy()",
    "center(7, '*')",
    "isalpha()",
    "islower()",
    "split('</think>')[-1].lstrip('\\n')",
    "expandtabs(4)",
    "ljust(4)",
    "rfind('l')",
    "istitle()",
    "nosuch()",
]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "in", "not in"]
BINARY += ["~", "==", "!=", "and", "or", "~", "==", "!=", "and", "or"] * 3
# Filters and tests that do not care what they are given come often, so that most templates render.
FILTERS += ["string", "default('d')", "upper", "trim", "lower", "safe", "e", "title", "d", "capitalize"] * 5
TESTS += ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "boolean"] * 3


class Writer:
    """Writes one random template."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names = ["messages", "tools", "s", "n", "f", "d", "l", "none_", "undef", "flag", "t", "nested", "ns"]
        self.macros: list[str] = []
        self.loops = 0

    def text(self) -> str:
        return self.rng.choice(["", " ", "\n", "x", "a\n", "  ", "\n  ", "T", "{", "\t", "- b\n", "é", "}\n\n"])

    def literal(self) -> str:
        rng = self.rng
        kind = rng.randrange(7)
        if kind == 0:
            return repr(rng.choice([n for n in NUMBERS if not isinstance(n, int) or n < 10**6])).replace("-", "- ")
        if kind == 1:
            return rng.choice(["true", "false", "none", "True", "None"])
        if kind == 2:
            return "[" + ", ".join(self.expr(1) for _ in range(rng.randrange(4))) + "]"
        if kind == 3:
            pairs = (f"{rng.choice(KEYS)!r}: {self.expr(1)}" for _ in range(rng.randrange(3)))
            return "{" + ", ".join(pairs) + "}"
        if kind == 4:
            items = [self.expr(1) for _ in range(rng.randrange(3))]
            return "(" + ", ".join(items) + ("," if len(items) == 1 else "") + ")"
        text = rng.choice(TEXTS).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
        return f"'{text}'"

    def name(self) -> str:
        return self.rng.choice(self.names)

    def expr(self, depth: int = 3) -> str:  # noqa: PLR0911 - one line per kind
        rng = self.rng
        if depth <= 0 or rng.random() < 0.2:
            return self.name() if rng.random() < 0.6 else self.literal()
        inner = depth - 1
        kind = rng.randrange(15)
        if kind == 0:
            return f"({self.expr(inner)} {rng.choice(BINARY)} {self.expr(inner)})"
        if kind == 1:
            return f"{self.expr(inner)} {rng.choice(BINARY)} {self.expr(inner)}"
        if kind == 2:
            name = rng.choice(FILTERS) if rng.random() < 0.995 else "nosuchfilter"
            return f"{self.postfix(inner)}|{name}"
        if kind == 3:
            return f"{self.postfix(inner)} is {rng.choice(['', 'not '])}{rng.choice(TESTS)}"
        if kind == 4:
            return f"({self.expr(inner)} if {self.expr(inner)}{rng.choice([' else ' + self.expr(inner), ''])})"
        if kind == 5:
            return f"{rng.choice(['not ', '-', '+'])}{self.postfix(inner)}"
        if kind == 6:
            return self.literal()
        if kind == 7 and self.loops:
            attrs = ["index", "index0", "first", "last", "length", "revindex", "revindex0", "depth"]
            return "loop." + rng.choice([*attrs, "previtem", "nextitem", "cycle(1, 2)", "changed(s)", "foo"])
        if kind == 8:
            return rng.choice(
                ["range(3)", "range(1, 6, 2)", "dict(a=1)", "namespace(x=1).x", "range(n)", "dict(d)"]
            )
        if kind == 9 and self.macros:
            return f"{rng.choice(self.macros)}({self.expr(inner)})"
        return self.postfix(inner)

    def postfix(self, depth: int) -> str:
        rng = self.rng
        base = self.name() if rng.random() < 0.75 else f"({self.expr(depth)})"
        if rng.random() < 0.3:
            return self.typed()
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            kind = rng.randrange(7)
            if kind == 0:
                base += f".{rng.choice(KEYS)}"
            elif kind == 1:
                base += f"[{rng.choice(KEYS)!r}]"
            elif kind == 2:
                base += f"[{rng.choice(['0', '1', '-1', '5', self.name()])}]"
            elif kind == 3:
                base += rng.choice(
                    ["[1:]", "[:-1]", "[::-1]", "[-2:]", "[:2]", "[1:3]", "[::2]", "[n:]", "[3:0:-1]"]
                )
            elif kind == 4:
                base += f".{rng.choice(METHODS)}"
            else:
                base += f"|{rng.choice(FILTERS)}" if rng.random() < 0.3 else ""
        return base

    def typed(self) -> str:
        """Write what the types allow, as a template's author would."""
        rng = self.rng
        method, name = rng.choice(METHODS[:24]), rng.choice(FILTERS)
        place = rng.choice(["0", "-1", "1:", "::-1", ":2", "n"])
        view = rng.choice(["items()", "keys()|list", "get(s)", "values()|list"])
        return rng.choice(
            [
                *(f"s.{method}", f"s|{name}", f"l|{name}", f"d.{view}", f"messages|{name}", f"messages[{place}]"),
                *(f"s[{place}]", f"(messages|first|default({{}})).{rng.choice(KEYS)}", f"(d|string).{method}"),
                *(
                    f"(f|string).{method}",
                    f"n {rng.choice(BINARY[:11])} 2",
                    "f * 2",
                    "f / 3",
                    "t[1] ~ f",
                    "l + [n]",
                ),
            ]
        )

    def open(self) -> str:
        return self.rng.choice(["{%", "{%", "{%", "{%-", "{%+"])

    def close(self) -> str:
        return self.rng.choice(["%}", "%}", "%}", "-%}", "+%}"])

    def tag(self, inside: str) -> str:
        return f"{self.open()} {inside} {self.close()}"

    def block(self, depth: int) -> str:
        known = list(self.names)
        body = "".join(self.stmt(depth) for _ in range(self.rng.choice([1, 1, 1, 2, 3])))
        self.names = known
        return body

    def stmt(self, depth: int) -> str:
        rng = self.rng
        kind = rng.randrange(22)
        if depth <= 0 or kind < 7:
            start, end = rng.choice([("{{", "}}"), ("{{", "}}"), ("{{-", "}}"), ("{{", "-}}")])
            return self.text() + f"{start} {self.expr()} {end}" + self.text()
        inner = depth - 1
        if kind < 10:
            middle = "".join(
                self.tag(f"elif {self.expr(2)}") + self.block(inner)
                for _ in range(rng.randrange(2) * rng.randrange(2))
            )
            final = self.tag("else") + self.block(inner) if rng.random() < 0.4 else ""
            return self.tag(f"if {self.expr(2)}") + self.block(inner) + middle + final + self.tag("endif")
        if kind < 13:
            return self.loop(inner)
        if kind < 15:
            name = rng.choice(["v", "w", "s", "n", "q"])
            text = self.tag(f"set {name} = {self.expr()}")
            self.names.append(name)
            return text
        return self.rare(kind, inner)

    def loop(self, inner: int) -> str:
        rng = self.rng
        target = rng.choice(["m", "x", "m", "x", "m", "x", "m", "x", "k, v", "s"])
        source = rng.choice(
            [
                "messages",
                "messages",
                "l",
                "d.items()|list",
                self.expr(1),
                "messages",
                "d.items()",
                "l",
                "range(3)",
                "messages[1:]",
                "s",
                "d",
            ]
        )
        test = f" if {self.expr(1)}" if rng.random() < 0.2 else ""
        known = list(self.names)
        self.names += target.split(", ")
        self.loops += 1
        body = self.block(inner)
        if rng.random() < 0.15:
            body += self.tag(f"if {self.expr(1)}") + self.tag(rng.choice(["break", "continue"])) + self.tag("endif")
            body += self.block(0)
        self.loops -= 1
        self.names = known
        final = self.tag("else") + self.block(inner) if rng.random() < 0.2 else ""
        return self.tag(f"for {target} in {source}{test}") + body + final + self.tag("endfor")

    def rare(self, kind: int, inner: int) -> str:  # noqa: PLR0911 - one block per tag
        rng = self.rng
        if kind == 15:
            return self.tag("set ns = namespace(c=0, x='')") + self.tag(f"set ns.c = {self.expr(2)}") + "{{ ns.c }}"
        if kind == 16:
            known, name = list(self.names), f"mac{rng.randrange(3)}"
            self.names += ["p"]
            loops, self.loops = self.loops, 0
            args = rng.choice(["p", "p='d'", "p, r=2", "p=s"])
            text = self.tag(f"macro {name}({args})") + self.block(inner) + self.tag("endmacro")
            self.names, self.loops = known, loops
            self.macros.append(name)
            return text
        if kind == 17:
            loops, self.loops = self.loops, 0
            text = self.tag("generation") + self.block(inner) + self.tag("endgeneration")
            self.loops = loops
            return text
        if kind == 18:
            name = rng.choice(["v", "w", "s"])
            text = (
                self.tag(f"set {name}{rng.choice(['', '|upper', '|trim'])}")
                + self.block(inner)
                + self.tag("endset")
            )
            self.names.append(name)
            return text
        if kind == 19:
            return (
                self.tag(f"filter {rng.choice(['upper', 'trim', 'length'])}")
                + self.block(inner)
                + self.tag("endfilter")
            )
        if kind == 20:
            known = list(self.names)
            text = self.tag(f"with v = {self.expr(2)}")
            self.names.append("v")
            text += self.block(inner) + self.tag("endwith")
            self.names = known
            return text
        return rng.choice(
            [
                "{# note #}",
                "{#- note -#}\n",
                "{% raw %}{{ x }}{% endraw %}",
                "{{ raise_exception('no ' ~ s) }}",
                "\n\n",
            ]
        )

    def template(self) -> str:
        count = self.rng.choice([1, 1, 1, 1, 2, 3])
        return "".join(self.stmt(self.rng.choice([1, 2, 3])) for _ in range(count)) + self.text()


def value(rng: random.Random, depth: int = 2) -> Any:  # noqa: PLR0911 - one line per type
    """Make one random value."""
    kind = rng.randrange(9 if depth else 5)
    if kind < 2:
        return rng.choice(TEXTS)
    if kind == 2:
        return rng.choice(NUMBERS)
    if kind == 3:
        return rng.choice([None, True, False])
    if kind in (4, 5):
        return rng.choice(TEXTS)
    if kind == 6:
        return tuple(value(rng, depth - 1) for _ in range(rng.randrange(3)))
    if kind == 7:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(KEYS): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def context(rng: random.Random) -> dict[str, Any]:
    """Make the variables of one render."""
    roles = ["system", "user", "assistant", "tool"]
    messages = [
        {"role": rng.choice(roles), "content": rng.choice(TEXTS) if rng.random() < 0.8 else value(rng)}
        for _ in range(rng.randrange(5))
    ]
    return {
        "messages": messages,
        "tools": rng.choice([None, [], [value(rng)]]),
        "s": rng.choice(TEXTS),
        "n": rng.choice([0, 1, 2, 3, -1]),
        "f": rng.choice(NUMBERS),
        "d": {rng.choice(KEYS): value(rng, 1) for _ in range(rng.randrange(4))},
        "l": [value(rng, 1) for _ in range(rng.randrange(4))],
        "none_": None,
        "flag": rng.choice([True, False]),
        "t": (1, rng.choice(TEXTS)),
        "nested": value(rng, 3),
        **({"w": "ctx"} if rng.random() < 0.5 else {}),
    }


def program(rng: random.Random) -> Program:
    """Make one template and four contexts."""
    return Writer(rng).template(), [context(rng) for _ in range(4)]


def programs(seed: int) -> Iterator[Program]:
    """Give the programs of a seed."""
    return random_programs(program, seed)


@pytest.mark.slow
def test_random_templates_render_as_in_jinja2() -> None:
    pytest.importorskip("transformers")
    counts, wrong = compare(programs(datetime.now().toordinal()), 1_000)
    assert wrong == []
    assert counts["text"] > 100


if __name__ == "__main__":
    sys.exit(main(__doc__, programs))
