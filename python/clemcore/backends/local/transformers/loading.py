"""Loads tokenizer, configuration and weights of a local transformers model, and finds its context size.

The cheap parts come first, so that a wrong entry fails before gigabytes are read. Weights go to CUDA devices where
there are any, else to the CPU. This module knows how to load, not what the model is used for.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from clemcore import secrets
from clemcore.backends.base import require
from clemcore.backends.local.entry import LocalEntry
from clemcore.errors import ModelLoadError, SpecError
from clemcore.keys import KeyRegistry

logger = logging.getLogger(__name__)

FALLBACK_CONTEXT_SIZE = 256
# Tokenizers without a limit say 10**30.
_NO_LIMIT = 1_000_000


def hub_options(entry: LocalEntry, *, need_key: bool = True) -> dict[str, Any]:
    """Return what every ``from_pretrained`` of this model is given: where to look, and with which rights.

    Args:
        entry: the settings.
        need_key: False leaves a required key out where there is none.

    Raises:
        MissingKeyError: the entry requires a key and there is none.
    """
    options: dict[str, Any] = {}
    if entry.trust_remote_code:
        options["trust_remote_code"] = True
    if entry.revision:
        options["revision"] = entry.revision
    if entry.is_folder:
        # Nothing of a folder is ever to be looked up in the hub.
        options["local_files_only"] = True
    if entry.requires_api_key:
        keys = KeyRegistry.from_json()
        if need_key or keys.find("huggingface") is not None:
            options["token"] = keys.get_key_for("huggingface")["api_key"]
    return options


def load_config(entry: LocalEntry, options: Mapping[str, Any]) -> Any:
    """Load the configuration.

    Raises:
        ModelLoadError: it is not there or cannot be read.
    """
    from transformers import AutoConfig

    with _loading(entry, "configuration"):
        return AutoConfig.from_pretrained(entry.source, **options)


def load_tokenizer(entry: LocalEntry, options: Mapping[str, Any]) -> Any:
    """Load the tokenizer.

    Raises:
        ModelLoadError: it is not there or cannot be read.
    """
    from transformers import AutoTokenizer

    if entry.slow_tokenizer:
        logger.warning(
            "model '%s': slow_tokenizer has no effect: transformers 5 has one tokenizer per model",
            entry.model_name,
        )
    with _loading(entry, "tokenizer"):
        return AutoTokenizer.from_pretrained(entry.source, **options)


def load_model(entry: LocalEntry, options: Mapping[str, Any]) -> Any:
    """Load the weights and put the model into evaluation mode.

    Raises:
        ModelLoadError: weights are not there, cannot be read, or are not all there.
        SpecError: the entry asks for a number format or a package that is not there.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if entry.torch_num_threads is not None:
        torch.set_num_threads(entry.torch_num_threads)
    options = {**options, "dtype": _dtype(entry, torch)}
    if entry.attn_implementation:
        options["attn_implementation"] = entry.attn_implementation
    if entry.load_in_4bit or entry.load_in_8bit:
        options["quantization_config"] = _quantization(entry)
    if torch.cuda.is_available():
        require("accelerate", backend="huggingface_local", extra="huggingface")
        options["device_map"] = "auto"
    with _loading(entry, "weights"):
        model, report = AutoModelForCausalLM.from_pretrained(entry.source, output_loading_info=True, **options)
    missing = sorted(report["missing_keys"])
    if missing:
        # transformers fills them with random numbers and goes on.
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")  # noqa: PLR2004 - a few are enough
        raise ModelLoadError(
            f"model '{entry.model_name}': {len(missing)} weights are missing in '{entry.source}': {shown}"
        )
    if entry.peft_model:
        model = _with_adapter(model, entry, options.get("token"))
    return model.eval()


def _dtype(entry: LocalEntry, torch: Any) -> Any:
    if entry.dtype == "auto":
        return "auto"
    dtype = getattr(torch, entry.dtype.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise SpecError(
            f"model '{entry.model_name}': dtype must be 'auto' or one of torch's, like 'float32' or 'bfloat16', "
            f"not {entry.dtype!r}"
        )
    return dtype


def _quantization(entry: LocalEntry) -> Any:
    _require_package(entry, "bitsandbytes", "load_in_4bit" if entry.load_in_4bit else "load_in_8bit")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_4bit=entry.load_in_4bit, load_in_8bit=entry.load_in_8bit)


def _with_adapter(model: Any, entry: LocalEntry, token: str | None) -> Any:
    _require_package(entry, "peft", "peft_model")
    peft = importlib.import_module("peft")
    with _loading(entry, f"adapter {entry.peft_model}"):
        return peft.PeftModel.from_pretrained(model, entry.peft_model, token=token)


def _require_package(entry: LocalEntry, package: str, setting: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise SpecError(
            f"model '{entry.model_name}': {setting} needs the package '{package}': pip install {package}"
        )


@contextlib.contextmanager
def _loading(entry: LocalEntry, what: str) -> Iterator[None]:
    """Show progress on a terminal only, and turn the library's failures into one error of ours."""
    logger.info("model '%s': loading %s of %s", entry.model_name, what, entry.source)
    try:
        with _progress_on_terminals_only():
            yield
    except (OSError, ValueError) as fault:
        reason = secrets.scrub(str(fault)).strip()
        raise ModelLoadError(
            f"model '{entry.model_name}': cannot load the {what} of '{entry.source}': {reason}"
        ) from fault


@contextlib.contextmanager
def _progress_on_terminals_only() -> Iterator[None]:
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as library

    # Somebody who set the variable has decided already.
    decided = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None
    if decided or sys.stderr.isatty() or not library.is_progress_bar_enabled():
        yield
        return
    downloads_hidden = are_progress_bars_disabled()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.enable_progress_bar()  # that of downloads, too
        if downloads_hidden:
            disable_progress_bars()


def find_context_size(config: Any, entry: LocalEntry, tokenizer: Any) -> tuple[int, str]:
    """Return the size of the context window in tokens, and where it was found.

    The model's own configuration knows best; then the entry's ``context_size``; then the tokenizer.
    """
    for owner, where in ((config, "config"), (getattr(config, "text_config", None), "config.text_config")):
        for field in ("max_position_embeddings", "n_positions", "max_seq_len"):
            size = getattr(owner, field, None)
            if isinstance(size, int) and size > 0:
                return size, f"{where}.{field}"
    if entry.context_size is not None:
        return entry.context_size, "entry.context_size"
    size = getattr(tokenizer, "model_max_length", None)
    if isinstance(size, int) and 0 < size < _NO_LIMIT:
        return size, "tokenizer.model_max_length"
    logger.warning(
        "model '%s' does not say how large its context is; taken as %d tokens: set context_size in its entry",
        entry.model_name,
        FALLBACK_CONTEXT_SIZE,
    )
    return FALLBACK_CONTEXT_SIZE, "fallback"
