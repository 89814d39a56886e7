"""What calls cost: the prices of a registry entry, and the cost of a usage under them.

It knows entries and counts of tokens, and nothing of where the counts come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clemcore import _core
from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec

_PER = 1_000_000
# A backend whose entries have prices.
_BACKEND = "openai"


@dataclass(frozen=True)
class Tier:
    """Prices of calls whose input is longer than so many tokens; they hold for all tokens of the call.

    Attributes:
        above: tokens of input.
        input: USD per million tokens of input.
        cached_input: USD per million tokens of input that the provider has seen before.
        output: USD per million tokens of output.
    """

    above: int
    input: Fraction
    cached_input: Fraction
    output: Fraction


@dataclass(frozen=True)
class Prices:
    """The prices of one model.

    Attributes:
        tiers: longest input last; the first one holds from no token on.
        date: the day of the price list, as the entry writes it, or None.
    """

    tiers: tuple[Tier, ...]
    date: str | None

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        """Return what a call costs, in USD; None where the counts are not known.

        Args:
            usage: ``input_tokens`` (all of the prompt, cached ones included), ``output_tokens`` (all that was
                generated, reasoning included), ``cached_tokens``; where the service bills other numbers,
                ``billed_input_tokens`` and ``billed_output_tokens`` count instead. Tokens that were written into
                the provider's cache cost what input costs: entries have no price for them.

        Examples:
            >>> prices = prices_of({"prices": {"input": 3, "cached_input": 0.3, "output": 15}})
            >>> prices.cost({"input_tokens": 1000, "output_tokens": 100, "cached_tokens": 500})
            0.00315
        """
        counts = [usage.get(name) for name in ("input_tokens", "output_tokens")]
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            return None
        given, made = (int(count or 0) for count in counts)
        tier = next(tier for tier in reversed(self.tiers) if given > tier.above or tier.above == 0)
        given, made = _billed(usage, "billed_input_tokens", given), _billed(usage, "billed_output_tokens", made)
        cached = min(max(int(usage.get("cached_tokens") or 0), 0), given)
        total = (given - cached) * tier.input + cached * tier.cached_input + made * tier.output
        try:
            return float(total / _PER)
        except OverflowError:  # counts that no call has
            return None


def _billed(usage: Mapping[str, Any], name: str, counted: int) -> int:
    count = usage.get(name)
    return max(count, 0) if isinstance(count, int) else counted


def prices_of(spec: ModelSpec | Mapping[str, Any]) -> Prices | None:
    """Read the prices of an entry; None where it has none.

    Args:
        spec: the entry; ``prices`` is ``{input, output, cached_input?, tiers?, date?}``, USD per million tokens.
            Without ``cached_input`` cached tokens cost what input costs; a tier without it has the discount of the
            first prices.

    Raises:
        SpecError: a price is not a number of at least 0, or input or output has none.
    """
    written = spec.get("prices")
    if written is None:
        return None
    _check(spec.get("model_name"), written)
    first = Tier(0, *_three(written, discount=None))
    discount = first.cached_input / first.input if first.input else Fraction(1)
    tiers = [Tier(tier["above"], *_three(tier, discount=discount)) for tier in written.get("tiers") or ()]
    date = written.get("date")
    tiers = sorted([first, *tiers], key=lambda tier: tier.above)
    return Prices(tuple(tiers), date if isinstance(date, str) else None)


def _check(name: Any, written: Any) -> None:
    """Refuse prices by the rules of the core."""
    entry = {"model_name": "m", "backend": _BACKEND, "prices": written}
    for problem in _core.judge(entry):
        if problem.stops_model:
            advice = f"; {problem.help}" if problem.help else ""
            raise SpecError(f"model '{name}': {problem.message}{advice}")


def _three(written: Mapping[str, Any], discount: Fraction | None) -> tuple[Fraction, Fraction, Fraction]:
    """Return the prices of input, cached input and output."""
    given, made = _price(written["input"]), _price(written["output"])
    if written.get("cached_input") is not None:
        return given, _price(written["cached_input"]), made
    return given, given if discount is None else given * discount, made


def _price(value: float) -> Fraction:
    return Fraction(value) if isinstance(value, int) else Fraction(str(value))
