"""Checks of prompts and of their messages that every local model makes. It knows texts, and no templates."""

from __future__ import annotations

from clemcore.errors import MessagesError, TemplateError
from clemcore.messages import Messages, texts_of

# Arguments of apply_chat_template that are ours to give; in chat_template_kwargs they would change its meaning.
OURS = frozenset(
    {
        "messages",
        "conversation",
        "chat_template",
        "add_generation_prompt",
        "continue_final_message",
        "tokenize",
        "return_dict",
        "return_tensors",
        "padding",
        "truncation",
        "max_length",
        "tokenizer_kwargs",
        "return_assistant_tokens_mask",
        "sanitize_control_tokens",
    }
)


def check_is_text(prompt: str, messages: Messages, model_name: str) -> None:
    """Check that a prompt can be encoded, and that there is one.

    Raises:
        MessagesError: a message has half a character.
        TemplateError: the template writes nothing, or half a character.
    """
    if not prompt:
        raise TemplateError(f"the chat template of '{model_name}' renders nothing for these messages: correct it")
    try:
        prompt.encode()
    except UnicodeEncodeError:
        found = (
            (index, place, offset, character)
            for index, place, text in texts_of(messages)
            for offset, character in enumerate(text)
            if "\ud800" <= character <= "\udfff"
        )
        for index, place, offset, character in found:
            raise MessagesError(
                f"messages[{index}]{place} has the lone surrogate {character!a} at character {offset}, which "
                "is half a character and not text: remove it, or decode its source correctly"
            ) from None
        raise TemplateError(
            f"the chat template of '{model_name}' writes a lone surrogate, which is not text: correct it"
        ) from None


def check_text_only(messages: Messages, model_name: str) -> None:
    """Check that messages hold nothing but text.

    Raises:
        MessagesError: one has an image, or a content that is not a text.
    """
    for index, message in enumerate(messages):
        if message.get("image"):
            raise MessagesError(
                f"messages[{index}] has an 'image', but '{model_name}' is loaded as a text model: remove it, or "
                "set model_config.multimodal to true if the model sees (only with the backend huggingface_local)"
            )
        # An assistant that only calls tools may have none.
        if not isinstance(message["content"], str) and message["content"] is not None:
            found = type(message["content"]).__name__
            raise MessagesError(f"messages[{index}]['content'] must be a string for '{model_name}', not {found}")
