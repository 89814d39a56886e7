"""Writes random templates whose expressions know their types.

Every expression is written for a type (text, number, list, dict, truth), with filters, methods and tests that
suit it and their arguments by position, by name or unpacked; now and then one of another type. Statements are
macros with ``caller``, ``varargs`` and ``kwargs``, recursive loops, namespaces that cross scopes, blocks of
``set``, ``filter`` and ``call``. It knows nothing of what the variables hold.
"""

from __future__ import annotations

import random
from collections.abc import Callable

WORDS = [
    *(
        "",
        "a",
        "b",
        "ab",
        " ",
        "\n",
        "Hello World",
        "  pad \t\n",
        "x\ny\n\nz",
        "it's",
        'q"q',
        "<b>&amp;",
        "Äß",
        "ΑΣ ς",
    ),
    *(
        "é\u200b",
        "\x1c\x1d ",
        "日本 😀",
        "\U0001d49c",
        "12",
        "-3.5",
        "1e3",
        " 7 ",
        "0x1f",
        "1_0",
        "٣",
        "a,b,,c",
        "A-b c",
    ),
    *(
        "%s",
        "%d|%s",
        "{}",
        "{0}{a}",
        "{{ x }}",
        "None",
        "true",
        "aAbB",
        "\\n",
        "\\",
        "\x00",
        "\x7f\x85",
        "ﬁ ǆ İ \u0131",
    ),
    *("<think>\nr\n</think>\n\nans", "http://x.y", "x" * 90, "tool_call", "role", "user", "assistant"),
]
INTEGERS = [*range(-4, 12), 16, 36, 63, 255, 10**6, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**64, 10**20, -(10**30)]
REALS = [
    0.0,
    -0.0,
    0.5,
    -2.5,
    1.0,
    1e16,
    1e-7,
    0.1,
    3.14159,
    1e22,
    123456789.125,
    5e-324,
    1.7e308,
    2.675,
    1e-5,
    99.995,
]
KEYS = ["role", "content", "a", "b", "n", "items", "x y", "", "A", "é"]
ROLES = ["system", "user", "assistant", "tool"]


def quoted(rng: random.Random, text: str) -> str:
    """Write a text as a literal of the language, with one of its ways to write a character."""
    out, mark = "", rng.choice("'\"")
    for c in text:
        if c in (mark, "\\"):
            out += "\\" + c
        elif c == "\n":
            out += rng.choice(["\\n", "\\n", "\\x0a", "\\12", "\n"])
        elif ord(c) < 32 or 0x7F <= ord(c) < 0xA0:
            out += f"\\x{ord(c):02x}"
        elif ord(c) > 0x7E and rng.random() < 0.3:
            out += f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}"
        else:
            out += c
    return mark + out + mark


