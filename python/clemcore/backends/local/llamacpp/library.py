"""llama.cpp itself: what it writes, and how a file is opened.

It knows files and pointers, and neither tokens nor scores.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

# What llama.cpp has written as errors; it tells a reason nowhere else.
_ERRORS: list[str] = []
_MOST_LINES = 50
_callback: Any = None
# ggml's number of that level.
_LEVEL_ERROR = 4


def open_model(path: Path, *, vocabulary_only: bool = False, gpu_layers: int = 0) -> Any:
    """Open a GGUF file, and return llama.cpp's pointer to the model; ``llama_model_free`` gives it back.

    Args:
        path: the file; of a model in parts the first one.
        vocabulary_only: read no weights.
        gpu_layers: how many layers are put on a GPU; negative: all.

    Raises:
        RuntimeError: llama.cpp cannot read it, with the reason that it gives.
    """
    import llama_cpp

    _listen(llama_cpp)
    _ERRORS.clear()
    wanted = llama_cpp.llama_model_default_params()
    wanted.vocab_only, wanted.n_gpu_layers = vocabulary_only, gpu_layers
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), wanted)
    if not model:
        raise RuntimeError(last_fault() or "llama.cpp gives no reason")
    return model


def has_gpu() -> bool:
    """Tell whether llama.cpp was built for a GPU."""
    import llama_cpp

    return bool(llama_cpp.llama_supports_gpu_offload())


def last_fault() -> str:
    """Return the first error that llama.cpp has written since it last opened a file, or an empty text."""
    return _ERRORS[0] if _ERRORS else ""


def _listen(library: Any) -> None:
    """Keep errors that llama.cpp writes, and nothing of the rest; done once for the process."""
    global _callback  # noqa: PLW0603 - the library calls it for as long as the process lives
    if _callback is not None:
        return

    def note(level: int, text: bytes, _data: Any) -> None:
        line = text.decode("utf-8", "replace").strip()
        if level == _LEVEL_ERROR and line:
            _ERRORS.append(line)
            del _ERRORS[:-_MOST_LINES]

    _callback = library.llama_log_callback(note)
    library.llama_log_set(_callback, ctypes.c_void_p(0))
    library.llama_backend_init()
