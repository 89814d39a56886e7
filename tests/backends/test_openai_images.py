"""Images: how they are sent, and when they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import MessagesError, SpecError
from support.remote import open_model
from support.wire_server import WireServer


def ask(model: Any, messages: list[dict[str, Any]]) -> None:
    model.generate_response(messages)


PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20
# A JPEG with an ICC profile first, of which 3.7.2 did not know the type.
JPEG = b"\xff\xd8\xff\xe2\x0c\x58ICC_PROFILE" + b"\x00" * 20
SEES = {"single_image": True, "multiple_images": True}


def test_images_become_parts(wire_server: WireServer, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PNG)  # the name lies
    (tmp_path / "b").write_bytes(JPEG)
    links = ["https://images.example/c.png", "data:image/gif;base64,R0lGODlh"]
    images = [str(tmp_path / "a.jpg"), tmp_path / "b", *links]
    messages = [{"role": "user", "content": "Look: <image> there", "image": images, "name": "ann"}]
    ask(open_model(wire_server.url, multimodality=SEES), messages)
    (message,) = wire_server.only.json["messages"]
    assert message["name"] == "ann"
    assert "image" not in message
    assert message["content"][0] == {"type": "text", "text": "Look: there"}
    urls = [part["image_url"]["url"] for part in message["content"][1:]]
    assert [url[:22] for url in urls[:2]] == ["data:image/png;base64,", "data:image/jpeg;base64"]
    assert urls[2:] == links
    assert messages[0]["image"] == images


def test_one_image_as_text_and_no_image_at_all(wire_server: WireServer) -> None:
    Path("dot.png").write_bytes(PNG)
    model = open_model(wire_server.url, multimodality={"single_image": True, "multiple_images": False})
    ask(model, [{"role": "user", "content": "A", "image": "dot.png"}])
    assert len(wire_server.requests[-1].json["messages"][0]["content"]) == 2
    ask(
        model, [{"role": "user", "content": "A", "image": []}, {"role": "assistant", "content": "B", "image": None}]
    )
    assert wire_server.requests[-1].json["messages"][0] == {"role": "user", "content": "A"}
    with pytest.raises(MessagesError, match="2 images, but model 'remote-model' sees one per message"):
        ask(model, [{"role": "user", "content": "A", "image": ["dot.png"] * 2}])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("gone.png", r"\['image'\]\[0\]: gone.png .* cannot be sent: No such file"),
        ("text.png", "no image: its first bytes are of no known type"),
        ("empty.png", "the file is empty"),
        ("ftp://images.example/a.png", "only paths, http"),
        ("file:///tmp/a.png", "give the path without 'file://'"),
        ("data:text/plain,hello", "starts with 'data:text/plain'"),
        ("data:image/png,hello", "must be data:TYPE;base64,DATA"),
        ("data:image/png;base64,???", "missing or not base64"),
        ("data:image/png;base64,R0lGODlh", "says image/png, but its first bytes are those of image/gif"),
        (b"hello", "the bytes cannot be sent: no image"),
        ("dot\0.png", "cannot be sent: .*null"),
        (["", "dot.png"], "must be a path"),
        (3, r"messages\[0\]\['image'\] must be .* not int"),
    ],
)
def test_images_that_cannot_be_sent(wire_server: WireServer, image: Any, words: str) -> None:
    Path("text.png").write_text("hello")
    Path("empty.png").write_bytes(b"")
    with pytest.raises(MessagesError, match=words):
        ask(open_model(wire_server.url, multimodality=SEES), [{"role": "user", "content": "A", "image": image}])
    assert not wire_server.requests


def test_a_model_that_sees_nothing_refuses_images(wire_server: WireServer) -> None:
    Path("dot.png").write_bytes(PNG)
    blind: list[dict[str, Any]] = [
        {},
        {"multimodality": {}},
        {"multimodality": {"single_image": False, "multiple_images": False}},
    ]
    for config in blind:
        with pytest.raises(MessagesError, match="has an image, but model 'remote-model' sees none"):
            ask(open_model(wire_server.url, **config), [{"role": "user", "content": "A", "image": "dot.png"}])
    assert not wire_server.requests


def test_bytes_are_sent_like_a_file(wire_server: WireServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PNG)
    for image in (PNG, bytearray(PNG), tmp_path / "a"):
        ask(open_model(wire_server.url, multimodality=SEES), [{"role": "user", "content": "A", "image": image}])
    assert len({received.body for received in wire_server.requests}) == 1


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_images": 2}, "the dialogue has 3 images, but model 'remote-model' takes 2"),
        ({"max_image_bytes": 27}, r"messages\[0\]\['image'\]\[0\]: the image has 28 bytes, .* takes 27"),
        ({"image_types": ["image/jpeg"]}, r"\['image'\]\[0\]: the image is image/png, .* takes image/jpeg"),
    ],
)
def test_limits_of_the_entry(wire_server: WireServer, limits: dict[str, Any], words: str) -> None:
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "A", "image": [PNG, JPEG]},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C", "image": PNG},
    ]
    with pytest.raises(MessagesError, match=words):
        ask(open_model(wire_server.url, multimodality={**SEES, **limits}), turns)
    assert not wire_server.requests
    enough = {"max_images": 3, "max_image_bytes": 40, "image_types": ["image/png", "image/jpeg"]}
    ask(open_model(wire_server.url, multimodality={**SEES, **enough}), turns)
    with pytest.raises(SpecError, match=r"multimodality\.max_images must be a whole number, not '3'"):
        ask(open_model(wire_server.url, multimodality={**SEES, "max_images": "3"}), turns)
