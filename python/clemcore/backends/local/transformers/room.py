"""Calculates how many tokens of how many jobs a batch has room for, from the memory that is free.

Left to itself, the library takes most of the free memory. What is counted: keys and values of each token, the copy
that attention makes of them in one layer, the mask over all of them, and the scores of each job.
"""

from __future__ import annotations

from typing import Any

from clemcore.backends.local.memory import free_on
from clemcore.backends.local.transformers.continuous import PAGE, STEP, Size
from clemcore.backends.local.transformers.description import state_numbers, vocabulary_of

# The most jobs at a time. With more, a CPU gets no faster, and each answer waits longer.
_MOST_JOBS, _MOST_JOBS_ACCELERATED = 32, 128
# Room that is made even for a single short job, so that others can join it.
_LEAST_TOKENS = 4096
# The share of the free memory that a batch may take.
_SHARE = 2
# The share of the free memory that kept prompts may take, where the entry sets no limit.
_SHARE_KEPT = 4
# Copies of the scores of a step that exist at the same time.
_COPIES_OF_SCORES = 4
# What has to stay free of the pages, so that the library need not take any from a running job.
_SPARE = 0.95


class Room:
    """The room for batches of one model."""

    def __init__(self, model: Any, free: Any = None) -> None:
        """Look at the shape of the model.

        Args:
            model: the transformers model.
            free: returns the bytes that are free where it computes; by default what the system says.
        """
        text = model.config.get_text_config()
        numbers = state_numbers(model.config)
        width = model.dtype.itemsize
        heads = getattr(text, "num_attention_heads", 1) or 1
        size = getattr(text, "head_dim", None) or getattr(text, "hidden_size", heads) // heads
        masks = max(1, len(numbers))
        self._device = next(model.parameters()).device
        self._free = free or (lambda: free_on(str(self._device)).bytes)
        self._state = sum(number or 0 for number in numbers.values()) * width
        self._token = self._state + 4 * heads * size * width + masks * STEP * width + 32
        self._job = vocabulary_of(model) * 4 * _COPIES_OF_SCORES
        self._ceiling: int | None = None
        self.most_jobs = _MOST_JOBS if self._device.type == "cpu" else _MOST_JOBS_ACCELERATED

    def allows(self, tokens: int) -> bool:
        """Tell whether a single job of so many tokens has room."""
        return self._most_tokens() >= tokens / _SPARE + PAGE

    def usable(self, tokens: int) -> int:
        """Return how many of the tokens that there is room for jobs may take."""
        return int(tokens * _SPARE)

    def size(self, wanted: int, least: int, kept_bytes: int | None) -> Size:
        """Return the room for jobs.

        Args:
            wanted: tokens of all jobs that wait.
            least: tokens of the longest of them, for which there has to be room.
            kept_bytes: what may be kept of earlier prompts, in bytes; None: a share of what is free.
        """
        kept_bytes = self._free() // _SHARE_KEPT if kept_bytes is None else kept_bytes
        # More than two further turns of the same dialogues would not be used, and a step looks at the mask of all.
        kept = min(kept_bytes // max(1, self._state), 2 * wanted)
        tokens = min(max(wanted, _LEAST_TOKENS) + kept, self._most_tokens())
        if self._ceiling is not None:
            tokens, self._ceiling = min(tokens, self._ceiling), 2 * self._ceiling
        return Size(int(max(tokens, least) / _SPARE) + PAGE, self.most_jobs)

    def shrink(self) -> bool:
        """Halve the next room, because memory was short for the last one; tell whether that is of use."""
        self._ceiling = (_LEAST_TOKENS if self._ceiling is None else self._ceiling // 2) // 2
        return self._ceiling >= 2 * PAGE

    def _most_tokens(self) -> int:
        left = self._free() // _SHARE - self.most_jobs * self._job - STEP * STEP * 4
        return int(max(0, left) // self._token)
