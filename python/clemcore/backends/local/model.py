"""The model behind every local engine: from what is asked to what is answered, each dialogue by itself.

The flow of a dialogue: messages → prompt and token ids (``asking.py``) → new token ids (a mode and an engine) →
answer and facts (``replies.py``). It does not know which engine computes.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from clemcore.backends.local.asking import Ask, Preparation, warn_of_twins
from clemcore.backends.local.audit.store import required_audit
from clemcore.backends.local.choosing.scores import NotNumbersError
from clemcore.backends.local.engine import Description, Engine
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.frontend import Frontend
from clemcore.backends.local.measured import MeasuredModel
from clemcore.backends.local.memory import free_on
from clemcore.backends.local.modes.awaiting import awaited, given_up, in_thread, waiting
from clemcore.backends.local.modes.certified import Certified
from clemcore.backends.local.modes.exact import Exact
from clemcore.backends.local.modes.fast import Fast
from clemcore.backends.local.modes.mode import EXACT, FAST, Mode, SharedMode
from clemcore.backends.local.replies import Replies
from clemcore.backends.local.scoring import Scoring
from clemcore.backends.local.sharing import HeldWeights
from clemcore.backends.local.tags import tags_of
from clemcore.backends.local.text import TextCutter
from clemcore.calls.batch import Batch
from clemcore.calls.conversation import STATES
from clemcore.calls.request import Request, running
from clemcore.errors import GenerationError, ModelLoadError, SpecError
from clemcore.messages import Messages, check_messages
from clemcore.model import Reply
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from typing_extensions import Self


# What failed, in errors that name no other step.
_PROMPT, _REPLY = "it failed while it made the prompt", "it failed while it read the reply"


class LocalModel(MeasuredModel):
    """A loaded chat model.

    Attributes:
        context_size: tokens that prompt and reply may have together.
    """

    conversations: ClassVar[int | None] = None
    streams: ClassVar[bool] = True
    gains_by_batches: ClassVar[bool] = True
    collects_calls: ClassVar[bool] = True

    def __init__(
        self,
        model_spec: ModelSpec,
        front: Frontend,
        weights: HeldWeights[Engine],
    ) -> None:
        """Put the parts together.

        Args:
            model_spec: the model's specification.
            front: makes token ids of messages.
            weights: compute; other models may share them.
        """
        super().__init__(model_spec)
        self._weights = weights
        engine = weights.engine
        self._front = front
        self._entry = front.entry
        self.context_size = front.context_size
        self._engine = engine
        described = engine.describe()
        free = functools.partial(_free_bytes, described.device)
        self._exact = Exact(engine, weights.prefixes, self._entry.prefill_block, self._entry.kept_cache, free)
        shift = functools.partial(_audited_shift, engine, weights.facts, self.name)
        modes: tuple[Mode, ...] = (self._exact, Fast(engine), Certified(engine, self._exact, shift))
        self._modes = {mode.name: mode for mode in modes}
        self._cutter = TextCutter(front.entry, engine, {str(token) for token in front.tokenizer.get_added_vocab()})
        arguments = {**described.arguments, **({"stop": "stop"} if "on_tokens" in described.hooks else {})}
        if "choose" in described.hooks:
            arguments["constraint"] = "constraint"
        if self._entry.cot_output:
            arguments["max_tokens"] = "max_tokens"  # of the answer; the engine may use the whole window
        self._arguments = arguments
        self._tags = tags_of(self._entry, front.tokenizer)
        self._preparation = Preparation(front, engine, self._tags, arguments)
        self._replies = Replies(front, engine, self._cutter, weights.facts)
        self._scoring = Scoring(front, engine, self._exact, self._replies)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a model with the same weights and its own copy of the settings.

        Raises:
            ModelLoadError: this model was closed.
        """
        self._require_engine()
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        shared = {name: value for name, value in vars(self).items() if name != STATES}
        front = self._front.copy()
        own = {
            "_gen_args": copy.deepcopy(self._gen_args, memo),
            "_front": front,
            "_preparation": self._preparation.with_front(front),
            "_scoring": self._scoring.with_front(front),
        }
        vars(other).update(shared, **own)
        return other

    def close(self) -> None:
        """Give the weights back, unless another model shares them; the model cannot answer afterwards.

        A call that is under way ends first. All others give the memory back at once.
        """
        self.__dict__.pop("_weights", None)

    def __enter__(self) -> Self:
        """Use the model in a block, at whose end it is closed.

        Raises:
            ModelLoadError: it was closed before.
        """
        self._require_engine()
        return self

    def __del__(self) -> None:
        """Give the weights back, also where the model is part of a cycle."""
        self.close()

    def __copy__(self) -> Self:
        """Return the same as a deep copy: two models never share their settings."""
        return copy.deepcopy(self)

    def __reduce_ex__(self, _protocol: Any) -> Any:
        """Refuse to be pickled.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"model '{self.name}' cannot be pickled: its weights stay in this process. Send its model_spec and "
            "gen_args, and load it in the other process; copy.deepcopy makes a second model of the weights here"
        )

    @property
    def chat_template_kwargs(self) -> dict[str, Any]:
        """Further variables for the chat template; setting them checks that the template reads them."""
        return self._front.template_kwargs

    @chat_template_kwargs.setter
    def chat_template_kwargs(self, value: Mapping[str, Any] | None) -> None:
        self._front.template_kwargs = value

    @property
    def template_now(self) -> datetime | None:
        """What the chat template's clock tells (a ``datetime`` or an ISO time); None is the real time."""
        return self._front.template_now

    @template_now.setter
    def template_now(self, value: str | datetime | None) -> None:
        self._front.template_now = value

    def split_thinking(self, text: str) -> tuple[str, str]:
        """Split a reply into thinking and answer, as for every reply.

        Args:
            text: a reply with its tags.

        Raises:
            SpecError: the entry does not set ``cot_output``.
        """
        if not self._entry.cot_output or self._tags is None:
            raise SpecError(f"model '{self.name}' does not think: its entry does not set model_config.cot_output")
        return self._cutter.split_text(text, self._tags, self.max_tokens)

    def count_tokens(self, messages: Messages) -> int:
        """Count the tokens of the prompt that these messages make, chat template included.

        Raises:
            MessagesError: the messages do not have the right form.
            TemplateError: the chat template refuses them.
        """
        check_messages(messages)
        return len(self._front.encode(self._front.write(messages)))

    def generate_response(self, messages: Messages) -> Reply:
        """Answer one dialogue.

        Args:
            messages: a dialogue of text messages.

        Returns:
            The prompt ``{"inputs", "max_new_tokens", "temperature", "input_ids"}``, the response ``{"response",
            "output_ids", "finish_reason"}`` (with ``"cot_content"`` for models that think), and the answer's text.
            For an item of a batch, prompt and response are without the padding of the batch.

        Raises:
            GenerationArgumentError: a generation argument that this backend cannot honour.
            GenerationError: the engine failed.
            MessagesError: a message that is not text, or whose text is not in the prompt.
            TemplateError: the model's chat template refuses the messages.
            ContextExceededError: prompt and reply do not fit; nothing was generated.
            ModelLoadError: the model was loaded before this process was forked, and cannot compute here.
        """
        what = running(self)
        listener = what.listener if isinstance(what, Request) else None
        ((_, result),) = self.answer_all(
            [Ask(messages, listener=listener, cancelled=given_up())], self._mode(EXACT)
        )
        if isinstance(result, Exception):
            raise result
        return result

    def forget_kept(self) -> None:
        """Forget what is kept of earlier prompts.

        Changes of weights, adapter and attention are noticed. Call this after you wrote into weights through
        ``.data``, which nothing can notice. Models that share the weights share what is kept.
        """
        self._exact.forget()

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Answer one dialogue without blocking the event loop; calls that are awaited together are one batch.

        A mode that computes each dialogue alone answers in a thread. If the call is cancelled, its computation
        ends at the next token, or at the next block of its prompt. See :meth:`generate_response`.
        """
        mode = self._mode(EXACT)
        if isinstance(mode, SharedMode):
            with waiting() as has_ended:
                return await self._awaited(Ask(messages, cancelled=has_ended), mode)
        return await in_thread(functools.partial(self.generate_response, messages))

    async def _awaited(self, ask: Ask, mode: SharedMode) -> Reply:
        with self._in_use() as engine:
            described = engine.describe()
            step = _PROMPT
            try:
                item = self._preparation.item(self, 0, ask, described, "")
                job = self._preparation.job(item, described, mode)
                result = await awaited(mode, job)
                if isinstance(result, Exception):
                    result = self._failed(result)
                else:
                    step = _REPLY
                    return self._replies.reply(item, job, result, described, mode.name)
            except Exception as error:  # noqa: BLE001 - as for a call that is not awaited
                result = self._wrapped(error, step)
            raise result

    def knows_argument(self, name: str) -> bool:
        """Tell whether the engine computes with an argument of this name."""
        return name in self._arguments

    def _answer_items(self, batch: Batch) -> None:
        items = batch.pending
        is_one = len(batch.results) == 1
        asks = [
            Ask(item.request.messages, item.request.gen_args, batch_index=None if is_one else item.index)
            for item in items
        ]
        try:
            for index, result in self.answer_all(asks, self._mode(FAST)):
                batch.finish(items[index], result)
        except BaseException as stop:
            batch.finish_rest(stop)
            raise

    def _mode(self, default: str) -> Mode:
        """Return the way of computing that the entry asks for, else the default."""
        return self._modes[self._entry.exactness or default]

    def answer_all(self, asks: Sequence[Ask], mode: Mode | None = None) -> Iterator[tuple[int, Reply | Exception]]:
        """Answer dialogues, and yield each as it is ready.

        A dialogue that is malformed, that does not fit the context or that fails is an exception in its place; the
        others are answered. What cannot be asked is yielded first, before anything is generated.

        Args:
            asks: the dialogues.
            mode: the way of computing; by default that of batches.

        Yields:
            The index of each dialogue with its reply, or with the exception that it failed with.
        """
        with self._in_use() as engine:
            yield from self._answers(asks, mode or self._mode(FAST), engine.describe())

    def _answers(
        self, asks: Sequence[Ask], mode: Mode, described: Description
    ) -> Iterator[tuple[int, Reply | Exception]]:
        items = []
        for index, ask in enumerate(asks):
            number = index if ask.batch_index is None and len(asks) > 1 else ask.batch_index
            place = "" if number is None else f" at batch index {number}"
            try:
                items.append(self._preparation.item(self, index, ask, described, place))
            except Exception as error:  # noqa: BLE001 - one dialogue fails alone
                yield index, self._wrapped(error, _PROMPT)
        if not items:
            return
        warn_of_twins(items, self.name)
        jobs = {self._preparation.job(item, described, mode): item for item in items}
        for job, result in mode.generate(list(jobs)):
            item = jobs[job]
            if isinstance(result, Exception):
                yield item.index, self._failed(result)
                continue
            try:
                reply = self._replies.reply(item, job, result, described, mode.name)
            except Exception as error:  # noqa: BLE001 - as above
                yield item.index, self._wrapped(error, _REPLY)
            else:
                yield item.index, reply

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[Engine]:
        """Keep the weights for a block: where the model is closed meanwhile, they go at its end."""
        weights = self.__dict__.get("_weights")
        if weights is None:
            raise ModelLoadError(f"model '{self.name}' was closed, and its weights are gone: load it again")
        yield weights.engine

    def _failed(self, error: Exception) -> Exception:
        """Return the error of a computation, after which nothing stays that may fail the next call."""
        if isinstance(error, NotNumbersError):
            self.forget_kept()
            return error.public()
        return error

    def _wrapped(self, error: Exception, step: str) -> Exception:
        return wrapped(error, GenerationError, self.name, step, self._engine.describe().libraries)


def _free_bytes(device: str) -> int:
    return free_on(device).bytes


def _audited_shift(engine: Engine, facts: Mapping[str, Any], model_name: str) -> float:
    """Return the most that any score moved in the audit of a model, as it is loaded here."""
    return required_audit(engine.describe(), facts, model_name).shift
