"""The images of messages: found, read and checked, before any format has a place for them.

Images are paths, http(s) addresses (passed on, never downloaded) or data: URLs. It reads the files that the
messages name, knows a file's type by its first bytes, and does not know how an image stands in a request.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from clemcore.errors import MessagesError, SpecError
from clemcore.messages import Message, Messages
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec

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
    r"""Tell an image's type by its first bytes, or None when it is not a known image.

    Examples:
        >>> image_type(b"\x89PNG\r\n\x1a\n...."), image_type(b"hello")
        ('image/png', None)
    """
    return next((kind for at, magic, kind in _MAGIC if data[at : at + len(magic)] == magic), None)


_DATA = "data:image/"
# Names of types that are often written, but that services refuse.
_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
# The alphabet of base64 for addresses, in that of all services.
_STANDARD = str.maketrans("-_", "+/")


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
        MessagesError: the model does not see (several) images, or not this one, or it cannot be read; the message
            says which.
    """
    if message.get("image") is None:
        return []
    given = _given(message, index)
    if not given:
        return []
    sees = setting(spec, "multimodality", {})
    _check_allowed(spec, sees, len(given), index)
    images = [_image(image, f"messages[{index}]['image'][{n}]") for n, image in enumerate(given)]
    for image in images:
        _check_limits(image, sees, spec["model_name"])
    return images


def part_as_sent(part: Any, where: str) -> Any:
    """Return a part of a content with its data: URL written anew, as the data of a message's `image` is.

    Args:
        part: the part; one without a data: URL of an image is returned as it is.
        where: its place in the messages, for errors.

    Raises:
        MessagesError: the URL's data cannot be read.
    """
    if not isinstance(part, dict):
        return part
    found = part.get("image_url")
    url = found.get("url") if isinstance(found, dict) else found
    if not isinstance(url, str) or url[: len(_DATA)].lower() != _DATA:
        return part
    whole = _from_data_url(url, f"{where}['image_url']").address
    return {**part, "image_url": {**found, "url": whole} if isinstance(found, dict) else whole}


def check_number(messages: Messages, spec: ModelSpec) -> None:
    """Check how many images a dialogue has, where the entry limits it (``multimodality.max_images``).

    Raises:
        MessagesError: it has more.
        SpecError: the limit is not a whole number.
    """
    given = [message["image"] for message in messages if message.get("image")]
    if not given:
        return
    most = limit_in(setting(spec, "multimodality", {}), "max_images", spec["model_name"])
    found = sum(len(images) if isinstance(images, list) else 1 for images in given)
    if most is not None and found > most:
        raise MessagesError(
            f"the dialogue has {found} images, but model '{spec['model_name']}' takes {most} "
            "(multimodality.max_images of its entry)"
        )


def text_of(message: Message) -> str:
    """Return the text of a message with images: as in 3.7.2 its placeholder ``" <image> "`` becomes a space."""
    content = message["content"]
    return (content or "").replace(" <image> ", " ") if not isinstance(content, list) else ""


def _given(message: Message, index: int) -> list[str | bytes]:
    value: Any = message.get("image")
    images = value if isinstance(value, list) else [value]
    for image in images:
        if not isinstance(image, (str, bytes, bytearray, os.PathLike)) or not image:
            raise MessagesError(
                f"messages[{index}]['image'] must be a path, an http(s) address, a data: URL, bytes or a list of "
                f"these, not {type(image).__name__}"
            )
    return [bytes(image) if isinstance(image, (bytes, bytearray)) else str(os.fspath(image)) for image in images]


def _check_allowed(spec: ModelSpec, sees: Mapping[str, Any], number: int, index: int) -> None:
    several = bool(sees.get("multiple_images", False))
    one = several or (bool(sees) and bool(sees.get("single_image", True)))
    if not one:
        raise MessagesError(
            f"messages[{index}] has an image, but model '{spec['model_name']}' sees none: its entry has no "
            'model_config.multimodality; add {"single_image": true, "multiple_images": …} if it does'
        )
    if number > 1 and not several:
        raise MessagesError(
            f"messages[{index}] has {number} images, but model '{spec['model_name']}' sees one per message: "
            "its entry says multiple_images: false (neighbouring messages of one role count as one)"
        )


def _check_limits(image: Image, sees: Mapping[str, Any], model: str) -> None:
    """Hold size and type against the entry; of an address neither is known."""
    if image.url is not None:
        return
    most = limit_in(sees, "max_image_bytes", model)
    size = len(image.base64) * 3 // 4 - image.base64[-2:].count("=")
    if most is not None and size > most:
        raise MessagesError(
            f"{image.where}: the image has {size} bytes, but model '{model}' takes {most} "
            "(multimodality.max_image_bytes of its entry)"
        )
    kinds = sees.get("image_types")
    if kinds is not None and image.kind not in kinds:
        raise MessagesError(
            f"{image.where}: the image is {image.kind}, but model '{model}' takes {', '.join(map(str, kinds))} "
            "(multimodality.image_types of its entry)"
        )


def limit_in(sees: Mapping[str, Any], name: str, model: str) -> int | None:
    """Return a limit that an entry's ``multimodality`` names, or None.

    Raises:
        SpecError: it is not a whole number.
    """
    value = sees.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise SpecError(f"model '{model}': multimodality.{name} must be a whole number, not {value!r}")
    return value


def _image(image: str | bytes, where: str) -> Image:
    if isinstance(image, bytes):
        return _from_bytes(image, where, "the bytes")
    if image[:8].lower().startswith(("http://", "https://")):
        return Image(where, image, None, "")
    if image[: len(_DATA)].lower() == _DATA:
        return _from_data_url(image, where)
    if image[:5].lower() == "data:" or "://" in image:
        kind = image.split(",", 1)[0][:60]
        advice = "; give the path without 'file://'" if image[:5].lower() == "file:" else ""
        raise MessagesError(
            f"{where} starts with '{kind}': only paths, http(s) addresses and data:image/ URLs are sent{advice}"
        )
    shown = f"{image} (in {Path.cwd()})"
    try:
        data = Path(image).read_bytes()
    except (OSError, ValueError) as fault:  # ValueError: no path, such as one with a zero byte
        reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
    else:
        return _from_bytes(data, where, shown)
    raise MessagesError(f"{where}: {shown} cannot be sent: {reason}")


def _from_bytes(data: bytes, where: str, shown: str) -> Image:
    kind = image_type(data)
    if kind is not None:
        return Image(where, None, kind, base64.b64encode(data).decode("ascii"))
    reason = "no image: its first bytes are of no known type" if data else "the file is empty"
    raise MessagesError(f"{where}: {shown} cannot be sent: {reason}")


def _from_data_url(image: str, where: str) -> Image:
    """Read a data: URL and write its data anew: services refuse line breaks and missing padding."""
    head, comma, data = image.partition(",")
    kind, *options = head[len("data:") :].lower().split(";")
    if not comma or "base64" not in [option.strip() for option in options]:
        raise MessagesError(f"{where}: a data: URL must be data:TYPE;base64,DATA; this one begins '{head[:60]}'")
    plain = "".join((unquote(data) if "%" in data else data).split()).rstrip("=").translate(_STANDARD)
    try:
        decoded = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        decoded = b""
    if not decoded:
        raise MessagesError(f"{where}: the data after 'base64,' is missing or not base64")
    found, kind = image_type(decoded), _ALIASES.get(kind, kind)
    if found is not None and found != kind:
        raise MessagesError(f"{where}: the data: URL says {kind}, but its first bytes are those of {found}")
    return Image(where, None, kind, base64.b64encode(decoded).decode("ascii"))
