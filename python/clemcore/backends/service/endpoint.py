"""Where a model's calls go, and with which key: decided from the entry and the key, before anything is sent.

A key is never sent to a host that it was not written for (rules: ``docs/backends/openai_compatible.md``).
It reads no environment variable (:mod:`clemcore.keys` does) and does not know what is sent.
"""

from __future__ import annotations

import functools
import logging
import os
import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit

from clemcore import _core
from clemcore.backends.service.hosts import hosts_of, is_at
from clemcore.errors import MissingKeyError, SpecError
from clemcore.keys import Key, KeyRegistry
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)

# Under these names a key may hold the address of its server; the first is that of slurk's keys.
_ADDRESSES = ("slurk_host", "base_url")
PORTS = {"http": 80, "https": 443}
# Characters that an address may have in its path as they are; an escape stays what it is.
_IN_PATHS = "/%:@!$&'()*+,;=~"
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Defaults(Protocol):
    """What holds for a service where the entry says nothing (``service.Service``)."""

    @property
    def backend(self) -> str:
        """Name of the backend, for messages."""

    @property
    def key_name(self) -> str:
        """Under which name the key is looked for when the entry names none."""

    @property
    def base_url(self) -> str | None:
        """Address when neither the entry nor the key gives one; also the one that a key is for that names none."""


@dataclass(frozen=True)
class Endpoint:
    """Where calls go and how; its repr shows no secret.

    Attributes:
        base_url: address without a slash at the end, without user, password or query.
        key: the key to send, or None when no ``Authorization`` header is sent.
        key_place: where the key was found, for messages.
        account: name of the key, not its value, or an empty text.
        ca_file: PEM file of the only certificate authority to trust, or None for those of the system.
        verify_tls: whether the server's certificate is verified.
    """

    base_url: str
    key: Key | None
    key_place: str
    account: str
    ca_file: str | None
    verify_tls: bool = True


def resolve_endpoint(spec: ModelSpec, service: Defaults, address: str | None = None) -> Endpoint:
    """Decide where the calls of a model go and which key they carry.

    Args:
        spec: the entry; ``base_url``, ``key_name``, ``requires_api_key`` and ``ca_file`` are read
            from ``model_config`` or from the top level.
        service: what the backend presupposes.
        address: which of several servers is meant; by default the entry has one.

    Raises:
        SpecError: a setting is wrong, there is no address, or the key was written for another host.
        MissingKeyError: a key is required and there is none.
    """
    named = setting(spec, "key_name")
    key_name = named or service.key_name
    registry = KeyRegistry.from_json()
    found = registry.find(key_name)
    key, place = found if found is not None else (None, "")
    base_url = (
        _address(spec, service, key, key_name, place) if address is None else _checked_url(address, _of(spec))
    )
    if not setting(spec, "requires_api_key", True):
        key, place = None, ""
    elif key is None:
        registry.get_key_for(key_name)  # raises: the registry explains best where it has looked
    elif not key.has_api_key():
        raise MissingKeyError(
            f"model '{spec['model_name']}': the key '{key_name}' in {place} has no 'api_key'; add it, or set "
            "model_config.requires_api_key to false when the server wants none"
        )
    if key is not None:
        _check_sendable(key, key_name, place)
        _check_host(spec, service, key, key_name, base_url, named=named is not None)
        if base_url.startswith("http:") and urlsplit(base_url).hostname not in LOOPBACK:
            logger.warning("the key '%s' goes to %s without encryption: use https", key_name, base_url)
    account = "" if key is None else key_name
    return Endpoint(base_url, key, place, account, _ca_file(spec), _verify_tls(spec, base_url))


def _address(spec: ModelSpec, service: Defaults, key: Key | None, key_name: str, place: str) -> str:
    written = setting(spec, "base_url")
    if written is not None:
        if not isinstance(written, str):
            raise SpecError(
                f"model '{spec['model_name']}': base_url must be one address here, not a list; only the backend "
                "openai_compatible spreads calls over several servers"
            )
        return _checked_url(written, _of(spec))
    own = _own_address(key, place)
    if own is None:
        if service.base_url is None:
            raise SpecError(
                f"model '{spec['model_name']}' has no address: add \"base_url\" (such as "
                f"\"http://127.0.0.1:8000/v1\") to its entry or to the key '{key_name}'"
            )
        return service.base_url
    if service.base_url is not None and place.startswith("$") and _origin(own) != _origin(service.base_url):
        raise SpecError(
            f"model '{spec['model_name']}': backend '{service.backend}' calls {service.base_url}, but the "
            f'environment redirects its key to {own}; unset that variable, or write "base_url" into the entry '
            "if the model really runs there"
        )
    return own


def _of(spec: ModelSpec) -> str:
    return f"the entry of model '{spec['model_name']}'"


