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
from types import ModuleType
from typing import Any

from clemcore.errors import MissingExtraError
from clemcore.keys import Key, KeyRegistry
from clemcore.model import Model
from clemcore.spec import ModelSpec


class Backend(abc.ABC):
    """A factory for the models of one provider, or of one way to run models."""

    @abc.abstractmethod
    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model that a specification describes."""

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
            MissingKeyError: there is no key; the message says where was looked.
        """
        self.key_name = key_name or type(self).__name__.lower()
        self.key = KeyRegistry.from_json().get_key_for(self.key_name)
        self.client = self._make_api_client()

    @abc.abstractmethod
    def _make_api_client(self) -> Any:
        """Return the client that models of this backend call."""


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
