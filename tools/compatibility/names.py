"""The part of ``docs/compatibility.md`` about names and flags: what 3.7.2 has, beside what this version has."""

from __future__ import annotations

import importlib
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from surface import Parameters, assigned_attributes, parameters_of

# Why a name or flag of 3.7.2 is missing, by the beginning of its path. The longest beginning counts.
_ONE_CLASS = "a model of a service is made by `load_model`; its class has no public name"
_STEP = "only a step of the old implementation"
REASONS = {
    "clemcore.backends.anthropic_api.AnthropicModel": _ONE_CLASS,
    "clemcore.backends.cohere_api.CohereModel": _ONE_CLASS,
    "clemcore.backends.google_api.GoogleModel": _ONE_CLASS,
    "clemcore.backends.huggingface_local_api.HuggingfaceLocalMultimodalModel": "a model has its `processor`",
    "clemcore.backends.huggingface_local_api.assert_context_limits": "`check_context_limit` replaces it",
    "clemcore.backends.huggingface_local_api.check_chat_template_kwargs": "the core checks arguments of a template",
    "clemcore.backends.huggingface_local_api.split_and_clean_batch_outputs": _STEP,
    "clemcore.backends.initial_hf_check": "`clem prove` checks a chat template",
    "clemcore.backends.llamacpp_api": "a model loads its file itself: [llamacpp](backends/llamacpp.md)",
    "clemcore.backends.mistral_api.Mistral.list_models": "`clem list models` lists entries",
    "clemcore.backends.mistral_api.MistralModel": _ONE_CLASS,
    "clemcore.backends.openai_api": "the backend encodes messages and images itself",
    "clemcore.backends.openai_compatible_api.GenericOpenAI": "the class is named `OpenAICompatible`",
    "clemcore.backends.openrouter_api.OpenRouterModel": _ONE_CLASS,
    "clemcore.backends.slurk_api.SlurkClient": _STEP,
    "clemcore.backends.slurk_api.SlurkModel": _ONE_CLASS,
    "clemcore.backends.temporary_loglevel": "it is in `clemcore.utils.log_utils`",
    "clemcore.cli.cli": _STEP,
    "clemcore.cli.parse_kv": _STEP,
    "clemcore.cli.read_gen_args": _STEP,
    "clemcore.clemgame.benchmark.GameBenchmark.set_extra_modules": "a game's modules are found by their files",
    "clemcore.clemgame.runners.batchwise.DynamicBatchDataLoader.data_iter": _STEP,
    "clemcore.clemgame.transcripts.builder.get_css": _STEP,
    "clemcore.clemgame.transcripts.html_templates": "the templates are compiled into the core",
    "clemcore.clemgame.transcripts.tex_templates": "the templates are compiled into the core",
    "clemcore.load_logging_config": "importing clemcore does not configure logging",
}
WIDTH = 116


class Missing:
    """Stands for a name that this version does not have."""


@dataclass(frozen=True)
class Row:
    """A line of a table. ``is_fine`` says that ours fits, or that its absence has a reason."""

    theirs: str
    ours: str
    is_fine: bool = True


def find(path: str) -> Any:
    """Return the object with a dotted path in this version, or Missing."""
    parts = path.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError as fault:
            if not str(fault.name).startswith("clemcore"):
                raise
            continue
        except ImportError:
            return Missing
        for name in parts[split:]:
            found = getattr(found, name, Missing)
            if type(found).__name__ == "Later":  # it can be imported, but says that it comes later when it is used
                return Missing
        return found
    return Missing


def _has_member(cls: type, name: str) -> bool:
    """Whether instances of a class have an attribute, also one that only its methods assign."""
    return hasattr(cls, name) or any(
        name
        in {*vars(base).get("__annotations__", {}), *vars(base).get("__slots__", ()), *assigned_attributes(base)}
        for base in cls.__mro__
        if base.__module__.startswith("clemcore")
    )


def _text(parameters: Parameters | None) -> str:
    """Write parameters as in a signature."""
    if parameters is None:
        return ""
    written, starred = [], False
    for name, kind, default in parameters:
        if kind == "KEYWORD_ONLY" and not starred:
            written.append("*")
        starred = starred or kind in {"KEYWORD_ONLY", "VAR_POSITIONAL"}
        star = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(kind, "")
        written.append(f"{star}{name}{'=' + default if default else ''}")
    return f"({', '.join(written)})"


def _accepts(theirs: Parameters, ours: Parameters) -> bool:
    """Whether every call that fits their parameters also fits ours."""
    kinds = {kind for _, kind, _ in ours}
    places = {name: (place, kind) for place, (name, kind, _) in enumerate(ours)}
    for place, (name, kind, _) in enumerate(theirs):
        if kind.startswith("VAR"):
            fits = kind in kinds
        elif name not in places:
            fits = "VAR_KEYWORD" in kinds
        else:
            fits = kind == "KEYWORD_ONLY" or places[name] == (place, kind)
        if not fits:
            return False
    known = {name for name, _, _ in theirs}
    return all(name in known or default or kind.startswith("VAR") for name, kind, default in ours)


def _reason(path: str) -> str:
    found = [start for start in REASONS if path.startswith(start)]
    return REASONS[max(found, key=len)] if found else ""


