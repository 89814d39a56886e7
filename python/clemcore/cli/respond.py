"""``clem respond``: one question, one answer."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.dialogue import dialogue_options, read_messages
from clemcore.cli.inputs import examples, generation_arguments, generation_options
from clemcore.cli.recorded_call import again_option, asked_again, call_option
from clemcore.cli.selection import model_options
from clemcore.cli.terminal import is_terminal, out, progress
from clemcore.messages import Messages
from clemcore.registry.override import changes_of
from clemcore.registry.spec import ModelSpec
from clemcore.visible import visible_json

if TYPE_CHECKING:
    from clemcore.model import Model

BUDGET_HELP = "Send nothing that may cost more than what is left of so many USD; the entry must have prices."
RECORD_HELP = "Write prompt and response as sent and received into this JSON file; an existing record is continued."

CACHE_HELP = "Keep the service's answer in this file (SQLite), and use one that is there: see 'clem cache'."
whole_option = click.option("--whole", is_flag=True, help="Do not show the answer while it arrives on a terminal.")


@click.command(
    epilog=examples(
        'clem respond -m mock "Hello!"',
        "clem respond -m MODEL dialogue.json --record requests.json",
        'clem respond -m MODEL -t 0.7 -l 50 --gen-arg seed=7 "Tell me a joke."',
        'clem respond -m MODEL --json "Hello!" | jq .prompt',
        'clem respond -m MODEL --image photo.jpg "What is in this picture?"',
        'clem respond --base-url http://localhost:8000/v1 -m NAME "Hello!"',
        'git diff | clem respond -m MODEL --system "Write the commit message."',
        """clem respond -m '{"model_name": "MODEL", "backend": "huggingface_local"}' Hello!""",
        "clem respond -m MODEL --set model_config.thinking_mode=false Hello!",
    )
)
@model_options
@dialogue_options
@generation_options
@click.option("--record", type=click.Path(dir_okay=False), metavar="FILE", help=RECORD_HELP)
@click.option("--cache", type=click.Path(dir_okay=False), metavar="FILE", help=CACHE_HELP)
@click.option("--budget", type=click.FloatRange(min=0.0), metavar="USD", help=BUDGET_HELP)
@whole_option
@click.option(
    "as_json",
    "--json",
    is_flag=True,
    help="Print {prompt, response, response_text} instead of the text, and what --set changed.",
)
@again_option
@call_option
@click.argument("messages", required=False, metavar="[MESSAGES.json | TEXT]")
def respond(
    *,
    model: ModelSpec,
    messages: str | None,
    system: str | None,
    images: tuple[str, ...],
    temperature: float | None,
    max_tokens: int | None,
    gen_arg: tuple[str, ...],
    record: str | None,
    cache: str | None,
    budget: float | None,
    whole: bool,
    as_json: bool,
    again: Path | None,
    call: int | None,
) -> None:
    """Ask a model once and print its answer.

    The question is a TEXT, or the path of a .json file with a list of {"role", "content"} messages. Without an
    argument, or with '-', it is read from standard input, which may hold either.
    """
    gen_args = generation_arguments(temperature, max_tokens, gen_arg)
    if again is not None:
        question = asked_again(again, call, messages, system, images)
        dialogue, gen_args = question.messages, {**question.gen_args, **gen_args}
    else:
        dialogue = read_messages(messages, system, images)
    with recorded(record), cached(cache), limited(budget):
        loaded = load(model, gen_args)
        if not as_json:
            show_answer(loaded, dialogue, in_pieces=not whole)
            return
        reply = loaded.generate_response(dialogue)
    changes = changes_of(loaded.model_spec)
    told = dict(zip(("prompt", "response", "response_text"), reply, strict=True))
    print_json({**told, "overridden": changes} if changes else told)


# Backends that take every generation argument and use none.
_STAND_INS = frozenset({"mock", "human", "_player_programmed", "_player_human"})


def show_answer(model: Model, dialogue: Messages, *, in_pieces: bool) -> str:
    """Ask, print the answer and return it.

    Args:
        model: the model.
        dialogue: what it is asked.
        in_pieces: on a terminal, print the answer while it arrives.
    """
    if not (in_pieces and is_terminal(sys.stdout)):
        text = model.generate_response(dialogue)[2]
        out(text, end="" if text.endswith("\n") else "\n")
        return text
    shown = "\n"
    try:
        with model.stream_response(dialogue) as stream:
            for piece in stream:
                out(piece, end="")
                sys.stdout.flush()
                shown = piece or shown
            return str(stream.reply[2])
    finally:
        if not shown.endswith("\n"):  # what follows, an error too, begins a line
            out("")


def load(model: ModelSpec, gen_args: Mapping[str, Any]) -> Model:
    """Load a model, saying on a terminal what takes its time.

    Raises:
        GenerationArgumentError: an argument has no effect, because the model only stands in for others.
    """
    from clemcore.backends.base import refuse_unknown_arguments
    from clemcore.loading import load_model

    with progress(f"loading {model.get('model_name', model)}"):
        loaded = load_model(model, gen_args)
    if loaded.model_spec.get("backend") in _STAND_INS:
        refuse_unknown_arguments(loaded.name, gen_args)
    return loaded


@contextlib.contextmanager
def recorded(path: str | None) -> Iterator[None]:
    """Record the calls of the block, where a file is given."""
    if path is None:
        yield
        return
    from clemcore.calls.recorder import record as open_record

    with open_record(path):
        yield


@contextlib.contextmanager
def cached(path: str | None) -> Iterator[None]:
    """Use a cache of calls for the block, where a file is given."""
    if path is None:
        yield
        return
    from clemcore.calls.cache import cache as open_cache

    with open_cache(path):
        yield


def limited(usd: float | None) -> contextlib.AbstractContextManager[object]:
    """Limit what the calls of the block cost, where an amount is given."""
    if usd is None:
        return contextlib.nullcontext()
    from clemcore.calls.budget import Budget

    return Budget(usd)


def print_json(value: Any) -> None:
    """Print a value as strict JSON without secrets: one line, or indented on a terminal."""
    from clemcore.calls.encoding import to_json

    text = to_json(value).decode("utf-8")
    if is_terminal(sys.stdout):
        text = visible_json(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    out(text)
