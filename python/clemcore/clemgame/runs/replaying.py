"""Plays the episodes of a run again from their recorded calls, sends nothing, and says where they go differently.

It is the regression test after a change of game code. It does not know how an episode is played.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clemcore import backends
from clemcore.clemgame.engine.process_stream import restore_process
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode, PlannedGame
from clemcore.clemgame.registry import GameRegistry, GameSpec
from clemcore.clemgame.scoring import Scored, find, score
from clemcore.clemgame.store import EpisodeState, RunReader, StoredCall, manifest, run_folder
from clemcore.errors import GameError, ReplayError, RunError
from clemcore.messages import Messages
from clemcore.model import Model, Reply
from clemcore.registry.spec import ModelSpec

# The note of a store: what requests depend on beside specification and arguments, by the number of the role.
MODELS_NOTE = "models"
_TIMES = frozenset({"timestamp"})
# Parts of the interactions that say when and where an episode was played, not what happened.
_NOT_COMPARED = frozenset({"meta", "player_models"})
_LONGEST = 200


@dataclass
class TurnDifference:
    """Where an episode goes differently.

    Attributes:
        key: the episode.
        turn: the number of the round, from 0; None where the difference is not in one.
        event: the number of the event in the round, from 0, or None.
        text: what differs.
    """

    key: EpisodeKey
    turn: int | None
    event: int | None
    text: str

    def __str__(self) -> str:
        """Say it in one line."""
        place = "" if self.turn is None else f"turn {self.turn}, "
        place += "" if self.event is None else f"event {self.event}: "
        return f"{self.key}: {place}{self.text}"


@dataclass
class Replayed:
    """What a replay has found.

    Attributes:
        count: episodes that were played again.
        skipped: episodes of the run that are not completed, so that there is nothing to compare with.
        differences: the first difference of each episode that goes differently, in the order of the plan.
        scores: for each game, which scores differ.
        problems: games that could not be played again, with the reason.
    """

    count: int = 0
    skipped: int = 0
    differences: list[TurnDifference] = field(default_factory=list)
    scores: list[Scored] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether every episode and every score is as it was."""
        is_scored = not any(each.different or each.failed for each in self.scores)
        return not self.differences and not self.problems and is_scored


class RecordedModel(Model):
    """Stands for a model in a replay: every answer that it gave is in the store, and it gives no other."""

    def __init__(self, model_spec: ModelSpec, gen_args: Mapping[str, Any], noted: Mapping[str, Any]) -> None:
        super().__init__(model_spec)
        self.set_gen_args(**gen_args)
        self._noted = noted

    def knows_argument(self, name: str) -> bool:
        """Tell whether the model passed a generation argument on."""
        return name in self._noted.get("arguments", ())

    @property
    def gains_by_batches(self) -> bool:  # type: ignore[override]
        """Whether the model answers batches."""
        return bool(self._noted.get("gains_by_batches"))

    def generate_response(self, messages: Messages) -> Reply:
        """Refuse: this question was not asked when the episode was recorded."""
        text = str(messages[-1].get("content", ""))
        raise ReplayError(
            f"model '{self.name}' is asked something that the recorded episode did not ask: {_short(text)}"
        )


def noted_models(models: Sequence[Model]) -> list[dict[str, Any]]:
    """Return what requests depend on beside specification and arguments; the note :data:`MODELS_NOTE`."""
    return [
        {
            "arguments": [name for name in ("seed",) if model.knows_argument(name)],
            "gains_by_batches": model.gains_by_batches,
        }
        for model in models
    ]


def replay(folder: Path, *, games: Iterable[str] | None = None) -> Replayed:
    """Play the completed episodes of a run again, and compare events and scores.

    Args:
        folder: the folder of the run.
        games: only these games.

    Raises:
        RunError: the folder is not a run.
        StoreError: its store cannot be read.
        GameError: a game of the run is not there any more.
    """
    content = run_folder.read(folder)
    if content is None:
        raise RunError(f"{folder}: holds no run; name the folder of a run that 'clem run' has written")
    found = Replayed()
    with RunReader(folder) as reader, _without_input():
        planned = _planned(reader, None if games is None else set(games), found)
        models = _models(content, reader.notes().get(MODELS_NOTE) or [])
        for game in planned:
            _replay_game(game, models, reader, content, found)
    order = {episode.key: episode.place for game in planned for episode in game.episodes}
    found.differences.sort(key=lambda difference: order[difference.key])
    found.scores = score(find(folder), [game.spec for game in planned], compare=True)
    return found


