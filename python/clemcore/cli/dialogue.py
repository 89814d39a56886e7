"""The dialogue that a command sends: a text, a file of messages or standard input, and images.

It does not know models.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from clemcore.cli.inputs import AnyFunction, json_or_text, options
from clemcore.cli.terminal import is_terminal, note
from clemcore.errors import MessagesError
from clemcore.messages import Messages, check_messages

_IMAGE_HELP = "An image for the last message: a file, or an address (https:, data:); repeatable."
_ADDRESSES = ("http://", "https://", "data:")


def system_option(command: AnyFunction) -> AnyFunction:
    """Add ``--system``."""
    return click.option("--system", metavar="TEXT", help="A system message to put in front.")(command)


# What is asked; :func:`read_messages` brings it together.
dialogue_options = options(
    system_option,
    click.option("images", "--image", multiple=True, metavar="FILE", help=_IMAGE_HELP),
)


def read_messages(given: str | None, system: str | None, images: Sequence[str] = ()) -> Messages:
    """Return the messages that a command's argument stands for.

    Args:
        given: a text; the path of a ``.json`` file with a list of messages; ``-`` or None for standard input,
            which may hold either.
        system: a system message to put in front.
        images: files or addresses, which the last message gets.

    Raises:
        MessagesError: the file or the text holds no messages.
    """
    if given is None or given == "-":
        messages = _from_stdin(required=given is None)
    elif _is_path(given):
        messages = _from_json(given, _read(Path(given)))
    else:
        messages = [{"role": "user", "content": _as_typed(given)}]
    check_messages(messages)
    if system is not None:
        if messages[0].get("role") == "system":
            raise click.UsageError("--system: the messages have a system message of their own")
        messages = [{"role": "system", "content": system}, *messages]
    return _with_images(messages, images) if images else messages


def _is_path(argument: str) -> bool:
    """Tell a file of messages from a text that ends with the name of one, such as a question about package.json."""
    if not argument.endswith(".json"):
        return False
    if not any(character.isspace() for character in argument) or Path(argument).is_file():
        return True
    note(f"there is no file '{argument}': it is sent as text")
    return False


def _with_images(messages: Messages, images: Sequence[str]) -> Messages:
    last = messages[-1]
    if last["role"] != "user":
        raise click.UsageError(f"--image belongs to a message of the user, and the last one is of '{last['role']}'")
    if "image" in last or not isinstance(last["content"], str):
        raise click.UsageError("--image: the last message has images or parts of its own")
    for image in images:
        if not image.startswith(_ADDRESSES) and not Path(image).is_file():
            raise click.BadParameter(f"there is no file '{image}'", param_hint="--image")
    return [*messages[:-1], {**last, "image": list(images)}]


def _as_typed(argument: str) -> str:
    """Return an argument's text, also where the locale is not UTF-8 and Python has kept its bytes aside."""
    if argument.isprintable():  # the bytes kept aside are not
        return argument
    return _decoded("the text on the command line", os.fsencode(argument)) if _has_bytes(argument) else argument


def _has_bytes(argument: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in argument)


def _from_stdin(*, required: bool) -> Messages:
    if is_terminal(sys.stdin):
        if required:
            raise click.UsageError("Missing argument 'MESSAGES.json | TEXT' (or '-' to type the text).")
        note("type the text; Ctrl-D ends it")
    text = _decoded("standard input", sys.stdin.buffer.read())
    if text.lstrip().startswith("["):
        # A list of objects is a dialogue; any other text may begin with a bracket too.
        value = json_or_text(text)
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return value
    if not text.strip():
        raise MessagesError("standard input is empty: it must hold a text, or a JSON list of messages")
    return [{"role": "user", "content": text.rstrip("\r\n")}]


def _from_json(source: str, text: str) -> Messages:
    try:
        value: Messages = json.loads(text)
    except json.JSONDecodeError as fault:
        raise MessagesError(f"{source}:{fault.lineno}:{fault.colno}: no valid JSON: {fault.msg}") from None
    except RecursionError:
        raise MessagesError(f"{source}: nested too deeply") from None
    check_messages(value, where=f"{source}: messages")
    return value


def _read(path: Path) -> str:
    try:
        return _decoded(str(path), path.read_bytes())
    except OSError as fault:
        raise MessagesError(f"{path}: the file with the messages cannot be read: {fault.strerror}") from None


def _decoded(source: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise MessagesError(f"{source}: byte {fault.start} is not UTF-8") from None
