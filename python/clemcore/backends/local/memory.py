"""How much memory is really free: what the machine has, what a container or a limit of the process leaves of it.

It reads the kernel's files and asks torch about accelerators; it knows no models.

Sources: cgroup v2 (https://docs.kernel.org/admin-guide/cgroup-v2.html), cgroup v1
(https://docs.kernel.org/admin-guide/cgroup-v1/memory.html), getrlimit(2), proc_meminfo(5).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clemcore.errors import SpecError

_UNITS = ("", "K", "M", "G", "T")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)
# A limit that no machine has: cgroup v1 writes the largest multiple of a page in place of "none".
_NONE = 1 << 60


@dataclass(frozen=True)
class Free:
    """Memory that is free.

    Attributes:
        bytes: how much.
        by: what allows no more: ``machine``, ``container``, ``RLIMIT_AS``, ``RLIMIT_DATA`` or ``cuda:0``.
    """

    bytes: int
    by: str


def read_size(value: int | str, what: str) -> int:
    """Return a size in bytes.

    Args:
        value: bytes, or a text like ``24GB`` (powers of 1000) or ``24GiB`` (powers of 1024).
        what: names it in the error, as ``model 'm': kept_cache``.

    Raises:
        SpecError: it is not a size.

    Examples:
        >>> read_size("1.5 GB", "it"), read_size("2GiB", "it"), read_size(7, "it")
        (1500000000, 2147483648, 7)
    """
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        power = _UNITS.index(found[2].upper())
        return int(float(found[1]) * (1024 if found[3] else 1000) ** power)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise SpecError(f"{what} must be bytes (a whole number ≥ 0) or a size like '24GB', not {value!r}")


def size_text(size: float) -> str:
    """Return a size in words, in powers of 1000.

    Examples:
        >>> size_text(538_000_000), size_text(24e9), size_text(312)
        ('538 MB', '24.0 GB', '312 B')
    """
    for unit, factor in (("TB", 10**12), ("GB", 10**9)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    for unit, factor in (("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.0f} {unit}"
    return f"{size:.0f} B"


def free_ram(root: Path = Path("/")) -> Free:
    """Return how much main memory this process can still take, and what limits it.

    Args:
        root: where the file system begins; tests have one of their own.
    """
    limits = [*_of_machine(root), *_of_containers(root), *_of_process(root)]
    return min(limits, key=lambda free: free.bytes, default=Free(_NONE, "machine"))


def free_on(device: str) -> Free:
    """Return how much memory is free on a device.

    Args:
        device: as torch names it: ``cpu``, ``cuda:0``, ``mps``. Devices that share the main memory, or of which
            torch knows no memory, have what is free there.
    """
    import torch

    kind = torch.device(device)
    if kind.type not in ("cpu", "mps", "meta"):
        info = getattr(getattr(torch, kind.type, None), "mem_get_info", None)
        if info is not None:
            return Free(int(info(kind.index or 0)[0]), f"{kind.type}:{kind.index or 0}")
    return free_ram()


def _of_machine(root: Path) -> Iterator[Free]:
    known = _numbers(root / "proc/meminfo")
    if "MemAvailable" in known:
        yield Free(known["MemAvailable"] * 1024, "machine")
        return
    with contextlib.suppress(ImportError):  # not Linux; accelerate brings it
        import psutil

        yield Free(int(psutil.virtual_memory().available), "machine")


def _of_containers(root: Path) -> Iterator[Free]:
    """Look at this process's group and all above it, in both versions of cgroups.

    A container often sees only its own group, at the place where the file system of groups begins.
    """
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            base, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            base = root / "sys/fs/cgroup/memory"
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for group in (inside, *inside.parents):
            yield from _of_group(base / group, *names)


def _of_group(folder: Path, limit: str, usage: str, reclaimable: str) -> Iterator[Free]:
    most, used = _number(folder / limit), _number(folder / usage)
    if most is not None and used is not None and most < _NONE:
        # The kernel gives cached files back before a group is out of memory.
        given_back = _numbers(folder / "memory.stat").get(reclaimable, 0)
        yield Free(max(0, most - used + given_back), "container")


def _of_process(root: Path) -> Iterator[Free]:
    try:
        import resource
    except ImportError:  # Windows
        return
    status = _numbers(root / "proc/self/status")
    for name, used in (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")):
        most = resource.getrlimit(getattr(resource, name))[0]
        if most != resource.RLIM_INFINITY and used in status:
            yield Free(max(0, most - status[used] * 1024), name)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file of lines like ``name: 12 kB`` or ``name 12``."""
    found = (re.match(r"(\w+):?\s+(\d+)", line) for line in _lines(path))
    return {match[1]: int(match[2]) for match in found if match}
