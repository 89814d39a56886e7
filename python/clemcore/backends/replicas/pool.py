"""The replicas of a model: started, compared, asked, and started again when they die.

A question whose replica died is asked again, exactly as before. It does not know records.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.backends.base import require
from clemcore.backends.replicas.actor import Arguments, Question, Replica
from clemcore.backends.replicas.profile import Profile, require_alike
from clemcore.errors import GenerationError, ModelLoadError, SpecError
from clemcore.model import Reply
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)

# Questions that a replica answers together, where answers need not be exact.
_TOGETHER = 16
# A replica that dies so often without an answer in between will not answer.
_MOST_DEATHS = 3
# Seconds for loading a model.
_LOADING = 3600.0


@dataclass(frozen=True)
class Size:
    """How many replicas there are, and what each takes.

    Attributes:
        replicas: how many.
        gpus: GPUs of each; None for one if the cluster has any.
        threads: threads, and CPUs, of each.
    """

    replicas: int
    gpus: float | None
    threads: int


@dataclass
class _Member:
    """One replica.

    Attributes:
        number: its number, from 0.
        actor: the process.
        node: the machine.
        life: how often it was started.
        deaths: how often it died since its last answer.
        in_flight: questions that it was given.
    """

    number: int
    actor: Any
    node: str = ""
    life: int = 1
    deaths: int = 0
    in_flight: int = 0


class Pool:
    """The replicas of one model."""

    def __init__(self, spec: ModelSpec, name: str, size: Size, *, is_exact: bool) -> None:
        """Start the replicas.

        Args:
            spec: the specification of the model itself, resolved.
            name: the name of the model that has replicas, for messages.
            size: how many, and how large.
            is_exact: whether all answers must be those of one process.

        Raises:
            MissingExtraError: Ray is not installed.
            SpecError: the cluster is too small, or the replicas differ.
            ModelLoadError: a replica could not load the model.
        """
        # Before Ray is imported: no reports about its use.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self._ray: Any = require("ray", backend="ray", extra="ray")
        self._spec, self._name, self._size, self._is_exact = spec, name, size, is_exact
        self._lock = threading.Lock()
        self._homes: dict[Any, int] = {}
        self._connect()
        self._gpus = self._room()
        self._members = [_Member(number, self._start()) for number in range(size.replicas)]
        self.profile: Profile = {}
        self._compare(self._members)

    def _connect(self) -> None:
        """Join the cluster of $RAY_ADDRESS or of this machine; where there is none, start one on this machine."""
        if self._ray.is_initialized():
            return
        try:
            self._ray.init(address="auto", logging_level=logging.WARNING)
        except ConnectionError as fault:
            if os.environ.get("RAY_ADDRESS"):
                raise ModelLoadError(
                    f"model '{self._name}': the cluster at $RAY_ADDRESS cannot be reached: {_words(fault)}; start "
                    "it with 'ray start --head', or unset the variable"
                ) from None
            # Only processes of this machine can reach it.
            local = {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
            try:
                self._ray.init(address="local", logging_level=logging.WARNING, **local)
            except Exception as error:
                # Ray raises a bare Exception where its own processes are not ready within 30 s.
                raise ModelLoadError(
                    f"model '{self._name}': Ray could not be started on this machine: {_words(error)} Try again "
                    "when the machine is less busy, or start it yourself with 'ray start --head'"
                ) from error

    def _room(self) -> float:
        """Return the GPUs of a replica, and refuse a cluster that is too small, before weights are read."""
        found = self._ray.cluster_resources()
        gpus = self._size.gpus
        if gpus is None:
            gpus = 1.0 if found.get("GPU", 0) else 0.0
        faults = []
        for what, each in (("GPU", gpus), ("CPU", float(self._size.threads))):
            needed, there = each * self._size.replicas, found.get(what, 0)
            if needed > there:
                faults.append(f"{needed:g} {what}s ({each:g} each), and the cluster has {there:g}")
        if faults:
            raise SpecError(
                f"model '{self._name}': {self._size.replicas} replicas need {'; '.join(faults)}. Lower replicas, "
                "gpus_per_replica or threads_per_replica, or add machines to the cluster"
            )
        return gpus

    def _start(self) -> Any:
        threads = self._size.threads
        # Ray sets OMP_NUM_THREADS by a rule of its own, so that answers would depend on the number of CPUs.
        environment = {"env_vars": {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}}
        options = {"num_cpus": threads, "num_gpus": self._gpus, "runtime_env": environment, "max_restarts": 0}
        actor = self._ray.remote(**options)(Replica)
        return actor.remote(self._spec, threads, os.getcwd(), is_exact=self._is_exact)  # noqa: PTH109

    def _compare(self, members: Sequence[_Member]) -> None:
        """Wait until replicas have loaded the model, and compare them."""
        try:
            found = self._ray.get([member.actor.about.remote() for member in members], timeout=_LOADING)
        except self._ray.exceptions.RayActorError as fault:
            self.close()
            raise ModelLoadError(
                f"model '{self._name}': a replica could not load the model: {_words(fault)}"
            ) from None
        for member, (_, node, _) in zip(members, found, strict=True):
            member.node = node
        profiles = [profile for profile, _, _ in found]
        if not self.profile:
            self.profile = profiles[0]
        if self._is_exact:
            try:
                require_alike(self._name, profiles, [member.node for member in members], self.profile)
            except SpecError:
                self.close()
                raise

    @property
    def size(self) -> int:
        """How many replicas there are."""
        return self._size.replicas

    def processes(self) -> list[int]:
        """Return the process of each replica, as its machine numbers it."""
        found = self._ray.get([member.actor.about.remote() for member in self._members])
        return [pid for _, _, pid in found]

    # -- questions ---------------------------------------------------------------------------------------------
    def answer(
        self, questions: Sequence[Question], dialogues: Sequence[Any], arguments: Arguments
    ) -> Iterator[tuple[int, Reply | Exception]]:
        """Answer questions, and yield the index of each with its answer as it comes.

        Args:
            questions: the questions.
            dialogues: the dialogue of each, or None: a dialogue stays with its replica.
            arguments: generation arguments of the model.
        """
        waiting: dict[Any, tuple[_Member, int, list[int], int]] = {}

        def ask(member: _Member, indices: list[int], again: int = 0) -> None:
            member.in_flight += len(indices)
            ref = member.actor.answer.remote([questions[index] for index in indices], arguments)
            waiting[ref] = member, member.life, indices, again

        for member, indices in self._assigned(dialogues):
            ask(member, indices)
        while waiting:
            (ref,), _ = self._ray.wait(list(waiting), num_returns=1)
            member, life, indices, again = waiting.pop(ref)
            member.in_flight -= len(indices)
            try:
                results = self._ray.get(ref)
            except self._ray.exceptions.RayActorError as fault:
                if (error := self._revived(member, life, fault)) is None:
                    ask(member, indices, again + 1)
                else:
                    yield from ((index, error) for index in indices)
                continue
            except self._ray.exceptions.RayError as fault:
                error = GenerationError(f"model '{self._name}': replica {member.number} failed: {_words(fault)}")
                yield from ((index, error) for index in indices)
                continue
            member.deaths = 0
            for index, result in zip(indices, results, strict=True):
                yield index, self._with_facts(result, member, again)

    def _assigned(self, dialogues: Sequence[Any]) -> Iterator[tuple[_Member, list[int]]]:
        """Yield questions with the replica that answers them: that of the dialogue, else the one with the least."""
        of_member: dict[int, list[int]] = {}
        load = [member.in_flight for member in self._members]
        with self._lock:
            for index, dialogue in enumerate(dialogues):
                home = None if dialogue is None else self._homes.get(dialogue)
                if home is None:
                    home = min(range(len(load)), key=load.__getitem__)
                    if dialogue is not None:
                        self._homes[dialogue] = home
                load[home] += 1
                of_member.setdefault(home, []).append(index)
        size = 1 if self._is_exact else _TOGETHER
        rows = [
            [(self._members[home], indices[begin : begin + size]) for begin in range(0, len(indices), size)]
            for home, indices in of_member.items()
        ]
        for row in itertools.zip_longest(*rows):
            yield from (pair for pair in row if pair is not None)

    def _revived(self, member: _Member, life: int, fault: Exception) -> Exception | None:
        """Start a replica again that died, unless that was done already; return why it is given up, or None."""
        with self._lock:
            if member.life != life:
                return None
            member.deaths += 1
            words = f"model '{self._name}': replica {member.number} on {member.node} died: {_words(fault)}"
            if member.deaths > _MOST_DEATHS:
                return GenerationError(f"{words}; it died {member.deaths} times in a row and is not started again")
            logger.warning("%s; it is started again, and asked again", words)
            member.actor = self._start()
            member.life += 1
            try:
                self._compare([member])
            except (SpecError, ModelLoadError) as error:
                return error
        return None

    def _with_facts(self, result: Reply | Exception, member: _Member, again: int) -> Reply | Exception:
        if isinstance(result, Reply):
            about: dict[str, Any] = {"number": member.number, "of": self._size.replicas, "node": member.node}
            about["threads"] = self._size.threads
            if again:
                about["asked_again"] = again
            result.facts["replica"] = about
        return result

    def close(self) -> None:
        """End all replicas."""
        for member in getattr(self, "_members", ()):
            self._ray.kill(member.actor)
        self._members = []


def _words(fault: Exception) -> str:
    """Return the last line that says something of a fault of the cluster."""
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line and ":" in line]
    return (named or lines or [type(fault).__name__])[-1][:300]
