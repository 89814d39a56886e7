"""Feeds prompts to a transformers model, whole or in pieces, and tells whether a model can be fed in pieces at all.

A piece goes through the model as ``generate`` would feed it: the same arguments, the same shapes. Before each piece
the model is put back to what it was when it was loaded, so that what is computed depends on nothing but the tokens.
It knows one model and its states. It does not know who divides prompts and keeps states.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from clemcore.backends.local.engine import Job
from clemcore.backends.local.failures import reason_of
from clemcore.backends.local.transformers.carried import CarriedState
from clemcore.backends.local.transformers.media import first_scores, is_close
from clemcore.backends.local.transformers.states import (
    TransformersState,
    cache_argument,
    cache_name,
    empty_cache,
    restored_cache,
    returned_cache,
    taken_state,
)

# Tokens of a piece with which a model is tried, and how many of these the longer prompt has.
_PIECE, _PIECES, _LONGER = 8, 3, 8


class CancelledWhileFedError(Exception):
    """A job was cancelled before its whole prompt was fed."""


class Feeder:
    """Feeds one model. Its user sees to it that only one thread uses the model at a time."""

    def __init__(self, model: Any, context_size: int) -> None:
        """Note how the model is before its first call.

        Args:
            model: a transformers model that was just loaded.
            context_size: tokens that prompt and reply may have together.
        """
        self._model = model
        self._context_size = context_size
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._accepted = frozenset(inspect.signature(inner.forward).parameters)
        self._takes_cache = cache_name() in self._accepted
        self._carried = CarriedState(model)
        self._is_learned = False
        self._tried: tuple[str | None, int] | None = None
        self._images_whole: tuple[str | None] | None = None

    def reset(self) -> None:
        """Put back what the model carries from one call to the next."""
        self._carried.restore()

    def learn(self) -> None:
        """Find out, once after a call, what calls change in this model."""
        if not self._is_learned:
            self._is_learned = True
            self._carried.changed()

    def cache_for(self, job: Job) -> Any:
        """Feed the pieces of a job.

        Args:
            job: its ``on_state`` is told the state after each piece.

        Returns:
            A cache with the job's state and pieces, or None if it has neither.

        Raises:
            CancelledWhileFedError: the job was cancelled; it is asked before each piece, and before the last one,
                which the caller feeds.
        """
        _check_wanted(job)
        if job.state is None and not job.pieces:
            return None
        state: Any = job.state
        cache = empty_cache(self._model.config) if state is None else restored_cache(state, self._model.config)
        fed, begin = 0, 0 if state is None else state.length
        for length in job.pieces:
            ids = job.ids[fed : fed + length]
            self.feed(cache, ids, begin + fed)
            fed += length
            if job.on_state is not None:
                state = taken_state(cache, state, ids)
                job.on_state(state)
            _check_wanted(job)
        return cache

    def state_after(self, ids: Sequence[int], state: TransformersState | None) -> TransformersState:
        """Feed tokens in one piece after a state, and return the state after them, with its scores."""
        cache = empty_cache(self._model.config) if state is None else restored_cache(state, self._model.config)
        logits = self.feed(cache, ids, 0 if state is None else state.length)
        return taken_state(cache, state, ids, logits[-1].float())

    def scores_of(self, ids: Sequence[int], state: TransformersState) -> Any:
        """Feed tokens in one piece after a state, and return the scores from which each would be chosen.

        Returns:
            Shape (ids, vocabulary), float32; the first row is that of the state.
        """
        import torch

        cache = restored_cache(state, self._model.config)
        rows = [state.scores[None]]
        if len(ids) > 1:
            rows.append(self.feed(cache, ids[:-1], state.length, len(ids) - 1).float())
        return torch.cat(rows)

    def feed(self, cache: Any, ids: Sequence[int], begin: int, logits: int = 1) -> Any:
        """Feed one piece.

        Args:
            cache: holds the tokens before; it is fed these, too.
            ids: the tokens.
            begin: how many there were before.
            logits: for how many of the last tokens scores are wanted.

        Returns:
            Shape (logits, vocabulary), in the model's number format.

        Raises:
            TypeError: the model has a cache of its own in place of the one it is given.
        """
        import torch

        device = next(self._model.parameters()).device
        more: dict[str, Any] = cache_argument(cache)
        if "logits_to_keep" in self._accepted:
            more["logits_to_keep"] = logits
        if "position_ids" in self._accepted:
            more["position_ids"] = torch.arange(begin, begin + len(ids), device=device)[None]
        self.reset()
        with torch.no_grad():
            row = torch.tensor([ids], device=device)
            made = self._model(input_ids=row, use_cache=True, return_dict=True, **more)
        if returned_cache(made) is not cache:
            raise TypeError(f"{type(self._model).__name__} does not fill the cache that it is given")
        return made.logits[0, -logits:]

    def why_whole(self, job: Job) -> str | None:
        """Return why a prompt has to be fed in one piece, or None. The model is tried once, and once with images.

        Args:
            job: has the token ids and the images of the prompt.
        """
        ids = job.ids
        if self._tried is None:
            self._tried = self._try(ids)
        refusal, steady = self._tried
        if refusal is None and len(ids) > steady:
            return f"the model changes how it encodes positions when a prompt has more than {steady} tokens"
        if refusal is None and job.media is not None and job.media.first > 0:
            if self._images_whole is None:
                self._images_whole = (self._try_images(job, min(_PIECE, job.media.first)),)
            return self._images_whole[0]
        return refusal

    def _try_images(self, job: Job, size: int) -> str | None:
        """Compare scores up to rounding: a prompt with images in one piece, and after a state of its beginning."""
        name = type(self._model).__name__
        try:
            self.reset()
            whole = first_scores(self._model, [job])
            cache = empty_cache(self._model.config)
            self.feed(cache, job.ids[:size], 0)
            self.reset()
            after = first_scores(self._model, [job], cache)
            self.reset()
        except Exception as error:  # noqa: BLE001 - whatever it is, the model cannot do it
            return f"{name} cannot read images after a state ({reason_of(error)})"
        if not is_close(after, whole, self._model.dtype):
            return f"{name} gives other scores to images after a state"
        return None

    # -- trying the model --------------------------------------------------------------------------------------
    def _try(self, ids: Sequence[int]) -> tuple[str | None, int]:
        """Return why no prompt can be fed in pieces, or None; and up to how many tokens one can."""
        name = type(self._model).__name__
        if not self._takes_cache:
            return f"{name} has no cache of keys and values to go on from", 0
        size = max(1, min(_PIECE, self._context_size // (2 * _LONGER)))
        try:
            refusal = self._differs((list(ids) * (_LONGER * size // len(ids) + 1))[: _LONGER * size], size)
        except Exception as error:  # noqa: BLE001 - whatever it is, the model cannot do it
            return f"{name} cannot go on from a state ({reason_of(error)})", 0
        return refusal, 0 if refusal else self._steady_length(ids[0])

    def _differs(self, ids: list[int], size: int) -> str | None:
        """Compare scores bit by bit: from the beginning, from a state, and after a longer prompt."""
        import torch

        name = type(self._model).__name__
        short = ids[: _PIECES * size]
        state, scores = self._in_pieces(short, size)
        if not torch.equal(self._continued(short, state), scores):
            return f"{name} gives other scores when it goes on from a kept state"
        self.feed(empty_cache(self._model.config), ids, 0)
        self._carried.changed()
        if not torch.equal(self._in_pieces(short, size)[1], scores):
            return f"{name} gives other scores after a longer prompt, and what it remembers cannot be reset"
        return None

    def _in_pieces(self, ids: list[int], size: int) -> tuple[TransformersState, Any]:
        """Return the state before the last piece, and the scores after it."""
        cache = empty_cache(self._model.config)
        self.feed(cache, ids[:size], 0)
        state = taken_state(cache, None, ids[:size])
        for begin in range(size, len(ids) - size, size):
            piece = ids[begin : begin + size]
            self.feed(cache, piece, begin)
            state = taken_state(cache, state, piece)
        return state, self.feed(cache, ids[-size:], len(ids) - size)[-1].float()

    def _continued(self, ids: list[int], state: TransformersState) -> Any:
        """Return the scores with which ``generate`` goes on from a state."""
        import torch
        from transformers import GenerationConfig

        device = next(self._model.parameters()).device
        config = GenerationConfig(
            max_new_tokens=1, do_sample=False, output_logits=True, return_dict_in_generate=True, pad_token_id=0
        )
        row = torch.tensor([ids], device=device)
        self.reset()
        made = self._model.generate(
            input_ids=row,
            attention_mask=torch.ones_like(row),
            generation_config=config,
            **cache_argument(restored_cache(state, self._model.config)),
        )
        return made.logits[0][0]

    def _steady_length(self, token: int) -> int:
        """Return up to how many tokens the length of a prompt changes nothing in the model itself.

        Beyond, each piece would be fed to another model, as with rotary embeddings of the kinds ``dynamic`` and
        ``longrope``.
        """
        low, high = 0, self._context_size
        if "position_ids" not in self._accepted or self._is_steady(token, high):
            return high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._is_steady(token, middle) else (low, middle)
        return low

    def _is_steady(self, token: int, length: int) -> bool:
        """Tell whether a prompt of this length leaves the model as it was, by its last token alone."""
        try:
            self.feed(empty_cache(self._model.config), [token], length - 1)
        except Exception:  # noqa: BLE001 - no such position, so none to look at
            return True
        return not self._carried.changed()


def _check_wanted(job: Job) -> None:
    if job.cancelled is not None and job.cancelled():
        raise CancelledWhileFedError
