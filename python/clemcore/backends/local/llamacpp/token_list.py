"""The list of tokens of a GGUF file, checked before llama.cpp gets the file.

llama.cpp does not report these faults: it ends the process, or uses another token without saying so.
"""

from __future__ import annotations

from collections.abc import Sequence

from clemcore.backends.local.llamacpp.head import Head, read_part
from clemcore.backends.local.llamacpp.settings import LlamaSettings
from clemcore.errors import ModelLoadError
from clemcore.prompts.templates.gguf import read_tokens

# Which tokens are control tokens.
_KINDS = "tokenizer.ggml.token_type"
# Keys of the tokens that begin a text or end a reply. Others may have an id that means "none", such as 4294967295.
_BOS = "tokenizer.ggml.bos_token_id"
_ENDS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")


def check_token_list(settings: LlamaSettings, head: Head) -> None:
    """Refuse a file in which a token has two ids, has no kind, or whose special tokens are not in its list.

    Args:
        settings: the entry. If it names the first token, that of the file is not used.
        head: the head of the file.

    Raises:
        ModelLoadError: a text stands twice in the list, an id is beyond it, or kinds are missing.
    """
    tokens = read_part(read_tokens, head.path, settings.local.model_name)
    where = f"model '{settings.local.model_name}': {head.path}"
    _check_twins(tokens, where)
    kinds = head.metadata.lengths.get(_KINDS, 0)
    if tokens and kinds != len(tokens):
        raise ModelLoadError(
            f"{where}: {_KINDS} has {kinds} entries, but the file has {len(tokens)} tokens, so llama.cpp would "
            "read control tokens, such as those that begin and end a turn, as ordinary text: convert the model "
            "again, or choose another file"
        )
    keys = _ENDS if settings.bos is not None else (_BOS, *_ENDS)
    ids = {key: head.metadata.values[key] for key in keys if key in head.metadata.values}
    beyond = [f"{key} is {number}" for key, number in ids.items() if not _is_within(number, len(tokens))]
    if tokens and beyond:
        raise ModelLoadError(
            f"{where}: {', '.join(beyond)}, but the file has {len(tokens)} tokens, and llama.cpp would use another "
            "token: choose another file, or write the correct id into a copy of it: gguf-set-metadata FILE KEY ID"
        )


def _is_within(number: object, count: int) -> bool:
    return isinstance(number, int) and 0 <= number < count


def _check_twins(tokens: Sequence[bytes], where: str) -> None:
    """Refuse a list in which a text stands twice.

    Official files had this fault, such as Gemma 4's of July 2026: https://github.com/ggml-org/llama.cpp/issues/25739.
    """
    first: dict[bytes, int] = {}
    twice: list[tuple[bytes, int, int]] = []
    for number, token in enumerate(tokens):
        # As llama.cpp reads them: up to a zero byte; an empty one gets a name with its id.
        text = token.partition(b"\0")[0] or f"[EMPTY_{number}]".encode()
        if first.setdefault(text, number) != number:
            twice.append((text, first[text], number))
    if twice:
        text, one, other = twice[0]
        more = f", and {len(twice) - 1} more such pairs" if len(twice) > 1 else ""
        raise ModelLoadError(
            f"{where}: the token {text.decode('utf-8', 'replace')!r} has two ids, {one} and "
            f"{other}{more} (tokenizer.ggml.tokens), and llama.cpp would end the process: download a newer version "
            "of the file or one by another publisher, or convert the model again"
        )
