"""Loads the weights of a local transformers model, checks that they are whole and fit, and describes them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.memory import Free
from clemcore.backends.local.preflight import Verdict, require_room
from clemcore.backends.local.transformers import adapters, fitness, formats, own_config, placing
from clemcore.backends.local.transformers.buffers import restore_buffers
from clemcore.backends.local.transformers.context import stated_context_size
from clemcore.backends.local.transformers.loading import (
    check_attention,
    loading,
    model_class,
    name_outputs,
)
from clemcore.backends.local.transformers.quiet import no_bar_of_conversion
from clemcore.backends.local.transformers.rowwise import ROWWISE
from clemcore.backends.local.weight_files import (
    fault_of,
    folder_of,
    foreign_shards,
    index_of,
    sha256_of_weights,
    weight_files,
)
from clemcore.errors import ModelLoadError, SpecError
from clemcore.spelling import misspelling_of

logger = logging.getLogger(__name__)

# Names that an error shows of those that are concerned.
_SHOWN = 3
# Attention for batches, which a model is given while it computes one.
_OUR_OWN = (ROWWISE,)
# Of each attention with a package of its own, its module and the name of the package.
_FLASH = {
    "flash_attention_2": ("flash_attn", "flash-attn"),
    "flash_attention_3": ("flash_attn_interface", "flash-attn-3"),
    "flash_attention_4": ("flash_attn", "flash-attn-4"),
}


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded.

    Attributes:
        model: the transformers model, with its adapter if there is one.
        facts: what identifies the weights, for the record.
    """

    model: Any
    facts: dict[str, Any]


def load_model(entry: LocalEntry, options: Mapping[str, Any], config: Any = None) -> Loaded:
    """Load the weights and put the model into evaluation mode.

    Args:
        entry: the settings.
        options: what ``from_pretrained`` is given: where to look, and with which rights.
        config: the model's configuration, for the comparison with the memory that is free; None compares nothing.

    Raises:
        ModelLoadError: weights are not there, cannot be read, do not fit, or are not those of the configuration.
        SpecError: the entry asks for a number format, a device or a package that is not there.
    """
    import torch

    if entry.torch_num_threads is not None:
        torch.set_num_threads(entry.torch_num_threads)
    token = options.get("token")
    options = {**options, "dtype": formats.dtype_of(entry), **_attention(entry), **placing.options_of(entry)}
    quantization = formats.quantization_of(entry)
    if quantization is not None:
        options["quantization_config"] = quantization
    if entry.is_folder:
        _check_files(entry, Path(entry.source))
    own_config.check_file(entry)
    if entry.peft_model:
        adapters.check_adapter(entry, config, token)
    if config is not None:
        formats.check_stored_method(entry, config)
        fitness.check(entry, config)
    if config is not None and entry.preflight:
        stated = stated_context_size(config, entry)
        verdict = judge(entry, config, context_size=None if stated is None else stated[0])
        logger.info("model '%s': %s", entry.model_name, verdict.sentence())
        require_room(entry.model_name, verdict, {} if verdict.fits else formats.in_other_formats(entry, config))
    with loading(entry, "weights"), no_bar_of_conversion() if entry.filename else contextlib.nullcontext():
        model, report = model_class(entry).from_pretrained(
            entry.source, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    fitness.check_code(model, entry.model_name)
    _check_report(entry, report)
    placing.check_placement(entry, model)
    restore_buffers(model, entry.model_name)
    name_outputs(model.config)
    facts: dict[str, Any] = {"weights_sha256": _hash(entry, folder_of(entry)), "adapter": None}
    if not entry.preflight:
        facts["preflight"] = False
    offloaded = placing.placement_of(model)
    if offloaded:
        facts["offloaded"] = offloaded
    if entry.peft_model:
        model, facts["adapter"] = adapters.with_adapter(model, entry, token)
    return Loaded(model.eval(), facts)


def judge(entry: LocalEntry, config: Any, free: Free | None = None, context_size: int | None = None) -> Verdict:
    """Compare what a model needs with what is free; no weights are read.

    Args:
        entry: the settings.
        config: the model's configuration.
        free: what is free; by default what is free now on the devices of the entry.
        context_size: tokens that the model can have, or None where that is not known.
    """
    return Verdict(formats.needs_of(entry, config), free or placing.free_for(entry), context_size)


def _hash(entry: LocalEntry, folder: Path | None) -> str | None:
    if folder is None:
        return None
    return sha256_of_weights([folder / entry.filename] if entry.filename else weight_files(folder))


def _check_files(entry: LocalEntry, folder: Path) -> None:
    """Check that files are there and whole before they are read."""
    index = None if entry.filename else index_of(folder)
    files = [folder / entry.filename] if entry.filename else weight_files(folder)
    found = [
        fault_of(path) if path.exists() else f"{path.name} is missing in {folder}: copy or download it"
        for path in [*([] if index is None else [index]), *files]
    ]
    faults = [fault for fault in found if fault]
    if not faults and index is not None:
        faults = foreign_shards(index)
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ModelLoadError(
            f"model '{entry.model_name}': cannot load the weights: {'; '.join(faults[:_SHOWN])}{more}"
        )


def _check_report(entry: LocalEntry, report: Mapping[str, Any]) -> None:
    """Check that the file has all weights of the configuration, in their shapes, and no others.

    transformers would fill missing ones with random numbers and leave out others. It lists some as ignorable; the
    report does not have those.
    """
    where = f"model '{entry.model_name}'"
    wrong = sorted(report["mismatched_keys"])
    if wrong:
        shapes = (f"{name} {list(stored)} instead of {list(wanted)}" for name, stored, wanted in wrong)
        raise ModelLoadError(
            f"{where}: {len(wrong)} weights in '{entry.source}' have other shapes than its configuration says: "
            f"{_first(shapes)}; the configuration does not belong to these weights"
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelLoadError(f"{where}: {len(missing)} weights are missing in '{entry.source}': {_first(missing)}")
    unused = sorted(report["unexpected_keys"])
    if unused:
        raise ModelLoadError(
            f"{where}: {len(unused)} weights in '{entry.source}' would not be used: {_first(unused)}; its "
            "configuration (for example num_hidden_layers) does not belong to these weights"
        )


def _first(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")


def _attention(entry: LocalEntry) -> dict[str, str]:
    if not entry.attn_implementation:
        return {}
    check_attention(entry, entry.attn_implementation)
    _check_known(entry, entry.attn_implementation)
    package = _FLASH.get(entry.attn_implementation)
    # Without the package, transformers would fetch code from the hub.
    if package and not entry.trust_remote_code:
        formats.require_package(entry, package[0], f"attn_implementation '{entry.attn_implementation}'", package[1])
    return {"attn_implementation": entry.attn_implementation}


def _check_known(entry: LocalEntry, attention: str) -> None:
    """Refuse attention that the library does not have.

    Raises:
        SpecError: it is not there.
    """
    from transformers import AttentionInterface

    known = ["eager", *(name for name in sorted(AttentionInterface().valid_keys()) if name not in _OUR_OWN)]
    if "/" in attention or attention in known:
        return
    near = misspelling_of(attention, known)
    hint = f"did you mean {near!r}?" if near else f"choose one of {', '.join(n for n in known if '|' not in n)}"
    raise SpecError(
        f"model '{entry.model_name}': attn_implementation '{attention}' is not one that transformers has: {hint}"
    )
