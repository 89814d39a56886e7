"""The metadata of a GGUF file, and where its tensors are; no tensor is read.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. The file is mapped, never read
whole; every length in it is checked against its size, because such files come from strangers.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.errors import TemplateError

# Number of a type -> how struct unpacks it.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_DEEPEST = 4
# Tensors begin at multiples of so many bytes where a file says nothing else.
_ALIGNMENT = 32

_TEMPLATE = "tokenizer.chat_template"
_TOKENS = "tokenizer.ggml.tokens"
# The name in a template -> the key of its id; "seperator" is how the format spells it.
_TOKEN_IDS = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "sep_token": "tokenizer.ggml.seperator_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
    "cls_token": "tokenizer.ggml.cls_token_id",
    "mask_token": "tokenizer.ggml.mask_token_id",
}


@dataclass(frozen=True)
class GgufMetadata:
    """What the head of a file says.

    Attributes:
        values: numbers and strings by their keys.
        lengths: how long each list is, by its key.
        tensors: of each tensor the number of its values, the number of its format, and its offset in bytes.
        begin: where tensors begin in the file, in bytes.
        byte_order: ``little`` or ``big``, as ``sys.byteorder``.
    """

    values: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: tuple[tuple[int, int, int], ...]
    begin: int
    byte_order: str

    def bytes_needed(self, sizes: Mapping[int, tuple[int, int]]) -> int:
        """Return how long the file must be at least.

        Args:
            sizes: of each format how many values a block has, and how many bytes; others count as nothing.
        """
        found = [self.begin] if not self.tensors else []
        for count, kind, offset in self.tensors:
            values, size = sizes.get(kind, (1, 0))
            found.append(self.begin + offset + math.ceil(count / values) * size)
        return max(found)


def read_tokens(path: Path) -> list[bytes]:
    """Return the texts of all tokens in the order of their ids; none where the file has no list of them.

    Raises:
        TemplateError: it is not a GGUF file, or a broken one.
        OSError: it cannot be read.
    """
    with _reader(path) as reader:
        return reader.all_tokens()


def read_metadata(path: Path) -> GgufMetadata:
    """Read the head of a file.

    Raises:
        TemplateError: it is not a GGUF file, or a broken one.
        OSError: it cannot be read.
    """
    with _reader(path) as reader:
        return reader.metadata()


def read_templates(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Read the chat templates by name (``default`` is the one without) and the special tokens.

    Raises:
        TemplateError: it is not a GGUF file, or a broken one.
        OSError: it cannot be read.
    """
    with _reader(path) as reader:
        return reader.templates()


@contextlib.contextmanager
def _reader(path: Path) -> Iterator[_Reader]:
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file cannot be mapped
            msg = f"{path}: not a GGUF file: it is empty"
            raise TemplateError(msg) from None
        with data:
            yield _Reader(path, data)


