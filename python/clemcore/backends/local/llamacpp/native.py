"""llama.cpp through the ctypes functions of llama-cpp-python: the weights and one context, fed token by token.

It knows tokens and scores, and neither jobs nor texts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clemcore.backends.local.llamacpp.library import last_fault, open_model

# ggml's numbers of the formats that keys and values can be kept in.
CACHE_TYPES = {"f32": 0, "f16": 1}


class Native:
    """A loaded model.

    Attributes:
        tokens: how many tokens its vocabulary has.
        context_size: how many tokens the context holds.
    """

    def __init__(
        self, path: Path, *, context: int, piece: int, gpu_layers: int, threads: int, cache_type: str
    ) -> None:
        """Load a file.

        Args:
            path: the GGUF file; of a model in parts the first one.
            context: tokens that the context holds.
            piece: the most tokens that are fed at once.
            gpu_layers: how many layers are put on a GPU; negative: all.
            threads: how many threads compute.
            cache_type: the format of keys and values, one of :data:`CACHE_TYPES`.

        Raises:
            RuntimeError: llama.cpp cannot load it.
        """
        import llama_cpp

        self._library = llama_cpp
        self._model: Any = None
        self._context: Any = None
        self._model = open_model(path, gpu_layers=gpu_layers)
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = context, piece, piece
        options.n_threads = options.n_threads_batch = threads
        options.n_seq_max = 1
        options.type_k = options.type_v = CACHE_TYPES[cache_type]
        options.flash_attn_type = 0  # it would be chosen by device
        # Layers with a window keep all tokens. Else where tokens lie, and so the scores, depends on what was kept.
        options.swa_full = True
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        if not self._context:
            reason = last_fault() or "llama.cpp gives no reason"
            self.close()
            raise RuntimeError(f"no context of {context} tokens: {reason}")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.tokens = int(llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model)))
        self.context_size = context
        self._piece = piece
        self._batch = llama_cpp.llama_batch_init(piece, 0, 1)

    def close(self) -> None:
        """Give all memory back; calling it again does nothing."""
        if self._context:
            self._library.llama_batch_free(self._batch)
            self._library.llama_free(self._context)
        if self._model:
            self._library.llama_model_free(self._model)
        self._context = self._model = None

    def forget(self) -> None:
        """Empty the context.

        Raises:
            RuntimeError: the model was closed.
        """
        if not self._context:  # llama.cpp would end the process
            raise RuntimeError("the model was closed")
        self._library.llama_memory_clear(self._memory, True)

    def feed(self, ids: Sequence[int], begin: int, *, every: bool = False) -> Any:
        """Feed tokens after those that were fed.

        Args:
            ids: the tokens; more than a piece are fed in several.
            begin: how many stand before them.
            every: return scores after each token, not only after the last.

        Returns:
            Scores in float32, shape (vocabulary,), or (tokens, vocabulary) with ``every``.

        Raises:
            RuntimeError: llama.cpp cannot compute them.
        """
        import numpy as np

        if not self._context:
            raise RuntimeError("the model was closed")
        rows = []
        for first in range(0, len(ids), self._piece):
            part = ids[first : first + self._piece]
            batch = self._batch
            batch.n_tokens = len(part)
            is_last = first + len(part) == len(ids)
            for place, token in enumerate(part):
                batch.token[place], batch.pos[place] = token, begin + first + place
                batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
                batch.logits[place] = every or (is_last and place == len(part) - 1)
            code = self._library.llama_decode(self._context, batch)
            if code != 0:
                raise RuntimeError(f"llama_decode returned {code} at token {begin + first}: {last_fault()}")
            if every:
                rows += [self._row(place) for place in range(len(part))]
        return np.stack(rows) if every else self._row(-1)

    def _row(self, place: int) -> Any:
        import numpy as np

        found = self._library.llama_get_logits_ith(self._context, place)
        return np.ctypeslib.as_array(found, shape=(self.tokens,)).copy()

    def state(self) -> bytes:
        """Return what the context keeps of the tokens that were fed."""
        size = self._library.llama_state_seq_get_size(self._context, 0)
        buffer = (ctypes.c_uint8 * size)()
        written = self._library.llama_state_seq_get_data(self._context, buffer, size, 0)
        return bytes(memoryview(buffer)[:written])

    def restore(self, state: bytes) -> None:
        """Put back what :meth:`state` returned.

        Raises:
            RuntimeError: it is not of this model.
        """
        self.forget()
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not self._library.llama_state_seq_set_data(self._context, buffer, len(state), 0):
            raise RuntimeError(f"llama.cpp cannot restore a state: {last_fault()}")
