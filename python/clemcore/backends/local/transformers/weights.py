"""Loads the weights of a local transformers model, checks that they are whole, and describes them.

Weights go to CUDA devices where there are any, else to the CPU.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.backends.base import require
from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.transformers.loading import check_attention, loading
from clemcore.backends.local.weight_files import (
    downloaded_folder,
    fault_of,
    folder_of,
    sha256_of_weights,
    weight_files,
)
from clemcore.errors import ModelLoadError, SpecError

# Names that an error shows of those that are concerned.
_SHOWN = 3
_FLASH = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}


@dataclass(frozen=True)
class Loaded:
    """A model that was loaded.

    Attributes:
        model: the transformers model, with its adapter if there is one.
        facts: what identifies the weights, for the record.
    """

    model: Any
    facts: dict[str, Any]


def load_model(entry: LocalEntry, options: Mapping[str, Any]) -> Loaded:
    """Load the weights and put the model into evaluation mode.

    Raises:
        ModelLoadError: weights are not there, cannot be read, or are not those of the configuration.
        SpecError: the entry asks for a number format or a package that is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if entry.torch_num_threads is not None:
        torch.set_num_threads(entry.torch_num_threads)
    token = options.get("token")
    options = {**options, "dtype": _dtype(entry, torch), **_attention(entry)}
    if entry.load_in_4bit or entry.load_in_8bit:
        options["quantization_config"] = _quantization(entry)
    if torch.cuda.is_available():
        require("accelerate", backend="huggingface_local", extra="huggingface")
        options["device_map"] = "auto"
    if entry.is_folder:
        _check_files(entry, Path(entry.source))
    with loading(entry, "weights"):
        model, report = AutoModelForCausalLM.from_pretrained(
            entry.source, output_loading_info=True, ignore_mismatched_sizes=True, **options
        )
    _check_report(entry, report)
    facts: dict[str, Any] = {"weights_sha256": _hash(folder_of(entry)), "adapter": None}
    if entry.peft_model:
        adapter = Path(entry.peft_model)
        if adapter.is_dir():
            _check_files(entry, adapter)
        model = _with_adapter(model, entry, token)
        folder = adapter if adapter.is_dir() else downloaded_folder(entry.peft_model, "adapter_config.json")
        digest = _hash(folder)
        facts["adapter"] = {"source": entry.peft_model, "weights_sha256": digest}
    return Loaded(model.eval(), facts)


def _hash(folder: Path | None) -> str | None:
    return None if folder is None else sha256_of_weights(weight_files(folder))


def _check_files(entry: LocalEntry, folder: Path) -> None:
    """Check that files are whole before they are read; a file that is not there is found by transformers."""
    for path in weight_files(folder):
        fault = fault_of(path) if path.exists() else None
        if fault:
            raise ModelLoadError(f"model '{entry.model_name}': cannot load the weights: {fault}")


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


def _dtype(entry: LocalEntry, torch: Any) -> Any:
    if entry.dtype == "auto":
        return "auto"
    dtype = getattr(torch, entry.dtype.removeprefix("torch."), None)
    # Models do not compute in the floats of one byte, nor in integers.
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point or dtype.itemsize == 1:
        raise SpecError(
            f"model '{entry.model_name}': dtype must be 'auto' or one of torch's, like 'float32' or 'bfloat16', "
            f"not {entry.dtype!r}"
        )
    return dtype


def _attention(entry: LocalEntry) -> dict[str, str]:
    if not entry.attn_implementation:
        return {}
    check_attention(entry, entry.attn_implementation)
    package = _FLASH.get(entry.attn_implementation)
    # Without the package, transformers would fetch code from the hub.
    if package and not entry.trust_remote_code:
        _require_package(entry, package, f"attn_implementation '{entry.attn_implementation}'", "flash-attn")
    return {"attn_implementation": entry.attn_implementation}


def _quantization(entry: LocalEntry) -> Any:
    _require_package(entry, "bitsandbytes", "load_in_4bit" if entry.load_in_4bit else "load_in_8bit")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=entry.load_in_4bit, load_in_8bit=entry.load_in_8bit)


def _with_adapter(model: Any, entry: LocalEntry, token: str | None) -> Any:
    _require_package(entry, "peft", "peft_model")
    peft = importlib.import_module("peft")
    with loading(entry, f"adapter {entry.peft_model}"):
        return peft.PeftModel.from_pretrained(model, entry.peft_model, token=token)


def _require_package(entry: LocalEntry, module: str, setting: str, package: str | None = None) -> None:
    if importlib.util.find_spec(module) is None:
        package = package or module
        raise SpecError(
            f"model '{entry.model_name}': {setting} needs the package '{package}': pip install {package}"
        )
