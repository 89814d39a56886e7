"""Finds the episodes of classic layouts, those of clemcore 4 and of all releases since 1.0, and reads their files.

::

    RUN[/epoch_00001]/GAME/EXPERIMENT/instance_00001/   3.3 and later; player_N.requests.json since 3.4.2
    RUN/GAME/0_EXPERIMENT/episode_0/                    1.x and 2.x to 3.2; experiment_EXPERIMENT.json in 1.x

Differences between the releases end here: what comes out has the form of 3.7.2. It does not know the store.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import unquote

from clemcore._core import requested_calls
from clemcore.clemgame.layout.names import PARTIAL, name_of
from clemcore.clemgame.layout.walking import holds_any, walk
from clemcore.errors import StoreError

if TYPE_CHECKING:
    from clemcore.calls.reader import RecordedCall
    from clemcore.clemgame.store.contents import StoredCall

_EPOCH = re.compile(r"epoch_(\d{5,})")
_NUMBERED = re.compile(r"\d+_(.+)", re.DOTALL)
_INSTANCE = re.compile(r"instance_(\d{5,})")
# Longer names may have been cut.
_SURE = 50
_OLD_EPISODE = re.compile(r"episode_(\d+)")
# What says that a folder is that of an episode.
SIGNS = frozenset({"instance.json", "interactions.json", PARTIAL})
# What to do about a damaged file.
_PLAY_AGAIN = "Restore it, or remove the folder and play again"
_SCORE = "Compute it again with 'clem score'"
_PARTS_OF_SCORES = ("episode scores", "round scores", "turn scores")
# How files are opened: to open a pipe must not wait for a writer.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
# Bytes that are read at once of a file that grows, or does not know its size.
_PART = 1 << 16
# A call: its number (-1 if it has none), time and place in its file, by which calls are put in order; and what
# StoredCall has beside the number.
_Row: TypeAlias = "tuple[tuple[int, str, int], tuple[Any, ...]]"
# What error.json has beside the error.
_OF_FILE = frozenset({"timestamp", "error", "message", "outcome"})


class FoundEpisode(NamedTuple):
    """The folder of an episode, and what its place says about it.

    Attributes:
        path: the folder, as a text: a run has many, and most are only a part of the paths of files.
        run: the folder of its run.
        game: the game.
        experiment: the experiment.
        game_id: the instance.
        epoch: the epoch, from 1.
    """

    path: str
    run: Path
    game: str
    experiment: str
    game_id: int
    epoch: int

    @property
    def folder(self) -> Path:
        """The folder."""
        return Path(self.path)


def find_episodes(path: Path) -> Iterator[FoundEpisode]:
    """Give the episodes below a folder, sorted by their folders."""
    return (found_at(folder, files) for folder, files in find_places(path))


def find_places(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Give the folders of episodes below a folder, sorted, each with the names of its files."""
    for folder, folders, files in walk(path):
        if not SIGNS.isdisjoint(files):
            folders.clear()  # what is below, such as branches, is part of this episode
            yield folder, files
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def has_episodes(path: Path) -> bool:
    """Tell whether a folder holds episodes. It looks no further than to the first one."""
    return holds_any(path, SIGNS)


def run_and_epoch(folder: Path) -> tuple[Path, int | None]:
    """Return the run of a folder that holds games, and its epoch if it is the folder of one."""
    numbered = _EPOCH.fullmatch(folder.name)
    return (folder.parent, int(numbered[1])) if numbered else (folder, None)


@lru_cache(maxsize=16)  # episodes of an experiment come together
def _names_of(place: str) -> tuple[Path, int, str, str, str, bool]:
    """Return what the folder of an experiment says: run, epoch, game, experiment, and as 1.x names it, or "".

    The last item tells whether the names are surely those of the game and of the experiment.
    """
    folder = Path(place)
    run, epoch = run_and_epoch(folder.parent.parent)
    game, experiment = (name_of(unquote(each.name, errors="surrogateescape")) for each in (folder.parent, folder))
    are_sure = max(len(game), len(experiment)) < _SURE and "%" not in f"{folder.parent.name}{folder.name}"
    numbered = _NUMBERED.fullmatch(folder.name)
    return run, 1 if epoch is None else epoch, game, experiment, numbered[1] if numbered else "", are_sure


