"""How many episodes are live at once, and how a model is asked. It does not know threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clemcore import backends
from clemcore.clemgame.engine.limits import MOST_LIVE, Options
from clemcore.model import Model

if TYPE_CHECKING:
    from clemcore.clemgame.reading.spec import GameSpec

# Largest batch where nobody gives a number.
BATCH = 32


def is_person(model: Model) -> bool:
    """Tell whether a person answers for a model."""
    return is_at_terminal(model) or model.model_spec.get("backend") == "slurk"


def is_at_terminal(model: Model) -> bool:
    """Tell whether a person answers for a model at the terminal of this process."""
    return isinstance(model, backends.HumanModel)


def answers_batches(model: Model) -> bool:
    """Tell whether a model is better asked in batches: it computes them together, or its class says how."""
    cls = type(model)
    return model.gains_by_batches or cls.generate_batch_response is not Model.generate_batch_response


def most_live(spec: GameSpec, models: Sequence[Model], options: Options) -> Callable[[], int]:
    """Return what says how many episodes of a game are to be live now."""
    given, allowed = options.concurrency, spec.get("concurrency")
    most = min(given or MOST_LIVE, allowed if isinstance(allowed, int) and allowed > 0 else MOST_LIVE)
    if any(is_person(model) for model in models) or (given is None and options.rng == "process"):
        most = 1
    if given is not None or most == 1:
        return lambda: most
    distinct = list({id(model): model for model in models}.values())
    return lambda: min(most, max(1, sum(_useful_episodes(model, options) for model in distinct)))


def _useful_episodes(model: Model, options: Options) -> int:
    """Return how many live episodes keep a model busy."""
    if isinstance(model, backends.CustomResponseModel):
        return 0  # its players are programs, which never wait
    if answers_batches(model):
        return 2 * (options.batch_size or BATCH)
    calls = model.useful_calls
    return MOST_LIVE if calls is None else 2 * calls + 2
