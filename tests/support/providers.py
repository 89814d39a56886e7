"""A loopback server in place of all providers, for the blocks of the documentation.

Blocks find it by environment variables: ``$HOME`` leads to a key file whose keys name its address, and the
services without an address of their own have it in their ``…_BASE_URL``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import anthropic_wire as anthropic
from support import google_wire as google
from support import mistral_wire as mistral
from support import wire_server as chat
from support.wire_server import Answer, Received, WireServer

# Where the calls of a provider go below the server's address.
_BASES = {
    "openai": "/v1",
    "anthropic": "",
    "google": "",
    "mistral": "/v1",
    "cohere": "",
    "openrouter": "/api/v1",
}
_IN_THE_ENVIRONMENT = {
    "openai_compatible": "/v1",
    "azure_gpt": "/openai/v1",
    "azure_claude": "/anthropic",
    "lab": "",
}
# What a service answers when a page does not say it, by the end of the path.
_ANSWERS = {
    "/chat/completions": chat.completion(),
    "/responses": chat.response(),
    "/messages": anthropic.message(),
    ":generateContent": google.generated(),
    "/v2/chat": mistral.chat(),
    "/generate": chat.reply(200, {"text": " Canberra.\n", "tokens": [9, 4]}),
}


def _usual(received: Received) -> Answer:
    return next(answer for end, answer in _ANSWERS.items() if received.target.endswith(end))


class Providers(WireServer):
    """Answers in the format of the provider that a call is for; `says` sets the next answers."""

    def __init__(self) -> None:
        super().__init__()
        self.script = [_usual]

    def says(self, expression: str) -> None:
        """Answer first as a page says: Python for an answer or several, in words of the wire modules."""
        if expression:
            names = {"chat": chat, "anthropic": anthropic, "google": google, "mistral": mistral}
            first = eval(expression, names)  # noqa: S307 - our own pages
            self.script = [*(first if isinstance(first, tuple) else (first,)), _usual]

    def enter_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = {name: {"api_key": f"key-of-{name}", "base_url": self.url + path} for name, path in _BASES.items()}
        file = Path(os.environ["HOME"]) / ".clemcore" / "key.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(keys))
        for name, path in _IN_THE_ENVIRONMENT.items():
            monkeypatch.setenv(f"{name.upper()}_API_KEY", f"key-of-{name}")
            monkeypatch.setenv(f"{name.upper()}_BASE_URL", self.url + path)


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Providers]:
    """All providers, on the loopback address, as the environment says."""
    server = Providers()
    with server:
        server.enter_environment(monkeypatch)
        yield server
