"""The dialogues that engines are compared with: those of the user, else the prompts of an audit and a few more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clemcore.backends.compared.engines import ComparedEngine, LocalEngine
from clemcore.backends.local.audit.prompts import as_dialogues, default_prompts, naming
from clemcore.errors import MessagesError, TemplateError
from clemcore.messages import Messages

_TURNS: tuple[Messages, ...] = (
    [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hello! How can I help you?"},
        {"role": "user", "content": "Tell me the name of the capital of Australia."},
    ],
    [
        {"role": "system", "content": "You are a careful assistant. Answer briefly."},
        {"role": "user", "content": "  What is 2 < 3?\n\nExplain “it” in one sentence.  "},
    ],
)


def fitting(
    engines: Sequence[ComparedEngine], given: Iterable[Messages | str] | None, new_tokens: int
) -> list[Messages]:
    """Return dialogues that fit into the context of the engines that run here.

    Args:
        engines: those that are compared.
        given: what the user gives, each a text or messages; None takes the default ones that fit and that the
            template takes.
        new_tokens: the most tokens of an answer.

    Raises:
        MessagesError: a dialogue does not have the right form, or there is none.
        ContextExceededError: a dialogue of the user does not fit.
        TemplateError: the template refuses a dialogue of the user.
    """
    found = []
    for index, messages in enumerate([*_TURNS, *default_prompts()] if given is None else as_dialogues(given)):
        try:
            with naming(index):
                fits = [_fits(each, messages, new_tokens, index, is_given=given is not None) for each in engines]
            if all(fits):
                found.append(messages)
        except (TemplateError, MessagesError):
            if given is not None:
                raise
    if not found:
        raise MessagesError("there is no dialogue to compare the engines with: give your own in a JSON file")
    return found


def _fits(engine: ComparedEngine, messages: Messages, new_tokens: int, index: int, *, is_given: bool) -> bool:
    if not isinstance(engine, LocalEngine):
        return True
    front = engine.model._front
    ids = front.encode(front.write(messages))
    if is_given:
        front.check_context(ids, new_tokens, messages, f" by dialogue {index}")
    return len(ids) + new_tokens <= front.context_size
