"""The list of tokens of a GGUF file, checked before llama.cpp gets the file.

llama.cpp does not report these faults: it ends the process, or uses another token without saying so.
"""

from __future__ import annotations

from clemcore.backends.local.llamacpp.head import Head
from clemcore.errors import ModelLoadError
from clemcore.prompts.templates.gguf import read_tokens


def check_token_list(head: Head, name: str) -> None:
    """Refuse a file in which two tokens have the same text.

    Official files had this fault, such as Gemma 4's of July 2026: https://github.com/ggml-org/llama.cpp/issues/25739.

    Args:
        head: the head of the file.
        name: the model's name, for errors.

    Raises:
        ModelLoadError: a text stands twice in the list.
    """
    first: dict[bytes, int] = {}
    twice: list[tuple[bytes, int, int]] = []
    for number, token in enumerate(read_tokens(head.path)):
        # As llama.cpp reads them: up to a zero byte; an empty one gets a name with its id.
        text = token.partition(b"\0")[0] or f"[EMPTY_{number}]".encode()
        if first.setdefault(text, number) != number:
            twice.append((text, first[text], number))
    if twice:
        text, one, other = twice[0]
        more = f", and {len(twice) - 1} more such pairs" if len(twice) > 1 else ""
        raise ModelLoadError(
            f"model '{name}': {head.path}: the token {text.decode('utf-8', 'replace')!r} has two ids, {one} and "
            f"{other}{more} (tokenizer.ggml.tokens), and llama.cpp would end the process: download a newer version "
            "of the file or one by another publisher, or convert the model again"
        )
