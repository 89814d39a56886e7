"""For every wire format and every packaged entry: the record holds the very bytes that a server received."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.backend import ServiceBackend
from clemcore.errors import RemoteCallError
from clemcore.model import DEFAULT_GEN_ARGS
from clemcore.registry.spec import ModelSpec
from support.formats import FORMATS
from support.models import REPOSITORY
from support.wire_server import Answer, WireServer, refusal

# What JSON writers treat differently: quotes, control characters, beyond ASCII and beyond 16 bits, line separators.
WORDS = 'ä 语 😀 "quoted" \\ / \t\n \x7f \u2028 \u0000 e\u0301 ﷽ <b>&amp;'
PNG = "data:image/png;base64,iVBORw0KGgo="
SEES = {"multimodality": {"single_image": True, "multiple_images": True}}
DIALOGUE = [
    {"role": "system", "content": f"Be short. {WORDS}"},
    {"role": "user", "content": WORDS, "image": [PNG, b"\x89PNG\r\n\x1a\n..."]},
    {"role": "assistant", "content": WORDS},
    {"role": "user", "content": "Which?"},
    {"role": "user", "content": "Say it.", "image": "https://example.org/ä.png?x=1"},
]


def values_in(path: Path, name: str) -> Iterator[bytes]:
    """The text of a field's value in every entry of a record, as it stands in the file."""
    text, field = path.read_text("utf-8"), f'"{name}": '
    at = 0
    while (at := text.find(field, at)) >= 0:
        end = json.JSONDecoder().raw_decode(text, at + len(field))[1]
        yield text[at + len(field) : end].encode()
        at = end


@pytest.mark.parametrize("name", FORMATS)
def test_the_record_holds_what_the_server_received_and_sent(wire_server: WireServer, name: str) -> None:
    form = FORMATS[name]
    answer, broken = form.answer(), Answer(503, b'{"error": "later"}', {"Retry-After": "0"})
    wire_server.script = [broken, answer, refusal(400, "no, because ä")]
    model: Any = form.model(wire_server.url, {"max_tokens": 7}, model_config=SEES)
    with backends.record("requests.json"):
        reply = model.generate_response(DIALOGUE)
        with pytest.raises(RemoteCallError, match="no, because ä"):
            model.generate_response(DIALOGUE)
        wire_server.script.append(answer)
        model.generate_batch_response([DIALOGUE] * 3)
    first, again, *more = wire_server.requests
    assert [first.body, again.body] == [first.body] * 2, "a repeated attempt sends the same bytes"
    assert reply.prompt == first.json
    path = Path("requests.json")
    calls = json.loads(path.read_text("utf-8"))
    sent, received = list(values_in(path, "manipulated_prompt_obj")), list(values_in(path, "raw_response_obj"))
    assert sent == [again.body, *(each.body for each in more)]
    assert received == [answer.body, refusal(400, "no, because ä").body, *[answer.body] * 3]
    for call, asked, told in zip(calls, sent, received, strict=True):
        wire = call["clemcore"]["wire"]
        assert wire["request_sha256"] == hashlib.sha256(asked).hexdigest()
        assert wire["response_sha256"] == hashlib.sha256(told).hexdigest()
        assert (wire["request_bytes"], wire["response_bytes"]) == (len(asked), len(told))
    assert calls[0]["clemcore"]["wire"]["attempts"] == 2
    assert "iVBORw0KGgo=" in first.body.decode()


REMOTE = ("anthropic", "azure", "cohere", "google", "mistral", "openai", "openai_compatible", "openrouter")
ENTRIES = [
    entry
    for entry in json.loads((REPOSITORY / "model_registry.json").read_text("utf-8"))
    if entry["backend"] in REMOTE
]


@pytest.mark.parametrize("backend", sorted({entry["backend"] for entry in ENTRIES}))
def test_every_packaged_entry_sends_what_is_recorded(wire_server: WireServer, backend: str) -> None:
    found = backends.BackendRegistry.from_packaged_and_cwd_files().get_backend_for(backend)
    assert isinstance(found, ServiceBackend)
    entries = [entry for entry in ENTRIES if entry["backend"] == backend]
    with backends.record("requests.json"):
        for entry in entries:
            config = {**entry.get("model_config", {}), "requires_api_key": False}
            spec = ModelSpec(**{**entry, "model_config": config, "base_url": wire_server.url})
            path = found.service_of(spec).dialect.path(spec, entry["model_id"])
            form = next(form for form in FORMATS.values() if _speaks(form.backend, form.config, backend, config))
            wire_server.script = [form.answer()]
            model = found.get_model_for(spec)
            model.set_default_gen_args(DEFAULT_GEN_ARGS)
            image = config.get("multimodality", {}).get("single_image")
            messages = [{"role": "user", "content": WORDS, **({"image": PNG} if image else {})}]
            model.generate_response(messages)
            assert wire_server.requests[-1].target == path
    assert list(values_in(Path("requests.json"), "manipulated_prompt_obj")) == [
        received.body for received in wire_server.requests
    ]
    assert len(wire_server.requests) == len(entries)


def _speaks(backend: str, config: dict[str, Any], wanted: str, entry: dict[str, Any]) -> bool:
    return backend == wanted and config.get("api") == entry.get("api")
