"""Lets the hooks of jobs choose the tokens while transformers generates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clemcore.backends.local.engine import Job


class Choosing:
    """A logits processor for one call of ``generate``: afterwards a row has one token that can be taken.

    Attributes:
        failures: what the hook of a row raised; its tokens from then on mean nothing.
    """

    def __init__(self, batch: Sequence[Job], prompt_length: int, ends: frozenset[int]) -> None:
        """Take the jobs.

        Args:
            batch: the jobs, one for each row.
            prompt_length: tokens before the new ones, padding included.
            ends: ids of the tokens that end a reply; what comes after one is padding, which no hook chooses.
        """
        self.failures: dict[int, Exception] = {}
        self._ends = ends
        self._ended: set[int] = set()
        self._batch = batch
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Return scores, shape (rows, vocabulary), by which the chosen token is taken."""
        for index, (job, row) in enumerate(zip(self._batch, scores, strict=True)):
            if job.choose is None or index in self.failures or index in self._ended:
                continue
            ids = input_ids[index, self._prompt_length :].tolist()
            if ids and ids[-1] in self._ends:
                self._ended.add(index)
                continue
            failure = choose_in(row, job.choose, ids)
            if failure is not None:
                self.failures[index] = failure
        return scores


def choose_in(row: Any, choose: Callable[[Any, Sequence[int]], int], ids: Sequence[int]) -> Exception | None:
    """Let the hook of a job choose: the row then has one token that can be taken.

    Args:
        row: scores, shape (vocabulary,); they are changed.
        choose: the hook.
        ids: the new ids so far.

    Returns:
        What the hook raised, with which the job fails alone; the row is then as it was.
    """
    try:
        token = choose(row, ids)
    except Exception as error:  # noqa: BLE001 - returned
        return error
    row.fill_(float("-inf"))
    row[token] = 0.0
    return None
