"""Tells whether results come from the same game, instances, templates and arguments, so that they may be compared.

It reads the manifests of runs (``run.json``). It does not know scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clemcore.clemgame.store import manifest, run_folder
from clemcore.errors import RunError


def differences(runs: Sequence[Path]) -> list[str]:
    """List what differs between runs: each is compared with the first one that has the same game.

    Args:
        runs: the folders of the runs.

    Returns:
        One line for each difference, and for each run of which nothing is known.
    """
    known: dict[Path, Mapping[str, Any]] = {}
    found: list[str] = []
    for run in runs:
        content = _manifest(run)
        if content is None:
            found.append(f"{run}: has no run.json with hashes, so nothing says what it was played with")
        else:
            known[run] = content
    first: dict[str, Path] = {}
    for run, content in known.items():
        for game in content[manifest.SECTION].get("games", {}):
            other = first.setdefault(game, run)
            if other != run:
                found += _of_game(game, (other, known[other]), (run, content))
    found += _of_arguments(known)
    return list(dict.fromkeys(found))


def _manifest(run: Path) -> Mapping[str, Any] | None:
    try:
        return run_folder.read(run)
    except RunError:
        return None  # written by 3.7.2, or torn


def _of_game(
    game: str, one: tuple[Path, Mapping[str, Any]], other: tuple[Path, Mapping[str, Any]]
) -> Iterator[str]:
    sections = [content[manifest.SECTION]["games"][game] for _, content in (one, other)]
    for change in manifest.game_changes(game, *sections):
        yield f"{one[0]} and {other[0]}: {change}"


def _of_arguments(known: Mapping[Path, Mapping[str, Any]]) -> Iterator[str]:
    """Compare the generation arguments of all roles; a run without a role is compared by its first one."""
    runs = list(known)
    for other in runs[1:]:
        mine, theirs = (known[run].get("player_models", {}) for run in (runs[0], other))
        for role in sorted({*mine, *theirs}, key=str):
            sent = [_arguments(models, role) for models in (mine, theirs)]
            for name in sorted({*sent[0], *sent[1]}):
                values = [each.get(name) for each in sent]
                if values[0] != values[1]:
                    yield f"{runs[0]} and {other}: argument {name} of role {role}: {values[0]!r} → {values[1]!r}"


def _arguments(models: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    described: Mapping[str, Any] = models.get(role) or next(iter(models.values()), {})
    arguments = described.get("gen_args", {})
    return arguments if isinstance(arguments, Mapping) else {}
