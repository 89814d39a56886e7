"""The processor of a vision-language model: decodes images, and makes what the model computes with.

A prompt with images is whatever the model's own processor makes of the text and the images. What is ours is only
which text it gets, and where in its ids the first image begins. Both ways of asking the processor are compared when
a model is loaded.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clemcore.backends.local.engine import Media
from clemcore.backends.local.failures import reason_of
from clemcore.backends.local.seeing import Picture
from clemcore.errors import MessagesError, TemplateError
from clemcore.images import Image
from clemcore.messages import Messages

# Pillow's modes of numbers that are not of 8 bits: its conversion to RGB cuts them off at 255.
_DEEP = ("I", "F")
# Width and height of the images with which prompts are compared, in pixels.
_SAMPLE = (48, 32)


class ProcessorSight:
    """One model's processor.

    Attributes:
        processor: the transformers processor.
    """

    def __init__(self, processor: Any, model_name: str) -> None:
        """Take the processor.

        Args:
            processor: a transformers processor.
            model_name: the model's name, for messages.
        """
        self.processor = processor
        self._name = model_name
        tokenizer = processor.tokenizer
        self._compared: dict[tuple[str, str], int] = {}
        self._bos = tokenizer.bos_token
        self._adds = tokenizer("a").input_ids != tokenizer("a", add_special_tokens=False).input_ids
        self._placeholders = _placeholders(processor)
        inside = {tokenizer.convert_ids_to_tokens(number) for number in getattr(processor, "image_token_ids", ())}
        self._marks = (*self._placeholders, *sorted(inside - {None, *self._placeholders}))

    def marks_in(self, text: str) -> str | None:
        """Return the first text in which the processor would see an image, or None."""
        return next((mark for mark in self._marks if mark in text), None)

    def decoded(self, image: Image) -> Picture:
        """Decode an image as transformers does: its first frame, turned by its EXIF data, in RGB."""
        import PIL.Image
        import PIL.ImageOps

        data = b64decode(image.base64)
        stream = io.BytesIO(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd metadata; the pixels are what counts
                opened = PIL.Image.open(stream)
                pixels = PIL.ImageOps.exif_transpose(opened).convert("RGB")
                frames = getattr(opened, "n_frames", 1)
        except Exception as fault:
            reason = reason_of(fault).replace(repr(stream), image.where).rstrip(".")  # Pillow names its input
            raise MessagesError(
                f"{image.where} cannot be decoded as an image ({image.kind}, {len(data)} bytes): {reason}. "
                "Copy it again, or save it anew; make it smaller if it is too large"
            ) from fault
        if opened.mode.partition(";")[0] in _DEEP:
            raise MessagesError(
                f"{image.where} has pixels of 16 or 32 bits, or floats (Pillow's mode {opened.mode}), which would "
                "be nearly white or black in RGB: scale them to 0-255, and save the image with 8 bits per channel"
            )
        facts = {
            "place": image.where,
            "type": image.kind,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "width": pixels.width,
            "height": pixels.height,
            **({"frames": frames, "frames_seen": 1} if frames > 1 else {}),
        }
        return Picture(image, pixels, facts)

    def adds_tokens(self, text: str) -> bool:
        """Tell whether the processor puts tokens around a prompt that its template did not write."""
        return self._adds and not (self._bos is not None and text.startswith(self._bos))

    def encode(self, text: str, pictures: Sequence[Picture]) -> tuple[list[int], Media]:
        """Return the token ids of a prompt with images, and what the model is given beside them."""
        count = len(pictures)
        places = sum(text.count(mark) for mark in self._placeholders)
        if self._placeholders and places != count:
            raise MessagesError(
                f"the chat template of '{self._name}' has places for {places} images, but the dialogue has "
                f"{count}: give fewer images, or use another template"
            )
        try:
            made = self._called(text, [picture.pixels for picture in pictures])
        except Exception as fault:
            raise MessagesError(
                f"the processor of '{self._name}' does not take the {count} images of this dialogue (the first is "
                f"{pictures[0].image.where}): {reason_of(fault)}"
            ) from fault
        ids: list[int] = made.pop("input_ids")[0].tolist()
        made.pop("attention_mask", None)
        return ids, Media(self._first(text, ids), made)

    def check_prompts(self, source: str, kwargs: Mapping[str, Any], render: Callable[[Messages], str]) -> int:
        """Compare prompts with those of the processor's own ``apply_chat_template``, tensor by tensor; done once.

        Args:
            source: the text of the chat template.
            kwargs: further variables of the template.
            render: makes the text of a prompt, of messages whose contents are parts.

        Returns:
            How many dialogues were compared; those that the template refuses are not.

        Raises:
            TemplateError: a prompt differs, or the template takes no image at all.
        """
        key = source, repr(sorted(kwargs.items()))
        if key not in self._compared:
            self._compared[key] = _check(self, source, kwargs, render, self._name)
        return self._compared[key]

    def _called(self, text: str, images: Sequence[Any]) -> dict[str, Any]:
        """Call the processor as its own ``apply_chat_template`` does."""
        more = {} if self.adds_tokens(text) else {"add_special_tokens": False}
        return dict(self.processor(text=text, images=[list(images)], return_tensors="pt", **more))

    def _first(self, text: str, ids: Sequence[int]) -> int:
        """Return how many leading ids are those of the text before the first placeholder."""
        places = [text.find(mark) for mark in self._placeholders if mark in text]
        if not places:
            return 0
        before = text[: min(places)]
        alone = self.processor.tokenizer(before, add_special_tokens=self.adds_tokens(text)).input_ids
        return next((n for n, (one, other) in enumerate(zip(alone, ids, strict=False)) if one != other), len(alone))


def _placeholders(processor: Any) -> tuple[str, ...]:
    """Return the texts in whose place a processor puts an image; none where it does not say."""
    token = getattr(processor, "image_token", None)
    return (str(token),) if token else ()


def _check(
    sight: ProcessorSight, source: str, kwargs: Mapping[str, Any], render: Callable[[Messages], str], name: str
) -> int:
    """Compare prompts of some sample dialogues, and return how many; see :meth:`ProcessorSight.check_prompts`."""
    import torch

    compared, refusal, has_images = 0, "", False
    for case, messages in _samples():
        try:
            text = render(_without_pixels(messages))
            theirs = _of_processor(sight.processor, source, kwargs, messages)
        except (TemplateError, ValueError) as fault:  # not every model takes a system text, or several images
            refusal = refusal or str(fault)
            continue
        images = [part["image"] for message in messages for part in message["content"] if part["type"] == "image"]
        has_images = has_images or bool(images)
        ours = sight._called(text, images) if images else None
        if ours is None:
            ids = sight.processor.tokenizer(text, add_special_tokens=sight.adds_tokens(text)).input_ids
            ours = {"input_ids": torch.tensor([ids])}
            theirs = {"input_ids": theirs["input_ids"]}
        differing = sorted(
            key
            for key in ours.keys() | theirs.keys()
            if key not in ours or key not in theirs or not _is_equal(ours[key], theirs[key])
        )
        if differing:
            raise TemplateError(
                f"model '{name}': its prompts would not be those of its own processor: with {case}, "
                f"{', '.join(differing)} differ. Please report this, with the name of the model"
            )
        compared += 1
    if not has_images:
        raise TemplateError(f"model '{name}': no dialogue with images can be made by its chat template: {refusal}")
    return compared


def _of_processor(processor: Any, source: str, kwargs: Mapping[str, Any], messages: Messages) -> dict[str, Any]:
    made = processor.apply_chat_template(
        messages,
        chat_template=source,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        **kwargs,
    )
    return dict(made)


def _is_equal(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and bool(torch.equal(one, other))
    return bool(one == other)


def _samples() -> Iterator[tuple[str, Messages]]:
    """Yield dialogues with images in their contents, each with what is peculiar about it."""
    import PIL.Image

    def turn(role: str, text: str, *colours: str) -> dict[str, Any]:
        images = [{"type": "image", "image": PIL.Image.new("RGB", _SAMPLE, colour)} for colour in colours]
        return {"role": role, "content": [*images, {"type": "text", "text": text}]}

    yield "no image", [turn("user", "Hello! What is two plus two?")]
    yield "one image", [turn("user", "What do you see? Größe, 東京, 🙂", "red")]
    yield "two images", [turn("user", "Compare them.", "red", "blue")]
    yield (
        "images in two turns",
        [turn("user", "What is this?", "red"), turn("assistant", "A red area."), turn("user", "And this?", "blue")],
    )
    yield "a system text", [turn("system", "Answer briefly."), turn("user", "What is this?", "green")]


def _without_pixels(messages: Messages) -> Messages:
    return [
        {
            **message,
            "content": [
                {name: value for name, value in part.items() if name != "image"} for part in message["content"]
            ],
        }
        for message in messages
    ]
