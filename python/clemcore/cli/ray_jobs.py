"""``clem run --jobs N --ray [ADDRESS]``: plays the shards of a run as tasks of a Ray cluster.

Each task plays its shard in a worker of Ray. If the worker or its machine is lost, Ray starts the task again, and
it goes on where the shard stopped. It does not know how a shard is played.
"""

from __future__ import annotations

import importlib
import os
import platform
import signal
from collections.abc import Mapping
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any

from clemcore.cli.terminal import note
from clemcore.errors import RunError

if TYPE_CHECKING:
    from clemcore.clemgame.runs.settings import RunSettings

_REFUSED, _LOST = 2, 1
# How often a task is started again whose worker was lost.
_RETRIES = 10
_SHOWN = 5


def play_on_ray(settings: RunSettings, address: str, hash_seed: str) -> int:
    """Play a run in shards, each as a task of a cluster, and return the highest exit status.

    Args:
        settings: the settings of the command; ``jobs`` says how many shards.
        address: the address of the cluster; "auto" for the one that runs here, or else a new one of this machine.
        hash_seed: the hash seed of the run, which each worker gets.

    Raises:
        RunError: the number of shards is missing, Ray is not installed, or the cluster cannot be reached.
    """
    from clemcore.clemgame.store.manifest import versions
    from clemcore.cli.jobs import sum_up

    if settings.jobs is None:
        raise RunError("--ray plays the shards of a run: say how many with --jobs N")
    if settings.dry_run:
        raise RunError("--dry-run shows the whole plan: leave out --ray")
    ray = _connected(address)
    try:
        gpus = 1 if _has_local_model(settings) and ray.cluster_resources().get("GPU", 0) else 0
        environment = {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_RETRIES, runtime_env={"env_vars": environment})(
            play_shard
        )
        folder = os.getcwd()  # noqa: PTH109 - the folder that all machines share
        count, known = settings.jobs, versions()
        tasks = [task.remote(settings, folder, f"{number}/{count}", known) for number in range(1, count + 1)]
        statuses = _statuses(ray, tasks)
    finally:
        ray.shutdown()
    sum_up(settings)
    return max(statuses)


def play_shard(settings: RunSettings, folder: str, shard: str, known: Mapping[str, Any]) -> int:
    """Play a shard in a worker of Ray, and return its exit status.

    Args:
        settings: the settings of the command.
        folder: its working directory.
        shard: which shard, ``I/N``.
        known: the versions of Python and of all packages where the command runs.
    """
    from clemcore.clemgame.runs.run import play
    from clemcore.clemgame.store.manifest import versions
    from clemcore.cli.voice import TerminalVoice
    from clemcore.errors import ClemcoreError

    others = different_versions(known, versions())
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        note(
            f"clem: shard {shard}: the worker on {platform.node()} has other versions: {'; '.join(others[:_SHOWN])}"
            f"{more}. Install the same packages on all machines"
        )
        return _REFUSED
    # The engine ends a run on SIGINT and SIGTERM where nobody else handles them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        os.chdir(folder)
        return play(replace(settings, shard=shard, jobs=None), TerminalVoice()).status
    except OSError as fault:
        note(f"clem: shard {shard}: the worker on {platform.node()} cannot use {folder}: {fault.strerror}")
    except ClemcoreError as fault:
        note(f"clem: shard {shard}: {fault}")
    return _REFUSED


def different_versions(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return where versions of Python and packages differ, in words.

    Examples:
        >>> different_versions({"python": "3.11", "packages": {"a": "1"}}, {"python": "3.12", "packages": {}})
        ['python 3.11 and 3.12', 'a 1 and none']
    """
    found = []
    for name in dict.fromkeys((*one, *other)):
        before, now = one.get(name), other.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += different_versions(before, now)
        elif before != now:
            found.append(f"{name} {before or 'none'} and {now or 'none'}")
    return found


def _connected(address: str) -> Any:
    """Return Ray, connected to a cluster.

    Raises:
        RunError: Ray is not installed, or the cluster cannot be reached.
    """
    try:
        ray: Any = importlib.import_module("ray")
    except ModuleNotFoundError as fault:
        raise RunError(
            f"--ray needs the package '{fault.name}', which is not installed: pip install 'clemcore[ray]'"
        ) from None
    try:
        ray.init(address=address)
    except Exception as fault:
        if address != "auto" or not isinstance(fault, ConnectionError):
            text = " ".join(str(fault).split())
            raise RunError(
                f"the Ray cluster at '{address}' cannot be reached: {text}. Start it with 'ray start --head', or "
                "leave out the address to use this machine"
            ) from fault
        # Only processes of this machine can reach it.
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1")
    return ray


def _has_local_model(settings: RunSettings) -> bool:
    from clemcore.clemgame.runs.lineups import line_ups_of

    return any(role.is_local for line_up in line_ups_of(settings) for role in line_up.roles)


def _statuses(ray: Any, tasks: list[Any]) -> list[int]:
    """Wait for tasks and return their exit statuses; Ctrl-C and SIGTERM end their shards in order."""

    def cancel(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as handlers are called
        for task in tasks:
            ray.cancel(task)

    before = {number: signal.signal(number, cancel) for number in (signal.SIGINT, signal.SIGTERM)}
    statuses = []
    try:
        for number, task in enumerate(tasks, 1):
            try:
                statuses.append(int(ray.get(task)))
            except ray.exceptions.TaskCancelledError:
                statuses.append(130)
            except ray.exceptions.RayError as fault:
                lost = f"clem: shard {number}/{len(tasks)} was lost: {type(fault).__name__}"
                note(f"{lost}: the same command continues it")
                statuses.append(_LOST)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return statuses
