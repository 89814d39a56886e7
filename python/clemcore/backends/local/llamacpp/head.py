"""The head of a GGUF file: its metadata and whether the file is whole, read before any weights.

It needs the package ``gguf``, which names architectures and the sizes of formats, and not llama.cpp.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from clemcore.backends.local.weight_files import whole_gguf
from clemcore.errors import ModelLoadError, TemplateError
from clemcore.prompts.templates.gguf import GgufMetadata

_Value = TypeVar("_Value")
_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.gguf)$", re.IGNORECASE)
# Files that are not a model of their own, by their general.type.
_BESIDE = {
    "adapter": "an adapter for another model",
    "imatrix": "a table of importances for quantisation",
    "mmproj": "an image encoder (mmproj) for another model",
    "vocab": "a vocabulary without weights",
}


@dataclass(frozen=True)
class Head:
    """What a file says of its model.

    Attributes:
        path: the file; of a model in parts the first one.
        files: all files of the model.
        metadata: the pairs of the first file, without long lists.
        parameters: how many weights all files have.
    """

    path: Path
    files: tuple[Path, ...]
    metadata: GgufMetadata
    parameters: int

    @property
    def architecture(self) -> str:
        """The architecture, as ``llama``."""
        return str(self.metadata.values.get("general.architecture", ""))

    @property
    def context_size(self) -> int | None:
        """The tokens that the model was trained for, or None where the file does not say it."""
        size = self.metadata.values.get(f"{self.architecture}.context_length")
        return size if isinstance(size, int) and size > 0 else None

    @property
    def format(self) -> str:
        """The format of the weights, as ``Q4_K_M``."""
        import gguf

        number = self.metadata.values.get("general.file_type")
        try:
            return str(gguf.LlamaFileType(number).name).removeprefix("MOSTLY_").removeprefix("ALL_")
        except ValueError:
            return "unknown"

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(path.stat().st_size for path in self.files)


def read_head(path: Path, name: str) -> Head:
    """Read the head of a model's file, and check that all its files are there and whole.

    Args:
        path: the file; of a model in parts any of them.
        name: the model's name, for errors.

    Raises:
        ModelLoadError: a file is missing, cut off, of another byte order, or not one of a chat model.
    """
    where = f"model '{name}'"
    files = parts_of(path)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ModelLoadError(
            f"{where}: {path} is one of {len(files)} parts, of which {len(missing)} are not there: "
            f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}: download all into the same folder"  # noqa: PLR2004
        )
    heads = [_checked(file, where) for file in files]
    parameters = sum(count for each in heads for count, _, _ in each.tensors)
    head = Head(files[0], tuple(files), heads[0], parameters)
    _check_kind(head, where)
    _check_parts(files, heads, where)
    return head


def read_part(read: Callable[[Path], _Value], path: Path, name: str) -> _Value:
    """Return what a function reads from a file.

    Args:
        read: reads a part of the metadata.
        path: the file.
        name: the model's name, for errors.

    Raises:
        ModelLoadError: the file is broken.
    """
    try:
        return read(path)
    except TemplateError as fault:
        raise ModelLoadError(f"model '{name}': {fault}: copy or download it again") from fault


def parts_of(path: Path) -> list[Path]:
    """Return all files of a model, by the name of one of them.

    Examples:
        >>> [file.name for file in parts_of(Path("m-00002-of-00002.gguf"))]
        ['m-00001-of-00002.gguf', 'm-00002-of-00002.gguf']
    """
    part = _PART.match(path.name)
    count = 0 if part is None else int(part["count"])
    if part is None or not 0 < int(part["number"]) <= count:
        return [path]
    return [path.with_name(f"{part['stem']}-{n:05d}-of-{count:05d}{part['suffix']}") for n in range(1, count + 1)]


def _checked(file: Path, where: str) -> GgufMetadata:
    try:
        found = whole_gguf(file)
    except (OSError, ValueError) as fault:
        raise ModelLoadError(f"{where}: {fault}") from fault
    if found.byte_order != sys.byteorder:
        raise ModelLoadError(
            f"{where}: {file} is a {found.byte_order}-endian file, and this machine is {sys.byteorder}-endian: "
            f"choose another file, or convert a copy of it: gguf-convert-endian FILE {sys.byteorder}"
        )
    return found


def _check_parts(files: Sequence[Path], heads: Sequence[GgufMetadata], where: str) -> None:
    """Refuse parts that do not belong together by their metadata: llama.cpp would read the first one alone."""
    for number, (file, head) in enumerate(zip(files, heads, strict=True)):
        count, place = _number(head, "split.count") or 1, _number(head, "split.no")
        if (place, count) != (number, len(files)):
            raise ModelLoadError(
                f"{where}: {file} is part {place + 1} of {count} by its metadata, but by its name part "
                f"{number + 1} of {len(files)}: give the files their original names, or download them again"
            )


def _number(head: GgufMetadata, key: str) -> int:
    found = head.values.get(key)
    return found if isinstance(found, int) else 0


def _check_kind(head: Head, where: str) -> None:
    """Refuse files that are not a chat model; which architectures there are is llama.cpp's to say."""
    values, architecture = head.metadata.values, head.architecture
    what = _BESIDE.get(str(values.get("general.type")))
    if architecture == "clip":
        what = _BESIDE["mmproj"]
    elif values.get(f"{architecture}.attention.causal") is False:
        what = "a model that reads texts as a whole, as for embeddings"
    elif not head.parameters:
        what = _BESIDE["vocab"]
    if what is not None:
        raise ModelLoadError(
            f"{where}: {head.path} is {what} (architecture '{architecture}'), not a chat model: choose another file"
        )
    if not architecture:
        raise ModelLoadError(f"{where}: {head.path} does not name its architecture: convert the model again")
