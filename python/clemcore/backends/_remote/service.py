"""A service: what a backend presupposes about the provider that it calls, and the backend that follows from it.

A remote backend is this and a dialect; ``docs/backends/writing.md`` shows a whole one. It imports no HTTP library.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.backends._remote.arguments import ledger_of
from clemcore.backends._remote.dialect import Dialect
from clemcore.backends._remote.endpoint import check_settings, setting
from clemcore.backends._remote.images import check_number
from clemcore.backends._remote.ledger import Ledger
from clemcore.backends.base import Backend, require
from clemcore.errors import BackendLoadError, SpecError
from clemcore.examination import Row
from clemcore.messages import Messages, ensure_alternating_roles
from clemcore.model import Model
from clemcore.spec import ModelSpec


@dataclass(frozen=True)
class Service:
    """What a backend presupposes about its service.

    Attributes:
        backend: name of the backend, for messages.
        key_name: under which name the key is looked for when the entry names none.
        dialect: the wire format that it speaks.
        extra: the extra of clemcore that installs what it needs.
        base_url: address when neither the entry nor the key gives one, or None. It is also the address that
            a key without an address of its own was written for.
    """

    backend: str
    key_name: str
    dialect: Dialect
    extra: str = "openai"
    base_url: str | None = None


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
        require("aiohttp", backend=service.backend, extra=service.extra)
        require("tenacity", backend=service.backend, extra=service.extra)
        from clemcore.backends._remote.served_model import ServedModel

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
        from clemcore.backends._remote.examination import examine

        try:
            service = cls.service_of(model_spec)
        except SpecError as fault:
            return [Row("protocol", None, "fault", str(fault))]
        return examine(model_spec, service)


def request_body(
    spec: ModelSpec,
    dialect: Dialect,
    messages: Messages,
    gen_args: Mapping[str, Any],
    asked: Collection[str],
) -> dict[str, Any]:
    """Return the body that a call would send."""
    ledger = ledger_of(gen_args, asked, spec, dialect)
    return written(spec, model_id_of(spec), dialect, messages, ledger)


def written(spec: ModelSpec, model_id: str, dialect: Dialect, messages: Messages, ledger: Ledger) -> dict[str, Any]:
    """Write a body.

    Raises:
        MessagesError: the format has no place for something in the messages, or the model does not take it.
    """
    check_number(messages, spec)
    return dialect.body(spec, model_id, ensure_alternating_roles(messages), ledger.fields)


def model_id_of(spec: ModelSpec) -> str:
    """Return the model's name at the service.

    Raises:
        SpecError: the entry has none.
    """
    value = spec.get("model_id")
    if not isinstance(value, str) or not value.strip():
        found = "is missing" if value is None else f"must be a non-empty string, not {value!r}"
        raise SpecError(
            f"the entry of model '{spec['model_name']}': 'model_id' {found}; it is the model's name at the service"
        )
    return value


OPENAI_APIS = ("chat_completions", "responses")


def api_of(spec: ModelSpec, apis: Sequence[str] = OPENAI_APIS, default: str = OPENAI_APIS[0]) -> str:
    """Return which protocol an entry names (``api``).

    Args:
        spec: the entry.
        apis: the protocols that its service speaks.
        default: the one where the entry names none.

    Raises:
        SpecError: it names another one.
    """
    api: str = setting(spec, "api", default)
    if api not in apis:
        raise SpecError(f"model '{spec['model_name']}': api must be {' or '.join(map(repr, apis))}, not {api!r}")
    return api
