"""What is known of a model behind an API before anything is sent: address, key, TLS, proxy, limits, protocol.

It opens no connection and shows no key.
"""

from __future__ import annotations

import importlib.util
import logging
import ssl
from dataclasses import asdict
from urllib.parse import urlsplit

from clemcore.backends._remote.endpoint import LOOPBACK, Endpoint, beyond, check_settings, resolve_endpoint
from clemcore.backends._remote.limits import resolve_limits
from clemcore.backends._remote.service import Service, model_id_of
from clemcore.examination import Row, examined
from clemcore.secrets import MASK
from clemcore.spec import ModelSpec


def examine(spec: ModelSpec, service: Service) -> list[Row]:
    """Return what a call would use, and what is wrong with it."""
    rows = examined("settings", lambda: _settings_rows(spec))
    rows += examined("model_id", lambda: Row("model_id", model_id_of(spec)))
    logger = logging.getLogger("clemcore.backends._remote.endpoint")
    was_off, logger.disabled = logger.disabled, True  # what it warns about is a row here
    try:
        rows += examined("address and key", lambda: _endpoint_rows(resolve_endpoint(spec, service), spec, service))
    finally:
        logger.disabled = was_off
    rows += examined("limits", lambda: Row("limits", asdict(resolve_limits(spec))))
    return rows


def _settings_rows(spec: ModelSpec) -> list[Row]:
    check_settings(spec)
    return []


def _endpoint_rows(endpoint: Endpoint, spec: ModelSpec, service: Service) -> list[Row]:
    dialect = service.dialect
    url = beyond(endpoint.base_url, dialect.path(spec, model_id_of(spec)))
    rows = [Row("base_url", endpoint.base_url), Row("request", f"POST {endpoint.base_url}{url}")]
    rows += endpoint_rows(endpoint)
    rows.append(Row("protocol", {"name": dialect.name, "headers": dict(dialect.headers(spec))}))
    if spec.get("api_version") is not None:
        rows.append(Row("api_version", spec["api_version"]))
    return rows


def endpoint_rows(endpoint: Endpoint) -> list[Row]:
    """Return what a connection needs beside its address: key, TLS, proxy."""
    return [_key_row(endpoint), *_tls_rows(endpoint), *examined("proxy", lambda: _proxy_row(endpoint))]


def _key_row(endpoint: Endpoint) -> Row:
    if endpoint.key is None:
        return Row("key", None, "good", "none is sent (requires_api_key is false)")
    value = {"name": endpoint.account, "api_key": MASK, "found_in": endpoint.key_place}
    parts = urlsplit(endpoint.base_url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return Row("key", value, "warning", "it goes to another machine without encryption: use https")
    return Row("key", value)


def _tls_rows(endpoint: Endpoint) -> list[Row]:
    if endpoint.base_url.startswith("http:"):
        return [Row("tls", "none (http)")]
    if not endpoint.verify_tls:
        return [Row("tls", "not verified", "warning", "the entry has verify_tls false: anybody may answer")]
    if endpoint.ca_file is not None:
        return examined("tls", lambda: _own_authority(endpoint.ca_file))
    paths = ssl.get_default_verify_paths()
    authorities: str | None = paths.cafile or paths.capath
    if authorities is None:
        return [Row("tls", "verified", "warning", "no authorities are installed: set SSL_CERT_FILE, or ca_file")]
    return [Row("tls", f"verified, by {authorities}")]


def _own_authority(ca_file: str | None) -> Row:
    if importlib.util.find_spec("aiohttp") is not None:
        from clemcore.backends._remote.connections import tls_context

        tls_context(ca_file)
    return Row("tls", f"verified, by {ca_file} alone")


def _proxy_row(endpoint: Endpoint) -> list[Row]:
    if importlib.util.find_spec("aiohttp") is None:
        return []
    from clemcore.backends._remote.connections import proxy_of

    proxy, headers = proxy_of(endpoint.base_url)
    if proxy is None:
        return [Row("proxy", None)]
    return [Row("proxy", {"url": proxy, "login": MASK if headers else None})]