def _planned(reader: RunReader, wanted: set[str] | None, found: Replayed) -> list[PlannedGame]:
    """Make a plan of the completed episodes, with the instances as they were."""
    registry = GameRegistry.from_directories_and_cwd_files()
    specs: dict[str, GameSpec | None] = {}
    episodes: dict[str, list[PlannedEpisode]] = {}
    problems: list[str] = []
    for episode in reader.episodes():
        name = episode.key.game
        if wanted is not None and name not in wanted:
            continue
        if episode.state.state != "played":
            found.skipped += 1
            continue
        if name not in specs:
            specs[name] = _spec_of(registry, name, problems)
        if specs[name] is None:
            continue
        experiment, instance = reader.experiment(episode), reader.instance(episode)
        episodes.setdefault(name, []).append(PlannedEpisode(episode.key, experiment, instance, episode.place))
    if problems:
        raise GameError("\n".join(problems))
    return [PlannedGame(spec, episodes[name]) for name, spec in specs.items() if spec is not None]


def _spec_of(registry: GameRegistry, name: str, problems: list[str]) -> GameSpec | None:
    try:
        spec = registry.find_game_spec(name)
    except GameError as error:  # several folders have it
        problems.append(str(error))
        return None
    if spec is None:
        problems.append(f"there is no game '{name}' here, and the run has episodes of it; start in its collection")
    return spec


def _models(content: manifest.Json, noted: Sequence[Mapping[str, Any]]) -> list[Model]:
    models: list[Model] = []
    infos = content["player_models"]
    for index in sorted(infos, key=int):
        spec, gen_args = ModelSpec(**infos[index]["model_spec"]), infos[index]["gen_args"]
        if spec.is_human() or spec.is_programmatic() or spec.get("backend") in ("mock", "human"):
            models.append(backends.get_model_for(spec, gen_args))
            continue
        known = noted[int(index)] if int(index) < len(noted) else {}
        models.append(RecordedModel(spec, gen_args, known))
    return models


@contextlib.contextmanager
def _without_input() -> Iterator[None]:
    """Let nobody be asked: a person's answers are recorded, too."""
    before = sys.stdin
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = before


def _replay_game(
    game: PlannedGame, models: Sequence[Model], reader: RunReader, content: manifest.Json, found: Replayed
) -> None:
    engine = importlib.import_module("clemcore.clemgame.engine")
    section = content[manifest.SECTION]
    options = engine.Options(
        concurrency=1,
        rng=section["rng"],
        seed=section["seed"],
        keep_context=section["keep_context"],
        run=reader.folder.name,
        **section["limits"],
    )
    log = engine.RunLog(Path(os.devnull))
    try:
        summary = engine.play(
            [game], models, _ReplayStore(reader, found, is_one_stream=options.rng == "process"), options, log=log
        )
    finally:
        log.close()
    if summary.stopped_by == "interrupt":
        raise KeyboardInterrupt  # what was compared so far says nothing about the rest
    for name, error in summary.failed_games.items():
        found.problems.append(f"{name}: {error['type']}: {error['message']}")


class _ReplayStore:
    """Stands for the store of a run: it gives the recorded calls, and compares instead of writing."""

    def __init__(self, reader: RunReader, found: Replayed, *, is_one_stream: bool) -> None:
        self._reader = reader
        self._found = found
        self._is_one_stream = is_one_stream
        self._planned: dict[EpisodeKey, EpisodeState] = {}

    def plan(self, episodes: Iterable[PlannedEpisode]) -> None:
        for episode in episodes:
            self._planned[episode.key] = EpisodeState("planned", 0)

    def states(self, *, begun: bool = False) -> dict[EpisodeKey, EpisodeState]:
        return {} if begun else self._planned

    def begin(self, key: EpisodeKey) -> _ReplayWriter:
        if self._is_one_stream:
            state = self._reader.episode(key).facts.get("random_state")
            if state is not None:
                restore_process(state)
        return _ReplayWriter(key, self._reader, self._found)

    def note(self, name: str, value: Any) -> None:
        """Keep nothing."""


