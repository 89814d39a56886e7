"""What a registry entry tells the backend ``huggingface_local``, read once and checked.

Two layouts are read: the nested one (settings under ``model_config``) and the flat one of 2024 (settings beside
``model_name``). A setting that is not honoured is an error, so that no setting is silently without effect.
This module imports neither torch nor transformers and touches no model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clemcore.backends.local.memory import read_size
from clemcore.backends.local.patterns import compile_pattern
from clemcore.backends.local.source import expanded, is_gguf, is_hub_id, is_path, read_source
from clemcore.errors import SpecError
from clemcore.registry.context_size import parse_context_size
from clemcore.registry.settings import is_misspelt, problems_of, sentence, settings_of
from clemcore.registry.spec import ModelSpec

_BACKEND = "huggingface_local"
# More than any machine has processors; OpenMP ends the process where it cannot start so many.
_MOST_THREADS = 4096
# The code of the problem of keys without effect.
_NO_EFFECT = "R083"
# What this backend reads elsewhere: where generation arguments are, where images are, or by its newer name.
_READ_ELSEWHERE = ("on_unsupported", "torch_dtype", "padding_side")
# An empty text would be taken as if the setting were not there.
_NOT_EMPTY = ("peft_model", "attn_implementation", "revision", "chat_template_language")


@dataclass(frozen=True)
class LocalEntry:
    """The settings of one model.

    Attributes:
        model_name: the model's name in the registry.
        source: hub id, or the path of a local folder with ``~`` and variables expanded.
        is_folder: whether ``source`` is a local folder.
        eos_is_literal: whether ``eos_to_cull`` is text (flat layout) and not a regular expression.
        context_size: tokens that the entry's ``context_size`` means, or None.

    The other attributes have the names of the settings; docs/backends/huggingface_local.md explains each.
    """

    model_name: str
    source: str
    is_folder: bool
    eos_is_literal: bool
    context_size: int | None
    premade_chat_template: bool | None = None
    custom_chat_template: str | None = None
    chat_template_language: str | None = None
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    eos_to_cull: str = ""
    output_split_prefix: str = ""
    trust_remote_code: bool = False
    attn_implementation: str | None = None
    dtype: str = "auto"
    revision: str | None = None
    requires_api_key: bool = False
    slow_tokenizer: bool = False
    load_in_8bit: bool = False
    load_in_4bit: bool = False
    peft_model: str | None = None
    cot_output: bool = False
    cot_start_tag: str = ""
    cot_end_tag: str = ""
    cot_effort: str = ""
    cot_bypass: str = ""
    reasoning: Mapping[str, Any] | None = None
    quantization_config: Mapping[str, Any] | None = None
    device: str | None = None
    device_map: str | Mapping[str, Any] | None = None
    max_memory: Mapping[str, Any] | None = None
    filename: str | None = None
    preflight: bool = True
    own_weights: bool = False
    multimodal: bool = False
    multimodality: Mapping[str, Any] | None = None
    exactness: str | None = None
    prefill_block: int | None = None
    kept_cache: int | None = None
    torch_num_threads: int | None = None
    template_now: str | None = None
    control_tokens: str = "record"
    missing_text: str = "error"


def read_entry(spec: ModelSpec) -> LocalEntry:
    """Read and check the settings of a model specification.

    Raises:
        SpecError: a setting is missing, unknown, of the wrong type, not honoured, or contradicts another; the
            message names the model and the setting.
    """
    name = spec["model_name"]
    if spec.get("backend") != _BACKEND:
        # The core judges settings by the backend; a specification without one is read here all the same.
        spec = ModelSpec(**{**spec.to_dict(), "backend": _BACKEND})
    _check(spec)
    settings, eos_is_literal = _settings(spec)
    empty = [key for key in _NOT_EMPTY if key in settings and not settings[key].strip()]
    if empty:
        raise SpecError(f"model '{name}': {' and '.join(empty)} must not be empty: give a value, or remove it")
    if "template_now" in settings:
        read_time(settings["template_now"], f"model '{name}': template_now")
    for key, row in settings_of(_BACKEND).items():
        if row["is_pattern"] and settings.get(key) and not (key == "eos_to_cull" and eos_is_literal):
            _check_pattern(name, key, settings[key])
    if "peft_model" in settings:
        adapter = settings["peft_model"] = expanded(settings["peft_model"])
        if is_path(adapter) and not Path(adapter).is_dir():
            raise SpecError(f"model '{name}': peft_model '{adapter}' is a path, but there is no such folder")
        if not Path(adapter).is_dir() and not is_hub_id(adapter):
            raise SpecError(
                f"model '{name}': peft_model {adapter!r:.200} is not a folder of this machine, and not an id of "
                "the hub (OWNER/NAME of letters, digits, '-', '_' and '.'): correct it"
            )
    threads = settings.get("torch_num_threads")
    if threads is not None and threads > _MOST_THREADS:
        raise SpecError(
            f"model '{name}': torch_num_threads must be at most {_MOST_THREADS}, not {threads}: "
            f"this machine has {os.cpu_count()} processors"
        )
    settings["dtype"] = settings.get("dtype", settings.get("torch_dtype", "auto"))
    for read_elsewhere in _READ_ELSEWHERE:
        settings.pop(read_elsewhere, None)
    if settings.get("prefill_block", 0) < 0:
        raise SpecError(
            f"model '{name}': prefill_block must be a number of tokens ≥ 0, not {settings['prefill_block']}; "
            "0 feeds each prompt in one piece"
        )
    if "kept_cache" in settings:
        settings["kept_cache"] = read_size(settings["kept_cache"], f"model '{name}': kept_cache")
    source, is_folder, settings["filename"] = _source(spec, settings.get("filename"))
    _check_gguf(name, settings)
    size = parse_context_size(spec.get("context_size"), name)
    return LocalEntry(name, source, is_folder, eos_is_literal, size, **settings)


def _check(spec: ModelSpec) -> None:
    """Refuse what the core finds wrong, a key that looks misspelt, and in ``model_config`` any without effect."""
    for problem in problems_of(spec):
        has_no_effect = problem.code == _NO_EFFECT and (problem.field or "").startswith("model_config.")
        if problem.stops_model or has_no_effect or is_misspelt(spec, problem):
            raise SpecError(sentence(spec, problem))


def _settings(spec: ModelSpec) -> tuple[dict[str, Any], bool]:
    """Return the settings of both layouts, and whether ``eos_to_cull`` is the literal text of the flat one."""
    fields = spec.to_dict()
    nested = fields.get("model_config") or {}
    # What is refused and stands there nevertheless is false.
    honoured = [key for key, row in settings_of(_BACKEND).items() if not row["refused"]]
    settings = {
        key: (nested if key in nested else fields)[key] for key in honoured if key in nested or key in fields
    }
    return settings, "eos_to_cull" in fields and "eos_to_cull" not in nested


def read_time(text: str, what: str) -> datetime:
    """Read an ISO time.

    Args:
        text: the time, as ``2026-07-26T12:00``.
        what: names it in the error.

    Raises:
        SpecError: it is none.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(f"{what} must be an ISO time like 2026-07-26T12:00, not {text!r}") from None


