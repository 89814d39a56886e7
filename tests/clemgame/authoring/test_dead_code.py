"""Statements that can never run are found, and those that may run are not."""

from __future__ import annotations

import ast

import pytest

from clemcore.clemgame.checking.dead_code import dead_statements

# In each text, `dead()` can never run, and `live()` may run.
TEXTS = (
    "if False:\n  dead()\nelse:\n  live()",
    "if 0 or not 'x':\n  dead()\nlive()",
    "if live() and False:\n  dead()",
    "if live() or True:\n  live()\nelse:\n  dead()",
    "if live() or False:\n  live()\nelse:\n  live()",
    "if ():\n  dead()\nelif []:\n  dead()\nelif {1: 2}:\n  live()\nelse:\n  dead()",
    "if DEBUG:\n  live()",
    "while False:\n  dead()\nlive()",
    "while True:\n  live()\ndead()",
    "while True:\n  live()\nelse:\n  dead()",
    "while True:\n  if live():\n    break\nlive()",
    "while True:\n  for x in live():\n    break\ndead()",
    "while True:\n  for x in live():\n    live()\n  else:\n    break\nlive()",
    "while live():\n  continue\n  dead()",
    "def f():\n  if live():\n    return 1\n  live()",
    "def f():\n  if live():\n    return 1\n  else:\n    raise KeyError\n  dead()",
    "def f():\n  if True:\n    return 1\n  dead()",
    "def f():\n  with suppress(KeyError):\n    return live()\n  live()",
    "def f():\n  try:\n    return live()\n  except KeyError:\n    live()\n  live()",
    "def f():\n  try:\n    return live()\n  except KeyError:\n    raise\n  dead()",
    "def f():\n  try:\n    live()\n  except KeyError:\n    live()\n  else:\n    return 1\n  live()",
    "def f():\n  try:\n    live()\n  finally:\n    return 1\n  dead()",
    "def f():\n  match live():\n    case 1:\n      return 1\n    case _:\n      return 2\n  dead()",
    "def f():\n  match live():\n    case 1:\n      return 1\n    case 2:\n      return 2\n  live()",
    "def f():\n  match live():\n    case _ if live():\n      return 1\n  live()",
)


@pytest.mark.parametrize("text", TEXTS)
def test_dead_calls_are_told_from_live_ones(text: str) -> None:
    found = {
        node.func.id
        for statement in dead_statements(ast.parse(text))
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert found == ({"dead"} if "dead()" in text else set())
    dead_lines = {at for at, line in enumerate(text.splitlines(), 1) if "dead()" in line}
    lines = {inner.lineno for each in dead_statements(ast.parse(text)) for inner in ast.walk(each)
             if isinstance(inner, ast.Call)}  # fmt: skip
    assert lines == dead_lines
