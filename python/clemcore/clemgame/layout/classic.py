"""The files of one episode, as 3.7.2 wrote them: ``docs/store.md`` lists them.

They are written when an episode has ended; each is whole or not there. Scorers, transcripts and other programs read
them. It does not know the store.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.layout.jsonfile import indented, json_text, write_json, write_whole
from clemcore.clemgame.layout.names import PARTIAL, episode_folder, experiment_folder, requests_file

if TYPE_CHECKING:
    from clemcore.clemgame.plan import EpisodeKey
    from clemcore.clemgame.store import StoredCall

_OF_EPISODE = re.compile(
    r"(interactions|interactions\.partial|completed|error|scores|scores\.error|(.+\.)?requests)\.json|transcript\.(html|tex)"
)


@dataclass
class FinishedEpisode:
    """An episode that has ended.

    Attributes:
        key: which one it is.
        experiment: its experiment as it was read, without instances.
        instance: its instance as it was read.
        state: "played", "error" or "limit".
        interactions: the content of ``interactions.json``, as far as it came.
        calls: its calls that count, by number.
        player_models: what the files say about the models, as ``Model.to_infos`` gives it.
        error: what ended it before its end: type, message and traceback, and the name and value of a limit.
        ended: when it ended; by default now.
        has_epochs: whether its run has more than one epoch.
    """

    key: EpisodeKey
    experiment: Mapping[str, Any]
    instance: Mapping[str, Any]
    state: str
    interactions: Mapping[str, Any]
    calls: Sequence[StoredCall]
    player_models: Any = None
    error: Mapping[str, Any] | None = None
    ended: str = field(default_factory=lambda: datetime.now().isoformat())
    has_epochs: bool = False


def write_episode(folder: Path, episode: FinishedEpisode, *, requests: str = "players") -> Path:
    """Write the files of an episode and return their folder.

    Args:
        folder: the folder of the run.
        episode: the episode.
        requests: "players" for one file per player as 3.7.2 wrote, "single" for one ``requests.json`` as releases
            before 3.4 wrote, or "both".

    Raises:
        OSError: a file cannot be written.
    """
    place = episode_folder(folder, episode.key, has_epochs=episode.has_epochs)
    base = f"{place}/"
    is_played = episode.state == "played"
    if not os.path.exists(f"{place.parent}/experiment.json"):  # noqa: PTH110 - a run writes many files
        write_experiment(folder, episode)
    elif place.is_dir():
        _remove_outdated(place)
    write_whole(base + "instance.json", json_text(episode.instance))
    write_whole(base + ("interactions.json" if is_played else PARTIAL), json_text(episode.interactions))
    for name, data in _request_files(episode, requests, is_partial=not is_played):
        write_whole(base + name, data)
    if is_played:
        write_json(base + "completed.json", {"timestamp": episode.ended})
    else:
        write_json(base + "error.json", _error(episode))
    return place


def write_experiment(folder: Path, episode: FinishedEpisode) -> None:
    """Write the file of an experiment, with the models of its run."""
    place = experiment_folder(folder, episode.key, has_epochs=episode.has_epochs)
    fields = {name: value for name, value in episode.experiment.items() if name != "game_instances"}
    fields["timestamp"] = episode.ended
    fields["game_name"] = episode.key.game
    fields["player_models"] = episode.player_models
    write_json(place / "experiment.json", fields)


def _remove_outdated(place: Path) -> None:
    """Remove what an earlier attempt has left, its scores included: they belong to other interactions."""
    with os.scandir(place) as entries:
        for entry in entries:
            if _OF_EPISODE.fullmatch(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(entry.path)  # noqa: PTH108


def _request_files(episode: FinishedEpisode, requests: str, *, is_partial: bool) -> Iterable[tuple[str, bytes]]:
    calls: dict[str, list[StoredCall]] = {}
    for call in episode.calls:
        calls.setdefault(call.player, []).append(call)
    if requests in ("players", "both"):
        for player, made in calls.items():
            yield requests_file(player, is_partial=is_partial), _requests_of(player, made, episode)
    if requests in ("single", "both") and episode.calls:
        # As records are: one call per line, byte for byte (docs/record.md).
        lines = b",\n".join(call.record for call in episode.calls)
        yield "partial.requests.json" if is_partial else "requests.json", b"[\n%s\n]\n" % lines


def _requests_of(player: str, calls: Sequence[StoredCall], episode: FinishedEpisode) -> bytes:
    about = episode.interactions.get("players", {}).get(player, {})
    known = episode.interactions.get("meta", {})
    meta = {
        "game_name": episode.key.game,
        "experiment_name": episode.key.experiment,
        "game_id": episode.key.game_id,
        "player_name": player,
        "game_role": about.get("game_role"),
        "model_name": about.get("model_name"),
        "round_count": known.get("round_count"),
        "completed": known.get("completed"),
    }
    # The records stay byte for byte as they are, so that they can be verified.
    lines = [
        b'    {\n      "round": %d,\n      "call": %s,\n%s\n    }' % (call.round, call.record, _beside(call))
        for call in calls
    ]
    head = indented({"meta": meta, "calls": 0}).encode("utf-8", "backslashreplace")
    return b"%s[\n%s\n  ]\n}" % (head[: -len("0\n}")], b",\n".join(lines))


def _beside(call: StoredCall) -> bytes:
    """Write what 3.7.2 did not: with it, the files hold what the store holds."""
    text = f'      "number": {call.number},\n      "kind": "{call.kind}",\n      "request": "{call.request}"'
    if call.attempt > 1:
        text += f',\n      "attempt": {call.attempt}'
    return text.encode()


def _error(episode: FinishedEpisode) -> dict[str, Any]:
    import json

    known = dict(episode.error or {})
    fields: dict[str, Any] = {
        "timestamp": episode.ended,
        "error": known.pop("type", episode.state),
        "message": known.pop("message", ""),
        "outcome": episode.state,
        **known,
    }
    # What was asked last may not have been answered; then it has no record.
    last = known.get("last_call") or (_about(episode.calls[-1]) if episode.calls else None)
    if isinstance(last, dict):
        record = next((call.record for call in episode.calls if call.number == last.get("number")), None)
        fields["last_call"] = last if record is None else {**last, "call": json.loads(record)}
    return fields


def _about(call: StoredCall) -> dict[str, Any]:
    return {"number": call.number, "player": call.player, "round": call.round, "kind": call.kind}