def _check_pattern(name: str, key: str, pattern: str) -> None:
    try:
        compile_pattern(pattern)
    except ValueError as fault:
        raise SpecError(f"model '{name}': '{key}' {fault}") from None


def _source(spec: ModelSpec, filename: str | None) -> tuple[str, bool, str | None]:
    """Return the hub id or the expanded folder, whether it is a folder, and the GGUF file in it."""
    name = spec["model_name"]
    if filename is not None and not is_gguf(filename):
        raise SpecError(f"model '{name}': filename must name a GGUF file (….gguf), not {filename!r}")
    source = read_source(spec)
    path = source.path
    if path is None:
        return source.name, False, filename
    if path.is_file():
        if not is_gguf(path.name):
            raise SpecError(
                f"model '{name}': huggingface_id '{source.given}'{source.meant} is a file: name its folder, or a "
                "GGUF file"
            )
        if filename not in (None, path.name):
            raise SpecError(f"model '{name}': huggingface_id names {path.name} and filename names {filename}")
        return str(path.parent), True, path.name
    _check_folder(name, path, filename)
    return source.name, True, filename


def _check_gguf(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse what transformers does not do with a GGUF file.

    Raises:
        SpecError: its name ends in capitals, or its weights are to be quantized again.
    """
    file = settings["filename"]
    if file is None:
        return
    if not file.endswith(".gguf"):
        raise SpecError(
            f"model '{name}': transformers knows GGUF files by '.gguf' in small letters: rename {file} to "
            f"{file[: -len('.gguf')]}.gguf, or use the backend llamacpp"
        )
    asked = [key for key in ("load_in_8bit", "load_in_4bit", "quantization_config") if settings.get(key)]
    if asked:
        raise SpecError(
            f"model '{name}': {' and '.join(asked)} cannot be had with a GGUF file ({file}), whose weights "
            f"have a format of their own: remove {' and '.join(asked)}, or name the original model"
        )


def _check_folder(name: str, folder: Path, filename: str | None) -> None:
    """Refuse a folder that cannot be a model's.

    Raises:
        SpecError: it is empty, or lacks the file that the entry names.
    """
    files = sorted(path.name for path in folder.iterdir())
    if not files:
        raise SpecError(f"model '{name}': the folder {folder} is empty: download or copy the model into it")
    found = [file for file in files if is_gguf(file)]
    if filename is not None and filename not in files:
        has = f"it has {', '.join(found)}" if found else "it has no GGUF file"
        raise SpecError(f"model '{name}': filename '{filename}' is not in {folder}: {has}")
    if filename is None and found and "config.json" not in files:
        raise SpecError(
            f"model '{name}': the folder {folder} has GGUF files and no config.json: name one of them in "
            f"model_config.filename ({', '.join(found)})"
        )
