"""What a local model needs in each format, and what fits a size of memory; for ``clem fit`` and ``clem doctor``.

Weights are never read. Where not even the configuration is on this machine, the entry's ``parameters`` give an
estimate.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.entry import LocalEntry, read_entry
from clemcore.backends.local.memory import Free
from clemcore.backends.local.needs import Needs
from clemcore.backends.local.preflight import Verdict
from clemcore.backends.local.sizes import parameters_of
from clemcore.backends.local.weight_files import folder_of
from clemcore.errors import ModelLoadError
from clemcore.registry.spec import ModelSpec

# Bytes of a weight by the name of its format; 4 bits have a scale for each block of 64.
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0, "float64": 8.0, "8 bits": 1.0, "4 bits": 0.5625}


@dataclass(frozen=True)
class Fit:
    """A model in one format, against a size of memory.

    Attributes:
        setting: what asks for the format: ``as in the entry``, or a setting as ``load_in_4bit``.
        verdict: what it needs, and whether it fits.
    """

    setting: str
    verdict: Verdict


def fits(spec: ModelSpec, free: Free | None = None) -> list[Fit]:
    """Compare a model in several formats with a size of memory.

    Args:
        spec: the entry.
        free: the memory; by default what is free now on the devices of the entry.

    Returns:
        The entry's own format first.

    Raises:
        SpecError: the entry is invalid.
        ModelLoadError: nothing is known of the size of the model.
    """
    entry = read_entry(spec)
    if folder_of(entry) is not None:
        return _by_configuration(entry, free)
    return _by_parameters(entry, spec, free)


def _by_configuration(entry: LocalEntry, free: Free | None) -> list[Fit]:
    from clemcore.backends.local.transformers import context as window
    from clemcore.backends.local.transformers import formats, loading, placing, weights

    with loading.without_the_hub():
        config = loading.load_config(entry, loading.hub_options(entry, need_key=False))
    context = window.find_context_size(config, entry, None)[0]
    free = free or placing.free_for(entry)
    own = weights.judge(entry, config, free, context)
    found = [Fit("as in the entry", own)]
    for setting, size in formats.in_other_formats(entry, config).items():
        is_own = getattr(entry, setting, False)  # an estimate of what the first row has exactly
        if size < own.needs.weights and not is_own:
            name = {"load_in_8bit": "8 bits", "load_in_4bit": "4 bits"}.get(setting, "bfloat16")
            layers = own.needs.layers
            if name == "bfloat16" and layers is not None and own.needs.format == "float32":
                layers = tuple(
                    dataclasses.replace(each, fixed=each.fixed // 2, per_token=each.per_token // 2)
                    for each in layers
                )
            needs = dataclasses.replace(own.needs, weights=size, format=name, layers=layers)
            found.append(Fit(setting, Verdict(needs, free, context)))
    return found


def _by_parameters(entry: LocalEntry, spec: ModelSpec, free: Free | None) -> list[Fit]:
    """Estimate the weights by the number of parameters that the entry names."""
    count = parameters_of(spec)
    file = f"config.json of '{entry.source}'"
    if count is None:
        raise ModelLoadError(
            f"model '{entry.model_name}': its size is not known, because {file} is not on this machine and the "
            f"entry has no 'parameters': add them, or run 'clem weights fetch {entry.model_name} --small'"
        )
    own = "4 bits" if entry.load_in_4bit else "8 bits" if entry.load_in_8bit else entry.dtype.removeprefix("torch.")
    if free is None:
        from clemcore.backends.local.transformers.placing import free_for

        free = free_for(entry)
    found = []
    own = "bfloat16" if own == "auto" else own  # as nearly all models are stored
    for setting, name in (("as in the entry", own), ("load_in_8bit", "8 bits"), ("load_in_4bit", "4 bits")):
        if setting != "as in the entry" and name == own:
            continue
        size = round(count * _BYTES.get(name, 2.0))
        source = f"'parameters': {spec['parameters']!r} of the entry; {file} would make it exact"
        needs = Needs(size, name, parameters=count, estimated_from=source)
        found.append(Fit(setting, Verdict(needs, free, entry.context_size)))
    return found


def row_of(fit: Fit) -> dict[str, Any]:
    """Return a fit as JSON."""
    return {"setting": fit.setting, **fit.verdict.to_dict()}
