"""Ends rows of a batch while transformers generates: by the hooks of their jobs, and at their own max_tokens.

It also finds rows whose scores are not numbers.

transformers has a criterion of its own for stop strings. It first works through the whole vocabulary, and it does
not tell which row ended by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clemcore.backends.local.choosing.scores import not_numbers
from clemcore.backends.local.engine import Ending, Job

# How many scores are kept for one look: 1 MB of float32.
_KEPT = 1 << 18
_TAKES_CACHE = "_update_model_kwargs_for_generation"


class Watch:
    """A stopping criterion for one call of ``generate``.

    Attributes:
        ended: for each row that ended here, after how many tokens and why. Empty with beams, whose rows change
            their places: see :meth:`ending_of`.
    """

    def __init__(self, batch: Sequence[Job], prompt_length: int, ends: frozenset[int], *, beams: bool) -> None:
        """Take the jobs.

        Args:
            batch: the jobs, one for each row; with beams there is one job.
            prompt_length: tokens before the new ones.
            ends: ids of the tokens that end a reply.
            beams: whether the rows are beams of the one job.
        """
        self.ended: dict[int, tuple[int, Ending | Exception]] = {}
        self._batch = batch
        self._prompt_length = prompt_length
        self._ends = ends
        self._beams = beams

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        """Return for each row, shape (rows,), whether it is done."""
        import torch

        rows = input_ids[:, self._prompt_length :].tolist()
        if self._beams:
            done = [wanted(self._batch[0], row) is not None for row in rows]
            return torch.tensor(done, device=input_ids.device)
        for index, row in enumerate(rows):
            # A row that has ended before now holds the end token and padding after it.
            if index in self.ended or not self._ends.isdisjoint(row[:-1]):
                continue
            ending = wanted(self._batch[index], row)
            # The batch goes on for the job that may have the most tokens.
            if ending is None and len(row) >= self._batch[index].arguments.max_tokens and row[-1] not in self._ends:
                ending = "length"
            if ending is not None:
                self.ended[index] = len(row), ending
        return torch.tensor([index in self.ended for index in range(len(rows))], device=input_ids.device)

    def ending_of(self, index: int, row: list[int]) -> tuple[int, Ending | Exception] | None:
        """Return after how many tokens a finished row ended by its job, and why; None if it did not."""
        if not self._beams:
            return self.ended.get(index)
        for length, token in enumerate(row, start=1):
            ending = wanted(self._batch[0], row[:length])
            if ending is not None:
                return length, ending
            if token in self._ends:
                break
        return None


class Finite:
    """Finds scores that are not numbers while ``generate`` runs, within a ``with`` block.

    It sees what the model returns for each token where ``generate`` itself does, at the method that takes the cache
    from it. A logits processor would see the same; but transformers inspects the signature of each for each token,
    which takes longer than all else that is ours in a short answer. The scores of many tokens are looked at
    together, so that a GPU need not wait for it.
    """

    def __init__(self, model: Any, *, beams: bool, assisted: bool) -> None:
        """Take what computes.

        Args:
            model: the transformers model, or that of PEFT around it.
            beams: whether all rows are beams of one job.
            assisted: whether the model is given several tokens at a time, which it may then refuse.
        """
        self._model = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._beams = beams
        self._assisted = assisted
        self._first: dict[int, int] = {}
        self._kept: list[Any] = []
        self._steps = 0
        self._most: int | None = None
        self._stays = False

    def __enter__(self) -> None:
        # Of the class: a process that was forked in such a block has the attribute of its parent.
        method = getattr(type(self._model), _TAKES_CACHE).__get__(self._model)

        def seen(outputs: Any, *args: Any, **more: Any) -> Any:
            self._keep(outputs.logits)
            return method(outputs, *args, **more)

        self._model.__dict__[_TAKES_CACHE] = seen

    def __exit__(self, *_: object) -> None:
        self._model.__dict__.pop(_TAKES_CACHE, None)

    def _keep(self, logits: Any) -> None:
        """Keep scores, shape (rows, tokens, vocabulary), for a look."""
        if self._most is None or self._assisted:
            self._most = max(1, _KEPT // logits[:, -1:].numel())
            self._stays = logits.device.type == "cpu"
        if not self._assisted and logits.shape[1] > 1:
            logits = logits[:, -1:].clone()  # not the memory of the whole prompt
        elif not self._stays:
            logits = logits.clone()  # the memory is written to again where the model is compiled
        self._kept.append(logits)
        if len(self._kept) >= self._most:
            self._look()

    def _look(self) -> None:
        import torch

        kept, self._kept, first = self._kept, [], self._steps
        self._steps += len(kept)
        # One sum is the shortest look. A model may rule tokens out itself, with -inf: then a row's best tells more.
        if not kept or math.isfinite(torch.cat(kept, 1).sum(dtype=torch.float32).item()):
            return
        for step, scores in enumerate(kept, start=first):
            is_finite = scores.amax(-1).isfinite().all(-1)  # NaN if one is
            for index in is_finite.logical_not().nonzero().flatten().tolist():
                self._first.setdefault(0 if self._beams else index, step)

    def failures(self, endings: Sequence[tuple[Sequence[int], Any]]) -> dict[int, Exception]:
        """Return the errors of rows, by their numbers; what a row got after its end does not count."""
        self._look()
        lengths = [len(ids) for ids, _ in endings]
        return {index: not_numbers(step) for index, step in self._first.items() if step < lengths[index]}


def wanted(job: Job, ids: list[int] | None) -> Ending | Exception | None:
    """Return how a job wants to end, or None.

    Args:
        job: the job.
        ids: all its new tokens, at least one of which it was not told yet; None if there is nothing new.
    """
    try:
        if job.cancelled is not None and job.cancelled():
            return "cancelled"
        if ids is not None and job.on_tokens is not None and job.on_tokens(ids):
            return "on_tokens"
    except Exception as error:  # noqa: BLE001 - the job fails alone, with what its own hook raised
        return error
    return None


def is_watched(batch: Sequence[Job]) -> bool:
    """Tell whether rows of a batch may end by something else than transformers knows of."""
    return len({job.arguments.max_tokens for job in batch}) > 1 or any(
        job.on_tokens is not None or job.cancelled is not None for job in batch
    )


def ending_in(
    row: list[int], ends: frozenset[int], watched: tuple[int, Ending | Exception] | None
) -> tuple[list[int], Ending | Exception]:
    """Cut what generate() appended to a row while others of the batch went on, and return how the row ended.

    Args:
        row: the new tokens of one row.
        ends: ids of the tokens that end a reply.
        watched: after how many tokens a job wanted to end, and how; None if it did not.
    """
    if watched is not None:
        return row[: watched[0]], watched[1]
    for index, token in enumerate(row):
        if token in ends:
            return row[: index + 1], "stop"
    return row, "length"
