"""What a connection needs beside its address: TLS, verified unless the entry says otherwise, and the proxy.

It does not know requests.
"""

from __future__ import annotations

import functools
import ssl
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from clemcore import secrets
from clemcore.backends.service.endpoint import PORTS
from clemcore.backends.service.http.no_proxy import bypasses, is_this_machine
from clemcore.errors import SpecError

# What to do where the proxy, and not the server, is at fault.
CHECK_PROXY = (
    "check the proxy's address and login in the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY), or put the host "
    "into NO_PROXY"
)


def proxy_of(base_url: str) -> tuple[str | None, dict[str, str]]:
    """Return the proxy that the environment names for an address, and the headers that it wants.

    Raises:
        SpecError: it is of a kind that is not supported.
    """
    # Raised where no local variable holds the proxy's password: tracebacks may show them.
    found = _read(_named_proxy(base_url))
    if isinstance(found, str):
        raise SpecError(
            f"the environment sends calls of {base_url} through a proxy {found}: use an http:// proxy, or put the "
            "host into NO_PROXY"
        )
    return found


def _read(proxy: str | None) -> tuple[str | None, dict[str, str]] | str:
    """Return a proxy's address and the headers that it wants, or what is wrong with it."""
    if proxy is None:
        return None, {}
    try:
        parts = urlsplit(proxy)
        port = parts.port
    except ValueError:
        return "whose address is not a URL"
    secrets.remember(parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"of the kind '{parts.scheme or 'unknown'}', which is not supported"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = port or PORTS[parts.scheme]
    headers = {}
    if parts.username is not None:
        login = aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))
        for secret in (unquote(parts.password or ""), login.partition(" ")[2]):
            secrets.remember(secret)
        headers["Proxy-Authorization"] = login
    return f"{parts.scheme}://{host}:{port}/", headers


def _named_proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names for this address; never one for this machine itself."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    proxies = getproxies()
    # Python's own reading also asks the settings of the system, where there are any.
    if is_this_machine(host) or bypasses(proxies.get("no", ""), host, port) or proxy_bypass(host):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")


@functools.cache
def _system_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@functools.cache
def _no_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # an entry asked for it; `endpoint` warns, the record tells
    return context


def tls_context(ca_file: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """Return what verifies certificates: the system's authorities, or those of one file alone.

    Args:
        ca_file: the file, or None.
        verify: False accepts whatever certificate comes.

    Raises:
        SpecError: the file holds no certificate.
    """
    if not verify:
        return _no_tls()
    if ca_file is None:
        return _system_tls()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
    raise SpecError(f"the ca_file {ca_file} holds no certificate in PEM form: {reason}")
