"""A limit on what calls may cost: what would go beyond it is not sent.

Before a call is sent, the most that it can cost is reserved; afterwards the reservation becomes what it did cost.
It knows amounts and the calls that wait for each other, and neither prices nor providers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from fractions import Fraction
from types import TracebackType

from clemcore.errors import BudgetExceededError

_active: tuple[Budget, ...] = ()
_active_lock = threading.Lock()


class Budget:
    """So many USD for the calls of all remote models of this process while it is open; threads may share it.

    Args:
        usd: what may be spent, in USD.

    Raises:
        ValueError: it is no number of at least 0.

    Examples:
        >>> with Budget(0.01) as limit:
        ...     hold = reserve(0.004)
        ...     hold.settle(0.001)
        >>> limit.spent, limit.left
        (0.001, 0.009)
    """

    def __init__(self, usd: float) -> None:
        """Start with nothing spent."""
        if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not math.isfinite(usd) or usd < 0:
            raise ValueError(f"a budget must be a number of at least 0 (USD), not {usd!r}")
        self.usd = usd
        self._usd = Fraction(str(usd))
        self._spent = Fraction(0)
        self._reserved = Fraction(0)

    @property
    def spent(self) -> float:
        """What the finished calls cost, in USD."""
        return float(self._spent)

    @property
    def left(self) -> float:
        """What is neither spent nor reserved by calls under way, in USD."""
        return float(self._usd - self._spent - self._reserved)

    def __enter__(self) -> Budget:
        """Count every call from now on."""
        global _active  # noqa: PLW0603 - the open budgets of the process
        with _active_lock:
            _active = (*_active, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Count no further call."""
        global _active  # noqa: PLW0603 - the open budgets of the process
        with _active_lock:
            _active = tuple(each for each in _active if each is not self)

    def _check(self, amount: Fraction) -> bool:
        """Tell whether an amount fits now; False where it may fit when calls under way have ended.

        Raises:
            BudgetExceededError: it cannot fit.
        """
        if self._spent + self._reserved + amount <= self._usd:
            return True
        if self._reserved and self._spent + amount <= self._usd:
            return False
        raise BudgetExceededError(
            f"the budget of {self.usd:g} USD would be exceeded: {float(self._spent):.6g} USD are spent, and the "
            f"call may cost up to {float(amount):.6g} USD; nothing was sent. Raise the budget, or lower max_tokens",
            usd=self.usd,
            spent=float(self._spent),
            needed=float(amount),
        )


def budget(usd: float) -> Budget:
    """Limit what the calls of a block cost, in USD.

    A call of a remote model whose highest cost would go beyond what is left is not sent. Models that run on this
    machine cost nothing; a remote model without ``prices`` in its entry is refused while a budget is open.

    Args:
        usd: what may be spent.

    Raises:
        ValueError: it is no number of at least 0.

    Examples:
        >>> from clemcore import backends
        >>> with backends.budget(0.50) as limit:
        ...     _ = backends.get_model_for("mock").generate_response([{"role": "user", "content": "Hi"}])
        >>> limit.spent
        0.0
    """
    return Budget(usd)


def is_limited() -> bool:
    """Tell whether any budget is open."""
    return bool(_active)


_lock = threading.Lock()
_waiting: list[Callable[[], None]] = []


class Hold:
    """What one call has reserved."""

    def __init__(self, budgets: tuple[Budget, ...], amount: Fraction) -> None:
        """Take what was reserved already."""
        self._budgets = budgets
        self._amount = amount
        self._is_open = True

    def settle(self, usd: float | None) -> None:
        """Put what the call did cost in the place of what it could have cost; only the first time counts.

        Args:
            usd: None where nobody knows: then what it could have cost counts.
        """
        with _lock:
            if not self._is_open:
                return
            self._is_open = False
            cost = self._amount if usd is None else Fraction(str(usd))
            for each in self._budgets:
                each._reserved -= self._amount
                each._spent += cost
            waiting, _waiting[:] = list(_waiting), []
        for wake in waiting:
            wake()


def reserve(usd: float, wake: Callable[[], None] | None = None) -> Hold | None:
    """Reserve the most that a call can cost, in every open budget.

    Args:
        usd: the amount.
        wake: called once when it is worth trying again, where the amount may fit when calls under way have ended.

    Returns:
        What is to be settled when the call is over; None where it has to wait (see ``wake``).

    Raises:
        BudgetExceededError: it goes beyond a budget, whatever the calls under way will have cost.
    """
    amount = Fraction(str(usd))
    with _lock:
        budgets = _active
        fits = [each._check(amount) for each in budgets]  # each of them may raise
        if not all(fits):
            if wake is not None:
                _waiting.append(wake)
            return None
        for each in budgets:
            each._reserved += amount
    return Hold(budgets, amount)
