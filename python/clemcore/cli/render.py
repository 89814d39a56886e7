"""``clem render``: exactly what a model would be sent. Nothing is sent, and no weights are loaded."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.dialogue import dialogue_options, read_messages
from clemcore.cli.inputs import (
    chosen_template,
    examples,
    generation_arguments,
    generation_options,
    json_or_text,
    read_pairs,
    read_time,
    template_options,
)
from clemcore.cli.respond import print_json
from clemcore.cli.selection import model_options
from clemcore.cli.terminal import is_terminal, note, out
from clemcore.errors import TemplateError
from clemcore.messages import Messages
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from clemcore.prompts.templates import TemplateSource

MESSAGES_METAVAR = "[MESSAGES.json | TEXT]"


@click.command(
    epilog=examples(
        "clem render -m MODEL dialogue.json",
        'clem render -m MODEL "Hello!" | hexdump -C',
        "clem render --template chat_template.jinja --special-token 'bos_token=<s>' dialogue.json",
    )
)
@model_options
@dialogue_options
@generation_options
@template_options
@click.option(
    "template_arg",
    "--template-arg",
    multiple=True,
    metavar="NAME=JSON",
    help="With --template: any other variable (enable_thinking=false); repeatable.",
)
@click.option(
    "no_generation_prompt", "--no-generation-prompt", is_flag=True, help="With --template: end at the last message."
)
@click.option(
    "--template-now",
    callback=read_time,
    metavar="TIME",
    help="With --template: what its clock tells (2026-07-26T12:00).",
)
@click.option("as_json", "--json", is_flag=True, help="Print the prompt as a JSON string.")
@click.argument("messages", required=False, metavar=MESSAGES_METAVAR)
def render(
    *,
    model: ModelSpec | None,
    messages: str | None,
    system: str | None,
    images: tuple[str, ...],
    temperature: float | None,
    max_tokens: int | None,
    gen_arg: tuple[str, ...],
    template: str | None,
    template_name: str | None,
    special_token: tuple[str, ...],
    template_arg: tuple[str, ...],
    no_generation_prompt: bool,
    template_now: datetime | None,
    as_json: bool,
) -> None:
    """Show exactly what a model would be sent; send nothing.

    For local models this is the prompt with the chat template applied, for models behind an API the request body.
    Only tokenizer and template are loaded. With --template no model is needed.
    """
    gen_args = generation_arguments(temperature, max_tokens, gen_arg)
    if model is not None:
        if template is not None:
            raise click.UsageError("Give either -m MODEL or --template FILE.")
        if template_name or special_token or template_arg or no_generation_prompt or template_now:
            raise click.UsageError(
                "--template-name, --special-token, --template-arg, --template-now and --no-generation-prompt need "
                "--template."
            )
        dialogue = read_messages(messages, system, images)
        prompt = _by_model(model, dialogue, gen_args)
    else:
        if gen_args:
            raise click.UsageError("Generation arguments play no role in a template; leave them out.")
        variables = {
            name: json_or_text(value) for name, value in read_pairs(template_arg, "--template-arg").items()
        }
        if "messages" in variables:
            raise click.BadParameter("'messages' is the argument of the command", param_hint="--template-arg")
        dialogue = read_messages(messages, system, images)
        prompt = _by_template(
            str(template),
            chosen_template(str(template), template_name, special_token),
            dialogue,
            {"add_generation_prompt": not no_generation_prompt, **variables},
            template_now,
        )
    if as_json or not isinstance(prompt, str):
        print_json(prompt)
        return
    out(prompt, end="")  # exact: no line end that the model would not get
    if is_terminal(sys.stdout) and not prompt.endswith("\n"):
        sys.stdout.flush()
        note("")


def _by_model(model: ModelSpec, messages: Messages, gen_args: dict[str, Any]) -> Any:
    from clemcore import loading

    return loading.render(model, messages, gen_args)


def _by_template(
    path: str,
    source: TemplateSource,
    messages: Messages,
    variables: dict[str, Any],
    now: datetime | None,
) -> str:
    from clemcore.prompts.templates import ChatTemplate

    try:
        template = ChatTemplate(source.text, special_tokens=source.special_tokens, now=now)
        return template.render(messages, **variables)
    except TemplateError as fault:
        place = f"{path}:{fault.line}:{fault.column}" if fault.line is not None else path
        text = f"{place}: {fault}"
        if fault.excerpt is not None:
            text += f"\n  {fault.excerpt}"
        raise TemplateError(text, line=fault.line, column=fault.column, excerpt=fault.excerpt) from fault
