"""The format of a model's weights: number format and quantization, as an entry wants them; and what they then need.

It reads configurations, and of weight files their heads at most.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import inspect
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.failures import reason_of
from clemcore.backends.local.needs import LayerState, Needs
from clemcore.backends.local.transformers.loading import model_class
from clemcore.backends.local.transformers.quiet import quietly
from clemcore.backends.local.transformers.skeleton import Skeleton
from clemcore.backends.local.weight_files import first_format, folder_of, sizes_of, weight_files
from clemcore.errors import ModelLoadError, SpecError
from clemcore.spelling import misspelling_of

logger = logging.getLogger(__name__)

# What tokenizer, template and the libraries' buffers take beside the weights; measured with the demo's model.
RUNTIME = 64_000_000
# How many tokens are taken to be fed at once where the entry does not say it.
PIECE = 512
# The formats of 4 bits that bitsandbytes has.
_FOUR_BITS = ("nf4", "fp4")


def dtype_of(entry: LocalEntry) -> Any:
    """Return the number format that an entry asks for, as torch's or ``auto``.

    Raises:
        SpecError: models do not compute in it.
    """
    import torch

    if entry.dtype == "auto":
        return "auto"
    dtype = getattr(torch, entry.dtype.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype) or not _computes_in(dtype):
        hint = " (for int8 set load_in_8bit)" if entry.dtype.removeprefix("torch.") == "int8" else ""
        raise SpecError(
            f"model '{entry.model_name}': dtype must be 'auto' or one of torch's, like 'float32' or 'bfloat16', "
            f"not {entry.dtype!r}{hint}"
        )
    return dtype


def _computes_in(dtype: Any) -> bool:
    """Tell whether models compute in a format: not in floats of one byte, nor in integers."""
    return bool(dtype.is_floating_point) and dtype.itemsize > 1


def quantization_of(entry: LocalEntry) -> Any:
    """Return transformers' configuration of the quantization that an entry asks for, or None.

    Raises:
        SpecError: settings contradict each other, the method is unknown, or its package is not installed.
    """
    name = entry.model_name
    asked = [key for key in ("load_in_8bit", "load_in_4bit", "quantization_config") if getattr(entry, key)]
    if not asked:
        return None
    if len(asked) > 1:
        raise SpecError(f"model '{name}': {' and '.join(asked)} exclude each other: keep one of them")
    settings = dict(entry.quantization_config or {asked[0]: True})
    method = settings.get("quant_method", "bitsandbytes")
    if not isinstance(method, str):
        raise SpecError(f"model '{name}': quantization_config.quant_method must be a text, not {method!r:.60}")
    if method.startswith("bitsandbytes"):
        require_package(entry, "bitsandbytes", asked[0])
    from transformers.quantizers.auto import AutoQuantizationConfig

    if entry.quantization_config:
        _check_fields(name, settings)
        if not settings.keys() & {"quant_method", "load_in_4bit", "load_in_8bit"}:
            raise SpecError(
                f"model '{name}': quantization_config does not say how: add quant_method, such as 'torchao', or "
                "for bitsandbytes load_in_4bit or load_in_8bit"
            )
    try:
        return AutoQuantizationConfig.from_dict(settings)
    except Exception as error:
        raise SpecError(
            f"model '{name}': quantization_config is not one that transformers knows: {reason_of(error)}"
        ) from error


def _check_fields(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse misspelt fields, which transformers drops, and a kind of 4 bits that fails when weights are converted.

    Raises:
        SpecError: there is one.
    """
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    method = settings.get("quant_method", "bitsandbytes_4bit")
    kind = AUTO_QUANTIZATION_CONFIG_MAPPING.get("bitsandbytes_4bit" if method == "bitsandbytes" else method)
    if kind is None:
        return  # whoever makes the configuration says which methods there are
    known = {"quant_method", *(part for base in kind.__mro__ for part in _parameters_of(base))}
    for field in settings:
        # A configuration that was saved has fields like _load_in_4bit beside those that it was made from.
        near = None if field.startswith("_") else misspelling_of(field, known)
        if near is not None:
            raise SpecError(f"model '{name}': quantization_config has no {field!r}: did you mean {near!r}?")
    four = settings.get("bnb_4bit_quant_type", _FOUR_BITS[0])
    if four not in _FOUR_BITS:
        raise SpecError(
            f"model '{name}': quantization_config.bnb_4bit_quant_type must be "
            f"{' or '.join(map(repr, _FOUR_BITS))}, not {four!r}"
        )