def found_at(folder: str, files: list[str]) -> FoundEpisode:
    """Return the episode whose folder this is, with these files in it."""
    place, _, episode = folder.rpartition(os.sep)
    run, epoch, game, experiment, numbered, are_sure = _names_of(place)
    instance = _INSTANCE.fullmatch(episode)
    if instance and are_sure:
        return FoundEpisode(folder, run, game, experiment, int(instance[1]), epoch)
    if numbered and _OLD_EPISODE.fullmatch(episode):
        experiment = numbered
    # Names that were changed to make a folder, and numbers that are not those of the folder, stand in the files.
    meta: Any = None
    for name in ("interactions.json", PARTIAL):
        if name in files:
            meta = _json_or_nothing(Path(folder, name)).get("meta")
            break
    known = meta if isinstance(meta, dict) else {}
    game_id = known.get("game_id")
    if not isinstance(game_id, int):
        game_id = (
            _json_or_nothing(Path(folder, "instance.json")).get("game_id") if "instance.json" in files else None
        )
    if not isinstance(game_id, int):
        game_id = int(re.sub(r"\D", "", episode) or 0)
    named = known.get("game_name"), known.get("experiment_name")
    return FoundEpisode(
        folder,
        run,
        named[0] if isinstance(named[0], str) else game,
        named[1] if isinstance(named[1], str) else experiment,
        game_id,
        epoch,
    )


def read_json(path: Path | str) -> dict[str, Any]:
    """Read a file that holds a JSON object; ``NaN``, which 3.7.2 could write, is read as a number.

    Raises:
        StoreError: it cannot be read, or holds something else.
    """
    return parsed_json(read_bytes(path), path)


def whole_file(path: Path | str) -> bytes:
    """Return the bytes of a file, in a fifth less time than ``open`` takes: a run has many."""
    handle = os.open(path, _FLAGS)
    try:
        size = os.fstat(handle).st_size
        data = os.read(handle, size + 1)
        if len(data) == size:
            return data
        parts = [data]
        while parts[-1]:
            parts.append(os.read(handle, _PART))
        return b"".join(parts)
    finally:
        os.close(handle)