class _Reader:
    """Walks through the metadata once."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._at = 8
        self._key = "the header"
        if data[:4] != b"GGUF":
            msg = f"{path}: not a GGUF file: it does not begin with 'GGUF'"
            raise TemplateError(msg)
        # Files of the other byte order have the version's bytes the other way round.
        self._order = "<" if data[4:6] != b"\0\0" else ">"
        (version,) = struct.unpack(f"{self._order}I", data[4:8].ljust(4, b"\0"))
        if version not in (2, 3):
            msg = f"{path}: GGUF version {version}; versions 2 and 3 can be read"
            raise TemplateError(msg)

    def templates(self) -> tuple[dict[str, str], dict[str, str]]:
        """Read all pairs of the metadata; keep what is asked for."""
        self._number("Q")  # how many tensors
        templates: dict[str, str] = {}
        ids: dict[str, Any] = {}
        tokens = -1
        for _ in range(self._number("Q")):
            key = self._key = self._string()
            kind = self._number("I")
            if key == _TOKENS:
                tokens = self._at
            if key == _TEMPLATE or key.startswith(f"{_TEMPLATE}."):
                text = self._value(kind)
                if not isinstance(text, str):
                    raise self._broken("is not a string")
                templates[key.removeprefix(_TEMPLATE).removeprefix(".") or "default"] = text
            elif key in _TOKEN_IDS.values():
                ids[key] = self._value(kind)
            else:
                self._skip(kind)
        named = {name: ids[key] for name, key in _TOKEN_IDS.items() if key in ids}
        return templates, self._tokens(tokens, named) if tokens >= 0 else {}

    def metadata(self) -> GgufMetadata:
        """Read all pairs, of lists their lengths, and where tensors are."""
        tensors, values, lengths = self._number("Q"), {}, {}
        for _ in range(self._number("Q")):
            key = self._key = self._string()
            kind = self._number("I")
            if kind == _ARRAY:
                lengths[key] = self._length()
                self._skip(kind)
            else:
                values[key] = self._value(kind)
        found = []
        for _ in range(tensors):
            self._key = f"the tensor {self._string()!r}"
            dimensions = [self._number("Q") for _ in range(self._number("I"))]
            kind = self._number("I")
            found.append((math.prod(dimensions), kind, self._number("Q")))
        alignment = values.get("general.alignment", _ALIGNMENT)
        step = alignment if isinstance(alignment, int) and alignment > 0 else _ALIGNMENT
        begin, order = -(-self._at // step) * step, "little" if self._order == "<" else "big"
        return GgufMetadata(values, lengths, tuple(found), begin, order)

    def all_tokens(self) -> list[bytes]:
        """Read all pairs up to the list of tokens, and that list; bytes, because old files cut characters."""
        self._number("Q")  # how many tensors
        for _ in range(self._number("Q")):
            key = self._key = self._string()
            kind = self._number("I")
            if key != _TOKENS:
                self._skip(kind)
                continue
            inner, count = (self._number("I"), self._number("Q")) if kind == _ARRAY else (kind, 0)
            if inner != _STRING or kind != _ARRAY:
                raise self._broken("is not a list of strings")
            return [self._take(self._number("Q")) for _ in range(count)]
        return []

    def _tokens(self, start: int, named: dict[str, Any]) -> dict[str, str]:
        """Return the texts of tokens; they lie one behind another, so that all before them are passed by."""
        self._at, self._key = start, _TOKENS
        kind, count = self._number("I"), self._number("Q")
        if kind != _STRING:
            raise self._broken("is not a list of strings")
        wanted = {number for number in named.values() if isinstance(number, int) and 0 <= number < count}
        texts = {}
        for number in range(max(wanted, default=-1) + 1):
            if number in wanted:
                texts[number] = self._string()
            else:
                self._skip(_STRING)
        return {name: texts[number] for name, number in named.items() if number in texts}

    def _number(self, code: str) -> Any:
        size = struct.calcsize(code)
        (value,) = struct.unpack(self._order + code, self._take(size))
        return value

    def _take(self, size: int) -> bytes:
        start = self._at
        self._pass(size)
        return self._data[start : self._at]

    def _pass(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise self._broken(f"needs {size} bytes where the file has {len(self._data) - self._at} left")
        self._at += size

    def _string(self) -> str:
        try:
            return self._take(self._number("Q")).decode("utf-8")
        except UnicodeDecodeError:
            raise self._broken("is not UTF-8") from None

    def _value(self, kind: int) -> Any:
        """Read a number or a string."""
        if kind == _STRING:
            return self._string()
        if kind not in _NUMBERS:
            raise self._broken(f"has type {kind}, which is neither a number nor a string")
        return self._number(_NUMBERS[kind])

    def _length(self) -> int:
        """Return how long a list is, without passing it."""
        start = self._at
        _, count = self._number("I"), self._number("Q")
        self._at = start
        return int(count)

    def _skip(self, kind: int, depth: int = 0) -> None:
        if kind == _STRING:
            self._pass(self._number("Q"))
        elif kind == _ARRAY and depth < _DEEPEST:
            inner, count = self._number("I"), self._number("Q")
            if inner in _NUMBERS:
                self._pass(count * struct.calcsize(_NUMBERS[inner]))
                return
            for _ in range(count):
                self._skip(inner, depth + 1)
        elif kind in _NUMBERS:
            self._pass(struct.calcsize(_NUMBERS[kind]))
        else:
            raise self._broken(f"has the unknown type {kind}")

    def _broken(self, what: str) -> TemplateError:
        return TemplateError(f"{self._path}: a broken GGUF file: {self._key} {what} (at byte {self._at})")
