"""What a connection needs beside its address, for ``clem doctor``: key, TLS, proxy.

It opens no connection, shows no key, and works without the HTTP engine.
"""

from __future__ import annotations

import importlib.util
import ssl
from urllib.parse import urlsplit

from clemcore.backends.service.endpoint import LOOPBACK, Endpoint
from clemcore.diagnosis import Row, examined
from clemcore.secrets import MASK


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
        from clemcore.backends.service.http.connections import tls_context

        tls_context(ca_file)
    return Row("tls", f"verified, by {ca_file} alone")


def _proxy_row(endpoint: Endpoint) -> list[Row]:
    if importlib.util.find_spec("aiohttp") is None:
        return []
    from clemcore.backends.service.http.connections import proxy_of

    proxy, headers = proxy_of(endpoint.base_url)
    if proxy is None:
        return [Row("proxy", None)]
    return [Row("proxy", {"url": proxy, "login": MASK if headers else None})]
