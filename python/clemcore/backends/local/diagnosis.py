"""What is known of a local model before weights are loaded: its files, its context, the proof of its prompts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from clemcore.backends.local.entry import LocalEntry, read_entry
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.weight_files import fault_of, folder_of, weight_files
from clemcore.diagnosis import Row, examined
from clemcore.errors import ModelLoadError
from clemcore.registry.spec import ModelSpec

DOWNLOAD = "the first call downloads what is missing"


def examine(spec: ModelSpec) -> list[Row]:
    """Return what a call would use, and what is wrong with it; the hub is not asked."""
    try:
        entry = read_entry(spec)
    except ValueError as fault:
        return [Row("settings", None, "fault", str(fault))]
    folder = folder_of(entry)
    rows = [_files(entry, folder)]
    if rows[0].state == "fault" or importlib.util.find_spec("transformers") is None:
        return rows
    memory = examined("memory", lambda: _memory(spec))
    if folder is not None:
        memory += examined("generation configuration", lambda: _generation_config(entry))
    found = [] if folder is None else examined("chat template", lambda: _template(spec))
    if folder is None or (found[0].state == "fault" and not entry.is_folder):
        advice = "not known before the tokenizer is on this machine; nothing was downloaded"
        return [*rows, *memory, Row("body", None, "good", advice)]
    return [*rows, *memory, *found]


def _files(entry: LocalEntry, folder: Path | None) -> Row:
    if folder is None:
        return Row("files", entry.source, "warning", f"not on this machine: {DOWNLOAD}")
    files = [folder / entry.filename] if entry.filename else weight_files(folder)
    weights = [path for path in files if path.exists()]
    size = sum(path.stat().st_size for path in weights)
    value = {"folder": str(folder), "weights": len(weights), "bytes": size}
    has_config = bool(entry.filename) or (folder / "config.json").exists()  # a GGUF file has its own
    lacking = [name for name, there in (("config.json", has_config), ("weights", bool(weights))) if not there]
    if lacking and not entry.is_folder:
        return Row("files", value, "warning", f"{', '.join(lacking)} missing in {folder}: {DOWNLOAD}")
    if lacking:
        return Row("files", value, "fault", f"{', '.join(lacking)} missing in {folder}")
    fault = next((fault for fault in map(fault_of, weights) if fault), None)
    return Row("files", value, "fault", fault) if fault else Row("files", value)


def _memory(spec: ModelSpec) -> Row:
    """Compare what the model needs with what is free."""
    from clemcore.backends.local.fitting import fits
    from clemcore.backends.local.preflight import advice

    try:
        own, *others = fits(spec)
    except ModelLoadError as fault:  # its size is found out when it is loaded
        return Row("memory", None, "good", str(fault))
    value = own.verdict.to_dict()
    if own.verdict.needs.estimated_from:
        return Row("memory", value, "good", f"an estimate by {own.verdict.needs.estimated_from}")
    if own.verdict.fits:
        return Row("memory", value, "good", own.verdict.sentence())
    sizes = {other.setting: other.verdict.needs.weights for other in others}
    return Row("memory", value, "fault", f"{own.verdict.sentence()}. {advice(own.verdict, sizes)}")


def _generation_config(entry: LocalEntry) -> list[Row]:
    """Return nothing unless the generation configuration has a fault."""
    from clemcore.backends.local.transformers.own_config import check_file

    check_file(entry)
    return []


def _template(spec: ModelSpec) -> list[Row]:
    from clemcore.backends.local.transformers.opening import frontend_of

    return rows_of_front(frontend_of(spec))


def rows_of_front(front: Frontend) -> list[Row]:
    """Return the size of a model's context, and what is known about its prompts."""
    from clemcore.prompts import proof

    size: dict[str, Any] = {"tokens": front.context_size, "source": front.context_source}
    stored = proof.load(front.subject())
    if stored is None:
        row = Row("proof", None, "good", "none yet: it is made when the model is loaded, or by 'clem prove'")
    elif stored.holds:
        row = Row("proof", stored.id, "good", "it holds: prompts are made by clemcore's engine")
    else:
        advice = f"it does not hold ({stored.reason}): prompts are made by transformers"
        row = Row("proof", stored.id, "warning", advice)
    return [Row("context", size), row]
