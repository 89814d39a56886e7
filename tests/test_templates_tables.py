"""Every built-in of the template language on every kind of value, compared with jinja2.

Tables instead of chance: each filter with its arguments, each test, each method, operator, index and way to format,
on values of every type. A sample belongs to the suite. The whole of an area::

    python tests/test_templates_tables.py --area filters --cases 1000000
"""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from support.differential import Program, compare, main

VALUES: dict[str, Any] = {
    **{"e": "", "s": "Hello World", "pad": "  a b\t\n", "nl": "l1\nl2\r\n\nl4\r", "uni": "Äß ǆ ﬁ İ \u0131"},
    **{
        "comb": "e\u0301a\u0308",
        "astral": "😀\U0001d49c",
        "num": "12",
        "neg": "-3.5",
        "hexs": "0x1F",
        "und": "1_000",
    },
    **{
        "und": "1_000",
        "ar": "٣٤",
        "sup": "²½",
        "csv": "a,b,,c",
        "quote": 'it\'s "q"',
        "html": "<b>&amp; x</b>",
        "wide": "日本語",
    },
    **{"ctrl": "\x00\x1b\x7f\x85\u200b\u2028\xad", "sp": "\x1c\x1d \u3000\xa0", "fmt": "%s|%d", "fmt2": "{0}-{a}"},
    **{
        "url": "http://x.org/a b?q=ä&r=/",
        "long": "The quick brown fox jumps over the lazy dog " * 3,
        "sig": "ΑΣ ΌΣΟΣ",
    },
    **{"nan_s": "nan", "inf_s": " inf ", "big_s": "9" * 25, "exp": "1e3", "dot": ".5", "esc": "a\tb\\c\n"},
    **{"apos": "o'neil mc-x 1st", "z": 0, "i": 3, "ni": -7, "big": 10**20, "nbig": -(2**63) - 1, "i64": 2**63 - 1},
    **{"f": 0.5, "nf": -2.5, "one": 1.0, "f16": 1e16, "f7": 1e-7, "f3": 3.14159, "f0": -0.0, "nan": float("nan")},
    **{"inf": float("inf"), "half": 2.5, "f22": 1e22, "f1": 123456789.123, "t": True, "fa": False, "none_": None},
    **{"l": [], "li": [3, 1, 2], "ls": ["b", "A", "a", "B"], "lm": [1, "a", None, 2.0, True], "lf": [1.0, 2, True]},
    "ll": [[1, 2], [3, [4]], []],
    "ld": [{"role": "user", "content": "x", "n": 2}, {"role": "tool", "content": "y", "n": 1}, {"role": "user"}],
    **{"lu": [1, 1.0, True, "1", "A", "a"], "lp": [["a", 1], ["b", 2]], "ln": [None, False], "tu": (1, "a")},
    **{"tu1": (1,), "tu0": (), "d": {}, "dd": {"b": 2, "a": 1, "C": {"x": [1, None]}}},
    "dn": {1: "i", None: "n", 1.5: "f", (1, 2): "t"},
    "dm": {"items": "I", "keys": "K", "get": "G", "a b": 1, "role": "user"},
    **{"dq": {"it's": '"', "é\n": "\u200b"}, "dmix": {"a": 1, 2: "b"}},
}
NAMES = list(VALUES)
MADE = [
    *("nosuch", "d.zz", "range(5)", "(s|safe)", "(html|e)", "(li|map('string'))", "dd.items()", "dd.keys()"),
    *("dd.values()", "namespace(a=1)", "(li|reverse)", "range(5, 0, -2)", "dd|items", "(ld|groupby('role')|first)"),
    *("raise_exception", "d.get", "dict", "cycler(1)", "joiner()", "['<'|safe, '<']", "[nosuch]", "namespace"),
]
FILTERS: dict[str, list[str]] = {
    "abs": [""],
    "attr": ["('upper')", "('a')", "('x' * 2)", "(1)", "('__class__')"],
    "batch": ["(2)", "(2, 'x')", "(1)", "(5, none)", "(linecount=2, fill_with=0)", "(2.0)"],
    "capitalize": [""],
    "center": ["", "(9)", "(20)", "(-1)", "('3')"],
    "count": [""],
    "default": ["", "('d')", "('d', true)", "(default_value='d')", "('d', boolean=true)", "(none)", "('x', false)"],
    "dictsort": ["", "(true)", "(false, 'value')", "(by='value')", "(reverse=true)", "(by='zz')"],
    "escape": [""],
    "filesizeformat": ["", "(true)", "(binary=true)"],
    "first": [""],
    "float": ["", "(1.5)", "('x')", "(default=none)"],
    "forceescape": [""],
    "format": ["", "(1)", "('x', 2)", "(a=1)", "(1, a=2)", "(3.7)", "(none, [1])"],
    "groupby": ["('role')|list", "('role')", "('content', default='')", "(0)", "('n')|map('list')|list"],
    "indent": ["", "(2)", "(2, true)", "(2, false, true)", "('>>')", "(width=3, first=true)", "(-2)", "(1.5)"],
    "int": ["", "(5)", "(0, 16)", "(0, 2)", "(default='x')", "(none)", "('x', 8)", "(0, 0)", "(0, 36)"],
    "items": ["", "|list"],
    "join": ["", "(', ')", "('-', 'role')", "('-', attribute='n')", "(1)", "(none)", "(d='+')", "('', 0)"],
    "last": [""],
    "length": [""],
    "list": [""],
    "lower": [""],
    "map": [
        *("('upper')|list", "(attribute='role')|list", "(attribute='content', default='d')|list", "|list"),
        *("('default', 'q')|list", "('int')|list", "('length')|list", "(attribute=0)|list", "('tojson')|list"),
        *("(attribute='C.x')|list", "(attribute='0')|join", "('string')|join('|')", "('replace', 'a', 'b')|list"),
        *("('round', 1)|list", "('nosuch')|list", "('join', ',')|list", "('first')|list", "(0)|list"),
    ],
    "max": ["", "(true)", "(attribute='n')", "(case_sensitive=true)"],
    "min": ["", "(attribute='n')", "(true)"],
    "pprint": [""],
    "reject": ["|list", "('none')|list", "('string')|list", "('equalto', 1)|list", "('in', [1, 2])|list"],
    "rejectattr": ["('role')|list", "('role', 'equalto', 'user')|list", "('n', 'gt', 1)|list"],
    "replace": [
        "('a', 'X')",
        "('l', '')",
        "('l', '', 1)",
        "('', '-')",
        "('o', '0', count=1)",
        "(1, 2)",
        "('<', '&')",
    ],
    "reverse": ["", "|list", "|string"],
    "round": ["", "(1)", "(2, 'floor')", "(1, 'ceil')", "(-1)", "(method='ceil')", "(400)", "('x')", "(1, 'x')"],
    "safe": ["", " ~ '<'", " + '<'"],
    "select": ["|list", "('string')|list", "('eq', 1)|list", "('>', 1)|list", "('divisibleby', 2)|list"],
    "selectattr": [
        *("('role')|list", "('role', 'equalto', 'user')|list", "('n', 'lt', 2)|list", "('n', 'defined')|list"),
        *("('content', 'none')|list", "('role', 'in', ['user'])|list", "(0)|list", "('role', 'eq')|list"),
    ],
    "slice": ["(2)|list", "(3, 'x')|list", "(0)|list", "(slices=2, fill_with=none)|list", "(-1)|list"],
    "sort": ["", "(true)", "(attribute='role')", "(case_sensitive=true)", "(attribute='role,n')", "(attribute=0)"],
    "string": ["", "|length"],
    "striptags": [""],
    "sum": ["", "('n')", "(attribute='n')", "(start=10)", "(start='')", "(start=[])", "(attribute='n', start=1.5)"],
    "title": [""],
    "tojson": [
        *("", "(2)", "(indent=2)", "(ensure_ascii=true)", "(sort_keys=true)", "(separators=(',', ':'))", "(foo=1)"),
        *(
            "(indent='--')",
            "(indent=0)",
            "(indent=-1)",
            "(indent=none)",
            "(true, 4)",
            "(indent=true)",
            "(indent=1.5)",
        ),
        *("(false, none, (';', '='))", "(separators=[',', ':'])", "(separators=',:')", "(ensure_ascii='x')"),
    ],
    "trim": ["", "('a ')", "('')", "(none)", "(chars='H')", "(1)"],
    "truncate": [
        "",
        "(5)",
        "(5, true)",
        "(9, false, '..')",
        "(9, true, '', 0)",
        "(9, end='…')",
        "(2)",
        "(8, leeway=3)",
    ],
    "unique": ["|list", "(true)|list", "(attribute='role')|list", "(case_sensitive=true)|list"],
    "upper": [""],
    "urlencode": [""],
    "urlize": ["", "(10)"],
    "wordcount": [""],
    "wordwrap": ["", "(5)", "(5, false)", "(7, true, '|')", "(width=20, wrapstring='<br>')"],
    "xmlattr": ["", "(false)", "(autospace=true)"],
}
TESTS = [
    *(
        "boolean",
        "callable",
        "defined",
        "divisibleby 2",
        "divisibleby(0)",
        "divisibleby(2.5)",
        "eq 1",
        "equalto('a')",
    ),
    *("escaped", "even", "false", "filter", "float", "ge 1", "greaterthan 0", "gt 'a'", "in [1, 'a', none]"),
    *("in 'abc'", "in (1,)", "in dd", "in 3", "integer", "iterable", "le 2", "lessthan none", "lower", "lt 1"),
    *("mapping", "ne none", "none", "number", "odd", "sameas none", "sameas true", "sequence", "string", "test"),
    *("true", "undefined", "upper", "in li", "in none_", "in nosuch", "sameas s", "eq(s)", "in range(5)", "gt li"),
    *("nosuchtest", "startingwith 'a'", "in dd.keys()", "in dd.items()"),
]
ARGUMENTS = [
    *(
        "",
        "()",
        "('a')",
        "(' ')",
        "(1)",
        "('l', 'L')",
        "(none)",
        "('a', 1)",
        "(0, 2)",
        "(['a', 'b'])",
        "(('a', 'H'))",
    ),
    *("(9, '*')", "(sep=',')", "(',', -1)", "('a', 'b', 1)", "(li)", "(true)", "(dd)", "('o', -3)", "('l', 2, 5)"),
    *(
        "(maxsplit=1)",
        "(keepends=true)",
        "(tabsize=2)",
        "('')",
        "(3, 1)",
        "('utf-8')",
        "(*[1, 2])",
        "(**dd)",
        "(a=1)",
    ),
    *("('b', default=1)", "(2.5)", "('ascii', 'ignore')", "(nosuch)", "(s|safe)"),
]
INDICES = [
    *(
        "0",
        "-1",
        "9",
        "1.0",
        "true",
        "none",
        "'a'",
        "'items'",
        "s",
        "nosuch",
        "li",
        "tu",
        "1:",
        "::-1",
        ":-1",
        "1:2",
    ),
    *(
        "-2:",
        "::2",
        "9:",
        "none:",
        "0:2:1",
        "::0",
        "'a':",
        "1.0:",
        "true:",
        "i:",
        "::-2",
        "-1:0:-1",
        "big:",
        "::big",
    ),
    *("nosuch:", "1, 2", "()", "(1, 2)", "1.5", "'0'", "nan"),
]
ATTRIBUTES = ["a", "items", "get", "role", "0", "1", "keys", "upper", "__class__", "_a", "append", "zz", "start"]
OPERATORS = [
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "!=",
    "in",
    "not in",
    "~",
    "and",
    "or",
]
SPECS = [
    *(
        "",
        ":d",
        ":s",
        ":>8",
        ":^8",
        ":08",
        ":.2f",
        ":+",
        ":x",
        ":#x",
        ":b",
        ":o",
        ":e",
        ":g",
        ":%",
        ":,",
        ":_",
        ":c",
    ),
    *(":n", ":.3", ":<5.1f", ":*^9", ":=+6", ":10.3e", "!r", "!s", "!a", "!r:>9", ":.0f", ":G", ":-^{1}"),
]
PRINTF = [
    "%s",
    "%r",
    "%d",
    "%5.2f|",
    "%x",
    "%e",
    "%g",
    "%c",
    "%-8s|",
    "%08d",
    "%a",
    "%i",
    "%+d",
    "% d",
    "%#o",
    "%.3s",
]
# A statement with a value in its place.
STATEMENTS = [
    "{% for x in @ %}{{ loop.index ~ x ~ loop.length }},{% else %}E{% endfor %}",
    "{% for x in @ %}{{ loop.previtem ~ x ~ loop.nextitem ~ loop.last ~ loop.revindex0 }},{% endfor %}",
    "{% for x in @ %}{{ loop.changed(x) ~ loop.cycle('a', 'b') ~ loop.depth ~ loop.first }}{% endfor %}",
    "{% for x, y in @ %}{{ x }}={{ y }},{% endfor %}",
    "{% set a, b = @ %}{{ a }}{{ b }}",
    "{% if @ %}T{% else %}F{% endif %}{{ @ and 1 }}{{ @ or 2 }}{{ 1 if @ }}{{ not @ }}",
    "{{ [@] }}{{ {'k': @} }}{{ (@,) }}",
    "{{ {@: 1} }}",
    "{{ dd[@] }}|{{ dn[@] }}|{{ dd.get(@) }}",
    "{{ dict(@) }}",
    "{{ range(@)|list|length }}",
    "{{ namespace(@).a }}",
    "{{ joiner(@)() }}{{ cycler(@).next() }}",
    "{{ raise_exception(@) }}",
    "{{ strftime_now(@) }}",
    "{{ dict.fromkeys(@) }}{{ dict.fromkeys(@, 1) }}",
    "{{ '%(a)s' % @ }}",
    "{{ '%*d' % (5, @) }}",
    "{{ '{0.a}{0[a]}'.format(@) }}",
    "{{ '{:{}}'.format(@, 8) }}",
    "{{ -@ }}",
    "{{ +@ }}",
    "{% filter replace(@, 'q') %}abc{% endfilter %}",
    "{% macro m(a, b=@) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(@) }}{{ m(1, 2, @, k=@) }}",
    "{% set ns = namespace(v=@) %}{% set ns.v = ns.v ~ '!' %}{{ ns.v }}",
    "{{ @ }}|{{ @ ~ '' }}|{{ @|string }}|{{ 'x' ~ @ }}",
    "{{ s.join(@) }}|{{ s.startswith(@) }}",
    "{{ s.replace(@, @) }}",
    "{{ s.split(@) }}",
]


