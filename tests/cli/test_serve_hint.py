"""The command that serves a model: GPUs, context, and a job script that really runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local.serving import plan
from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec
from support.clem import Clem

GB = 10**9
# In place of vLLM: it answers /health after a while, and notes its arguments.
STUB = f"""#!{sys.executable}
import http.server, json, sys, time
from pathlib import Path
Path("arguments.json").write_text(json.dumps(sys.argv[1:]))
port = int(sys.argv[sys.argv.index("--port") + 1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def spec(parameters: str = "7B", **more: Any) -> ModelSpec:
    config = more.pop("model_config", {})
    fields = {"model_name": "m-7b", "backend": "huggingface_local", "huggingface_id": "org/m-7b"}
    return ModelSpec(**{**fields, "parameters": parameters, "context_size": "8k", **more}, model_config=config)


def test_a_small_model_has_a_copy_on_each_gpu() -> None:
    made = plan(spec(), 8, 80 * GB)
    assert (made.tensor_parallel, made.copies, made.context) == (1, 8, 8192)
    assert made.command() == (
        "vllm serve org/m-7b \\\n  --host 127.0.0.1 \\\n  --port 8000 \\\n  --served-model-name m-7b \\\n"
        "  --dtype auto \\\n  --max-model-len 8192 \\\n  --data-parallel-size 8 \\\n  --gpu-memory-utilization 0.9"
    )


def test_a_large_model_is_spread() -> None:
    made = plan(spec("70B"), 8, 80 * GB)
    assert (made.tensor_parallel, made.copies) == (4, 2)
    assert "--tensor-parallel-size" in made.arguments


def test_a_model_that_does_not_fit() -> None:
    with pytest.raises(SpecError, match=r"does not fit 2 GPUs of .*Take about \d+ GPUs \(--gpus\)"):
        plan(spec("70B"), 2, 24 * GB)


def test_the_context_is_that_of_the_model(tiny_chat: Path) -> None:
    folder = ModelSpec(model_name="tiny", backend="huggingface_local", huggingface_id=str(tiny_chat))
    made = plan(folder, 4, 80 * GB)
    assert (made.context, made.is_shortened) == (512, False)
    with pytest.raises(SpecError, match="has a context of 512 tokens, so --context 4096 is too much"):
        plan(folder, 1, 80 * GB, 4096)


def test_what_the_server_does_otherwise_is_told() -> None:
    made = plan(
        spec("70B", model_config={"load_in_4bit": True, "custom_chat_template": "{{ messages }}"}), 3, 80 * GB
    )
    assert "bitsandbytes" in made.arguments
    assert any("chat template of its own" in words for words in made.warnings)


def test_a_model_of_another_backend() -> None:
    with pytest.raises(SpecError, match="vLLM serves the models of huggingface_local"):
        plan(ModelSpec(model_name="m", backend="openai", model_id="m"), 1, 80 * GB)


def test_the_command_prints_command_and_entry(tiny_chat: Path, clem: Clem) -> None:
    done = clem("serve-hint", str(tiny_chat), "--gpus", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"vllm serve {tiny_chat}")
    assert '"base_url": "http://127.0.0.1:8000/v1"' in done.stderr
    made = json.loads(clem("serve-hint", str(tiny_chat), "--slurm", "--json").stdout)
    assert made["entry"]["base_url"] == "file:servers.txt"


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("flock") and shutil.which("curl")), reason="the job script needs flock and curl"
)
def test_the_job_script_runs_publishes_its_address_and_withdraws_it(tiny_chat: Path, clem: Clem) -> None:
    Path("serve.sh").write_text(clem("serve-hint", str(tiny_chat), "--slurm", "--servers", "3").stdout)
    Path("bin").mkdir()
    Path("bin/vllm").write_text(STUB)
    Path("bin/vllm").chmod(0o755)
    Path("servers.txt").write_text("http://other:8000/v1\n")
    slurm = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_ARRAY_TASK_ID": "2", "SLURM_SUBMIT_DIR": str(Path.cwd())}
    environment = {**os.environ, **slurm, "PATH": f"{Path('bin').resolve()}:{os.environ['PATH']}"}
    job = subprocess.Popen(["bash", "serve.sh"], env=environment, start_new_session=True)
    try:
        end = time.monotonic() + 30
        while len(Path("servers.txt").read_text().splitlines()) < 2:
            assert time.monotonic() < end
            assert job.poll() is None, "the job has ended"
            time.sleep(0.05)
        address = Path("servers.txt").read_text().splitlines()[1]
        assert address.endswith("/v1")
        assert json.loads(Path("arguments.json").read_text())[:2] == ["serve", str(tiny_chat)]
        job.send_signal(signal.SIGTERM)
        # bash runs its trap when the command that it waits for has ended, or at once in `wait`
        assert job.wait(20) == 143
    finally:
        os.killpg(job.pid, signal.SIGKILL) if job.poll() is None else None
    assert Path("servers.txt").read_text() == "http://other:8000/v1\n"
