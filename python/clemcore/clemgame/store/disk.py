"""Which journal suits the disk that a store is on. It does not know what is stored."""

from __future__ import annotations

import os
import re
from pathlib import Path

# File systems of one machine. On all others, several machines may share the file, and a write-ahead log needs
# memory that its readers share.
_LOCAL = (
    "apfs bcachefs btrfs exfat ext2 ext3 ext4 f2fs jfs nilfs2 ntfs ntfs3 overlay ramfs reiserfs squashfs tmpfs"
    " ubifs vfat xfs zfs"
)
_ESCAPE = re.compile(r"\\([0-7]{3})")
_MOUNTS = Path("/proc/self/mountinfo")


def file_system_of(folder: Path) -> str | None:
    """Return the type of the file system that a folder is on, or None if the system does not say."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        device = os.stat(folder).st_dev  # noqa: PTH116 - as the lines name it
    except OSError:
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    place = folder.resolve()
    best: tuple[bool, int, str] | None = None
    for line in lines:
        fields, _, rest = line.partition(" - ")
        _, _, major_minor, _, mounted, *_ = fields.split(" ")
        point = Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), mounted))
        if point == place or point in place.parents:
            # Of several mounts, the deepest one; a later line hides an earlier one.
            candidate = (major_minor == number, len(point.parts), rest.split(" ")[0])
            if best is None or candidate[:2] >= best[:2]:
                best = candidate
    return None if best is None else best[2]


def journal_for(folder: Path) -> tuple[bool, str]:
    """Return whether a store in a folder can have a write-ahead log, and the reason."""
    kind = file_system_of(folder)
    if kind is None:
        return False, "the type of the file system is not known"
    if kind in _LOCAL.split():
        return True, f"{kind} is a local file system"
    return False, f"{kind} is not known as a local file system"
