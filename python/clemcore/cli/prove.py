"""``clem prove``: are our prompts the ones that transformers makes, to the byte and to the token?"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.inputs import chosen_template, examples, read_time, template_options
from clemcore.cli.respond import print_json
from clemcore.cli.selection import name_or_folder, set_option
from clemcore.cli.terminal import Styled, note, out, progress, table
from clemcore.errors import ClemcoreError, TemplateError
from clemcore.registry.override import changes_of

if TYPE_CHECKING:
    from clemcore.prompts.proof import Case, PromptDifference, Proof
    from clemcore.prompts.templates import TemplateSource

HOLDS, DIFFERS, CANNOT_BE_RUN = 0, 1, 2


@click.command(
    short_help="Compare our prompts with those of transformers.",
    epilog=examples(
        "clem prove MODEL",
        "clem prove MODEL --server http://127.0.0.1:8000/v1",
        "clem prove ~/models/SmolLM2-135M-Instruct --case dialogue.json",
        "clem prove --template chat_template.jinja --special-token 'bos_token=<s>' --template-now 2026-07-26",
    ),
)
@click.argument("model", required=False, metavar="[MODEL]")
@set_option
@template_options
@click.option(
    "--template-now",
    callback=read_time,
    metavar="TIME",
    help="What the template's clock tells, on both sides (2026-07-26T12:00).",
)
@click.option(
    "case",
    "--case",
    multiple=True,
    type=click.Path(dir_okay=False),
    metavar="FILE.json",
    help='Another conversation: messages, or {"messages": …, "tools": …}, or a list of these; repeatable.',
)
@click.option("--server", metavar="URL", help="Compare with a server of this model instead; loads the weights.")
@click.option("--model-id", metavar="NAME", help="With --server: the model's name there; by default the first.")
@click.option("as_json", "--json", is_flag=True, help="Print the whole proof.")
def prove(
    *,
    model: str | None,
    set_: tuple[str, ...],
    template: str | None,
    template_name: str | None,
    special_token: tuple[str, ...],
    template_now: datetime | None,
    case: tuple[str, ...],
    server: str | None,
    model_id: str | None,
    as_json: bool,
) -> int:
    """Render a corpus of conversations by clemcore and by transformers, and compare.

    MODEL is a name in the registry, a selector as JSON, or the folder of a local model: its tokenizer and template
    are loaded, no weights, and token ids are compared, too. The exit status is 0 when nothing differs, 1 when
    something does (the first byte that differs is shown), 2 when the comparison cannot be made.

    With --server, our prompt ids are compared with those that a server of the model makes (vLLM, llama.cpp; other
    servers only tell their number), and a sample of its answers is scored by the model as it runs here.
    """
    if (model is None) == (template is None):
        raise click.UsageError("Give either MODEL or --template FILE.")
    if model is not None and (special_token or template_name):
        raise click.UsageError(
            "--special-token needs --template, and so does --template-name; a model brings its own."
        )
    if model is None and set_:
        raise click.UsageError("--set changes the entry of a model; it needs MODEL.")
    if server is not None and (model is None or template_now is not None):
        raise click.UsageError(
            "--server needs MODEL, and the server has a clock of its own: leave out --template-now."
        )
    from clemcore import loading

    try:
        if server is not None:
            from clemcore.cli.proving_servers import prove_server

            return prove_server(str(model), set_, server, model_id, _read_cases(case), as_json=as_json)
        with progress(f"proving {model or template}"):
            cases = _read_cases(case)
            changes: list[dict[str, Any]] = []
            if template is not None:
                source = chosen_template(template, template_name, special_token)
                proof = _of_template(template, source, cases, template_now)
            else:
                spec = name_or_folder(str(model), set_)
                changes = changes_of(spec)
                proof = loading.prove(spec, cases, template_now)
    except ClemcoreError as fault:
        note(Styled("clem:", "red"), f" {fault}")
        return CANNOT_BE_RUN
    if as_json:
        print_json({**proof.to_dict(), **({"overridden": changes} if changes else {})})
    else:
        _show(proof)
    if proof.holds:
        return HOLDS
    return DIFFERS if proof.differing else CANNOT_BE_RUN


def _read_cases(paths: tuple[str, ...]) -> list[Case]:
    from clemcore.prompts.proof import read_cases

    return [case for path in paths for case in read_cases(Path(path))]


def _of_template(path: str, source: TemplateSource, cases: list[Case], now: datetime | None) -> Proof:
    from clemcore.prompts.proof import Subject
    from clemcore.prompts.proof import prove as make

    try:
        return make(Subject.of_template(source.text, source.special_tokens), now=now, more_cases=cases)
    except TemplateError as fault:
        place = f"{path}:{fault.line}:{fault.column}" if fault.line is not None else path
        raise TemplateError(f"{place}: {fault}") from fault


def _show(proof: Proof) -> None:
    known = proof.versions
    engine = f"clemcore {known['clemcore']}, build {known['engine']}"
    if proof.engine_reason:
        engine += f"; rendered by {proof.engine}: {proof.engine_reason}"
    rows = [
        ["template", f"sha256:{proof.fingerprint}"],
        ["engine", engine],
        ["against", f"transformers {known['transformers']}, jinja2 {known['jinja2']}, Python {known['python']}"],
        ["compared", "texts, errors and token ids" if proof.tokenizer else "texts and errors"],
        ["clock", proof.clock + (" (pinned)" if proof.clock_is_pinned else "")],
        ["cases", f"{proof.cases}: {proof.rendered} rendered, {proof.cases - proof.rendered} refused"],
        ["result", "holds" if proof.holds else f"does not hold: {proof.reason}"],
        ["time", f"{proof.seconds * 1000:.0f} ms"],
    ]
    table(["PROOF", proof.id], rows)
    if proof.first is not None:
        _show_difference(proof.first)


def _show_difference(first: PromptDifference) -> None:
    place = "" if first.byte is None else f", byte {first.byte}, line {first.line}"
    token = "" if first.token is None else f", token {first.token}"
    out(f"first difference: case {first.case}: {first.what}{place}{token}")
    for name, text in (("after", first.before), ("ours", first.ours), ("theirs", first.theirs)):
        out(f"  {name:<8}{text!r}")
