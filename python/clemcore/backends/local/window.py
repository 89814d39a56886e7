"""Two checks for people who write games: do these messages fit a model's template, and its context window?

They load tokenizer and configuration, no weights, and print what they find. Names and results are those of 3.7.2.
"""

from __future__ import annotations

from itertools import pairwise

from clemcore.backends.local.transformers.opening import frontend_of
from clemcore.errors import MessagesError, TemplateError
from clemcore.messages import Messages, runs_of
from clemcore.messages import check_messages as check_form
from clemcore.registry.spec import ModelSpec
from clemcore.visible import visible


def check_messages(messages: Messages, model_spec: ModelSpec) -> bool:
    """Tell whether a model's chat template accepts messages as they are, before neighbours are merged.

    Args:
        messages: the dialogue.
        model_spec: the complete specification of a model of this backend.

    Returns:
        Whether it does; why not, and what looks odd about the order of roles, is printed.
    """
    check_form(messages)
    for remark in _remarks(messages):
        print(visible(remark))
    try:
        frontend_of(model_spec).write(messages, merge=False)
    except (TemplateError, MessagesError) as refusal:
        print(refusal)
        return False
    print(visible(f"The chat template of '{model_spec['model_name']}' accepts these messages."))
    return True


def _remarks(messages: Messages) -> list[str]:
    roles = [str(message["role"]) for message in messages]
    remarks = []
    first = 1 if roles[0] == "system" else 0
    if roles[first : first + 1] == ["assistant"]:
        remarks.append("The dialogue starts with an assistant message.")
    remarks += [
        f"messages[{index}] has the role of the message before it ({other['role']}); for generation the two are "
        "merged."
        for index, (one, other) in enumerate(pairwise(messages), start=1)
        if len(runs_of([one, other], cull_system_message=False)) == 1
    ]
    if roles[-1] == "assistant":
        remarks.append("The dialogue ends with an assistant message.")
    return remarks


def check_context_limit(
    messages: Messages,
    model_spec: ModelSpec,
    max_new_tokens: int = 100,
    clean_messages: bool = False,
    verbose: bool = True,
) -> tuple[bool, int, int, int]:
    """Tell whether a dialogue and its reply fit a model's context window.

    Args:
        messages: the dialogue.
        model_spec: the complete specification of a model of this backend.
        max_new_tokens: the most tokens that the reply may have.
        clean_messages: merge neighbours of one role first, as generation does.
        verbose: print the numbers.

    Returns:
        Whether they fit, tokens used (prompt and reply), tokens left (negative when they do not fit), and the size
        of the context window in tokens.

    Raises:
        TemplateError: the chat template refuses the messages.
    """
    check_form(messages)
    front = frontend_of(model_spec)
    used = len(front.encode(front.write(messages, merge=clean_messages))) + max_new_tokens
    left = front.context_size - used
    if verbose:
        print(f"{used} tokens used, {left} left of {front.context_size}")
    return left >= 0, used, left, front.context_size
