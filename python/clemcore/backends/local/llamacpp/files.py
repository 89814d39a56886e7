"""Finds the GGUF file of a model: by its path, in a folder, or in a repository of the hub."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.hub import hub_fault
from clemcore.backends.local.llamacpp.head import parts_of
from clemcore.backends.local.llamacpp.settings import LlamaSettings
from clemcore.backends.local.source import is_gguf
from clemcore.errors import ModelLoadError, SpecError
from clemcore.keys import KeyRegistry

# Names of files that belong to a model beside its weights, such as encoders of images.
_BESIDE = ("mmproj", "imatrix")
_SHOWN = 8


def find_file(settings: LlamaSettings, *, offline: bool = False) -> Path:
    """Return the file of a model; of one in parts the first.

    Args:
        settings: the entry.
        offline: look only for what is on this machine.

    Raises:
        SpecError: no file fits the entry, or several do.
        ModelLoadError: the hub does not have it, or cannot be reached.
    """
    source = Path(settings.local.source)
    if source.is_file():
        if settings.pattern is not None and not _fits(source.name, settings.pattern):
            raise SpecError(
                f"model '{settings.local.model_name}': huggingface_id is the file '{settings.local.source}', which "
                f"does not match filename {settings.pattern!r}: remove filename, or correct one of them"
            )
        return parts_of(source)[0]
    folder = source if source.is_dir() else _downloaded(settings, offline=offline)
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if is_gguf(path.name))
    return folder / choose(found, settings.pattern, settings.local.model_name, settings.local.source)


def choose(names: Sequence[str], pattern: str | None, model: str, source: str) -> str:
    """Return the one file that a pattern means; of a model in parts the first.

    Args:
        names: paths of GGUF files, relative to their folder.
        pattern: what the entry gives, or None.
        model: the model's name, for errors.
        source: where the files are, for errors.

    Raises:
        SpecError: none fits, or several models do.

    Examples:
        >>> choose(["a-Q4_K_M.gguf", "a-Q8_0.gguf"], "*Q4*.gguf", "m", "org/m")
        'a-Q4_K_M.gguf'
    """
    models = [name for name in names if not any(word in name.rpartition("/")[2].lower() for word in _BESIDE)]
    fitting = [name for name in models if pattern is None or _fits(name, pattern)]
    firsts = sorted({parts_of(Path(name))[0].as_posix() for name in fitting})
    if not firsts and pattern is not None and models:
        raise SpecError(
            f"model '{model}': no file in '{source}' matches filename {pattern!r}; it has {_listed(models)}: "
            "correct model_config.filename"
        )
    if not firsts:
        beside = f" of a chat model, only {_listed(names)}" if names else ""
        raise SpecError(
            f"model '{model}': '{source}' has no GGUF file{beside}: correct huggingface_id, or download the file"
        )
    if len(firsts) > 1:
        fit = "" if pattern is None else f" that match filename {pattern!r}"
        raise SpecError(
            f"model '{model}': '{source}' has {len(firsts)} models{fit} ({_listed(firsts)}): name one of them in "
            "model_config.filename"
        )
    return firsts[0]


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(Path(name).name, pattern)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _downloaded(settings: LlamaSettings, *, offline: bool) -> Path:
    """Return the folder of a repository, in which all files are that the entry names."""
    from huggingface_hub import snapshot_download

    entry = settings.local
    name = entry.model_name
    if settings.pattern is None:
        raise SpecError(
            f"model '{name}': '{entry.source}' is a repository on the hub: name its file in model_config.filename, "
            'as "*Q4_K_M.gguf"'
        )
    patterns = [_all_parts(pattern) for pattern in (settings.pattern, *settings.further)]
    token = KeyRegistry.from_json().get_key_for("huggingface")["api_key"] if entry.requires_api_key else None
    try:
        folder = snapshot_download(
            entry.source, revision=entry.revision, allow_patterns=patterns, token=token, local_files_only=offline
        )
    except Exception as error:
        known = hub_fault(entry, "weights", error)
        if known is not None:
            raise ModelLoadError(f"model '{name}': {known}") from error
        raise wrapped(error, ModelLoadError, name, f"cannot download '{entry.source}'", {}) from error
    return Path(folder)


def _all_parts(pattern: str) -> str:
    """Return a pattern that fits all parts of a model where one names the first."""
    return pattern.replace("-00001-of-", "-*-of-")
