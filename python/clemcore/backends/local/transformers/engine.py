"""The engine that computes with torch and transformers' ``generate``: padded batches, each from its first token.

It implements :class:`clemcore.backends.local.engine.Engine`. It cannot go on from a state. It honours ``on_tokens``
and ``cancelled`` of a job; tokens are chosen by ``generate`` itself.
"""

from __future__ import annotations

import copy
import gc
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clemcore import forks
from clemcore.backends.local.arguments import LARGEST_SEED, Arguments
from clemcore.backends.local.engine import Description, Ending, Generated, Job
from clemcore.backends.local.transformers.description import TokenBytes, library_versions, state_numbers
from clemcore.backends.local.transformers.generation_config import (
    NAMES,
    build_config,
    end_tokens,
    sent_arguments,
)
from clemcore.errors import ClemcoreError, ModelLoadError

logger = logging.getLogger(__name__)

WAYS = ("padded", "alone")
_HOOKS = frozenset({"on_tokens", "cancelled"})
# Generation configurations that are remembered; then all are forgotten.
_REMEMBERED = 16

# torch has one random state per process: sampled replies of two threads must not draw from it in turns.
_random_state = threading.Lock()
# These locks are held while a model generates, so no fork waits for them.
forks.guard(sys.modules[__name__], "_random_state", hold=False)


@dataclass(frozen=True)
class _Settings:
    """What ``generate`` is given for certain arguments.

    Attributes:
        config: the generation configuration.
        ends: ids of the tokens that end a reply.
        sent: what goes into the record.
        own: the fields of the model's own configuration from which these were made.
    """

    config: Any
    ends: frozenset[int]
    sent: Mapping[str, Any]
    own: Mapping[str, Any]


class TransformersEngine:
    """Generates with one transformers model."""

    def __init__(self, model: Any, tokenizer: Any, name: str, context_size: int) -> None:
        """Take what was loaded.

        Args:
            model: the transformers model.
            tokenizer: its tokenizer.
            name: the model's name, for messages.
            context_size: tokens that prompt and reply may have together.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._name = name
        self._context_size = context_size
        self._libraries = library_versions()
        self._state_numbers = state_numbers(model.config)
        self._token_bytes: TokenBytes | None = None
        self._settings: dict[Arguments, _Settings] = {}
        self._put_aside: Any = None
        self._is_forked = False
        self._lock = threading.Lock()
        forks.guard(self, "_lock", hold=False, in_child=TransformersEngine._in_forked_child)

    def describe(self) -> Description:
        """Return what it is and what it can do."""
        import torch

        dtype = self._model.dtype
        return Description(
            device=str(self._device),
            dtype=str(dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            libraries=self._libraries,
            context_size=self._context_size,
            state_bytes={kind: n and n * dtype.itemsize for kind, n in self._state_numbers.items()},
            arguments=NAMES,
            ways=WAYS,
            hooks=_HOOKS,
        )

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, with no token added."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=False)
        return text

    def bytes_of(self, token: int) -> bytes:
        """Return what one token adds to the UTF-8 of a text."""
        if self._token_bytes is None:
            self._token_bytes = TokenBytes(self._tokenizer)
        return self._token_bytes(token)

    def generate(self, jobs: Iterable[Job], way: str) -> Iterator[tuple[Job, Generated | Exception]]:
        """Generate replies, and yield each job with its result.

        All jobs are taken at once. Jobs with equal arguments are one padded batch, in which a seed is that of the
        whole batch. A batch that fails, for example because memory is short, is asked again job by job.
        """
        if way not in WAYS:
            raise ClemcoreError(f"the engine transformers has no way {way!r} to generate; it has {', '.join(WAYS)}")
        groups: dict[Any, list[Job]] = {}
        for job in jobs:
            refusal = self._refusal(job)
            if refusal is not None:
                yield job, refusal
            else:
                groups.setdefault(job.arguments if way == "padded" else job, []).append(job)
        for batch in groups.values():
            yield from self._results(batch)

    def close(self) -> None:
        """Give the memory of the weights back at once, also where hooks on them form cycles."""
        self._model = None
        if not sys.is_finalizing():
            gc.collect()
            torch = sys.modules.get("torch")
            if torch is not None and torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    @property
    def _device(self) -> Any:
        return next(self._model.parameters()).device

    # -- what cannot be done -----------------------------------------------------------------------------------
    def _refusal(self, job: Job) -> Exception | None:
        """Return why a job cannot be computed, or None."""
        if job.state is not None:
            return ClemcoreError(
                "the engine transformers cannot go on from a state (describe().can_continue is false): "
                "give the job all its ids and no state"
            )
        if job.choose is not None:
            return ClemcoreError(
                "the engine transformers chooses tokens itself ('choose' is not in describe().hooks): "
                "leave choose out"
            )
        return self._refusal_after_fork() if self._is_forked else None

    def _refusal_after_fork(self) -> Exception | None:
        """Return why a forked process cannot compute: threads of OpenMP and CUDA do not survive a fork."""
        import torch

        device, threads = self._device.type, torch.get_num_threads()
        if device == "cpu" and threads == 1:
            return None
        why = f"with {threads} threads of torch" if device == "cpu" else f"on {device}"
        remedy = "Start processes with the method 'spawn' and load the model in each of them" + (
            "; or set model_config.torch_num_threads to 1." if device == "cpu" else "."
        )
        return ModelLoadError(
            f"model '{self._name}' was loaded {why} before this process was forked, and would never answer here. "
            f"{remedy}"
        )

    def _in_forked_child(self) -> None:
        self._is_forked = True
        if self._put_aside is not None:  # another thread of the parent was generating
            self._model.generation_config, self._put_aside = self._put_aside, None

    # -- a batch -----------------------------------------------------------------------------------------------
    def _results(self, batch: list[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        failure: Exception | None = None
        try:
            results = self._batch(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the result of these jobs
            failure = error
        if failure is None:
            yield from zip(batch, results, strict=True)
            return
        if len(batch) == 1:
            yield batch[0], failure
            del failure  # its frames hold this one
            return
        logger.warning(
            "model '%s': a batch of %d failed (%s: %s); each is computed alone",
            self._name,
            len(batch),
            type(failure).__name__,
            failure,
        )
        # Its frames hold what the batch took of the memory.
        del failure
        for job in batch:
            yield from self._results([job])

    def _batch(self, batch: list[Job]) -> list[Generated | Exception]:
        """Compute jobs with equal arguments."""
        import torch

        begin = time.perf_counter()
        with self._lock:
            model, arguments = self._model, batch[0].arguments
            settings = self._settings_for(arguments)
            longest = max(len(job.ids) for job in batch)
            pads = [longest - len(job.ids) for job in batch]
            pad, device = settings.config.pad_token_id, self._device
            watch = _Watch(batch, longest, settings.ends)
            inputs = {
                "input_ids": torch.tensor(
                    [[pad] * n + list(job.ids) for n, job in zip(pads, batch, strict=True)], device=device
                ),
                "attention_mask": torch.tensor([[0] * n + [1] * (longest - n) for n in pads], device=device),
                "generation_config": settings.config,
                "stopping_criteria": [watch] if watch.is_needed else None,
            }
            if model.training:
                model.eval()
            if settings.config.do_sample:
                sequences, seed = self._sampled(inputs, arguments.seed)
                sent = {**settings.sent, "seed": seed}
            else:
                sequences, sent = self._called(inputs), dict(settings.sent)
        rows = [row[longest:] for row in sequences.tolist()]
        seconds = time.perf_counter() - begin
        found = [_ended(row, settings.ends, watch.ended.get(index)) for index, row in enumerate(rows)]
        return [
            end if isinstance(end, Exception) else Generated(ids, end, settings.ends, dict(sent), seconds)
            for ids, end in found
        ]

    def _settings_for(self, arguments: Arguments) -> _Settings:
        """Return what generate() is given, made anew where the model's own configuration has changed."""
        own = self._model.generation_config
        settings = self._settings.get(arguments)
        if settings is None or settings.own != vars(own):
            if len(self._settings) >= _REMEMBERED:
                self._settings.clear()
            config = build_config(arguments, own, self._tokenizer)
            fields = copy.deepcopy(vars(own))
            settings = _Settings(config, end_tokens(config), sent_arguments(config), fields)
            self._settings[arguments] = settings
        return settings

    def _sampled(self, inputs: dict[str, Any], seed: int | None) -> tuple[Any, int]:
        """Sample with a seed; without one it is drawn, so that every sampled reply can be had again."""
        import torch

        with _random_state:
            if seed is None:
                seed = int(torch.randint(LARGEST_SEED, ()))
            devices = {parameter.device for parameter in self._model.parameters()}
            cuda = sorted({device.index or 0 for device in devices if device.type == "cuda"})
            with torch.random.fork_rng(devices=cuda):
                torch.manual_seed(seed)
                return self._called(inputs), seed

    def _called(self, inputs: dict[str, Any]) -> Any:
        """Call generate() with our configuration alone.

        It would fill fields that we left open from the model's own configuration, and warn of sampling fields there
        that greedy decoding has no use for; so the model's own is put aside meanwhile.
        """
        from transformers import GenerationConfig

        model = self._model
        self._put_aside, model.generation_config = model.generation_config, GenerationConfig()
        try:
            return model.generate(**inputs)
        finally:
            model.generation_config, self._put_aside = self._put_aside, None


