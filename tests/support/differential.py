"""Our template engine against jinja2 in transformers' own environment: one driver for every kind of template.

A *program* is a template with the contexts that it is rendered in. Each module of programs is a test, which runs a
few, and a command, which runs many.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from clemcore import _core
from clemcore.errors import TemplateError

Context = dict[str, Any]
Program = tuple[str, list[Context]]
# Kind of error ("" for none), and the text or the error's text.
Outcome = tuple[str, str]
Difference = tuple[str, Context, Outcome, Outcome]

# What our engine says where jinja2 would go on: [1] * 10**7, say.
BOUNDS = (
    "the template takes too many steps or too much memory to render",
    "the template takes too long to render",
    "the output grows too large",
)
NOW = datetime(2026, 3, 7, 14, 5, 9)


class Oracle:
    """jinja2, in the environment that transformers makes; the clock stands still."""

    def __init__(self) -> None:
        from transformers.utils.chat_template_utils import _compile_jinja_template

        self.environment: Any = _compile_jinja_template("").environment
        self.environment.globals["strftime_now"] = NOW.strftime

    def render(self, source: str, contexts: list[Context]) -> list[Outcome]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # Python's, about odd generated code
                compiled = self.environment.from_string(source)
        except Exception as fault:  # noqa: BLE001 - jinja2 lets Python's own errors through
            return [(type(fault).__name__, str(fault))] * len(contexts)
        results = []
        for variables in contexts:
            try:
                results.append(("", compiled.render(**variables)))
            except Exception as fault:  # noqa: BLE001 - a template can raise anything
                results.append((type(fault).__name__, str(fault)))
        return results


def ours(source: str, variables: Context) -> Outcome:
    """Render by the core; "Unsupported" is what jinja2 is left to do."""
    now = (NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second, NOW.microsecond)
    try:
        return "", _core.TemplateCore(source).render_context([variables], now)[0]
    except TemplateError as fault:
        # Shown as a text, control characters in it would be escapes.
        return "TemplateError", str(fault.args[0])
    except _core.UnsupportedError as fault:
        return "Unsupported", str(fault)


def agree(expected: Outcome, got: Outcome) -> bool:
    """Equal text, or an error on both sides, with equal text where the template raised it."""
    if got[0] == "Unsupported":
        return True
    if not expected[0]:
        # The addresses of objects are not text that anybody could repeat.
        return got == expected or " at 0x" in expected[1]
    return bool(got[0]) and (expected[0] != "TemplateError" or got[1] == expected[1])


def compare(
    programs: Iterator[Program], cases: int, report: Callable[[Difference], None] | None = None
) -> tuple[collections.Counter[str], list[Difference]]:
    """Compare this many renders, or as many as there are; give what happened and the differences."""
    oracle = Oracle()
    counts: collections.Counter[str] = collections.Counter()
    wrong = []
    for source, contexts in programs:
        for variables, expected in zip(contexts, oracle.render(source, contexts), strict=True):
            got = ours(source, variables)
            counts["cases"] += 1
            counts["error" if expected[0] else "text"] += 1
            if got[0] == "Unsupported":
                counts["unsupported"] += 1
                if not expected[0]:
                    counts["unsupported: " + got[1][:60]] += 1
            if got[1] in BOUNDS:
                counts["bounded"] += 1
            elif not agree(expected, got):
                counts["wrong"] += 1
                wrong.append((source, variables, expected, got))
                if report is not None:
                    report(wrong[-1])
        if counts["cases"] >= cases:
            break
    return counts, wrong


def random_programs(make: Callable[[random.Random], Program], seed: int) -> Iterator[Program]:
    """Give programs without end; each has a seed of its own, so that any can be made again."""
    number = 0
    while True:
        yield make(random.Random(f"{seed}-{number}"))
        number += 1


def main(about: str | None, programs: Callable[[int], Iterator[Program]]) -> int:
    """Run as a command.

    Args:
        about: shown as help.
        programs: gives the programs of a seed.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop-after", type=int, default=20, help="differences to show")
    options = parser.parse_args()
    shown = 0

    def report(difference: Difference) -> None:
        nonlocal shown
        shown += 1
        if shown <= options.stop_after:
            source, variables, expected, got = difference
            sys.stdout.write(f"--- {source!r}\n  {variables!r}\n  jinja2: {expected!r}\n  ours:   {got!r}\n")
            sys.stdout.flush()

    counts, wrong = compare(programs(options.seed), options.cases, report)
    sys.stdout.write(json.dumps(dict(counts.most_common()), indent=1) + "\n")
    return 1 if wrong else 0
