"""The addresses of several servers: a list in the entry, or a file that is read again when it changes.

It does not know keys, and nothing about who answers at an address.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from clemcore import _core
from clemcore.errors import SpecError
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)

# A file may be written twice within one tick of its clock: one that is younger than this is read again.
_TICK = 2.0


class Addresses(Protocol):
    """Addresses that may change.

    Attributes:
        name: what the entry says, for the key of the cache and for messages.
    """

    @property
    def name(self) -> str:
        """What the entry says."""

    def current(self) -> tuple[str, ...]:
        """Return the addresses of now, at least one."""


def addresses_of(spec: ModelSpec) -> Addresses | None:
    """Return the addresses of an entry with several servers; None where it has one address, or none.

    Raises:
        SpecError: an address cannot be called, there is none, or the file cannot be read.
    """
    written = setting(spec, "base_url")
    if isinstance(written, str):
        path = _core.servers_file(written)
        return None if path is None else AddressFile(os.path.expanduser(path), str(spec["model_name"]))  # noqa: PTH111
    return None if written is None else AddressList(written, str(spec["model_name"]))


class AddressList:
    """The addresses of an entry's list."""

    def __init__(self, written: Sequence[object], model_name: str) -> None:
        """Check a list.

        Args:
            written: the list.
            model_name: for messages.

        Raises:
            SpecError: it is empty, or an address is wrong; all faults are listed.
        """
        if not written:
            raise SpecError(
                f"model '{model_name}': base_url is a list without an address; write the address of each server "
                'into it, such as "http://127.0.0.1:8000/v1"'
            )
        faults = []
        found: list[str] = []
        places: dict[str, int] = {}
        for index, each in enumerate(written):
            fault = _fault(each)
            address = each.strip().rstrip("/") if isinstance(each, str) else ""
            first = places.setdefault(_core.address_key(address), index)
            if fault is None and first != index:
                fault = f"is the same address as base_url[{first}]"
            if fault is not None:
                faults.append(f"base_url[{index}] {fault}")
            found.append(address)
        if faults:
            raise SpecError(f"model '{model_name}': {'; '.join(faults)}")
        self._addresses = tuple(found)
        self.name = ", ".join(sorted(found))

    def current(self) -> tuple[str, ...]:
        """Return the addresses."""
        return self._addresses


class AddressFile:
    """The addresses of a file: one per line; empty lines and those that begin with ``#`` are skipped.

    A file counts whole or not at all: while a line is wrong or has no line end, the last good list is kept.
    """

    def __init__(self, path: str, model_name: str) -> None:
        """Read a file.

        Args:
            path: the file, relative to the working directory.
            model_name: for messages.

        Raises:
            SpecError: it cannot be read, a line is wrong, or it has no address.
        """
        self._path = Path(path).absolute()
        self._model_name = model_name
        self._stamp: tuple[int, int, int] | None = None
        self._read_at = 0.0
        self._told: str | None = None
        self.name = f"file:{self._path}"
        # Further checks of each address: it returns what is wrong.
        self.check: Callable[[str], str | None] = lambda _address: None
        self._addresses: tuple[str, ...] = ()
        addresses, fault = self._read()
        if fault is not None:
            raise SpecError(f"model '{model_name}': {fault}")
        self._addresses = addresses

    def current(self) -> tuple[str, ...]:
        """Return the addresses; those of before while the file is missing or not good."""
        if self._has_changed():
            addresses, fault = self._read()
            if fault is None:
                self._tell_change(addresses)
                self._addresses, self._told = addresses, None
            elif fault != self._told:
                self._told = fault
                kept = ", ".join(self._addresses)
                logger.warning("model '%s': %s; the last good list is kept: %s", self._model_name, fault, kept)
        return self._addresses

    def _has_changed(self) -> bool:
        try:
            found = self._path.stat()
        except OSError:
            return True  # reading it says why
        is_fresh = self._read_at - found.st_mtime < _TICK
        return is_fresh or (found.st_mtime_ns, found.st_size, found.st_ino) != self._stamp

    def _read(self) -> tuple[tuple[str, ...], str | None]:
        """Return the addresses, or what is wrong."""
        self._read_at = time.time()
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                text = file.read().decode("utf-8-sig")
        except FileNotFoundError:
            return (
                (),
                f"the address file {self._path} does not exist: start the jobs that write it, or name another",
            )
        except OSError as fault:
            return (), f"the address file {self._path} cannot be read: {fault.strerror or fault}"
        except UnicodeDecodeError as fault:
            return (), f"the address file {self._path} is not UTF-8 text ({fault.reason} at byte {fault.start})"
        self._stamp = found.st_mtime_ns, found.st_size, found.st_ino
        return self._parsed(text)

    def _parsed(self, text: str) -> tuple[tuple[str, ...], str | None]:
        addresses: dict[str, str] = {}
        faults = []
        lines = text.split("\n")
        if lines[-1].strip():
            faults.append(f"line {len(lines)} has no line end, so it may be half written: end it with one")
        for number, line in enumerate(lines[:-1], 1):
            address = line.strip().rstrip("/")
            if not address or address.startswith("#"):
                continue
            fault = _fault(address) or self.check(address)
            if fault is not None:
                faults.append(f"line {number} {fault}")
            else:  # two jobs of one machine may write the same
                addresses.setdefault(_core.address_key(address), address)
        if not faults and not addresses:
            faults.append("it has no address: each job writes one line, such as http://node1:8000/v1")
        if faults:
            return (), f"the address file {self._path}: {'; '.join(faults)}"
        return tuple(addresses.values()), None

    def _tell_change(self, addresses: tuple[str, ...]) -> None:
        come = [each for each in addresses if each not in self._addresses]
        gone = [each for each in self._addresses if each not in addresses]
        if come or gone:
            words = [f"new: {', '.join(come)}"] * bool(come) + [f"gone: {', '.join(gone)}"] * bool(gone)
            logger.info("model '%s': %s has changed; %s", self._model_name, self._path, "; ".join(words))


def _fault(address: object) -> str | None:
    """Return what is wrong with an address; the address is not shown, because it could hold a password."""
    return _core.address_fault(address) if isinstance(address, str) else "must be a text"
