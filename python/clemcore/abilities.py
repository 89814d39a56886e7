"""What only some models can do, and the error of a model that cannot. It does not know how it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clemcore.errors import NotSupportedError


class _OnlyLocal:
    """A method that models of other backends have. A model that has it hides this."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: Any, owner: type) -> Any:
        """Refuse to give the method.

        Raises:
            NotSupportedError: it is asked of a model.
            AttributeError: it is asked of the class.
        """
        if model is None:
            raise AttributeError(f"type object '{owner.__name__}' has no attribute '{self._name}'")
        raise NotSupportedError(
            f"model '{model.name}' has no {self._name}: only models that run in this process have it "
            "(backends huggingface_local and llamacpp)"
        )


class Abilities:
    """Names what a model cannot do, in place of Python's own error. ``hasattr`` is false, as without it."""

    # Not by __getattr__, which would hide an error inside a property of a user's model.
    if not TYPE_CHECKING:
        audit = _OnlyLocal()
        bench = _OnlyLocal()
        count_tokens = _OnlyLocal()
        forget_kept = _OnlyLocal()
        score_answers = _OnlyLocal()
        split_thinking = _OnlyLocal()
