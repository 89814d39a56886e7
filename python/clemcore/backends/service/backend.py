"""A service: what a backend presupposes about the provider that it calls, and the backend that follows from it.

A remote backend is this and a dialect; ``docs/backends/writing.md`` shows a whole one. It imports no HTTP library.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from clemcore.backends.base import Backend
from clemcore.backends.service.request import request_body
from clemcore.backends.service.service import Service
from clemcore.diagnosis import Row
from clemcore.errors import SpecError
from clemcore.keys import Key, KeyRegistry
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.registry.settings import check_settings
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from clemcore.backends.service.client import OwnClient


class ServiceBackend(Backend):
    """A backend whose models run behind an API.

    A subclass names its ``service``, or overrides :meth:`service_of` where the entry decides about it.
    """

    service: Service

    def __init__(self, key_name: str | None = None) -> None:
        """Take the name under which a subclass with a client of its own finds its key.

        Args:
            key_name: by default the name of the class in lower case, as in 3.7.2.
        """
        self.key_name = key_name or type(self).__name__.lower()
        self._own: OwnClient | None = None

    @property
    def key(self) -> Key:
        """The key of a subclass that makes a client.

        Raises:
            MissingKeyError: no key was found; the message lists the places searched.
        """
        return KeyRegistry.from_json().get_key_for(self.key_name)

    @property
    def client(self) -> Any:
        """The client that a subclass makes (``_make_api_client``), made once; None where it makes none."""
        own = self._own_client(None)
        return None if own is None else own.client

    def _make_api_client(self) -> Any:
        """Return a client of the ``openai`` package through which all calls go; None: clemcore sends by itself.

        A subclass that overrides this may read ``self.key``.
        """
        return None

    def _own_client(self, given: Any) -> OwnClient | None:
        if given is None and type(self)._make_api_client is ServiceBackend._make_api_client:
            return None
        from clemcore.backends.service.client import OwnClient, check_dialect

        check_dialect(self.service.dialect, self.service.backend)
        if given is not None:
            return OwnClient(given, self.service.backend)
        if self._own is None:
            self._own = OwnClient(self._make_api_client(), self.service.backend, self._make_api_client)
        return self._own

    @classmethod
    def service_of(cls, model_spec: ModelSpec) -> Service:  # noqa: ARG003 - an override needs what this does not
        """Return the service that runs the model of an entry."""
        return cls.service

    def get_model_for(self, model_spec: ModelSpec, *, client: Any = None) -> Model:
        """Make the model of an entry.

        Args:
            model_spec: needs ``model_id``, the model's name at the service.
            client: a client of the ``openai`` package that sends the calls; by default clemcore sends by itself.

        Raises:
            MissingExtraError: the HTTP engine is not installed.
            SpecError: the entry lacks something or contradicts itself.
            MissingKeyError: a key is required and there is none.
        """
        service = self.service_of(model_spec)
        service.require_engine()
        from clemcore.backends.service.model import ServedModel

        return ServedModel(model_spec, service, self._own_client(client))

    @classmethod
    def argument_names(cls, model_spec: ModelSpec) -> Collection[str]:
        """Return the names that the wire format knows."""
        return cls.service_of(model_spec).dialect.parameters.keys()

    @classmethod
    def render(
        cls, model_spec: ModelSpec, messages: Messages, gen_args: Mapping[str, Any], asked: Collection[str]
    ) -> Any:
        """Return the request body that a call would send; send nothing and need no key.

        Raises:
            GenerationArgumentError: the call would refuse a generation argument.
            SpecError: the entry says something that cannot be sent.
        """
        check_settings(model_spec)
        dialect = cls.service_of(model_spec).dialect
        return request_body(model_spec, dialect, messages, gen_args, asked)

    @classmethod
    def examine(cls, model_spec: ModelSpec) -> list[Row]:
        """Return address, key, TLS, proxy, limits and protocol; open no connection."""
        from clemcore.backends.service.examination import examine

        try:
            service = cls.service_of(model_spec)
        except SpecError as fault:
            return [Row("protocol", None, "fault", str(fault))]
        return examine(model_spec, service)
