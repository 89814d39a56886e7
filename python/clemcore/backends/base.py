"""What a backend is: a factory that makes the model for a specification.

A backend of your own is a file ``<name>_api.py`` in the working directory (or an installed package with an entry
point in the group ``clemcore.backends``) with one class::

    from clemcore import backends

    class Parrot(backends.Backend):
        def get_model_for(self, model_spec):
            return ParrotModel(model_spec)

    class ParrotModel(backends.Model):
        def generate_response(self, messages):
            text = messages[-1]["content"]
            return messages, {"text": text}, text

and an entry ``{"model_name": "polly", "backend": "<name>"}`` in ``model_registry.json``. Checks, timing and the
record come by themselves. This module does not know any provider.
"""

from __future__ import annotations

import abc
import importlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.arguments.parameter import SAMPLING_FIELDS
from clemcore.errors import ClemcoreError, GenerationArgumentError, MissingExtraError, SpecError
from clemcore.keys import Key, KeyRegistry
from clemcore.messages import Messages
from clemcore.model import DEFAULT_GEN_ARGS, Model
from clemcore.registry.spec import ModelSpec
from clemcore.spelling import misspelling_of

if TYPE_CHECKING:
    from clemcore.diagnosis import Row
    from clemcore.prompts.proof import Case, Proof


