"""The prompts of an audit: those of the user, else short and long questions, with and without a text to read."""

from __future__ import annotations

from collections.abc import Sequence

from clemcore.backends.local.frontend import Frontend
from clemcore.errors import MessagesError
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


def prompts_of(front: Frontend, dialogues: Sequence[Messages] | None, new_tokens: int) -> list[list[int]]:
    """Return the token ids of an audit's prompts.

    Args:
        front: encodes.
        dialogues: what the user gives; None takes the default ones that fit the context window.
        new_tokens: the most tokens of an answer.

    Raises:
        MessagesError: a dialogue does not have the right form, or there is none.
        ContextExceededError: a dialogue of the user does not fit.
    """
    if dialogues is not None and not dialogues:
        raise MessagesError("an audit needs at least one dialogue, but the list of prompts is empty")
    prompts = []
    for index, messages in enumerate(default_prompts() if dialogues is None else dialogues):
        check_messages(messages)
        ids = front.encode(front.write(messages))
        if dialogues is None and len(ids) + new_tokens > front.context_size:
            continue
        front.check_context(ids, new_tokens, messages, f" by dialogue {index}")
        prompts.append(ids)
    if not prompts:
        raise MessagesError(
            f"none of the default prompts fits the {front.context_size} tokens of '{front.name}': give your own"
        )
    return prompts
