"""Every built-in of the template language, applied to large values again and again.

As a command, it renders the templates of one group and prints how each ended::

    python tests/support/hostile_templates.py 0 8
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# What the operands are, by name. A template makes them, except for `given`, which is part of the input.
OPERANDS = {
    "spaces": "' ' * 3000000",
    "words": "'ab ' * 1000000",
    "greek": "'αΣ ' * 600000",
    "digits": "'7' * 3000000",
    "lines": "'a\\n' * 1500000",
    "tags": "'<b>&' * 750000",
    "fields": "'{0}' * 1000000",
    "percents": "'%s' * 1500000",
    "texts": "['x' * 1000000 ~ 'a'] * 20000",
    "numbers": "range(90000)|list",
    "pairs": "[('k', 'x' * 1000000)] * 5000",
    "nested": "[[[['x'] * 99] * 99] * 99] * 99",
    "table": "dict.fromkeys(range(20000), 'x' * 1000000)",
    "named": "{'x' * 3000000: 'y' * 3000000, 'a': 1}",
    "large": "2 ** 130000",
    "lazy": "range(90000)|map('string')",
    "given": "messages[0].content",
}
# Arguments of filters beside the operand; all others take none.
FILTER_ARGUMENTS = {
    "attr": ["('x' * 3000000)"],
    "batch": ["(3)|list", "(1, 'f')|list"],
    "center": ["(4000000)", "(10 ** 15)"],
    "default": ["('x', true)"],
    "dictsort": ["(by='value')", "(true, reverse=true)"],
    "format": ["(1)", "(*([1] * 90000))", "(('x' * 3000000))"],
    "groupby": ["('a')", "(0, default=('x' * 1000000))"],
    "indent": ["(100)", "('x' * 1000)"],
    "int": ["(0, 16)"],
    "join": ["('x' * 100000)", "('', 0)"],
    "map": ["('upper')|list", "(attribute='a.b')|list", "('e')|join", "('default', *([1] * 90000))|list"],
    "max": ["(attribute=0)"],
    "reject": ["('eq', 'x')|list"],
    "rejectattr": ["('a')|list"],
    "replace": ["('a', 'x' * 1000)", "('', '-')", "(' ', '')"],
    "select": ["('string')|list", "('in', 'x' * 1000000)|list", "('eq', *([1] * 90000))|list"],
    "selectattr": ["('a', 'defined')|list"],
    "slice": ["(3)|list", "(1000000, 'f')|list"],
    "sort": ["(attribute='a,b,c')", "(attribute=('0,' * 10000) ~ '0')", "(true, true)"],
    "sum": ["(start=[])", "(attribute=0)"],
    "tojson": ["(ensure_ascii=true)", "(indent=4)", "(sort_keys=true)"],
    "truncate": ["(2000000)", "(20, true, 'x' * 10)"],
    "unique": ["|list", "(true)|list"],
    "urlize": ["(40)"],
    "wordwrap": ["(1)", "(79, false)"],
}
TEST_ARGUMENTS = {
    **dict.fromkeys(("divisibleby",), "(7)"),
    **dict.fromkeys(("eq", "equalto", "ne", "lt", "lessthan", "le", "gt", "greaterthan", "ge", "sameas"), "(v)"),
    "in": "(v)",
}
METHOD_ARGUMENTS: dict[str, Sequence[str]] = {
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), ("(4000000)", "(10 ** 15)")),
    **dict.fromkeys(("count", "find", "rfind", "index", "rindex"), ("('ab a')", "('x' * 1000000)", "('b', 5, -5)")),
    **dict.fromkeys(("startswith", "endswith"), ("('x')", "(('x' * 1000,) * 50000)", "(v)")),
    **dict.fromkeys(("partition", "rpartition"), ("('b')", "('zz')")),
    **dict.fromkeys(("removeprefix", "removesuffix"), ("('a')", "(v)")),
    **dict.fromkeys(("split", "rsplit"), ("()", "('a')", "(none, 3)")),
    **dict.fromkeys(("strip", "lstrip", "rstrip"), ("()", "('ab ')", "(v)")),
    "expandtabs": ["()", "(10 ** 12)"],
    "format": ["(1)", "(v)", "(*([1] * 90000))"],
    "format_map": ["({'a': 1})"],
    "get": ["('x' * 3000000)", "((1,) * 90000)", "(19999)"],
    "join": ["(['x'] * 90000)", "(v)"],
    "replace": ["('a', 'x' * 1000)", "('', '-')", "(' ', '')"],
    "translate": ["({97: 'x' * 1000})", "(dict.fromkeys(range(20000)))"],
    "fromkeys": ["(v)"],
}
OPERATORS = [
    *("v + v", "v * 3000", "v * (10 ** 15)", "v ~ v", "v % 1", "v % v", "v % ((1,) * 90000)", "v - v", "v / v"),
    *("v // 7", "v // (2 ** 60000)", "v ** 3", "-v", "+v", "not v", "v == (v ~ '')", "v != v", "v < v", "v >= v"),
    *("v in v", "v in [v]", "'x' not in v", "1 in v", "v and v", "v[5]", "v[-1]", "v[1:]", "v[::-1]", "v[::7]"),
    *("v['x' * 3000000]", "v[(1,) * 90000]", "{v: 1}[v]", "{v: v}", "[v, v]|string", "(v, v)|string", "v|string"),
    *("namespace(x=v).x", "dict(a=v)", "dict(v)", "cycler(v, v).next()", "joiner(v)()", "v == v", "v is true"),
    *("'{:>4000000}'.format(v)", "'{0!r}{0!a}'.format(v)", "'%r%a' % (v, v)", "'%.3000000d' % 7", "'%x' % v"),
    *("'{:,}'.format(v)", "'{:.70000f}'.format(1.5)", "strftime_now('%999A' * 3000)", "strftime_now(v)"),
    "raise_exception(v)",
]
BLOCKS = [
    "{% set a, b = v %}",
    "{% for a, b in v %}{% endfor %}",
    "{% for c in v %}{{ loop.index }}{% endfor %}",
    "{% for c in v if c %}{{ c }}{% endfor %}",
    "{% for c in v %}{{ loop.nextitem }}{{ loop.changed(v) }}{% endfor %}",
    "{% set t %}{{ v }}{{ v }}{% endset %}",
    "{% filter upper %}{{ v }}{% endfilter %}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{% set t = m(v) %}",
    "{% set ns.l = ns.l + [v ~ i] %}",
    "{% set ns.t = ns.t ~ v %}",
    "{% set ns.l = [ns.l, ns.l] %}{{ ns.l }}",
    "{% if v == v ~ '' %}{% endif %}{% if v.startswith(v) %}{% endif %}",
    "{% for x in [[1, 2]] recursive %}{% if loop.depth < 50 %}{{ loop([x, v]) }}{% endif %}{% endfor %}",
    "{% for j in range(90000) %}{% set x = v.strip() %}{% endfor %}",
]
GIVEN = {"messages": [{"role": "user", "content": "ab \u00e9" * 600_000}]}
METHODS = [name for kind in (str, dict, list, tuple, int, float) for name in dir(kind) if name[0] != "_"]

# What a render may take.
SECONDS, MEBIBYTES = 1.0, 200


def names() -> tuple[list[str], list[str]]:
    """Return the names of all filters and tests that jinja2 has."""
    from jinja2.filters import FILTERS
    from jinja2.tests import TESTS

    return sorted(FILTERS), sorted(name for name in TESTS if name.isidentifier())


def expressions() -> Iterator[str]:
    """Give an expression of `v` for each built-in."""
    filters, tests = names()
    for name in filters:
        for arguments in ["", *FILTER_ARGUMENTS.get(name, [])]:
            yield f"v|{name}{arguments}"
    for name in tests:
        yield f"v is {name}{TEST_ARGUMENTS.get(name, '')}"
    for name in dict.fromkeys(METHODS):
        for arguments in METHOD_ARGUMENTS.get(name, ("()",)):
            yield f"v.{name}{arguments}"
    yield from OPERATORS


def sources() -> Iterator[str]:
    """Give all templates."""
    rounds = "{% set ns = namespace(l=[], t='') %}{% for i in range(3000) %}"
    for operand, value in OPERANDS.items():
        start = f"{{% set v = {value} %}}{rounds}"
        for expression in expressions():
            # What is lazy is used up by its first use.
            again = f"{{% set v = {value} %}}" if operand == "lazy" else ""
            yield f"{start}{again}{{% set x = {expression} %}}{{% endfor %}}"
        for block in BLOCKS:
            yield f"{start}{block}{{% endfor %}}"


def render(source: str) -> tuple[str, float]:
    """Render; give the kind of the outcome and the processor time."""
    from clemcore import _core
    from clemcore.errors import TemplateError

    # A large input is worth many steps.
    given = GIVEN if "messages" in source else {}
    start = time.thread_time()
    try:
        _core.TemplateCore(source).render_context([given], (2026, 3, 7, 14, 5, 9, 0))
        kind = "text"
    except TemplateError:
        kind = "error"
    except _core.UnsupportedError:
        kind = "unsupported"
    return kind, time.thread_time() - start


def peak() -> int:
    """Return the most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    """Render the templates of one group with little memory, and print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, help="how many templates all groups render together; by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("group", type=int)
    parser.add_argument("groups", type=int)
    options = parser.parse_args()
    chosen = list(sources())
    if options.sample is not None:
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    render("{{ messages }}")
    before = peak()
    # In address space, of which an allocator takes some that it does not use.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = size + 2 * MEBIBYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    counts: dict[str, int] = {}
    slow = []
    for source in chosen[options.group :: options.groups]:
        kind, seconds = render(source)
        counts[kind] = counts.get(kind, 0) + 1
        if seconds > SECONDS:
            slow.append((source, seconds))
    sys.stdout.write(json.dumps({"counts": counts, "slow": slow, "grown": peak() - before}))


if __name__ == "__main__":
    main()
