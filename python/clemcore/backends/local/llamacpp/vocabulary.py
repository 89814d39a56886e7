"""The vocabulary of a GGUF file: texts become token ids by llama.cpp, and ids become bytes. No weights are read.

llama.cpp does not normalise texts, and GGUF files do not say that a tokenizer does. So it is known here which
tokenizers compose characters (Unicode's form NFC), by the name of their pre-tokenizer.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
import unicodedata
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from clemcore.backends.local.llamacpp.library import open_model

# Pre-tokenizers of tokenizers that normalise: in transformers the classes of Qwen 2 and 3.5, Cohere and GPT-NeoX.
COMPOSING = frozenset({"qwen2", "qwen35", "command-r", "olmo"})
_SENTENCE_PIECE = "llama"
# llama.cpp's attributes of tokens: control tokens, and those that users defined.
_CONTROL, _USER_DEFINED = 1 << 3, 1 << 4

_open: WeakValueDictionary[Hashable, Vocabulary] = WeakValueDictionary()
_lock = threading.Lock()


def vocabulary_of(path: Path, values: Mapping[str, Any]) -> Vocabulary:
    """Return the vocabulary of a file; models of one file share it.

    Args:
        path: the file; of a model in parts the first one.
        values: its metadata.

    Raises:
        RuntimeError: llama.cpp cannot read it.
    """
    state = path.stat()
    key = str(path), state.st_mtime_ns, state.st_size, os.getpid()
    with _lock:
        found = _open.get(key)
        if found is None:
            composes = values.get("tokenizer.ggml.pre") in COMPOSING
            is_pieces = values.get("tokenizer.ggml.model") == _SENTENCE_PIECE
            adds_blank = is_pieces and values.get("tokenizer.ggml.add_space_prefix") is not False
            names_end = "tokenizer.ggml.eos_token_id" in values
            made = Vocabulary(path, composes=composes, adds_blank=adds_blank, names_end=names_end)
            found = _open[key] = made
        return found


class Vocabulary:
    """The tokens of a model.

    Attributes:
        tokens: how many there are.
        added: tokens that are not ordinary words, by their ids: the text, and whether it is a control token.
        ends: ids of the tokens that end a reply.
        refuses: why the model cannot chat, or None.
    """

    def __init__(
        self, path: Path, *, composes: bool = False, adds_blank: bool = False, names_end: bool = True
    ) -> None:
        """Open a file.

        Args:
            path: the file; of a model in parts the first one.
            composes: whether texts are normalised to NFC.
            adds_blank: whether a blank is put before each text, and taken away again.
            names_end: whether the file says which token ends a text. If not, llama.cpp assumes one by its number
                (as 11, which may be a comma); it counts only if it is a control token.

        Raises:
            RuntimeError: llama.cpp cannot read it.
        """
        import llama_cpp

        self._model: Any = None
        self._library = llama_cpp
        self._model = open_model(path, vocabulary_only=True)
        self._pointer = llama_cpp.llama_model_get_vocab(self._model)
        self.tokens = int(llama_cpp.llama_vocab_n_tokens(self._pointer))
        self.added: dict[int, tuple[str, bool]] = {}
        for token in range(self.tokens):
            kind = int(llama_cpp.llama_vocab_get_attr(self._pointer, token))
            if kind & (_CONTROL | _USER_DEFINED):
                self.added[token] = self.bytes_of(token).decode("utf-8", "replace"), bool(kind & _CONTROL)
        assumed = None if names_end else int(llama_cpp.llama_vocab_eos(self._pointer))
        self.ends = frozenset(
            token
            for token in range(self.tokens)
            if llama_cpp.llama_vocab_is_eog(self._pointer, token)
            and (token != assumed or self.added.get(token, ("", False))[1])
        )
        self.refuses = _refusal(llama_cpp, self._model)
        texts = sorted((text for text, _ in self.added.values() if text), key=len, reverse=True)
        self._marks = re.compile("|".join(map(re.escape, texts))) if composes and texts else None
        self._composes = composes
        self._adds_blank = adds_blank

    def __del__(self) -> None:
        """Give the memory back."""
        if self._model:
            self._library.llama_model_free(self._model)
            self._model = None

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, control tokens read as such, with no token added."""
        if self._composes and not unicodedata.is_normalized("NFC", text):
            return self._encode_composed(text)
        return self._encode(text, special=True)

    def _encode_composed(self, text: str) -> list[int]:
        """Encode what stands between added tokens in its composed form; added tokens are looked for before that."""
        ids: list[int] = []
        place = 0
        for match in () if self._marks is None else self._marks.finditer(text):
            ids += self._encode(unicodedata.normalize("NFC", text[place : match.start()]), special=False)
            ids += self._encode(match.group(), special=True)
            place = match.end()
        return ids + self._encode(unicodedata.normalize("NFC", text[place:]), special=False)

    def _encode(self, text: str, *, special: bool) -> list[int]:
        data = text.encode()
        size = len(data) + 8
        for _ in range(2):
            found = (self._library.llama_token * size)()
            count = self._library.llama_tokenize(self._pointer, data, len(data), found, size, False, special)
            if count >= 0:
                return list(found[:count])
            size = -count
        raise RuntimeError(f"llama.cpp cannot encode a text of {len(data)} bytes")

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, control tokens included."""
        text = b"".join(map(self.bytes_of, ids)).decode("utf-8", "replace")
        return text.removeprefix(" ") if self._adds_blank else text

    def bytes_of(self, token: int) -> bytes:
        """Return the bytes of one token, control tokens included."""
        size = 64
        for _ in range(2):
            buffer = ctypes.create_string_buffer(size)
            count = self._library.llama_token_to_piece(self._pointer, token, buffer, size, 0, True)
            if count >= 0:
                return buffer.raw[:count]
            size = -count
        return b""


def _refusal(library: Any, model: Any) -> str | None:
    if library.llama_model_has_encoder(model):
        return "a model with an encoder, which is not a chat model"
    if library.llama_model_is_diffusion(model):
        return "a diffusion model, which does not write token by token"
    return None
