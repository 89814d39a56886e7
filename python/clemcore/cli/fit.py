"""``clem fit``: in which formats a local model fits the memory, before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.selection import model_argument
from clemcore.cli.terminal import note, table
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from clemcore.backends.local.fitting import Fit
    from clemcore.backends.local.memory import Free

_HEADER = ["SETTING", "FORMAT", "WEIGHTS", "PER TOKEN", "FITS", "LONGEST DIALOGUE", "FULL DIALOGUES"]


def _size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    from clemcore.backends.local.memory import read_size

    return None if text is None else read_size(int(text) if text.isdigit() else text, "--memory")


@click.command(
    short_help="Show in which formats a local model fits the memory.",
    epilog=examples(
        "clem fit MODEL",
        "clem fit MODEL --memory 24GB",
        "clem fit ~/models/mine",
        "clem fit MODEL --set model_config.dtype=bfloat16 --json",
    ),
)
@model_argument
@click.option("--memory", callback=_size, metavar="SIZE", help="A size like 24GB, in place of what is free now.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
def fit(*, model: ModelSpec, memory: int | None, as_json: bool) -> int:
    """Show what a local model needs in memory, and what fits; no weights are read and nothing is sent.

    LONGEST DIALOGUE is how many tokens one dialogue can have. FULL DIALOGUES is how many dialogues of the whole
    context fit side by side. If the model's configuration (of llamacpp: its GGUF file) is not on this machine, the
    weights are estimated from the 'parameters' of the entry. Exit status 1 if the entry's own format does not fit.
    """
    from clemcore import loading
    from clemcore.backends.local.fitting import row_of
    from clemcore.backends.local.memory import Free, size_text

    spec = loading.resolve(model)
    found = _fits(spec, None if memory is None else Free(memory, "--memory"))
    own = found[0].verdict
    if as_json:
        print_json(
            {"model": spec["model_name"], "free_bytes": own.free.bytes, "fits": [row_of(one) for one in found]}
        )
        return 0 if own.fits else 1
    table(_HEADER, [_cells(one.setting, row_of(one)) for one in found])
    note(f"memory: {size_text(own.free.bytes)}" + (f" ({own.free.by})" if memory is None else ""))
    if own.needs.estimated_from:
        note(f"an estimate by {own.needs.estimated_from}")
    return 0 if own.fits else 1


def _fits(spec: ModelSpec, free: Free | None) -> list[Fit]:
    """Ask the engine of a local model.

    Raises:
        SpecError: the model is not one of these engines.
    """
    from clemcore.backends.local import fitting
    from clemcore.backends.local.llamacpp import fitting as of_llamacpp
    from clemcore.errors import SpecError

    backend = spec.get("backend")
    if backend == "llamacpp":
        return of_llamacpp.fits(spec, free)
    if backend != "huggingface_local":
        raise SpecError(
            f"model '{spec['model_name']}' does not run in this process (backend {backend}): clem fit is for "
            "models of huggingface_local and llamacpp"
        )
    return fitting.fits(spec, free)


def _cells(setting: str, row: dict[str, Any]) -> list[str]:
    from clemcore.backends.local.memory import size_text

    per_token = row["state_bytes_per_token"]
    longest, full = row["longest_dialogue"], row["full_dialogues"]
    return [
        setting,
        row["format"],
        ("about " if row["weights_estimated_from"] else "") + size_text(row["weights_bytes"]),
        "-" if per_token is None else size_text(sum(size or 0 for size in per_token.values())),
        "yes" if row["fits"] else "no",
        "-" if longest is None else str(longest),
        "-" if full is None else str(full),
    ]
