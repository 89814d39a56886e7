"""The tokenizer of a GGUF file, with what the pipeline asks of a transformers tokenizer.

Texts become ids by llama.cpp itself. Chat templates are rendered for comparison by transformers, which is given the
special tokens of the file and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from clemcore.backends.local.llamacpp.vocabulary import Vocabulary
from clemcore.prompts.proof.oracle import empty_tokenizer


@dataclass(frozen=True)
class AddedToken:
    """A token that is not an ordinary word of the vocabulary.

    Attributes:
        content: its text.
        special: whether it is a control token.
    """

    content: str
    special: bool

    def __str__(self) -> str:
        """Return its text."""
        return self.content


class GgufTokenizer:
    """Encodes and decodes as llama.cpp does.

    Attributes:
        vocabulary: the tokens.
        special_tokens_map: the special tokens that a chat template is given, by name.
        added_tokens_decoder: the added tokens by their ids.
        chat_template: the template in the file, or None.
    """

    def __init__(
        self, vocabulary: Vocabulary, special_tokens: Mapping[str, str], chat_template: str | None
    ) -> None:
        """Take the parts.

        Args:
            vocabulary: the tokens.
            special_tokens: the texts of special tokens by their names, as ``bos_token``.
            chat_template: the template in the file, or None.
        """
        self.vocabulary = vocabulary
        self.special_tokens_map = dict(special_tokens)
        self.chat_template = chat_template
        self.added_tokens_decoder = {token: AddedToken(*known) for token, known in vocabulary.added.items()}
        self._oracle: Any = None

    def __len__(self) -> int:
        """Return the number of tokens."""
        return self.vocabulary.tokens

    def __call__(self, text: str, **_: Any) -> Any:
        """Return an object whose ``input_ids`` are the ids of a text, with no token added."""
        return SimpleNamespace(input_ids=self.vocabulary.encode(text))

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False, **_: Any) -> str:
        """Return the text of ids, without control tokens if they are to be skipped."""
        if skip_special_tokens:
            control = {number for number, token in self.added_tokens_decoder.items() if token.special}
            ids = [token for token in ids if token not in control]
        return self.vocabulary.decode(ids)

    def get_added_vocab(self) -> dict[str, int]:
        """Return the added tokens, by their texts."""
        return {token.content: number for number, token in self.added_tokens_decoder.items()}

    @property
    def all_special_tokens(self) -> list[str]:
        """The control tokens."""
        found = [token.content for token in self.added_tokens_decoder.values() if token.special]
        return list(dict.fromkeys([*self.special_tokens_map.values(), *found]))

    @property
    def bos_token(self) -> str | None:
        """The text of the token that begins a sequence, or None."""
        return self.special_tokens_map.get("bos_token")

    @property
    def bos_token_id(self) -> int | None:
        """The id of the token that begins a sequence, or None."""
        return None if self.bos_token is None else self.get_added_vocab().get(self.bos_token)

    def apply_chat_template(self, messages: Any, *, tokenize: bool = True, **options: Any) -> Any:
        """Render messages as transformers does, and encode them as llama.cpp does."""
        if self._oracle is None:
            self._oracle = empty_tokenizer(self.special_tokens_map)
        for name in ("return_dict", "tokenizer_kwargs"):
            options.pop(name, None)
        text = self._oracle.apply_chat_template(messages, tokenize=False, **options)
        return {"input_ids": self.vocabulary.encode(text)} if tokenize else text

    def llguidance_tokenizer(self, ends: Sequence[int]) -> Any:
        """Return the vocabulary in the form of llguidance, for constraints.

        Args:
            ends: ids of the tokens that end a reply.
        """
        from llguidance import LLTokenizer, TokenizerWrapper

        return LLTokenizer(TokenizerWrapper(_Words(self, ends)), eos_token=list(ends) or None)


class _Words:
    """A vocabulary as llguidance reads it.

    Attributes:
        eos_token_id: a token that ends a reply.
        bos_token_id: the token that begins a sequence, or None.
        tokens: the bytes of each token.
        special_token_ids: tokens that are not text.
    """

    def __init__(self, tokenizer: GgufTokenizer, ends: Sequence[int]) -> None:
        self._vocabulary = tokenizer.vocabulary
        self.eos_token_id = ends[0] if ends else None
        self.bos_token_id = tokenizer.bos_token_id
        self.tokens = [self._vocabulary.bytes_of(token) for token in range(len(tokenizer))]
        added = tokenizer.added_tokens_decoder
        self.special_token_ids = [number for number, token in added.items() if token.special]

    def __call__(self, text: str) -> list[int]:
        return self._vocabulary.encode(text)
