"""The files that hold a model's weights: whether they are whole, and what identifies them.

It reads files and needs neither torch nor transformers, so it also serves those who only examine a model.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import math
import re
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.local.source import is_gguf
from clemcore.errors import TemplateError
from clemcore.files import cache_dir, replace_file
from clemcore.prompts.templates.gguf import GgufMetadata, read_metadata

# As transformers looks for them: the first of these that is there; an index names its files.
_NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SUFFIXES = (".safetensors", ".bin")
_POINTER = b"version https://git-lfs.github.com/spec/"
# A pickle of torch before 1.6 is not an archive; its first bytes are those of any pickle.
_PICKLE = b"\x80"
_SHA256 = re.compile("[0-9a-f]{64}")
_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_CHUNK = 2**22
_AT_ONCE = 4


def folder_of(entry: LocalEntry) -> Path | None:
    """Return the folder of a model: its own, or where the hub's library keeps it; None if it is not there yet."""
    return Path(entry.source) if entry.is_folder else downloaded_folder(entry.source, "config.json", entry.revision)


def downloaded_folder(source: str, file: str, revision: str | None = None) -> Path | None:
    """Return where the hub's library keeps a repository that has a file, or None."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(source, file, revision=revision)
    except HFValidationError:  # not the name of a repository: whoever loads it says so
        return None
    return Path(found).parent if isinstance(found, str) else None


def weight_files(folder: Path) -> list[Path]:
    """Return the files that the weights of a folder are read from; some may not be there."""
    first = next((folder / name for name in _NAMES if (folder / name).is_file()), None)
    if first is None:
        return sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIXES) and path.is_file())
    if first.suffix != ".json":
        return [first]
    try:
        names = set(json.loads(first.read_bytes())["weight_map"].values())
        return sorted(folder / name for name in names)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return [first]  # its fault is found when it is loaded


def fault_of(path: Path) -> str | None:
    """Return why a file cannot hold whole weights, or None; only its head and its size are looked at."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_POINTER))
        if head == _POINTER:
            return f"{path} is a git-lfs pointer, not the weights: run 'git lfs pull' in its folder"
        if path.suffix in (".safetensors", ".json"):
            return _fault_of_safetensors(path) if path.suffix == ".safetensors" else fault_of_index(path)
        if is_gguf(path.name):
            whole_gguf(path)
        if path.suffix == ".bin" and not head.startswith(_PICKLE) and not zipfile.is_zipfile(path):
            return f"{path} is not a whole weights file: copy or download it again"
    except OSError as fault:
        return f"{path} cannot be read: {fault.strerror or fault}"
    except ValueError as fault:
        return str(fault)
    return None


def whole_gguf(path: Path) -> GgufMetadata:
    """Return what the head of a GGUF file says, after the file was found to be whole.

    Raises:
        ValueError: it is not a GGUF file, or only its beginning. The package ``gguf`` has the sizes of formats;
            without it, a file that is cut off after its head is not noticed.
    """
    try:
        found = read_metadata(path)
    except TemplateError as fault:
        raise ValueError(f"{fault}: copy or download it again") from fault
    if importlib.util.find_spec("gguf") is None:
        return found
    import gguf

    sizes: dict[Any, tuple[int, int]] = {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()}
    needed, size = found.bytes_needed(sizes), path.stat().st_size
    if needed > size:
        raise ValueError(
            f"{path} has {size} bytes, but its head promises {needed}: it is cut off; copy or download it again"
        )
    return found


def index_of(folder: Path) -> Path | None:
    """Return the file that says which weights of a folder are in which file; None if none is read."""
    first = next((folder / name for name in _NAMES if (folder / name).is_file()), None)
    return first if first is not None and first.suffix == ".json" else None


def fault_of_index(path: Path) -> str | None:
    """Return why a file cannot say which weights are in which file, or None."""
    again = "copy or download it again"
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as fault:
        return f"{path} is not JSON ({fault}): {again}"
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        return f"{path} has no weight_map that names a file for each weight: {again}"
    if "metadata" not in index:  # the library reads it
        return f'{path} has no "metadata", which transformers needs: add "metadata": {{}}, or {again}'
    return None