class Typed:
    """Writes one template."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.texts = ["s", "s2", "messages[0].role", "d.a"]
        self.numbers = ["n", "i", "f"]
        self.lists = ["l", "ls", "li", "messages", "t", "ll"]
        self.dicts = ["d", "messages[0]", "messages[-1]", "dn"]
        self.others = ["nosuch", "none_", "nested", "tools", "ns"]
        self.macros: list[str] = []
        self.loops = 0
        self.spaces: list[str] = []
        self.serial = 0

    # Expressions

    def some(self, *ways: Callable[[], str]) -> str:
        return self.rng.choice(ways)()

    def any(self, depth: int) -> str:
        kinds = (self.text, self.text, self.number, self.list, self.dict, self.truth, self.other)
        return self.rng.choice(kinds)(depth)

    def other(self, depth: int) -> str:
        rng = self.rng
        if self.loops and rng.random() < 0.5:
            attrs = [
                "index",
                "index0",
                "revindex",
                "first",
                "last",
                "length",
                "depth",
                "depth0",
                "previtem",
                "nextitem",
            ]
            attrs += [f"cycle({self.any(0)}, {self.any(0)})", f"changed({self.any(0)})", "revindex0"]
            return "loop." + rng.choice(attrs)
        if self.macros and rng.random() < 0.4:
            return self.macro_call(depth - 1)
        return rng.choice([*self.others, "none", "undefined_", f"({self.any(depth - 1) if depth > 0 else 'none'})"])

    def macro_call(self, depth: int) -> str:
        rng = self.rng
        given = [self.any(max(depth, 0)) for _ in range(rng.randrange(4))]
        named = [f"{key}={self.any(0)}" for key in rng.sample(["p", "q", "r", "z"], rng.randrange(3))]
        unpacked = rng.choice([[], [], [], ["*li"], ["**{'q': 1}"], ["*ls", "**d"]])
        return f"{rng.choice(self.macros)}({', '.join(given + named + unpacked)})"

    def text(self, depth: int) -> str:  # noqa: PLR0911 - one line per kind
        rng = self.rng
        if depth <= 0:
            return quoted(rng, rng.choice(WORDS)) if rng.random() < 0.5 else rng.choice(self.texts)
        inner = depth - 1
        kind = rng.randrange(12)
        if kind == 0:
            return f"{self.text(inner)} ~ {self.any(inner)}"
        if kind == 1:
            return f"({self.text(inner)} + {self.text(inner)})"
        if kind == 2:
            return f"({self.text(inner)} * {rng.randrange(4)})"
        if kind == 3:
            return f"({self.text(inner)}){self.slice(inner)}"
        if kind == 4:
            return f"({self.text(inner)} if {self.truth(inner)} else {self.any(inner)})"
        if kind == 5:
            return f"({self.list(inner)})|join({rng.choice(['', self.text(0), 'd=' + self.text(0)])})"
        if kind == 6:
            return self.printf(inner)
        if kind == 7:
            return self.json(inner)
        if kind in (8, 9):
            return f"({self.text(inner)}){self.text_filter(inner)}"
        return f"({self.text(inner)}).{self.method(inner)}"

    def arguments(self, depth: int, *names: tuple[str, Callable[[int], str]]) -> str:
        """Write some of the arguments, by position as long as none is by name."""
        rng = self.rng
        out = []
        by_name = False
        for name, make in names:
            if rng.random() < 0.35:
                by_name = True
                continue
            # Rounding to 10**20 places would keep jinja2 busy for hours.
            value = make(depth) if rng.random() < 0.93 or name == "precision" else self.any(depth)
            by_name = by_name or rng.random() < 0.25
            out.append(f"{name}={value}" if by_name else value)
        return ", ".join(out)

    def small(self, _depth: int) -> str:
        return str(self.rng.choice([0, 1, 2, 3, 5, 8, 20, -1, -2]))

    def flag(self, depth: int) -> str:
        return self.rng.choice(["true", "false", "none", self.truth(min(depth, 0))])

    def text_filter(self, depth: int) -> str:
        rng = self.rng
        word, small, flag = self.text, self.small, self.flag
        arguments = self.arguments
        choice: list[Callable[[], str]] = [
            lambda: rng.choice(
                ["upper", "lower", "title", "capitalize", "trim", "string", "safe", "e", "striptags"]
            ),
            lambda: f"replace({word(0)}, {word(0)}{rng.choice(['', ', 1', ', count=2'])})",
            lambda: f"trim({arguments(0, ('chars', word))})",
            lambda: f"indent({arguments(0, ('width', small), ('first', flag), ('blank', flag))})",
            lambda: (
                "truncate("
                + arguments(0, ("length", small), ("killwords", flag), ("end", word), ("leeway", small))
                + ")"
            ),
            lambda: f"center({arguments(0, ('width', small))})",
            lambda: f"wordwrap({arguments(0, ('width', small), ('break_long_words', flag), ('wrapstring', word))})",
            lambda: f"default({arguments(0, ('default_value', word), ('boolean', flag))})",
            lambda: f"format({self.any(0)}{rng.choice(['', ', ' + self.any(0), ', a=1'])})",
            lambda: rng.choice(["urlencode", "forceescape", "tojson", "pprint", "reverse", "first", "last"]),
            lambda: f"float({arguments(0, ('default', self.number))})",
            lambda: f"int({arguments(0, ('default', self.number), ('base', small))})",
        ]
        return "|" + self.some(*choice)

    def method(self, depth: int) -> str:
        rng = self.rng
        word, small = self.text(0), self.small(0)
        return rng.choice(
            [
                *(f"strip({rng.choice(['', word, 'none'])})", f"lstrip({rng.choice(['', word])})", "rstrip()"),
                *("upper()", "lower()", "title()", "capitalize()", "swapcase()", "casefold()", f"zfill({small})"),
                *(f"replace({word}, {self.text(0)})", f"replace({word}, {self.text(0)}, {small})"),
                *(
                    f"split({word})[{small}]",
                    f"split({word}, {small})|last",
                    f"rsplit({word}, 1)|first",
                    "split()|join('|')",
                ),
                *(f"split(maxsplit={small})|tojson", "splitlines()|join('/')", "splitlines(true)|string"),
                *(f"partition({word})[{rng.randrange(3)}]", f"rpartition({word})|string", f"removeprefix({word})"),
                *(f"removesuffix({word})", f"center({small}, '*')", f"ljust({small})", f"rjust({small}, '.')"),
                *(f"expandtabs({small})", f"format({self.any(0)}, a={self.any(0)})", f"join({self.list(0)})"),
                *(f"join({self.text(0)})", f"encode('utf-8')|string if {rng.choice(['true', 'false'])} else 'x'"),
                *(f"translate({{97: {word}, 98: none}})", f"format_map({self.dict(max(depth, 0))})"),
            ]
        )

    def printf(self, depth: int) -> str:
        rng = self.rng
        spec = "%" + rng.choice(["", "", "-", "0", "+", " ", "#", "-0"]) + rng.choice(["", "", "5", "08", "*"])
        spec += rng.choice(["", "", ".2", ".0", ".10"]) + rng.choice("sdrifeEgGxXoac%")
        if rng.random() < 0.5:
            value = self.any(max(depth, 0))
            values = rng.choice([value, f"({value},)", f"({self.any(0)}, {value})"])
            return f"({quoted(rng, 'A' + spec + 'B')} % {values})"
        spec = "{" + rng.choice(["", "0", "a", "0[0]", "a.x", "0.real"]) + rng.choice(["", "", "!r", "!s", "!a"])
        spec += rng.choice(
            ["", ":", ":>8", ":*^9", ":08.3f", ":+d", ":,", ":_x", ":#b", ":e", ":.3g", ":%", ":n", ":c", ":.2"]
        )
        return f"{quoted(rng, spec + '}')}.format({self.any(0)}, a={self.any(0)})"

    def json(self, depth: int) -> str:
        separators = self.rng.choice(["(',', ':')", "none", "(', ', ': ')", "('; ', '=')", "[',', ':']"])
        indent = self.rng.choice(["none", "0", "2", "4", "'--'", "''", "true", "-1"])
        arguments = self.arguments(
            0,
            ("ensure_ascii", self.flag),
            ("indent", lambda _: indent),
            ("separators", lambda _: separators),
            ("sort_keys", self.flag),
        )
        return f"({self.any(depth)})|tojson({arguments})"

    def slice(self, depth: int) -> str:
        rng = self.rng
        parts = [rng.choice(["", "", self.small(0), "n", self.number(0) if depth else "none"]) for _ in range(3)]
        return "[" + ":".join(parts[: rng.choice([2, 2, 3])]) + "]"

    def number(self, depth: int) -> str:  # noqa: PLR0911 - one line per kind
        rng = self.rng
        if depth <= 0:
            if rng.random() < 0.5:
                return rng.choice(self.numbers)
            value = rng.choice(INTEGERS) if rng.random() < 0.7 else rng.choice(REALS)
            return f"({value!r})" if value < 0 or str(value)[0] == "-" else f"{value!r}"
        inner = depth - 1
        kind = rng.randrange(10)
        if kind < 3:
            operator = rng.choice(["+", "-", "*", "/", "//", "%"])
            return f"({self.number(inner)} {operator} {self.number(inner)})"
        if kind == 3:
            return f"({self.number(inner)} ** {rng.choice(['2', '3', '0', '-1', '0.5'])})"
        if kind == 4:
            return f"{rng.choice('-+')}{rng.choice(['(', '('])}{self.number(inner)})"
        if kind == 5:
            name = rng.choice(["length", "count", "wordcount", "sum", "min", "max", "first", "last"])
            return f"({self.rng.choice([self.list, self.text, self.dict])(inner)})|{name}"
        if kind == 6:
            method = rng.choice(["'common'", "'ceil'", "'floor'"])
            arguments = self.arguments(0, ("precision", self.small), ("method", lambda _: method))
            return f"({self.number(inner)})|round({arguments})"
        if kind == 7:
            return f"({self.number(inner)})|{rng.choice(['abs', 'int', 'float', 'round', 'string|length'])}"
        if kind == 8:
            word = self.text(0)
            name, range_ = rng.choice(["find", "count", "rfind", "index"]), rng.choice(["", ", 1", ", -3, 9"])
            return f"({self.text(inner)}).{name}({word}{range_})"
        return f"({self.text(inner)})|{rng.choice(['int', 'float', 'length'])}"

    def list(self, depth: int) -> str:  # noqa: PLR0911 - one line per kind
        rng = self.rng
        if depth <= 0:
            kind = rng.randrange(4)
            if kind == 0:
                return "[" + ", ".join(self.any(0) for _ in range(rng.randrange(4))) + "]"
            if kind == 1:
                return rng.choice(["range(3)", "range(1, 7, 2)", "range(n)", "range(3, 0, -1)", "(1, 'a')", "()"])
            return rng.choice(self.lists)
        inner = depth - 1
        kind = rng.randrange(11)
        if kind == 0:
            return f"({self.list(inner)} + {self.list(inner)})"
        if kind == 1:
            return f"({self.list(inner)}){self.slice(inner)}"
        if kind == 2:
            return f"({self.dict(inner)}).{rng.choice(['items', 'keys', 'values'])}(){rng.choice(['', '|list'])}"
        if kind == 3:
            name = rng.choice(["items", "list", "dictsort", "dictsort(true)", "dictsort(reverse=true)"])
            return f"({self.dict(inner)})|{name}"
        if kind == 4:
            return f"({self.text(inner)}).split({rng.choice(['', self.text(0)])})"
        if kind == 5:
            return f"({self.list(inner)} * {rng.randrange(3)})"
        if kind == 6:
            name = rng.choice(["select", "reject"])
            test = rng.choice(
                ["", "'string'", "'none'", f"'in', {self.list(0)}", f"'eq', {self.any(0)}", "'odd'", "'lt', 2"]
            )
            return f"({self.list(inner)})|{name}({test}){rng.choice(['', '|list'])}"
        if kind == 7:
            name, key = rng.choice(["selectattr", "rejectattr"]), rng.choice(["role", "content", "a", "0", "a.b"])
            test = rng.choice(
                ["", ", 'defined'", f", 'equalto', {self.any(0)}", f", 'in', {self.list(0)}", ", 'none'"]
            )
            return f"({self.list(inner)})|{name}('{key}'{test}){rng.choice(['', '|list'])}"
        if kind == 8:
            return f"({self.list(inner)})|map({self.mapper()}){rng.choice(['', '|list'])}"
        return f"({self.list(inner)})|{self.list_filter()}"

    def mapper(self) -> str:
        rng = self.rng
        if rng.random() < 0.5:
            key = rng.choice(["'role'", "'content'", "'a'", "0", "'a.b'", "'content.0'", "'n'"])
            return f"attribute={key}{rng.choice(['', ', default=' + self.any(0)])}"
        plain = [
            "upper",
            "trim",
            "length",
            "string",
            "list",
            "first",
            "int",
            "tojson",
            "e",
            "title",
            "abs",
            "items",
        ]
        rich = ["'default', 'q', true", "'replace', 'a', 'b'", "'join', '-'", "'tojson', indent=1", "'attr', 'a'"]
        rich += ["'round', precision=1", "'indent', 2, first=true", "'truncate', 3", "'format', 1", "'int', base=8"]
        return rng.choice([repr(rng.choice(plain)), rng.choice(rich)])

    def list_filter(self) -> str:
        rng = self.rng
        key = rng.choice(["'role'", "'content'", "0", "'a'", "'role,content'"])
        flag = self.flag(0)
        options = rng.choice(
            ["", "true", "reverse=true", f"attribute={key}", f"case_sensitive={flag}, attribute={key}"]
        )
        return rng.choice(
            [
                *(f"sort({options})", f"sort({options})", "reverse|list", "reverse", "list", "unique|list"),
                *(f"unique(attribute={key})|list", f"unique(true, {key})|list", f"groupby({key})|list"),
                *(
                    f"groupby({key}, default='')|map('last')|list",
                    f"batch({self.small(0)})|list",
                    f"batch(2, {self.any(0)})|list",
                ),
                *(
                    f"slice({rng.randrange(1, 4)})|list",
                    f"slice(2, {self.any(0)})|list",
                    "map('list')|sum(start=[])",
                ),
            ]
        )

    def dict(self, depth: int) -> str:
        rng = self.rng
        if depth <= 0:
            return rng.choice([*self.dicts, "{}", "dict(a=1, b='x')", "{'a': 1, 'b': [2, none]}"])
        inner = depth - 1
        kind = rng.randrange(5)
        if kind < 2:
            keys = [
                quoted(rng, rng.choice(KEYS)) if rng.random() < 0.8 else self.any(0)
                for _ in range(rng.randrange(4))
            ]
            return "{" + ", ".join(f"{key}: {self.any(inner)}" for key in keys) + "}"
        if kind == 2:
            return f"dict({self.dict(inner)}, {rng.choice(['a', 'z'])}={self.any(inner)})"
        if kind == 3:
            return f"dict.fromkeys({self.list(inner)}{rng.choice(['', ', ' + self.any(0)])})"
        return f"({self.dict(inner)}).copy()"

    def truth(self, depth: int) -> str:  # noqa: PLR0911 - one line per kind
        rng = self.rng
        if depth <= 0:
            return rng.choice(["true", "false", "flag", "True", "False"])
        inner = depth - 1
        kind = rng.randrange(9)
        if kind == 0:
            return f"({self.any(inner)} {rng.choice(['==', '!='])} {self.any(inner)})"
        if kind == 1:
            chain = f" {rng.choice(['<', '<=', '==', '!='])} {self.number(inner)}" if rng.random() < 0.3 else ""
            return f"({self.number(inner)} {rng.choice(['<', '<=', '>', '>='])} {self.number(inner)}{chain})"
        if kind == 2:
            place = rng.choice([self.text, self.list, self.dict])(inner)
            return f"({self.text(inner)} {rng.choice(['in', 'not in'])} {place})"
        if kind == 3:
            return f"(not {self.truth(inner)})"
        if kind == 4:
            return f"({self.any(inner)} {rng.choice(['and', 'or'])} {self.any(inner)})"
        if kind == 5:
            part = rng.choice([self.text(0), f"({self.text(0)},)"])
            return f"({self.text(inner)}).{rng.choice(['startswith', 'endswith'])}({part})"
        if kind == 6:
            kinds = ["digit", "alpha", "alnum", "space", "upper", "lower", "title", "ascii", "numeric", "decimal"]
            return f"({self.text(inner)}).is{rng.choice([*kinds, 'identifier', 'printable'])}()"
        tests = [
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
        ]
        tests += [
            "false",
            "integer",
            "float",
            "callable",
            "escaped",
            "lower",
            "upper",
            f"in {self.list(0)}",
            "filter",
            "test",
        ]
        tests += [
            f"eq {self.number(0)}",
            f"sameas {rng.choice(['none', 'true', 'flag'])}",
            f"divisibleby {rng.choice([2, 3])}",
        ]
        return f"({self.any(inner)} is {rng.choice(['', 'not '])}{rng.choice(tests)})"

    # Statements

    def tag(self, inside: str) -> str:
        rng = self.rng
        return f"{rng.choice(['{%', '{%', '{%-', '{%+'])} {inside} {rng.choice(['%}', '%}', '-%}', '+%}'])}"

    def gap(self) -> str:
        return self.rng.choice(
            [
                "",
                "",
                " ",
                "\n",
                "x",
                "  \n",
                "\n  ",
                "{# c #}",
                "\n\n",
                "\t",
                "é",
                "{#- c -#}",
                "{% raw %} {{ {% endraw %}",
            ]
        )

    def name(self) -> str:
        self.serial += 1
        return self.rng.choice(["v", "w", "s", f"v{self.serial}"])

    def body(self, depth: int) -> str:
        kept = [list(names) for names in (self.texts, self.numbers, self.lists, self.dicts, self.others)]
        out = "".join(self.statement(depth) for _ in range(self.rng.choice([1, 1, 2, 2, 3])))
        self.texts, self.numbers, self.lists, self.dicts, self.others = kept
        return out

    def outside_loop(self, depth: int) -> str:
        loops, self.loops = self.loops, 0
        out = self.body(depth)
        self.loops = loops
        return out

    def statement(self, depth: int) -> str:  # noqa: PLR0911, PLR0912 - one line per tag
        rng = self.rng
        kind = rng.randrange(26)
        if depth <= 0 or kind < 8:
            start, end = rng.choice([("{{", "}}"), ("{{", "}}"), ("{{-", "}}"), ("{{", "-}}")])
            return self.gap() + f"{start} {self.any(rng.choice([1, 2, 2, 3]))} {end}" + self.gap()
        inner = depth - 1
        if kind < 11:
            text = self.tag(f"if {self.truth(2)}") + self.body(inner)
            if rng.random() < 0.3:
                text += self.tag(f"elif {self.truth(1)}") + self.body(inner)
            return text + (self.tag("else") + self.body(inner) if rng.random() < 0.4 else "") + self.tag("endif")
        if kind < 14:
            return self.loop(inner)
        if kind < 16:
            return self.assignment()
        if kind == 16:
            name = self.name()
            target = name if not self.spaces or rng.random() < 0.6 else f"{rng.choice(self.spaces)}.x"
            filters = rng.choice(["", "", self.text_filter(1)])
            text = self.tag(f"set {target}{filters}") + self.body(inner) + self.tag("endset")
            self.texts.append(target)
            return text
        if kind == 17:
            self.spaces.append(f"sp{rng.randrange(2)}")
            self.texts.append(f"{self.spaces[-1]}.x")
            return self.tag(
                f"set {self.spaces[-1]} = namespace({rng.choice(['x=' + self.any(1), 'd', '{}', 'd, x=1'])})"
            )
        if kind == 18 and self.spaces:
            name = f"{rng.choice(self.spaces)}.{rng.choice(['x', 'y'])}"
            return (
                self.tag(f"set {name} = {rng.choice([name + ' ~ ' + self.text(1), self.any(2), f'[{name}]'])}")
                + "{{ "
                + name
                + " }}"
            )
        if kind in (19, 20):
            return self.macro(inner)
        if kind == 21 and self.macros:
            call = self.macro_call(1)
            parameters = rng.choice(["", "", "(x)", "(x, y=1)", "(*x)"]) if rng.random() < 0.95 else "()"
            parameters = "" if "*" in parameters else parameters
            return self.tag(f"call{parameters} {call}") + self.outside_loop(inner) + "{{ x }}" + self.tag("endcall")
        if kind == 22:
            return self.tag(f"filter {self.text_filter(1)[1:]}") + self.body(inner) + self.tag("endfilter")
        if kind == 23:
            return self.tag("generation") + self.outside_loop(inner) + self.tag("endgeneration")
        if kind == 24:
            return self.tag(f"with v = {self.any(1)}, w = v") + self.body(inner) + "{{ w }}" + self.tag("endwith")
        return self.recursive(inner)

    def assignment(self) -> str:
        rng = self.rng
        if rng.random() < 0.15:
            names = f"{self.name()}, {rng.choice(['w', 'z'])}"
            return self.tag(
                f"set {names} = {rng.choice([f'({self.any(1)}, {self.any(1)})', 'dd.items()|first', 't'])}"
            )
        name = self.name()
        kinds = (
            (self.text, self.texts),
            (self.number, self.numbers),
            (self.list, self.lists),
            (self.dict, self.dicts),
        )
        make, known = rng.choice(kinds)
        text = self.tag(f"set {name} = {make(2)}")
        known.append(name)
        return text

    def macro(self, inner: int) -> str:
        rng = self.rng
        self.serial += 1
        name = f"m{self.serial}"
        parameters = rng.choice(["", "p", "p, q=1", "p='x', q=p", "p, q, r=[]", "p=n, q=s"])
        self.texts += ["p"]
        body = self.outside_loop(inner)
        body += rng.choice(["", "{{ varargs }}", "{{ kwargs }}", "{{ varargs|length }}{{ kwargs|dictsort }}"])
        body += rng.choice(
            ["", "", "{{ caller() }}", "{{ caller(1) }}", "{{ caller(p, y=2) if caller else 'no' }}"]
        )
        body += rng.choice(
            ["", "", f"{{{{ {name}.name }}}}{{{{ {name}.arguments }}}}{{{{ {name}.catch_varargs }}}}"]
        )
        self.texts.remove("p")
        self.macros.append(name)
        return self.tag(f"macro {name}({parameters})") + body + self.tag("endmacro")

    def loop(self, inner: int) -> str:
        rng = self.rng
        kind = rng.randrange(5)
        kept = [list(names) for names in (self.texts, self.numbers, self.lists, self.dicts)]
        if kind == 0:
            target, source = "m", rng.choice(["messages", "messages[1:]", "messages|reverse", "messages[::-1]"])
            self.dicts.append("m")
            self.texts += ["m.role", "m['content']"]
        elif kind == 1:
            target, source = (
                "k, v",
                rng.choice(["d.items()", "dn.items()", "d|dictsort", "d|items", self.dict(1) + ".items()"]),
            )
            self.texts.append("k")
            self.others.append("v")
        elif kind == 2:
            target, source = "x", rng.choice(["s", "range(3)", "li", "ls", self.text(1)])
            self.texts.append("x")
        else:
            target, source = rng.choice(["x", "v", "s"]), self.list(2)
            self.others.append(target)
        test = f" if {self.truth(1)}" if rng.random() < 0.25 else ""
        self.loops += 1
        body = self.body(inner)
        if rng.random() < 0.2:
            body += (
                self.tag(f"if {self.truth(1)}") + self.tag(rng.choice(["break", "continue"])) + self.tag("endif")
            )
            body += self.body(0)
        self.loops -= 1
        self.texts, self.numbers, self.lists, self.dicts = kept
        final = self.tag("else") + self.body(inner) if rng.random() < 0.25 else ""
        return self.tag(f"for {target} in {source}{test}") + body + final + self.tag("endfor")

    def recursive(self, inner: int) -> str:
        self.loops += 1
        body = self.body(inner)
        self.loops -= 1
        deeper = self.rng.choice(
            ["{{ loop(x) }}", "{% if x is sequence and x is not string %}{{ loop(x) }}{% endif %}"]
        )
        source = self.rng.choice(["ll", "nested", "[1, [2, [3, 4]], 5]", "[[1], [[2]]]"])
        return self.tag(f"for x in {source} recursive") + "{{ loop.depth }}" + body + deeper + self.tag("endfor")

    def template(self) -> str:
        count = self.rng.choice([1, 1, 2, 3])
        return "".join(self.statement(self.rng.choice([1, 2, 3])) for _ in range(count)) + self.gap()
