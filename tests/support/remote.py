"""Models of remote backends for tests, without a registry file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clemcore import backends
from clemcore.model import DEFAULT_GEN_ARGS, Model, Reply
from clemcore.registry.spec import ModelSpec

HELLO = [{"role": "user", "content": "Hello!"}]
DIALOGUE = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]
# A key that no text contains by chance.
# The beginnings of images; nothing reads further.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB"
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
CANARY = "sk-canary-0f1e2d3c4b5a69788796"


def write_keys(folder: Path | None = None, **keys: dict[str, Any]) -> Path:
    """Write ./key.json, or that of another folder."""
    path = (folder or Path.cwd()) / "key.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(keys), encoding="utf-8")
    return path


def make_model(backend: str, gen_args: dict[str, Any] | None = None, **entry: Any) -> Model:
    """Make a model as the loader does, defaults included."""
    fields = {"model_name": "remote-model", "model_id": "model-001", "backend": backend, **entry}
    spec = ModelSpec(**{name: value for name, value in fields.items() if value is not None})
    registry = backends.BackendRegistry.from_packaged_and_cwd_files()
    model = registry.get_backend_for(backend).get_model_for(spec)
    model.set_gen_args(**(gen_args or {}))
    model.set_default_gen_args(DEFAULT_GEN_ARGS)
    return model


def open_model(url: str, gen_args: dict[str, Any] | None = None, **config: Any) -> Model:
    """Make a model of a server that wants no key; further arguments go into `model_config`."""
    config = {"requires_api_key": False, **config}
    return make_model("openai_compatible", gen_args, base_url=f"{url}/v1", model_config=config)


def ask(model: Model, messages: Any = HELLO) -> Reply:
    """Ask, and return the answer with all that is known of it."""
    result = model.generate_response(messages)
    assert isinstance(result, Reply)
    return result
