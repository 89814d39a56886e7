"""``clem serve-hint``: the command, or the job script, that serves a model by vLLM."""

from __future__ import annotations

import json
from typing import Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.selection import name_or_folder, set_option
from clemcore.cli.terminal import note, out

_GPU = "80GB"


def _size(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    from clemcore.backends.local.memory import read_size

    return read_size(int(text) if text.isdigit() else text, "--gpu-memory")


@click.command(
    "serve-hint",
    short_help="Show how to serve a model with vLLM.",
    epilog=examples(
        "clem serve-hint MODEL",
        "clem serve-hint MODEL --gpus 8 --gpu-memory 80GB",
        "clem serve-hint MODEL --gpus 4 --slurm --servers 6 > serve.sh",
    ),
)
@click.argument("model")
@click.option("--gpus", type=click.IntRange(min=1), default=1, help="GPUs of one server (1).")
@click.option("--gpu-memory", callback=_size, default=_GPU, metavar="SIZE", help=f"Memory of one GPU ({_GPU}).")
@click.option("--context", type=click.IntRange(min=1), help="Tokens of a dialogue; by default the model's own.")
@click.option("--slurm", is_flag=True, help="Print a job script for SLURM.")
@click.option("--servers", type=click.IntRange(min=1), default=2, help="With --slurm: how many servers (2).")
@click.option("--hours", type=click.IntRange(min=1), default=8, help="With --slurm: the time limit (8).")
@set_option
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def serve_hint(
    *,
    model: str,
    gpus: int,
    gpu_memory: int,
    context: int | None,
    slurm: bool,
    servers: int,
    hours: int,
    set_: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the exact command that serves a model, with the GPUs and the context that fit; nothing is started.

    MODEL is a name in the registry, a selector as JSON, or the folder of a local model. The figures are those of
    'clem fit'. With --slurm, the jobs write their addresses into servers.txt, which the printed entry names.
    """
    from clemcore.backends.local.serving import plan, slurm_script

    spec = name_or_folder(model, set_)
    made = plan(spec, gpus, gpu_memory, context)
    text = slurm_script(made, gpus, servers, hours) if slurm else made.command() + "\n"
    entry: dict[str, Any] = {
        "model_name": f"{made.model_name}-served",
        "backend": "openai_compatible",
        "model_id": made.model_name,
        "base_url": "file:servers.txt" if slurm else "http://127.0.0.1:8000/v1",
        "model_config": {"requires_api_key": False},
    }
    if as_json:
        fields = ("tensor_parallel", "copies", "context", "is_shortened", "arguments", "warnings")
        print_json({"text": text, "entry": entry, **{name: getattr(made, name) for name in fields}})
        return
    out(text, end="")
    note(made.sentence())
    if made.needs.estimated_from:
        note(f"an estimate by {made.needs.estimated_from}")
    if made.is_shortened:
        note(f"the context is shortened to {made.context} tokens, because the whole one does not fit")
    for warning in made.warnings:
        note(f"warning: {warning}")
    note(f"entry for model_registry.json: {json.dumps(entry)}")
    url = "URL" if slurm else entry["base_url"]
    note(f"when it runs, compare its prompts: clem prove {model} --server {url}")