def _filters() -> Iterator[str]:
    for name, arguments in FILTERS.items():
        for argument, value in itertools.product(arguments, NAMES + MADE):
            yield f"{{{{ {value}|{name}{argument} }}}}"


def _tests() -> Iterator[str]:
    more = ["1", "1.0", "0", "true", "'upper'", "'odd'", "s.upper"]
    for test, value in itertools.product(TESTS, NAMES + MADE + more):
        yield f"{{{{ {value} is {test} }}}}{{{{ {value} is not {test} }}}}"


def _methods() -> Iterator[str]:
    types: list[type] = [str, list, dict, int, float, tuple, range]
    names = sorted({name for type_ in types for name in dir(type_) if not name.startswith("__")})
    values = [*NAMES, *(value for value in MADE if value[0] != "[")]
    for name, value, argument in itertools.product([*names, "__class__", "__len__", "_x"], values, ARGUMENTS):
        yield f"{{{{ {value}.{name}{argument} }}}}"


def _operators() -> Iterator[str]:
    values = NAMES + MADE[:14]
    for operator, left, right in itertools.product(OPERATORS, values, values):
        if operator != "**" or not {left, right} & {"big", "nbig", "i64", "big_s"}:
            yield f"{{{{ {left} {operator} {right} }}}}"


