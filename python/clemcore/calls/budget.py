"""A limit on what calls may cost: a call that could go beyond it is not sent.

Before a call is sent, the most that it can cost is reserved; afterwards the reservation becomes what it did cost.
This module knows amounts and the calls that wait for each other, and neither prices nor providers.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from types import TracebackType

from clemcore import forks
from clemcore.calls import scope
from clemcore.errors import BudgetExceededError

logger = logging.getLogger(__name__)


class _Limit:
    """An amount, and what is spent and reserved of it."""

    def __init__(self, usd: float, name: str, spent: float = 0.0) -> None:
        self.usd = usd
        self._what = name
        self._usd = Fraction(str(usd))
        self.amount_spent = Fraction(str(spent))
        self.reserved = Fraction(0)

    @property
    def left(self) -> Fraction:
        return self._usd - self.amount_spent - self.reserved

    def fits(self, amount: Fraction) -> bool:
        """Tell whether an amount fits now; False where it may fit when calls under way have ended.

        Raises:
            BudgetExceededError: it cannot fit.
        """
        if amount <= self.left:
            return True
        if self.reserved and self.amount_spent + amount <= self._usd:
            return False
        raise BudgetExceededError(
            f"{self._what} of {self.usd:g} USD would be exceeded: {float(self.amount_spent):.6g} USD are spent, "
            f"and the call may cost up to {float(amount):.6g} USD; nothing was sent. Raise the budget, or lower "
            "max_tokens",
            usd=self.usd,
            spent=float(self.amount_spent),
            needed=float(amount),
        )


class Budget:
    """So many USD for the calls of remote models that belong to it while it is open; see :func:`budget`.

    Args:
        usd: what may be spent, in USD.
        spent: what was spent already, in USD.
        parts: limits in USD for some of the calls, by a model's name or by a label (``"game=taboo"``).
        spent_by_part: what was spent already of the parts, in USD.

    Raises:
        ValueError: an amount is not a number ≥ 0, or a part names an unknown label.

    Examples:
        >>> with Budget(0.01) as limit:
        ...     hold = reserve(0.004, (limit,))
        ...     hold.settle(0.001)
        >>> limit.spent, limit.left
        (0.001, 0.009)
    """

    def __init__(
        self,
        usd: float,
        *,
        spent: float = 0.0,
        parts: Mapping[str, float] | None = None,
        spent_by_part: Mapping[str, float] | None = None,
    ) -> None:
        """Start with what is spent already."""
        known = spent_by_part or {}
        self.usd = _amount(usd, "a budget")
        self._whole = _Limit(usd, "the budget", _amount(spent, "the amount spent of a budget"))
        self._parts = {
            _checked_part(part): _Limit(
                _amount(limit, f"the part '{part}' of a budget"),
                f"the budget for {part}",
                _amount(known.get(part, 0.0), f"the amount spent of the part '{part}'"),
            )
            for part, limit in (parts or {}).items()
        }
        self._models: set[str] = set()
        self._used_parts: set[str] = set()
        self._scope: scope.Scope | None = None
        self._is_inherited = False
        forks.guard(self, in_child=Budget._start_in_child)

    def _start_in_child(self) -> None:
        self._is_inherited = True

    @property
    def spent(self) -> float:
        """What the finished calls cost, in USD, with what was spent before."""
        return float(self._whole.amount_spent)

    @property
    def left(self) -> float:
        """What is neither spent nor reserved by calls under way, in USD."""
        return float(self._whole.left)

    @property
    def parts(self) -> dict[str, float]:
        """What the finished calls of each part cost, in USD."""
        return {part: float(limit.amount_spent) for part, limit in self._parts.items()}

    def __enter__(self) -> Budget:
        """Count the calls that belong to it from now on."""
        self._scope = scope.attach("budgets", self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count no further call, and warn about parts that no call belonged to: they may be misspelt."""
        node, self._scope = self._scope, None
        if node is not None:
            scope.detach("budgets", self, node)
        if self._models:
            for part in (part for part in self._parts if part not in self._used_parts):
                logger.warning("%s", _idle_part(part, self._models))

    def limits_for(self, model: str | None, labels: scope.Labels) -> list[_Limit]:
        """Return the limits that a call must fit.

        Raises:
            BudgetExceededError: this is a forked child, which cannot see what its parent spends.
        """
        if self._is_inherited:
            raise BudgetExceededError(
                f"the budget of {self.usd:g} USD was opened by the process that forked this one, whose spending "
                "cannot be seen here; nothing was sent. Open a budget in this process for its share",
                usd=self.usd,
                spent=self.spent,
                needed=0.0,
            )
        if not self._parts:
            return [self._whole]
        names = {model, *(f"{name}={value}" for name, value in labels.items())}
        if model is not None:
            self._models.add(model)
        used = [part for part in self._parts if part in names]
        self._used_parts.update(used)
        return [self._whole, *(self._parts[part] for part in used)]


def _amount(usd: float, what: str) -> float:
    if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not math.isfinite(usd) or usd < 0:
        raise ValueError(f"{what} must be a number ≥ 0 (USD), not {usd!r}")
    return usd