def _ended(
    row: list[int], ends: frozenset[int], watched: tuple[int, Ending | Exception] | None
) -> tuple[list[int], Ending | Exception]:
    """Cut what generate() appended to a row while others of the batch went on."""
    if watched is not None:
        return row[: watched[0]], watched[1]
    for index, token in enumerate(row):
        if token in ends:
            return row[: index + 1], "stop"
    return row, "length"


class _Watch:
    """Lets the jobs of a batch watch their new tokens, and ends each row whose job wants it.

    transformers has a criterion of its own for stop strings; it first works through the whole vocabulary, and it
    does not tell which row ended by it.

    Attributes:
        ended: for each row that ended here, after how many tokens and why.
    """

    def __init__(self, batch: Sequence[Job], prompt_length: int, ends: frozenset[int]) -> None:
        self.ended: dict[int, tuple[int, Ending | Exception]] = {}
        self._batch = batch
        self._prompt_length = prompt_length
        self._ends = ends

    @property
    def is_needed(self) -> bool:
        return any(job.on_tokens is not None or job.cancelled is not None for job in self._batch)

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        """Return for each row, shape (batch,), whether it is done."""
        import torch

        rows = input_ids[:, self._prompt_length :].tolist()
        for index, row in enumerate(rows):
            # A row that has ended before now holds the end token and padding after it.
            if index in self.ended or not self._ends.isdisjoint(row[:-1]):
                continue
            ending = _wanted(self._batch[index], row)
            if ending is not None:
                self.ended[index] = len(row), ending
        return torch.tensor([index in self.ended for index in range(len(rows))], device=input_ids.device)


def _wanted(job: Job, ids: list[int]) -> Ending | Exception | None:
    """Return how a job wants to end after these tokens, or None."""
    try:
        if job.cancelled is not None and job.cancelled():
            return "cancelled"
        if job.on_tokens is not None and job.on_tokens(ids):
            return "on_tokens"
    except Exception as error:  # noqa: BLE001 - the job fails alone, with what its own hook raised
        return error
    return None
