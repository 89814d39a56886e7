"""What computes a local model: the interface between the pipeline and an engine such as transformers.

The pipeline (``local/model.py``) makes token ids of messages and an answer of new ids. An engine makes new ids of
ids. It knows no messages, no entries and no records. Whatever concerns more than one job, such as how a long prompt
is divided and which states are kept, is decided above it.

There are two protocols because not every engine can go on from a state that it made before. One that can is a
:class:`ContinuingEngine`, and its ``describe().can_continue`` is true. Any other gives a job with a state back with
an error.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.rules import Rules

# Why a reply ended: an end token; max_tokens; its job's on_tokens wanted it to; its job was cancelled.
Ending = Literal["stop", "length", "on_tokens", "cancelled"]


@dataclass(frozen=True)
class Description:
    """What an engine is and what it can do.

    Attributes:
        device: where it computes, as ``cpu`` or ``cuda:0``.
        dtype: the number format of its weights, as ``bfloat16``.
        attention: the implementation of attention, as ``sdpa``, or None if it does not say.
        quantization: how its weights are quantized (``method``, ``bits``), or None if they are not.
        threads: how many threads it computes with, or None where it does not say.
        libraries: versions of what it computes with, by the name of the library.
        context_size: tokens that prompt and reply may have together.
        state_bytes: bytes that each token adds to a state, by the type of layer; None for a type of which it is
            not known or not the same for each token.
        arguments: the generation arguments that it honours, each with its own name for it.
        ways: how :meth:`Engine.generate` can compute jobs: ``padded`` (together, filled up to one length) or
            ``alone`` (one after another). The first one is taken where no other is asked for.
        hooks: which of the optional fields ``choose``, ``on_tokens`` and ``cancelled`` of a job it honours.
        stop_strings: the model's own stop strings, which hold for a call without any.
        vocabulary: how many tokens the model has, or None where it does not say.
        tokens_are_final: whether the tokens that ``on_tokens`` gets stay as they are; those of beams may change.
        can_continue: whether it is a :class:`ContinuingEngine`.
        weights_changed: whether the weights were changed after they were loaded.
        ends: ids of the tokens that end a reply, by the model's own settings.
        hardware: what its numbers depend on besides device, threads and libraries, as the processor's model.
    """

    device: str
    dtype: str
    threads: int | None
    libraries: Mapping[str, str]
    context_size: int
    state_bytes: Mapping[str, int | None]
    arguments: Mapping[str, str]
    ways: tuple[str, ...]
    hooks: frozenset[str]
    attention: str | None = None
    quantization: Mapping[str, Any] | None = None
    stop_strings: tuple[str, ...] = ()
    vocabulary: int | None = None
    tokens_are_final: bool = True
    can_continue: bool = False
    weights_changed: bool = False
    ends: frozenset[int] = frozenset()
    hardware: Mapping[str, Any] = field(default_factory=dict)


class State(Protocol):
    """What a model has made of the tokens that it was fed. It never changes; to go on from it makes another.

    Attributes:
        ids: those tokens.
        length: their number.
        bytes: the memory that it takes, besides that of the state from which it went on.
        scores: the scores of the next token, one for each token of the vocabulary; None for a state in the middle
            of a prompt.
    """

    @property
    def ids(self) -> Sequence[int]: ...  # noqa: D102 - described above

    @property
    def length(self) -> int: ...  # noqa: D102

    @property
    def bytes(self) -> int: ...  # noqa: D102

    @property
    def scores(self) -> Any: ...  # noqa: D102

    def close(self) -> None:
        """Give the memory back."""


@dataclass(frozen=True, eq=False)
class Media:
    """What a prompt has beside its token ids: its images, as an engine computes with them.

    Attributes:
        first: how many of the prompt's tokens stand before all that belongs to an image.
        inputs: what the model is given beside ids, by its own names, for this prompt alone.
    """

    first: int
    inputs: Mapping[str, Any]


@dataclass(eq=False)
class Job:
    """One reply to be generated.

    Attributes:
        ids: token ids that are fed before the first new token is chosen.
        arguments: how the engine chooses tokens, and how many at most; ``stop`` is not its business.
        state: what was fed before ``ids``, or None for nothing.
        pieces: lengths of the pieces in which the first of ``ids`` are fed, one after the other; the rest, of at
            least one token, is fed together.
        on_state: told the state after each piece.
        choose: chooses each token in place of the engine. It is given the scores of the model (a one-dimensional
            array of torch or NumPy in float32, which it must not change) and the new ids so far, and returns an id.
            A call without new ids begins an answer anew, because an engine may compute a job a second time.
            None: the engine chooses by ``arguments``, that is the token with the highest score where the
            temperature is 0.
        is_search: whether the engine searches for the answer as a whole, as with beams; then it has no ``choose``,
            and is computed alone and from its first token.
        on_tokens: told all new ids so far whenever there are more; True ends the reply.
        cancelled: asked between tokens; True ends the reply.
        deterministic: compute the same for the same also where libraries have to be asked for that, as on CUDA.
        media: the images of the prompt, or None. State and pieces end before the first of them.
    """

    ids: Sequence[int]
    arguments: Arguments
    state: State | None = None
    pieces: Sequence[int] = ()
    on_state: Callable[[State], None] | None = None
    choose: Callable[[Any, Sequence[int]], int] | None = None
    is_search: bool = False
    on_tokens: Callable[[Sequence[int]], bool] | None = None
    cancelled: Callable[[], bool] | None = None
    deterministic: bool = False
    media: Media | None = None

    @property
    def all_ids(self) -> list[int]:
        """All token ids before the first new one, those of the state included."""
        return list(self.ids) if self.state is None else [*self.state.ids, *self.ids]


@dataclass(frozen=True)
class Generated:
    """The new tokens of one job.

    Attributes:
        ids: new token ids, up to and with the one that ended the reply, without padding.
        ending: why the reply ended.
        ends: ids of the tokens that end a reply.
        sent: what the engine computed with, in its own words; for the record.
        facts: further facts for the record about how it was computed, such as the blocks of the prompt.
        seconds: how long it took, together with the jobs that were computed at the same time.
    """

    ids: list[int]
    ending: Ending
    ends: frozenset[int] = frozenset()
    sent: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


class Engine(Protocol):
    """Computes one model's tokens."""

    def describe(self) -> Description:
        """Return what it is and what it can do."""

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, with no token added."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens included."""

    def bytes_of(self, token: int) -> bytes:
        """Return what one token adds to the UTF-8 of a text; it may be a part of a character."""

    def rules(self, arguments: Arguments, prompt_ids: Sequence[int]) -> Rules:
        """Return how the tokens of an answer are chosen: what was asked for, over the model's own defaults.

        Args:
            arguments: the checked generation arguments; a sampled answer without a seed gets one.
            prompt_ids: token ids of the prompt.
        """

    def generate(self, jobs: Iterable[Job], way: str) -> Iterator[tuple[Job, Generated | Exception]]:
        """Generate replies, and yield each job with its result as it ends.

        Args:
            jobs: taken from whenever the engine has room for more.
            way: one of ``describe().ways``.

        Yields:
            Each job once, with its tokens or with the error that it failed with; the other jobs go on.
        """

    def close(self) -> None:
        """Give the memory of the weights back; nothing can be computed afterwards."""


@runtime_checkable
class ContinuingEngine(Engine, Protocol):
    """An engine that can go on from a state, and be fed in pieces; its jobs may have a state and pieces."""

    def why_whole(self, job: Job) -> str | None:
        """Return why the prompt of a job has to be fed in one piece, from its first token; None if it need not."""

    def version(self) -> Hashable:
        """Return what changes with whatever makes states worthless: weights, adapter, attention, threads."""

    def prefill(self, ids: Sequence[int], state: State | None = None) -> State:
        """Feed ids in one piece after a state, which stays as it is, and return the state after them."""

    def score(self, state: State, ids: Sequence[int]) -> Any:
        """Return one row of scores per id: those from which it would be chosen, so that row 0 is the state's."""
