"""Turns whatever escapes from a library into one error that names the model, the step and the versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from clemcore import secrets
from clemcore.errors import ClemcoreError, GenerationError

_ErrorT = TypeVar("_ErrorT", bound=ClemcoreError)
# Characters of a library's own message; some print whole tables.
_LONGEST = 600


def wrapped(
    error: BaseException, kind: type[_ErrorT], model_name: str, step: str, versions: Mapping[str, str]
) -> ClemcoreError:
    """Return the error to raise in place of one that escaped; errors of ours stay as they are.

    One that a part without the model's name has raised while it chose tokens gets the name.

    Args:
        error: what escaped.
        kind: the class of the new error.
        model_name: the model's name in the registry.
        step: what failed, as ``cannot load the weights of '/models/x'``.
        versions: of the libraries, by their names.
    """
    if isinstance(error, ClemcoreError):
        if isinstance(error, GenerationError) and f"'{model_name}'" not in str(error):
            error.args = (f"model '{model_name}': {error.args[0]}",)
        return error
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    wrapper = kind(f"model '{model_name}': {step}: {reason_of(error)} ({libraries})")
    wrapper.__cause__ = error
    return wrapper


def reason_of(error: BaseException) -> str:
    """Return the type and the message of an error in one line, without secrets."""
    text = " ".join(secrets.scrub(str(error)).split())
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def ran_out_of_memory(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, says that there is not enough memory."""
    while error is not None:
        # torch has an error of its own for accelerators, and only a text for the CPU.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and "allocate memory" in str(error):
            return True
        error = error.__cause__
    return False
