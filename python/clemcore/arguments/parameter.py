"""How one generation argument is sent: its place in a request, and the values that are accepted.

It does not know which arguments a service has; the dialects and the local engines list them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Fields of a specification that are sampling parameters, and so become generation arguments of the model.
SAMPLING_FIELDS = (
    "temperature",
    "max_tokens",
    "seed",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "reasoning",
    "reasoning_effort",
)


class NotExpressibleError(ValueError):
    """Something that this format or this entry cannot express; the message says why.

    Attributes:
        nearest: what could be sent in its place, or None.
    """

    def __init__(self, why: str, nearest: Any = None) -> None:
        """Take the reason, and what comes nearest."""
        super().__init__(why)
        self.nearest = nearest


@dataclass(frozen=True)
class Parameter:
    """How one generation argument is sent.

    Attributes:
        path: where in the body it stands, as ``("generationConfig", "topP")``.
        minimum: the least value that the service takes, or None.
        maximum: the greatest, or None.
        choices: the only values that it takes, from the weakest to the strongest; empty: any.
        convert: makes the value that is sent; raises :class:`NotExpressibleError` where there is none.
        whole: whether it must be a whole number.
        is_refused: whether it is listed only to say why it is not accepted.
    """

    path: tuple[str, ...]
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    convert: Callable[[Any], Any] | None = None
    whole: bool = False
    is_refused: bool = False

    @property
    def is_number(self) -> bool:
        """Whether its value must be a number."""
        return self.whole or self.minimum is not None or self.maximum is not None
