"""States of a transformers model: what it has made of the tokens that it was fed, and caches to go on from them.

A state is a chain: each link holds what its own tokens added. Keys and values of full attention are lists of
tokens, so a link has the slice of its tokens, and links that share a beginning share its memory. Whatever else a
layer keeps (sliding windows, convolutions, linear attention) is a copy as it was at the end of the link.

It knows the library's caches, and what their argument is called. It does not know who keeps states, and does not
use ``Cache.crop``: its meaning changed within transformers 5, and layers without a list of tokens refuse it.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

# What the argument for a cache is called since transformers 5.24, and before; models without attention had a name
# of their own. The old names still work, with a warning, but signatures have the new one alone.
NEW_NAME, OLD_NAME, LINEAR_NAME = "cache", "past_key_values", "cache_params"


class TransformersState:
    """One link of a chain of states.

    Attributes:
        ids: the token ids of the whole chain.
        bytes: the memory of this link alone.
        scores: the scores of the next token, shape (vocabulary,), float32, or None if nobody asked for them.
    """

    def __init__(
        self, before: TransformersState | None, ids: Sequence[int], layers: list[Any], scores: Any = None
    ) -> None:
        """Take what was made.

        Args:
            before: the state that the tokens were fed after, or None.
            ids: the tokens of this link.
            layers: what each layer keeps: a pair of keys and values of these tokens, or a copy of the layer.
            scores: the scores of the next token, or None.
        """
        self.ids: tuple[int, ...] = (*(before.ids if before is not None else ()), *ids)
        self.bytes = sum(_size(layer) for layer in layers) + (0 if scores is None else scores.nbytes)
        self.scores = scores
        self._before = before
        self._layers: list[Any] | None = layers

    @property
    def length(self) -> int:
        """Number of tokens of the whole chain."""
        return len(self.ids)

    def close(self) -> None:
        """Give the memory of this link back; nothing can go on from it afterwards."""
        self._layers = None
        self.scores = None

    def chain(self) -> list[list[Any]]:
        """Return what the layers of each link keep, the first link first."""
        links: list[list[Any]] = []
        link: TransformersState | None = self
        while link is not None:
            if link._layers is None:
                raise ValueError("a state that was closed cannot be gone on from")
            links.append(link._layers)
            link = link._before
        return links[::-1]


@functools.cache
def cache_name() -> str:
    """Return what the installed library calls the argument for a cache, and the field of what a model returns."""
    from transformers import GenerationMixin

    parameters = inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters
    return NEW_NAME if NEW_NAME in parameters else OLD_NAME


def cache_argument(cache: Any) -> dict[str, Any]:
    """Return the argument of ``generate`` or a model for a cache, or no argument for None."""
    return {} if cache is None else {cache_name(): cache}


def returned_cache(output: Any) -> Any:
    """Return the cache in what a model returned, or None.

    Args:
        output: the library's ``ModelOutput``.
    """
    cache = getattr(output, cache_name(), None)
    return getattr(output, LINEAR_NAME, None) if cache is None and cache_name() == OLD_NAME else cache


def empty_cache(config: Any) -> Any:
    """Return a cache without tokens, as ``generate`` makes it by default.

    Args:
        config: the model's configuration.
    """
    from transformers import DynamicCache

    return DynamicCache(config=config.get_text_config(decoder=True))


def taken_state(
    cache: Any, before: TransformersState | None, ids: Sequence[int], scores: Any = None
) -> TransformersState:
    """Return the state of a cache that was just fed; the cache may be used on.

    Args:
        cache: holds the tokens of ``before`` and then ``ids``.
        before: the state that the cache had before, or None.
        ids: the tokens that were fed last.
        scores: the scores of the next token, or None.
    """
    length = len(ids) + (0 if before is None else before.length)
    return TransformersState(before, ids, [_kept(layer, length, len(ids)) for layer in cache.layers], scores)


def restored_cache(state: TransformersState, config: Any) -> Any:
    """Return a cache of its own that holds a state.

    Args:
        state: what it is to hold; it stays as it is.
        config: the model's configuration.
    """
    import torch

    cache = empty_cache(config)
    links = state.chain()
    for index, last in enumerate(links[-1]):
        if not isinstance(last, tuple):
            layer = _copy_of(last)
        else:
            layer = _layer_like(cache, index)
            layer.lazy_initialization(*last)
            layer.keys, layer.values = (
                torch.cat([link[index][part] for link in links], dim=-2) for part in range(2)
            )
        if index < len(cache.layers):
            cache.layers[index] = layer
        else:
            cache.layers.append(layer)
    return cache


def _layer_like(cache: Any, index: int) -> Any:
    from transformers.cache_utils import DynamicLayer

    return cache.layers[index] if index < len(cache.layers) else DynamicLayer()


def _kept(layer: Any, length: int, count: int) -> Any:
    """Return what a link keeps of a layer that has seen ``length`` tokens, the last ``count`` of them just now."""
    from transformers.cache_utils import DynamicLayer

    # Only of this very class is it known that there is nothing beside keys and values.
    if type(layer) is DynamicLayer and layer.is_initialized and layer.keys.shape[-2] == length:
        return layer.keys[..., -count:, :].clone(), layer.values[..., -count:, :].clone()
    return _copy_of(layer)


def _copy_of(layer: Any) -> Any:
    other = copy.copy(layer)
    vars(other).update({name: _cloned(value) for name, value in vars(layer).items()})
    return other


def _cloned(value: Any) -> Any:
    """Return a value with tensors of its own: some layers write into theirs, others hold a part of a larger one."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {name: _cloned(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_cloned(each) for each in value)
    return value


def _size(layer: Any) -> int:
    return sum(tensor.nbytes for tensor in _tensors(layer if isinstance(layer, tuple) else vars(layer)))


def _tensors(value: Any) -> Iterator[Any]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)
