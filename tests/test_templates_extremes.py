"""Extreme numbers everywhere in a template: the core answers or refuses, and never panics.

Every filter, method, format, operator, index and loop that takes a number gets numbers at the edges of what
processors and Python hold. The suite runs a sample. This runs many cases::

    python tests/test_templates_extremes.py --cases 1000000 --seed 1
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
from datetime import datetime
from typing import Any

import pytest

from clemcore import _core
from clemcore.errors import ClemcoreError, TemplateError

NUMBERS: list[Any] = [
    *(0, 1, -1, 2, 3, -3, 7, 255, 256, 2**15, 65_534, 65_535, 65_536, 70_000, -70_000, 10**6, 10**8, 10**9),
    *(2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32, 2**53, 2**62, 2**63 - 2, 2**63 - 1, -(2**63), 1 - 2**63),
    *(2**63, -(2**63) - 1, 2**64, 10**30, -(10**30), 10**4299, True, False, None),
    *(0.0, -0.0, 0.5, 1.5, -2.5, 1e15, 1e16, 1e22, 1e308, -1e308, 5e-324, 2.0**63, -(2.0**63)),
    *(float("inf"), float("-inf"), float("nan")),
]
VALUES: list[Any] = [
    *("", "a", "abc", "äöü", "😀é", "a b\tc\n", "%s", "{}", "-12", "1e999", "9" * 30, " x " * 50, "ß\u0301ǆ"),
    *([], [1], [3, 1, 2], ["a", "b"], [[1, 2], [3]], (), (1, 2), {}, {"a": 1}, {"a": {"b": [1]}}, None, True),
]
# `v` is any value, `n`, `m` and `k` are any numbers.
CALLS = [
    *("v|abs", "n|abs", "v|batch(n)|list", "v|batch(n, m)|list", "v|center(n)", "v|default(n)", "v|first"),
    *("v|last", "n|filesizeformat", "n|filesizeformat(true)", "v|filesizeformat", "n|float", "v|float(n)"),
    *("n|int", "v|int(n)", "v|int(n, m)", "v|indent(n)", "v|indent(n, true, true)", "v|join(n)", "v|list"),
    *("[n, m, k]|max", "[n, m]|min", "n|round", "n|round(m)", "n|round(m, 'ceil')", "n|round(m, 'floor')"),
    *("v|replace('a', 'bb', n)", "n|string", "v|slice(n)|list", "v|slice(n, m)|list", "[n, m, k]|sort"),
    *("[n, m, k]|sum", "[n, m]|sum(start=k)", "[n]|unique", "v|truncate(n)", "v|truncate(n, true)"),
    *("v|truncate(n, false, '...', m)", "v|truncate(n, true, '', m)", "v|wordwrap(n)", "v|wordwrap(n, false)"),
    *("v|tojson(indent=n)", "[n, m]|tojson", "{'a': n}|tojson(indent=m)", "n|pprint", "v|urlize(n)"),
    *("v|urlencode", "n|xmlattr", "v|format(n, m)", "'%d'|format(n)", "v|wordcount", "v.center(n)"),
    *("v.center(n, 'é')", "v.ljust(n)", "v.rjust(n, '😀')", "v.zfill(n)", "v.expandtabs(n)", "v.split('a', n)"),
    *("v.rsplit(none, n)", "v.splitlines(n)", "v.replace('', '-', n)", "v.count('a', n, m)"),
    *("v.find('a', n, m)", "v.rfind('', n, m)", "v.index('a', n)", "v.rindex('a', n, m)"),
    *("v.startswith('a', n, m)", "v.endswith('c', n, m)", "v.translate({97: n})", "v.index(n)", "v.count(n)"),
    *("v.get(n, m)", "v.join([n])", "v[n]", "v[n:]", "v[:n]", "v[n:m]", "v[n:m:k]", "v[::n]", "v[n::m]"),
    *("v * n", "n * v", "'ab' * n", "[1] * n", "n + m", "n - m", "n * m", "n / m", "n // m", "n % m", "n ** m"),
    *("-n", "+n", "n < m", "n == m", "n in [m, k]", "n ~ m", "(n, m) < (k, n)", "n + m * k - n // m"),
    *("n is divisibleby m", "n is even", "n is odd", "n is sameas m", "range(n)[m]", "range(n, m)[k]"),
    *("range(n, m, k)[0]", "range(n, m, k)[n:m:k]", "range(n, m, k)|length", "n in range(m, k)"),
    *("range(n, m, k)|last", "range(n, m, k)", "range(n)[::m]|list|length", "range(n)|sum"),
    *("cycler(n, m).next()", "namespace(a=n).a + m", "dict(a=n).a", "strftime_now('%' ~ n ~ 'd')", "lipsum(n)"),
    *("'%c' % n", "'%*d' % (n, m)", "'%.*f' % (n, m)", "'%*.*e' % (n, m, k)", "'%-*.*g' % (n, m, k)"),
    *("'%#.*x' % (n, m)", "'%(a)s' % {'a': n}", "v % n", "'{:{}}'.format(n, m)", "'{:{}.{}f}'.format(n, m, k)"),
    *("'{:.{}}'.format(v, n)", "'{0[' ~ n ~ ']}'.format(v)", "'{' ~ n ~ '}'.format(v)", "'{:,}'.format(n)"),
    *("'{:0=+{},}'.format(n, m)",),
]
LOOPS = [
    "{% for i in range(n, m, k) %}{% if loop.index > 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(n, m, k) %}{{ i }}{{ loop.previtem }}{{ loop.nextitem }}{% endfor %}",
    "{% for i in v %}{{ loop.index + n }}{{ loop.cycle(n, m) }}{{ loop.revindex * m }}{% endfor %}",
    "{% for i in range(n) recursive %}{% if loop.depth < 5 %}{{ loop([m, k]) }}{% endif %}{% endfor %}",
    "{% set ns = namespace(x=n) %}{% for i in [m, k] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
]
NOW = (2026, 3, 7, 14, 5, 9, 0)


def formats(rng: random.Random) -> str:
    """Give a format of a number, with a width and a precision that somebody may have mistyped."""
    width = rng.choice(
        ["", "0", "5", "40", "65535", "65536", "70000", "2147483648", "9223372036854775807", "9" * 30]
    )
    precision = rng.choice(
        ["", ".0", ".1", ".17", ".400", ".65535", ".65536", ".70000", ".2147483647", "." + "9" * 30]
    )
    kind = rng.choice("eEfFgGn%dxXobcs") if rng.random() < 0.9 else ""
    if rng.random() < 0.5:
        return f"'%{rng.choice(['', '+', '-', '#', '0', ' '])}{width}{precision}{kind}' % n"
    flags = rng.choice(["", "<", "é>", "^", "0=", "="]) + rng.choice(["", "+", " "]) + rng.choice(["", "#"])
    return f"'{{:{flags}{width}{rng.choice(['', ',', '_'])}{precision}{kind}}}'.format({rng.choice('nnnv')})"


def program(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Give a template and its variables."""
    source = formats(rng) if rng.random() < 0.3 else rng.choice(CALLS)
    source = rng.choice(LOOPS) if rng.random() < 0.05 else f"{{{{ {source} }}}}"
    return source, {"v": rng.choice(VALUES), **{name: rng.choice(NUMBERS) for name in "nmk"}}


