"""Computes jobs together: by continuous batching where a model can be, else in groups of similar length.

One interface for both: jobs go in, results come out as they end. It decides which jobs are computed at the same
time, makes batches smaller where memory is short, and lets them grow again. It knows neither messages nor records.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.engine import Generated, Job
from clemcore.backends.local.failures import ran_out_of_memory
from clemcore.backends.local.transformers.configurations import Configurations
from clemcore.backends.local.transformers.continuous import Continuous, paged, ran_out_of_room, tokens_of
from clemcore.backends.local.transformers.groups import groups_of, padding_of
from clemcore.backends.local.transformers.quiet import QUIET, quietly
from clemcore.backends.local.transformers.room import Room
from clemcore.backends.local.transformers.trial import is_faithful

logger = logging.getLogger(__name__)

Result = Generated | Exception


@dataclass(frozen=True)
class Host:
    """What an engine does for jobs that are computed together.

    Attributes:
        lock: held while the model computes; between two steps others may compute with it.
        version: returns what changes with weights, adapter, or whatever else makes kept prompts worthless.
        refusal: returns why a job cannot be computed, or None.
        configurations: what jobs are computed with.
        evaluating: returns a block in which the model is in evaluation mode.
        padded: computes jobs in one call, filled up to one length; raises where the call fails. Takes the lock.
        can_be_one: tells whether each of several jobs gets the reply in a padded batch that it gets alone. Takes
            the lock.
        failed: returns the error that a job gets when its computation failed.
    """

    lock: Any
    version: Callable[[], Hashable]
    refusal: Callable[[Job], Exception | None]
    configurations: Configurations
    evaluating: Callable[[], AbstractContextManager[None]]
    padded: Callable[[list[Job]], list[Generated | Exception]]
    can_be_one: Callable[[list[Job]], bool]
    failed: Callable[[Exception], Exception]


@dataclass(frozen=True)
class _Failure:
    """What went wrong, without the error, whose frames hold memory.

    Attributes:
        words: type and message of the error.
        of_memory: whether memory ran out.
    """

    words: str
    of_memory: bool

    @classmethod
    def of(cls, error: Exception) -> _Failure:
        """Take it from an error."""
        return cls(f"{type(error).__name__}: {error}", ran_out_of_memory(error) or ran_out_of_room(error))


@dataclass
class _Limit:
    """The most jobs at a time: halved where memory is short, doubled after as many jobs as that went well.

    Attributes:
        most: the limit.
        ceiling: what it may grow to.
    """

    ceiling: int
    most: int
    went_well: int = 0

    def shrink(self, jobs: int) -> None:
        self.most, self.went_well = max(1, jobs // 2), 0

    def count(self, jobs: int) -> None:
        self.went_well += jobs
        if self.most < self.ceiling and self.went_well >= self.most:
            self.most, self.went_well = min(self.ceiling, 2 * self.most), 0


class Together:
    """Computes jobs of one model together.

    Attributes:
        kept_bytes: what may be kept of earlier prompts, in bytes; None: a share of what is free.
        free_kept: called where memory is short, before a batch is made smaller.
    """

    def __init__(self, model: Any, name: str) -> None:
        """Take the model.

        Args:
            model: the transformers model.
            name: the model's name, for messages.
        """
        self.kept_bytes: int | None = None
        self.free_kept: Callable[[], object] = lambda: None
        self._model = model
        self._name = name
        self._room = Room(model)
        self._limit = _Limit(self._room.most_jobs, self._room.most_jobs)
        self._is_able: bool | None = None
        self._is_busy = False
        self._runner: Continuous | None = None
        self._version: Any = None
        self._attention: str | None = None
        self._is_outdated = False

    # -- jobs in, results out ------------------------------------------------------------------------------------
    def generate(self, host: Host, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Compute jobs, and yield each with its result as it ends.

        Where another thread computes jobs together at the same time, these are computed in groups.

        Args:
            host: the engine.
            jobs: looked at before each step. If it is an iterator, it may have more jobs after it had none.
        """
        source = iter(jobs)
        waiting: deque[Job] = deque()
        others: list[Job] = []
        with host.lock:
            is_second, self._is_busy = self._is_busy, True
        try:
            while True:
                for job in source:
                    refusal = host.refusal(job)
                    if refusal is not None:
                        yield job, refusal
                    elif not is_second and self._goes_continuous(host, job):
                        waiting.append(job)
                    else:
                        others.append(job)
                is_running = not is_second and self._runner is not None and bool(self._runner.jobs)
                if is_running or (waiting and not others):
                    yield from self._step(host, waiting, others)
                elif others:
                    batch, others = others, []
                    yield from self._grouped(host, batch)
                elif not waiting:
                    return
        finally:
            if not is_second:
                with host.lock:
                    if self._runner is not None and self._runner.jobs:  # nobody waits for them any longer
                        self._close_runner()
                    self._is_busy = False

    def forget(self) -> None:
        """Forget what is kept of earlier prompts."""
        self._is_outdated = True

    def close(self) -> None:
        """Give all memory back."""
        self._close_runner()
        self._model = None

    def in_forked_child(self) -> None:
        """Forget what another thread of the parent was doing."""
        self._runner, self._is_busy = None, False
        self._make_way()

    # -- continuous ----------------------------------------------------------------------------------------------
    def _goes_continuous(self, host: Host, job: Job) -> bool:
        """Tell whether a job is computed by continuous batching; the model is tried at the first one."""
        if job.media is not None:  # the library's runner takes ids alone
            return False
        if self._is_able is None:
            with host.lock:
                self._is_able = self._try(host, job)
        is_plain = job.choose is not None or not host.configurations.settings(job.arguments).is_search
        return self._is_able and is_plain and self._room.allows(tokens_of(job))

    def _try(self, host: Host, job: Job) -> bool:
        try:
            self._take_over()
            with quietly(), host.evaluating():
                return is_faithful(self._model, job.ids, self._make_way)
        except Exception as error:  # noqa: BLE001 - then jobs are computed in groups
            logger.info("model '%s' has no continuous batching: %s: %s", self._name, type(error).__name__, error)
            return False
        finally:
            self._make_way()

    def _take_over(self) -> None:
        """Give the model the attention that continuous batching needs."""
        now = getattr(self._model.config, "_attn_implementation", None)
        needed = paged(now, self._model.device.type)
        if needed != now:
            self._set_attention(needed)
            self._attention = now

    def _make_way(self) -> None:
        """Give the model the attention for plain calls back. The lock of the engine is held."""
        if self._attention is not None:
            self._set_attention(self._attention)
            self._attention = None

    def _set_attention(self, name: str | None) -> None:
        """Set the attention; a model whose code has a fixed one keeps it, of which the library would warn."""
        token = QUIET.set(True)
        try:
            self._model.set_attn_implementation(name)
        finally:
            QUIET.reset(token)

    def _step(self, host: Host, waiting: deque[Job], others: list[Job]) -> Iterator[tuple[Job, Result]]:
        """Let jobs join, and compute one step; jobs of a step that failed go back to those that wait."""
        ended: list[tuple[Job, Result]] = []
        with host.lock:
            failure = self._tried_step(host, waiting, ended, joins=not others)
            if failure is not None:
                self._retreat(failure, waiting, others)
        self._limit.count(len(ended))
        for job, result in ended:
            if isinstance(result, Generated):
                yield job, dataclasses.replace(result, sent=host.configurations.sent(job.arguments))
            else:
                yield job, host.failed(result)

    def _tried_step(
        self, host: Host, waiting: deque[Job], ended: list[tuple[Job, Result]], *, joins: bool
    ) -> _Failure | None:
        """Compute one step; return what went wrong, without the frames that hold the memory of the step."""
        try:
            self._take_over()
            if joins:
                self._admit(host, waiting)
            if self._runner is not None:
                with host.evaluating():
                    ended += self._runner.step()
        except Exception as error:  # noqa: BLE001 - its jobs are computed in another way
            return _Failure.of(error)
        finally:
            self._make_way()
        return None

    def _admit(self, host: Host, waiting: deque[Job]) -> None:
        """Let jobs join for which there is room; make room where none is running."""
        if waiting and (self._runner is None or not self._runner.jobs):
            self._make_room(host, list(waiting)[: self._limit.most])
        runner = self._runner
        if runner is None:
            return
        used = sum(map(tokens_of, runner.jobs))
        while waiting and len(runner.jobs) < min(self._limit.most, runner.size.jobs):
            used += tokens_of(waiting[0])
            if used > self._room.usable(runner.size.tokens):
                return
            runner.add(waiting[0], host.configurations.settings(waiting[0].arguments).ends)
            waiting.popleft()

    def _make_room(self, host: Host, jobs: Sequence[Job]) -> None:
        """Have a runner with room for these jobs, or for as many as the memory allows."""
        tokens = list(map(tokens_of, jobs))
        version = host.version()
        runner = self._runner
        is_outdated, self._is_outdated = self._is_outdated, False
        if runner is not None and version == self._version and not is_outdated:
            if sum(tokens) <= self._room.usable(runner.size.tokens):
                return
            # Each turn of a dialogue is longer than the last one.
            tokens.append(2 * runner.size.tokens - sum(tokens))
        self._close_runner()
        size = self._room.size(sum(tokens), max(map(tokens_of, jobs)), self.kept_bytes)
        self._version = version
        self._runner = Continuous(self._model, size)

    def _retreat(self, failure: _Failure, waiting: deque[Job], others: list[Job]) -> None:
        """Take jobs back from a step that failed, and decide how they are computed now."""
        jobs = [] if self._runner is None else self._runner.jobs
        self._close_runner()
        self.free_kept()
        if failure.of_memory and len(jobs) > 1:
            self._limit.shrink(len(jobs))
            logger.info("model '%s': memory is short with %d jobs; now %d", self._name, len(jobs), self._limit.most)
            waiting.extendleft(reversed(jobs))
        elif failure.of_memory and not jobs and self._room.shrink():
            logger.info("model '%s': memory is short; the next room is smaller", self._name)
            self._limit.shrink(min(len(waiting), self._limit.most))
        else:
            jobs = jobs or [waiting.popleft() for _ in range(len(waiting))]
            logger.info("model '%s': %s; %d jobs are computed in groups", self._name, failure.words, len(jobs))
            others += jobs

    def _close_runner(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    # -- groups --------------------------------------------------------------------------------------------------
    def _grouped(self, host: Host, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Compute jobs in groups of similar length."""
        left = deque(groups_of(jobs, self._limit.most))
        while left:
            batch = left.popleft()
            if len(batch) > 1 and not host.can_be_one(batch):
                left.extendleft([job] for job in reversed(batch))
                continue
            results = self._tried_group(host, batch)
            if not isinstance(results, _Failure):
                self._limit.count(len(batch))
                yield from zip(batch, results, strict=True)
            elif results.of_memory:
                self.free_kept()
                self._limit.shrink(len(batch))
                middle = (len(batch) + 1) // 2
                left.extendleft([batch[middle:], batch[:middle]])
            else:
                left.extendleft([job] for job in reversed(batch))

    def _tried_group(self, host: Host, batch: list[Job]) -> list[Result] | _Failure:
        """Compute a group; a job that fails alone has its error as its result."""
        facts = {"grouping": {"way": "padded", "size": len(batch), "padding": round(padding_of(batch), 3)}}
        try:
            results = host.padded(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the result of these jobs
            if len(batch) == 1:
                return [host.failed(error)]
            failure = _Failure.of(error)
            logger.warning(
                "model '%s': a batch of %d failed (%s); it is divided", self._name, len(batch), failure.words
            )
            return failure
        return [
            dataclasses.replace(each, facts={**facts, **each.facts}) if isinstance(each, Generated) else each
            for each in results
        ]