def _missing(theirs: str, path: str) -> Row:
    reason = _reason(path)
    return Row(theirs, f"missing: {reason}" if reason else "missing", bool(reason))


def _compared(left: str, theirs: Parameters | None, ours: Parameters | None) -> Row:
    if theirs is None or ours is None or theirs == ours:
        return Row(left, "same")
    fits = _accepts(theirs, ours)
    return Row(left, f"`{_text(ours)}`{'' if fits else ' **differs**'}", fits)


def _name_row(path: str, name: str, theirs: dict[str, Any]) -> Row:
    left = f"`{name}{_text(theirs.get('parameters'))}`"
    found = find(path)
    if found is Missing:
        return _missing(left, path)
    if theirs["kind"] != "value":
        return _compared(left, theirs.get("parameters"), parameters_of(found))
    if theirs.get("value") in (None, found):
        return Row(left, "same")
    return Row(f"{left} = `{theirs['value']!r}`", f"`{found!r}`", is_fine=False)


def _member_row(path: str, cls: Any, name: str, theirs: Parameters | None) -> Row:
    left = f"`.{name}{_text(theirs)}`"
    if not _has_member(cls, name):
        return _missing(left, f"{path}.{name}")
    member = inspect.getattr_static(cls, name, None)
    plain = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
    return _compared(left, theirs, parameters_of(plain) if isinstance(plain, types.FunctionType) else None)


def rows_of(module: str, names: dict[str, Any]) -> Iterator[Row]:
    """Yield a row for each name of a module of 3.7.2, and for each member of its classes."""
    for name, theirs in names.items():
        path = f"{module}.{name}"
        yield _name_row(path, name, theirs)
        cls = find(path)
        if cls is not Missing:
            for member, parameters in theirs.get("members", {}).items():
                yield _member_row(path, cls, member, parameters)


def table(rows: list[Row]) -> list[str]:
    """Write rows as a table. A bar ends a cell even within code, so it is escaped."""
    cells = [(row.theirs.replace("|", "\\|"), row.ours.replace("|", "\\|")) for row in rows]
    return ["| 3.7.2 | here |", "|---|---|", *(f"| {left} | {right} |" for left, right in cells), ""]


def names_part(known: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the lines about names, and the names that lack a reason."""
    lines, wrong = ["## Names", ""], []
    for module, names in known["modules"].items():
        rows = list(rows_of(module, names))
        wrong += [f"{module}: {row.theirs} {row.ours}" for row in rows if not row.is_fine]
        if not rows:
            continue
        lines += [f"### `{module}`", ""]
        if all(row.ours.startswith(("missing", "an error")) for row in rows):
            reason = rows[0].ours.partition(": ")[2] or "no reason is known"
            listed = f"Missing: {reason}. 3.7.2 has {', '.join(row.theirs for row in rows)}."
            lines += [*textwrap.wrap(listed, WIDTH, break_long_words=False, break_on_hyphens=False), ""]
        else:
            lines += table(rows)
    # Games import such names from modules of the framework.
    imported = {
        module: names
        for module, names in known["imported"].items()
        if module.startswith("clemcore.clemgame.") and not _reason(module)
    }
    lost = [f"`{m}.{n}`" for m, names in imported.items() for n in names if find(f"{m}.{n}") is Missing]
    total = sum(map(len, imported.values()))
    text = f"Names can be imported from modules that only use them: {total - len(lost)} of {total} work."
    why = "modules here do not use them, so a program that replaces them, such as a test, would have no effect"
    text += f" The others are missing: {why}: {', '.join(lost)}." if lost else ""
    lines += ["### Names that a module of 3.7.2 only imports", ""]
    return [*lines, *textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False), ""], wrong


def _our_flags() -> dict[str, set[str]]:
    import click

    from clemcore.cli.app import clem
    from clemcore.cli.greedy import GreedyCommand

    found: dict[str, set[str]] = {}
    context = click.Context(clem)
    assert isinstance(clem, click.Group)  # noqa: S101 - for the type checker
    for name in clem.list_commands(context):
        command = clem.get_command(context, name)
        commands = [command, *(command.commands.values() if isinstance(command, click.Group) else [])]
        options = [one for c in commands if c for one in c.params if isinstance(one, click.Option)]
        found[name] = {flag for one in options for flag in (*one.opts, *one.secondary_opts)}
        if isinstance(command, GreedyCommand):  # it takes 3.7.2's spelling, too
            found[name] |= {f"--{flag[2:].replace('-', '_')}" for flag in found[name] if flag.startswith("--")}
    return found


def commands_part(known: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the lines about flags, and the flags that lack a reason."""
    ours = _our_flags()
    rows = []
    for command, flags in known["commands"].items():
        for spellings in flags:
            if not spellings[0].startswith("-"):
                continue  # what is listed or registered; both versions have it
            lost = ", ".join(f"`{flag}`" for flag in spellings if flag not in ours.get(command, ()))
            reason = _reason(f"clem {command} {spellings[-1]}")
            right = f"missing: {reason or lost}" if lost else "same"
            rows.append(Row(f"`clem {command} {', '.join(spellings)}`", right, not lost or bool(reason)))
    return ["## Commands", "", *table(rows)], [f"{row.theirs} {row.ours}" for row in rows if not row.is_fine]
