"""Tells whether a forked process can compute: it remembers which threads have computed here, and asks at each fork.

A fork copies one thread. What torch's libraries keep for the others is copied as well: MKL then looks for memory of
threads that are not there, and a few per cent of such children never answer. It does not know what is computed.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from clemcore import forks
from clemcore.errors import ModelLoadError


class _Threads:
    """The threads of this process that have computed, and those that its parent had when it was forked."""

    def __init__(self) -> None:
        # By their identifiers; one that has ended stays until its identifier is used again.
        self._computing: dict[int, threading.Thread] = {}
        self._others: set[str] = set()
        self.lost: set[str] = set()
        forks.guard(self, settle=_Threads._look, in_child=_Threads._begin_in_child)

    def note(self) -> None:
        self._computing[threading.get_ident()] = threading.current_thread()

    def _look(self) -> None:
        current, known = threading.current_thread(), list(self._computing.values())
        self._others = {thread.name for thread in known if thread is not current and thread.is_alive()}

    def _begin_in_child(self) -> None:
        self._computing.clear()
        self.lost |= self._others


_threads = _Threads()


class Origin:
    """The process in which a model was loaded."""

    def __init__(self) -> None:
        """Take this process."""
        self._process = os.getpid()

    def refusal(self, name: str, device: Any) -> Exception | None:
        """Return why the current thread cannot compute, or None; it is then one of those that compute.

        Args:
            name: the model's name in the registry.
            device: the torch device of its weights.
        """
        _threads.note()
        spawn = "Start processes with the method 'spawn' and load the model in each of them"
        if _threads.lost:
            return ModelLoadError(
                f"model '{name}': this process was forked while other threads that had computed with torch were "
                f"alive ({', '.join(sorted(_threads.lost))}), and might never answer. {spawn}; or end those "
                "threads before the fork."
            )
        if os.getpid() == self._process:
            return None
        import torch

        # Threads of OpenMP and CUDA do not survive a fork.
        threads = torch.get_num_threads()
        if device.type == "cpu" and threads == 1:
            return None
        why = f"with {threads} threads of torch" if device.type == "cpu" else f"on {device}"
        remedy = spawn + ("; or set model_config.torch_num_threads to 1." if device.type == "cpu" else ".")
        return ModelLoadError(
            f"model '{name}' was loaded {why} before this process was forked, and would never answer here. {remedy}"
        )

    def check(self, name: str, device: Any) -> None:
        """Raise what :meth:`refusal` returns, if anything."""
        refusal = self.refusal(name, device)
        if refusal is not None:
            raise refusal
