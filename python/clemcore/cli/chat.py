"""``clem chat``: a dialogue in the terminal."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from clemcore.cli.app import message_of
from clemcore.cli.inputs import examples, generation_arguments, generation_options
from clemcore.cli.respond import (
    BUDGET_HELP,
    CACHE_HELP,
    RECORD_HELP,
    cached,
    limited,
    load,
    recorded,
    show_answer,
    whole_option,
)
from clemcore.cli.selection import model_options
from clemcore.cli.terminal import Styled, is_terminal, note
from clemcore.errors import MessagesError
from clemcore.messages import Messages
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import scrub

if TYPE_CHECKING:
    from clemcore.model import Model

PROMPT = "> "
HELP = "/reset forgets the dialogue, /exit or Ctrl-D ends it"
COMMANDS = ("/exit", "/quit", "/help", "/reset")
# How much a word has to be like a command, alone and before other words.
_NEAR, _SAME = 0.6, 0.75


@click.command(
    epilog=examples(
        "clem chat -m mock",
        'clem chat -m MODEL --system "You are a pirate." -t 0.8 --record requests.json',
        "printf 'Hello!\\nAnd in French?\\n' | clem chat -m MODEL",
    )
)
@model_options
@click.option("--system", metavar="TEXT", help="A system message to begin with.")
@generation_options
@click.option("--record", type=click.Path(dir_okay=False), metavar="FILE", help=RECORD_HELP)
@click.option("--cache", type=click.Path(dir_okay=False), metavar="FILE", help=CACHE_HELP)
@click.option("--budget", type=click.FloatRange(min=0.0), metavar="USD", help=BUDGET_HELP)
@whole_option
def chat(
    *,
    model: ModelSpec,
    system: str | None,
    temperature: float | None,
    max_tokens: int | None,
    gen_arg: tuple[str, ...],
    record: str | None,
    cache: str | None,
    budget: float | None,
    whole: bool,
) -> None:
    """Talk to a model, line by line.

    Each line is a message; the model sees the whole dialogue. /reset forgets it, /help says this, /exit or Ctrl-D
    ends. A message of one word that begins with a slash has a second one in front: //tmp. Lines can also be piped
    in; then the answers alone are printed, and an error ends the dialogue.
    """
    gen_args = generation_arguments(temperature, max_tokens, gen_arg)
    with recorded(record), cached(cache), limited(budget):
        loaded = load(model, gen_args)
        if is_terminal(sys.stdin):
            note(Styled(f"{loaded.name}: {HELP}", "dim"))
        _talk(loaded, system, in_pieces=not whole)


def _talk(model: Model, system: str | None, *, in_pieces: bool) -> None:
    beginning: Messages = [] if system is None else [{"role": "system", "content": system}]
    dialogue = list(beginning)
    for line in _lines():
        command = line.strip()
        if (fault := _mistyped(command)) is not None:
            if not is_terminal(sys.stdin):
                raise MessagesError(fault)
            note(Styled("clem:", "red"), f" {fault}")
        elif command in ("/exit", "/quit"):
            return
        if command == "/help":
            note(HELP)
        elif command == "/reset":
            dialogue = list(beginning)
            model.reset()
            note("the dialogue is forgotten")
        elif command:
            dialogue = _turn(model, dialogue, _message(line), in_pieces=in_pieces)


def _mistyped(line: str) -> str | None:
    """Return what is wrong with a line that is meant as a command; a path such as /etc/hosts is none."""
    first, _, rest = line.partition(" ")
    if line in COMMANDS or re.fullmatch(r"/\w+", first) is None:
        return None
    import difflib

    near = difflib.get_close_matches(first, COMMANDS, n=1, cutoff=_SAME if rest else _NEAR)
    if rest and not near:  # a sentence that begins with a folder
        return None
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(COMMANDS)}."
    return f"there is no command '{line}': {hint} To send it as a message, write '/{line}'"


def _message(line: str) -> str:
    """Return a line without the slash that keeps it from being a command."""
    return line.replace("//", "/", 1) if line.strip().startswith("//") else line


def _turn(model: Model, dialogue: Messages, line: str, *, in_pieces: bool) -> Messages:
    """Ask, and return the dialogue with question and answer; as it was where a person can go on after an error."""
    asked: Messages = [*dialogue, {"role": "user", "content": line}]
    try:
        text = show_answer(model, asked, in_pieces=in_pieces)
    except Exception as error:
        if not is_terminal(sys.stdin):
            raise
        note(Styled("clem:", "red"), f" {scrub(message_of(error))}")
        return dialogue
    sys.stdout.flush()
    return [*asked, {"role": "assistant", "content": text}]


def _lines() -> Iterator[str]:
    """Yield the lines that a person types, or that are piped in."""
    if is_terminal(sys.stdin):
        with contextlib.suppress(ImportError):  # an interpreter built without it
            import readline  # noqa: F401 - being imported is what makes `input` edit lines
        while True:
            try:
                yield _typed()
            except EOFError:
                note("")
                return
    for number, data in enumerate(sys.stdin.buffer, 1):
        try:
            yield data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as fault:
            raise MessagesError(f"standard input, line {number}: byte {fault.start} is not UTF-8") from None


def _typed() -> str:
    if is_terminal(sys.stdout):
        return input(PROMPT)
    # The answers go elsewhere; the prompt is for the person.
    note(PROMPT, end="")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\r\n")
