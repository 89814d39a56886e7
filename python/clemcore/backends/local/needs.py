"""How much memory a model needs: weights, states of tokens by the type of layer, and what computing takes.

These are numbers and sums only; an engine finds out the numbers. It knows no files and no configurations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerState:
    """What one layer keeps of the tokens that it was fed.

    Attributes:
        kind: the type of layer, as ``full_attention``.
        fixed: bytes that do not depend on the number of tokens.
        per_token: bytes that each token adds.
        window: how many tokens it keeps at most, or None for all.
    """

    kind: str
    fixed: int
    per_token: int
    window: int | None = None

    def bytes(self, tokens: int) -> int:
        """Return its bytes after a number of tokens."""
        kept = tokens if self.window is None else min(tokens, self.window)
        return self.fixed + self.per_token * kept


@dataclass(frozen=True)
class Needs:
    """What a model needs on its devices.

    Attributes:
        weights: bytes of the weights, in the format that they will have.
        format: that format in words, as ``bfloat16`` or ``bfloat16, 4 bits``.
        layers: the state of each layer, or None where they are not known.
        working: bytes that computing takes besides weights and states, or None where that is not known.
        parameters: number of weights, or None where they were not counted.
        working_per_token: bytes that computing takes for each token of the context, where an engine reserves them.
        estimated_from: what the bytes of the weights are an estimate from, or None where they are exact.
    """

    weights: int
    format: str
    layers: tuple[LayerState, ...] | None = None
    working: int | None = None
    parameters: int | None = None
    estimated_from: str | None = None
    working_per_token: int = 0

    def state(self, tokens: int) -> int:
        """Return the bytes of one dialogue's state after a number of tokens; 0 where it is not known."""
        return sum(layer.bytes(tokens) for layer in self.layers or ())

    def computing(self, tokens: int) -> int:
        """Return the bytes that computing takes with a number of tokens; 0 where they are not known."""
        return (self.working or 0) + tokens * self.working_per_token

    def total(self, tokens: int, dialogues: int = 1) -> int:
        """Return all bytes, with the states of dialogues of a number of tokens each."""
        return self.weights + dialogues * self.state(tokens) + self.computing(tokens)

    def by_kind(self) -> Mapping[str, int | None]:
        """Return how many bytes a token adds, by the type of layer; None for layers with a state of fixed size."""
        found: dict[str, int | None] = {}
        for layer in self.layers or ():
            found[layer.kind] = (found.get(layer.kind) or 0) + layer.per_token or None
        return found

    def tokens_within(self, room: int, dialogues: int = 1) -> int:
        """Return how many tokens dialogues may have each, so that everything takes at most ``room`` bytes.

        Where states do not grow, or are not known, this is no limit (``2**40``).
        """
        low, high = 0, 1 << 40
        if self.total(high, dialogues) <= room:
            return high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.total(middle, dialogues) <= room else (low, middle)
        return low
