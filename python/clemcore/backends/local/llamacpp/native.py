"""llama.cpp through the ctypes functions of llama-cpp-python: one model with one context, fed token by token.

Everything that has to be freed is here. It knows tokens and scores, and neither jobs nor texts of messages.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# What llama.cpp has written as errors; it tells a reason nowhere else.
_ERRORS: list[str] = []
_MOST_LINES = 50
_callback: Any = None
# ggml's number of that level.
_LEVEL_ERROR = 4
# ggml's numbers of the formats that keys and values can be kept in.
CACHE_TYPES = {"f32": 0, "f16": 1}


def listen() -> None:
    """Keep errors that llama.cpp writes, and nothing of the rest; done once for the process."""
    global _callback  # noqa: PLW0603 - the library calls it for as long as the process lives
    if _callback is None:
        import llama_cpp

        def note(level: int, text: bytes, _data: Any) -> None:
            line = text.decode("utf-8", "replace").strip()
            if level == _LEVEL_ERROR and line:
                _ERRORS.append(line)
                del _ERRORS[:-_MOST_LINES]

        _callback = llama_cpp.llama_log_callback(note)
        llama_cpp.llama_log_set(_callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()


def last_fault() -> str:
    """Return the first error that llama.cpp has written since it was last asked to load, or an empty text."""
    return _ERRORS[0] if _ERRORS else ""


class Native:
    """A loaded model.

    Attributes:
        vocabulary: llama.cpp's vocabulary.
        tokens: how many tokens it has.
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

        listen()
        self._library = llama_cpp
        self._model: Any = None
        self._context: Any = None
        _ERRORS.clear()
        wanted = llama_cpp.llama_model_default_params()
        wanted.n_gpu_layers = gpu_layers
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), wanted)
        if not self._model:
            raise RuntimeError(last_fault() or "llama.cpp gives no reason")
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_ubatch = context, piece, piece
        options.n_threads = options.n_threads_batch = threads
        options.n_seq_max = 1
        options.type_k = options.type_v = CACHE_TYPES[cache_type]
        options.flash_attn_type = 0  # it would be chosen by device
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        if not self._context:
            reason = last_fault() or "llama.cpp gives no reason"
            self.close()
            raise RuntimeError(f"no context of {context} tokens: {reason}")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self.tokens = int(llama_cpp.llama_vocab_n_tokens(self.vocabulary))
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

    # -- tokens ------------------------------------------------------------------------------------------------
    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Return the token ids of a text, with no token added; ``special`` reads control tokens as such."""
        data = text.encode()
        size = len(data) + 8
        for _ in range(2):
            found = (self._library.llama_token * size)()
            count = self._library.llama_tokenize(self.vocabulary, data, len(data), found, size, False, special)
            if count >= 0:
                return list(found[:count])
            size = -count
        raise RuntimeError(f"llama.cpp cannot encode a text of {len(data)} bytes")

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes of one token, control tokens included."""
        size = 64
        for _ in range(2):
            buffer = ctypes.create_string_buffer(size)
            count = self._library.llama_token_to_piece(self.vocabulary, token, buffer, size, 0, True)
            if count >= 0:
                return buffer.raw[:count]
            size = -count
        return b""

    def text_of(self, token: int) -> str:
        """Return a token as the file writes it."""
        written = self._library.llama_vocab_get_text(self.vocabulary, token)
        return (written or b"").decode("utf-8", "replace")

    def is_control(self, token: int) -> bool:
        """Tell whether a token is a control token."""
        return bool(self._library.llama_vocab_is_control(self.vocabulary, token))

    def is_end(self, token: int) -> bool:
        """Tell whether a token ends a reply."""
        return bool(self._library.llama_vocab_is_eog(self.vocabulary, token))

    def attributes(self, token: int) -> int:
        """Return llama.cpp's attributes of a token."""
        return int(self._library.llama_vocab_get_attr(self.vocabulary, token))

    # -- computing ---------------------------------------------------------------------------------------------
    def forget(self) -> None:
        """Empty the context."""
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
