"""The main job in one go: one dialogue, answered by a real local model and by the same model behind a server.

Run it with ``make demo``, which sets up everything. It makes a working folder with a model registry of two entries,
asks both models the same question through the same call, shows both tuples, and leaves ``requests.json``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from model import DemoModelError, ensure_model
from server import ServerError, serve

from clemcore import backends

WORK = Path(__file__).resolve().parents[2] / "build" / "demo"

MESSAGES = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]


def registry(folder: Path, base_url: str, served_name: str) -> list[dict[str, Any]]:
    """The working directory's registry: the model run in this process, and the same model behind the server."""
    return [
        {
            "model_name": "smollm2-local",
            "backend": "huggingface_local",
            "huggingface_id": str(folder),
            "context_size": "8k",
            "model_config": {
                "premade_chat_template": True,
                "eos_to_cull": "<\\|im_end\\|>",
                "padding_side": "left",
                "dtype": "float32",
            },
        },
        {
            "model_name": "smollm2-served",
            "backend": "openai_compatible",
            "model_id": served_name,
            "base_url": base_url,
            "context_size": "8k",
            "model_config": {"requires_api_key": False},
        },
    ]


def show(title: str, value: object) -> None:
    """Print one part of a tuple, long ones cut in the middle."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > 600:
        text = f"{text[:400]} … {text[-180:]}"
    print(f"  {title:<14} {text}")


def main() -> int:
    """Set up, ask both, compare; the exit status tells whether both gave the same answer."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    folder = ensure_model()
    WORK.mkdir(parents=True, exist_ok=True)
    os.chdir(WORK)
    Path("requests.json").unlink(missing_ok=True)
    print(f"starting `transformers serve` on the loopback address with {folder.name} …", flush=True)
    texts, tokens = [], []
    with serve(folder) as server, backends.record("requests.json") as recorder:
        entries = registry(folder, server.base_url, server.model)
        Path("model_registry.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
        for name in ("smollm2-local", "smollm2-served"):
            model = backends.get_model_for({"model_name": name, "max_tokens": 50})
            reply = model.generate_response(MESSAGES)
            prompt, response, response_text = reply
            print(f"\n{name} ({model.model_spec.backend})")
            show("prompt", prompt)
            show("response", response)
            show("response_text", response_text)
            texts.append(response_text)
            tokens.append(reply.facts["usage"]["input_tokens"])
            del model
    print(f"\nprompt tokens: {tokens[0]} counted here, {tokens[1]} reported by the server")
    print(f"{recorder.count} calls recorded in {recorder.path}")
    same = texts[0] == texts[1] and tokens[0] == tokens[1] and "Canberra" in texts[0]
    print("both gave the same answer" if same else "the answers differ: this is not what should happen")
    return 0 if same else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DemoModelError, ServerError) as error:
        sys.exit(f"error: {error}")
