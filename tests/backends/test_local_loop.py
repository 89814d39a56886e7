"""The loop over several local models of the tutorial keeps the memory of one: a vision, a GGUF and a text model."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.gguf_files import write_gguf
from support.models import REPOSITORY, load_script

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's account of a process"),
]
# Values of a layer in the middle of each model; 61 MB of weights.
WIDE = 40_000
WEIGHTS = 61_000_000
# Prints, as JSON, the peak of the process: with each model alone, and in the loop over all of them, twice.
LOOP = """
import json, sys
from pathlib import Path
from clemcore import backends

messages = [
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Tell me the name of the capital of Australia."},
]

def peak(specs):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    for spec in specs:
        model = backends.get_model_for(spec)
        model.set_gen_args(temperature=0.0, max_tokens=4)
        prompt, response, response_text = model.generate_response(messages)
        del model
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

specs = [backends.ModelSpec(**fields) for fields in json.loads(sys.argv[1])]
peak(specs)  # libraries are imported, and memory that stays is taken
print(json.dumps({"alone": [peak([spec]) for spec in specs], "loop": peak(specs * 2)}))
"""


def wide_text(tiny_chat: Path, folder: Path) -> Path:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_chat)
    config = LlamaConfig.from_pretrained(tiny_chat, intermediate_size=WIDE)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def wide_vision(tiny_chat: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = load_script(REPOSITORY / "tests" / "models" / "tiny_vision.py")
    language = script._language
    monkeypatch.setattr(script, "_language", lambda tokenizer: {**language(tokenizer), "intermediate_size": WIDE})
    script.build("llava", tiny_chat, folder)
    return folder


@pytest.mark.timeout(900)  # for busy machines: 20 s of CPU
@pytest.mark.parametrize("backend", ["huggingface_local", "llamacpp"])
def test_a_loop_over_models_of_three_kinds_keeps_the_peak_of_one(
    backend: str, tiny_chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "llamacpp" and importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("llama-cpp-python is not installed: make test-llamacpp")
    text = wide_text(tiny_chat, tmp_path / "text")
    vision = wide_vision(tiny_chat, tmp_path / "vision", monkeypatch)
    file = write_gguf(text, tmp_path / "wide.gguf")
    config: dict[str, Any] = {"premade_chat_template": True}
    local = {"backend": "huggingface_local", "model_config": config}
    specs = [
        {
            **local,
            "model_name": "vision",
            "huggingface_id": str(vision),
            "model_config": {**config, "multimodal": True},
        },
        {"model_name": "gguf", "backend": backend, "huggingface_id": str(file), "model_config": config},
        {**local, "model_name": "text", "huggingface_id": str(text)},
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", LOOP, json.dumps(specs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr[-4000:]
    peaks = json.loads(done.stdout.splitlines()[-1])
    assert file.stat().st_size > WEIGHTS
    # Two models at once would take 61 MB more.
    assert peaks["loop"] < max(peaks["alone"]) + WEIGHTS / 3, peaks
