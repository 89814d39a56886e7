"""What a plan will take: calls, tokens and USD, from completed episodes of the same games.

It knows the averages of earlier episodes and the prices of models. It does not know why episodes differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clemcore.clemgame.runs.lineups import LineUp, Role
from clemcore.clemgame.store import run_folder
from clemcore.clemgame.store.usage import Usage, usage_of
from clemcore.errors import RunError, StoreError
from clemcore.registry.prices import prices_of

# Completed episodes of a game and run that are looked at: enough for an average.
_SAMPLE = 50


@dataclass
class Estimate:
    """What the episodes of a game that are still to be played will take.

    Attributes:
        episodes: how many there are.
        seen: how many completed episodes the estimate comes from; 0: nothing is known.
        calls: calls of models.
        input_tokens: tokens of the prompts; None where no model has counted them.
        output_tokens: tokens of the answers.
        usd: the cost; None where prices or counts are missing.
    """

    episodes: int
    seen: int = 0
    calls: float = 0.0
    input_tokens: float | None = None
    output_tokens: float | None = None
    usd: float | None = None


def earlier_usage(results: Path, games: Iterable[str]) -> dict[str, Usage]:
    """Return what completed episodes of games took, in all runs below a folder."""
    wanted = list(games)
    found: dict[str, Usage] = {}
    try:
        runs = run_folder.runs_in(results)
    except RunError:  # no run yet
        return found
    for folder in runs:
        try:
            usages = usage_of(folder, games=wanted, most=_SAMPLE)
        except StoreError:  # a run without a store has no calls to learn from
            continue
        for game, usage in usages.items():
            found.setdefault(game, Usage()).add(usage)
    return found


def estimate(episodes: int, seen: Usage | None, line_up: LineUp) -> Estimate:
    """Estimate what episodes of one game take.

    Examples:
        >>> found = estimate(10, Usage(episodes=2, calls=8), LineUp((), Path("mock")))
        >>> found.calls, found.input_tokens
        (40.0, None)
    """
    if seen is None or not seen.episodes:
        return Estimate(episodes)
    scale = episodes / seen.episodes
    found = Estimate(episodes, seen.episodes, seen.calls * scale)
    if all(_is_free(role) for role in line_up.roles):
        found.usd = 0.0
    if seen.input_tokens or seen.output_tokens:
        found.input_tokens, found.output_tokens = seen.input_tokens * scale, seen.output_tokens * scale
        found.usd = _cost(found.calls, found.input_tokens, found.output_tokens, line_up)
    return found


def _is_free(role: Role) -> bool:
    return role.is_local or role.spec.is_human() or role.spec.is_programmatic()


def _cost(calls: float, given: float, made: float, line_up: LineUp) -> float | None:
    """Return the cost, as if the calls were shared equally by the models of the roles."""
    shares: list[float] = []
    for role in line_up.roles:
        if _is_free(role):
            shares.append(0.0)
            continue
        prices = prices_of(role.spec)
        usage = {"input_tokens": round(given / calls), "output_tokens": round(made / calls)} if calls else {}
        usd = None if prices is None else prices.cost(usage)
        if usd is None:
            return None
        shares.append(usd * calls / len(line_up.roles))
    return sum(shares)


def cells(found: Estimate) -> list[str]:
    """Return the cells of a row of the plan: episodes, calls, tokens in and out, USD."""
    if not found.episodes:
        return ["0"] * 5
    tokens = ("unknown" if each is None else _about(each) for each in (found.input_tokens, found.output_tokens))
    return [
        f"{found.episodes:,}",
        _about(found.calls) if found.seen else "unknown",
        *tokens,
        "unknown" if found.usd is None else f"{found.usd:.4g}",
    ]


def _about(number: float) -> str:
    return f"{round(number):,}"
