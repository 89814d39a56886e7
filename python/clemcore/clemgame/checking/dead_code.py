"""Which statements of a file can never run. It reads code and does not run it, and does not know games."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
# A `break` in one of these does not end the loop around it.
_OWN_BREAKS = (ast.For, ast.AsyncFor, ast.While, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def dead_statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Give the statements behind one that always leaves its block, and those behind a constant condition.

    A name, such as ``DEBUG``, is not taken for a constant: its author may change its value.
    """
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.While)):
            truth = _truth(node.test)
            if truth is not None:
                yield from node.orelse if truth else node.body
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield from _after_the_end(block)


def _after_the_end(block: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    last = next((at for at, statement in enumerate(block) if _leaves(statement)), len(block))
    return block[last + 1 :]


def _leaves(statement: ast.stmt) -> bool:
    """Return whether nothing behind a statement in its block can run.

    A ``with`` never counts, because its context manager may suppress an error: ``with suppress(ValueError): return
    int(text)`` may go on.
    """
    if isinstance(statement, ast.If):
        truth = _truth(statement.test)
        return (truth is False or _ends(statement.body)) and (truth is True or _ends(statement.orelse))
    if isinstance(statement, ast.While):
        return _truth(statement.test) is True and not _breaks(statement.body)
    if isinstance(statement, ast.Try):
        is_done = _ends(statement.body) or _ends(statement.orelse)
        return _ends(statement.finalbody) or (is_done and all(_ends(each.body) for each in statement.handlers))
    if isinstance(statement, ast.Match):
        return _takes_all(statement.cases[-1]) and all(_ends(case.body) for case in statement.cases)
    return isinstance(statement, _LEAVING)


def _ends(block: Sequence[ast.stmt]) -> bool:
    return any(map(_leaves, block))


def _takes_all(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def _breaks(block: Sequence[ast.AST]) -> bool:
    """Return whether a ``break`` in the body of a loop may end that loop."""
    for node in block:
        if isinstance(node, ast.Break):
            return True
        # The `else` of an inner loop belongs to the outer one.
        inner = getattr(node, "orelse", []) if isinstance(node, _OWN_BREAKS) else list(ast.iter_child_nodes(node))
        if _breaks(inner):
            return True
    return False


def _truth(test: ast.expr) -> bool | None:
    """Return whether a condition always or never holds; ``None`` if it depends on anything."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        truth = _truth(test.operand)
        return None if truth is None else not truth
    if isinstance(test, ast.BoolOp):
        decides = isinstance(test.op, ast.Or)
        parts = [_truth(each) for each in test.values]
        return decides if decides in parts else None if None in parts else not decides
    try:
        return bool(ast.literal_eval(test))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
