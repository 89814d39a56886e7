"""Which hosts are reached without a proxy: ``NO_PROXY`` in all the forms that programs read.

Python's own reading knows names alone. Here also count, as in curl, networks (``10.0.0.0/8``, ``fd00::/8``), and as
in other programs a leading ``*.`` and a port (``host:80``).
"""

from __future__ import annotations

import ipaddress
import re

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def bypasses(no_proxy: str, host: str, port: int) -> bool:
    """Tell whether a host is reached without a proxy.

    Args:
        no_proxy: the variable's value, its entries separated by commas or whitespace.
        host: a name or an address.
        port: the port that is called.

    Examples:
        >>> bypasses("10.0.0.0/8, *.lab.test", "10.1.2.3", 80), bypasses("lab.test:443", "gpu.lab.test", 80)
        (True, False)
    """
    name, address = host.strip("[]").rstrip(".").lower(), _address(host)
    return any(_fits(entry.lower(), name, address, port) for entry in re.split(r"[\s,]+", no_proxy) if entry)


def is_this_machine(host: str) -> bool:
    """Tell whether a host is the machine itself, which no proxy reaches.

    Examples:
        >>> is_this_machine("127.0.0.9"), is_this_machine("localhost"), is_this_machine("lab.test")
        (True, True, False)
    """
    address, name = _address(host), host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost") or (address is not None and address.is_loopback)


def _fits(entry: str, name: str, address: _Address | None, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _holds(entry, address)
    wanted = _address(entry)
    if wanted is None:
        entry, wanted_port = _split(entry)
        if wanted_port not in (None, port):
            return False
        wanted = _address(entry)
    if wanted is not None or address is not None:
        return wanted == address
    entry = entry.removeprefix("*").strip(".")
    return bool(entry) and (name == entry or name.endswith(f".{entry}"))


def _split(entry: str) -> tuple[str, int | None]:
    """Split a port off."""
    found = re.fullmatch(r"(.*):(\d{1,5})", entry)
    return (entry, None) if found is None else (found[1], int(found[2]))


def _holds(network: str, address: _Address) -> bool:
    try:
        return address in ipaddress.ip_network(network.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False


def _address(text: str) -> _Address | None:
    """Return an address; one of IPv4 that is written as one of IPv6 is the same."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped
