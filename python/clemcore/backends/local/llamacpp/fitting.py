"""What a GGUF file needs in memory, for ``clem fit``; no weights are read and nothing is downloaded.

If the file is not on this machine, the entry's ``parameters`` and the format in the file's name give an estimate.
"""

from __future__ import annotations

import importlib.util
import re

from clemcore.backends.base import require
from clemcore.backends.local.fitting import Fit
from clemcore.backends.local.llamacpp.files import find_file
from clemcore.backends.local.llamacpp.head import read_head
from clemcore.backends.local.llamacpp.loading import context_of
from clemcore.backends.local.llamacpp.room import needs_of
from clemcore.backends.local.llamacpp.settings import LlamaSettings, read_settings
from clemcore.backends.local.memory import Free, free_ram
from clemcore.backends.local.needs import Needs
from clemcore.backends.local.preflight import Verdict
from clemcore.errors import ModelLoadError
from clemcore.registry.spec import ModelSpec

# Bits of a weight by the name of a file's format. For mixtures of formats (…_K) they are those that the README of
# llama.cpp's quantize tool gives for Llama 2 7B; other models differ by some percent. The others follow from the
# sizes of their blocks.
_BITS = {
    "Q2_K": 3.35,
    "Q3_K_S": 3.50,
    "Q3_K_M": 3.91,
    "Q3_K_L": 4.27,
    "Q4_K_S": 4.58,
    "Q4_K_M": 4.84,
    "Q5_K_S": 5.52,
    "Q5_K_M": 5.68,
    "Q6_K": 6.56,
    "Q4_0": 4.5,
    "Q4_1": 5.0,
    "Q5_0": 5.5,
    "Q5_1": 6.0,
    "Q8_0": 8.5,
    "BF16": 16.0,
    "F16": 16.0,
    "F32": 32.0,
}
_FORMAT = re.compile(
    "(?<![A-Z0-9])(" + "|".join(sorted(_BITS, key=len, reverse=True)) + ")(?![A-Z0-9_])", re.IGNORECASE
)


def fits(spec: ModelSpec, free: Free | None = None) -> list[Fit]:
    """Compare a model with a size of memory.

    Args:
        spec: the entry.
        free: the memory; by default the main memory that is free now.

    Raises:
        SpecError: the entry is invalid, or contradicts the file.
        ModelLoadError: the file is broken, or it is not on this machine and its size cannot be estimated.
        MissingExtraError: the file is there, but the package that names its format is not.
    """
    settings, free = read_settings(spec), free or free_ram()
    found = _by_file(settings, free)
    return [found if found is not None else _by_parameters(settings, spec, free)]


def _by_file(settings: LlamaSettings, free: Free) -> Fit | None:
    """Measure the file, or return None if it is not on this machine."""
    if not settings.local.is_folder and importlib.util.find_spec("huggingface_hub") is None:
        return None
    try:
        path = find_file(settings, offline=True)
    except ModelLoadError:
        if settings.local.is_folder:
            raise
        return None
    require("gguf", backend="llamacpp", extra="llamacpp")
    head = read_head(path, settings.local.model_name)
    context = context_of(settings, head)[0]
    needs = needs_of(head, settings.cache_type, min(settings.piece, context))
    return Fit("as in the entry", Verdict(needs, free, context, is_reserved=True))


def _by_parameters(settings: LlamaSettings, spec: ModelSpec, free: Free) -> Fit:
    """Estimate the weights by the number of parameters and the format that the entry names."""
    pattern, count = settings.pattern or "", settings.parameters
    known = _FORMAT.search(pattern)
    if known is None or count is None:
        lacking = ["the entry has no 'parameters'"] * (count is None)
        lacking += [f"filename {settings.pattern!r} does not name a format such as Q4_K_M"] * (known is None)
        raise ModelLoadError(
            f"model '{settings.local.model_name}': its size is not known, because its file is not on this machine "
            f"and {' and '.join(lacking)}: add what is missing, or download the file"
        )
    name = known[1].upper()
    source = (
        f"'parameters': {spec['parameters']!r} and the format in filename {pattern!r} of the entry; the file would "
        "make it exact"
    )
    needs = Needs(round(count * _BITS[name] / 8), name, parameters=count, estimated_from=source)
    return Fit("as in the entry", Verdict(needs, free, settings.local.context_size, is_reserved=True))
