"""Given answers: checked, and turned into the token ids that follow a prompt.

It knows a front and its tokenizer. It does not know what becomes of the answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.prompt import Prompt
from clemcore.backends.local.scores import Answer
from clemcore.errors import ContextExceededError, MessagesError

GivenAnswer = str | Sequence[int]
_BYTES = bytes | bytearray | memoryview


def read_answers(
    front: Frontend, prompt: Prompt, ids: Sequence[int], answers: Sequence[GivenAnswer], ends: Collection[int]
) -> list[Answer]:
    """Return answers with the ids that they have after a prompt.

    Args:
        front: encodes.
        prompt: the prompt.
        ids: its token ids.
        answers: texts, or token ids as the model generated them (``response["output_ids"]``).
        ends: ids of the tokens that end a turn; ids may have one as the last.

    Raises:
        MessagesError: the answers are not of this form.
        ContextExceededError: prompt and answer do not fit the context window.
    """
    if isinstance(answers, str | _BYTES) or not isinstance(answers, Sequence):
        raise MessagesError(
            f"answers must be a list of texts or of lists of token ids, not {type(answers).__name__}: [answer]"
        )
    if not answers:
        raise MessagesError("answers is empty: give at least one answer to score")
    found = []
    for index, answer in enumerate(answers):
        place = f"answers[{index}]"
        if isinstance(answer, str):
            one = Answer(answer, _ids_of_text(front, prompt, ids, answer, place))
        elif isinstance(answer, _BYTES):  # a sequence of numbers, which would pass as token ids
            kind = type(answer).__name__
            raise MessagesError(f"{place} must be a text or a list of token ids, not {kind}: decode it first")
        else:
            given = _checked_ids(front, answer, place)
            one = Answer(front.tokenizer.decode(given, skip_special_tokens=False), given)
        _check_end(front, one, ends, place)
        used = len(ids) + len(one.ids)
        if used > front.context_size:
            raise ContextExceededError(
                f"Context token limit for {front.name} exceeded by the prompt and {place}",
                tokens_used=used,
                tokens_left=front.context_size - used,
                context_size=front.context_size,
                detail=f"the prompt has {len(ids)} tokens, and {place} has {len(one.ids)}",
            )
        found.append(one)
    return found


def _ids_of_text(front: Frontend, prompt: Prompt, ids: Sequence[int], answer: str, place: str) -> list[int]:
    if not answer:
        raise MessagesError(f"{place} is empty: an answer needs at least one character")
    try:
        answer.encode()
    except UnicodeEncodeError as fault:
        raise MessagesError(
            f"{place} has a lone surrogate at character {fault.start}, which is half a character and not text: "
            "remove it, or decode its source correctly"
        ) from None
    whole = front.encode(_with_answer(front, prompt, answer, place))
    if len(whole) > len(ids) and whole[: len(ids)] == list(ids):
        return whole[len(ids) :]
    # A token of the whole text reaches over the seam. A model goes on after the ids of its prompt.
    return front.encode(_with_answer(front, Prompt("", {}, is_whole=False), answer, place))


def _with_answer(front: Frontend, prompt: Prompt, answer: str, place: str) -> Prompt:
    """Return a prompt with an answer after it, whose control tokens are treated like those of messages."""
    policy, found = (
        front.entry.control_tokens,
        front.control_tokens.find([{"role": "assistant", "content": answer}]),
    )
    if found and policy == "error":
        raise MessagesError(
            f"{place} has {found[0].token!r} at character {found[0].offset}: a control token of '{front.name}', "
            "refused by model_config.control_tokens 'error'"
        )
    begins = [len(prompt.text) + one.offset for one in found]
    ranges = [(begin, begin + len(one.token)) for begin, one in zip(begins, found, strict=True)]
    as_text = (*prompt.as_text, *ranges) if policy == "escape" else prompt.as_text
    return dataclasses.replace(prompt, text=prompt.text + answer, as_text=as_text)


def _checked_ids(front: Frontend, answer: Sequence[int], place: str) -> list[int]:
    size = len(front.tokenizer)
    if not isinstance(answer, Sequence) or not all(
        isinstance(token, int) and not isinstance(token, bool) and 0 <= token < size for token in answer
    ):
        raise MessagesError(f"{place} must be a text, or a list of token ids from 0 to {size - 1}, not {answer!r}")
    if not answer:
        raise MessagesError(f"{place} is empty: an answer needs at least one token")
    return list(answer)


def _check_end(front: Frontend, answer: Answer, ends: Collection[int], place: str) -> None:
    for number, token in enumerate(answer.ids[:-1]):
        if token in ends:
            raise MessagesError(
                f"{place} has the end token {token} ({front.tokenizer.decode([token])!r}) as token {number} and "
                "goes on after it, but a turn ends there: leave out the rest, or set model_config.control_tokens "
                "to 'escape' if it is meant as text"
            )
