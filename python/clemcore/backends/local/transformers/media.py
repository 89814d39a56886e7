"""What a transformers model is given for one prompt, or for several: token ids, and what images need beside them.

It knows tensors and their shapes, and no processors. A tensor with one value per token of its prompt is padded like
the ids; any other belongs to the images, and stands before that of the next prompt.
"""

from __future__ import annotations

import copy
import logging
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clemcore.backends.local.engine import Job
from clemcore.backends.local.transformers.states import cache_argument

logger = logging.getLogger(__name__)

# How much scores may differ, as a share of how they vary, by the bytes of a number.
_REST_EXACT, _REST_ROUGH = 1e-3, 0.1
_EXACT_BYTES = 4


def filled_up(prompts: Sequence[list[int]], filler: int | None, device: Any) -> tuple[Any, Any]:
    """Return token ids and attention mask, shape (prompts, tokens of the longest) each; filled up on the left.

    Args:
        prompts: their token ids.
        filler: the id that fills them up.
        device: where the tensors are to be.
    """
    import torch

    longest = max(map(len, prompts))
    numbers = array("q")  # of a nested list, torch looks at each number several times
    for prompt in prompts:
        numbers.fromlist([filler] * (longest - len(prompt)) + prompt)  # type: ignore[arg-type]  # None only if all fit
    ids = torch.frombuffer(numbers, dtype=torch.int64).view(len(prompts), longest).to(device)
    mask = torch.ones_like(ids)
    for index, prompt in enumerate(prompts):
        if len(prompt) < longest:
            mask[index, : longest - len(prompt)] = 0
    return ids, mask


class ImagesTogether:
    """Tells whether a model keeps the images of several prompts apart when they are computed together."""

    def __init__(self, model: Any, name: str, reset: Callable[[], None]) -> None:
        """Take the model; it is tried with the first prompts that are to be computed together.

        Args:
            model: the transformers model.
            name: the model's name, for messages.
            reset: puts back what the model carries from one call to the next.
        """
        self._model = model
        self._name = name
        self._reset = reset
        self._join: bool | None = None

    def join(self, batch: Sequence[Job]) -> bool:
        """Tell whether prompts have the same scores together as each has alone, up to rounding; tried once.

        Args:
            batch: at least two jobs of one kind.
        """
        if self._join is None:
            by_length = sorted(batch, key=lambda job: len(job.ids))
            pair = [by_length[0], by_length[-1]]
            try:
                together = self._scores(pair)
                alone = [self._scores([job])[0] for job in pair]
                self._join = all(map(is_close, together, alone, [self._model.dtype] * len(pair)))
            except Exception:  # noqa: BLE001 - then it is not known, and alone is right for all
                self._join = False
            logger.info("model '%s' computes prompts with images together: %s", self._name, self._join)
        return self._join

    def _scores(self, batch: Sequence[Job]) -> Any:
        self._reset()
        return first_scores(self._model, batch)


def kind_of(job: Job) -> Any:
    """Return what is equal for prompts whose images can be given together; None for a prompt without images."""
    if job.media is None:
        return None
    count = len(job.ids)
    return tuple(
        (name, str(value.dtype), None if _is_per_token(value, count) else tuple(value.shape[1:]))
        for name, value in sorted(job.media.inputs.items())
        if hasattr(value, "shape")
    )


def inputs_of(batch: Sequence[Job], model: Any) -> dict[str, Any]:
    """Return what the model is given for prompts of one kind, beside ids and attention mask.

    Args:
        batch: the jobs.
        model: the transformers model.
    """
    first = batch[0].media
    if first is None:
        return {}
    device, dtype = next(model.parameters()).device, model.dtype
    if len(batch) == 1:
        return {name: _placed(value, device, dtype) for name, value in first.inputs.items()}
    longest = max(len(job.all_ids) for job in batch)
    return {name: _placed(_joined(batch, name, longest), device, dtype) for name in first.inputs}


def is_close(one: Any, other: Any, dtype: Any) -> bool:
    """Tell whether scores differ by no more than rounding.

    Args:
        one: scores, any shape.
        other: those that they are compared with.
        dtype: the number format that they were computed in.
    """
    rest = _REST_EXACT if dtype.itemsize >= _EXACT_BYTES else _REST_ROUGH
    return bool((one - other).abs().max() <= rest * other.std())


def first_scores(model: Any, batch: Sequence[Job], cache: Any = None) -> Any:
    """Return the scores of the first new token of each job by ``generate``, shape (jobs, vocabulary).

    Args:
        model: the transformers model.
        batch: jobs of one kind; all of their ids are fed that the cache does not hold.
        cache: holds the beginning of the only prompt, or None.
    """
    import torch
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    longest = max(len(job.all_ids) for job in batch)
    pads = [longest - len(job.all_ids) for job in batch]
    rows = [[0] * pad + job.all_ids for pad, job in zip(pads, batch, strict=True)]
    config = GenerationConfig(
        max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True, pad_token_id=0
    )
    made = model.generate(
        input_ids=torch.tensor(rows, device=device),
        attention_mask=torch.tensor([[0] * pad + [1] * (longest - pad) for pad in pads], device=device),
        generation_config=config,
        **inputs_of(batch, model),
        **cache_argument(cache),
    )
    return made.logits[0].float()


def _placed(value: Any, device: Any, dtype: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return copy.copy(value)
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)


def _joined(batch: Sequence[Job], name: str, longest: int) -> Any:
    import torch

    values = [_inputs(job)[name] for job in batch]
    if not isinstance(values[0], torch.Tensor):
        return [each for value in values for each in value]
    if not _is_per_token(values[0], len(batch[0].ids)):
        return torch.cat(values)
    pad = torch.nn.functional.pad
    return torch.cat([pad(value, (longest - value.shape[-1], 0)) for value in values])


def _inputs(job: Job) -> Mapping[str, Any]:
    return {} if job.media is None else job.media.inputs


def _is_per_token(value: Any, count: int) -> bool:
    return tuple(value.shape) == (1, count)
