"""How much memory is really free: the machine's, a container's, and the limits of a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clemcore.backends.local.memory import Free, free_ram, read_size, size_text
from clemcore.errors import SpecError

MACHINE = "MemTotal:       8000 kB\nMemFree:         100 kB\nMemAvailable:   6000 kB\n"


def system(root: Path, **files: str) -> Path:
    """Write files of the kernel; a name's ``__`` is a slash."""
    for name, text in {
        "proc/meminfo": MACHINE,
        **{key.replace("__", "/"): text for key, text in files.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group_of(folder: Path, **files: str) -> None:
    """Write files of a control group; ``memory_max`` is its file ``memory.max``."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("memory_", "memory.", 1)).write_text(text)


def test_the_machine(tmp_path: Path) -> None:
    assert free_ram(system(tmp_path)) == Free(6000 * 1024, "machine")


class TestContainers:
    def test_version_2(self, tmp_path: Path) -> None:
        group_of(
            tmp_path / "sys/fs/cgroup/a/b",
            memory_max="5000\n",
            memory_current="3000\n",
            memory_stat="anon 1\ninactive_file 500\nactive_file 9\n",
        )
        root = system(tmp_path, proc__self__cgroup="0::/a/b\n")
        assert free_ram(root) == Free(2500, "container")

    def test_a_limit_of_a_group_above(self, tmp_path: Path) -> None:
        for name, limit in (("a", "700"), ("a/b", "max")):
            group_of(tmp_path / "sys/fs/cgroup" / name, memory_max=limit, memory_current="300")
        assert free_ram(system(tmp_path, proc__self__cgroup="0::/a/b\n")) == Free(400, "container")

    def test_version_1_inside_a_container(self, tmp_path: Path) -> None:
        """The path in /proc is the host's; the container sees its own group at the top."""
        group_of(
            tmp_path / "sys/fs/cgroup/memory",
            memory_limit_in_bytes="4000",
            memory_usage_in_bytes="1000",
            memory_stat="total_inactive_file 10\n",
        )
        root = system(tmp_path, proc__self__cgroup="3:cpu,cpuacct:/x\n2:memory:/docker/f00\n")
        assert free_ram(root) == Free(3010, "container")

    def test_no_limit(self, tmp_path: Path) -> None:
        group_of(
            tmp_path / "sys/fs/cgroup/memory",
            memory_limit_in_bytes="9223372036854771712",
            memory_usage_in_bytes="1000",
        )
        assert free_ram(system(tmp_path, proc__self__cgroup="2:memory:/\n")).by == "machine"

    def test_more_is_used_than_allowed(self, tmp_path: Path) -> None:
        group_of(tmp_path / "sys/fs/cgroup", memory_max="1000", memory_current="3000")
        assert free_ram(system(tmp_path, proc__self__cgroup="0::/\n")) == Free(0, "container")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's account of a process")
@pytest.mark.parametrize("name", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_of_the_process(name: str) -> None:
    """What the limit leaves can be taken, and not much more."""
    code = (
        "import mmap, resource, sys\n"
        "from clemcore.backends.local.memory import free_ram\n"
        f"resource.setrlimit(resource.{name}, (2**30, 2**30))\n"
        "free = free_ram()\n"
        f"assert free.by == '{name}', free\n"
        "kept = mmap.mmap(-1, free.bytes - 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "try:\n"
        "    mmap.mmap(-1, 2**23, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
        "except OSError:\n"
        "    sys.exit()\n"
        "sys.exit('more was there')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_sizes() -> None:
    assert [read_size(text, "") for text in ("0", "512MB", "1.5 gb", "4GiB", "2k")] == [
        0,
        512_000_000,
        1_500_000_000,
        4 * 2**30,
        2000,
    ]
    assert [size_text(size) for size in (999, 46_080, 5_380_000, 24e9, 1.5e12)] == [
        "999 B",
        "46 kB",
        "5 MB",
        "24.0 GB",
        "1.5 TB",
    ]


@pytest.mark.parametrize("value", ["", "much", "-1", "4 gigabytes", "1e9", "nan", -1, True, None, 1.5])
def test_what_is_not_a_size(value: object) -> None:
    with pytest.raises(SpecError, match=r"kept_cache must be bytes .* or a size like '24GB', not"):
        read_size(value, "model 'm': kept_cache")  # type: ignore[arg-type]