def _parameters_of(kind: Any) -> Iterator[str]:
    found = inspect.signature(kind.__init__).parameters.values() if "__init__" in vars(kind) else ()
    yield from (each.name for each in found if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL))


def check_stored_method(entry: LocalEntry, config: Any) -> None:
    """Refuse a checkpoint with a quantization that the library does not know: it would read it as if it had none.

    Raises:
        ModelLoadError: its ``config.json`` says no method, or one that is unknown.
    """
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

    stored = getattr(config, "quantization_config", None)
    if stored is None or entry.filename:
        return
    fields = stored if isinstance(stored, dict) else stored.to_dict()
    method = getattr(fields.get("quant_method"), "value", fields.get("quant_method"))
    known = sorted(map(str, AUTO_QUANTIZATION_CONFIG_MAPPING))
    if method is None and (fields.get("load_in_8bit") or fields.get("load_in_4bit")):
        return  # as bitsandbytes wrote it before it had a name
    if method not in known:
        said = "does not say its quant_method" if method is None else f"says quant_method {method!r}"
        raise ModelLoadError(
            f"model '{entry.model_name}': config.json of '{entry.source}' {said}, so its weights cannot be read: "
            f"known are {', '.join(known)}; take another checkpoint, or a transformers that knows it"
        )


def quantizer_of(entry: LocalEntry, config: Any) -> Any:
    """Return what quantizes the weights, or knows how the checkpoint is quantized; None for neither.

    Raises:
        ModelLoadError: a package that the checkpoint needs is not installed, or it cannot be loaded here.
        SpecError: as for :func:`quantization_of`.
    """
    from transformers.quantizers.auto import get_hf_quantizer

    wanted = quantization_of(entry)
    if entry.filename:
        return None
    try:
        with quietly():
            return get_hf_quantizer(copy.deepcopy(config), wanted, None, True, {})[0]
    except Exception as error:
        stored = getattr(config, "quantization_config", None) or {}
        fields = stored if isinstance(stored, dict) else stored.to_dict()
        method = str(getattr(fields.get("quant_method"), "value", fields.get("quant_method")) or "as asked")
        why = f"a package is missing: {error}" if isinstance(error, ImportError) else reason_of(error)
        raise ModelLoadError(
            f"model '{entry.model_name}': weights that are quantized ({method}) cannot be loaded here: {why}"
        ) from error


def needs_of(entry: LocalEntry, config: Any, tokens: int | None = None) -> Needs:
    """Return what a model needs in memory.

    Args:
        entry: the settings.
        config: the model's configuration.
        tokens: how many tokens are fed at once, or None for what the entry says.

    Raises:
        ModelLoadError: as for :func:`quantizer_of`.
        SpecError: the entry asks for a format that is not there.
    """
    wanted = dtype_of(entry)
    dtype = _stored_dtype(entry, config) if wanted == "auto" else wanted
    quantizer = quantizer_of(entry, config)
    if wanted == "auto" and quantizer is None and not _computes_in(dtype):
        raise ModelLoadError(
            f"model '{entry.model_name}': config.json of '{entry.source}' has the dtype "
            f"'{str(dtype).removeprefix('torch.')}', in which models do not compute: say another one in the "
            "entry's dtype, like 'bfloat16'"
        )
    words = _words(dtype, quantizer)
    try:
        skeleton = _skeleton(entry, config, dtype, quantizer)
    except Exception as error:  # noqa: BLE001 - code of a model may do anything
        logger.info("model '%s': no modules without weights: %s", entry.model_name, reason_of(error))
        return _from_files(entry, dtype, words)
    weights, source = skeleton.weight_bytes(), None
    if quantizer is not None and getattr(quantizer, "pre_quantized", False):
        found = _from_files(entry, None, words)
        weights, source = found.weights or weights, None if found.weights else "its configuration"
    piece = tokens or min(entry.prefill_block or PIECE, PIECE)
    layers, working = _computed(skeleton, piece)
    if layers is None and quantizer is not None:
        layers, working = _computed_plainly(entry, config, dtype, piece)
    return Needs(weights, words, layers, RUNTIME + (working or 0), skeleton.parameters(), source)


