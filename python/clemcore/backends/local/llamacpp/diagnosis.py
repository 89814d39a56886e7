"""What is known of a GGUF file before weights are loaded: its files, memory, context, proof."""

from __future__ import annotations

import importlib.util

from clemcore.backends.local.diagnosis import DOWNLOAD, rows_of_front
from clemcore.backends.local.llamacpp.files import find_file
from clemcore.backends.local.llamacpp.head import Head, read_head
from clemcore.backends.local.llamacpp.loading import open_file, open_front
from clemcore.backends.local.llamacpp.room import needs_of, require_room
from clemcore.backends.local.llamacpp.settings import LlamaSettings, read_settings
from clemcore.backends.local.memory import free_ram, size_text
from clemcore.diagnosis import Row, examined
from clemcore.errors import ClemcoreError, ModelLoadError
from clemcore.registry.spec import ModelSpec


def examine(spec: ModelSpec) -> list[Row]:
    """Return what a call would use, and what is wrong with it; the hub is not asked."""
    try:
        settings = read_settings(spec)
    except ValueError as fault:
        return [Row("settings", None, "fault", str(fault))]
    name, source = settings.local.model_name, settings.local.source
    try:
        path = find_file(settings, offline=True)
        head = read_head(path, name)
        opened = open_file(settings, path)
    except ClemcoreError as fault:
        if isinstance(fault, ModelLoadError) and not settings.local.is_folder:
            advice = "not known before the file is on this machine; nothing was downloaded"
            missing = Row("files", source, "warning", f"not on this machine: {DOWNLOAD}")
            return [missing, Row("body", None, "good", advice)]
        return [Row("files", source, "fault", str(fault))]
    files = {"file": str(path), "parts": len(head.files), "bytes": head.bytes, "format": head.format}
    rows = [
        Row("files", {**files, "architecture": head.architecture, "parameters": head.parameters}),
        *examined("memory", lambda: _memory(settings, head, opened.context[0])),
    ]
    if importlib.util.find_spec("llama_cpp") is None or importlib.util.find_spec("transformers") is None:
        return rows
    return [*rows, *examined("chat template", lambda: rows_of_front(open_front(settings, opened)))]


def _memory(settings: LlamaSettings, head: Head, context: int) -> Row:
    free = free_ram()
    require_room(settings, head, context, free)
    needs = needs_of(head, settings.cache_type, min(settings.piece, context))
    figures = {"weights": needs.weights, "context": needs.state(context), "computing": needs.computing(context)}
    sizes = {name: size_text(number) for name, number in figures.items() if number}
    return Row("memory", {**sizes, "free": size_text(free.bytes)})
