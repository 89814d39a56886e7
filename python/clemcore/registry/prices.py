"""What calls cost: the prices of a registry entry, and the cost of a usage under them.

It knows entries and counts of tokens, and nothing of where the counts come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec

_PER = 1_000_000
# USD per million tokens: one dollar for a token. What is above is no price.
_HIGHEST = 1_000_000


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
        SpecError: a price is no number of at least 0, or input or output has none.
    """
    written = spec.get("prices")
    if written is None:
        return None
    name = spec.get("model_name")
    if not isinstance(written, Mapping):
        raise SpecError(f"model '{name}': prices must be an object, not {written!r}")
    where = f"model '{name}': prices"
    first = Tier(0, *_three(written, where, discount=None))
    discount = first.cached_input / first.input if first.input else Fraction(1)
    tiers = [first]
    further = written.get("tiers") or []
    if not isinstance(further, list):
        raise SpecError(f"{where}.tiers must be a list of objects, not {further!r}")
    for index, tier in enumerate(further):
        place = f"{where}.tiers[{index}]"
        if not isinstance(tier, Mapping):
            raise SpecError(f"{place} must be an object, not {tier!r}")
        above = tier.get("above")
        if not isinstance(above, int) or isinstance(above, bool) or above < 1:
            raise SpecError(f"{place}.above must be a positive number of tokens, not {above!r}")
        tiers.append(Tier(above, *_three(tier, place, discount=discount)))
    date = written.get("date")
    return Prices(tuple(sorted(tiers, key=lambda tier: tier.above)), date if isinstance(date, str) else None)


def _three(
    written: Mapping[str, Any], where: str, discount: Fraction | None
) -> tuple[Fraction, Fraction, Fraction]:
    """Return the prices of input, cached input and output."""
    given = _price(written, "input", where)
    made = _price(written, "output", where)
    if written.get("cached_input") is not None:
        return given, _price(written, "cached_input", where), made
    return given, given if discount is None else given * discount, made


def _price(written: Mapping[str, Any], field: str, where: str) -> Fraction:
    value = written.get(field)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= _HIGHEST:
        raise SpecError(
            f"{where}.{field} must be a number from 0 to {_HIGHEST:,} (USD per million tokens), not {_shown(value)}"
        )
    return Fraction(str(value))


def _shown(value: Any) -> str:
    """Return a value for a message; a number may have more digits than Python writes."""
    try:
        return f"{value!r}"[:60]
    except ValueError:
        return "a number of thousands of digits"
