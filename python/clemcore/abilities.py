"""What only some models can do, and the error of a model that cannot. It does not know how it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clemcore.errors import NotSupportedError

# Methods of models that run in this process.
_ONLY_LOCAL = frozenset(
    {"audit", "bench", "count_tokens", "forget_kept", "score_answers", "split_thinking"},
)


class Abilities:
    """Names what a model cannot do, in place of Python's own error. ``hasattr`` is false, as without it."""

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Raise the error of an attribute that is not there.

            Raises:
                NotSupportedError: models of another backend have it.
                AttributeError: nobody has it.
            """
            if name in _ONLY_LOCAL and "model_spec" in self.__dict__:
                raise NotSupportedError(
                    f"model '{self.name}' has no {name}: only models that run in this process have it "
                    "(backends huggingface_local and llamacpp)"
                )
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)
