"""What is known of a model behind an API before anything is sent: address, key, TLS, proxy, limits, protocol.

It opens no connection and shows no key.
"""

from __future__ import annotations

import logging
from dataclasses import asdict

from clemcore.backends.service.endpoint import Endpoint, beyond, resolve_endpoint
from clemcore.backends.service.endpoint_rows import endpoint_rows
from clemcore.backends.service.limits import resolve_limits
from clemcore.backends.service.request import model_id_of
from clemcore.backends.service.servers.addresses import addresses_of
from clemcore.backends.service.service import Service
from clemcore.diagnosis import Row, examined
from clemcore.registry.settings import check_settings
from clemcore.registry.spec import ModelSpec


def examine(spec: ModelSpec, service: Service) -> list[Row]:
    """Return what a call would use, and what is wrong with it."""
    rows = examined("settings", lambda: _settings_rows(spec))
    rows += examined("model_id", lambda: Row("model_id", model_id_of(spec)))
    logger = logging.getLogger("clemcore.backends.service.endpoint")
    was_off, logger.disabled = logger.disabled, True  # what it warns about is a row here
    try:
        rows += examined("address and key", lambda: _address_rows(spec, service))
    finally:
        logger.disabled = was_off
    rows += examined("limits", lambda: Row("limits", asdict(resolve_limits(spec))))
    return rows


def _settings_rows(spec: ModelSpec) -> list[Row]:
    check_settings(spec)
    return []


def _address_rows(spec: ModelSpec, service: Service) -> list[Row]:
    addresses = addresses_of(spec) if service.takes_several else None
    if addresses is None:
        return _endpoint_rows(resolve_endpoint(spec, service), spec, service)
    found = [resolve_endpoint(spec, service, address) for address in addresses.current()]
    servers = Row("servers", {"from": addresses.name, "addresses": [each.base_url for each in found]})
    return [servers, *_endpoint_rows(found[0], spec, service)]


def _endpoint_rows(endpoint: Endpoint, spec: ModelSpec, service: Service) -> list[Row]:
    dialect = service.dialect
    url = beyond(endpoint.base_url, dialect.path(spec, model_id_of(spec)))
    rows = [Row("base_url", endpoint.base_url), Row("request", f"POST {endpoint.base_url}{url}")]
    rows += endpoint_rows(endpoint)
    rows.append(Row("protocol", {"name": dialect.name, "headers": dict(dialect.headers(spec))}))
    if spec.get("api_version") is not None:
        rows.append(Row("api_version", spec["api_version"]))
    return rows
