"""The model hub, and what of it is on this machine: errors in words; files are listed, fetched and removed.

It knows the hub's library and no models.
"""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from clemcore.backends.base import require
from clemcore.backends.local.entry import LocalEntry
from clemcore.errors import ModelLoadError

# What is needed to know a model's size and prompts.
SMALL = ("*.json", "*.jinja", "*.model", "*.txt", "*.py", "*.tiktoken")
# The same weights again, in formats that are not read.
_NOT_READ = (
    "*.onnx",
    "*.h5",
    "*.msgpack",
    "*.ot",
    "*.pth",
    "*.gguf",
    "original/*",
    "onnx/*",
    "openvino/*",
    "coreml/*",
)
_PARTS = {
    "configuration": ("config.json",),
    "tokenizer": ("tokenizer.json", "tokenizer_config.json"),
    "adapter": ("adapter_config.json",),
    "files": ("config.json",),
}


@dataclass(frozen=True)
class Stored:
    """One commit of a model that is on this machine.

    Attributes:
        source: the id on the hub.
        commit: its commit.
        refs: branches and tags that mean this commit here.
        bytes: the size of its files; commits of one model share files.
        used: when a file of the model was last read.
        folder: where the files are.
    """

    source: str
    commit: str
    refs: tuple[str, ...]
    bytes: int
    used: datetime
    folder: Path


def hub_fault(entry: LocalEntry, what: str, error: BaseException) -> str | None:
    """Return what went wrong with the hub and what to do, or None where it was something else.

    Args:
        entry: the settings.
        what: the part that was to be loaded: ``configuration``, ``tokenizer``, ``weights``, ``adapter``, or
            ``files`` for the small ones.
        error: what escaped from the library.
    """
    if entry.is_folder:
        return None
    from huggingface_hub import errors

    source, page = entry.source, f"https://huggingface.co/{entry.source}"
    gated = (
        f"the hub refuses your key for the gated model '{source}': ask for access at {page}"
        if entry.requires_api_key
        else f"'{source}' is gated: ask for access at {page}, then set model_config.requires_api_key to true"
    )
    refusals = (
        (errors.GatedRepoError, gated),  # first, because it is a RepositoryNotFoundError, too
        (
            errors.RevisionNotFoundError,
            f"the hub has no revision {entry.revision!r} of '{source}': correct model_config.revision",
        ),
        (
            errors.RepositoryNotFoundError,
            f"the hub has no model '{source}', or it is private: correct huggingface_id, or set requires_api_key",
        ),
    )
    chain = list(_chain(error))
    for kind, words in refusals:
        if any(isinstance(each, kind) for each in chain):
            return words
    offline = (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, ConnectionError)
    if not any(isinstance(each, offline) for each in chain) and not _is_offline(error):
        return None
    missing = _missing(entry, what)
    at = f" at revision {entry.revision!r}" if entry.revision else ""
    todo = f"run 'clem weights fetch {entry.model_name}', or copy the model's folder and name it in huggingface_id"
    if what == "adapter":
        todo = "load the model once, or copy the adapter's folder and name it in peft_model"
    lacks = f"{missing} of '{source}'{at} is not in {_cache()}"
    return f"the hub cannot be asked (offline), and {lacks}: go online and {todo}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_offline(error: BaseException) -> bool:
    return any("offline mode" in str(each) or "couldn't connect" in str(each) for each in _chain(error))


def _missing(entry: LocalEntry, what: str) -> str:
    """Return which file of a part of a model is not on this machine."""
    from huggingface_hub import try_to_load_from_cache

    def is_here(file: str) -> bool:
        return isinstance(try_to_load_from_cache(entry.source, file, revision=entry.revision), str)

    names = [entry.filename] if entry.filename else list(_PARTS.get(what, ("model.safetensors",)))
    index = "model.safetensors.index.json"
    if what == "weights" and not entry.filename and is_here(index):
        found = try_to_load_from_cache(entry.source, index, revision=entry.revision)
        with contextlib.suppress(OSError, ValueError, KeyError):
            names = sorted(set(json.loads(Path(str(found)).read_bytes())["weight_map"].values()))
    return next((name for name in names if not is_here(name)), names[0])


def _cache() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)


def stored() -> list[Stored]:
    """Return the commits of models that are on this machine, the one that was used last first.

    Raises:
        MissingExtraError: the hub's library is not installed.
    """
    found = [
        Stored(
            repository.repo_id,
            revision.commit_hash,
            tuple(sorted(revision.refs)),
            revision.size_on_disk,
            datetime.fromtimestamp(repository.last_accessed, tz=timezone.utc),
            Path(revision.snapshot_path),
        )
        for repository in _scanned()
        for revision in repository.revisions
    ]
    return sorted(found, key=lambda one: (-one.used.timestamp(), one.source, one.commit))


def _scanned() -> list[Any]:
    hub = require("huggingface_hub", backend="huggingface_local", extra="huggingface")
    try:
        repositories = hub.scan_cache_dir().repos
    except hub.errors.CacheNotFound:
        return []
    return [each for each in repositories if each.repo_type == "model"]


def fetch(entry: LocalEntry, token: str | None, *, small: bool = False) -> Path:
    """Download a model's files and return their folder; what is here already is not downloaded again.

    Args:
        entry: the settings; it names a model on the hub.
        token: the key for the hub, or None.
        small: leave out the weights.

    Raises:
        ModelLoadError: the hub refuses, or cannot be reached.
    """
    hub = require("huggingface_hub", backend="huggingface_local", extra="huggingface")
    try:
        return Path(
            hub.snapshot_download(
                entry.source,
                revision=entry.revision,
                token=token,
                allow_patterns=_wanted(hub, entry, token, small),
                ignore_patterns=None if entry.filename else list(_NOT_READ),
            )
        )
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ModelLoadError(
                f"model '{entry.model_name}': the disk of {_cache()} is full: remove models with 'clem weights "
                "rm', or set $HF_HOME to another disk"
            ) from error
        raise _as_ours(entry, error, small) from error
    except Exception as error:
        raise _as_ours(entry, error, small) from error


def _as_ours(entry: LocalEntry, error: Exception, small: bool) -> ModelLoadError:
    known = hub_fault(entry, "files" if small else "weights", error)
    return ModelLoadError(
        f"model '{entry.model_name}': {known or f'cannot download {entry.source}: {type(error).__name__}: {error}'}"
    )


def _wanted(hub: Any, entry: LocalEntry, token: str | None, small: bool) -> list[str] | None:
    """Return the patterns of the files to download, or None for all."""
    if small:
        return list(SMALL)
    if entry.filename:
        return [*SMALL, entry.filename]
    files = hub.HfApi(token=token).list_repo_files(entry.source, revision=entry.revision)
    # Most repositories have the same weights as pickles, too.
    return [*SMALL, "*.safetensors"] if any(file.endswith(".safetensors") for file in files) else None


def remove(commits: Sequence[str], *, only_plan: bool = False) -> int:
    """Remove commits of models from this machine, and return how many bytes that frees.

    Args:
        commits: whole commits, as :func:`stored` lists them; files that other commits have, too, stay.
        only_plan: remove nothing.
    """
    hub = require("huggingface_hub", backend="huggingface_local", extra="huggingface")
    plan = hub.scan_cache_dir().delete_revisions(*commits)
    if not only_plan:
        plan.execute()
    return int(plan.expected_freed_size)
