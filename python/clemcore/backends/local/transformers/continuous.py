"""Runs transformers' continuous batching: jobs join and leave between two steps, and share their beginnings.

This module alone knows the names of the library's batching engine, which change between its minor versions. The
engine's own thread is not used: :meth:`Continuous.step` takes the steps in the thread of the caller. So there is no
thread to stop, errors arrive as they are, and an answer ends at the token at which its hooks want it to.

Sources: transformers/generation/continuous_batching of 5.20 to 5.24, in which these names are the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clemcore.backends.local.choosing.scores import not_numbers
from clemcore.backends.local.engine import Ending, Generated, Job
from clemcore.backends.local.transformers.choosing import choose_in
from clemcore.backends.local.transformers.quiet import QUIET, redirect
from clemcore.backends.local.transformers.rowwise import PAGES, ROWWISE, register
from clemcore.backends.local.transformers.watch import wanted
from clemcore.errors import GenerationError

# Tokens per page. Prompts share whole pages only, so a page is small.
PAGE = 32
# Tokens that one step feeds at most; a longer prompt is fed in several steps.
STEP = 512
# Tokens of an answer for which room is reserved at most.
_RESERVED = 512
# The share of the pages that has to be free; below it, the library forgets kept pages before anything else.
_MARGIN = 0.03
# What library versions before 5.23 log to.
_OWN_LOGGER = "ContinuousBatchingLogger"


@dataclass(frozen=True)
class Size:
    """How much there is room for.

    Attributes:
        tokens: tokens of prompts and answers of all jobs, kept pages included.
        jobs: jobs that are computed at the same time.
    """

    tokens: int
    jobs: int

    def fits(self, other: Size) -> bool:
        """Tell whether another size is at most this one."""
        return other.tokens <= self.tokens and other.jobs <= self.jobs


def tokens_of(job: Job) -> int:
    """Return for how many tokens room is reserved for a job: whole pages of its prompt and an answer.

    Few answers take all of a large ``max_tokens``. Where pages run out, the library puts a job aside and computes
    its states again later.
    """
    return math.ceil((len(job.ids) + min(job.arguments.max_tokens, _RESERVED)) / PAGE) * PAGE


def ran_out_of_room(error: Exception) -> bool:
    """Tell whether the library found no page even for a single job."""
    return isinstance(error, RuntimeError) and "No requests can be scheduled" in str(error)


@dataclass(eq=False)
class _Running:
    """A job that is computed.

    Attributes:
        job: the job.
        ends: ids of the tokens that end its answer.
        began: when it joined, in seconds of a clock.
        companions: the most jobs that were computed at the same time, itself included.
    """

    job: Job
    ends: frozenset[int]
    began: float
    companions: int = 1


class Continuous:
    """Computes jobs of one model together, step by step. One thread uses it at a time."""

    def __init__(self, model: Any, size: Size) -> None:
        """Make room.

        Args:
            model: the transformers model; its attention has to be ready (:func:`paged`).
            size: how much there is room for.

        Raises:
            Exception: the library does not compute this architecture, or memory is short.
        """
        import torch

        self.size = size
        self._model = model
        self._running: dict[str, _Running] = {}
        self._chooser = _chooser_of_rows()
        token = QUIET.set(True)
        cards = [model.device] if model.device.type == "cuda" else []
        try:
            # The library seeds torch when it makes a manager; the caller's own draws must not depend on it.
            with torch.no_grad(), torch.random.fork_rng(cards):
                self._manager = _manager(model, size)
                self._manager.logit_processor.logits_processor.append(self._chooser)
                self._manager.logit_processor.tensors_required += 1
                self._manager.logit_processor.do_processing = True
                self._processor = self._manager._create_batch_processor()
        finally:
            QUIET.reset(token)

    @property
    def jobs(self) -> list[Job]:
        """The jobs that have not ended."""
        return [running.job for running in self._running.values()]

    def add(self, job: Job, ends: frozenset[int]) -> None:
        """Let a job join at the next step.

        Args:
            job: the job.
            ends: ids of the tokens that end its answer.
        """
        number = self._manager.add_request(
            list(job.ids),
            max_new_tokens=job.arguments.max_tokens,
            streaming=True,
            eos_token_id=sorted(ends) or [-1],
        )
        self._running[number] = _Running(job, ends, time.perf_counter())
        self._chooser.jobs[number] = job

    def step(self) -> list[tuple[Job, Generated | Exception]]:
        """Compute one step, and return the jobs that end with it.

        Raises:
            Exception: the step failed; nothing is known of the jobs, and this object cannot be used any longer.
        """
        import torch

        quiet, pages = QUIET.set(True), PAGES.set(self._processor.cache)
        try:
            with torch.no_grad():
                if self._processor.prepare_next_batch():
                    for state in self._chooser.states:
                        self._running[state.request_id].companions = max(
                            self._running[state.request_id].companions, len(self._chooser.states)
                        )
                    self._processor._generation_step(self._model)
                    self._processor.update_batch()
        finally:
            QUIET.reset(quiet)
            PAGES.reset(pages)
        return self._ended()

    def forget(self) -> None:
        """Forget all kept pages; no job may be running."""
        self._processor.cache.reset()

    def close(self) -> None:
        """Give the memory back."""
        self._running.clear()
        self._chooser.jobs.clear()
        self._chooser.states = []
        self._manager = self._processor = self._model = None

    def _ended(self) -> list[tuple[Job, Generated | Exception]]:
        """Ask the hooks of the jobs, and return those that have ended."""
        found: list[tuple[Job, Generated | Exception]] = []
        outputs = self._manager.output_router.output_queue
        told: set[str] = set()
        while not outputs.empty():
            output = outputs.get_nowait()
            number = output.request_id
            running = self._running.get(number)
            if running is None:  # it has left
                continue
            told.add(number)
            if output.error is not None:
                end: Ending | Exception | None = GenerationError(f"continuous batching failed: {output.error}")
            else:
                end = self._ending(number, running, list(output.generated_tokens))
            if end is not None:
                if not output.is_finished():
                    self._leave(number)
                found.append((running.job, self._result(running, list(output.generated_tokens), end)))
                self._forget(number)
        for number, running in list(self._running.items()):
            if number not in told and (end := wanted(running.job, None)) is not None:
                self._leave(number)
                found.append((running.job, self._result(running, [], end)))
        return found

    def _ending(self, number: str, running: _Running, ids: list[int]) -> Ending | Exception | None:
        """Return how a job ends after these tokens, or None."""
        failure: Exception | None = self._chooser.failures.pop(number, None)
        end = failure or wanted(running.job, ids)
        if end is not None or not ids:
            return end
        if ids[-1] in running.ends:
            return "stop"
        return "length" if len(ids) >= running.job.arguments.max_tokens else None

    def _result(self, running: _Running, ids: list[int], end: Ending | Exception) -> Generated | Exception:
        if isinstance(end, Exception):
            return end
        facts = {"grouping": {"way": "continuous", "size": running.companions}}
        return Generated(ids, end, running.ends, {}, facts, time.perf_counter() - running.began)

    def _leave(self, number: str) -> None:
        self._manager.cancel_request(number)
        self._forget(number)

    def _forget(self, number: str) -> None:
        self._running.pop(number, None)
        self._chooser.jobs.pop(number, None)


def paged(attention: str | None, device: str) -> str | None:
    """Return the attention that a model needs for continuous batching, by the one that it has.

    Plain calls of a model fail with what is returned in place of ``eager`` and ``sdpa``.

    Args:
        attention: what the model has.
        device: the kind of device, as ``cpu``. Accelerators would wait for one prompt after the other.
    """
    if attention == "sdpa" and device == "cpu":
        register()
        return ROWWISE
    return "paged|eager" if attention == "eager" else attention


def plain(config: Any) -> str | None:
    """Return the attention that a model has for plain calls, also in the middle of a step: see :func:`paged`.

    Args:
        config: the model's configuration.
    """
    now: str | None = getattr(config, "_attn_implementation", None)
    return {ROWWISE: "sdpa", "paged|eager": "eager"}.get(now or "", now)


def _manager(model: Any, size: Size) -> Any:
    from transformers import GenerationConfig
    from transformers.generation.configuration_utils import ContinuousBatchingConfig

    redirect(_OWN_LOGGER)
    config = GenerationConfig(do_sample=False, max_new_tokens=1)
    config.eos_token_id = -1  # each request has its own
    # Our hooks are Python, which a captured graph does not run, and need the token before the next step begins.
    # A switch to flash attention would change the model for others, and could fetch code from the hub.
    batching = ContinuousBatchingConfig(
        page_size=PAGE,
        num_blocks=math.ceil(size.tokens / PAGE),
        max_batch_tokens=max(STEP, size.jobs),
        max_requests_per_batch=size.jobs,
        max_blocks_per_request=0,
        max_memory_percent=1.0,  # it was calculated before
        safety_margin=_MARGIN,
        use_cuda_graph=False,
        use_async_batching=False,
        auto_switch_to_flash=False,
    )
    own = model.config._attn_implementation
    if own == ROWWISE:  # the manager takes attentions of the library only, and does not look again
        model.set_attn_implementation("sdpa")
    try:
        return model.init_continuous_batching(generation_config=config, continuous_batching_config=batching)
    finally:
        if own == ROWWISE:
            model.set_attn_implementation(own)


def _chooser_of_rows() -> Any:
    """Make the logits processor that lets the hooks of jobs choose; afterwards a row has one token to be taken."""
    import torch
    from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessor

    class ChooserOfRows(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]
        """Knows which request each row of scores belongs to."""

        supported_kwargs: dict[str, type] = {}  # noqa: RUF012 - the library's own form
        ignored_kwargs = ()

        def __init__(self) -> None:
            self.jobs: dict[str, Job] = {}
            self.failures: dict[str, Exception] = {}
            self.states: Sequence[Any] = []

        def fill_defaults(self, int32_tensor: Any) -> None:
            int32_tensor.zero_()

        def prepare_tensor_args(self, requests_with_new_token: Sequence[Any]) -> Any:
            # The rows of scores are in this order.
            self.states = [request.state for request in requests_with_new_token]
            return torch.zeros(len(self.states), dtype=torch.int32)

        def __call__(self, scores: Any, tensor_arg: Any) -> Any:  # noqa: ARG002 - nothing is handed over by tensors
            finite = scores[: len(self.states)].amax(-1).isfinite().tolist()
            for row, state, is_finite in zip(scores, self.states, finite, strict=False):
                job = self.jobs.get(state.request_id)
                if job is None or state.request_id in self.failures or (is_finite and job.choose is None):
                    continue
                # A request that was put aside has its first new tokens in its prompt.
                ids = (state.initial_tokens + state.generated_tokens)[len(job.ids) :]
                failure = not_numbers(len(ids)) if job.choose is None else choose_in(row, job.choose, ids)
                if failure is not None:
                    self.failures[state.request_id] = failure
            return scores

    return ChooserOfRows()
