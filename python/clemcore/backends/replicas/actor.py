"""One replica: a process of the cluster that loads a whole model and answers what it is given.

It runs on a machine of the cluster. It records nothing: its replies go back to the process that asked.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from clemcore.backends.replicas.profile import profile_of
from clemcore.errors import GenerationError
from clemcore.messages import Messages
from clemcore.model import Reply
from clemcore.registry.spec import ModelSpec

# Messages, and the generation arguments of this call alone.
Question = tuple[Messages, Mapping[str, Any]]
# All generation arguments of the model, and the names of those that are defaults.
Arguments = tuple[Mapping[str, Any], frozenset[str]]


class Replica:
    """A whole model."""

    def __init__(self, spec: ModelSpec, threads: int, cwd: str, *, is_exact: bool) -> None:
        """Load the model.

        Args:
            spec: the model's specification, resolved.
            threads: of the libraries that compute.
            cwd: the working directory of the process that asks, in which relative paths are looked for.
            is_exact: answer each question alone.
        """
        with contextlib.suppress(OSError):  # another machine may not have it
            os.chdir(cwd)
        from clemcore import backends

        self._is_exact = is_exact
        if (torch := _torch_of(spec)) is not None:
            torch.set_num_threads(threads)
        self._model = backends.get_model_for(spec)

    def about(self) -> tuple[dict[str, Any], str, int]:
        """Return what answers depend on, the name of the machine, and the number of the process."""
        return profile_of(self._model), os.uname().nodename, os.getpid()

    def answer(self, questions: Sequence[Question], arguments: Arguments) -> list[Reply | Exception]:
        """Answer questions; a question that fails has its error in its place."""
        gen_args, defaults = arguments
        self._model.set_gen_args(**{name: value for name, value in gen_args.items() if name not in defaults})
        self._model.set_default_gen_args({name: gen_args[name] for name in defaults})
        if self._is_exact or len(questions) == 1:
            return [_portable(self._one(question)) for question in questions]
        asked = [messages for messages, _ in questions]
        each = [more for _, more in questions]
        found = self._model.generate_batch_response(asked, return_exceptions=True, gen_args=each)
        return [_portable(result) for result in found]

    def _one(self, question: Question) -> Reply | Exception:
        messages, more = question
        try:
            return self._model.generate_response(messages, gen_args=more)
        except Exception as error:  # noqa: BLE001 - one question fails alone
            return error


def _torch_of(spec: ModelSpec) -> Any:
    """Import torch where the model needs it: its threads must be set before it computes."""
    if spec.get("backend") == "huggingface_local":
        import torch

        return torch
    return sys.modules.get("torch")


def _portable(result: Reply | Exception) -> Reply | Exception:
    """Return a result that another process can read."""
    if isinstance(result, Exception):
        result = result.with_traceback(None)
        try:
            pickle.loads(pickle.dumps(result))  # noqa: S301 - our own bytes
        except Exception:  # noqa: BLE001 - an error with parts that stay in its process
            return GenerationError(f"{type(result).__name__}: {result}")
    return result
