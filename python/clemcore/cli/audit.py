"""``clem audit``: how far do the answers of a local model move with what else is computed?"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.selection import name_or_folder, set_option
from clemcore.cli.terminal import Styled, note, out, progress, table
from clemcore.errors import ContextExceededError, MessagesError, SpecError, TemplateError

if TYPE_CHECKING:
    from clemcore.backends.local.audit.result import Audit, Comparison
    from clemcore.backends.local.model import LocalModel
    from clemcore.registry.spec import ModelSpec


@click.command(
    short_help="Measure how far answers of a local model move.",
    epilog=examples(
        "clem audit MODEL",
        "clem audit MODEL prompts.json --max-tokens 48",
        "clem audit MODEL --set model_config.dtype=float32 --json",
    ),
)
@click.argument("model")
@click.argument("prompts", required=False, type=click.Path(exists=True, dir_okay=False), metavar="[PROMPTS]")
@click.option("-l", "--max-tokens", type=click.IntRange(min=1), default=24, help="Most tokens of an answer (24).")
@set_option
@click.option("as_json", "--json", is_flag=True, help="Print the whole audit.")
def audit(*, model: str, prompts: str | None, max_tokens: int, set_: tuple[str, ...], as_json: bool) -> None:
    """Ask a local model the same prompts in several ways, compare the answers, and store the result.

    MODEL is a name in the registry, a selector as JSON, or the folder of a local model. PROMPTS is a JSON file with
    a list of texts or dialogues; by default sixteen questions are asked. Each is asked alone, again, in another
    order, in batches, padded, and with cold and warm prefixes. Certified answers need the result
    (model_config.exactness), and each call names it in its record.
    """
    dialogues = None if prompts is None else read_dialogues(Path(prompts))
    loaded = load_local(model, set_, "audit")

    def tell(name: str) -> None:
        note(Styled(f"asking: {name} …", "dim"))

    with progress(f"auditing {model}"), naming_file(prompts):
        made = loaded.audit(dialogues, max_tokens, tell)
    if as_json:
        print_json(made.to_dict())
    else:
        _show(made)


def load_local(model: str, set_: tuple[str, ...], command: str) -> LocalModel:
    """Load a local model.

    Args:
        model: what stands on the command line.
        set_: what ``--set`` says.
        command: named in the error.

    Raises:
        SpecError: it is not a local model.
    """
    from clemcore import loading

    spec = local_spec(model, set_, command)
    with progress(f"loading {model}"):
        loaded = loading.get_model_for(spec)
    return cast("LocalModel", loaded)


def local_spec(model: str, set_: tuple[str, ...], command: str) -> ModelSpec:
    """Find the specification of a local model; the arguments and errors are those of :func:`load_local`."""
    spec = name_or_folder(model, set_)
    if spec.get("backend") != "huggingface_local":
        raise SpecError(
            f"clem {command} measures models that run in this process, and '{spec.get('model_name')}' has the "
            f"backend '{spec.get('backend')}': choose a model of huggingface_local"
        )
    return spec


def read_dialogues(path: Path) -> list[Any]:
    """Read a file with texts or dialogues.

    Raises:
        MessagesError: it is not one.
    """
    from clemcore.backends.local.audit.prompts import as_dialogues

    try:
        found = json.loads(path.read_bytes())
    except ValueError as fault:
        raise MessagesError(f"{path} is not valid JSON: {fault}") from None
    except RecursionError:
        raise MessagesError(f"{path} is nested too deeply to be read as JSON") from None
    return as_dialogues(found, str(path))


@contextlib.contextmanager
def naming_file(path: str | None) -> Iterator[None]:
    """Let an error about a dialogue that is raised in the block name its file.

    Args:
        path: the file, or None where the dialogues are our own.
    """
    try:
        yield
    except (MessagesError, TemplateError, ContextExceededError) as fault:
        if path is not None and path not in str(fault):
            fault.args = (f"{path}: {fault.args[0]}", *fault.args[1:])
        raise


def _show(audit: Audit) -> None:
    names = ["ASKED", "EQUAL", "SHARE", "LARGEST SHIFT", "FIRST DIFFERENCE", "KEPT TOKENS"]
    table(names, [_row(comparison) for comparison in audit.comparisons])
    fingerprint = audit.fingerprint
    device = fingerprint["device"]
    out(f"format: {fingerprint['dtype']}, attention {fingerprint['attention']}")
    out(f"device: {device['name']}, {device.get('processor')}, {device.get('instructions')}, ", end="")
    out(f"threads {fingerprint['threads']}")
    out("libraries: " + ", ".join(f"{name} {version}" for name, version in fingerprint["libraries"].items()))
    left_out = f" ({audit.left_out} more do not fit the context)" if audit.left_out else ""
    out(f"asked: {audit.prompts} prompts{left_out}, {audit.new_tokens} new tokens, {audit.seconds:.0f} s")
    out(f"largest shift of a score: {audit.shift:.3g}; smallest margin of a choice: {audit.smallest_margin:.3g}")
    out(f"stored: {audit.id}")


def _row(comparison: Comparison) -> list[str]:
    first = comparison.first
    where = "" if first is None else f"prompt {first.prompt}, token {first.token}, margin {first.margin:.3g}"
    kept = comparison.proof.get("tokens_kept")
    return [
        comparison.name,
        f"{comparison.equal}/{comparison.answers}",
        f"{comparison.equal_share:.0%}",
        f"{comparison.largest_shift:.3g}",
        where,
        str(kept) if kept else "",
    ]
