"""``clem doctor``: what would happen if a model were called? Nothing is sent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from clemcore.cli.dialogue import dialogue_options, read_messages
from clemcore.cli.inputs import (
    examples,
    generation_arguments,
    generation_options,
    json_or_text,
)
from clemcore.cli.respond import print_json
from clemcore.cli.selection import model_argument
from clemcore.cli.terminal import Styled, note, out
from clemcore.registry.spec import ModelSpec

_SAMPLE = [{"role": "user", "content": "Tell me the name of the capital of Australia."}]
_MARKS = {"good": ("ok", "green"), "warning": ("warning", "yellow"), "fault": ("fault", "red")}


@click.command(
    epilog=examples(
        "clem doctor gpt-4o",
        "clem doctor MODEL dialogue.json -l 100",
        "clem doctor MODEL --set model_config.total_timeout=60",
        "clem doctor MODEL --json | jq '.rows[] | select(.state != \"good\")'",
    )
)
@model_argument
@dialogue_options
@generation_options
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@click.argument("messages", required=False, metavar="[MESSAGES.json | TEXT]")
def doctor(
    *,
    model: ModelSpec,
    messages: str | None,
    system: str | None,
    images: tuple[str, ...],
    temperature: float | None,
    max_tokens: int | None,
    gen_arg: tuple[str, ...],
    as_json: bool,
) -> int:
    """Show all that a call of a model would use; send nothing.

    The entry and where it stands, the backend and its packages, the address, the key (where it was found, never the
    key), TLS, proxy, limits, the day on which the model ends, the exact request and its estimated cost; of local
    models files, context and proof. Without messages a sample question stands in the request. Exit status 1 where a
    call cannot work.
    """
    from clemcore import loading

    gen_args = generation_arguments(temperature, max_tokens, gen_arg)
    is_asked = messages is not None or system is not None or images
    dialogue = read_messages(messages or "Hello!", system, images) if is_asked else _SAMPLE
    spec, rows = loading.examine(model, dialogue, gen_args)
    is_good = all(row.state != "fault" for row in rows)
    if as_json:
        from clemcore.secrets import mask_fields

        entry = mask_fields(spec.to_dict())
        print_json({"model": entry, "ok": is_good, "sent": False, "rows": [asdict(row) for row in rows]})
        return 0 if is_good else 1
    for row in rows:
        word, style = _MARKS[row.state]
        out(Styled(f"{word:<8}", style), f" {row.name:<17} {_shown(row.value)}".rstrip())
        if row.advice:
            out(f"{'':<26} {row.advice}")
    note("nothing was sent")
    return 0 if is_good else 1


def _shown(value: Any) -> str:
    from clemcore.calls.encoding import to_json

    if value is None:
        return "-"
    text = to_json(value).decode("utf-8")  # without any secret
    return str(json_or_text(text)) if isinstance(value, str) else json.dumps(json.loads(text), ensure_ascii=False)