def read_bytes(path: Path | str) -> bytes:
    """Return the bytes of a file.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        return whole_file(path)
    except OSError as fault:
        raise StoreError(f"{path} cannot be read: {fault.strerror}") from fault


def read_scores(path: Path | str) -> dict[str, Any] | None:
    """Read a file ``scores.json``; None if there is none.

    Raises:
        StoreError: it cannot be read, or has another form. As for ``clem eval``, it must be UTF-8, and its numbers
            must be those of floats.
    """
    try:
        data = read_bytes(path)
    except StoreError as fault:
        if isinstance(fault.__cause__, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
            return None
        raise
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise StoreError(f"{path} is not UTF-8. {_SCORE}") from None
    parts: dict[str, type] = dict.fromkeys(_PARTS_OF_SCORES, dict)
    value = _with_parts(parsed_json(data, path, _SCORE), path, parts, _SCORE)
    if _has_infinity(value.get("episode scores") or {}):  # Infinity is a word that 3.7.2 could write
        try:
            json.loads(data, parse_float=_finite)
        except ValueError as fault:
            raise StoreError(f"{path} {fault}. Correct the scorer and run 'clem score --force'") from None
    return value


def _has_infinity(scores: dict[str, Any]) -> bool:
    return any(isinstance(each, float) and math.isinf(each) for each in scores.values())


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"has a number that is too large: {text}")
    return number


def parsed_interactions(data: bytes, path: Path | str, *, is_completed: bool = True) -> dict[str, Any]:
    """Return the content of a file of interactions, as it was written.

    Args:
        data: the bytes of the file.
        path: the file, for messages.
        is_completed: whether the episode came to its end, so that the file has all of its parts.

    Raises:
        StoreError: it holds something else.
    """
    value = _with_parts(parsed_json(data, path), path, {"meta": dict, "players": dict, "turns": list})
    missing = [name for name in ("players", "turns") if is_completed and value.get(name) is None]
    if missing:
        what = " and no ".join(map(repr, missing))
        raise StoreError(f"{path} is not the record of an episode: it has no {what}. {_PLAY_AGAIN}")
    return value


def _with_parts(
    value: dict[str, Any], path: Path | str, parts: dict[str, type], fix: str = _PLAY_AGAIN
) -> dict[str, Any]:
    """Refuse a part that is there and has another type."""
    for name, kind in parts.items():
        part = value.get(name)
        if part is not None and not isinstance(part, kind):
            wanted = "an object" if kind is dict else "a list"
            raise StoreError(f'{path}: "{name}" must be {wanted}, not {part!r:.40}. {fix}')
    return value


def _json_or_nothing(path: Path) -> dict[str, Any]:
    """Read a file that may be damaged: whoever reads its content says so."""
    try:
        return read_json(path)
    except StoreError:
        return {}


def parsed_json(data: bytes, path: Path | str, fix: str = _PLAY_AGAIN) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Args:
        data: the bytes of the file.
        path: the file, for messages.
        fix: what to do if it holds something else, for messages.

    Raises:
        StoreError: it holds something else.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as fault:
        what = f"is not JSON: {fault}" if data.strip() else "is empty"
        raise StoreError(f"{path} {what}. {fix}") from fault
    if not isinstance(value, dict):
        raise StoreError(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def read_experiment(episode: FoundEpisode) -> dict[str, Any]:
    """Return the experiment of an episode, without what was added when it was written."""
    place = episode.folder.parent
    for path in (place / "experiment.json", place / f"experiment_{episode.experiment}.json"):
        if path.is_file():
            found = read_json(path)
            for added in ("timestamp", "game_name", "player_models", "dialogue_partners", "duration"):
                found.pop(added, None)
            return found
    return {"name": episode.experiment}


def read_interactions(episode: FoundEpisode) -> dict[str, Any]:
    """Return the interactions of an episode in the form of 3.7.2, as far as they came; empty if there are none."""
    for name in ("interactions.json", PARTIAL):
        path = episode.folder / name
        if path.is_file():
            names = (episode.game, episode.experiment, episode.game_id, episode.run.name)
            is_completed = name != PARTIAL
            read = parsed_interactions(read_bytes(path), path, is_completed=is_completed)
            return in_new_form(read, names, is_completed=is_completed)
    return {}


def in_new_form(
    interactions: dict[str, Any], names: tuple[str, str, int, str], *, is_completed: bool
) -> dict[str, Any]:
    """Return the content of a file of interactions in the form of 3.7.2.

    Args:
        interactions: the content.
        names: game, experiment, instance and run of the episode.
        is_completed: whether the episode came to its end.
    """
    known = interactions.get("meta") or {}
    meta = {
        "game_name": names[0],
        "experiment_name": names[1],
        "game_id": names[2],
        "results_folder": names[3],
        "clem_version": None,
        "round_count": len(interactions.get("turns") or ()),
        "completed": is_completed,
        **known,
    }
    players = {
        # 1.x: a text, the name of the model with its settings.
        name: about if isinstance(about, dict) else {"game_role": None, "model_name": about}
        for name, about in (interactions.get("players") or {}).items()
    }
    return {"player_models": None, **interactions, "meta": meta, "players": players}


def read_state(episode: FoundEpisode, files: Collection[str]) -> tuple[str, dict[str, Any] | None]:
    """Return how an episode ended, and the error that ended it.

    Args:
        episode: the episode.
        files: the names of the files in its folder.
    """
    if "error.json" in files:
        path = episode.folder / "error.json"
        try:
            found = read_json(path)
        except StoreError as fault:  # the episode ended by an error, even if nobody can say by which
            return "error", {"type": "StoreError", "message": str(fault)}
        outcome = found.get("outcome")
        error = {"type": found.get("error"), "message": found.get("message")}
        error |= {name: value for name, value in found.items() if name not in _OF_FILE}
        last = error.get("last_call")
        if isinstance(last, dict):
            last.pop("call", None)  # it is among the calls
        return (outcome if outcome in ("error", "limit") else "error"), error
    return ("played" if "interactions.json" in files else "live"), None


def read_calls(episode: FoundEpisode, files: Collection[str]) -> list[StoredCall]:
    """Return the calls of an episode, by number, or in the order in which they were made where they have none.

    Args:
        episode: the episode.
        files: the names of the files in its folder.
    """
    names = sorted(name for name in files if name.endswith("requests.json"))
    if not names:
        return []
    partial = "partial.requests.json"
    per_player = [name for name in names if name.endswith(".requests.json") and name != partial]
    other = [name for name in ("requests.json", partial) if name in names]
    chosen = per_player or other
    rows = _as_written(f"{episode.path}/{name}" for name in chosen)
    if rows is None:
        rows = _as_read([Path(episode.path, name) for name in chosen])
    rows.sort(key=lambda row: row[0])
    from clemcore.clemgame.store.contents import StoredCall

    return [StoredCall(place[0] if place[0] >= 0 else index, *fields) for index, (place, fields) in enumerate(rows)]


def _as_written(paths: Iterable[str]) -> list[_Row] | None:
    """Return the calls of files that are exactly as a release of clemcore writes them; else None."""
    rows: list[_Row] = []
    for path in paths:
        try:
            found = requested_calls(whole_file(path))
        except OSError:  # the slower reader says so
            return None
        if found is None:
            return None
        rows += [
            ((-1 if number is None else number, stamp, index), tuple(fields))
            for number, stamp, index, *fields in found
        ]
    return rows


def _as_read(paths: Iterable[Path]) -> list[_Row]:
    """Return the calls of files in any form, or say what is wrong with them."""
    from clemcore.calls.reader import read_record

    rows: list[_Row] = []
    for path in paths:
        around = _around(path)
        for call in read_record(path):
            about = around[call.index] if call.index < len(around) else {}
            number = about.get("number", _label(call, "call"))
            place = (number if isinstance(number, int) else -1, str(call.fields.get("timestamp")), call.index)
            fields = (
                str(call.meta.get("player_name") or _label(call, "player") or ""),
                int(about.get("round") or 0),
                str(about.get("kind") or ("program" if _is_program(call) else "model")),
                str(about.get("request") or ""),
                _text_of(call),
                call.text.encode("utf-8"),
                int(about.get("attempt") or 1),
            )
            rows.append((place, fields))
    return rows


def _around(path: Path) -> list[dict[str, Any]]:
    """Return what stands around each call of a file: its round, and what clemcore 4 adds."""
    try:
        value = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as fault:
        raise StoreError(f"{path} is not JSON: {fault}. {_PLAY_AGAIN}") from fault
    calls = value.get("calls", []) if isinstance(value, dict) else []
    return [call if isinstance(call, dict) else {} for call in calls]


def _label(call: RecordedCall, name: str) -> Any:
    labels = call.facts.get("scope")
    return labels.get(name) if isinstance(labels, dict) else None


def _is_program(call: RecordedCall) -> bool:
    return not call.facts and call.model_name in ("programmatic", "mock")


def _text_of(call: RecordedCall) -> str | None:
    text = call.facts.get("response_text", call.player.get("response"))
    return text if isinstance(text, str) else None
