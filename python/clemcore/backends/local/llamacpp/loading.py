"""Loads a model of llama.cpp: head, checks, weights, tokenizer; the cheap parts first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clemcore.backends.local.engine import Description
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.frontend import Frontend, Script
from clemcore.backends.local.llamacpp.engine import NAMES, LlamaEngine
from clemcore.backends.local.llamacpp.head import Head, read_head
from clemcore.backends.local.llamacpp.native import Native
from clemcore.backends.local.llamacpp.settings import LlamaSettings
from clemcore.backends.local.llamacpp.vocabulary import GgufTokenizer
from clemcore.backends.local.sharing import HeldWeights, hold
from clemcore.backends.local.weight_files import sha256_of_weights
from clemcore.errors import ModelLoadError, SpecError, TemplateError
from clemcore.prompts.templates.gguf import read_templates
from clemcore.prompts.templates.sources import read_setting

# Where neither the file nor the entry says how large the context is.
_FALLBACK_CONTEXT = 2048


@dataclass(frozen=True)
class Opened:
    """What is known of a model before its weights are read.

    Attributes:
        head: the head of its file.
        template: the text of the chat template.
        context: tokens of the context, and where that number was found.
    """

    head: Head
    template: str
    context: tuple[int, str]


def open_file(settings: LlamaSettings, path: Path) -> Opened:
    """Read the head of a file, and check it against the entry.

    Raises:
        ModelLoadError: the file is cut off, in parts that are missing, or not one of a chat model.
        SpecError: the entry contradicts the file, or there is no chat template.
        TemplateError: the entry names a template that cannot be read.
    """
    head = read_head(path, settings.local.model_name)
    return Opened(head, _template(settings, head), _context(settings, head))


def _context(settings: LlamaSettings, head: Head) -> tuple[int, str]:
    asked, trained = settings.local.context_size, head.context_size
    if asked is not None and trained is not None and asked > trained:
        raise SpecError(
            f"model '{settings.local.model_name}': context_size is {asked} tokens, but {head.path.name} is of a "
            f"model for {trained}: correct context_size, or remove it"
        )
    if asked is not None:
        return asked, "entry.context_size"
    key = f"{head.architecture}.context_length"
    return (trained, key) if trained is not None else (_FALLBACK_CONTEXT, "fallback")


def _template(settings: LlamaSettings, head: Head) -> str:
    entry = settings.local
    if entry.custom_chat_template and not entry.premade_chat_template:
        try:
            return read_setting(entry.custom_chat_template).text
        except TemplateError as fault:
            raise TemplateError(f"model '{entry.model_name}': {fault}") from None
    templates, _ = read_templates(head.path)
    if "default" not in templates:
        raise SpecError(
            f"model '{entry.model_name}': {head.path.name} has no chat template (tokenizer.chat_template): set "
            "model_config.premade_chat_template to false and give a custom_chat_template"
        )
    return templates["default"]


def load(settings: LlamaSettings, opened: Opened) -> tuple[Frontend, HeldWeights[LlamaEngine]]:
    """Load the weights; models of the same file and settings share them.

    Raises:
        ModelLoadError: llama.cpp cannot load them.
        SpecError: the entry names a token that the file does not have.
    """
    entry = settings.local
    paths = [(str(file), os.stat(file).st_mtime_ns) for file in opened.head.files]  # noqa: PTH116
    how = (
        settings.piece,
        settings.gpu_layers,
        settings.threads,
        settings.cache_type,
        opened.context[0],
        settings.eos,
    )
    key = None if entry.own_weights else ("llamacpp", os.getpid(), repr(paths), how)
    held = hold(key, lambda: _load(settings, opened))
    native, (templates, special) = held.model, read_templates(opened.head.path)
    special = {**special, **({} if settings.bos is None else {"bos_token": settings.bos})}
    special |= {} if settings.eos is None else {"eos_token": settings.eos}
    tokenizer = GgufTokenizer(native, special, templates.get("default"))
    _check_tokens(settings, opened, tokenizer)
    script = Script(tokenizer, opened.template, entry)
    return Frontend(entry, script, None, opened.context), held


def _load(settings: LlamaSettings, opened: Opened) -> HeldWeights[LlamaEngine]:
    name, head = settings.local.model_name, opened.head
    libraries = {"llama_cpp_python": version("llama-cpp-python"), "gguf": version("gguf")}
    try:
        native = Native(
            head.path,
            context=opened.context[0],
            piece=min(settings.piece, opened.context[0]),
            gpu_layers=settings.gpu_layers,
            threads=settings.threads,
            cache_type=settings.cache_type,
        )
    except RuntimeError as error:
        raise wrapped(error, ModelLoadError, name, f"llama.cpp cannot load {head.path}", libraries) from error
    ends = {token for token in range(native.tokens) if native.is_end(token)}
    if settings.eos is not None:
        ids = native.encode(settings.eos)
        ends |= set(ids) if len(ids) == 1 else set()
    engine = LlamaEngine(native, name, _described(settings, opened, native, frozenset(ends), libraries))
    return HeldWeights(engine, {"weights_sha256": sha256_of_weights(list(head.files)), "adapter": None}, native)


def _described(
    settings: LlamaSettings, opened: Opened, native: Native, ends: frozenset[int], libraries: Mapping[str, str]
) -> Description:
    import llama_cpp

    on_gpu = bool(llama_cpp.llama_supports_gpu_offload()) and settings.gpu_layers != 0
    hardware: dict[str, Any] = {"system": llama_cpp.llama_print_system_info().decode("utf-8", "replace").strip()}
    return Description(
        device="gpu" if on_gpu else "cpu",
        dtype=opened.head.format,
        threads=settings.threads,
        libraries=libraries,
        context_size=opened.context[0],
        state_bytes={},
        arguments=NAMES,
        ways=("alone",),
        hooks=frozenset({"choose", "on_tokens", "cancelled"}),
        attention=f"keys and values in {settings.cache_type}",
        quantization={"method": "gguf", "format": opened.head.format},
        vocabulary=native.tokens,
        can_continue=True,
        ends=ends,
        hardware=hardware,
    )


def _check_tokens(settings: LlamaSettings, opened: Opened, tokenizer: GgufTokenizer) -> None:
    """Refuse special tokens of the entry that the file does not have."""
    for key, text in (("bos_string", settings.bos), ("eos_string", settings.eos)):
        if text and len(tokenizer(text).input_ids) != 1:
            count = len(tokenizer(text).input_ids)
            raise SpecError(
                f"model '{settings.local.model_name}': {key} {text!r} is not a token of {opened.head.path.name}, "
                f"which reads it as {count} tokens: correct it, or remove it to use that of the file"
            )
