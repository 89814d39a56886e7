"""The model behind every local engine: from what is asked to what is answered, each dialogue by itself.

The flow of a dialogue: messages → prompt text and token ids (``frontend.py``) → context check → new token ids (an
engine) → answer (``text.py``). It does not know which engine computes.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from clemcore.backends.local.arguments import Arguments, read_arguments
from clemcore.backends.local.choosing.building import chooser_of
from clemcore.backends.local.choosing.chooser import Chooser
from clemcore.backends.local.engine import Description, Engine, Generated, Job
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.frontend import Frontend, Prompt
from clemcore.backends.local.modes.exact import Exact
from clemcore.backends.local.modes.fast import Fast
from clemcore.backends.local.modes.mode import EXACT, FAST, Mode
from clemcore.backends.local.pieces import Pieces
from clemcore.backends.local.text import Answer, StopStrings, TextCutter
from clemcore.calls.batch import Batch
from clemcore.calls.conversation import STATES
from clemcore.calls.request import Listener, Request, running
from clemcore.errors import GenerationError, SpecError
from clemcore.messages import Messages, check_messages, sha256_of
from clemcore.model import DEFAULT_GEN_ARGS, BatchGenerativeModel, Reply
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from typing_extensions import Self

# Sets of generation arguments whose account is remembered; then all are forgotten.
_REMEMBERED = 64


@dataclass(frozen=True)
class Ask:
    """One dialogue to be answered.

    Attributes:
        messages: the dialogue.
        gen_args: generation arguments of this call; they override those of the model.
        listener: gets the pieces of the answer as they arrive, or None.
    """

    messages: Messages
    gen_args: Mapping[str, Any] = field(default_factory=dict)
    listener: Listener | None = None


@dataclass(frozen=True)
class _Account:
    """What became of generation arguments: those that are computed with, and the changes for the record.

    Attributes:
        arguments: what is computed with.
        has_stop: whether stop strings were given, which may be none; else the model's own hold.
        parameters: the changes.
    """

    arguments: Arguments
    has_stop: bool
    parameters: Mapping[str, Mapping[str, Any]]


@dataclass(eq=False)
class _Item:
    """A dialogue on its way to the engine."""

    index: int
    messages: Messages
    account: _Account
    stops: tuple[str, ...]
    prompt: Prompt
    ids: list[int]
    chooser: Chooser | None
    control: dict[str, Any]
    seconds: dict[str, float]
    listener: Listener | None


class LocalModel(BatchGenerativeModel):
    """A loaded chat model.

    Attributes:
        context_size: tokens that prompt and reply may have together.
    """

    conversations: ClassVar[int | None] = None
    streams: ClassVar[bool] = True
    gains_by_batches: ClassVar[bool] = True

    def __init__(
        self,
        model_spec: ModelSpec,
        front: Frontend,
        engine: Engine,
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Put the parts together.

        Args:
            model_spec: the model's specification.
            front: makes token ids of messages.
            engine: computes.
            facts: what else identifies the model, for the record.
        """
        super().__init__(model_spec)
        self._model_facts = facts
        self._front = front
        self._entry = front.entry
        self.context_size = front.context_size
        self._engine = engine
        self._modes: dict[str, Mode] = {mode.name: mode for mode in (Exact(engine), Fast(engine))}
        self._cutter = TextCutter(front.entry, engine, {str(token) for token in front.tokenizer.get_added_vocab()})
        described = engine.describe()
        self._arguments = {**described.arguments, **({"stop": "stop"} if "on_tokens" in described.hooks else {})}
        if self._entry.cot_output:
            self._arguments["max_tokens"] = "max_tokens"  # of the answer; the engine may use the whole window
        self._accounts: dict[tuple[str, frozenset[str]], _Account] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a model with the same weights and its own copy of the settings."""
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        shared = {name: value for name, value in vars(self).items() if name != STATES}
        own = {"_gen_args": copy.deepcopy(self._gen_args, memo), "_front": self._front.copy(), "_accounts": {}}
        vars(other).update(shared, **own)
        return other

    def __copy__(self) -> Self:
        """Return the same as a deep copy: two models never share their settings."""
        return copy.deepcopy(self)

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
        if not self._entry.cot_output:
            raise SpecError(f"model '{self.name}' does not think: its entry does not set model_config.cot_output")
        answer = self._cutter.split_thinking(text, "stop", (), "", self.max_tokens)
        return answer.thinking or "", answer.text

    def count_tokens(self, messages: Messages) -> int:
        """Count the tokens of the prompt that these messages make, chat template included."""
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
        ((_, result),) = self.answer_all([Ask(messages, listener=listener)], self._mode(EXACT))
        if isinstance(result, Exception):
            raise result
        return result

    def knows_argument(self, name: str) -> bool:
        """Tell whether the engine computes with an argument of this name."""
        return name in self._arguments

    def _answer_items(self, batch: Batch) -> None:
        items = batch.pending
        asks = [Ask(item.request.messages, item.request.gen_args) for item in items]
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
        items = []
        described = self._engine.describe()
        for index, ask in enumerate(asks):
            try:
                items.append(
                    self._prepared(index, ask, described, f" at batch index {index}" if len(asks) > 1 else "")
                )
            except Exception as error:  # noqa: BLE001 - one dialogue fails alone
                yield index, self._wrapped(error, "it failed while it made the prompt")
        if not items:
            return
        jobs = self._jobs(items, described)
        mode = self._mode(FAST) if mode is None else mode
        for job, result in mode.generate(list(jobs)):
            item = jobs[job]
            if isinstance(result, Exception):
                yield item.index, result
                continue
            try:
                reply = self._reply(item, job, result, described, mode.name)
            except Exception as error:  # noqa: BLE001 - as above
                yield item.index, self._wrapped(error, "it failed while it read the reply")
            else:
                yield item.index, reply

    def _wrapped(self, error: Exception, step: str) -> Exception:
        return wrapped(error, GenerationError, self.name, step, self._engine.describe().libraries)

    def _prepared(self, index: int, ask: Ask, described: Description, place: str) -> _Item:
        """Make everything that a dialogue needs before it is generated, and check it."""
        account = self._account(ask.gen_args)
        check_messages(ask.messages)
        begin = time.perf_counter()
        prompt = self._front.write(ask.messages)
        written = time.perf_counter()
        ids, control = self._front.encode_guarded(prompt)
        seconds = {"template": written - begin, "tokenize": time.perf_counter() - written}
        self._front.check_context(ids, account.arguments.max_tokens, place)
        stops = account.arguments.stop if account.has_stop else described.stop_strings
        chooser = chooser_of(account.arguments, ids)
        return _Item(index, ask.messages, account, stops, prompt, ids, chooser, control, seconds, ask.listener)

    def _account(self, more: Mapping[str, Any]) -> _Account:
        """Return what becomes of generation arguments, worked out once for all calls with the same ones."""
        gen_args = {**DEFAULT_GEN_ARGS, **self.gen_args, **more}
        asked = frozenset(self.asked_gen_args).union(more)
        key = repr(gen_args), asked
        account = self._accounts.get(key)
        if account is None:
            arguments, ledger = read_arguments(gen_args, asked, self.model_spec, self._arguments)
            if len(self._accounts) >= _REMEMBERED:
                self._accounts.clear()
            account = self._accounts[key] = _Account(arguments, gen_args.get("stop") is not None, ledger.parameters)
        return account

    def _jobs(self, items: Sequence[_Item], described: Description) -> dict[Job, _Item]:
        """Return what the engine is given for each item."""
        jobs = {}
        for item in items:
            arguments = item.account.arguments
            on_tokens: Callable[[Sequence[int]], bool] | None = None
            start = functools.partial(self._cutter.answer_start, prompt=item.prompt.text)
            if item.stops:
                on_tokens = StopStrings(item.stops, self._engine, start)
            if item.listener is not None and self._gives_pieces(described):
                on_tokens = self._watched(item, item.listener, start, on_tokens)
            if self._entry.cot_output:
                # It may use the whole window for thinking; its answer is cut to max_tokens afterwards.
                room = self.context_size - len(item.ids)
                arguments = dataclasses.replace(arguments, max_tokens=room)
            cancelled = None if item.listener is None else functools.partial(_is_stopped, item.listener)
            job = Job(item.ids, arguments, choose=item.chooser, on_tokens=on_tokens, cancelled=cancelled)
            jobs[job] = item
        return jobs

    def _gives_pieces(self, described: Description) -> bool:
        """Tell whether pieces of an answer are certain before its end."""
        return "on_tokens" in described.hooks and described.tokens_are_final and not self._entry.output_split_prefix

    def _watched(
        self,
        item: _Item,
        listener: Listener,
        answer_start: Callable[[str], int | None],
        ends_here: Callable[[Sequence[int]], bool] | None,
    ) -> Callable[[Sequence[int]], bool]:
        """Return what gives out the pieces of a reply, and ends it where ``ends_here`` says so."""
        pieces = Pieces(
            self._engine,
            listener.take,
            answer_start,
            stops=item.stops,
            has_end_pattern=bool(self._entry.eos_to_cull),
            most_tokens=item.account.arguments.max_tokens if self._entry.cot_output else None,
        )

        def on_tokens(ids: Sequence[int]) -> bool:
            if ends_here is not None and ends_here(ids):
                return True
            pieces(ids)
            return False

        return on_tokens

    def _reply(self, item: _Item, job: Job, generated: Generated, described: Description, mode: str) -> Reply:
        begin = time.perf_counter()
        arguments, ids = item.account.arguments, generated.ids
        answer = self._cutter.cut(generated, item.stops, item.prompt.text, arguments.max_tokens)
        prompt = {
            "inputs": item.prompt.text,
            "max_new_tokens": job.arguments.max_tokens,
            "temperature": arguments.temperature,
            "input_ids": item.ids,
        }
        response: dict[str, Any] = {
            "response": self._engine.decode([*item.ids, *ids]),
            "output_ids": ids,
            "finish_reason": answer.finish_reason,
        }
        if answer.thinking is not None:
            response["cot_content"] = answer.thinking
        seconds = {
            **item.seconds,
            "generate": generated.seconds,
            "decode": time.perf_counter() - begin,
        }
        facts = {"exactness": mode, **self._facts(item, generated, answer, described, seconds)}
        return Reply(prompt, response, answer.text, facts)

    def _facts(
        self,
        item: _Item,
        generated: Generated,
        answer: Answer,
        described: Description,
        seconds: Mapping[str, float],
    ) -> dict[str, Any]:
        arguments = item.account.arguments
        sent = {**generated.sent, "stop": list(item.stops)}
        if self._entry.cot_output:
            sent["max_tokens"] = arguments.max_tokens
        return {
            "sent": sent,
            "parameters": {name: dict(changes) for name, changes in item.account.parameters.items()},
            "versions": dict(described.libraries),
            "model": {
                "source": self._entry.source,
                "commit": getattr(self._front.config, "_commit_hash", None),
                "device": described.device,
                "dtype": described.dtype,
                "attention": described.attention,
                "quantization": described.quantization,
                **self._model_facts,
            },
            "context": {"size": self.context_size, "source": self._front.context_source},
            "timings": {f"{name}_seconds": round(value, 6) for name, value in seconds.items()},
            "template": item.prompt.facts,
            "control_tokens": item.control,
            # The prompt is text: this is what says which messages it was made of.
            "messages_sha256": sha256_of(item.messages),
            "usage": {"input_tokens": len(item.ids), "output_tokens": len(generated.ids)},
            "finish_reason": answer.finish_reason,
            "outcome": answer.outcome,
            **generated.facts,
            **(item.chooser.facts() if item.chooser is not None else {}),
            **answer.facts,
        }


def _is_stopped(listener: Listener) -> bool:
    return listener.is_stopped
