"""Loads tokenizer and configuration of a local transformers model, and finds its context size.

The cheap parts come first, so that a wrong entry fails before gigabytes are read. This module knows how to load,
not what the model is used for.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.hub import hub_fault
from clemcore.backends.local.transformers.description import library_versions
from clemcore.backends.local.transformers.known_faults import cause_of
from clemcore.backends.local.transformers.quiet import progress_on_terminals_only, quietly
from clemcore.backends.local.transformers.tokenizer_file import SAMPLES, check_against_file
from clemcore.backends.local.weight_files import fault_of, folder_of
from clemcore.errors import MissingExtraError, ModelLoadError, SpecError
from clemcore.keys import KeyRegistry

logger = logging.getLogger(__name__)

# Fields of a configuration that say how often a module is built, and the most that they may say.
_COUNTS = re.compile(r"(layers?|experts|depth|blocks)$")
_MOST = 10_000
# How transformers names attention that reads pages of a cache.
_PAGED = "paged|"


def hub_options(entry: LocalEntry, *, need_key: bool = True) -> dict[str, Any]:
    """Return what every ``from_pretrained`` of this model is given: where to look, and with which rights.

    Args:
        entry: the settings.
        need_key: False leaves a required key out where there is none.

    Raises:
        MissingKeyError: the entry requires a key and there is none.
    """
    # Left out, transformers would ask on standard input whether code of the model may run.
    options: dict[str, Any] = {"trust_remote_code": entry.trust_remote_code}
    if entry.revision:
        options["revision"] = entry.revision
    if entry.is_folder:
        # Nothing of a folder is ever to be looked up in the hub.
        options["local_files_only"] = True
    if entry.filename:
        options["gguf_file"] = entry.filename
    if entry.requires_api_key:
        keys = KeyRegistry.from_json()
        if need_key or keys.find("huggingface") is not None:
            options["token"] = keys.get_key_for("huggingface")["api_key"]
    return options


@contextlib.contextmanager
def without_the_hub() -> Iterator[None]:
    """Use only files that are on this machine within the block, for every thread.

    ``local_files_only`` is not enough: the hub's library sends requests of its own beside those for files.
    """
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def load_config(entry: LocalEntry, options: Mapping[str, Any]) -> Any:
    """Load the configuration.

    Raises:
        ModelLoadError: it is not there or cannot be read.
    """
    folder = Path(entry.source)
    if entry.is_folder and not entry.filename and not (folder / "config.json").is_file():
        what = (
            "it holds an adapter: name the model in huggingface_id and this folder in model_config.peft_model"
            if (folder / "adapter_config.json").is_file()
            else "copy or download the model's configuration into it, or name the folder of a model"
        )
        raise ModelLoadError(
            f"model '{entry.model_name}': cannot load the configuration of '{folder}': it has no config.json: "
            f"{what}"
        )
    if entry.is_folder and entry.filename:
        fault = fault_of(folder / entry.filename)
        if fault:
            raise ModelLoadError(f"model '{entry.model_name}': cannot load the configuration: {fault}")
    _check_stored(entry)
    from transformers import AutoConfig

    with loading(entry, "configuration"):
        config = AutoConfig.from_pretrained(entry.source, **options)
    name_outputs(config)
    check_attention(entry, getattr(config, "_attn_implementation", None))
    check_sees(entry, config)
    return config


def _check_stored(entry: LocalEntry) -> None:
    """Refuse a number of layers or experts that no model has, and a number format that torch does not have.

    Modules are built for layers before weights are read; of a format, the library names neither file nor field.

    Raises:
        ModelLoadError: ``config.json`` has one.
    """
    folder = folder_of(entry)
    try:
        stored = {} if folder is None else json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return  # whoever loads it says so
    # Those of its parts may be for code of their own.
    field = "dtype" if isinstance(stored, dict) and stored.get("dtype") is not None else "torch_dtype"
    _check_format(entry, field, stored.get(field) if isinstance(stored, dict) else None)
    for name, value in _numbers(stored):
        if _COUNTS.search(name) and value > _MOST:
            raise ModelLoadError(
                f"model '{entry.model_name}': config.json of '{entry.source}' has {name} {value}: no model has "
                f"more than {_MOST}; copy or download it again"
            )


def _check_format(entry: LocalEntry, field: str, name: Any) -> None:
    import torch

    if name is not None and not (isinstance(name, str) and isinstance(getattr(torch, name, None), torch.dtype)):
        raise ModelLoadError(
            f"model '{entry.model_name}': config.json of '{entry.source}' has the {field} {name!r:.60}, which "
            "torch does not have: correct it there, for example to 'bfloat16'"
        )


def _numbers(stored: Any) -> Iterator[tuple[str, float]]:
    if isinstance(stored, dict):
        for name, value in stored.items():
            if isinstance(value, (int, float)):
                yield name, value
            else:
                yield from _numbers(value)


def name_outputs(config: Any) -> None:
    """Have a model's code return outputs with names, as callers expect; a file may say ``return_dict`` false.

    Args:
        config: the configuration that the modules have; it is changed, with its parts.
    """
    config.return_dict = True
    for part in getattr(config, "sub_configs", {}):
        if getattr(config, part, None) is not None:
            name_outputs(getattr(config, part))


def check_attention(entry: LocalEntry, attention: Any) -> None:
    """Refuse attention that is code from the hub, unless the entry consents to such code, and that of batches.

    Raises:
        SpecError: it names a repository, or what continuous batching computes with.
    """
    if not isinstance(attention, str):
        return
    what = f"model '{entry.model_name}': attn_implementation '{attention}'"
    if attention.startswith(_PAGED):
        raise SpecError(
            f"{what} is for continuous batching alone, which clemcore sets up by itself: write "
            f"'{attention.removeprefix(_PAGED)}'"
        )
    if "/" in attention and not entry.trust_remote_code:
        raise SpecError(
            f"{what} is code from the hub, which is not run without your consent: read it, then set "
            "model_config.trust_remote_code to true"
        )


def load_processor(entry: LocalEntry, options: Mapping[str, Any]) -> Any:
    """Load the processor of a vision-language model.

    Raises:
        MissingExtraError: Pillow is not installed.
        ModelLoadError: it is not there or cannot be read, or it is one for texts alone.
    """
    if importlib.util.find_spec("PIL") is None:
        raise MissingExtraError("huggingface_local", "vision", "PIL")
    from transformers import AutoProcessor

    with loading(entry, "processor"):
        processor = AutoProcessor.from_pretrained(entry.source, **options)
    if getattr(processor, "tokenizer", None) is None or getattr(processor, "image_processor", None) is None:
        raise ModelLoadError(
            f"model '{entry.model_name}': '{entry.source}' has no processor for images and texts (found: "
            f"{type(processor).__name__}): remove model_config.multimodal, or download processor_config.json and "
            "preprocessor_config.json of the model"
        )
    return processor


def model_class(entry: LocalEntry) -> Any:
    """Return the class of transformers that loads a model: one that sees, or one for texts.

    Args:
        entry: the settings.
    """
    import transformers

    return transformers.AutoModelForImageTextToText if entry.multimodal else transformers.AutoModelForCausalLM


def check_sees(entry: LocalEntry, config: Any) -> None:
    """Refuse a configuration that belongs to another kind of model than the entry wants.

    Raises:
        SpecError: the model sees and the entry wants one for texts, or the reverse.
        ModelLoadError: the model does not continue a text.
    """
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMaskedLM

    def knows(kind: Any) -> bool:
        return type(config) in kind._model_mapping or kind.__name__ in (getattr(config, "auto_map", None) or {})

    sees, reads = knows(AutoModelForImageTextToText), knows(AutoModelForCausalLM)
    name, where = type(config).__name__, f"model '{entry.model_name}'"
    fills_gaps = knows(AutoModelForMaskedLM) and not getattr(config, "is_decoder", False)
    if getattr(config, "is_encoder_decoder", False) or fills_gaps or not (sees or reads):
        kind = "fills gaps in a text" if fills_gaps else "is not one that continues a text"
        if getattr(config, "is_encoder_decoder", False):
            kind = "has an encoder beside its decoder"
        raise ModelLoadError(
            f"{where}: the model in '{entry.source}' {kind} ({name}), so it is not a chat model of this backend: "
            "choose a model that transformers loads with AutoModelForCausalLM"
        )
    if entry.multimodal and not sees and reads:
        raise SpecError(
            f"{where}: model_config.multimodal is true, but transformers has no vision-language model for its "
            f"configuration ({name}): {_instead(entry)}, or serve the model and use the backend openai_compatible"
        )
    if not entry.multimodal and sees and not reads:
        raise SpecError(
            f"{where}: its configuration ({name}) is that of a vision-language model: set "
            "model_config.multimodal to true, also for dialogues without images"
        )


def _instead(entry: LocalEntry) -> str:
    """Say what to load in place of a model that the library cannot load as one that sees."""
    if entry.trust_remote_code:
        return "its own code offers none; choose a copy of it in transformers' own format (often named '…-hf')"
    return "remove the setting"


def load_tokenizer(entry: LocalEntry, options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any] | None]:
    """Load the tokenizer, and return how it differs from its own file, if it does.

    Raises:
        ModelLoadError: it is not there, cannot be read, or loses blanks that its file keeps.
    """
    from transformers import AutoTokenizer

    if entry.slow_tokenizer:
        logger.warning(
            "model '%s': slow_tokenizer has no effect: transformers 5 has one tokenizer per model",
            entry.model_name,
        )
    if not entry.filename:
        with loading(entry, "tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(entry.source, **options)
        switch_off_chance(tokenizer, entry.model_name)
        return tokenizer, check_against_file(tokenizer, folder_of(entry), entry.model_name)
    with loading(entry, "tokenizer"):
        if not (entry.is_folder and (Path(entry.source) / "tokenizer.json").exists()):
            return AutoTokenizer.from_pretrained(entry.source, **options), None
        with tempfile.TemporaryDirectory() as alone:  # beside tokenizer.json, that of the file is not read
            (Path(alone) / entry.filename).symlink_to((Path(entry.source) / entry.filename).absolute())
            of_file = AutoTokenizer.from_pretrained(alone, **options)
        own = AutoTokenizer.from_pretrained(
            entry.source, **{name: value for name, value in options.items() if name != "gguf_file"}
        )
        switch_off_chance(own, entry.model_name)
        _check_same_ids(entry, own, of_file)
        return own, check_against_file(own, Path(entry.source), entry.model_name)


def switch_off_chance(tokenizer: Any, name: str) -> None:
    """Have a tokenizer cut equal texts in equal ways; a ``tokenizer.json`` may still have the dropout of training.

    Args:
        tokenizer: the transformers tokenizer; it is changed.
        name: the model's name, for the warning.
    """
    model = getattr(getattr(tokenizer, "backend_tokenizer", None), "model", None)
    dropout = getattr(model, "dropout", None)
    if model is not None and dropout:
        model.dropout = None
        logger.warning(
            "model '%s': its tokenizer.json has a dropout of %g, by which a text is cut at random, for training; "
            "it is switched off",
            name,
            dropout,
        )


def _check_same_ids(entry: LocalEntry, own: Any, of_file: Any) -> None:
    """Prove that a GGUF file has the tokenizer that its folder has.

    Raises:
        ModelLoadError: the two differ.
    """
    names = own.get_vocab(), of_file.get_vocab()
    # The file's may have more: transformers adds tokens that it expects.
    differing = sorted(pair for pair in names[0].items() if names[1].get(pair[0]) != pair[1])
    # Numbers, spaces, line ends, scripts and control tokens are what tokenizers cut in different ways.
    texts = [*SAMPLES, "".join(map(str, own.added_tokens_decoder.values())), own.chat_template or ""]
    for text in [] if differing else texts:
        if own(text, add_special_tokens=False).input_ids != of_file(text, add_special_tokens=False).input_ids:
            differing = [(text[:40], 0)]
            break
    if differing:
        raise ModelLoadError(
            f"model '{entry.model_name}': {entry.filename} has another tokenizer than tokenizer.json in "
            f"{entry.source} (they differ at {differing[0][0]!r}): remove the files that do not belong together"
        )


@contextlib.contextmanager
def loading(entry: LocalEntry, what: str) -> Iterator[None]:
    """Show nothing but progress on a terminal, and turn whatever the library raises into one error of ours.

    Args:
        entry: the settings.
        what: the part that is loaded, as ``weights``.
    """
    logger.info("model '%s': loading %s of %s", entry.model_name, what, entry.source)
    try:
        with quietly(), progress_on_terminals_only():
            yield
    except Exception as error:
        if not entry.trust_remote_code and "trust_remote_code" in str(error):
            raise ModelLoadError(
                f"model '{entry.model_name}': the {what} of '{entry.source}' needs code that comes with the model, "
                "which is not run without your consent: read it, then set model_config.trust_remote_code to true"
            ) from error
        known = hub_fault(entry, what, error)
        if known is not None:
            raise ModelLoadError(f"model '{entry.model_name}': {known}") from error
        folder = folder_of(entry)
        cause = None if folder is None else cause_of(folder, what, error, library_versions()["tokenizers"])
        if cause is not None:
            raise ModelLoadError(
                f"model '{entry.model_name}': cannot load the {what} of '{entry.source}': {cause}"
            ) from error
        step = f"cannot load the {what} of '{entry.source}'"
        raise wrapped(error, ModelLoadError, entry.model_name, step, library_versions()) from error