def outcome(source: str, variables: dict[str, Any]) -> str:
    """Render; give the kind of what happened, or the message where it is a bug of ours."""
    try:
        _core.TemplateCore(source).render_context([variables], NOW)
    except TemplateError:
        return "error"
    except _core.UnsupportedError:
        return "unsupported"
    except BaseException as fault:  # a panic may come as anything
        if isinstance(fault, KeyboardInterrupt):
            raise
        return f"{type(fault).__name__}: {fault}"
    return "text"


def run(cases: int, seed: int) -> tuple[collections.Counter[str], list[Any]]:
    """Render this many programs; give what happened, and those that failed."""
    counts: collections.Counter[str] = collections.Counter()
    wrong = []
    for number in range(cases):
        source, variables = program(random.Random(f"{seed}-{number}"))
        found = outcome(source, variables)
        counts[found] += 1
        if found not in {"text", "error", "unsupported"}:
            wrong.append((source, variables, found))
    return counts, wrong


@pytest.mark.slow
def test_extreme_numbers_are_answered_or_refused() -> None:
    counts, wrong = run(3000, datetime.now().toordinal())
    assert wrong == []
    assert min(counts["text"], counts["error"]) > 300, counts


@pytest.mark.parametrize("kind", "eEfFgGn%")
@pytest.mark.parametrize("precision", [0, 17, 1_073, 1_074, 1_075, 65_535, 65_536, 70_000])
def test_a_long_precision_gives_the_digits_that_python_gives(kind: str, precision: int) -> None:
    for number in (1.5, 0.1, -123456.789, 5e-324, 1e308, 0.0)[: 6 if precision < 10_000 else 2]:
        for spec in (f".{precision}{kind}", f"#.{precision}{kind}", f"+0{precision + 20}.{precision}{kind}"):
            got = _core.TemplateCore("{{ spec.format(n) }}").render_context(
                [{"spec": f"{{:{spec}}}", "n": number}]
            )[0]
            assert got == format(number, spec), (spec, number)
        if kind in "eEfFgG":
            old = f"%#.{precision}{kind}"
            got = _core.TemplateCore("{{ old % n }}").render_context([{"old": old, "n": number}])[0]
            assert got == old % number, (old, number)


def test_a_panic_is_an_error_that_asks_to_be_reported(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ClemcoreError, match=r"bug in clemcore: for a test \(.*guard\.rs:\d+:\d+\).*report"):
        _core._panic("for a test")
    assert capfd.readouterr().err == ""


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    _parser.add_argument("--cases", type=int, default=200_000)
    _parser.add_argument("--seed", type=int, default=0)
    _options = _parser.parse_args()
    _counts, _wrong = run(_options.cases, _options.seed)
    for _line in _wrong[:20]:
        sys.stdout.write(f"{_line}\n")
    sys.stdout.write(f"{dict(_counts.most_common(30))}\n")
    sys.exit(1 if _wrong else 0)
