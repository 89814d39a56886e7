"""The engine that computes with llama.cpp, one job after the other.

It implements :class:`clemcore.backends.local.engine.ContinuingEngine`. Each piece of a prompt is one call of
llama.cpp, whether the pieces before it were computed now or restored. So answers do not depend on what was kept.
Without ``choose``, the token with the highest score is taken.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from clemcore import forks
from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.checks import LARGEST_SEED
from clemcore.backends.local.choosing.rules import Rules
from clemcore.backends.local.choosing.scores import require_numbers
from clemcore.backends.local.engine import Description, Ending, Generated, Job
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.llamacpp.native import Native
from clemcore.backends.local.llamacpp.vocabulary import Vocabulary
from clemcore.errors import ClemcoreError, GenerationError, ModelLoadError

# The arguments that are honoured; all are steps of our own chooser.
NAMES: Mapping[str, str] = {
    name: name
    for name in (
        "temperature",
        "max_tokens",
        "top_p",
        "top_k",
        "min_p",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "seed",
    )
}
# Tokens of a piece with which a model is tried.
_PIECE = 8


class LlamaState:
    """What llama.cpp has made of the tokens that it was fed; a whole copy.

    Attributes:
        ids: the tokens.
        scores: the scores of the next token, or None.
    """

    def __init__(self, ids: Sequence[int], data: bytes, scores: Any = None) -> None:
        """Take what was made."""
        self.ids = tuple(ids)
        self.scores = scores
        self.data: bytes | None = data
        self.bytes = len(data) + (0 if scores is None else scores.nbytes)

    @property
    def length(self) -> int:
        """Number of tokens."""
        return len(self.ids)

    def close(self) -> None:
        """Give the memory back; nothing can go on from it afterwards."""
        self.data = self.scores = None


class LlamaEngine:
    """Generates with one model of llama.cpp."""

    def __init__(self, native: Native, vocabulary: Vocabulary, name: str, described: Description) -> None:
        """Take what was loaded.

        Args:
            native: the model; the engine closes it.
            vocabulary: its tokens.
            name: the model's name, for messages.
            described: what the engine is and can do.
        """
        self._native = native
        self._vocabulary = vocabulary
        self._name = name
        self._described = described
        self._whole: tuple[str | None] | None = None
        self._is_forked = False
        self._lock: Any = threading.RLock()  # whoever is told of new tokens may close the model
        forks.guard(self, "_lock", hold=False, in_child=LlamaEngine._in_forked_child)

    def describe(self) -> Description:
        """Return what it is and what it can do."""
        return self._described

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, with no token added."""
        return self._vocabulary.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""
        return self._vocabulary.decode(ids)

    def bytes_of(self, token: int) -> bytes:
        """Return what one token adds to the UTF-8 of a text."""
        return self._vocabulary.bytes_of(token)

    def rules(self, arguments: Arguments, prompt_ids: Sequence[int]) -> Rules:  # noqa: ARG002 - the same for all
        """Return how the tokens of an answer are chosen; a sampled one without a seed gets one."""
        if arguments.temperature > 0 and arguments.seed is None:
            arguments = dataclasses.replace(arguments, seed=random.randrange(LARGEST_SEED))  # noqa: S311
        return Rules(arguments, ends=self._described.ends)

    def generate(self, jobs: Iterable[Job], way: str) -> Iterator[tuple[Job, Generated | Exception]]:
        """Generate replies one after the other, and yield each job with its result."""
        if way not in self._described.ways:
            raise ClemcoreError(f"the engine llamacpp has no way {way!r} to generate; it has 'alone'")
        for job in jobs:
            try:
                result: Generated | Exception = self._generated(job)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the result of this job
                step = "it failed while it generated a reply"
                result = wrapped(error, GenerationError, self._name, step, self._described.libraries)
            yield job, result

    def why_whole(self, job: Job) -> str | None:
        """Return why a prompt has to be fed in one piece, or None; the model is tried once."""
        if self._whole is None:
            ids = (list(job.ids) * (2 * _PIECE))[: 2 * _PIECE]
            with self._lock:
                self._whole = (self._differs(ids),)
        return self._whole[0]

    def version(self) -> Hashable:
        """Return what changes with whatever makes states worthless: nothing does."""
        return id(self._native)

    def prefill(self, ids: Sequence[int], state: LlamaState | None = None) -> LlamaState:
        """Feed ids in one piece after a state, and return the state after them."""
        with self._lock:
            begin = self._begin(state)
            scores = self._native.feed(ids, begin)
            return LlamaState([*(() if state is None else state.ids), *ids], self._native.state(), scores)

    def score(self, state: LlamaState, ids: Sequence[int]) -> Any:
        """Return the scores from which each id would be chosen, shape (ids, vocabulary), float32."""
        import numpy as np

        with self._lock:
            rows = [state.scores[None]]
            if len(ids) > 1:
                rows.append(self._native.feed(ids[:-1], self._begin(state), every=True))
            return np.concatenate(rows)

    def close(self) -> None:
        """Give the memory of the weights back."""
        with self._lock:
            self._native.close()

    # -- one job -------------------------------------------------------------------------------------------------
    def _generated(self, job: Job) -> Generated:
        if self._is_forked:
            raise ModelLoadError(
                f"model '{self._name}' was loaded before this process was forked, and cannot compute here: load it "
                "in each process"
            )
        if job.choose is None and job.arguments.temperature > 0:
            raise ClemcoreError("the engine llamacpp does not draw: give a sampled job a 'choose'")
        begin = time.perf_counter()
        with self._lock:
            scores, place = self._fed(job)
            new, ending = ([], "cancelled") if scores is None else self._answer(job, scores, place)
        sent = {name: value for name, value in dataclasses.asdict(job.arguments).items() if value not in (None, ())}
        ends = self._described.ends
        return Generated(new, ending, ends, sent, seconds=time.perf_counter() - begin)

    def _fed(self, job: Job) -> tuple[Any, int]:
        """Feed the prompt; return the scores of the next token, or None if nobody waits, and how many were fed."""
        before: tuple[int, ...] = () if job.state is None else tuple(job.state.ids)
        place, fed = self._begin(job.state), 0
        for length in job.pieces:
            if job.cancelled is not None and job.cancelled():
                return None, place
            self._native.feed(job.ids[fed : fed + length], place)
            place, fed = place + length, fed + length
            if job.on_state is not None:
                job.on_state(LlamaState([*before, *job.ids[:fed]], self._native.state()))
        return self._native.feed(job.ids[fed:], place), place + len(job.ids) - fed

    def _answer(self, job: Job, scores: Any, place: int) -> tuple[list[int], Ending]:
        new: list[int] = []
        while True:
            require_numbers(scores, len(new))
            new.append(int(scores.argmax()) if job.choose is None else job.choose(scores, tuple(new)))
            is_end = new[-1] in self._described.ends
            wants_end = job.on_tokens is not None and job.on_tokens(tuple(new))
            if is_end or wants_end:
                return new, "stop" if is_end else "on_tokens"
            if len(new) >= job.arguments.max_tokens:
                return new, "length"
            if job.cancelled is not None and job.cancelled():
                return new, "cancelled"
            scores = self._native.feed(new[-1:], place)
            place += 1

    def _begin(self, state: Any) -> int:
        """Put the context to a state, and return how many tokens it holds."""
        if state is None:
            self._native.forget()
            return 0
        if state.data is None:
            raise ValueError("a state that was closed cannot be gone on from")
        self._native.restore(state.data)
        return int(state.length)

    def _differs(self, ids: Sequence[int]) -> str | None:
        """Compare scores bit by bit: of a prompt in two pieces, and after the state of the first."""
        native = self._native
        try:
            native.forget()
            native.feed(ids[:_PIECE], 0)
            state = native.state()
            cold = native.feed(ids[_PIECE:], _PIECE)
            native.restore(state)
            warm = native.feed(ids[_PIECE:], _PIECE)
        except RuntimeError as fault:
            return f"llama.cpp cannot go on from a state of this model ({fault})"
        return None if (cold == warm).all() else "llama.cpp gives other scores when it goes on from a kept state"

    def _in_forked_child(self) -> None:
        self._is_forked = True
