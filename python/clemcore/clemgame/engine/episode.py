"""Plays one episode from its setup to its end, whatever it ends with.

An exception ends this episode and no other. It does not know which episodes there are, nor how they share threads.
"""

from __future__ import annotations

import copy
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clemcore.clemgame.engine.callbook import CallBook
from clemcore.clemgame.engine.cast import Cast, Observer, Staging, scope_of
from clemcore.clemgame.engine.live import LiveEpisode, aside
from clemcore.clemgame.engine.process_stream import process_state
from clemcore.clemgame.engine.recording import EpisodeRecorder
from clemcore.clemgame.game_master import Step, play_game
from clemcore.clemgame.store.usage import USAGE
from clemcore.errors import GameLoadError, RunError
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore.clemgame.plan import PlannedEpisode
    from clemcore.clemgame.store import EpisodeWriter, StoredCall

# Lines of a traceback that are kept of an error whose own lines are more (a recursion without end).
_MOST_LINES = 400


@dataclass
class Ended:
    """What became of an episode.

    Attributes:
        outcome: "played", "error" or "limit"; None if the run stopped before its end.
        recorder: its interactions.
        calls: its calls, in order.
        error: what it ended with, or None.
        facts: what else is known: "differs_from"; "usage", what its calls took; "contexts", what each player
            remembers at the end; "random_state", from which the process's random numbers went on, if the
            episode has none of its own; and what an observer has noted.
    """

    outcome: str | None
    recorder: EpisodeRecorder | None
    calls: Sequence[StoredCall]
    error: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def play_episode(
    staging: Staging,
    planned: PlannedEpisode,
    episode: LiveEpisode,
    *,
    writer: EpisodeWriter,
    book: CallBook,
    contexts: dict[str, list[Any]] | None = None,
) -> Ended:
    """Play an episode in this thread, which has the baton.

    Args:
        staging: what the episode needs of its run.
        planned: the episode.
        episode: its live state.
        writer: stores it.
        book: its calls.
        contexts: what the players remember of earlier episodes.
    """
    cast: Cast | None = None
    error: BaseException | None = None
    began = process_state() if episode.options.rng == "process" else None
    try:
        with scope_of(planned, episode, book) as scope:
            cast = Cast(staging, planned, episode, writer=writer, book=book, scope=scope)
            with cast.in_game():
                cast.set_up(contexts)
                play_game(cast.master, _hears_of_steps(staging.observer, planned, episode))
    except BaseException as fault:  # noqa: BLE001 - whatever a game raises ends this episode alone
        error = raised(episode, fault)
    master, recorder = (None, None) if cast is None else (cast.master, cast.recorder)
    ended = end_episode(staging.observer, planned, (episode, book), (master, recorder), error)
    if staging.keeps_context and ended.outcome == "played":
        ended.facts["contexts"] = _contexts_of(master)
    if began is not None:
        ended.facts["random_state"] = began
    return ended


def raised(episode: LiveEpisode, fault: BaseException) -> BaseException:
    """Take note of what was raised while an episode was played, and return it."""
    episode.in_game = False
    is_main = threading.current_thread() is threading.main_thread()
    if isinstance(fault, KeyboardInterrupt) and is_main and not episode.control.handles_interrupts:
        episode.control.stop("interrupt")  # Ctrl-C, where another program handles signals
        episode.was_stopped = True
    return fault


def end_episode(
    observer: Observer | None,
    planned: PlannedEpisode,
    live: tuple[LiveEpisode, CallBook],
    played: tuple[Any, EpisodeRecorder | None],
    error: BaseException | None,
) -> Ended:
    """Tell an observer how an episode has ended, and return what became of it.

    Args:
        observer: hears of it, or None.
        planned: the episode.
        live: its live state, and its calls.
        played: its game master, None if there was none yet, and its interactions.
        error: what it ended with, or None.
    """
    (episode, book), (master, recorder) = live, played
    noted: dict[str, Any] = {}
    if observer is not None and master is not None and not episode.was_stopped:
        try:
            noted = observer.has_ended(master, planned, _exception_of(episode, error))
        except Exception as fault:  # noqa: BLE001 - what listens to an episode fails like the episode
            error = error or fault
    ended = _ended(episode, book, recorder, error)
    ended.facts.update(noted)
    return ended


def _hears_of_steps(observer: Observer | None, planned: PlannedEpisode, episode: LiveEpisode) -> Step | None:
    """Return what tells an observer of each step, or None."""
    if observer is None:
        return None

    def after_step(master: Any, *step: Any) -> None:
        with aside(episode):
            observer.has_stepped(master, planned, step)

    return after_step


def _exception_of(episode: LiveEpisode, error: BaseException | None) -> Exception | None:
    """Return what an episode has ended with, for programs: they expect no other kinds of exceptions."""
    if episode.limit is not None:
        return RunError(episode.limit.to_error()["message"])
    return error if error is None or isinstance(error, Exception) else RuntimeError(repr(error))


def _contexts_of(master: Any) -> dict[str, list[Any]]:
    if master is None:
        return {}
    try:
        return {player.name: copy.deepcopy(player._messages) for player in master.get_players()}
    except Exception:  # noqa: BLE001 - a game master that cannot be asked has nothing to remember
        return {}


def _ended(
    episode: LiveEpisode,
    book: CallBook,
    recorder: EpisodeRecorder | None,
    error: BaseException | None,
) -> Ended:
    facts: dict[str, Any] = {}
    if book.differs_from is not None:
        facts["differs_from"] = book.differs_from
    if book.usage is not None:
        facts[USAGE] = book.usage.to_dict()
    ended = Ended(None, recorder, book.calls.ordered(), facts=facts)
    if episode.limit is not None:
        ended.outcome, ended.error = "limit", {**episode.limit.to_error(), "last_call": book.last}
    elif error is None and not episode.was_stopped:
        ended.outcome = "played"
    elif error is not None and not episode.was_stopped:
        ended.outcome, ended.error = "error", {**error_of(error), "last_call": book.last}
    return ended


def error_of(error: BaseException) -> dict[str, Any]:
    """Describe an error: type, message and traceback, without secrets."""
    try:
        message = str(error)
    except Exception as fault:  # noqa: BLE001 - an error of a game that cannot be shown
        message = f"(its message cannot be shown: {type(fault).__name__})"
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except Exception:  # noqa: BLE001 - as above
        lines = []
    # The error of a game that cannot be loaded brings the traceback of the game's own code.
    text = error.details if isinstance(error, GameLoadError) else "".join(lines)
    shown = text.splitlines()
    if len(shown) > _MOST_LINES:
        half = _MOST_LINES // 2
        text = "\n".join([*shown[:half], f"… {len(shown) - 2 * half} lines …", *shown[-half:]])
    return {"type": type(error).__name__, "message": scrub(message), "traceback": scrub(text)}
