"""How vLLM is started for the model of an entry: how many GPUs it needs, which context fits, and the very command.

The figures are those of ``clem fit``. It starts nothing and reads no weights.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.entry import LocalEntry, read_entry
from clemcore.backends.local.fitting import fits
from clemcore.backends.local.memory import Free, size_text
from clemcore.backends.local.needs import Needs
from clemcore.backends.local.weight_files import folder_of
from clemcore.errors import SpecError
from clemcore.registry.spec import ModelSpec

# The share of a GPU's memory that vLLM takes: its own default.
USED = 0.9
# What vLLM's buffers and graphs take of each GPU, beside weights and states; an estimate.
_BUFFERS = 2 * 2**30
# A shorter context is of no use for a dialogue.
_LEAST_CONTEXT = 2048


@dataclass(frozen=True)
class ServingPlan:
    """How a model is served.

    Attributes:
        model_name: the name of the entry, which the server gives to the model.
        needs: what the model needs.
        gpu: bytes of one GPU.
        tensor_parallel: over how many GPUs each copy is spread.
        copies: how many copies run side by side.
        context: tokens of a dialogue, or None where the model's own context is not known.
        is_shortened: whether the context is shorter than the model's own.
        arguments: of ``vllm serve``, without host and port.
        warnings: what the server does otherwise than the entry says.
    """

    model_name: str
    needs: Needs
    gpu: int
    tensor_parallel: int
    copies: int
    context: int | None
    is_shortened: bool
    arguments: tuple[str, ...]
    warnings: tuple[str, ...]

    def command(self, host: str = "127.0.0.1", port: str = "8000", indent: str = "  ") -> str:
        """Return the command, an option per line.

        Args:
            host: the address on which it listens; as shell text.
            port: the port; as shell text.
            indent: before each option.
        """
        source, *rest = [shlex.quote(each) for each in self.arguments]
        options = [" ".join(rest[index : index + 2]) for index in range(0, len(rest), 2)]
        options = [f"--host {host}", f"--port {port}", *options]
        return f" \\\n{indent}".join([f"vllm serve {source}", *options])

    def sentence(self) -> str:
        """Return the figures in words."""
        about = "about " if self.needs.estimated_from else ""
        parts = [f"weights {about}{size_text(self.needs.weights)} ({self.needs.format})"]
        if self.needs.layers is not None and self.context:
            parts.append(f"{self.context} tokens {size_text(self.needs.state(self.context))}")
        room = size_text(round(self.gpu * USED))
        spread = f"each copy on {self.tensor_parallel} GPU{'s' * (self.tensor_parallel > 1)}"
        copies = "1 copy" if self.copies == 1 else f"{self.copies} copies"
        return f"{', '.join(parts)}; {room} of a GPU are used; {spread}, {copies}"


def plan(spec: ModelSpec, gpus: int, gpu: int, context: int | None = None) -> ServingPlan:
    """Plan how a model is served.

    Args:
        spec: the entry.
        gpus: how many GPUs one server has.
        gpu: bytes of one GPU.
        context: tokens of a dialogue; by default the model's own context, or as much as fits.

    Raises:
        SpecError: the model does not fit, or its backend is another one.
    """
    if spec.get("backend") != "huggingface_local":
        raise SpecError(
            f"model '{spec['model_name']}' has the backend '{spec.get('backend')}': vLLM serves the models of "
            "huggingface_local, by their huggingface_id"
        )
    entry = read_entry(spec)
    verdict = fits(spec, Free(gpu, "--gpu-memory"))[0].verdict
    own = verdict.context_size
    if context is not None and own is not None and context > own:
        raise SpecError(
            f"model '{entry.model_name}' has a context of {own} tokens, so --context {context} is too much"
        )
    wanted, needs = context or own, verdict.needs
    room = round(gpu * USED) - _BUFFERS
    heads = _heads(entry)
    sizes = [size for size in (1, 2, 4, 8, 16) if size <= gpus and (heads is None or heads % size == 0)]
    spread = next((size for size in sizes if _total(needs, wanted) <= size * room), None)
    if spread is None:  # with a shorter context, on as many GPUs as there are
        spread = sizes[-1]
        longest = needs.tokens_within(spread * room + (needs.working or 0))
        if context is not None or longest < _LEAST_CONTEXT or needs.layers is None:
            raise SpecError(_why_not(entry.model_name, needs, wanted, spread, gpu))
        wanted = min(longest // 256 * 256, own or longest)
    arguments = _arguments(entry, wanted, spread, gpus // spread)
    is_shortened = own is not None and wanted is not None and wanted < own
    warnings = tuple(_warnings(entry, gpus, spread))
    return ServingPlan(
        entry.model_name, needs, gpu, spread, gpus // spread, wanted, is_shortened, arguments, warnings
    )


def _total(needs: Needs, tokens: int | None) -> int:
    return needs.weights + needs.state(tokens or _LEAST_CONTEXT)


def _why_not(name: str, needs: Needs, tokens: int | None, spread: int, gpu: int) -> str:
    total, least = _total(needs, tokens), round(gpu * USED) - _BUFFERS
    more = "" if least <= 0 else f"about {-(-total // least)} GPUs (--gpus), "  # else none is large enough
    return (
        f"model '{name}' does not fit {spread} GPU{'s' * (spread > 1)} of {size_text(gpu)}: weights and one "
        f"dialogue need {size_text(total)}. Take {more}larger ones (--gpu-memory), a shorter "
        "--context, or fewer bits (--set model_config.load_in_4bit=true)"
    )


def _heads(entry: LocalEntry) -> int | None:
    """Return the number of attention heads, which must be a multiple of the GPUs of a copy."""
    folder = folder_of(entry)
    if folder is None:
        return None
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    found = config.get("num_attention_heads") or (config.get("text_config") or {}).get("num_attention_heads")
    return found if isinstance(found, int) and found > 0 else None


def _arguments(entry: LocalEntry, context: int | None, spread: int, copies: int) -> tuple[str, ...]:
    found = [entry.source, "--served-model-name", entry.model_name]
    found += ["--dtype", entry.dtype.removeprefix("torch.")]
    if context is not None:
        found += ["--max-model-len", str(context)]
    if spread > 1:
        found += ["--tensor-parallel-size", str(spread)]
    if copies > 1:
        found += ["--data-parallel-size", str(copies)]
    if entry.load_in_4bit:
        found += ["--quantization", "bitsandbytes"]
    if entry.revision:
        found += ["--revision", entry.revision]
    return (*found, "--gpu-memory-utilization", str(USED))


def _warnings(entry: LocalEntry, gpus: int, spread: int) -> list[str]:
    found = []
    if entry.load_in_8bit:
        found.append("vLLM does not quantise to 8 bits while it loads: it serves the format of the files")
    if entry.custom_chat_template:
        found.append("the entry has a chat template of its own: write it into a file, and add --chat-template FILE")
    if gpus % spread:
        found.append(f"{gpus % spread} of the {gpus} GPUs are not used, because a copy takes {spread}")
    return found


def slurm_script(made: ServingPlan, gpus: int, servers: int, hours: int) -> str:
    """Return a job script for SLURM: an array of servers, each of which writes its address into one file.

    Args:
        made: how the model is served.
        gpus: GPUs of each server.
        servers: how many servers.
        hours: the time limit.
    """
    name = "".join(each if each.isalnum() or each in "-_." else "-" for each in made.model_name)
    command = made.command(
        "0.0.0.0",  # noqa: S104 - the other machines call it
        '"$port"',
        "  ",
    )
    return _SCRIPT.format(name=name, gpus=gpus, servers=servers, hours=hours, command=command)


_SCRIPT = """#!/bin/bash
#SBATCH --job-name=clem-{name}
#SBATCH --array=1-{servers}
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node={gpus}
#SBATCH --time={hours}:00:00
#SBATCH --output=clem-{name}-%A-%a.log
set -euo pipefail

# Every server writes its address into this file; the entry has "base_url": "file:servers.txt".
servers="${{CLEM_SERVERS:-$SLURM_SUBMIT_DIR/servers.txt}}"
# Two jobs may run on one machine.
port=$((8000 + (SLURM_JOB_ID * 100 + SLURM_ARRAY_TASK_ID) % 20000))
url="http://$(hostname -f):$port/v1"

withdraw() {{
  (
    flock 9
    grep --invert-match --line-regexp --fixed-strings "$url" "$servers" > "$servers.$port" || true
    mv "$servers.$port" "$servers"
  ) 9> "$servers.lock"
}}
{command} &
server=$!
trap 'withdraw; kill "$server" 2> /dev/null || true' EXIT
trap 'exit 143' TERM INT
until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/health"; do
  kill -0 "$server"  # it has ended: see the log above
  sleep 2
done
(flock 9; echo "$url" >> "$servers") 9> "$servers.lock"
wait "$server"
"""
