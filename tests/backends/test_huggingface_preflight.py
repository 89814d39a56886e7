"""Backend huggingface_local: what does not fit is refused before weights are read; where weights go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local import preflight
from clemcore.backends.local.memory import Free
from clemcore.backends.local.needs import LayerState, Needs
from clemcore.errors import ModelLoadError, SpecError
from support.tiny import CANBERRA, CAPITAL, END, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

CONFIG = {"premade_chat_template": True, "eos_to_cull": END}
MB = 1_000_000
NEEDS = Needs(500 * MB, "float32", (LayerState("full_attention", 0, 50_000),), 64 * MB)
OTHERS = {"dtype 'bfloat16'": 250 * MB, "load_in_4bit": 100 * MB}


class TestVerdicts:
    def test_what_fits(self) -> None:
        verdict = preflight.Verdict(NEEDS, Free(1000 * MB, "machine"), 8192)
        preflight.require_room("m", verdict, {})
        assert verdict.longest == 8192  # 8720 would fit
        assert verdict.dialogues == 1

    def test_what_does_not(self) -> None:
        verdict = preflight.Verdict(NEEDS, Free(400 * MB, "container"), 8192)
        with pytest.raises(ModelLoadError) as caught:
            preflight.require_room("m", verdict, OTHERS)
        assert str(caught.value) == (
            "model 'm' does not fit: it needs 666 MB (weights 500 MB (float32), 2048 tokens 102 MB, computing "
            "64 MB), and 400 MB are free in this container. What would fit: load_in_4bit (266 MB)"
        )

    def test_only_shorter_dialogues_fit(self) -> None:
        verdict = preflight.Verdict(NEEDS, Free(600 * MB, "machine"), 8192)
        with pytest.raises(
            ModelLoadError, match=r"Dialogues of up to 720 tokens would fit: set .*preflight to false"
        ):
            preflight.require_room("m", verdict, {})

    def test_nothing_fits(self) -> None:
        verdict = preflight.Verdict(NEEDS, Free(10 * MB, "RLIMIT_DATA"), 8192)
        with pytest.raises(ModelLoadError, match=r"10 MB are free by RLIMIT_DATA. No format fits; free memory"):
            preflight.require_room("m", verdict, OTHERS)


REFUSED = """
import json, resource, sys, time
from pathlib import Path
import torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
from clemcore.backends.huggingface_local import HuggingfaceLocal
from clemcore.errors import ModelLoadError
from clemcore.registry.spec import ModelSpec

used = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 300_000_000,) * 2)
begin = time.process_time()
try:
    HuggingfaceLocal().get_model_for(ModelSpec(model_name="large", huggingface_id=sys.argv[1]))
except ModelLoadError as error:
    print(json.dumps({"error": str(error), "seconds": time.process_time() - begin}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's account of a process")
def test_a_model_too_large_is_refused_before_its_weights_are_read(altered: Path) -> None:
    """The file of the weights is a hole of the right size, with a head: to read it would fail."""
    import struct

    from safetensors.torch import load_file

    config = json.loads((altered / "config.json").read_text())
    config.update(
        hidden_size=4096, intermediate_size=8192, num_hidden_layers=24, num_attention_heads=32, head_dim=128
    )
    (altered / "config.json").write_text(json.dumps(config))
    assert load_file(altered / "model.safetensors")
    head = json.dumps({"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    with (altered / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        os.truncate(file.fileno(), 8 + len(head) + 4 * 10**9)
    run = [sys.executable, "-c", REFUSED, str(altered)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    print(seen)
    assert "model 'large' does not fit: it needs" in seen["error"]
    assert "are free by RLIMIT_DATA" in seen["error"]


class TestDevices:
    def test_a_device(self, tiny_chat: Path) -> None:
        reply = load(tiny_chat, {**CONFIG, "device": "cpu"}).generate_response(CAPITAL)
        assert (reply.text, reply.facts["model"]["device"]) == (CANBERRA, "cpu")

    def test_a_map(self, tiny_chat: Path) -> None:
        reply = load(tiny_chat, {**CONFIG, "device_map": {"": "cpu"}}).generate_response(CAPITAL)
        assert reply.text == CANBERRA
        assert "offloaded" not in reply.facts["model"]

    def test_layers_on_a_disk_only_where_a_map_says_so(self, tiny_chat: Path, tmp_path: Path) -> None:
        map_ = {"model.embed_tokens": "cpu", "lm_head": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu"}
        layers = {"model.layers.0": "cpu", "model.layers.1": "disk"}
        reply = load(tiny_chat, {**CONFIG, "device_map": {**map_, **layers}}).generate_response(CAPITAL)
        assert reply.text == CANBERRA
        assert reply.facts["model"]["offloaded"]["model.layers.1"] == "disk"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"device": "cuda:7"}, "device names 'cuda:7', which is not a device of this machine: it has cpu"),
            ({"device": "gpu"}, "device names 'gpu', which is not a device of this machine"),
            ({"device_map": {"": "cuda:9"}}, "device_map names 'cuda:9', which is not a device"),
            ({"device_map": "all"}, "device_map must be an object or one of auto, balanced, .*, not 'all'"),
            ({"device": "cpu", "device_map": "auto"}, "device and device_map exclude each other"),
            ({"max_memory": {"cpu": "1GB"}}, "max_memory limits a device_map that is found automatically"),
            (
                {"device_map": "auto", "max_memory": {"cpu": "much"}},
                r'max_memory.cpu must be bytes .*, not "much"',
            ),
            (
                {"device_map": "auto", "max_memory": {"ram": 1}},
                'max_memory must have devices .* as keys, not "ram"',
            ),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_settings_that_are_wrong(self, altered: Path, settings: dict[str, Any], message: str) -> None:
        (altered / "model.safetensors").write_bytes(b"not read")
        with pytest.raises((SpecError, ModelLoadError), match=message):
            load(altered, {**CONFIG, **settings})


def test_without_a_preflight_nothing_is_compared(tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clemcore.backends.local.transformers.placing.free_ram", lambda: Free(1, "machine"))
    with pytest.raises(ModelLoadError, match="'tiny' does not fit"):
        load(tiny_chat)
    reply = load(tiny_chat, {**CONFIG, "preflight": False}).generate_response(CAPITAL)
    assert (reply.text, reply.facts["model"]["preflight"]) == (CANBERRA, False)


def test_no_more_tokens_than_the_context_have_to_fit(tiny_chat: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"'tiny' does not fit: it needs .* \(weights .*, 512 tokens .* kB, "):
        load(tiny_chat, {"premade_chat_template": True, "device_map": "auto", "max_memory": {"cpu": 1000}})
