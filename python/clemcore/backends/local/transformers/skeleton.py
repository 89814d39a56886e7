"""A model without weights: its modules on torch's ``meta`` device, where tensors have shapes and no memory.

It shows what the weights will take, in any format, and what each layer keeps of the tokens that it is fed. Both
come from the model's own code, so they hold for every architecture that can be built this way. Nothing is read but
the configuration.
"""

from __future__ import annotations

import copy
import inspect
import math
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clemcore.backends.local.needs import LayerState
from clemcore.backends.local.transformers.quiet import quietly
from clemcore.backends.local.transformers.states import returned_cache

# Lengths of two prompts: the difference is what a token adds. They are shorter than any window.
_SHORT, _LONG = 3, 4


class Skeleton:
    """The modules of a model, in the format that its weights will have."""

    def __init__(
        self,
        config: Any,
        dtype: Any,
        quantizer: Any = None,
        *,
        trust_remote_code: bool = False,
        model_class: Any = None,
    ) -> None:
        """Build the modules.

        Args:
            config: the model's configuration; it is not changed.
            dtype: a torch number format, or None for the one of the configuration.
            quantizer: transformers' quantizer, or None.
            trust_remote_code: whether code that comes with the model may run.
            model_class: the class of transformers that builds it; by default that of models for texts.

        Raises:
            Exception: the model's code cannot be built like this.
        """
        import torch
        from transformers import AutoModelForCausalLM

        self._quantizer = quantizer
        config = copy.deepcopy(config)
        with quietly(), torch.device("meta"):
            model = (model_class or AutoModelForCausalLM).from_config(
                config, dtype=dtype, trust_remote_code=trust_remote_code
            )
            dtype = model.dtype if dtype is None else dtype
            self._formats: Mapping[str, Any] = model._get_dtype_plan(dtype)
            if quantizer is not None:
                quantizer.preprocess_model(model=model, dtype=dtype, device_map={"": "cpu"}, config=config)
        model.config.pad_token_id = None  # else its code looks for padding, which has no values here
        self.model = model.eval()
        self._dtype = dtype
        self._names = {name for name, _ in model.named_parameters()}

    def tensors(self) -> Iterator[tuple[str, Any]]:
        """Return the names and tensors that take memory, each once though modules may share it."""
        seen: set[int] = set()
        for named in (self.model.named_parameters(), self.model.named_buffers()):
            for name, tensor in named:
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield name, tensor

    def parameters(self) -> int:
        """Return the number of weights."""
        return sum(tensor.numel() for tensor in self.model.parameters())

    def linear_parameters(self) -> int:
        """Return the number of weights that 8 and 4 bits are for: those of linear layers but the last."""
        import torch

        last = self.model.get_output_embeddings()
        linear = (module for module in self.model.modules() if isinstance(module, torch.nn.Linear))
        counts = [int(module.weight.numel()) for module in linear if module is not last]
        return sum(counts)

    def largest_matrix(self) -> int:
        """Return the bytes of the largest weight of a linear layer."""
        import torch

        linear = (module.weight for module in self.model.modules() if isinstance(module, torch.nn.Linear))
        return max((weight.numel() * weight.element_size() for weight in linear), default=0)

    def weight_bytes(self) -> int:
        """Return the bytes of all weights and buffers as they will be loaded."""
        return sum(self._bytes_of(name, tensor) for name, tensor in self.tensors())

    def _bytes_of(self, name: str, tensor: Any) -> int:
        if self._quantizer is not None and self._quantizer.param_needs_quantization(self.model, name):
            return _quantized_bytes(self._quantizer, self.model, name, tensor)
        # Some models keep some weights in float32 whatever format is asked for.
        wanted = next((form for part, form in self._formats.items() if part and re.search(part, name)), None)
        size = int(tensor.element_size())
        if wanted is not None and tensor.is_floating_point():
            size = int(wanted.itemsize)
        elif self._quantizer is not None and tensor.is_floating_point() and name in self._names:
            size = min(size, int(self._dtype.itemsize))  # a module put in for quantization has its bias in float32
        return int(tensor.numel()) * size

    def layers(self) -> tuple[LayerState, ...]:
        """Return what each layer keeps of its tokens.

        Raises:
            Exception: the model's code cannot compute without values.
        """
        short, long = self._state(_SHORT), self._state(_LONG)
        kinds = getattr(self.model.config.get_text_config(), "layer_types", None)
        layers = []
        for index, (before, after) in enumerate(zip(short, long, strict=True)):
            per_token = (after[1] - before[1]) // (_LONG - _SHORT)
            layer = after[0]
            kind = kinds[index] if kinds and len(kinds) == len(long) else _kind_of(layer, per_token)
            window = getattr(layer, "sliding_window", None)
            # A layer keeps what the next token can still see: one less than its window.
            kept = int(window) - 1 if window is not None else None
            layers.append(LayerState(kind, before[1] - _SHORT * per_token, per_token, kept))
        return tuple(layers)

    def working_bytes(self, tokens: int) -> int:
        """Return the bytes that computing a prompt takes at its peak, besides weights and state.

        Args:
            tokens: how many are fed at once.

        Raises:
            Exception: the model's code cannot compute without values.
        """
        alive = live_bytes(tensor for _, tensor in self.tensors())
        with _fused_attention(), alive:
            state = self._fed(tokens)
        return max(0, int(alive.peak) - state_bytes(state))

    def _state(self, tokens: int) -> list[tuple[Any, int]]:
        """Return the state of each layer after so many tokens, and its bytes."""
        return [(layer, state_bytes(layer)) for layer in self._fed(tokens).layers]

    def _fed(self, tokens: int) -> Any:
        """Return the state after feeding tokens at once."""
        import torch

        ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
        accepts = inspect.signature(self.model.forward).parameters
        # As generate() does: scores of the last token alone.
        last = {"logits_to_keep": 1} if "logits_to_keep" in accepts else {}
        with quietly(), torch.no_grad():
            output = self.model(input_ids=ids, use_cache=True, **last)
        return returned_cache(output)