def foreign_shards(index: Path) -> list[str]:
    """Return which shards lack most of the weights that their index says they have, as those of another model do.

    A single weight may be named in vain: one that is tied to another, or that is in another shard.

    Args:
        index: the index of whole files; of those that are not safetensors nothing is known.
    """
    files: dict[str, set[str]] = {}
    for weight, name in json.loads(index.read_bytes())["weight_map"].items():
        files.setdefault(name, set()).add(weight)
    files = {name: weights for name, weights in sorted(files.items()) if name.endswith(_SUFFIXES[0])}
    there = {weight for name in files for weight in shapes_of(index.parent / name)}
    faults = []
    for name, weights in files.items():
        lacking = sorted(weights - there)
        if 2 * len(lacking) > len(weights):
            faults.append(
                f"{index.parent / name} does not have {len(lacking)} weights that {index.name} says it has "
                f"({lacking[0]}, …): it is a shard of another model: copy or download it again"
            )
    return faults


def _fault_of_safetensors(path: Path) -> str | None:
    """Compare the size of the file with what its header promises."""
    size = path.stat().st_size
    again = "copy or download it again"
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size  # noqa: PLR2004 - bytes of the length
        if length + 8 > size:
            return f"{path} is not a safetensors file, or only its beginning: {again}"
        try:
            header = json.loads(file.read(length))
            tensors = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            promised = 8 + length + max(tensors, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return f"{path} has a header that is not that of a safetensors file: {again}"
    if promised != size:
        return f"{path} has {size} bytes, but its header promises {promised}: {again}"
    return None


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a whole safetensors file, by their names; of other files none."""
    if path.suffix != ".safetensors":
        return {}
    return {name: tuple(tensor["shape"]) for name, tensor in _head_of(path).items() if name != "__metadata__"}


def _head_of(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head: dict[str, Any] = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return head


def first_format(path: Path) -> str | None:
    """Return torch's name of the format that a model takes from a file where ``config.json`` names none.

    That is the format of the first tensor of floats, in the order of their names. None without one, and for a file
    that is not a whole safetensors file.
    """
    if path.suffix != ".safetensors":
        return None
    try:
        head = _head_of(path)
    except (OSError, ValueError, struct.error):
        return None  # its fault is found when it is loaded
    formats = (head[name]["dtype"] for name in sorted(head) if name != "__metadata__")
    return next((_FLOATS[each] for each in formats if each in _FLOATS), None)


def sizes_of(path: Path, itemsize: int | None = None) -> int:
    """Return the bytes that the tensors of a file take in memory; only its head is read.

    Args:
        path: a whole file of weights.
        itemsize: bytes that each float will have, or None as they are stored. Other numbers stay as they are; so do
            all in files that have no head.
    """
    if path.suffix != ".safetensors":
        return path.stat().st_size
    size = 0
    for name, tensor in _head_of(path).items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        is_converted = itemsize is not None and tensor["dtype"] in _FLOATS
        size += math.prod(tensor["shape"]) * (itemsize or 0) if is_converted else end - begin
    return size


def sha256_of_weights(paths: list[Path]) -> str | None:
    """Return the SHA-256 of weights, or None without files.

    It is that of the file, or for several files that of the lines which ``sha256sum`` prints for their names in
    alphabetical order. The hash of a file is kept in the cache for as long as the file stays as it is.
    """
    if not paths:
        return None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        hashes = list(pool.map(_sha256_of_file, paths))
    if len(hashes) == 1:
        return hashes[0]
    lines = "".join(f"{value}  {path.name}\n" for value, path in zip(hashes, paths, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _sha256_of_file(path: Path) -> str:
    path = path.resolve()
    if path.parent.name == "blobs" and _SHA256.fullmatch(path.name):
        return path.name  # so the hub's library names what it has checked
    state = path.stat()
    key = hashlib.sha256(
        repr((str(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)).encode()
    ).hexdigest()
    kept = cache_dir() / "weights" / key
    try:
        known = kept.read_text(encoding="ascii")
    except (OSError, ValueError):
        known = ""
    if _SHA256.fullmatch(known):
        return known
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(functools.partial(file.read, _CHUNK), b""):
            digest.update(chunk)
    with contextlib.suppress(OSError):  # then it is computed again next time
        kept.parent.mkdir(parents=True, exist_ok=True)
        replace_file(kept, digest.hexdigest().encode())
    return digest.hexdigest()