def _checked_part(part: str) -> str:
    """Return the name of a part; one that looks like a label must be one."""
    name, is_label, _ = part.partition("=")
    if is_label and name.isidentifier() and name not in scope.LABELS:
        import difflib

        near = difflib.get_close_matches(name, scope.LABELS, n=1, cutoff=0.7)
        if near:
            raise ValueError(f"the part '{part}' of a budget names no label: did you mean '{near[0]}='?")
    return part


def _idle_part(part: str, models: Collection[str]) -> str:
    """Say that no call belonged to a part, with the nearest of the models that were called."""
    import difflib

    near = difflib.get_close_matches(part, models, n=1, cutoff=0.7)
    hint = f"did you mean '{near[0]}'?" if near else f"models that were called: {', '.join(sorted(models))}"
    return f"the part '{part}' of a budget limited nothing, because no call belonged to it; {hint}"


def budget(usd: float, *, spent: float = 0.0, parts: Mapping[str, float] | None = None) -> Budget:
    """Limit what the calls of a block cost, in USD.

    A call of a remote model is not sent if its highest possible cost exceeds what is left. Models that run on this
    machine cost nothing. A remote model without ``prices`` in its entry is refused while a budget is open. The
    budget counts the calls of the scope around it; without a scope, see :func:`clemcore.backends.record`.

    Args:
        usd: the amount that may be spent.
        spent: the amount already spent, for example by an earlier run.
        parts: further limits, for a model's name (``"gpt-4o-mini"``) or a scope label (``"game=taboo"``). A
            call must fit the whole budget and every part that it belongs to. A part that no call belonged to is
            named in a warning at the end of the block.

    Raises:
        ValueError: an amount is not a number ≥ 0, or a part names an unknown label.

    Examples:
        >>> from clemcore import backends
        >>> with backends.budget(0.50, parts={"mock": 0.10}) as limit:
        ...     _ = backends.get_model_for("mock").generate_response([{"role": "user", "content": "Hi"}])
        >>> limit.spent
        0.0
    """
    return Budget(usd, spent=spent, parts=parts)


_lock = threading.Lock()
# The limits that a call waits for, and how to wake it.
_waiting: list[tuple[list[_Limit], Callable[[], None]]] = []


class Hold:
    """What one call has reserved."""

    def __init__(self, limits: Sequence[_Limit], amount: Fraction) -> None:
        """Take what was reserved already."""
        self._limits = limits
        self._amount = amount
        self._is_open = True

    def settle(self, usd: float | None) -> None:
        """Replace what the call could have cost by what it did cost; only the first time counts.

        Args:
            usd: None if it is unknown: then what it could have cost counts.
        """
        with _lock:
            if not self._is_open:
                return
            self._is_open = False
            cost = self._amount if usd is None else Fraction(str(usd))
            for limit in self._limits:
                limit.reserved -= self._amount
                limit.amount_spent += cost
            mine, waiting = set(map(id, self._limits)), list(_waiting)
            _waiting[:] = [each for each in waiting if mine.isdisjoint(map(id, each[0]))]
        for limits, wake in waiting:
            if not mine.isdisjoint(map(id, limits)):
                wake()


def reserve(
    usd: float,
    budgets: Sequence[Budget],
    wake: Callable[[], None] | None = None,
    *,
    model: str | None = None,
    labels: scope.Labels | None = None,
) -> Hold | None:
    """Reserve the most that a call can cost.

    Args:
        usd: the amount.
        budgets: the budgets that the call belongs to.
        wake: called once when it is worth trying again, where the amount may fit when calls under way have ended.
            :func:`withdraw` ends the wait.
        model: the model's name, for parts.
        labels: the labels of the call, for parts.

    Returns:
        What is to be settled when the call is over; None where it has to wait (see ``wake``).

    Raises:
        BudgetExceededError: it goes beyond a limit, whatever the calls under way will have cost.
    """
    amount = Fraction(str(usd))
    with _lock:
        limits = [limit for each in budgets for limit in each.limits_for(model, labels or {})]
        fits = [limit.fits(amount) for limit in limits]  # each of them may raise
        if not all(fits):
            if wake is not None:
                _waiting.append((limits, wake))
            return None
        for limit in limits:
            limit.reserved += amount
    return Hold(limits, amount)


def waited_too_long(usd: float, budgets: Sequence[Budget], model: str, seconds: float) -> BudgetExceededError:
    """Return the error of a call that has waited in vain for the calls under way."""
    least = min(budgets, key=lambda each: each.left)
    return BudgetExceededError(
        f"model '{model}': the call may cost up to {usd:.6g} USD, and only {least.left:.6g} USD of the budget of "
        f"{least.usd:g} USD are not reserved by calls under way, none of which ended within {seconds:.3g} s "
        "(total_timeout); nothing was sent. Raise the budget, lower max_tokens, or allow fewer calls at once "
        "(max_connections)",
        usd=least.usd,
        spent=least.spent,
        needed=usd,
    )


def withdraw(wake: Callable[[], None]) -> None:
    """Wait no longer."""
    with _lock:
        _waiting[:] = [each for each in _waiting if each[1] != wake]


# A call that waits in the parent does not wait in a forked child.
forks.guard(sys.modules[__name__], "_lock", in_child=lambda module: module._waiting.clear())
