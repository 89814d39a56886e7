"""From messages with images to the content parts of the Chat Completions format.

Images are paths, http(s) addresses (passed on, never downloaded) or data: URLs. It reads the files that the
messages name, knows a file's type by its first bytes, and does not know any provider's limits on size or count.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from clemcore.backends._remote.endpoint import setting
from clemcore.errors import MessagesError
from clemcore.messages import Message, Messages
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


def encode_messages(messages: Messages, spec: ModelSpec) -> Messages:
    """Return the messages with their images as content parts; messages without images are passed on as they are.

    As in 3.7.2 the text's placeholder ``" <image> "`` becomes a space, and the images follow the text.

    Raises:
        MessagesError: the model does not see (several) images, or an image cannot be read; the message says which.
    """
    encoded = []
    for index, message in enumerate(messages):
        images = _images_of(message, index)
        rest = {name: value for name, value in message.items() if name != "image"}
        if images:
            _check_allowed(spec, images, index)
            parts = [_part(image, f"messages[{index}]['image'][{n}]") for n, image in enumerate(images)]
            rest["content"] = [*_text_parts(message["content"]), *parts]
        encoded.append(rest)
    return encoded


def _images_of(message: Message, index: int) -> list[str]:
    value = message.get("image")
    images = value if isinstance(value, list) else [] if value is None else [value]
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


def _text_parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, list):
        return list(content)
    return [{"type": "text", "text": (content or "").replace(" <image> ", " ")}]


def _part(image: str, where: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": _url(image, where)}}


def _url(image: str, where: str) -> str:
    if image.startswith(("http://", "https://", "data:image/")):
        return image
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
            return f"data:{kind_found};base64,{base64.b64encode(data).decode('ascii')}"
        reason = "no image: its first bytes are of no known type" if data else "the file is empty"
    raise MessagesError(f"{where}: {image} (in {Path.cwd()}) cannot be sent: {reason}")
