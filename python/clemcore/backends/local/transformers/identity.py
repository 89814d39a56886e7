"""What makes two tokenizers, or two sets of weights, the same: their files, and how an entry has them loaded.

It looks at names, sizes and times of files; it opens none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.transformers import formats, placing
from clemcore.backends.local.transformers.loading import model_class
from clemcore.backends.local.weight_files import downloaded_folder


def state_of_files(entry: LocalEntry, config: Any) -> str | None:
    """Return what changes with a model's files, or None where it is not known.

    Args:
        entry: the settings.
        config: the model's configuration, which knows the commit of a repository.
    """
    if entry.is_folder:
        return _state_of_folder(Path(entry.source))
    commit = getattr(config, "_commit_hash", None)
    return None if commit is None else str(commit)


def key_of(entry: LocalEntry, config: Any) -> Hashable | None:
    """Return what is equal for models that can share their weights; None for one that must have its own.

    Args:
        entry: the settings.
        config: the model's configuration.

    Raises:
        SpecError: the entry asks for a number format, a quantization or a device that is not there.
    """
    state = state_of_files(entry, config)
    if entry.own_weights or state is None:
        return None
    # Settings that are written out and mean the default are no others.
    asked = formats.dtype_of(entry)
    stored = getattr(config, "dtype", None)
    quantization = formats.quantization_of(entry)
    how = {
        "dtype": str(asked if asked != "auto" or stored is None else stored).removeprefix("torch."),
        "attention": _attention_of(entry, config),
        "quantization": None if quantization is None else sorted(quantization.to_dict().items(), key=str),
        "devices": placing.devices_key(entry),
        "file": entry.filename,
        "adapter": _state_of_adapter(entry),
        "remote_code": entry.trust_remote_code,
        "sees": entry.multimodal,
    }
    source = str(Path(entry.source).resolve()) if entry.is_folder else entry.source
    # A forked child cannot compute with what its parent has loaded.
    return os.getpid(), source, state, repr(how)


def _attention_of(entry: LocalEntry, config: Any) -> str | None:
    """Return the attention that a model will have, as far as that is known before it is loaded."""
    given = entry.attn_implementation or getattr(config, "_attn_implementation", None)
    if given is None:
        with contextlib.suppress(Exception):  # code of a model, or one that is refused when it is loaded
            model = model_class(entry)._model_mapping[type(config)]
            return "sdpa" if model._supports_sdpa else "eager"
    return None if given is None else str(given)


def _state_of_adapter(entry: LocalEntry) -> tuple[str, str] | None:
    if not entry.peft_model:
        return None
    folder = Path(entry.peft_model)
    if folder.is_dir():
        return str(folder.resolve()), _state_of_folder(folder)
    return entry.peft_model, str(downloaded_folder(entry.peft_model, "adapter_config.json"))


def _state_of_folder(folder: Path) -> str:
    found = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return repr([(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in found])
