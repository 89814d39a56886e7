"""What a registry entry tells the backend ``llamacpp``, read once and checked; no file is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.entry import LocalEntry, read_time
from clemcore.backends.local.memory import read_size
from clemcore.backends.local.patterns import compile_pattern
from clemcore.backends.local.sizes import parameters_of
from clemcore.backends.local.source import is_gguf, read_source
from clemcore.errors import SpecError
from clemcore.registry.context_size import parse_context_size
from clemcore.registry.settings import is_misspelt, problems_of, sentence, settings_of
from clemcore.registry.spec import ModelSpec

BACKEND = "llamacpp"
# Settings that are the pipeline's; the others are llama.cpp's.
_PIPELINE = (
    "premade_chat_template",
    "custom_chat_template",
    "chat_template_kwargs",
    "eos_to_cull",
    "output_split_prefix",
    "revision",
    "requires_api_key",
    "own_weights",
    "preflight",
    "exactness",
    "prefill_block",
    "kept_cache",
    "template_now",
    "control_tokens",
    "missing_text",
)
# Names of llama.cpp and llama-cpp-python for settings, and how they are called here.
_FOREIGN = {
    "n_ctx": "'context_size' of the entry",
    "ctx_size": "'context_size' of the entry",
    "n_gpu_layers": "'gpu_layers_offloaded'",
    "n_threads": "'threads'",
    "n_batch": "'prefill_block'",
    "n_ubatch": "'prefill_block'",
    "type_k": "'cache_type'",
    "type_v": "'cache_type'",
}
# The least and the most that llama.cpp takes: GGML_MAX_N_THREADS, and numbers of 32 bits.
_LIMITS = {"threads": (1, 512), "gpu_layers_offloaded": (-1, 2**31 - 1), "prefill_block": (0, 2**31 - 1)}
# Tokens that are fed at once where the entry does not say it.
_BLOCK = 512


@dataclass(frozen=True)
class LlamaSettings:
    """The settings of one model.

    Attributes:
        local: those that every local model has.
        pattern: which file of a repository or folder, or None.
        further: patterns of further parts of the model.
        bos: the text of the token that begins a sequence, or None for that of the file.
        eos: the text of a token that ends a reply besides those of the file, or None.
        parameters: how many weights the model has by the entry, or None.
        gpu_layers: how many layers are put on a GPU; -1: all.
        wants_gpu: whether the entry asks for a GPU, so that it is an error if there is none.
        threads: how many threads compute.
        cache_type: the format of keys and values.
    """

    local: LocalEntry
    pattern: str | None
    further: tuple[str, ...]
    bos: str | None
    eos: str | None
    parameters: int | None
    gpu_layers: int
    wants_gpu: bool
    threads: int
    cache_type: str

    @property
    def piece(self) -> int:
        """The most tokens that are fed at once."""
        return self.local.prefill_block or _BLOCK


def read_settings(spec: ModelSpec) -> LlamaSettings:
    """Read and check the settings of a model specification.

    Raises:
        SpecError: a setting is missing, unknown, of the wrong type, or contradicts another; the message names the
            model and the setting.
    """
    name = spec["model_name"]
    if spec.get("backend") != BACKEND:
        spec = ModelSpec(**{**spec.to_dict(), "backend": BACKEND})
    for problem in problems_of(spec):
        if problem.stops_model or is_misspelt(spec, problem):
            raise SpecError(sentence(spec, problem))
    given = _given(spec)
    _check_names(spec)
    _check_limits(name, given)
    source = read_source(spec)
    pattern = given.get("filename")
    if pattern is not None and not is_gguf(str(pattern)):
        raise SpecError(f"model '{name}': filename must name a GGUF file (….gguf), not {pattern!r}")
    return LlamaSettings(
        LocalEntry(
            name,
            source.name,
            is_folder=source.path is not None,
            eos_is_literal="eos_to_cull" in spec.to_dict(),
            context_size=parse_context_size(spec.get("context_size"), name),
            filename=pattern,
            **_pipeline(name, given),
        ),
        pattern,
        tuple(given.get("additional_files") or ()),
        given.get("bos_string"),
        given.get("eos_string"),
        parameters_of(spec),
        _gpu_layers(name, given),
        given.get("execute_on") == "gpu" or bool(given.get("gpu_layers_offloaded")),
        given.get("threads") or _threads(),
        given.get("cache_type") or "f16",
    )


def _given(spec: ModelSpec) -> dict[str, Any]:
    """Return the settings of both layouts."""
    fields = spec.to_dict()
    nested = fields.get("model_config") or {}
    honoured = settings_of(BACKEND)
    return {key: (nested if key in nested else fields)[key] for key in honoured if key in nested or key in fields}


def _check_names(spec: ModelSpec) -> None:
    """Refuse settings by the names that llama.cpp gives them: nothing would read them."""
    fields = spec.to_dict()
    found = [key for key in _FOREIGN if key in {**fields, **(fields.get("model_config") or {})}]
    if found:
        meant = ", ".join(f"{_FOREIGN[key]} in place of '{key}'" for key in found)
        raise SpecError(f"model '{spec['model_name']}': clemcore has other names for settings: write {meant}")


def _check_limits(name: str, given: Mapping[str, Any]) -> None:
    """Refuse numbers that llama.cpp would cut off, or that would end the process."""
    for key, (least, most) in _LIMITS.items():
        number = given.get(key)
        if number is not None and not least <= number <= most:
            meaning = " (-1: all)" if least < 0 else ""
            raise SpecError(
                f"model '{name}': {key} must be a number from {least}{meaning} to {most}, not {number}: "
                "correct it, or remove it for the default"
            )


def _pipeline(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: given[key] for key in _PIPELINE if given.get(key) is not None}
    if "template_now" in found:
        read_time(found["template_now"], f"model '{name}': template_now")
    if found.get("eos_to_cull"):
        try:
            compile_pattern(found["eos_to_cull"])
        except ValueError as fault:
            raise SpecError(f"model '{name}': 'eos_to_cull' {fault}") from None
    if found.get("control_tokens") == "escape":
        raise SpecError(
            f"model '{name}': control_tokens 'escape' is not possible with llamacpp, whose tokenizer does not "
            "say which characters a token stands for: use 'record' or 'error'"
        )
    if "kept_cache" in found:
        found["kept_cache"] = read_size(found["kept_cache"], f"model '{name}': kept_cache")
    return found


def _gpu_layers(name: str, given: Mapping[str, Any]) -> int:
    layers, where = given.get("gpu_layers_offloaded"), given.get("execute_on")
    if where == "cpu":
        if layers:
            raise SpecError(
                f"model '{name}': execute_on is 'cpu', but gpu_layers_offloaded is {layers}: keep one of them"
            )
        return 0
    return -1 if layers is None else int(layers)


def _threads() -> int:
    """Return how many threads compute where the entry does not say it: as for PyTorch, $OMP_NUM_THREADS decides."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1
