"""What is said before weights are read: the sizes of the packaged models, and how soon a too large one is refused.

Nothing is sent. The model that is refused has a hole of the right size as its file of weights; it is loaded under a
limit of the process's data (RLIMIT_DATA), 300 MB above what the imports take.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

LARGE = {
    "hidden_size": 4096,
    "intermediate_size": 8192,
    "num_hidden_layers": 24,
    "num_attention_heads": 32,
    "head_dim": 128,
}
ROOM = 300_000_000
BYTES = 4 * 10**9


def main(arguments: list[str]) -> None:
    """Print what ``clem fit`` says of the packaged models, and the time of a refusal."""
    if arguments[:1] == ["--refuse"]:
        refuse(arguments[1])
        return
    packaged()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(Path(__file__).with_name("local.py")), "fit", "--refuse", str(large(folder))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.strip() or done.stderr.strip())


def packaged() -> None:
    """Count the packaged models of huggingface_local whose weights are known, and those with an estimate."""
    from clemcore.backends.local.fitting import fits
    from clemcore.backends.local.memory import Free
    from clemcore.backends.local.transformers.loading import without_the_hub
    from clemcore.errors import ClemcoreError
    from clemcore.registry.spec import ModelSpec

    entries = json.loads((Path(__file__).resolve().parents[1] / "model_registry.json").read_bytes())
    local = [entry for entry in entries if entry.get("backend") == "huggingface_local"]
    found: Counter[str] = Counter()
    begin = time.process_time()
    for entry in local:
        with_size = "with 'parameters'" if entry.get("parameters") else "without 'parameters'"
        try:
            with without_the_hub():
                needs = fits(ModelSpec(**entry), Free(24 * 10**9, "--memory"))[0].verdict.needs
            how = (
                "an estimate that names the file"
                if "would make it exact" in (needs.estimated_from or "")
                else "exact"
            )
        except ClemcoreError as error:
            how = f"refused ({str(error).partition(': ')[2][:90]}…)"
        found[f"{with_size}: {how}"] += 1
    print(f"{len(local)} packaged entries of huggingface_local, {time.process_time() - begin:.1f} s of CPU")
    for line, count in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"  {count:4} {line}")


def large(folder: str) -> Path:
    """Write a model of 4 GB whose weights are a hole in a file."""
    from support.models import built_model
    from support.tiny import copy_of

    made = copy_of(built_model("tiny_chat"), Path(folder) / "large", config=LARGE)
    head = json.dumps({"a": {"dtype": "F32", "shape": [BYTES // 4], "data_offsets": [0, BYTES]}}).encode()
    with (made / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        os.truncate(file.fileno(), 8 + len(head) + BYTES)
    return made


def refuse(folder: str) -> None:
    """Load the model under a limit, and print the time after the imports and the error."""
    # What a first load imports.
    import torch  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    from clemcore.backends.huggingface_local import HuggingfaceLocal
    from clemcore.errors import ModelLoadError
    from clemcore.registry.spec import ModelSpec

    status = Path("/proc/self/status").read_text(encoding="ascii")
    used = int(status.split("VmData:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + ROOM, used + ROOM))
    begin, wall = time.process_time(), time.perf_counter()
    try:
        HuggingfaceLocal().get_model_for(ModelSpec(model_name="large", huggingface_id=folder))
    except ModelLoadError as error:
        cpu, waited = time.process_time() - begin, time.perf_counter() - wall
        print(f"refused after {cpu:.2f} s of CPU ({waited:.2f} s): {error}")
