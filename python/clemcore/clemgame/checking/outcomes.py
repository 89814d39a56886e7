"""Which outcomes of a game its code cannot reach. It reads code and does not run it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from clemcore.clemgame.checking.dead_code import dead_statements
from clemcore.clemgame.checking.remarks import HINT, WARNING, Remark

# The methods of a state that end an episode, and what else sets the same outcome.
_METHODS = {"succeed": "SUCCESS", "failed": "FAILURE", "abort": "ABORTED"}
_NAMES = {"SUCCESS": "as a success", "FAILURE": "as a failure", "ABORTED": "as aborted"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def unreachable_outcomes(files: list[Path]) -> Iterator[Remark]:
    """Report code that ends an episode and is never called or never reached, and outcomes that no code sets.

    Args:
        files: the Python files of a game.
    """
    trees = []
    for path in files:
        try:
            trees.append((path, ast.parse(path.read_bytes())))
        except (OSError, SyntaxError, ValueError):
            continue
    ends: dict[str, list[tuple[Path, int]]] = {}
    used = {name for _, tree in trees for name in _mentioned(tree)}
    for path, tree in trees:
        for node in ast.walk(tree):
            outcome = _outcome_of(node)
            if outcome is not None:
                ends.setdefault(outcome, []).append((path, node.lineno))  # type: ignore[attr-defined]
        yield from _never_called(path, tree, used)
        yield from _never_reached(path, tree)
    if ends:
        first = min(place for places in ends.values() for place in places)
        for outcome, text in _NAMES.items():
            if outcome not in ends:
                message = f"no code of the game ends an episode {text}: is that meant?"
                yield Remark(HINT, message, "outcome", str(first[0]), first[1])


def _outcome_of(node: ast.AST) -> str | None:
    """Return the outcome that a node sets: ``….succeed()``, or the value ``Outcome.SUCCESS``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return _METHODS.get(node.func.attr)
    if isinstance(node, ast.Assign):
        for inner in ast.walk(node.value):
            is_outcome = isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name)
            if is_outcome and inner.value.id == "Outcome" and inner.attr in _NAMES:  # type: ignore[attr-defined]
                return str(inner.attr)  # type: ignore[attr-defined]
    return None


def _mentioned(tree: ast.Module) -> Iterator[str]:
    """Give the names that code uses, also in texts, as for getattr()."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _never_called(path: Path, tree: ast.Module, used: set[str]) -> Iterator[Remark]:
    from clemcore.clemgame.game_master import GameMaster
    from clemcore.clemgame.legacy.master import DialogueGameMaster as LegacyMaster
    from clemcore.clemgame.master import DialogueGameMaster, GameState
    from clemcore.clemgame.player import Player

    hooks = {
        name for each in (GameMaster, LegacyMaster, DialogueGameMaster, GameState, Player) for name in dir(each)
    }
    for owner in ast.walk(tree):
        if not isinstance(owner, ast.ClassDef):
            continue
        for method in owner.body:
            if not isinstance(method, _FUNCTIONS) or method.name in used | hooks or method.decorator_list:
                continue
            outcome = next((found for node in ast.walk(method) if (found := _outcome_of(node))), None)
            if outcome is not None:
                text = f"{owner.name}.{method.name}() ends an episode {_NAMES[outcome]}, but nothing calls it"
                yield Remark(WARNING, text, "outcome", str(path), method.lineno)


def _never_reached(path: Path, tree: ast.Module) -> Iterator[Remark]:
    """Report statements that can never run, if they set an outcome."""
    for statement in dead_statements(tree):
        for inner in ast.walk(statement):
            if (outcome := _outcome_of(inner)) is not None:
                text = f"this would end an episode {_NAMES[outcome]}, but is never reached"
                yield Remark(WARNING, text, "outcome", str(path), inner.lineno)  # type: ignore[attr-defined]