class _ReplayWriter:
    """Gives the recorded calls of an episode, and compares it when it ends."""

    attempt = 1

    def __init__(self, key: EpisodeKey, reader: RunReader, found: Replayed) -> None:
        self._key = key
        self._reader = reader
        self._found = found
        self.earlier: Sequence[StoredCall] = reader.calls(key)

    def whole(self, call: StoredCall) -> StoredCall:
        """Return a recorded call as it is."""
        return call

    def read_back(self, numbers: Iterable[int]) -> Sequence[StoredCall]:  # noqa: ARG002 - as a store
        """Return nothing: no files are written."""
        return ()

    def event(self, event: bytes) -> None:
        """Keep nothing: all events are in the interactions at the end."""

    def call(self, call: StoredCall) -> None:
        """Keep nothing."""

    def differs_from(self, number: int) -> None:
        """Keep nothing: the comparison of the events tells where it began."""

    def finish(
        self,
        state: str,
        interactions: bytes,
        *,
        error: Mapping[str, Any] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Compare with the recorded interactions."""
        self._found.count += 1
        before, now = json.loads(self._reader.interactions(self._key)), json.loads(interactions)
        found = first_difference(before, now, is_whole=state == "played")
        if found is None and facts and "differs_from" in facts:
            at = facts["differs_from"]
            asked = f"; {_message(error)}" if error is not None else ""
            found = (
                at.get("round"),
                None,
                f"call {at.get('number')} of {at.get('player')}: {at.get('reason')}{asked}",
            )
        if found is None and state != "played":
            turn = max(len(now.get("turns") or []) - 1, 0)
            found = turn, None, f"ends by {_short(str((error or {}).get('type')))}: {_message(error)}"
        if found is not None:
            self._found.differences.append(TurnDifference(self._key, *found))


def _message(error: Mapping[str, Any] | None) -> str:
    return _short(" ".join(str((error or {}).get("message")).split()))


_Found = tuple[int | None, int | None, str]


def first_difference(before: Mapping[str, Any], now: Mapping[str, Any], *, is_whole: bool = True) -> _Found | None:
    """Return the first difference of two interactions without times: turn, event and words; None if there is none.

    Args:
        before: the recorded interactions.
        now: those of the replay.
        is_whole: whether the replay has come to its end; else what is missing at its end is not a difference.

    Examples:
        >>> event = {"from": "GM", "to": "GM", "timestamp": "1", "action": {"type": "parsed", "content": "a"}}
        >>> other = {**event, "timestamp": "2", "action": {"type": "parsed", "content": "b"}}
        >>> first_difference({"turns": [[event]]}, {"turns": [[other]]})
        (0, 0, 'parsed of GM: "a" → "b"')
    """
    old_turns, new_turns = before.get("turns") or [], now.get("turns") or []
    for turn, (old_events, new_events) in enumerate(zip(old_turns, new_turns, strict=False)):
        for event, (old, new) in enumerate(zip(old_events, new_events, strict=False)):
            text = _event_difference(old, new)
            if text is not None:
                return turn, event, text
        count = len(old_events), len(new_events)
        is_last = turn == len(new_turns) - 1
        if count[0] < count[1] or (count[0] > count[1] and (is_whole or not is_last)):
            more = (old_events if count[0] > count[1] else new_events)[min(count)]
            which = "is missing" if count[0] > count[1] else "is new"
            return turn, min(count), f"{_named(more)} {which}"
    if len(old_turns) < len(new_turns) or (is_whole and len(old_turns) != len(new_turns)):
        return min(len(old_turns), len(new_turns)), None, f"{len(old_turns)} turns → {len(new_turns)} turns"
    return _rest_difference(before, now) if is_whole else None


def _rest_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> _Found | None:
    for name in dict.fromkeys([*before, *now]):
        if name != "turns" and name not in _NOT_COMPARED and before.get(name) != now.get(name):
            return None, None, f"'{name}': {_shown(before.get(name))} → {_shown(now.get(name))}"
    return None


def _event_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    for name in ("from", "to"):
        if old.get(name) != new.get(name):
            return f"{_named(old)} → {_named(new)}"
    was, is_ = dict(old.get("action") or {}), dict(new.get("action") or {})
    if was == is_:
        rest = [
            name for name in dict.fromkeys([*old, *new]) if name not in _TIMES and old.get(name) != new.get(name)
        ]
        return f"{_named(old)}: '{rest[0]}' differs" if rest else None
    if was.get("type") != is_.get("type"):
        return f"{_named(old)} {_shown(was.get('content'))} → {_named(new)} {_shown(is_.get('content'))}"
    for name in dict.fromkeys([*was, *is_]):
        if was.get(name) != is_.get(name):
            what = "" if name == "content" else f", {name}"
            return f"{_named(old)}{what}: {_shown(was.get(name))} → {_shown(is_.get(name))}"
    return None


def _named(event: Mapping[str, Any]) -> str:
    """Name an event by what it is and who is in it."""
    action = event.get("action") or {}
    giver, taker = event.get("from"), event.get("to")
    who = str(giver) if giver == taker else f"{giver} to {taker}"
    return f"{action.get('type')} of {who}"


def _shown(value: Any) -> str:
    return _short(json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
