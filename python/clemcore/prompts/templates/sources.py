"""Where chat templates are found: files, models' folders, GGUF files, registry entries.

It reads; it does not compile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.errors import TemplateError
from clemcore.prompts.templates import gguf
from clemcore.prompts.templates.special_tokens import special_tokens


@dataclass(frozen=True)
class TemplateSource:
    """A template that was found.

    Attributes:
        text: the template.
        special_tokens: the tokens that transformers finds beside it, by name (``bos_token`` …).
    """

    text: str
    special_tokens: dict[str, str]


def read_template(path: str | Path, name: str = "default") -> TemplateSource:
    """Read a template from a file or a folder.

    Args:
        path: ``*.gguf``; ``*.json``, which is a ``tokenizer_config.json``; a folder with one, where
            ``chat_template.jinja`` and ``additional_chat_templates/NAME.jinja`` come first; any other file is the
            template itself.
        name: which template, where there are several.

    Raises:
        TemplateError: there is none (of that name), or it cannot be read.
    """
    path = Path(path).expanduser()
    try:
        templates, tokens = _read(path)
    except OSError as fault:
        msg = f"{path}: the template cannot be read: {fault.strerror or fault}"
        raise TemplateError(msg) from None
    if name not in templates:
        known = ", ".join(repr(known) for known in sorted(templates))
        msg = f"{path} holds no chat template named '{name}'" + (f"; it has {known}" if known else "")
        raise TemplateError(msg)
    return TemplateSource(templates[name], tokens)


def read_entry(entry: Any, folder: str | Path | None = None) -> tuple[TemplateSource, str | None]:
    """Read the template of a registry entry, and the time that its clock is to tell.

    Args:
        entry: a dict or a ``ModelSpec``; its settings may stand in ``model_config`` or beside it.
        folder: where a relative path begins; by default the current folder.

    Raises:
        TemplateError: it has none, or one that cannot be read.
    """
    entry = dict(entry.to_dict()) if hasattr(entry, "to_dict") else entry
    nested = entry.get("model_config")
    settings = {**entry, **(nested if isinstance(nested, Mapping) else {})}
    value = settings.get("custom_chat_template")
    if not isinstance(value, str) or not value:
        msg = f"the entry of '{entry.get('model_name')}' has no custom_chat_template"
        raise TemplateError(msg)
    return read_setting(value, folder), settings.get("template_now")


def read_setting(value: str, folder: str | Path | None = None) -> TemplateSource:
    """Read what ``custom_chat_template`` says: a template, or the path of what :func:`read_template` reads.

    A text without a brace is a path, because a template without one would write the same prompt for all messages.

    Args:
        value: the setting.
        folder: where a relative path begins; by default the current folder.

    Raises:
        TemplateError: it is a path, and there is no template.
    """
    if "{" in value:
        return TemplateSource(value, {})
    path = Path(folder or ".") / Path(os.path.expandvars(value)).expanduser()
    try:
        return read_template(path)
    except TemplateError as fault:
        msg = f"custom_chat_template is neither a template (it has no brace) nor the path of one: {fault}"
        raise TemplateError(msg) from None


def _read(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return templates by name, and special tokens."""
    if path.is_dir():
        config = _config(path / "tokenizer_config.json")
        templates = _named(config, path)
        if (path / "chat_template.jinja").exists():
            templates["default"] = _text(path / "chat_template.jinja")
        for more in sorted((path / "additional_chat_templates").glob("*.jinja")):
            templates[more.stem] = _text(more)
        return templates, special_tokens(path, config, _config)
    if path.suffix.lower() == ".gguf":
        return gguf.read_templates(path)
    if path.suffix == ".json":
        config = _config(path, required=True)
        return _named(config, path), special_tokens(path.parent, config, _config)
    config = _config(path.with_name("tokenizer_config.json"))
    return {"default": _text(path)}, special_tokens(path.parent, config, _config)


def _text(path: Path) -> str:
    """Read a template's own file: its bytes, because a carriage return belongs to the text."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as fault:
        msg = f"{path}: byte {fault.start} is not UTF-8"
        raise TemplateError(msg) from None


def _config(path: Path, *, required: bool = False) -> dict[str, Any]:
    if not required and not path.exists():
        return {}
    try:
        config = json.loads(_text(path))
    except json.JSONDecodeError as fault:
        msg = f"{path}:{fault.lineno}:{fault.colno}: no valid JSON: {fault.msg}"
        raise TemplateError(msg) from None
    except RecursionError:
        msg = f"{path}: nested too deeply"
        raise TemplateError(msg) from None
    if not isinstance(config, dict):
        msg = f"{path}: it must hold a JSON object, not {type(config).__name__}"
        raise TemplateError(msg)
    return config


def _named(config: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the templates of a tokenizer's configuration: one text, a list of named ones, or an object of them."""
    found = config.get("chat_template")
    if isinstance(found, str):
        return {"default": found}
    if isinstance(found, list):
        entries = [entry if isinstance(entry, dict) else {} for entry in found]
        found = {entry.get("name"): entry.get("template") for entry in entries}
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(part, str) for pair in found.items() for part in pair):
        msg = f"{path}: chat_template is neither a text nor a list of texts with their names"
        raise TemplateError(msg)
    return found
