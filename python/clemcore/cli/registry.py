"""``clem registry``: faults of registry files, what a model's name stands for, and the rules for both."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from clemcore import _core
from clemcore.cli.inputs import examples, read_model
from clemcore.cli.respond import print_json
from clemcore.cli.terminal import has_colors, note, out
from clemcore.errors import ClemcoreError, ModelNotFoundError
from clemcore.spec import ModelSpec

FAULTY, UNREADABLE = 1, 2


@click.group(
    epilog=examples(
        "clem registry check",
        "clem registry show zephyr-7b-beta",
        "clem registry explain R010",
    )
)
def registry() -> None:
    """Check and explain model registries."""


@registry.command(
    epilog=examples(
        "clem registry check",
        "clem registry check a.json b.json --deny-warnings",
        "clem registry check --format github",
        "clem registry check --fix --diff",
    )
)
@click.argument("files", nargs=-1, type=click.Path(), metavar="[FILE]...")
@click.option(
    "format_",
    "--format",
    type=click.Choice(["human", "json", "github", "sarif"]),
    default="human",
    help="How to report.",
)
@click.option("--fix", is_flag=True, help="Mend what has only one meaning, then report the rest.")
@click.option("--diff", is_flag=True, help="With --fix: show what would change, write nothing.")
@click.option("--deny-warnings", is_flag=True, help="Let warnings fail, too.")
def check(files: tuple[str, ...], format_: str, fix: bool, diff: bool, deny_warnings: bool) -> int:
    """Check registry files (./model_registry.json by default; - is standard input).

    Every fault is reported with line and column. The exit status is 0 when the files can be used, 1 when one of
    them has errors, 2 when one cannot be read. 'clemcore-check' does the same without Python.
    """
    from clemcore.backends.lookup import BackendRegistry
    from clemcore.layers import FILE_NAME

    if diff and not fix:
        raise click.UsageError("--diff belongs to --fix")
    if fix and "-" in files:
        raise click.UsageError("--fix needs files, not standard input")
    backends = [row["backend"] for row in BackendRegistry.from_packaged_and_cwd_files()]
    whole: _core.Report | None = None
    status = 0
    for name in files or (FILE_NAME,):
        try:
            report = _mended(name, backends, show_only=diff) if fix else _examined(name, backends)
        except OSError as fault:
            hint = "" if files else " (name another FILE, or go to the folder that has one)"
            note(f"clem registry check: {name}: cannot be {'mended' if fix else 'read'}: {fault.strerror}{hint}")
            status = UNREADABLE
            continue
        whole = report if whole is None else whole.joined(report)
    if whole is None:
        return status
    sys.stdout.write(whole.render(format_, has_colors(sys.stdout)))
    return status or (FAULTY if whole.errors or (deny_warnings and whole.warnings) else 0)


def _examined(name: str, backends: list[str]) -> _core.Report:
    text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    return _core.check("<stdin>" if name == "-" else name, text, backends)


def _mended(name: str, backends: list[str], *, show_only: bool) -> _core.Report:
    """Mend a file, or show what would be mended; return what is left."""
    from clemcore.atomic import locked, replace_file

    path = Path(name)
    if show_only:
        fixed = _core.fix(name, path.read_bytes(), backends)
        sys.stdout.write(fixed.diff(name))
        return fixed.rest
    path.stat()  # before a lock is made for a file that is not there
    with locked(path):
        fixed = _core.fix(name, path.read_bytes(), backends)
        if fixed.is_changed:
            replace_file(path, fixed.text.encode())
    if fixed.mended:
        note(f"{name}: mended {len(fixed.mended)} problem{'s' if len(fixed.mended) > 1 else ''}")
    return fixed.rest


@registry.command(
    short_help="Show what a model's name stands for.",
    epilog=examples(
        "clem registry show zephyr-7b-beta",
        """clem registry show '{"model_name": "zephyr-7b-beta", "backend": "huggingface_local"}' --json""",
    ),
)
@click.argument("model", callback=read_model, metavar="MODEL")
@click.option("as_json", "--json", is_flag=True, help="Print {source, line, spec}.")
def show(model: ModelSpec, as_json: bool) -> None:
    """Show what MODEL stands for: the specification, and the file and line that it comes from."""
    from clemcore.layers import PACKAGED
    from clemcore.registry import ModelRegistry
    from clemcore.secrets import mask_fields

    models = ModelRegistry.from_packaged_and_cwd_files()
    located = models.locate(model)
    if located is None:
        raise ModelNotFoundError(models.why_not_found(model))
    spec, place = located
    source, line = place or (PACKAGED, None)
    shown = mask_fields(spec.to_dict())
    if as_json:
        print_json({"source": source, "line": line, "spec": shown})
        return
    note(f"{source}:{line}" if place else "a name that needs no entry")
    out(json.dumps(shown, indent=2, ensure_ascii=False))


@registry.command(
    epilog=examples(
        "clem registry schema > model_registry.schema.json",
        "clem registry schema --format markdown | less",
    )
)
@click.option(
    "format_",
    "--format",
    type=click.Choice(["json", "markdown"]),
    default="json",
    help="JSON Schema for editors, or a page for people.",
)
def schema(format_: str) -> None:
    """Print every known key of registry files, as JSON Schema (draft 2020-12) or as a page."""
    out((_core.json_schema() if format_ == "json" else _core.fields_page()).rstrip("\n"))


@registry.command(
    epilog=examples(
        "clem registry explain R010",
        "clem registry explain context_size",
        "clem registry explain | grep -i comma",
    )
)
@click.argument("what", required=False, metavar="[CODE|KEY]")
def explain(what: str | None) -> None:
    """Explain a code that 'check' reports, the name of its kind, or a key of an entry; else list all codes."""
    from clemcore.cli.terminal import table

    if what is None:
        rows = [[row["code"], row["severity"], row["kind"], row["title"]] for row in _core.catalogue()]
        table(["CODE", "SEVERITY", "KIND", "TITLE"], rows)
        return
    page = _core.explain(what) or _core.explain(what.lower())
    if page is None:
        raise ClemcoreError(
            f"there is no code and no key '{what}': 'clem registry explain' lists all codes, "
            "'clem registry schema --format markdown' all keys"
        )
    out(page.rstrip("\n"))