class Backend(abc.ABC):
    """A factory for the models of one provider, or of one way to run models.

    A subclass implements :meth:`get_model_for`. It can also override :meth:`render`, which ``clem render`` shows,
    and :meth:`prove`, for ``clem prove``.
    """

    @abc.abstractmethod
    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model that a specification describes."""

    @classmethod
    def render(
        cls,
        model_spec: ModelSpec,
        messages: Messages,  # noqa: ARG003 - an override needs what the default does not
        gen_args: Mapping[str, Any],  # noqa: ARG003
        asked: Collection[str],  # noqa: ARG003
    ) -> Any:
        """Return exactly what a call would send; send nothing, load no weights, need no key.

        It is called on the class, because making a backend may need a key or a device.

        Args:
            model_spec: the specification, as :meth:`get_model_for` would get it.
            messages: checked messages, as ``generate_response`` would get them.
            gen_args: the generation arguments, defaults included, as the model would have them.
            asked: names of those that the caller asked for; the others are defaults.

        Returns:
            Where the model runs here, the prompt as text, its chat template applied; where it runs behind an API,
            the request body as a dict.

        Raises:
            ClemcoreError: by default, because what the model sees is made on a server or by other code.
        """
        raise ClemcoreError(
            f"backend '{model_spec.get('backend')}' does not show what it would send for "
            f"'{model_spec.get('model_name')}': the prompt is made on the server, or by code of the backend's own; "
            "'clem respond --json' shows what was sent"
        )

    @classmethod
    def argument_names(cls, model_spec: ModelSpec) -> Collection[str] | None:  # noqa: ARG003 - as above
        """Return the names of the generation arguments that the models know.

        None, the default, means that the backend keeps no account of them: then nothing is refused, and a
        specification carries no arguments but the sampling parameters.
        """
        return None

    @classmethod
    def prove(
        cls,
        model_spec: ModelSpec,
        cases: Sequence[Case],  # noqa: ARG003 - an override needs what the default does not
        now: datetime | None,  # noqa: ARG003
    ) -> Proof:
        """Compare the model's prompts with those that transformers makes; load no weights, need no key.

        Args:
            model_spec: the specification, as :meth:`get_model_for` would get it.
            cases: conversations beside those that every proof has.
            now: pins the clock of the chat template.

        Raises:
            ClemcoreError: by default, because the prompt is made on a server or by other code.
        """
        raise ClemcoreError(
            f"backend '{model_spec.get('backend')}' makes no prompt from a chat template here: there is nothing to "
            f"prove for '{model_spec.get('model_name')}'"
        )

    @classmethod
    def examine(cls, model_spec: ModelSpec) -> list[Row]:  # noqa: ARG003 - an override needs what this does not
        """Return what a call would use and what is wrong with it, for ``clem doctor``.

        It sends nothing and loads no weights.

        Args:
            model_spec: the specification, as :meth:`get_model_for` would get it.

        Returns:
            Rows such as address, key (masked), files; by default none. A row ``body`` replaces what :meth:`render`
            would show; return one if the request cannot be made without sending anything.
        """
        return []

    def __repr__(self) -> str:
        """Give the class name."""
        return type(self).__name__

    __str__ = __repr__


class RemoteBackend(Backend):
    """A backend that talks to a service with a key.

    Attributes:
        key_name: under which name the key is looked for; by default the class name in lower case.
        key: the key.
        client: what ``_make_api_client`` returned.
    """

    key: Key
    client: Any

    def __init__(self, key_name: str | None = None) -> None:
        """Find the key and make the client.

        Raises:
            MissingKeyError: no key was found; the message lists the places searched.
        """
        self.key_name = key_name or type(self).__name__.lower()
        self.key = KeyRegistry.from_json().get_key_for(self.key_name)
        self.client = self._make_api_client()

    @abc.abstractmethod
    def _make_api_client(self) -> Any:
        """Return the client that models of this backend call."""


def refuse_other_backends(model_spec: ModelSpec, names: Collection[str], *, is_ours: bool) -> None:
    """Refuse the specification of a model of another backend, which would be answered by another model.

    Args:
        model_spec: the specification.
        names: the names of the backend.
        is_ours: whether a specification without a backend is one of this backend.

    Raises:
        SpecError: it is another backend's.
    """
    backend = model_spec.get("backend")
    if backend in names or (backend is None and is_ours):
        return
    named = f"is a model of the backend '{backend}'" if backend is not None else "names no backend"
    raise SpecError(
        f"'{model_spec.get('model_name')}' {named}, and not of '{next(iter(names))}': load it with "
        "get_model_for, which finds its backend"
    )


def refuse_misspelt_arguments(model_name: str, gen_args: Collection[str]) -> None:
    """Refuse generation arguments of a model that uses none, if their names are misspelt.

    Such a model stands in for others, so it accepts every name that one of them may know.

    Args:
        model_name: the name of the model.
        gen_args: the names of its generation arguments.

    Raises:
        GenerationArgumentError: a name is close to a known one.
    """
    strange = set(gen_args).difference(DEFAULT_GEN_ARGS)
    if not strange:
        return
    known = {*SAMPLING_FIELDS, *_core.argument_senders()}
    for name in sorted(strange):
        if (near := misspelling_of(name, known)) is not None:
            raise GenerationArgumentError(
                f"no backend knows the generation argument {name!r} of model '{model_name}': did you mean {near!r}?"
            )


def refuse_unknown_arguments(model_name: str, gen_args: Collection[str]) -> None:
    """Refuse generation arguments of a model that uses none, if no packaged backend knows their names.

    Args:
        model_name: the name of the model.
        gen_args: the names of arguments that a person has typed.

    Raises:
        GenerationArgumentError: no backend knows one of them.
    """
    refuse_misspelt_arguments(model_name, gen_args)
    unknown = sorted(set(gen_args).difference(DEFAULT_GEN_ARGS, SAMPLING_FIELDS, _core.argument_senders()))
    if unknown:
        raise GenerationArgumentError(
            f"model '{model_name}' has no use for the generation argument {unknown[0]!r}, which no backend knows: "
            "leave it out"
        )


def overrides_render(cls: type[Backend]) -> bool:
    """Tell whether a backend can show what it would send."""
    return cls.render.__func__ is not Backend.render.__func__  # type: ignore[attr-defined]


def require(module: str, *, backend: str, extra: str) -> ModuleType:
    """Import an optional package.

    Args:
        module: the module to import.
        backend: the backend that needs it.
        extra: the extra of clemcore that installs it.

    Raises:
        MissingExtraError: it is not installed; the message holds the pip line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as fault:
        if fault.name is None or fault.name.split(".")[0] != module.split(".", maxsplit=1)[0]:
            raise  # something inside an installed package is missing: its own message says more
        raise MissingExtraError(backend, extra, module.split(".", maxsplit=1)[0]) from None
