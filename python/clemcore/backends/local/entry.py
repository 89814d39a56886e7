"""What a registry entry tells the backend ``huggingface_local``, read once and checked.

Two layouts are read: the nested one (settings under ``model_config``) and the flat one of 2024 (settings beside
``model_name``). A setting that is not honoured is an error, so that nobody believes in a setting without effect.
This module imports neither torch nor transformers and touches no model.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clemcore.errors import SpecError
from clemcore.prompts.control_tokens import POLICIES
from clemcore.registry.context_size import parse_context_size
from clemcore.registry.spec import ModelSpec

# Settings by name, with the type that their value must have.
_SETTINGS: dict[str, type] = {
    "premade_chat_template": bool,
    "custom_chat_template": str,
    "chat_template_language": str,
    "chat_template_kwargs": dict,
    "eos_to_cull": str,
    "output_split_prefix": str,
    "padding_side": str,
    "trust_remote_code": bool,
    "attn_implementation": str,
    "dtype": str,
    "torch_dtype": str,
    "revision": str,
    "requires_api_key": bool,
    "slow_tokenizer": bool,
    "load_in_8bit": bool,
    "load_in_4bit": bool,
    "peft_model": str,
    "cot_output": bool,
    "cot_start_tag": str,
    "cot_end_tag": str,
    "cot_effort": str,
    "cot_bypass": str,
    "torch_num_threads": int,
    "template_now": str,
    "control_tokens": str,
}
# Settings of 3.7.2 that this backend knows and does not honour, each with what to do instead.
_NOT_HONOURED = {
    "multimodal": "this backend answers text only so far; use a server and the backend openai_compatible",
    "do_sample": "sampling follows the generation argument temperature (0 is greedy); remove it",
}
_WORDS = {bool: "true or false", str: "a string", dict: "an object", int: "an integer"}


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
    torch_num_threads: int | None = None
    template_now: str | None = None
    control_tokens: str = "record"


def read_entry(spec: ModelSpec) -> LocalEntry:
    """Read and check the settings of a model specification.

    Raises:
        SpecError: a setting is missing, unknown, of the wrong type, not honoured, or contradicts another; the
            message names the model and the setting.
    """
    fields = spec.to_dict()
    name = fields["model_name"]
    nested = fields.get("model_config", {})
    if not isinstance(nested, dict):
        raise SpecError(f"model '{name}': model_config must be an object, not {type(nested).__name__}")
    # That one is read where generation arguments are.
    nested = {key: value for key, value in nested.items() if key != "on_unsupported"}
    _check_names(name, nested)
    flat = {key: fields[key] for key in (*_SETTINGS, *_NOT_HONOURED) if key in fields}
    for key in flat.keys() & nested.keys():
        if flat[key] != nested[key]:
            raise SpecError(f"model '{name}': '{key}' has one value in the entry and another in model_config")
    settings = {**flat, **nested}
    for key, value in settings.items():
        _check_value(name, key, value)
    _check_together(name, settings)
    eos_is_literal = "eos_to_cull" in flat and "eos_to_cull" not in nested
    if settings.get("eos_to_cull") and not eos_is_literal:
        _check_pattern(name, "eos_to_cull", settings["eos_to_cull"])
    if settings.get("cot_end_tag"):
        _check_pattern(name, "cot_end_tag", settings["cot_end_tag"])
    if "peft_model" in settings:
        settings["peft_model"] = _expanded(settings["peft_model"])
    settings["dtype"] = settings.get("dtype", settings.get("torch_dtype", "auto"))
    for read_elsewhere in ("torch_dtype", "padding_side", *_NOT_HONOURED):
        settings.pop(read_elsewhere, None)
    source, is_folder = _source(name, fields.get("huggingface_id"))
    size = parse_context_size(fields.get("context_size"), name)
    return LocalEntry(name, source, is_folder, eos_is_literal, size, **settings)


def _check_names(name: str, nested: Mapping[str, Any]) -> None:
    known = [*_SETTINGS, *_NOT_HONOURED]
    for key in nested:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(_SETTINGS))}"
            raise SpecError(f"model '{name}': backend huggingface_local has no setting model_config.{key}; {hint}")


def _check_value(name: str, key: str, value: Any) -> None:
    if key in _NOT_HONOURED:
        # By value, not by presence: false and absent are the same.
        if value or key == "do_sample":
            raise SpecError(f"model '{name}': '{key}' is not honoured: {_NOT_HONOURED[key]}")
        return
    wanted = _SETTINGS[key]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise SpecError(f"model '{name}': '{key}' must be {_WORDS[wanted]}, not {value!r}")


def _check_together(name: str, settings: Mapping[str, Any]) -> None:
    if settings.get("padding_side", "left").lower() != "left":
        raise SpecError(
            f"model '{name}': padding_side must be 'left': with padding on the right, a model that continues its "
            "input would continue the padding of the shorter dialogues of a batch"
        )
    if settings.get("premade_chat_template") is True and settings.get("custom_chat_template"):
        raise SpecError(
            f"model '{name}': premade_chat_template is true and custom_chat_template is given; keep one of them"
        )
    if settings.get("premade_chat_template") is False and not settings.get("custom_chat_template"):
        raise SpecError(
            f"model '{name}': premade_chat_template is false, so a custom_chat_template is needed: without one "
            "there is no telling what the model wants to read"
        )
    if "dtype" in settings and settings.get("torch_dtype", settings["dtype"]) != settings["dtype"]:
        raise SpecError(f"model '{name}': dtype and torch_dtype are two names of one setting and differ")
    if settings.get("load_in_4bit") and settings.get("load_in_8bit"):
        raise SpecError(f"model '{name}': load_in_4bit and load_in_8bit exclude each other")
    if settings.get("cot_output") and not settings.get("cot_end_tag"):
        raise SpecError(f"model '{name}': cot_output needs cot_end_tag, the pattern that ends the thinking")
    if settings.get("control_tokens", POLICIES[0]) not in POLICIES:
        raise SpecError(f"model '{name}': control_tokens must be one of {', '.join(POLICIES)}")
    if "template_now" in settings:
        read_time(settings["template_now"], f"model '{name}': template_now")
    if settings.get("torch_num_threads", 1) < 1:
        raise SpecError(f"model '{name}': torch_num_threads must be at least 1")


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
        re.compile(pattern)
    except re.error as fault:
        raise SpecError(f"model '{name}': '{key}' is no regular expression: {fault} in {pattern!r}") from None


def _expanded(path: str) -> str:
    return os.path.expandvars(str(Path(path).expanduser()) if path.startswith("~") else path)


def _source(name: str, given: object) -> tuple[str, bool]:
    """Return the hub id or the expanded folder, and whether it is a folder."""
    if not isinstance(given, str) or not given.strip():
        raise SpecError(f"model '{name}': huggingface_id must be a hub id or a folder's path, not {given!r}")
    expanded = _expanded(given)
    if Path(expanded).is_dir():
        return expanded, True
    if expanded.startswith((".", "/", "~", "$")) or expanded.count("/") > 1 or "$" in expanded:
        meant = "" if expanded == given else f" (that is {expanded})"
        raise SpecError(f"model '{name}': huggingface_id '{given}'{meant} is a path, but there is no such folder")
    return expanded, False