def _own_address(key: Key | None, place: str) -> str | None:
    name = next((name for name in _ADDRESSES if key is not None and key.get(name) is not None), None)
    if key is None or name is None:
        return None
    value = key[name]
    if not isinstance(value, str):
        raise SpecError(f"'{name}' of the key in {place} must be text, not {type(value).__name__}")
    return _checked_url(value, f"the key in {place}")


def _checked_url(value: str, where: str) -> str:
    """Return the address in one form; what it holds is not shown, it could be a password."""
    if (fault := _core.address_fault(value)) is not None:
        raise SpecError(f"the base_url of {where} {fault}")
    try:
        parts = urlsplit(value.strip())
        port, host = parts.port, (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError:  # also of a name that has no form in ASCII
        raise SpecError(f"the base_url of {where} is not a URL") from None
    path = quote(_LONE_PERCENT.sub("%25", parts.path.rstrip("/")), safe=_IN_PATHS)
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def beyond(base_url: str, path: str) -> str:
    """Return a path without the version that the base URL ends in already: addresses are written in both ways.

    Examples:
        >>> beyond("http://127.0.0.1:4000/v1", "/v1/messages"), beyond("http://127.0.0.1:4000", "/v1/messages")
        ('/messages', '/v1/messages')
    """
    version = "/" + path.split("/", 2)[1]
    is_there = re.fullmatch(r"/v\d\w*", version) is not None and base_url.endswith(version)
    return path.removeprefix(version) if is_there else path


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme)


def _has_origin(base_url: str, other: str | None) -> bool:
    return other is not None and _origin(base_url) == _origin(other)


def _check_host(spec: ModelSpec, service: Defaults, key: Key, key_name: str, base_url: str, *, named: bool) -> None:
    """Refuse to send a key elsewhere than where it belongs.

    The key's own address counts, which the user wrote into the key file or the environment. Without one, a key of a
    fixed service belongs to the hosts of that service. Any other key belongs to the service that it is the default
    of, or to the entry that names it.
    """
    own, hosts = _own_address(key, "the key"), hosts_of(key_name)
    is_default = key_name == service.key_name and _has_origin(base_url, service.base_url)
    if own is not None:
        belongs = _has_origin(base_url, own)
    elif hosts:
        belongs = is_default or is_at(base_url, hosts)
    else:
        belongs = is_default or named or service.base_url is None
    if belongs:
        return
    home = own or " and ".join(hosts) or service.base_url
    raise SpecError(
        f"model '{spec['model_name']}' is at {base_url}, but the key '{key_name}' was written for "
        f"{home} and is not sent elsewhere: give this address a key of its own and name it in the "
        'entry ("key_name": …), set model_config.requires_api_key to false, or write "base_url" beside the key (in '
        f"key.json: clem register key -n {key_name}) if this very key belongs there"
    )


def _check_sendable(key: Key, key_name: str, place: str) -> None:
    for field in ("api_key", "organization", "project"):
        value = str(key.get(field) or "").strip()
        what = f"'{field}' of the key '{key_name}' in {place}"
        if len(value) > 1 and value[0] in "\"'`" and value[-1] == value[0]:
            raise SpecError(f"{what} stands in quotes, which would be sent with it: leave them out")
        if value[:7].lower() == "bearer ":
            raise SpecError(f"{what} begins with 'Bearer', which is added by itself: leave it out")
        if re.match(r"(?:export\s+)?[A-Z][A-Z0-9]*_[A-Z0-9_]+\s*=", value):
            raise SpecError(f"{what} begins with the name of a variable, as in a file of settings: leave it out")
        if re.fullmatch(r"\$\{?\w+\}?", value):
            raise SpecError(f"{what} is the name of a variable instead of its value: write the key itself")
        if not all("!" <= character <= "~" for character in value):
            raise SpecError(
                f"{what} holds a space, a line break or a character outside ASCII, which no HTTP header can carry: "
                "copy it again"
            )


def _ca_file(spec: ModelSpec) -> str | None:
    value: str | None = setting(spec, "ca_file")
    if value is None:
        return None
    path = os.path.expanduser(value)  # noqa: PTH111 - "~" alone needs no pathlib import
    if not os.path.isfile(path):  # noqa: PTH113
        raise SpecError(f"model '{spec['model_name']}': the ca_file {value} is not there; it must be a PEM file")
    return path


@functools.cache
def _warn_of_no_tls(base_url: str) -> None:
    logger.warning(
        "TLS IS NOT VERIFIED for %s (verify_tls: false in the entry): any server that answers there gets your "
        "messages and key; name the server's authority with ca_file instead",
        base_url,
    )


def _verify_tls(spec: ModelSpec, base_url: str) -> bool:
    verify: bool = setting(spec, "verify_tls", True)
    if not verify:
        if setting(spec, "ca_file") is not None:
            raise SpecError(
                f"model '{spec['model_name']}' has a ca_file and verify_tls: false; with the file, the certificate "
                "can be verified: leave out verify_tls"
            )
        if base_url.startswith("https:"):
            _warn_of_no_tls(base_url)
    return verify
