"""Finds out which messages a chat template leaves out of the prompt, and in which form it wants their content.

A template can leave out the text of a message without an error: it does not know a role, or it iterates over parts
(``[{"type": "text", "text": …}]``) and finds none in a text. Here the contents of a conversation are replaced by
words that occur nowhere else, so that it is certain whether they come through. It knows messages and what renders
them, and neither models nor engines.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from clemcore.errors import TemplateError
from clemcore.messages import Message, Messages
from clemcore.prompts.proof.cases import words_of

Render = Callable[[Messages], str]

# How templates write parts that they take for a text.
_WRITTEN_PARTS = re.compile(r"""\{\s*['"]type['"]\s*:\s*['"]text['"]""")
# Put into words of the template, so that it does not find them.
_BREAK = "\u2060"


@dataclass(frozen=True)
class Form:
    """How a template takes conversations of one shape: roles and further fields, whatever the texts are.

    Attributes:
        parts: indices of the messages whose content is passed as parts.
        lost: indices of the messages whose text is left out in every form.
    """

    parts: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()

    def apply(self, messages: Messages) -> Messages:
        """Return messages in this form; they are not changed."""
        return [_as_parts(message) if index in self.parts else message for index, message in enumerate(messages)]


AS_TEXTS = Form()


def form_of(messages: Messages, render: Render, source: str) -> Form:
    """Return the form in which the template takes most of the messages; texts are preferred to parts.

    Args:
        messages: a conversation of the shape in question.
        render: makes a prompt of messages.
        source: the template's text.
    """
    with_text = [index for index, message in enumerate(messages) if _has_text(message)]
    probes = dict(zip(with_text, _free_words(len(with_text), source, messages), strict=True))
    probe = [{**message, "content": probes.get(n, message["content"])} for n, message in enumerate(messages)]

    def lost(parts: Collection[int]) -> frozenset[int] | None:
        """Return the messages that are left out if some are passed as parts; None if that cannot be rendered."""
        try:
            text = render(Form(frozenset(parts)).apply(probe))
        except TemplateError:
            return None
        if parts and _WRITTEN_PARTS.search(text):
            return None
        return frozenset(index for index, word in probes.items() if word not in text)

    as_texts = lost(())
    if not as_texts and as_texts is not None:
        return AS_TEXTS
    found = [Form(frozenset(), as_texts)] if as_texts is not None else []
    for parts in (with_text, sorted(as_texts or ())):
        left = lost(parts) if parts else None
        if left is not None:
            found.append(Form(frozenset(parts), left))
    # A conversation that cannot be rendered at all is refused when its own texts are.
    return min(found, key=lambda form: len(form.lost), default=AS_TEXTS)


def changed_texts(messages: Messages, prompt: str) -> list[int]:
    """Return the indices of messages whose text is not in the prompt as it is; whitespace may differ.

    Escaped texts count as present: as in JSON, and as in HTML.
    """
    missing = [n for n, message in enumerate(messages) if _has_text(message) and message["content"] not in prompt]
    if not missing:
        return []
    within = _without_blanks(prompt)
    return [n for n in missing if not any(_without_blanks(text) in within for text in _written(messages[n]))]


def is_reasoning_removed(messages: Messages, index: int, render: Render, source: str) -> bool:
    """Tell whether a text of the assistant is shortened only because it has words that the template looks for.

    Many templates drop the reasoning of earlier turns, up to ``</think>``. If these words are broken, the whole
    text has to come through; a template that cuts texts for another reason does not pass.
    """
    message = messages[index]
    text = message["content"]
    for word in words_of(source):
        if len(word) > 1 and word in text:
            text = text.replace(word, word[0] + _BREAK + word[1:])
    if message["role"] != "assistant" or text == message["content"]:
        return False
    broken = [*messages[:index], {**message, "content": text}, *messages[index + 1 :]]
    try:
        return index not in changed_texts(broken, render(broken))
    except TemplateError:
        return False


def _as_parts(message: Message) -> Message:
    if not isinstance(message["content"], str):
        return message
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


def _has_text(message: Message) -> bool:
    return isinstance(message["content"], str) and not message["content"].isspace() and message["content"] != ""


def _written(message: Message) -> list[str]:
    """Return the ways in which a template may write a text."""
    text = message["content"].strip()
    in_json = (json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (False, True))
    return [
        text,
        *in_json,
        html.escape(text),
        html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    ]


def _without_blanks(text: str) -> str:
    return "".join(text.split())


def _free_words(count: int, source: str, messages: Messages) -> list[str]:
    """Return words that occur neither in a template nor in messages, none a part of another."""
    taken = source + repr(messages)
    stem = "Zq"
    while stem in taken:
        stem += "q"
    return [f"{stem}{number}x" for number in range(count)]
