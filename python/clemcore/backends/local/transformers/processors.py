"""Steps of a chooser made of transformers' logits processors, for what clemcore does not express itself.

A model's own configuration may ask for them (``no_repeat_ngram_size``, ``suppress_tokens``, ``typical_p``, …). They
get the scores at the places that they have in transformers. It knows the library's processors and neither jobs nor
caches.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.rules import Rules
from clemcore.backends.local.transformers.quiet import QUIET

# Fields that our own steps honour, and values with which transformers does nothing.
_OURS: Mapping[str, Any] = {
    "temperature": None,
    "top_k": 0,
    "top_p": None,
    "min_p": None,
    "repetition_penalty": None,
}
# Where each kind of processor stands, in the words of Rules; all others stand after the penalties.
_MASKS = "masks"
_PLACES: Mapping[str, str] = {
    "UnbatchedClassifierFreeGuidanceLogitsProcessor": "first",
    "SequenceBiasLogitsProcessor": "first",
    "TopHLogitsWarper": "heated",
    "TypicalLogitsWarper": "filtered",
    "EpsilonLogitsWarper": "filtered",
    "EtaLogitsWarper": "filtered",
    "WatermarkLogitsProcessor": "filtered",
    "SynthIDTextWatermarkLogitsProcessor": "filtered",
    "LogitNormalization": "filtered",
}
# Processors that add numbers or rule tokens out by the ids alone, so that shifts of scores stay as they are.
_UNSTRETCHED = frozenset(
    {
        "SequenceBiasLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
        "NoBadWordsLogitsProcessor",
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "SuppressTokensLogitsProcessor",
        "SuppressTokensAtBeginLogitsProcessor",
        "InfNanRemoveLogitsProcessor",
    }
)


def beyond_ours(model: Any, config: Any) -> Any:
    """Return a configuration with what our own steps do not honour, or None if nothing is left.

    Args:
        model: the transformers model.
        config: the whole generation configuration of a call.
    """
    rest = copy.copy(config)
    for field, neutral in _OURS.items():
        setattr(rest, field, neutral)
    return rest if _processors(model, rest, (0,), 1) else None


def rules_of(model: Any, config: Any, arguments: Arguments, prompt_ids: Sequence[int]) -> Rules:
    """Return the rules of an answer.

    Args:
        model: the transformers model.
        config: what :func:`beyond_ours` found.
        arguments: what clemcore's own arguments express.
        prompt_ids: token ids of the prompt.
    """

    def make() -> list[Any]:
        return _processors(model, config, prompt_ids, arguments.max_tokens)

    found: dict[str, list[ProcessorStep]] = {}
    for index, processor in enumerate(make()):
        step = ProcessorStep(processor, prompt_ids, functools.partial(_one_of, make, index))
        found.setdefault(_PLACES.get(type(processor).__name__, _MASKS), []).append(step)
    places: dict[str, Any] = dict(found)
    return Rules(arguments, **places)


def _one_of(make: Callable[[], list[Any]], index: int) -> Any:
    return make()[index]


def _processors(model: Any, config: Any, prompt_ids: Sequence[int], max_tokens: int) -> list[Any]:
    """Return the processors that transformers makes for a configuration, on the CPU.

    Args:
        model: the transformers model.
        config: the generation configuration.
        prompt_ids: token ids of the prompt, which the fields ``encoder_…`` concern.
        max_tokens: the most tokens of the answer; at its end, an end token may be forced.
    """
    import torch

    config = copy.copy(config)
    config.max_length = len(prompt_ids) + max_tokens
    ends = config.eos_token_id
    ids = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    config._eos_token_tensor = torch.tensor(ids) if ids else None
    token = QUIET.set(True)
    try:
        return list(
            model._get_logits_processor(
                config,
                input_ids_seq_length=len(prompt_ids),
                encoder_input_ids=torch.tensor([list(prompt_ids)]),
                device="cpu",
            )
        )
    finally:
        QUIET.reset(token)


class ProcessorStep:
    """One logits processor as a step.

    Attributes:
        stretch: how far it stretches a shift of scores; infinite if that is not known.
    """

    def __init__(self, processor: Any, prompt_ids: Sequence[int], make: Callable[[], Any]) -> None:
        """Take the processor.

        Args:
            processor: changes scores, shape (1, vocabulary), after ids, shape (1, tokens).
            prompt_ids: the ids before the new ones.
            make: makes the same processor anew: some remember what they have seen.
        """
        self.stretch = 1.0 if type(processor).__name__ in _UNSTRETCHED else math.inf
        self._processor = processor
        self._prompt_ids = list(prompt_ids)
        self._make = make
        self._is_used = False

    def __call__(self, scores: Any, ids: Sequence[int]) -> Any:
        """Return the scores as the processor changes them."""
        import torch

        if not ids and self._is_used:
            self._processor = self._make()
        self._is_used = True
        rows = torch.tensor([[*self._prompt_ids, *ids]])
        return self._processor(rows, torch.from_numpy(scores.copy())[None])[0].numpy()

    def facts(self) -> Mapping[str, Any]:
        """Return nothing: the configuration is in the record."""
        return {}
