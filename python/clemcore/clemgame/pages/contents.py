"""Brings one episode into the form that the page shows; what cannot be read is named and the rest is shown.

It does not know where the page is written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clemcore._core import episode_view, json_indented, transcript_images
from clemcore.clemgame.runs.outcome import one_line
from clemcore.clemgame.transcripts.calls import fields_of
from clemcore.clemgame.transcripts.encoding import encoded
from clemcore.clemgame.transcripts.pictures import read_images
from clemcore.errors import StoreError
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore.clemgame.layout.episodes import Episode
    from clemcore.clemgame.store.contents import StoredCall

# The outcomes of an episode, as letters: played and not lost, lost, aborted, limit, error, missing, unscored.
PLAYED, LOST, ABORTED, LIMIT, ERROR, MISSING, UNSCORED = "plaiemu"
_OF_STATES = {"played": UNSCORED, "error": ERROR, "limit": LIMIT}
# What is longer is cut; the record has all of it.
_LONGEST_KIND, _LONGEST_TEXT = 200, 200_000
_NUMBERS = re.compile(r"\d+(\.\d+)?")
_PARTS = re.compile(r"T(\d\d:\d\d:\d\d)(\.\d+)?$")
# Metrics of which a text makes the scores useless.
_NEEDED = frozenset({"Aborted", "Main Score"})
_Value = TypeVar("_Value")


@dataclass
class ShownEpisode:
    """One episode as the page shows it.

    Attributes:
        model: the line-up of models.
        game: the game.
        experiment: the experiment.
        language: what instance or experiment say about the language; empty if they say nothing.
        instance: the number of the instance.
        epoch: the epoch, from 1.
        name: the name of the episode in the tables of `clem eval`.
        outcome: one of the letters above.
        metrics: "Aborted", "Lose", "Success" and "Main Score", as far as they are numbers.
        kind: what ended it, if it was aborted or ended by an error or a limit; numbers in it are replaced.
        calls: calls of models.
        tokens: of prompts and answers together.
        usd: what the calls cost, where that is known.
        seconds: what the calls took, waiting included.
        body: JSON for the page's script.
        answers: the answers, in the order of the calls.
        problems: what could not be read.
    """

    model: str
    game: str
    experiment: str
    language: str
    instance: int
    epoch: int
    name: str
    outcome: str
    metrics: dict[str, float]
    kind: str = ""
    calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    body: bytes = b""
    answers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def score(self) -> float | None:
        """The main score, if it is a number."""
        score = self.metrics.get("Main Score", math.nan)
        return score if math.isfinite(score) else None


@dataclass(frozen=True)
class Calls:
    """What the calls and messages of an episode come to.

    Attributes:
        calls: calls of models.
        tokens: of prompts and answers.
        usd: what the calls cost, where that is known.
        seconds: what the calls took, waiting included.
        last: the type of the last event that the game master logged about itself; empty if there is none.
        problems: what could not be read.
    """

    calls: int
    tokens: tuple[int, int]
    usd: float
    seconds: float
    last: str
    problems: list[str]


def read_calls(episode: Episode) -> Calls:
    """Read what the lists need of calls and messages.

    Args:
        episode: the episode.
    """
    return _contents_of(episode, [], [])[0]


def read_row(episode: Episode, calls: Calls) -> ShownEpisode:
    """Read what the lists need besides calls and messages.

    Args:
        episode: the episode.
        calls: what its calls and messages come to.
    """
    shown = _row_of(episode)[0]
    _add_calls(shown, episode, calls)
    return shown


def _row_of(episode: Episode) -> tuple[ShownEpisode, dict[str, Any] | None, dict[str, Any]]:
    """Return what the lists need, and the scores and the instance that it was taken from."""
    problems: list[str] = []
    scores = _read(lambda: episode.scores, None, problems)
    nothing: dict[str, Any] = {}
    experiment = _read(lambda: episode.experiment, nothing, problems)
    instance = _read(lambda: episode.instance, nothing, problems)
    metrics = None if scores is None else _metrics(scores, problems)
    shown = ShownEpisode(
        model=episode.line_up,
        game=episode.key.game,
        experiment=episode.key.experiment,
        language=_language(instance) or _language(experiment),
        instance=episode.key.game_id,
        epoch=episode.key.epoch,
        name=_name(episode),
        outcome=_outcome(episode.state, metrics),
        metrics=metrics or {},
        problems=[f"{episode.folder}: {problem}" for problem in problems],
    )
    if episode.error and shown.outcome in (ERROR, LIMIT):
        shown.kind = _kind(scrub(one_line(episode.error)))
    return shown, scores, instance


def read_episode(episode: Episode, roots: list[Path]) -> ShownEpisode:
    """Read all that the page shows of an episode.

    Args:
        episode: the episode.
        roots: folders below which images may be read.
    """
    shown, scores, instance = _row_of(episode)
    images: list[str] = []
    calls, view, shown.answers = _contents_of(episode, roots, images)
    _add_calls(shown, episode, calls)
    about: dict[str, Any] = {"tokens": calls.tokens, "place": _place(episode)}
    about |= {name: value for name, value in (("ended", _read(lambda: _moment(episode.ended), None, [])),) if value}
    if episode.error and shown.outcome in (ERROR, LIMIT, MISSING):
        about["error"] = scrub(one_line(episode.error))
    if scores is not None:
        about["scores"] = _shown({name: value for name, value in scores.items() if name.endswith("scores")})
    if instance:
        about["instance"] = _shown(instance)
    if images:
        about["images"] = images
    if calls.problems:
        about["problem"] = f"Cannot be read: {'; '.join(dict.fromkeys(calls.problems))}"
    shown.body = b'{"view":%s,%s' % (view, encoded(about)[1:])
    return shown


def _add_calls(shown: ShownEpisode, episode: Episode, calls: Calls) -> None:
    shown.calls, shown.tokens, shown.usd, shown.seconds = calls.calls, sum(calls.tokens), calls.usd, calls.seconds
    if shown.outcome == ABORTED:
        shown.kind = _kind(f"aborted by the game: {calls.last}" if calls.last else "aborted by the game")
    found = [f"{episode.folder}: {problem}" for problem in calls.problems]
    shown.problems = list(dict.fromkeys([*shown.problems, *found]))


def _contents_of(episode: Episode, roots: list[Path], images: list[str]) -> tuple[Calls, bytes, list[str]]:
    """Read calls and messages; return what they come to, JSON for the page's script, and the answers."""
    problems: list[str] = []
    no_calls: list[StoredCall] = []
    calls = _read(episode.calls, no_calls, problems)
    interactions = _read(lambda: _interactions(episode), b"", problems)
    try:
        view, taken, answers, last = _view(interactions, calls, roots, images)
    except ValueError as fault:
        problems.append(f"interactions.json is not JSON: {fault}")
        view, taken, answers, last = _view(b"", calls, roots, images)
    return Calls(taken[0], taken[1:3], taken[3], taken[4], last, problems), view, answers


