"""Opens the front of a transformers model: entry, tokenizer, configuration, chat template; no weights.

Models of one entry share tokenizer, template and proof for as long as one of them is in use and its files stay as
they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from clemcore.backends.local.entry import LocalEntry, read_entry
from clemcore.backends.local.frontend import Frontend, Script
from clemcore.backends.local.transformers import loading
from clemcore.backends.local.transformers.context import find_context_size
from clemcore.backends.local.transformers.identity import state_of_files
from clemcore.backends.local.transformers.sight import ProcessorSight
from clemcore.backends.local.transformers.tokenizer_file import check_against_file
from clemcore.backends.local.weight_files import folder_of
from clemcore.diagnosis import sends_nothing
from clemcore.errors import SpecError, TemplateError
from clemcore.files import cache_dir
from clemcore.prompts.templates.sources import read_setting
from clemcore.registry.spec import ModelSpec

# What is in use, by the settings, the state of the files and the template, and the folder in which proofs are kept.
_scripts: WeakValueDictionary[tuple[str, str, str], Script] = WeakValueDictionary()


def frontend_of(spec: ModelSpec) -> Frontend:
    """Open the front of a model whose weights are not needed; a key that is not there is no error.

    Raises:
        SpecError: the entry has a setting that is wrong or not honoured.
        ModelLoadError: tokenizer or configuration are not there or cannot be read.
        TemplateError: the chat template has a fault.
    """
    entry = read_entry(spec)
    with loading.without_the_hub() if sends_nothing() else contextlib.nullcontext():
        return open_frontend(entry, loading.hub_options(entry, need_key=False))


def open_frontend(entry: LocalEntry, options: Mapping[str, Any]) -> Frontend:
    """Open the front of a model.

    Args:
        entry: the settings.
        options: what ``from_pretrained`` is given.
    """
    config = loading.load_config(entry, options)
    script = _script(entry, options, config)
    return Frontend(entry, script, config, find_context_size(config, entry, script.tokenizer))


def _script(entry: LocalEntry, options: Mapping[str, Any], config: Any) -> Script:
    state = state_of_files(entry, config)
    if state is None:
        return _new_script(entry, options)
    key = repr(entry), repr((state, _custom_template(entry))), str(cache_dir())
    script = _scripts.get(key)
    return script if script is not None else _scripts.setdefault(key, _new_script(entry, options))


def _new_script(entry: LocalEntry, options: Mapping[str, Any]) -> Script:
    if not entry.multimodal:
        tokenizer, difference = loading.load_tokenizer(entry, options)
        return Script(tokenizer, choose_template(tokenizer, entry), entry, difference=difference)
    processor = loading.load_processor(entry, options)
    owner = processor if processor.chat_template is not None else processor.tokenizer
    sight = ProcessorSight(processor, entry.model_name)
    loading.switch_off_chance(processor.tokenizer, entry.model_name)
    difference = check_against_file(processor.tokenizer, folder_of(entry), entry.model_name)
    return Script(processor.tokenizer, choose_template(owner, entry), entry, sight, difference)


def choose_template(tokenizer: Any, entry: LocalEntry) -> str:
    """Return the text of the template that an entry asks for.

    Args:
        tokenizer: a transformers tokenizer or processor, with the template that came with the model, if any.
        entry: the settings.

    Raises:
        SpecError: the entry asks for a template that the model does not have.
        TemplateError: the entry names a file that has no template.
    """
    custom = _custom_template(entry)
    return _premade_template(tokenizer, entry) if custom is None else custom


def _custom_template(entry: LocalEntry) -> str | None:
    """Return the text of the template that the entry itself gives, or None."""
    if not entry.custom_chat_template or entry.premade_chat_template:
        return None
    try:
        return read_setting(entry.custom_chat_template).text
    except TemplateError as fault:
        raise TemplateError(f"model '{entry.model_name}': {fault}") from None


def _premade_template(tokenizer: Any, entry: LocalEntry) -> str:
    """Return the text of the template that came with a model; an entry may choose one of several."""
    name, language, premade = entry.model_name, entry.chat_template_language, tokenizer.chat_template
    if premade is None:
        folder = folder_of(entry)
        older = None if folder is None else folder / "chat_template.json"
        has = older is not None and older.is_file()
        raise SpecError(
            f"model '{name}' comes without a chat template"
            + (f" that a tokenizer reads: {older} is the file of a processor" if has else "")
            + ": set model_config.premade_chat_template to false and "
            + (f"custom_chat_template to '{older}'" if has else "give a custom_chat_template")
        )
    if isinstance(premade, dict):
        wanted = language or "default"
        if wanted not in premade:
            key = "model_config.chat_template_language"
            raise SpecError(f"model '{name}': {key} must be one of {', '.join(premade)}")
        return str(premade[wanted])
    if not isinstance(premade, str):
        raise TemplateError(
            f"model '{name}': the chat_template of its tokenizer_config.json must be a text, not {premade!r}: "
            "correct it"
        )
    if language:
        raise SpecError(f"model '{name}' comes with one chat template: remove chat_template_language")
    return premade