def _fused_attention() -> Any:
    """Return a context in which torch's fused attention makes no matrix of tokens by tokens, as on real devices."""
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    class Fused(TorchFunctionMode):  # type: ignore[misc]
        """Answers with a tensor of the right shape."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func is not functional.scaled_dot_product_attention:
                return func(*args, **kwargs)
            query, _, value = (*args, *(kwargs[name] for name in ("query", "key", "value")[len(args) :]))[:3]
            return query.new_empty((*query.shape[:-1], value.shape[-1]))

    return Fused()


def live_bytes(apart_from: Iterable[Any] = ()) -> Any:
    """Return a context in which torch's results are counted; its ``peak`` is the most that was alive at once.

    Args:
        apart_from: tensors that are not counted, such as the weights.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counting(TorchDispatchMode):  # type: ignore[misc]
        """Counts the bytes of storages from their first result to their end."""

        def __init__(self) -> None:
            super().__init__()
            self.now = self.peak = 0
            self._known = {tensor.untyped_storage()._cdata for tensor in apart_from}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for tensor in _tensors_in(result, set()):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self._known:
                    self._known.add(key)
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._gone, key, storage.nbytes())
            return result

        def _gone(self, key: int, size: int) -> None:
            self._known.discard(key)
            self.now -= size

    return Counting()


def state_bytes(state: Any) -> int:
    """Return the bytes of all tensors in a state of transformers, or in a part of it.

    Args:
        state: a ``Cache`` or one of its layers.
    """
    return sum(int(tensor.numel() * tensor.element_size()) for tensor in _tensors_in(state, set()))


def _tensors_in(thing: Any, seen: set[int]) -> Iterator[Any]:
    import torch

    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        if thing.ndim:  # single numbers are notes, such as the length of a window
            yield thing
        return
    if isinstance(thing, Mapping):
        inside: Any = thing.values()
    elif isinstance(thing, (list, tuple)):
        inside = thing
    else:
        inside = vars(thing).values() if hasattr(thing, "__dict__") and not isinstance(thing, type) else ()
    for part in inside:
        yield from _tensors_in(part, seen)


def _kind_of(layer: Any, per_token: int) -> str:
    if getattr(layer, "sliding_window", None) is not None:
        return "sliding_attention"
    return "full_attention" if per_token else "linear_attention"


def _quantized_bytes(quantizer: Any, model: Any, name: str, tensor: Any) -> int:
    """Return the bytes of a weight after quantization, with its scales."""
    config = quantizer.quantization_config
    method = str(getattr(config.quant_method, "value", config.quant_method))
    if method != "bitsandbytes":
        return math.ceil(int(tensor.numel()) * float(quantizer.param_element_size(model, name, tensor)))
    if getattr(config, "load_in_8bit", False):
        # int8, and one float32 per row
        return int(tensor.numel() + tensor.shape[0] * 4)
    count = int(tensor.numel())
    packed, blocks = math.ceil(count / 2), math.ceil(count / 64)
    # One float32 per block of 64; the 16 values of the format are a float32 each.
    scales = blocks * 4 if not config.bnb_4bit_use_double_quant else blocks + math.ceil(blocks / 256) * 4 + 1024
    return packed + scales + 64
