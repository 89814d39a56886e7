"""What is known of a model before anything is sent: rows of a name, a value, and whether something is wrong.

It knows entries, prices and dates; what a backend adds comes from its ``examine``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from clemcore.errors import ClemcoreError
from clemcore.registry.prices import prices_of
from clemcore.registry.settings import problems_of
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import scrub

State = Literal["good", "warning", "fault"]

# As the call layer estimates a prompt before the service has counted it.
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Row:
    """One thing that was examined.

    Attributes:
        name: what it is.
        value: what it is like; JSON, no secret in it.
        state: ``good``, ``warning`` or ``fault`` (a call cannot work).
        advice: what is wrong and what to do, or an empty text.
    """

    name: str
    value: Any
    state: State = "good"
    advice: str = ""


_sends_nothing: ContextVar[bool] = ContextVar("sends_nothing", default=False)


@contextlib.contextmanager
def sending_nothing() -> Iterator[None]:
    """Ask backends to do without the network within the block, also where they would look for newer files."""
    token = _sends_nothing.set(True)
    try:
        yield
    finally:
        _sends_nothing.reset(token)


def sends_nothing() -> bool:
    """Tell whether a backend is only looked at, and may use what is on this machine alone."""
    return _sends_nothing.get()


def examined(name: str, look: Callable[[], Row | list[Row]]) -> list[Row]:
    """Return what a look finds; an error on purpose is a finding."""
    try:
        found = look()
    except ClemcoreError as fault:
        return [Row(name, None, "fault", scrub(str(fault)))]
    return found if isinstance(found, list) else [found]


def problem_rows(spec: ModelSpec) -> list[Row]:
    """Return what ``clem registry check`` finds in an entry, without hints unless they keep it from loading.

    Examples:
        >>> spec = ModelSpec(model_name="m", backend="openai", model_id="m", top_p=90)
        >>> [(row.name, row.value, row.state) for row in problem_rows(spec)]
        [('R072', 'top_p', 'warning')]
    """
    rows = []
    for problem in problems_of(spec):
        if problem.stops_model or problem.severity != "hint":
            advice = problem.message + (f"; {problem.help}" if problem.help else "")
            state: State = "fault" if problem.stops_model else "warning"
            rows.append(Row(problem.code, problem.field, state, advice))
    return rows


def end_date(spec: ModelSpec, today: date | None = None) -> Row | None:
    """Look at the day on which the provider ends the model; None where the entry names none.

    Examples:
        >>> end_date(ModelSpec(deprecation_date="2020-01-31"), date(2026, 1, 1)).state
        'fault'
        >>> end_date(ModelSpec(deprecation_date="2026-01-31"), date(2026, 1, 1)).advice
        'the provider shuts the model down in 30 days'
    """
    written = spec.get("deprecation_date")
    if written is None:
        return None
    try:
        left = (date.fromisoformat(written) - (today or date.today())).days
    except (TypeError, ValueError):
        return Row("deprecation_date", written, "warning", "is not a date like 2026-01-31")
    if left <= 0:
        return Row("deprecation_date", written, "fault", "the provider has shut the model down: take its successor")
    return Row("deprecation_date", written, "warning", f"the provider shuts the model down in {left} days")


def cost_rows(spec: ModelSpec, request: Any, gen_args: Mapping[str, Any]) -> list[Row]:
    """Estimate what a request costs at most, by the prices of the entry.

    Args:
        spec: the entry.
        request: the body or the prompt.
        gen_args: the generation arguments; ``max_tokens`` bounds the answer.
    """
    text = request if isinstance(request, str) else json.dumps(request, ensure_ascii=False, separators=(",", ":"))
    given = len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN
    limit = gen_args.get("max_tokens")
    made = limit if isinstance(limit, int) else 0
    tokens = {"input_tokens": given, "output_tokens": made}
    prices = prices_of(spec)
    if prices is None:
        return [Row("cost", {**tokens, "usd": None}, "good", "the entry has no prices")]
    value = {**tokens, "usd": prices.cost(tokens), "prices_of": prices.date}
    advice = "an estimate: four bytes per token, at most max_tokens for the answer, no reasoning"
    return [Row("cost", value, "good", advice)]
