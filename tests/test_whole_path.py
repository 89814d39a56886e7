"""The whole path on real input: a real model in this process, and behind a server that nobody here wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends

pytestmark = pytest.mark.slow

DIALOGUE = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]


def _local(name: str, folder: Path) -> dict[str, Any]:
    return {
        "model_name": name,
        "backend": "huggingface_local",
        "huggingface_id": str(folder),
        "model_config": {"premade_chat_template": True, "eos_to_cull": "<\\|im_end\\|>", "dtype": "float32"},
    }


def _registry(*entries: dict[str, Any]) -> None:
    Path("model_registry.json").write_text(json.dumps(entries, indent=2))


def test_the_local_model_and_the_served_model_give_the_same_answer(smollm2: Path, smollm2_server: Any) -> None:
    _registry(
        _local("local", smollm2),
        {
            "model_name": "served",
            "backend": "openai_compatible",
            "model_id": smollm2_server.model,
            "base_url": smollm2_server.base_url,
            "model_config": {"requires_api_key": False},
        },
    )
    replies = {}
    for name in ("local", "served"):
        with backends.record(f"{name}.json"):
            model = backends.get_model_for({"model_name": name, "max_tokens": 40})
            replies[name] = model.generate_response(DIALOGUE)
    local, served = replies["local"], replies["served"]
    assert "Canberra" in local.text
    assert local.text == served.text
    assert local.facts["usage"]["input_tokens"] == served.response["usage"]["prompt_tokens"]
    assert len(local.prompt["input_ids"]) == served.response["usage"]["prompt_tokens"]
    assert local.prompt["inputs"].endswith("Australia.<|im_end|>\n<|im_start|>assistant\n")
    assert served.prompt["messages"] == DIALOGUE
    for name, reply in replies.items():
        (call,) = json.loads(Path(f"{name}.json").read_text())
        assert call["manipulated_prompt_obj"] == reply.prompt
        assert call["raw_response_obj"] == reply.response
        assert call["clemcore"]["response_text"] == reply.text
        assert call["clemcore"]["gen_args"]["asked"] == {"max_tokens": 40}


def test_the_examples_of_2024_run_verbatim(smollm2: Path, shared: Path) -> None:
    page = (shared / "seeds" / "use-the-model-backend-directly.md").read_text()
    examples = re.findall(r"^```python\n(import backends.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    _registry(
        _local("zephyr-7b-beta", smollm2),
        *({"model_name": name, "backend": "mock"} for name in ("zephyr-7b-alpha", "openchat-3.5-0106")),
        {"model_name": "gpt-3.5-turbo-0125", "backend": "mock", "responses": ["Canberra, I think."]},
    )
    for number, example in enumerate(examples):
        script = Path(f"example{number}.py")
        script.write_text(example)
        done = subprocess.run(
            [sys.executable, "-m", "clemcore", str(script)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
        assert done.returncode == 0, done.stderr
        assert "zephyr-7b-beta reply:\nThe capital of Australia is Canberra." in done.stdout
        if number == 1:
            assert "zephyr-7b-alpha reply:\nTell me the name of the capital of Australia." in done.stdout
            assert "gpt-3.5-turbo-0125 reply:\nCanberra, I think." in done.stdout