def _indices() -> Iterator[str]:
    for value in NAMES + MADE:
        yield from (f"{{{{ {value}[{index}] }}}}" for index in INDICES)
        yield from (f"{{{{ {value}.{attribute} }}}}" for attribute in ATTRIBUTES)


def _texts() -> Iterator[str]:
    for value in NAMES + MADE:
        yield from (f"{{{{ '{{0{spec}}}|'.format({value}, 8) }}}}" for spec in SPECS)
        yield from (f"{{{{ '{spec}' % {value} }}}}{{{{ '{spec}' % ({value},) }}}}" for spec in PRINTF)


def _statements() -> Iterator[str]:
    for statement, value in itertools.product(STATEMENTS, NAMES + MADE):
        yield statement.replace("@", value)


AREAS: dict[str, Callable[[], Iterator[str]]] = {
    **{"filters": _filters, "tests": _tests, "methods": _methods, "operators": _operators},
    **{"indices": _indices, "texts": _texts, "statements": _statements},
}


def programs(area: str, keep: float, seed: int) -> Iterator[Program]:
    """Give the programs of an area.

    Args:
        area: one of AREAS.
        keep: which part of them, from 0 to 1.
        seed: chooses the part.
    """
    rng, has_open_types = random.Random(seed), _has_open_types()
    for source in AREAS[area]():
        is_kept = rng.random() < keep and not (has_open_types and re.search(r"\b(dict|namespace)\b", source))
        if is_kept:
            yield source, [VALUES]


def _has_open_types() -> bool:
    """Whether this transformers is one that shows templates Python's own ``dict``, as it did up to 5.22."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    return bool(_compile_jinja_template("{{ dict.get }}").render())


@pytest.mark.slow
@pytest.mark.parametrize("area", AREAS)
def test_built_ins_do_what_they_do_in_jinja2(area: str) -> None:
    pytest.importorskip("transformers")
    size = sum(1 for _ in AREAS[area]())
    counts, wrong = compare(programs(area, 300 / size, datetime.now().toordinal()), 10**6)
    assert wrong == []
    assert counts["cases"] > 100


if __name__ == "__main__":
    _area = sys.argv.pop(sys.argv.index("--area") + 1) if "--area" in sys.argv else "filters"
    if "--area" in sys.argv:
        sys.argv.remove("--area")
    sys.exit(main(__doc__, lambda seed: programs(_area, 1.0, seed)))
