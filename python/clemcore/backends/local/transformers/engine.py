"""The engine that computes with torch and transformers' ``generate``: padded batches, or jobs one by one.

It implements :class:`clemcore.backends.local.engine.ContinuingEngine`. A job with a state or with pieces is
computed alone. It honours all hooks of a job; without ``choose``, ``generate`` chooses tokens, and draws nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import sys
import threading
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from clemcore import forks
from clemcore.backends.local.arguments import Arguments, refused_in_search
from clemcore.backends.local.checks import LARGEST_SEED
from clemcore.backends.local.choosing.rules import Rules
from clemcore.backends.local.engine import Description, Generated, Job
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.transformers.choosing import Choosing
from clemcore.backends.local.transformers.configurations import Configurations, Settings
from clemcore.backends.local.transformers.continuous import plain
from clemcore.backends.local.transformers.description import (
    TokenBytes,
    decoder_of,
    library_versions,
    quantization_of,
    state_numbers,
    vocabulary_of,
)
from clemcore.backends.local.transformers.determinism import determinism_facts, deterministic
from clemcore.backends.local.transformers.feeding import CancelledWhileFedError, Feeder
from clemcore.backends.local.transformers.forked import Origin
from clemcore.backends.local.transformers.generation_config import (
    NAMES,
    for_one_call,
    own_ends,
    search_of,
    why_in_one_call,
)
from clemcore.backends.local.transformers.groups import batch_key
from clemcore.backends.local.transformers.hardware import hardware_of
from clemcore.backends.local.transformers.masking import honours_mask
from clemcore.backends.local.transformers.media import ImagesTogether, filled_up, inputs_of, kind_of
from clemcore.backends.local.transformers.processors import rules_of
from clemcore.backends.local.transformers.states import TransformersState, cache_argument
from clemcore.backends.local.transformers.together import Host, Together
from clemcore.backends.local.transformers.versions import Watched
from clemcore.backends.local.transformers.watch import Finite, Watch, ending_in, is_watched
from clemcore.errors import ClemcoreError, GenerationArgumentError, GenerationError

logger = logging.getLogger(__name__)

WAYS = ("together", "padded", "alone")


class TransformersEngine:
    """Generates with one transformers model; ``together`` computes jobs together."""

    def __init__(self, model: Any, tokenizer: Any, name: str, context_size: int) -> None:
        """Take what was loaded.

        Args:
            model: the transformers model.
            tokenizer: its tokenizer.
            name: the model's name, for messages.
            context_size: tokens that prompt and reply may have together.

        Raises:
            ModelLoadError: the model's generation configuration has a fault.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._name = name
        self._context_size = context_size
        self._libraries = library_versions()
        self._state_numbers = state_numbers(model.config)
        self._vocabulary = vocabulary_of(model)
        self._honours_mask: bool | None = None
        self._token_bytes: TokenBytes | None = None
        self._configurations = Configurations(model, tokenizer, self._vocabulary, name)
        self._first = next(model.parameters())  # looking for it in each call takes long
        self._decode = decoder_of(tokenizer)
        self._described: tuple[Any, Description] | None = None
        self._feeder = Feeder(model, context_size)
        self._images = ImagesTogether(model, name, self._feeder.reset)
        self._watched = Watched(model)
        self.together = Together(model, name)
        self._origin = Origin()
        self._lock = threading.Lock()
        forks.guard(self, "_lock", hold=False, in_child=TransformersEngine._in_forked_child)

    def also_called(self, name: str) -> None:
        """Name another model that computes with these weights, for messages."""
        self._name = "', '".join(dict.fromkeys([*self._name.split("', '"), name]))

    def describe(self) -> Description:
        """Return what it is and what it can do; made anew only where something has changed."""
        import torch

        own = self._configurations.own()
        dtype = self._first.dtype if self._first.is_floating_point() else self._model.dtype
        attention, threads, changed = plain(self._model.config), torch.get_num_threads(), self._watched.is_changed()
        key = self._device, dtype, attention, threads, repr(own.stop_strings), own.num_beams, changed
        if self._described is None or self._described[0] != key:
            self._described = key, self._describe(dtype, own, attention, threads, changed)
        return self._described[1]

    def _describe(self, dtype: Any, own: Any, attention: str | None, threads: int, changed: bool) -> Description:
        stops = own.stop_strings or ()
        return Description(
            device=str(self._device),
            dtype=str(dtype).removeprefix("torch."),
            threads=threads,
            libraries=self._libraries,
            context_size=self._context_size,
            state_bytes={kind: n and n * dtype.itemsize for kind, n in self._state_numbers.items()},
            arguments=NAMES,
            ways=WAYS,
            hooks=frozenset({"choose", "on_tokens", "cancelled"}),
            attention=attention,
            quantization=quantization_of(self._model.config),
            stop_strings=(stops,) if isinstance(stops, str) else tuple(stops),
            tokens_are_final=(own.num_beams or 1) == 1,
            vocabulary=self._vocabulary,
            ends=own_ends(own, self._tokenizer),
            hardware=hardware_of(str(self._device)),
            can_continue=True,
            weights_changed=changed,
        )

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, with no token added."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return str(self._decode(ids, skip_special_tokens=False))

    def bytes_of(self, token: int) -> bytes:
        """Return what one token adds to the UTF-8 of a text."""
        if self._token_bytes is None:
            self._token_bytes = TokenBytes(self._tokenizer)
        return self._token_bytes(token)

    def rules(self, arguments: Arguments, prompt_ids: Sequence[int]) -> Rules:
        """Return how the tokens of an answer are chosen; a sampled one without a seed gets one.

        The seed is drawn from torch's random state, so that ``torch.manual_seed`` makes a program repeatable.
        """
        import torch

        settings = self._configurations.settings(arguments)
        if settings.is_search:
            # Arguments that ask for it were checked; this is the model's own configuration.
            refused = refused_in_search(arguments)
            if refused:
                asked, change = search_of(settings.config)
                raise GenerationArgumentError(
                    f"model '{self._name}': its generation configuration asks for {asked}, which excludes "
                    f"{', '.join(refused)}: leave them out, or {change}"
                )
            return Rules(arguments, is_search=True)
        seed = arguments.seed
        if arguments.temperature > 0 and seed is None:
            seed = int(torch.randint(LARGEST_SEED, ()))
        arguments = settings.effective_for(arguments, seed)
        if settings.processors is None:
            return Rules(arguments, ends=settings.ends)
        rules = rules_of(self._model, settings.processors, arguments, prompt_ids)
        return dataclasses.replace(rules, ends=settings.ends)

    def generate(self, jobs: Iterable[Job], way: str) -> Iterator[tuple[Job, Generated | Exception]]:
        """Generate replies, and yield each job with its result.

        Together, jobs join whenever there is room. Else all are taken at once. Jobs with a ``choose`` are one
        padded batch; so are others with equal arguments but for ``max_tokens``. A batch that fails is asked again
        job by job; so are jobs that this model cannot compute together.
        """
        if way not in WAYS:
            raise ClemcoreError(f"the engine transformers has no way {way!r} to generate; it has {', '.join(WAYS)}")
        if way == "together":
            yield from self.together.generate(self._host(), jobs)
            return
        groups: dict[Any, list[Job]] = {}
        for job in jobs:
            refusal = self._refusal(job)
            if refusal is not None:
                yield job, refusal
            else:
                is_alone = way == "alone" or job.is_search or job.state is not None or job.pieces
                groups.setdefault(job if is_alone else batch_key(job), []).append(job)
        for batch in groups.values():
            yield from self._results(batch)

    def why_whole(self, job: Job) -> str | None:
        """Return why the prompt of a job has to be fed in one piece, or None; the model is tried once."""
        with self._lock:
            reason = why_in_one_call(self._config_for([job]))
        if reason is not None:
            return reason
        with self._alone(), deterministic(self._device, self._name):
            return self._feeder.why_whole(job)

    def version(self) -> Hashable:
        """Return what changes with whatever makes states worthless."""
        return self._watched.version()

    def prefill(self, ids: Sequence[int], state: TransformersState | None = None) -> TransformersState:
        """Feed ids in one piece after a state, and return the state after them."""
        with self._alone():
            return self._feeder.state_after(ids, state)

    def score(self, state: TransformersState, ids: Sequence[int]) -> Any:
        """Return the scores from which each id would be chosen, shape (ids, vocabulary), float32."""
        with self._alone():
            return self._feeder.scores_of(ids, state)

    def close(self) -> None:
        """Give the memory of the weights back at once, also where hooks on them form cycles."""
        for name in ("_model", "_feeder", "_images", "_watched", "_first"):
            setattr(self, name, None)
        self._configurations.close()
        self.together.close()
        if not sys.is_finalizing():
            gc.collect()
            torch = sys.modules.get("torch")
            if torch is not None and torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    @property
    def _device(self) -> Any:
        return self._first.device

    # -- what cannot be done -----------------------------------------------------------------------------------
    def _refusal(self, job: Job) -> Exception | None:
        """Return why a job cannot be computed in this thread, or None."""
        if job.choose is None and job.arguments.temperature > 0:
            return ClemcoreError("the engine transformers does not draw: give a sampled job a 'choose'")
        if (token := max(job.ids)) >= self._vocabulary:
            return GenerationError(
                f"model '{self._name}': token {token} ({self.decode([token])!r}) of the prompt has no embedding: "
                f"the model has {self._vocabulary}; leave it out, or load the tokenizer that belongs to the weights"
            )
        return self._origin.refusal(self._name, self._device)

    def _in_forked_child(self) -> None:
        self.together.in_forked_child()
        self._configurations.restore()  # another thread of the parent may have been generating

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """Have the model as calls need it in the block: by our configuration alone, not in training mode."""
        with self._configurations.undisturbed(), self._watched.evaluating():
            yield

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Compute alone in the block, or raise why that is not possible in this process."""
        self._origin.check(self._name, self._device)
        with self._lock, self._computing():
            yield

    def _host(self) -> Host:
        """Return what is done here for jobs that are computed together."""
        return Host(
            lock=self._lock,
            version=self._watched.version,
            refusal=self._refusal,
            configurations=self._configurations,
            evaluating=self._watched.evaluating,
            padded=self._batch,
            can_be_one=self._can_be_one,
            failed=self._failed,
        )

    def _failed(self, error: Exception) -> Exception:
        return wrapped(error, GenerationError, self._name, "it failed while it generated a reply", self._libraries)

    # -- a batch -----------------------------------------------------------------------------------------------
    def _results(self, batch: list[Job]) -> Iterator[tuple[Job, Generated | Exception]]:
        if len(batch) > 1 and not self._can_be_one(batch):
            for job in batch:
                yield from self._results([job])
            return
        failure: Exception | None = None
        try:
            results = self._batch(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the result of these jobs
            failure = error
        if failure is None:
            yield from zip(batch, results, strict=True)
            return
        if len(batch) == 1:
            yield batch[0], self._failed(failure)
            del failure  # its frames hold this one
            return
        words = f"{type(failure).__name__}: {failure}"
        logger.warning(
            "model '%s': a batch of %d failed (%s); each is computed alone", self._name, len(batch), words
        )
        del failure  # its frames hold what the batch took of the memory
        for job in batch:
            yield from self._results([job])

    def _can_be_one(self, batch: list[Job]) -> bool:
        """Tell whether each of several jobs gets the reply in a batch that it gets alone."""
        with self._lock:
            config = self._config_for(batch)
            if len({kind_of(job) for job in batch}) > 1 or config.get_generation_mode() == "assisted_generation":
                return False
            # Beams change their places, so that hooks and limits of several jobs cannot be told apart.
            if (config.num_beams or 1) > 1 and is_watched(batch):
                return False
            if batch[0].media is not None:
                with self._computing():
                    return self._images.join(batch)
            if len({len(job.ids) for job in batch}) == 1:
                return True
            if self._honours_mask is None:
                try:
                    with self._computing():
                        self._honours_mask = honours_mask(self._model, batch[0].ids)
                except Exception:  # noqa: BLE001 - then it is not known, and alone is right for all
                    self._honours_mask = False
                logger.info("model '%s' honours the attention mask: %s", self._name, self._honours_mask)
            return self._honours_mask

    def _batch(self, batch: list[Job]) -> list[Generated | Exception]:
        """Compute jobs whose arguments are equal but for ``max_tokens``."""
        try:
            return self._computed(batch)
        except CancelledWhileFedError:
            return [Generated([], "cancelled")]

    def _computed(self, batch: list[Job]) -> list[Generated | Exception]:
        begin = time.perf_counter()
        with self._lock:
            settings = self._configurations.settings(batch[0].arguments)
            config, ends, prompts = self._config_for(batch, settings), settings.ends, [job.all_ids for job in batch]
            longest, device = max(map(len, prompts)), self._device
            beams = (config.num_beams or 1) > 1
            watch = Watch(batch, longest, ends, beams=beams) if is_watched(batch) else None
            choosing = Choosing(batch, longest, ends) if batch[0].choose is not None else None
            finite = Finite(self._model, beams=beams, assisted=settings.is_search and not beams)
            input_ids, mask = filled_up(prompts, config.pad_token_id, device)
            inputs = {
                **{"input_ids": input_ids, "attention_mask": mask, "generation_config": config},
                "stopping_criteria": None if watch is None else [watch],
                "logits_processor": None if choosing is None else [choosing],
                **inputs_of(batch, self._model),
            }
            sequences = self._called(batch, inputs, finite)
            sent = [settings.sent_for(job.arguments) for job in batch]
        answers = [row[longest:] for row in sequences.tolist()]
        failures = {} if choosing is None else choosing.failures
        seconds = time.perf_counter() - begin
        found = [
            (row, failures[index])
            if index in failures
            else ending_in(row, ends, None if watch is None else watch.ending_of(index, row))
            for index, row in enumerate(answers)
        ]
        for index, failure in finite.failures(found).items():
            found[index] = found[index][0], failure
        facts = determinism_facts(device) if batch[0].deterministic else {}
        return [
            self._failed(end) if isinstance(end, Exception) else Generated(ids, end, ends, words, facts, seconds)
            for words, (ids, end) in zip(sent, found, strict=True)
        ]

    def _config_for(self, batch: Sequence[Job], settings: Settings | None = None) -> Any:
        """Return the configuration that generate() is given for a batch."""
        settings = settings or self._configurations.settings(batch[0].arguments)
        config = settings.config if batch[0].choose is None else settings.plain
        return for_one_call(config, max(job.arguments.max_tokens for job in batch))

    def _called(self, batch: Sequence[Job], inputs: dict[str, Any], finite: Finite) -> Any:
        """Call generate() with our configuration alone, after the pieces of a job."""
        exactly = deterministic(self._device, self._name) if batch[0].deterministic else contextlib.nullcontext()
        with self._computing(), exactly:
            cache = self._feeder.cache_for(batch[0]) if len(batch) == 1 else None
            self._feeder.reset()
            with finite:
                made = self._model.generate(**inputs, **cache_argument(cache))
            self._feeder.learn()
        return made
