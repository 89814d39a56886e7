"""Finds out whether a model ignores tokens that the attention mask hides, as those that fill up a batch.

Some architectures, such as RWKV, read them all the same. It is tried with the model itself, not looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Tokens that are hidden, and most tokens that follow them.
_HIDDEN, _LONGEST = 8, 16
# How much of the effect that visible tokens have may be left when they are hidden, by the bytes of a number.
_REST_EXACT, _REST_ROUGH = 1e-3, 0.1
_EXACT_BYTES = 4


def honours_mask(model: Any, ids: Sequence[int]) -> bool:
    """Tell whether hidden tokens have no effect on the scores of the next token.

    Args:
        model: a transformers model.
        ids: some token ids, as of a prompt.
    """
    import torch

    ids = list(ids[-_LONGEST:])
    before = (ids * _HIDDEN)[:_HIDDEN]

    def scores(hidden: int) -> Any:
        """Return the scores after the ids, with as many of the tokens before them hidden; -1 leaves those out."""
        row = ids if hidden < 0 else before + ids
        mask = [0] * max(hidden, 0) + [1] * (len(row) - max(hidden, 0))
        return _next_scores(model, torch.tensor([row]), torch.tensor([mask]))

    alone = scores(-1)
    effect_of_hidden = (scores(_HIDDEN) - alone).abs().max().item()
    effect_of_visible = (scores(0) - alone).abs().max().item()
    rest = _REST_EXACT if model.dtype.itemsize >= _EXACT_BYTES else _REST_ROUGH
    return bool(effect_of_hidden <= rest * effect_of_visible)


def _next_scores(model: Any, row: Any, mask: Any) -> Any:
    from transformers import GenerationConfig

    device = next(model.parameters()).device
    config = GenerationConfig(
        max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True, pad_token_id=0
    )
    made = model.generate(input_ids=row.to(device), attention_mask=mask.to(device), generation_config=config)
    return made.logits[0].float()
