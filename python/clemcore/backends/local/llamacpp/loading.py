"""Loads a model of llama.cpp: head, checks, vocabulary, template, weights; the cheap parts first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clemcore.backends.local.engine import Description
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.frontend import Frontend, Script
from clemcore.backends.local.llamacpp.engine import NAMES, LlamaEngine
from clemcore.backends.local.llamacpp.head import Head, read_head, read_part
from clemcore.backends.local.llamacpp.library import has_gpu
from clemcore.backends.local.llamacpp.native import Native
from clemcore.backends.local.llamacpp.room import require_room
from clemcore.backends.local.llamacpp.settings import LlamaSettings
from clemcore.backends.local.llamacpp.token_list import check_token_list
from clemcore.backends.local.llamacpp.tokenizer import GgufTokenizer
from clemcore.backends.local.llamacpp.trial import require_survival
from clemcore.backends.local.llamacpp.vocabulary import Vocabulary, vocabulary_of
from clemcore.backends.local.memory import free_ram
from clemcore.backends.local.sharing import HeldWeights, hold
from clemcore.backends.local.weight_files import sha256_of_weights
from clemcore.errors import ModelLoadError, SpecError, TemplateError
from clemcore.prompts.templates.gguf import read_templates
from clemcore.prompts.templates.sources import read_setting

# Where neither the file nor the entry says how large the context is.
_FALLBACK_CONTEXT = 2048
# Numbers of weights are rounded, and embeddings are counted or not; another model has half or twice as many.
_FAR = 2
# Formats that are not quantised, as torch calls them.
_PLAIN = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


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
    _check_parameters(settings, head)
    check_token_list(settings, head)
    return Opened(head, _template(settings, head), context_of(settings, head))


def _check_parameters(settings: LlamaSettings, head: Head) -> None:
    """Refuse a file of another model: its number of weights is far from that of the entry."""
    told, found = settings.parameters, head.parameters
    if told is not None and not told / _FAR < found < told * _FAR:
        raise SpecError(
            f"model '{settings.local.model_name}': 'parameters' of the entry are {told:,}, but "
            f"{head.path.name} has {found:,} weights: choose another file, or correct 'parameters'"
        )


def context_of(settings: LlamaSettings, head: Head) -> tuple[int, str]:
    """Return the tokens of the context, and where that number was found.

    Raises:
        SpecError: the entry wants more than the model was trained for.
    """
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
    templates, _ = read_part(read_templates, head.path, entry.model_name)
    if "default" not in templates:
        others = ", ".join(f"tokenizer.chat_template.{name}" for name in sorted(templates))
        raise SpecError(
            f"model '{entry.model_name}': {head.path.name} has no chat template (tokenizer.chat_template"
            f"{'; it has ' + others if others else ''}): set model_config.premade_chat_template to false and give "
            "a custom_chat_template"
        )
    return templates["default"]


def open_front(settings: LlamaSettings, opened: Opened) -> Frontend:
    """Read the vocabulary and compile the chat template; no weights are read.

    Raises:
        ModelLoadError: llama.cpp cannot read the file, or ends the process, or its model cannot chat.
        SpecError: the entry names a token that the file does not have.
        TemplateError: the chat template has a fault.
    """
    vocabulary = _vocabulary(settings, opened.head)
    templates, special = read_part(read_templates, opened.head.path, settings.local.model_name)
    special = {**special, **({} if settings.bos is None else {"bos_token": settings.bos})}
    special |= {} if settings.eos is None else {"eos_token": settings.eos}
    tokenizer = GgufTokenizer(vocabulary, special, templates.get("default"))
    _check_tokens(settings, opened, tokenizer)
    return Frontend(settings.local, Script(tokenizer, opened.template, settings.local), None, opened.context)


def _vocabulary(settings: LlamaSettings, head: Head) -> Vocabulary:
    name = settings.local.model_name
    require_survival(head.path, name)
    try:
        found = vocabulary_of(head.path, head.metadata.values)
    except RuntimeError as error:
        raise wrapped(error, ModelLoadError, name, f"llama.cpp cannot read {head.path}", _libraries()) from error
    if found.refuses is not None:
        raise ModelLoadError(
            f"model '{name}': {head.path} is {found.refuses} (architecture '{head.architecture}'): choose another "
            "file"
        )
    return found


def load(settings: LlamaSettings, opened: Opened, front: Frontend) -> HeldWeights[LlamaEngine]:
    """Load the weights; models of the same file and settings share them.

    Raises:
        ModelLoadError: they do not fit, the entry wants a GPU and there is none, or llama.cpp cannot load them.
    """
    entry = settings.local
    if settings.wants_gpu and not has_gpu():
        raise ModelLoadError(
            f"model '{entry.model_name}': the entry wants a GPU (execute_on, gpu_layers_offloaded), but llama.cpp "
            'was compiled without one: compile it again with CMAKE_ARGS="-DGGML_CUDA=on" (or the option of your '
            "device), or set execute_on to 'cpu'"
        )
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
    return hold(key, lambda: _load(settings, opened, front.tokenizer.vocabulary))


def _load(settings: LlamaSettings, opened: Opened, vocabulary: Vocabulary) -> HeldWeights[LlamaEngine]:
    name, head = settings.local.model_name, opened.head
    if settings.local.preflight and not (has_gpu() and settings.gpu_layers):
        require_room(settings, head, opened.context[0], free_ram())
    how: dict[str, Any] = {
        "context": opened.context[0],
        "piece": min(settings.piece, opened.context[0]),
        "gpu_layers": settings.gpu_layers,
        "threads": settings.threads,
        "cache_type": settings.cache_type,
    }
    require_survival(head.path, name, how)
    try:
        native = Native(head.path, **how)
    except RuntimeError as error:
        raise wrapped(error, ModelLoadError, name, f"llama.cpp cannot load {head.path}", _libraries()) from error
    ends = vocabulary.ends if settings.eos is None else vocabulary.ends | set(vocabulary.encode(settings.eos))
    engine = LlamaEngine(native, vocabulary, name, _described(settings, opened, vocabulary, ends))
    return HeldWeights(engine, {"weights_sha256": sha256_of_weights(list(head.files)), "adapter": None}, native)


def _libraries() -> dict[str, str]:
    return {"llama_cpp_python": version("llama-cpp-python"), "gguf": version("gguf")}


def _described(
    settings: LlamaSettings, opened: Opened, vocabulary: Vocabulary, ends: frozenset[int]
) -> Description:
    import llama_cpp

    is_plain = opened.head.format in _PLAIN
    on_gpu = has_gpu() and settings.gpu_layers != 0
    hardware: dict[str, Any] = {"system": llama_cpp.llama_print_system_info().decode("utf-8", "replace").strip()}
    return Description(
        device="gpu" if on_gpu else "cpu",
        dtype=_PLAIN.get(opened.head.format, opened.head.format),
        threads=settings.threads,
        libraries=_libraries(),
        context_size=opened.context[0],
        state_bytes={},
        arguments=NAMES,
        ways=("alone",),
        hooks=frozenset({"choose", "on_tokens", "cancelled"}),
        attention=f"keys and values in {settings.cache_type}",
        quantization=None if is_plain else {"method": "gguf", "format": opened.head.format},
        vocabulary=vocabulary.tokens,
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
