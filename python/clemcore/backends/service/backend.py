"""A service: what a backend presupposes about the provider that it calls, and the backend that follows from it.

A remote backend is this and a dialect; ``docs/backends/writing.md`` shows a whole one. It imports no HTTP library.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends.base import Backend
from clemcore.backends.service.request import request_body
from clemcore.backends.service.service import Service
from clemcore.diagnosis import Row
from clemcore.errors import BackendLoadError, SpecError
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.registry.settings import check_settings
from clemcore.registry.spec import ModelSpec


class ServiceBackend(Backend):
    """A backend whose models run behind an API.

    A subclass names its ``service``, or overrides :meth:`service_of` where the entry decides about it.
    """

    service: Service

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse what would have no effect: a client that a backend of 3.7.2 made for another address or key."""
        super().__init_subclass__(**kwargs)
        if "_make_api_client" in cls.__dict__:
            raise BackendLoadError(
                f"{cls.__module__}.{cls.__qualname__} makes a client, which this backend does not use: requests "
                "are sent by clemcore itself. Give address and key in the registry entry (backend "
                "'openai_compatible'), or derive from clemcore.backends.RemoteBackend and bring a model of your own"
            )

    @classmethod
    def service_of(cls, model_spec: ModelSpec) -> Service:  # noqa: ARG003 - an override needs what this does not
        """Return the service that runs the model of an entry."""
        return cls.service

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model of an entry.

        Args:
            model_spec: needs ``model_id``, the model's name at the service.

        Raises:
            MissingExtraError: the HTTP engine is not installed.
            SpecError: the entry lacks something or contradicts itself.
            MissingKeyError: a key is required and there is none.
        """
        service = self.service_of(model_spec)
        service.require_engine()
        from clemcore.backends.service.model import ServedModel

        return ServedModel(model_spec, service)

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
