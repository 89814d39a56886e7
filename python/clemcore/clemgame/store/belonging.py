"""Tells whether the files of a store belong to one run: each notes what its episodes were played with.

A file of another run is told by what :mod:`clemcore.clemgame.store.manifest` refuses to change in a run. When and
where a file was written does not matter. It does not know how files are read.
"""

from __future__ import annotations

import io
from array import array
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.calls.encoding import dumped, to_json
from clemcore.clemgame.store import run_folder
from clemcore.clemgame.store.manifest import MODEL, Json, histories, histories_of_instances
from clemcore.errors import MixedRunError, RunError

if TYPE_CHECKING:
    from clemcore.clemgame.plan import PlannedGame

# The note of a store file that says what its episodes were played with.
NOTE = "played with"
_SHOWN = 5
_LONGEST = 60

# Each fact, with all values that it had while the file was written, the newest last.
Facts = Mapping[str, Sequence[Any]]


def played_with(content: Json, games: Sequence[PlannedGame], earlier: Facts) -> bytes:
    """Return what a file notes before a command plays, as JSON.

    Args:
        content: the content of ``run.json``.
        games: what the command plays into this file. Other instances are not noted, because there may be many.
        earlier: what the file has noted so far.
    """
    kept = {**earlier, **histories(content, with_instances=False)}
    text = io.BytesIO(b"{")
    text.seek(1)
    for game in games:
        played: dict[str, _Numbers] = {}
        for key in game.episode_keys():
            played.setdefault(key.experiment, _Numbers()).add(key.game_id)
        for what, values in histories_of_instances(content, game.spec.game_name, played):
            kept.pop(what, None)
            text.write(b"%s: %s, " % (dumped(what), dumped(values)))
    text.write(dumped(kept)[1:])
    return text.getvalue()


class _Numbers(Container[int]):
    """A set of numbers. Those that come in ascending order, as IDs nearly always do, take eight bytes each."""

    def __init__(self) -> None:
        self._ascending = array("q")
        self._others: set[int] = set()

    def add(self, number: int) -> None:
        if not self._ascending or number > self._ascending[-1]:
            self._ascending.append(number)
        elif number not in self:
            self._others.add(number)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        at = bisect_left(self._ascending, number)
        return (at < len(self._ascending) and self._ascending[at] == number) or number in self._others


def refuse_mixed(folder: Path, notes: Mapping[str, Facts]) -> None:
    """Refuse a folder with a file of another run.

    A command writes ``run.json`` before it notes anything in its file. Read the notes before ``run.json``: the
    values of a file are then a beginning of those of the run.

    Args:
        folder: the folder of the run.
        notes: what each file notes, by the name of the file.

    Raises:
        MixedRunError: a file was played with something that the run never had.
    """
    notes = {name: facts for name, facts in notes.items() if facts}  # one is empty while a file is just being made
    if not notes:
        return
    name, whole = _of_run(folder, notes)
    faults = {file: [*_differences(file, facts, name, whole)] for file, facts in notes.items()}
    faults = {file: lines for file, lines in faults.items() if lines}
    if not faults:
        return
    files = f"{', '.join(faults)} {'is' if len(faults) == 1 else 'are'}"
    lines = [line for found in faults.values() for line in found]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    shown = "\n  ".join([*lines[:_SHOWN], *more])
    raise MixedRunError(
        f"{folder}: {files} not of the same run as {name}, and results of two runs would be mixed:\n  {shown}\n"
        f"  Move {', '.join(faults)} to the run that it belongs to, and play what is missing here with the command "
        "of this run"
    )


def _of_run(folder: Path, notes: Mapping[str, Facts]) -> tuple[str, Facts]:
    """Return what the run was played with, and where that stands: in ``run.json``, or else in the files."""
    try:
        content = run_folder.read(folder)
    except RunError:  # whoever needs it says so
        content = None
    if content is not None:
        return run_folder.FILE, histories(content)
    return "the other files", newest(notes.values())


def newest(notes: Iterable[Facts]) -> dict[str, Sequence[Any]]:
    """Return what several files of one run note together: those that were written last know most values."""
    found: dict[str, Sequence[Any]] = {}
    for facts in notes:
        for what, values in facts.items():
            if len(values) > len(found.get(what, ())):
                found[what] = values
    return found


def _differences(file: str, facts: Facts, name: str, whole: Facts) -> Iterator[str]:
    for what in dict.fromkeys([*facts, *whole]):
        is_of_model = what.startswith(MODEL)
        if not is_of_model and not (what in facts and what in whole):
            continue  # another part of the plan
        mine, known = facts.get(what, [None]), whole.get(what, [None])
        if list(mine) != list(known[: len(mine)]):
            yield f"{what}: {_shown(mine)} in {file}, {_shown(known)} in {name}"


def _shown(values: Sequence[Any]) -> str:
    texts = [value if isinstance(value, str) else to_json(value).decode() for value in values]
    text = ", then ".join("nothing" if value is None else text for value, text in zip(values, texts, strict=True))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
