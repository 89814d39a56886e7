"""Registries of any shape are checked and fixed in linear time; conflicts are left alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clemcore import _core
from support.clem import Clem

# Seconds for a shape of about a megabyte, which takes a tenth of one. What grew with the square took over 60.
MOST = 10.0
SHAPES: dict[str, Callable[[int], str]] = {
    "entries whose names never end": lambda n: '{"model_name": "m, "backend": "mock"},\n' * (n // 40),
    "entries whose last texts never end": lambda n: '{"model_name": "m", "backend": "mock},\n' * (n // 40),
    "strings that never end": lambda n: '"abc\n' * (n // 5),
    "strings in other quotes that never end": lambda n: "\"abc\n'def\n`ghi\n“jkl\n" * (n // 24),
    "strings that never end, before a long line": lambda n: '"a\n' * (n // 6) + "x" * (n // 2),
    "quotes that are only closed": lambda n: 'a": 1,\n' * (n // 7),
    "conflicts": lambda n: "<<<<<<< HEAD\n1,\n=======\n2,\n>>>>>>> x\n" * (n // 38),
    "conflicts without an end": lambda n: "<<<<<<< HEAD\n=======\n" * (n // 21),
    "brackets": lambda n: "[1}" * (n // 3),
    "commas": lambda n: "," * (n // 10),
    "comments without an end": lambda n: "/*" * (n // 2),
    "entries that occur again and again": lambda n: '{"model_name": "m", "backend": "mock"},\n' * (n // 40),
    "blanks before what is missing": lambda n: "1" + " " * (n // 2) + "\n2" * (n // 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_a_registry_of_any_shape_is_checked_and_fixed_in_little_time(shape: str) -> None:
    text = f"[\n{SHAPES[shape](900_000)}\n]".encode()
    start = time.thread_time()
    fixed = _core.fix("r.json", text)
    _core.check("r.json", text)
    fixed.diff("r.json")
    assert time.thread_time() - start < MOST


CONFLICT = """[
<<<<<<< HEAD
  {"model_name": "one", 'backend': "mock"},
||||||| 3f2c1aa
  {"model_name": "one", "backend": "mock", "seed": 1},
=======
  {"model_name": "one", "backend": "mock",}
>>>>>>> other
  {"model_name": "two", "backend": "mock"},
]
"""


def test_the_check_reports_a_conflict_once_and_fix_leaves_the_file_alone(clem: Clem) -> None:
    file = Path("model_registry.json")
    file.write_text(CONFLICT, encoding="utf-8")
    before = file.stat().st_mtime_ns
    done = clem("registry", "check", "--fix", "--format", "json", str(file))
    assert (done.returncode, file.read_text(encoding="utf-8"), file.stat().st_mtime_ns) == (1, CONFLICT, before)
    problems = json.loads(done.stdout)["problems"]
    assert [(p["code"], p["line"]) for p in problems if p["code"] == "R090"] == [("R090", 2)]
    assert "HEAD" in problems[0]["message"]


def test_a_string_without_an_end_stops_at_a_conflict() -> None:
    text = '[{"model_name": "one\n<<<<<<< HEAD\n"}]\n=======\n"}]\n>>>>>>> other\n'
    codes = [problem.code for problem in _core.check("r.json", text.encode()).problems]
    assert codes.count("R090") == 1
    assert "R020" in codes


def test_a_long_string_that_was_pasted_in_may_end_many_lines_later() -> None:
    for lines in (1, 50, 2000):
        body = "a line\n" * lines + "the end"
        text = f'[{{"model_name": "m", "backend": "mock", "comment": "{body}", "seed": 1}}]'
        codes = {problem.code for problem in _core.check("r.json", text.encode()).problems}
        assert codes == {"R023"}, (lines, codes)
