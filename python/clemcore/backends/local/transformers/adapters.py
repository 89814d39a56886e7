"""Adapters of PEFT: checked against the model before its weights are read, then put upon it."""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import warnings
from pathlib import Path
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.failures import reason_of
from clemcore.backends.local.hub import hub_fault
from clemcore.backends.local.transformers.formats import require_package
from clemcore.backends.local.transformers.loading import loading, model_class
from clemcore.backends.local.transformers.quiet import quietly
from clemcore.backends.local.transformers.skeleton import Skeleton
from clemcore.backends.local.weight_files import (
    downloaded_folder,
    fault_of,
    sha256_of_weights,
    shapes_of,
    weight_files,
)
from clemcore.errors import ModelLoadError, TemplateError
from clemcore.prompts.templates.sources import read_template

logger = logging.getLogger(__name__)

_PREFIX = "base_model.model."
# What is in the names of the weights of a LoRA adapter.
_LORA = ".lora_"
# How many names a message shows.
_SHOWN = 2


def check_adapter(entry: LocalEntry, config: Any, token: str | None = None) -> None:
    """Check that an adapter is there and whole, and that its weights have the shapes that the model's layers need.

    Of an adapter that comes from the hub, the configuration is fetched; PEFT checks the rest.

    Args:
        entry: the settings; it names an adapter.
        config: the model's configuration, or None where it is not known.
        token: the key for the hub, or None.

    Raises:
        ModelLoadError: it is not.
        SpecError: peft is not installed.
    """
    require_package(entry, "peft", "peft_model")
    folder = Path(str(entry.peft_model))
    if not folder.is_dir():
        _check_on_hub(entry, token)
        return
    where = f"model '{entry.model_name}': peft_model '{folder}'"
    try:
        made_for = json.loads((folder / "adapter_config.json").read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as fault:
        raise ModelLoadError(
            f"{where} has no adapter_config.json that can be read ({fault}): name the folder that PEFT has saved"
        ) from fault
    for path in weight_files(folder):
        broken = fault_of(path)
        if broken:
            raise ModelLoadError(f"model '{entry.model_name}': cannot load the adapter: {broken}")
    wrong = None if config is None else _misfit(entry, config, folder)
    if wrong is not None:
        if made_for == entry.source:
            raise ModelLoadError(f"{where} does not fit the model: {wrong}; save or download the adapter again")
        raise ModelLoadError(
            f"{where} was made for another model ('{made_for}'), not for '{entry.source}': {wrong}; name the model "
            "that it was trained on in huggingface_id"
        )


def _check_on_hub(entry: LocalEntry, token: str | None) -> None:
    """Fetch the configuration of an adapter, before anything large is read."""
    from huggingface_hub import hf_hub_download

    source = str(entry.peft_model)
    try:
        with quietly():
            hf_hub_download(source, "adapter_config.json", token=token)
    except Exception as error:
        of_adapter = dataclasses.replace(entry, source=source, is_folder=False, revision=None, filename=None)
        known = hub_fault(of_adapter, "adapter", error) or f"cannot load the adapter {source}: {reason_of(error)}"
        raise ModelLoadError(f"model '{entry.model_name}': {known}") from error


def _misfit(entry: LocalEntry, config: Any, folder: Path) -> str | None:
    """Return which layer an adapter does not fit, or None."""
    shapes = {name: shape for path in weight_files(folder) for name, shape in shapes_of(path).items()}
    try:
        model = Skeleton(
            config, None, trust_remote_code=entry.trust_remote_code, model_class=model_class(entry)
        ).model
    except Exception:  # noqa: BLE001 - then PEFT finds out
        return None
    modules = dict(model.named_modules())
    for name, shape in shapes.items():
        layer, _, part = name.removeprefix(_PREFIX).partition(".lora_")
        if part not in ("A.weight", "B.weight"):
            continue
        module = modules.get(layer)
        if module is None:
            return f"the model has no layer '{layer}'"
        side = "in_features" if part.startswith("A") else "out_features"
        wide, has = getattr(module, side, None), shape[1] if part.startswith("A") else shape[0]
        if wide is not None and wide != has:
            return f"its '{layer}' has {side} {has}, and the model's has {wide}"
    return None


def with_adapter(model: Any, entry: LocalEntry, token: str | None) -> tuple[Any, dict[str, Any]]:
    """Put the adapter of an entry upon a model.

    Args:
        model: the transformers model.
        entry: the settings; it names an adapter.
        token: the key for the hub, or None.

    Returns:
        The PEFT model, and what identifies the adapter, for the record.

    Raises:
        ModelLoadError: it cannot be loaded, or not all of it.
    """
    require_package(entry, "peft", "peft_model")
    peft = importlib.import_module("peft")
    with loading(entry, f"adapter {entry.peft_model}"), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(model, entry.peft_model, token=token)
    adapter = Path(str(entry.peft_model))
    folder = adapter if adapter.is_dir() else downloaded_folder(str(entry.peft_model), "adapter_config.json")
    files = [] if folder is None else weight_files(folder)
    _check_all_is_used(entry, model, files, _pass_on(said))
    return model, {"source": entry.peft_model, "weights_sha256": sha256_of_weights(files) if files else None}


def warn_of_template(entry: LocalEntry, used: str) -> None:
    """Warn of an adapter that comes with another chat template than the one that is used.

    An adapter is often trained with a template of its own, which is saved beside it.

    Args:
        entry: the settings; it may name an adapter.
        used: the text of the template that is used.
    """
    if not entry.peft_model or (entry.custom_chat_template and not entry.premade_chat_template):
        return
    adapter = Path(entry.peft_model)
    folder = adapter if adapter.is_dir() else downloaded_folder(entry.peft_model, "adapter_config.json")
    try:
        own = None if folder is None else read_template(folder).text
    except TemplateError:  # it has none
        return
    if own is not None and own != used:
        logger.warning(
            "model '%s': peft_model '%s' comes with another chat template than the model, and prompts are made by "
            "that of the model: if the adapter was trained with its own, set model_config.premade_chat_template to "
            "false and custom_chat_template to '%s'",
            entry.model_name,
            entry.peft_model,
            folder,
        )


def _pass_on(said: list[warnings.WarningMessage]) -> bool:
    """Repeat warnings of PEFT that are of use; return whether it said that weights are missing."""
    is_missing = False
    for each in said:
        if "missing adapter keys" in str(each.message):
            is_missing = True
        elif not issubclass(each.category, FutureWarning):  # PEFT calls transformers by older names
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return is_missing


def _check_all_is_used(entry: LocalEntry, model: Any, files: list[Path], is_missing: bool) -> None:
    """Refuse an adapter that PEFT loaded in part: it leaves new layers without effect, and skips what has no place.

    Raises:
        ModelLoadError: LoRA weights are missing in its files, or would not be used.
    """
    has = {name for path in files for name in shapes_of(path) if _LORA in name}
    needs = {name.replace(".default", "") for name in model.state_dict() if _LORA in name}
    where = f"model '{entry.model_name}': peft_model '{entry.peft_model}'"
    if is_missing:
        raise ModelLoadError(
            f"{where} is not whole: weights are missing{_some(needs - has)}, so it would have no effect there; "
            "save or download the adapter again"
        )
    # Numbers, not names: PEFT renames the weights of some models.
    if len(has) > len(needs):
        raise ModelLoadError(
            f"{where} has weights that would not be used{_some(has - needs)}: its adapter_config.json (for example "
            "target_modules) does not belong to its weights; save or download the adapter again"
        )


def _some(names: set[str]) -> str:
    """Return the first of some names in brackets, or nothing."""
    first = sorted(names)[:_SHOWN]
    return f" ({', '.join(first)}{', …' if len(names) > len(first) else ''})" if first else ""
