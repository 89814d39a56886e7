"""The prompts of an audit: those of the user, else short and long questions, with and without a text to read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clemcore.backends.local.checks import is_integer
from clemcore.backends.local.frontend import Frontend
from clemcore.errors import ClemcoreError, GenerationArgumentError, MessagesError
from clemcore.messages import Messages, check_messages

_TEXT = (
    "The old lighthouse stands on a rock at the northern end of the island. It was built in 1871, after "
    "three ships had been lost in one winter. ",
    "Its keeper rowed to the village twice a week to fetch bread, lamp oil and letters. When the sea was "
    "too rough, he hoisted a red flag, and the whole village knew that he would be late. ",
    "In 1954 the lamp became electric, and the last keeper moved to the mainland. His daughter kept his "
    "logbooks, in which he had written down the weather of every day, the ships that passed, and what he "
    "had for supper. ",
    "Today the tower is a museum. Visitors climb its 142 steps, read a page of the logbooks, and are told "
    "the story of the night on which the lamp went out, and forty people with lanterns stood along the "
    "shore until the morning. ",
)
_QUESTIONS = (
    "Tell me the name of the capital of Australia.",
    "Write one sentence about a river.",
    "Which is larger, 17 times 6 or 108? Explain it in one sentence.",
    "Give me three words that rhyme with 'light', separated by commas.",
    "What would you take along on a long walk in the mountains, and why?",
    "I am thinking of an animal. It is large and grey, and it has a trunk. Which animal is it?",
    "Translate into French: The children are playing in the garden.",
    "Describe a triangle to somebody who has never seen one.",
)
_ABOUT_TEXT = (
    "When was the lighthouse built?",
    "Why did the keeper row to the village?",
    "What is a red flag used for in this text?",
    "How many steps does the tower have? Answer with the number alone.",
    "Summarize the text in one sentence.",
    "What did the keeper write into his logbooks?",
    "Who stood along the shore, and why?",
    "Write the next sentence of this text.",
)
_INSTRUCTION = "You are a careful assistant. Answer briefly."


def default_prompts() -> list[Messages]:
    """Return sixteen dialogues whose lengths differ by a factor of about eight."""
    plain = [[{"role": "user", "content": question}] for question in _QUESTIONS]
    long = [
        [{"role": "user", "content": f"{_INSTRUCTION}\n\n{''.join(_TEXT[: 1 + index // 2])}\n\n{question}"}]
        for index, question in enumerate(_ABOUT_TEXT)
    ]
    # Neighbours have different lengths, so that batches are padded.
    return [dialogue for pair in zip(plain, long, strict=True) for dialogue in pair]


def as_dialogues(given: Any, file: str = "") -> list[Messages]:
    """Return texts and dialogues as dialogues.

    Args:
        given: a list whose items are texts or messages.
        file: the file that they come from, for errors.

    Raises:
        MessagesError: they are not such a list, or there is none.
    """
    where = file or "dialogues"
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise MessagesError(f"{where} must hold a list of texts or dialogues, not {type(given).__name__}")
    items = list(given)
    if not items:
        raise MessagesError(f"{where} must hold at least one text or dialogue, but the list is empty")
    if all(isinstance(each, Mapping) for each in items):
        raise MessagesError(f"{where} holds one dialogue: put it into a list, as [[…]]")
    found = [[{"role": "user", "content": each}] if isinstance(each, str) else each for each in items]
    prefix = f"{file}: " if file else ""
    for index, messages in enumerate(found):
        check_messages(messages, where=f"{prefix}dialogue {index}: messages")
    return found


@contextlib.contextmanager
def naming(index: int) -> Iterator[None]:
    """Let an error that is raised in the block name the dialogue.

    Args:
        index: its place among the dialogues that are asked.
    """
    try:
        yield
    except ClemcoreError as fault:
        if f"dialogue {index}" not in str(fault) and fault.args and isinstance(fault.args[0], str):
            fault.args = (f"dialogue {index}: {fault.args[0]}", *fault.args[1:])
        raise


def prompts_of(
    front: Frontend, dialogues: Iterable[Messages | str] | None, new_tokens: int
) -> tuple[list[list[int]], int]:
    """Return the token ids of an audit's prompts, and how many default prompts do not fit the context window.

    Args:
        front: encodes.
        dialogues: what the user gives, each a text or messages; None takes the default ones that fit.
        new_tokens: the most tokens of an answer.

    Raises:
        MessagesError: a dialogue does not have the right form, or there is none.
        TemplateError: the chat template refuses a dialogue.
        GenerationArgumentError: ``new_tokens`` is not a number of tokens.
        ContextExceededError: a dialogue of the user does not fit.
    """
    if not is_integer(new_tokens) or new_tokens < 1:
        raise GenerationArgumentError(
            f"model '{front.name}': new_tokens of an audit must be an integer of at least 1, not "
            f"{new_tokens!r:.200}"
        )
    prompts, left_out = [], 0
    for index, messages in enumerate(default_prompts() if dialogues is None else as_dialogues(dialogues)):
        with naming(index):
            ids = front.encode(front.write(messages))
        if dialogues is None and len(ids) + new_tokens > front.context_size:
            left_out += 1
            continue
        front.check_context(ids, new_tokens, messages, f" by dialogue {index}")
        prompts.append(ids)
    if not prompts:
        raise MessagesError(
            f"none of the default prompts fits the {front.context_size} tokens of '{front.name}': give your own"
        )
    return prompts, left_out
