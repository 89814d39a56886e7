"""How a run is played, the limits of an episode, and how the engine stops game code.

It does not know threads or models.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Most episodes that are live at once where nobody gives a number.
MOST_LIVE = 1000


@dataclass
class Options:
    """How episodes are played.

    Attributes:
        concurrency: most episodes that are live at once; None: as many as the models' limits can use. At 1, games
            run in the calling thread.
        batch_size: largest batch of a local model; None: the engine chooses.
        max_calls: most calls of an episode.
        episode_timeout: most seconds of an episode, waits included; None: any number.
        step_timeout: most seconds of game code without a call; None: any number.
        rng: "episode" gives each episode random numbers of its own; "process" leaves all to the process's
            generators.
        seed: the run's seed.
        keep_context: "experiment" lets players keep their dialogue for all episodes of an experiment, which are
            then played in order.
        retry_errors: play episodes again that ended with an error: all, or those with these types.
        run: the run's name, for the labels of calls.
        shuffle: for tests: programmatic players give up the baton at every answer, and return in an order that
            depends on this seed.
    """

    concurrency: int | None = None
    batch_size: int | None = None
    max_calls: int = 500
    episode_timeout: float | None = None
    step_timeout: float | None = 300.0
    rng: str = "episode"
    seed: int = 0
    keep_context: str | None = None
    retry_errors: bool | list[str] = False
    run: str = ""
    shuffle: int | None = None

    def value_of(self, limit: str) -> float | None:
        """Return the value of a limit by its name, or None if it is unlimited or unknown."""
        return getattr(self, limit) if limit in LIMITS else None


LIMITS = ("max_calls", "episode_timeout", "step_timeout")


class EpisodeStop(BaseException):
    """The engine ends an episode. Games that catch ``Exception`` do not catch it."""


class LimitReached(EpisodeStop):
    """The episode has reached a limit; which one is known to the episode."""


class RunStopped(EpisodeStop):
    """The run ends: no budget is left, or somebody pressed Ctrl-C. The episode is played on when it resumes."""


@dataclass(frozen=True)
class Limit:
    """A limit that an episode has reached.

    Attributes:
        name: which: an attribute of :class:`Options`.
        value: its value.
        detail: what else is known, such as the stack of a step that took too long.
    """

    name: str
    value: float
    detail: str = ""

    def to_error(self) -> dict[str, Any]:
        """Return it in the form of an error."""
        error = {
            "type": LimitReached.__name__,
            "message": f"{_WORDS[self.name].format(value=self.value)}; raise --{self.name.replace('_', '-')} to "
            "play the episode again",
            "limit": self.name,
            "value": self.value,
        }
        if self.detail:
            error["traceback"] = self.detail
        return error


_WORDS = {
    "max_calls": "the episode made {value} calls and asked for one more",
    "episode_timeout": "the episode took longer than {value:g} s",
    "step_timeout": "the game's code ran for longer than {value:g} s without a call",
}


def is_raised(error: dict[str, Any] | None, options: Options) -> bool:
    """Tell whether the limit that ended an episode is higher now, so that it is worth playing again."""
    name, value = (error or {}).get("limit"), (error or {}).get("value")
    if name not in LIMITS or not isinstance(value, (int, float)):
        return False
    now = options.value_of(name)
    return now is None or now > value


@dataclass
class Control:
    """Whether the run goes on; threads ask it before every call.

    Attributes:
        reason: why it stops: "budget", "interrupt", "store" or "stuck"; None while it goes on.
        error: what made it stop, if an error did.
        handles_interrupts: whether the run handles Ctrl-C; then a KeyboardInterrupt without one is the game's own.
    """

    reason: str | None = None
    error: BaseException | None = None
    handles_interrupts: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _listeners: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def stop(self, reason: str, error: BaseException | None = None) -> None:
        """Let no call begin any more. Only the first reason counts."""
        with self._lock:
            if self.reason is not None:
                return
            self.reason, self.error = reason, error
        for listener in self._listeners:
            listener()

    def on_stop(self, listener: Callable[[], None]) -> None:
        """Call a function when the run stops."""
        self._listeners.append(listener)

    def check(self) -> None:
        """Raise :class:`RunStopped` if the run stops."""
        if self.reason is not None:
            raise RunStopped(self.reason) from self.error