def _read(read: Callable[[], _Value], otherwise: _Value, problems: list[str]) -> _Value:
    try:
        return read()
    except (StoreError, OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
        problems.append(scrub(str(fault)))
        return otherwise


def _interactions(episode: Episode) -> bytes:
    if episode.state == "played":
        data = episode.interactions_json()
        if b'"game_name"' in data:
            return data
    return encoded(episode.interactions) if episode.interactions else b""


def _view(
    interactions: bytes, calls: list[StoredCall], roots: list[Path], images: list[str]
) -> tuple[bytes, tuple[int, int, int, float, float], list[str], str]:
    """Ask the core; ``images`` takes the data of the images, and the core gets their places in it."""
    fields = fields_of(calls)
    for attempt in (interactions, None):
        try:
            # Python reads more than JSON, such as the NaN of 3.7.2 and half a character.
            data = encoded(json.loads(interactions)) if attempt is None else attempt
            found = read_images(transcript_images(data), roots) if b"image" in data else {}
            view = episode_view(data, fields, {name: str(place) for place, name in enumerate(found)})
        except ValueError:
            if attempt is None or not interactions:
                raise
            continue
        images += found.values()
        return view
    raise AssertionError("unreachable")


def _outcome(state: str, metrics: Mapping[str, float] | None) -> str:
    # Scores count wherever they are, as for `clem eval`.
    if metrics is None:
        return _OF_STATES.get(state, MISSING)
    if metrics.get("Aborted"):
        return ABORTED
    return LOST if metrics.get("Lose") else PLAYED


def _metrics(scores: Mapping[str, Any], problems: list[str]) -> dict[str, float] | None:
    """Return the metrics that the page needs; None if the scores cannot be used, as `clem eval` judges it."""
    found = scores.get("episode scores")
    if not isinstance(found, dict):
        problems.append('scores.json has no object "episode scores"')
        return None
    metrics: dict[str, float] = {}
    is_usable = True
    for name in ("Aborted", "Lose", "Success", "Main Score"):
        value = found.get(name)
        if isinstance(value, str) and _NUMBERS.fullmatch(value.strip().lstrip("+-")):
            value = float(value)
        if isinstance(value, (int, float)):
            try:
                metrics[name] = float(value)
            except OverflowError:
                problems.append(f'scores.json has a number of over 300 digits as its "{name}"')
        elif value is None and name in found:
            metrics[name] = math.nan
        elif value is not None:
            problems.append(f'scores.json has no number as its "{name}"')
            is_usable = is_usable and name not in _NEEDED
    return metrics if is_usable else None


def _language(about: Mapping[str, Any]) -> str:
    for name in ("language", "lang"):
        value = about.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _kind(text: str) -> str:
    """Return what errors of a kind have in common: one line, without numbers."""
    return _NUMBERS.sub("N", text.strip().partition("\n")[0])[:_LONGEST_KIND]


def _shown(value: Any) -> str:
    data = json_indented(value)
    text = json.dumps(value, ensure_ascii=False, indent=2, default=str) if data is None else data.decode()
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}\n… ({len(text):,} characters)"


def _moment(ended: str | None) -> str | None:
    """Return a time for people; the classic files have local times, without a zone and with parts of a second."""
    return ended and _PARTS.sub(r" \1", ended)


def _name(episode: Episode) -> str:
    instance = f"instance_{episode.key.game_id:05d}"
    return f"epoch_{episode.key.epoch:05d}/{instance}" if episode.has_epochs else instance


def _place(episode: Episode) -> str:
    try:
        return episode.folder.relative_to(episode.run).as_posix()
    except ValueError:
        return ""
