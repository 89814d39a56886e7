"""``clem registry``: faults of registry files, what a model's name stands for, and the rules for both."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clemcore import _core
from clemcore.cli.inputs import examples
from clemcore.cli.respond import print_json
from clemcore.cli.selection import complete_model, read_model, set_option, with_set
from clemcore.cli.terminal import has_colors, note, out
from clemcore.errors import ClemcoreError
from clemcore.registry.override import changes_of
from clemcore.registry.spec import ModelSpec
from clemcore.visible import visible, visible_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clemcore.backends.custom_keys import Described

FAULTY, UNREADABLE = 1, 2
NOT_FOUND = 1

WITHOUT_ENTRY = {
    "special": "a name that needs no entry",
    "inline": "no entry matches; the selector is an entry itself",
}


@click.group(
    epilog=examples(
        "clem registry check",
        "clem registry resolve zephyr-7b-beta",
        "clem registry explain R010",
    )
)
def registry() -> None:
    """Check and explain model registries."""


@registry.command(
    short_help="Check registry files, and fix them with --fix.",
    epilog=examples(
        "clem registry check",
        "clem registry check a.json b.json --deny warnings",
        "clem registry check --format github",
        "clem registry check --fix --diff",
    ),
)
@click.argument("files", nargs=-1, type=click.Path(), metavar="[FILE]...")
@click.option(
    "format_",
    "--format",
    type=click.Choice(["human", "json", "github", "sarif"]),
    default="human",
    help="How to report.",
)
@click.option("--fix", is_flag=True, help="Fix what has only one meaning, then report the rest.")
@click.option("--diff", is_flag=True, help="With --fix: show what would change, write nothing.")
@click.option("--deny", type=click.Choice(["warnings"]), metavar="warnings", help="Let warnings fail, too.")
@click.option("--deny-warnings", is_flag=True, hidden=True)  # the former spelling
def check(
    *, files: tuple[str, ...], format_: str, fix: bool, diff: bool, deny: str | None, deny_warnings: bool
) -> int:
    """Check registry files (- is standard input); without FILE, those that models are looked for in here.

    Every fault is reported with line and column. Without FILE these are ./model_registry.json and the further
    layers ($CLEMCORE_REGISTRY, ~/.clemcore, plugins), and what they are to each other and to the packaged registry
    is checked too; --fix fixes ./model_registry.json alone. The exit status is 0 when the files can be used, 1 when
    one of them has errors, 2 when one cannot be read. 'clemcore-check' does the same of files, without Python.
    """
    from clemcore.backends.custom_keys import described
    from clemcore.registry.layers import FILE_NAME

    if diff and not fix:
        raise click.UsageError("--diff belongs to --fix")
    if fix and "-" in files:
        raise click.UsageError("--fix needs files, not standard input")
    backends = described()
    whole: _core.Report | None = None if files or fix else _together(backends)
    status = 0
    for name in files or ((FILE_NAME,) if whole is None else ()):
        try:
            report = _mended(name, backends, show_only=diff) if fix else _examined(name, backends)
        except OSError as fault:
            hint = "" if files else " (name another FILE, or go to the folder that has one)"
            note(f"clem registry check: {name}: cannot be {'fixed' if fix else 'read'}: {fault.strerror}{hint}")
            status = UNREADABLE
            continue
        whole = report if whole is None else whole.joined(report)
    if whole is None:
        return status
    sys.stdout.write(whole.render(format_, has_colors(sys.stdout)))
    return status or (FAULTY if whole.errors or ((deny or deny_warnings) and whole.warnings) else 0)


def _together(backends: Sequence[Described]) -> _core.Report | None:
    """Check the layers that are here, each and against each other; None where there is but the packaged one."""
    from clemcore.registry.layers import FILE_NAME, layers

    here = str(Path.cwd() / FILE_NAME)
    found = [(FILE_NAME if source == here else source, text) for source, text in layers()]
    return _core.check_layers(found, backends) if any(text is not None for _, text in found) else None


def _examined(name: str, backends: Sequence[Described]) -> _core.Report:
    text = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    return _core.check("<stdin>" if name == "-" else name, text, backends)


def _mended(name: str, backends: Sequence[Described], *, show_only: bool) -> _core.Report:
    """Fix a file, or show what would be fixed; return what is left."""
    from clemcore.files import locked, replace_file

    path = Path(name)
    if show_only:
        fixed = _core.fix(name, path.read_bytes(), backends)
        out(fixed.diff(name), end="")
        return fixed.rest
    path.stat()  # before a lock is made for a file that is not there
    with locked(path):
        fixed = _core.fix(name, path.read_bytes(), backends)
        if fixed.is_changed:
            replace_file(path, fixed.text.encode())
    if fixed.count:
        note(f"{name}: fixed {fixed.count} problem{'s' if fixed.count > 1 else ''}")
    return fixed.rest


@registry.command(
    short_help="Show what a selector stands for, and why.",
    epilog=examples(
        "clem registry resolve zephyr-7b-beta",
        """clem registry resolve '{"model_name": "zephyr-7b-beta", "backend": "huggingface_local"}' --json""",
        "clem registry resolve gpt-4o --set model_config.total_timeout=60 --explain",
    ),
)
@click.argument("selector", callback=read_model, metavar="SELECTOR", shell_complete=complete_model)
@set_option
@click.option(
    "how", "--explain", is_flag=True, help="Tell which entries were tried, and where each field comes from."
)
@click.option("as_json", "--json", is_flag=True, help="Print {source, line, spec}; with --explain everything.")
def resolve(selector: ModelSpec, set_: tuple[str, ...], how: bool, as_json: bool) -> int:
    """Show what SELECTOR (a name, or a dict as JSON) stands for: the specification, and its entry's file and line.

    With --explain: which entries were compared, in which order and layer; which field refused each, with what was
    asked and what was found; and whether a field of the result comes from the selector, the entry or an override.
    The exit status is 1 when nothing is found.
    """
    from clemcore.backends.shadowing import shadowed_entry
    from clemcore.registry.layers import PACKAGED
    from clemcore.registry.registry import ModelRegistry
    from clemcore.registry.resolution import resolve as resolve_selector
    from clemcore.secrets import mask_fields

    models = ModelRegistry.from_packaged_and_cwd_files()
    asked = with_set(selector, set_)
    if how:
        told = models.explain(asked)
        if as_json:
            print_json(told.to_dict())
        else:
            out(visible(str(told)))
        return NOT_FOUND if told.spec is None else 0
    found = resolve_selector(asked, models)
    shown, changes = mask_fields(found.spec.to_dict()), changes_of(found.spec)
    if as_json:
        source = PACKAGED if found.outcome == "special" else found.source
        overridden = {"overridden": changes} if changes else {}
        print_json({"source": source, "line": found.line, "spec": shown, **overridden})
        return 0
    note(f"{found.source}:{found.line}" if found.source else WITHOUT_ENTRY[found.outcome])
    shadowed = shadowed_entry(asked, found, models)
    if shadowed is not None:
        note(shadowed)
    for change in changes:
        note(f"overridden: {_change(change)}")
    out(visible_json(json.dumps(shown, indent=2, ensure_ascii=False)))
    return 0


def _change(change: dict[str, Any]) -> str:
    old, new = (json.dumps(change[key], ensure_ascii=False) if key in change else None for key in ("old", "new"))
    if new is None:
        return f"{change['field']} removed (was {old})"
    return f"{change['field']} = {new}" + ("" if old is None else f" (was {old})")


@registry.command(
    short_help="Print every known key, as JSON Schema or as a page.",
    epilog=examples(
        "clem registry schema > model_registry.schema.json",
        "clem registry schema --format markdown | less",
    ),
)
@click.option(
    "format_",
    "--format",
    type=click.Choice(["json", "markdown"]),
    default="json",
    help="JSON Schema for editors, or a page for people.",
)
def schema(format_: str) -> None:
    """Print every known key of registry files, as JSON Schema (draft 2020-12) or as a page.

    The JSON Schema also has the keys that backends of your own declare (docs/registry-check.md).
    """
    from clemcore.backends.custom_keys import declared, with_own_keys

    if format_ == "json":
        own = any(declared(packaged=False).values())
        text = _core.json_schema()
        out(json.dumps(with_own_keys(json.loads(text)), indent=2, ensure_ascii=False) if own else text.rstrip("\n"))
        return
    out(_core.fields_page().rstrip("\n"))


@registry.command(
    short_help="Explain a code of the check, or a key of an entry.",
    epilog=examples(
        "clem registry explain R010",
        "clem registry explain context_size",
        "clem registry explain | grep -i comma",
        "clem registry explain --format markdown | less",
    ),
)
@click.argument("what", required=False, metavar="[CODE|KEY]")
@click.option(
    "format_",
    "--format",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    help="How to list all codes: a table, data, or a page with every explanation.",
)
def explain(what: str | None, format_: str) -> None:
    """Explain a code that 'check' reports, the name of its kind, or a key of an entry; else list all codes."""
    from clemcore.cli.terminal import table

    if what is not None and format_ != "table":
        raise click.UsageError("--format is for the list of all codes")
    if format_ == "markdown":
        out(_core.codes_page().rstrip("\n"))
        return
    if format_ == "json":
        print_json(_core.catalogue())
        return
    if what is None:
        rows = [[row["code"], row["severity"], row["kind"], row["title"]] for row in _core.catalogue()]
        table(["CODE", "SEVERITY", "KIND", "TITLE"], rows)
        return
    from clemcore.backends.custom_keys import explain as explain_own

    page = _core.explain(what) or _core.explain(what.lower())
    own = explain_own(what)
    page = "\n".join(text for text in (page, own) if text is not None) or None
    if page is None:
        raise ClemcoreError(
            f"there is no code and no key '{what}': 'clem registry explain' lists all codes, "
            "'clem registry schema --format markdown' all keys"
        )
    out(page.rstrip("\n"))
