"""Compares what a model needs with the memory that is free, before weights are read; says what would fit instead.

It knows sums and words; where they come from is the engine's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.memory import Free, size_text
from clemcore.backends.local.needs import Needs
from clemcore.errors import ModelLoadError

# A model that cannot answer dialogues of so many tokens is of no use, so that is what must fit.
LEAST_TOKENS = 2048
_NO_LIMIT = 1 << 40
# What limits the memory where the entry itself does.
LIMITED = "max_memory"


@dataclass(frozen=True)
class Verdict:
    """Whether a model fits.

    Attributes:
        needs: what it needs.
        free: what is free.
        context_size: tokens that the model can have, or None where that is not known.
        is_reserved: whether the engine reserves the memory of one whole context when it loads the model, as
            llama.cpp does.
    """

    needs: Needs
    free: Free
    context_size: int | None = None
    is_reserved: bool = False

    @property
    def tokens(self) -> int:
        """How many tokens must fit."""
        whole = self.context_size or LEAST_TOKENS
        return whole if self.is_reserved else min(whole, LEAST_TOKENS)

    @property
    def fits(self) -> bool:
        """Whether weights, working memory and one dialogue of :attr:`tokens` fit."""
        return self.needs.total(self.tokens) <= self.free.bytes

    @property
    def longest(self) -> int | None:
        """How many tokens one dialogue can have; None where the states are not known or do not grow."""
        found = self.needs.tokens_within(self.free.bytes)
        return None if found >= _NO_LIMIT else min(found, self.context_size or found)

    @property
    def dialogues(self) -> int | None:
        """How many dialogues of the whole context fit side by side; None where it is not known or has no limit."""
        if self.is_reserved and self.needs.layers is not None:
            return int(self.fits)
        each = self.needs.state(self.context_size or LEAST_TOKENS)
        return max(0, self.free.bytes - self.needs.total(0)) // each if each else None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures, in bytes and tokens."""
        needs = self.needs
        return {
            "fits": self.fits,
            "format": needs.format,
            "parameters": needs.parameters,
            "weights_bytes": needs.weights,
            "weights_estimated_from": needs.estimated_from,
            "state_bytes_per_token": dict(needs.by_kind()) if needs.layers is not None else None,
            "working_bytes": None if needs.working is None else needs.computing(self.tokens),
            "context_size": self.context_size,
            "needed_bytes": needs.total(self.tokens),
            "needed_for_tokens": self.tokens,
            "free_bytes": self.free.bytes,
            "free_by": self.free.by,
            "longest_dialogue": self.longest,
            "full_dialogues": self.dialogues,
        }

    def sentence(self) -> str:
        """Return the figures in words."""
        needs, states = self.needs, self.needs.state(self.tokens)
        parts = [f"weights {size_text(needs.weights)} ({needs.format})"]
        if needs.layers is not None:
            parts.append(f"{self.tokens} tokens {size_text(states)}")
        if needs.working:
            parts.append(f"computing {size_text(needs.computing(self.tokens))}")
        whose = {"machine": "", "container": " in this container"}.get(self.free.by, f" by {self.free.by}")
        return (
            f"it needs {size_text(needs.total(self.tokens))} ({', '.join(parts)}), and "
            f"{size_text(self.free.bytes)} are free{whose}"
        )


def require_room(name: str, verdict: Verdict, others: Mapping[str, int]) -> None:
    """Refuse a model that does not fit.

    Args:
        name: the model's name, for the message.
        verdict: whether it fits.
        others: bytes of the weights in other formats, by the settings that ask for them.

    Raises:
        ModelLoadError: it does not; the message has the figures and what would fit.
    """
    if not verdict.fits:
        raise ModelLoadError(f"model '{name}' does not fit: {verdict.sentence()}. {advice(verdict, others)}")


def advice(verdict: Verdict, others: Mapping[str, int]) -> str:
    """Return what could be done so that a model fits.

    Args:
        verdict: it does not fit.
        others: as for :func:`require_room`.
    """
    rest = verdict.needs.total(verdict.tokens) - verdict.needs.weights
    fitting = [
        f"{setting} ({size_text(size + rest)})"
        for setting, size in others.items()
        if size + rest <= verdict.free.bytes and size < verdict.needs.weights
    ]
    longest = verdict.longest
    if not fitting and longest and longest >= verdict.tokens // 8:
        return f"Dialogues of up to {longest} tokens would fit: set model_config.preflight to false to load it"
    if fitting:
        return f"What would fit: {', '.join(fitting)}"
    if verdict.free.by == LIMITED:
        lacking = size_text(verdict.needs.total(verdict.tokens) - verdict.free.bytes)
        return f"Raise the limits of model_config.max_memory by {lacking}"
    return (
        "No format fits; free memory, take a smaller model, or set model_config.device_map to have layers wait in "
        "main memory or on a disk"
    )
