"""The images of messages: found, read and checked, before any format has a place for them.

Images are paths, http(s) addresses (passed on, never downloaded) or data: URLs. It reads the files that the
messages name, knows a file's type by its first bytes, and does not know how an image stands in a request.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clemcore.backends._remote.endpoint import setting
from clemcore.errors import MessagesError
from clemcore.messages import Message
from clemcore.spec import ModelSpec

# (offset, first bytes, type)
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
)


def image_type(data: bytes) -> str | None:
    r"""Tell an image's type by its first bytes, or None when it is no known image.

    Examples:
        >>> image_type(b"\x89PNG\r\n\x1a\n...."), image_type(b"hello")
        ('image/png', None)
    """
    return next((kind for at, magic, kind in _MAGIC if data[at : at + len(magic)] == magic), None)


@dataclass(frozen=True)
class Image:
    """One image of a message; its repr shows no data.

    Attributes:
        where: its place in the messages, for errors.
        url: its http(s) address, or None where the data is here.
        kind: its type, as ``image/png``; None for an address.
        base64: its data; empty for an address.
    """

    where: str
    url: str | None
    kind: str | None
    base64: str

    def __repr__(self) -> str:
        """Show place and type."""
        return f"<Image {self.where} {self.url or self.kind}>"

    @property
    def address(self) -> str:
        """The http(s) address, or the data as a data: URL."""
        return self.url if self.url is not None else f"data:{self.kind};base64,{self.base64}"


def images_of(message: Message, index: int, spec: ModelSpec) -> list[Image]:
    """Return the images of a message, read and checked against what the entry says.

    Args:
        message: the message; its images stand in ``image``, one or a list.
        index: its place in the dialogue, for errors.
        spec: the entry; ``multimodality`` is read from it.

    Raises:
        MessagesError: the model does not see (several) images, or an image cannot be read; the message says which.
    """
    if message.get("image") is None:
        return []
    images = _named(message, index)
    if images:
        _check_allowed(spec, images, index)
    return [_image(image, f"messages[{index}]['image'][{n}]") for n, image in enumerate(images)]


def text_of(message: Message) -> str:
    """Return the text of a message with images: as in 3.7.2 its placeholder ``" <image> "`` becomes a space."""
    content = message["content"]
    return (content or "").replace(" <image> ", " ") if not isinstance(content, list) else ""


def _named(message: Message, index: int) -> list[str]:
    value: Any = message.get("image")
    images = value if isinstance(value, list) else [value]
    for image in images:
        if not isinstance(image, (str, os.PathLike)) or not os.fspath(image):
            raise MessagesError(
                f"messages[{index}]['image'] must be a path, an http(s) address, a data: URL or a list of these, "
                f"not {type(image).__name__}"
            )
    return [str(os.fspath(image)) for image in images]


def _check_allowed(spec: ModelSpec, images: list[str], index: int) -> None:
    sees = setting(spec, "multimodality", {})
    several = bool(sees.get("multiple_images", False))
    one = several or (bool(sees) and bool(sees.get("single_image", True)))
    if not one:
        raise MessagesError(
            f"messages[{index}] has an image, but model '{spec['model_name']}' sees none: its entry has no "
            'model_config.multimodality; add {"single_image": true, "multiple_images": …} if it does'
        )
    if len(images) > 1 and not several:
        raise MessagesError(
            f"messages[{index}] has {len(images)} images, but model '{spec['model_name']}' sees one per message: "
            "its entry says multiple_images: false (neighbouring messages of one role count as one)"
        )


def _image(image: str, where: str) -> Image:
    if image.startswith(("http://", "https://")):
        return Image(where, image, None, "")
    if image.startswith("data:image/"):
        return _from_data_url(image, where)
    if image.startswith("data:") or "://" in image:
        kind = image.split(",", 1)[0][:60]
        raise MessagesError(
            f"{where} starts with '{kind}': only paths, http(s) addresses and data:image/ URLs are sent"
        )
    try:
        data = Path(image).read_bytes()
    except OSError as fault:
        reason = fault.strerror or type(fault).__name__
    else:
        kind_found = image_type(data)
        if kind_found is not None:
            return Image(where, None, kind_found, base64.b64encode(data).decode("ascii"))
        reason = "no image: its first bytes are of no known type" if data else "the file is empty"
    raise MessagesError(f"{where}: {image} (in {Path.cwd()}) cannot be sent: {reason}")


def _from_data_url(image: str, where: str) -> Image:
    head, comma, data = image.partition(",")
    kind, *options = head.removeprefix("data:").split(";")
    if not comma or "base64" not in options:
        raise MessagesError(f"{where}: a data: URL must be data:TYPE;base64,DATA; this one begins '{head[:60]}'")
    return Image(where, None, kind, data)
