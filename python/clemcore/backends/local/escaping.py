"""Control tokens of messages that a model is to read as the text that they are: where they stand, and their ids.

The prompt's text stays as it is; only the ids at these places are others. It knows no model and no template's
meaning: it is given what renders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clemcore.errors import MessagesError
from clemcore.messages import Messages
from clemcore.prompts.control_tokens import ControlTokens, free_marks, take_marks

# Put before a piece, so that a tokenizer that adds a blank to the beginning of a text adds it there.
_ANCHORS = ("\n", "a", "")


def places_of(
    prompt: str,
    messages: Messages,
    control: ControlTokens,
    *,
    source: str,
    render: Callable[[Messages], str],
    model_name: str,
) -> tuple[tuple[int, int], ...]:
    """Return where in a prompt the control tokens of its messages stand, apart from those of the template.

    Rendered with marks around them, the text without the marks must be the same: else the template reads the token
    itself (as some read ``</think>``), and what is escaped would not be what was rendered.

    Args:
        prompt: the prompt's text.
        messages: the messages that it is made of.
        control: the model's control tokens.
        source: the template's text.
        render: makes a prompt of messages.
        model_name: named in errors.

    Raises:
        MessagesError: the template reads a control token itself.
    """
    marks = free_marks(prompt, source, repr(messages))
    plain, spans = take_marks(render(control.mark(messages, marks)), marks)
    if plain == prompt:
        return tuple(spans)
    for one in control.find(messages):
        marked = control.mark(messages, marks, only={(one.index, one.token)})
        if take_marks(render(marked), marks)[0] != prompt:
            raise MessagesError(
                f"messages[{one.index}]{one.place} has {one.token!r}, which cannot be escaped: the chat "
                f"template of '{model_name}' reads it itself; set model_config.control_tokens to "
                "'record' or 'error'"
            )
    raise MessagesError(
        f"the control tokens in these messages cannot be escaped for '{model_name}': the chat template "
        "makes another text of them; set model_config.control_tokens to 'record' or 'error'"
    )


def encode_escaped(
    tokenizer: Any, text: str, spans: Sequence[tuple[int, int]], control: Iterable[str]
) -> tuple[list[int], dict[str, dict[str, Any]]]:
    """Return the ids of a text, with no control token in the given ranges.

    Outside of the ranges the ids are those that the text has anyway.

    Args:
        tokenizer: a transformers tokenizer that tells offsets.
        text: the prompt.
        spans: character ranges, each of one control token, in their order.
        control: texts of the control tokens.

    Returns:
        The ids, and for each token that was escaped its ``id`` and the ids of its text, ``as_text``.

    Raises:
        MessagesError: the tokenizer makes a control token of the text however it is cut.
    """
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids: list[int] = encoded.input_ids
    offsets: list[tuple[int, int]] = encoded.offset_mapping
    forbidden = set(tokenizer.convert_tokens_to_ids(list(control)))
    result: list[int] = []
    escaped: dict[str, dict[str, Any]] = {}
    place = 0
    for token, (begin, end) in zip(ids, offsets, strict=True):
        while place < len(spans) and spans[place][1] <= begin:
            place += 1
        inside = place < len(spans) and begin < spans[place][1] and spans[place][0] < end
        if not inside or token not in forbidden:
            result.append(token)
            continue
        piece = text[begin:end]
        if piece not in escaped:
            escaped[piece] = {"id": token, "as_text": _as_text(tokenizer, piece, forbidden)}
        result += escaped[piece]["as_text"]
    return result, escaped


def _as_text(tokenizer: Any, piece: str, forbidden: set[int]) -> list[int]:
    """Return ids of a control token's text: it is cut in two, so that no part is the token."""
    for cut in range(1, len(piece)):
        for anchor in _ANCHORS:
            ids = _after(tokenizer, anchor, piece[:cut]) + _after(tokenizer, anchor, piece[cut:])
            if not forbidden.intersection(ids) and _says(tokenizer, ids, piece):
                return ids
    raise MessagesError(
        f"{piece!r} cannot be escaped: the tokenizer has no other way to write it; "
        "set model_config.control_tokens to 'record' or 'error'"
    )


def _after(tokenizer: Any, anchor: str, piece: str) -> list[int]:
    before: list[int] = tokenizer(anchor, add_special_tokens=False, verbose=False).input_ids if anchor else []
    whole: list[int] = tokenizer(anchor + piece, add_special_tokens=False, verbose=False).input_ids
    return whole[len(before) :] if whole[: len(before)] == before else whole


def _says(tokenizer: Any, ids: list[int], piece: str) -> bool:
    said: str = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return said.strip() == piece.strip()
