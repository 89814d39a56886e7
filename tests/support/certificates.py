"""A self-signed certificate for a loopback address, made anew for each run: no private key lies in the repository.

Elliptic-curve arithmetic and DER in plain Python, so that the suite needs neither a package nor a program for it.
For tests only: the arithmetic does not run in constant time.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from pathlib import Path

# The curve P-256 (FIPS 186).
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_Point = tuple[int, int]


def write_certificate(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write `certificate.pem` and `key.pem` for an IPv4 address into a folder."""
    private = secrets.randbelow(_N - 1) + 1
    public = _times(private, _G)
    point = b"\x04" + public[0].to_bytes(32, "big") + public[1].to_bytes(32, "big")
    body = _certificate_body(point, address)
    algorithm = _sequence(_oid("1.2.840.10045.4.3.2"))  # ecdsa-with-SHA256
    certificate = _sequence(body, algorithm, _bits(_sign(private, body)))
    key = _sequence(
        _integer(1),
        _der(0x04, private.to_bytes(32, "big")),
        _der(0xA0, _oid("1.2.840.10045.3.1.7")),
        _der(0xA1, _bits(point)),
    )
    return (
        _write_pem(folder / "certificate.pem", "CERTIFICATE", certificate),
        _write_pem(folder / "key.pem", "EC PRIVATE KEY", key),
    )


def _certificate_body(point: bytes, address: str) -> bytes:
    name = _sequence(_der(0x31, _sequence(_oid("2.5.4.3"), _der(0x0C, b"loopback test server"))))
    valid = [time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + shift)) for shift in (-3600, 86400)]
    names = _sequence(_der(0x87, bytes(int(part) for part in address.split("."))))
    key_id = hashlib.sha1(point, usedforsecurity=False).digest()
    extensions = _sequence(
        _extension("2.5.29.19", _sequence(_der(0x01, b"\xff")), critical=True),  # it signs itself: a CA
        _extension("2.5.29.15", _der(0x03, b"\x02\x84"), critical=True),  # digitalSignature, keyCertSign
        _extension("2.5.29.14", _der(0x04, key_id)),
        _extension("2.5.29.17", names),
    )
    return _sequence(
        _der(0xA0, _integer(2)),
        _integer(secrets.randbits(120) | 1),
        _sequence(_oid("1.2.840.10045.4.3.2")),
        name,
        _sequence(*(_der(0x17, moment.encode()) for moment in valid)),
        name,
        _sequence(_sequence(_oid("1.2.840.10045.2.1"), _oid("1.2.840.10045.3.1.7")), _bits(point)),
        _der(0xA3, extensions),
    )


# -- elliptic curve ----------------------------------------------------------------------------------------------
def _add(a: _Point | None, b: _Point | None) -> _Point | None:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % _P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P)
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _times(factor: int, point: _Point) -> _Point:
    result: _Point | None = None
    step: _Point | None = point
    while factor:
        if factor & 1:
            result = _add(result, step)
        step = _add(step, step)
        factor >>= 1
    assert result is not None
    return result


def _sign(private: int, data: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(data).digest(), "big")
    nonce = secrets.randbelow(_N - 1) + 1
    r = _times(nonce, _G)[0] % _N
    s = pow(nonce, -1, _N) * (digest + r * private) % _N
    return _sequence(_integer(r), _integer(s))


# -- DER ---------------------------------------------------------------------------------------------------------
def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*items: bytes) -> bytes:
    return _der(0x30, b"".join(items))


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _bits(content: bytes) -> bytes:
    return _der(0x03, b"\x00" + content)


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytes([first * 40 + second])
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(number & 0x7F | 0x80)
        content += bytes(reversed(digits))
    return _der(0x06, content)


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _sequence(_oid(oid), _der(0x01, b"\xff") if critical else b"", _der(0x04, value))


def _write_pem(path: Path, label: str, data: bytes) -> Path:
    text = base64.encodebytes(data).decode()
    path.write_text(f"-----BEGIN {label}-----\n{text}-----END {label}-----\n", encoding="ascii")
    return path