def _computed(skeleton: Skeleton, piece: int) -> tuple[tuple[LayerState, ...] | None, int | None]:
    """Return what each layer keeps and the bytes of computing a piece; None where a model's code needs values."""
    layers = working = None
    with contextlib.suppress(Exception):
        layers = skeleton.layers()
        working = skeleton.working_bytes(piece)
    return layers, working


def _computed_plainly(
    entry: LocalEntry, config: Any, dtype: Any, piece: int
) -> tuple[tuple[LayerState, ...] | None, int | None]:
    """Return the same for quantized modules that need values, by modules that are not quantized.

    They keep the same. While a quantized matrix is used, it is there in full as well.
    """
    import torch

    try:
        skeleton = _skeleton(entry, config, dtype if _computes_in(dtype) else torch.bfloat16)
    except Exception:  # noqa: BLE001 - code of a model may do anything
        return None, None
    layers, working = _computed(skeleton, piece)
    return layers, None if working is None else working + skeleton.largest_matrix()


def in_other_formats(entry: LocalEntry, config: Any) -> dict[str, int]:
    """Return the bytes of the weights in formats that may fit better, by their names in an entry."""
    import torch

    with contextlib.suppress(Exception):
        half = _skeleton(entry, config, torch.bfloat16).weight_bytes()
        wanted = dtype_of(entry)
        dtype = _stored_dtype(entry, config) if wanted == "auto" else wanted
        dtype = dtype if _computes_in(dtype) else torch.bfloat16
        skeleton = _skeleton(entry, config, dtype)
        linear = skeleton.linear_parameters()
        # What is not quantized keeps the format that the entry asks for.
        rest = skeleton.weight_bytes() - linear * dtype.itemsize
        return {"dtype 'bfloat16'": half, "load_in_8bit": rest + linear, "load_in_4bit": rest + linear * 9 // 16}
    return {}


def _stored_dtype(entry: LocalEntry, config: Any) -> Any:
    """Return the format that ``config.json`` names, else that of the weight files, else float32.

    Raises:
        ModelLoadError: torch does not have it.
    """
    import torch

    stored = getattr(config, "dtype", None) or getattr(config.get_text_config(), "dtype", None)
    stored = stored or _format_of_files(entry) or torch.float32
    dtype = getattr(torch, stored, None) if isinstance(stored, str) else stored
    if not isinstance(dtype, torch.dtype):
        raise ModelLoadError(
            f"model '{entry.model_name}': config.json of '{entry.source}' has the dtype {stored!r}, which torch "
            "does not have; say the right one in the entry's dtype, like 'bfloat16'"
        )
    return dtype


def _format_of_files(entry: LocalEntry) -> str | None:
    folder = None if entry.filename else folder_of(entry)
    files = () if folder is None else weight_files(folder)[:1]
    return next((first_format(path) for path in files if path.exists()), None)


def _skeleton(entry: LocalEntry, config: Any, dtype: Any, quantizer: Any = None) -> Skeleton:
    code = entry.trust_remote_code
    return Skeleton(config, dtype, quantizer, trust_remote_code=code, model_class=model_class(entry))


def require_package(entry: LocalEntry, module: str, setting: str, package: str | None = None) -> None:
    """Refuse a setting whose package is not installed.

    Raises:
        SpecError: it is not.
    """
    if importlib.util.find_spec(module) is None:
        package = package or module
        raise SpecError(
            f"model '{entry.model_name}': {setting} needs the package '{package}': pip install {package}"
        )


def _from_files(entry: LocalEntry, dtype: Any, words: str) -> Needs:
    """Return the bytes by the heads of the weight files; 0 where there are none yet."""
    folder = folder_of(entry)
    files = [] if folder is None else [path for path in weight_files(folder) if path.exists()]
    size = sum(sizes_of(path, None if dtype is None else dtype.itemsize) for path in files)
    return Needs(size, words, estimated_from="the heads of its weight files")


def _words(dtype: Any, quantizer: Any) -> str:
    name = str(dtype).removeprefix("torch.")
    if quantizer is None:
        return name
    config = quantizer.quantization_config
    method = str(getattr(config.quant_method, "value", config.quant_method))
    bits = 4 if getattr(config, "load_in_4bit", False) else 8 if getattr(config, "load_in_8bit", False) else None
    bits = bits or getattr(config, "bits", None)
    return f"{name}, {method}" + (f" {bits} bits" if bits else "")
