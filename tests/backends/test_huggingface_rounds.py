"""Backend huggingface_local: memory over many loads, and its peak against what the preflight said.

``CLEMCORE_ROUNDS=50`` loads more often than the 15 times by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,  # importing torch and transformers alone takes seconds
    pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's account of a process"),
]

COMMON = """
import gc, json, sys
from pathlib import Path
import torch, transformers, accelerate
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaForCausalLM
from clemcore.backends.huggingface_local import HuggingfaceLocal
from clemcore.registry.spec import ModelSpec

def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024

def load(folder, **config):
    spec = ModelSpec(model_name="m", huggingface_id=folder, model_config={"premade_chat_template": True, **config})
    return HuggingfaceLocal().get_model_for(spec)
"""

ROUNDS = (
    COMMON
    + """
first = [{"role": "user", "content": "Hello!"}]
def a_round():
    model = load(sys.argv[1])
    model.set_gen_args(max_tokens=12)
    text = model.generate_response(first).text
    model.generate_response([*first, {"role": "assistant", "content": text}, first[0]])
    model.generate_batch_response([first, [*first, {"role": "assistant", "content": "Hi."}, first[0]]])
    del model

for _ in range(5):
    a_round()
before = status("VmRSS")
for _ in range(int(sys.argv[2])):
    a_round()
print(json.dumps(status("VmRSS") - before))
"""
)

PEAK = (
    COMMON
    + """
from clemcore.backends.local.entry import read_entry
from clemcore.backends.local.transformers import weights
folder = sys.argv[1]
before = status("VmRSS")
model = load(folder, kept_cache=0)  # what is kept takes only free memory
model.set_gen_args(max_tokens=8)
messages = [{"role": "user", "content": "two plus " * 1000}]
tokens = model.count_tokens(messages) + 8
model.generate_response(messages)
peak = status("VmHWM") - before
entry = read_entry(ModelSpec(model_name="m", huggingface_id=folder, model_config={"premade_chat_template": True}))
needs = weights.judge(entry, model.config).needs
print(json.dumps({"peak": peak, "said": needs.total(tokens), "tokens": tokens, "weights": needs.weights,
                  "state": needs.state(tokens), "working": needs.working}))
"""
)


def run(code: str, *arguments: str) -> object:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: object = json.loads(done.stdout.splitlines()[-1])
    print(result)
    return result


def test_rounds_end_where_they_began(tiny_chat: Path) -> None:
    growth = run(ROUNDS, str(tiny_chat), os.environ.get("CLEMCORE_ROUNDS", "15"))
    assert isinstance(growth, int)
    assert growth < 20 * 2**20


def test_the_peak_is_what_the_preflight_said(tiny_chat: Path, tmp_path: Path) -> None:
    """Of a call of 2,000 tokens, from after the imports; within a tenth."""
    from support.architectures import save

    size = {"hidden_size": 1536, "intermediate_size": 4096, "num_hidden_layers": 6, "head_dim": 128}
    heads = {"num_attention_heads": 12, "num_key_value_heads": 12, "max_position_embeddings": 4096}
    folder = save("llama", tmp_path / "model", tiny_chat, **size, **heads)
    seen = run(PEAK, str(folder))
    assert isinstance(seen, dict)
    assert 1900 < seen["tokens"] < 4096
    assert abs(seen["peak"] - seen["said"]) < 0.1 * seen["peak"]
