"""Models: the one call that every backend answers, and what happens around it.

Whatever class implements ``generate_response``, also one written for 3.7.2 in a file of the user's, gets its
messages checked before the call, and the call timed and recorded. It does not know any provider.
"""

from __future__ import annotations

import abc
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from clemcore.calls import recorder
from clemcore.calls.call import Call, ReceivedBody, Reply
from clemcore.messages import Messages, check_messages
from clemcore.registry.override import changes_of
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import mask_fields

__all__ = ["DEFAULT_GEN_ARGS", "BatchGenerativeModel", "Model", "ReceivedBody", "Reply", "records_each_call"]

DEFAULT_GEN_ARGS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 300}


class Model(abc.ABC):
    """A model that answers messages, wherever it runs.

    A backend's model implements :meth:`generate_response`; checks, timing and the record come by themselves.

    Examples:
        >>> class Shouting(Model):
        ...     def generate_response(self, messages):
        ...         text = messages[-1]["content"].upper()
        ...         return messages, {"text": text}, text
        >>> model = Shouting(ModelSpec(model_name="shouting", backend="mine"))
        >>> prompt, response, response_text = model.generate_response([{"role": "user", "content": "Hi"}])
        >>> response_text
        'HI'
    """

    def __init__(self, model_spec: ModelSpec) -> None:
        """Take the specification; it must have a ``model_name``."""
        if "model_name" not in model_spec:
            raise ValueError("the model specification of a model must have a 'model_name'")
        self.model_spec = model_spec
        self._gen_args: dict[str, Any] = {}
        self._defaulted: frozenset[str] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Put the checks and the record around the calls that the subclass implements."""
        super().__init_subclass__(**kwargs)
        for name, around in (
            ("generate_response", _around_one),
            ("agenerate_response", _around_async),
            ("generate_batch_response", _around_batch),
        ):
            method = cls.__dict__.get(name)
            if callable(method) and not getattr(method, "__isabstractmethod__", False):
                setattr(cls, name, around(method))

    @abc.abstractmethod
    def generate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue.

        Args:
            messages: non-empty list of ``{"role": "system" | "user" | "assistant", "content": str}``; for models
                that see images also ``"image"``: path, URL or a list of them.

        Returns:
            The exact object sent to the model, the exact object received, and the answer's text alone. A
            subclass may return a plain tuple of the three; callers get a :class:`Reply`.

        Raises:
            MessagesError: the messages have not that form.
            ContextExceededError: prompt and reply do not fit the context window; nothing was generated.
        """

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue without blocking the event loop; a remote model's own way needs no thread.

        Args:
            messages: as for :meth:`generate_response`, which this calls in a thread.
        """
        import asyncio

        return await asyncio.to_thread(self.generate_response, messages)

    # -- generation arguments ----------------------------------------------------------------------------------
    @property
    def gen_args(self) -> dict[str, Any]:
        """The generation arguments, defaults included."""
        return self._gen_args

    @property
    def asked_gen_args(self) -> dict[str, Any]:
        """The generation arguments that somebody asked for, without the defaults."""
        return {name: value for name, value in self._gen_args.items() if name not in self._defaulted}

    def set_gen_args(self, **gen_args: Any) -> None:
        """Replace all generation arguments."""
        self._gen_args = dict(gen_args)
        self._defaulted = frozenset()

    def set_gen_arg(self, arg_name: str, arg_value: Any) -> None:
        """Set one generation argument."""
        self._gen_args[arg_name] = arg_value
        self._defaulted -= {arg_name}

    def set_default_gen_args(self, defaults: Mapping[str, Any] = DEFAULT_GEN_ARGS) -> None:
        """Fill in generation arguments that nobody gave; they count as not asked for."""
        missing = {name: value for name, value in defaults.items() if name not in self._gen_args}
        self._gen_args.update(missing)
        self._defaulted |= missing.keys()

    def get_gen_arg(self, arg_name: str) -> Any:
        """Return one generation argument; ``temperature`` and ``max_tokens`` have defaults (0.0 and 300).

        Raises:
            AssertionError: it was never set and has no default (the type that 3.7.2 raised).
        """
        if arg_name not in self._gen_args and arg_name not in DEFAULT_GEN_ARGS:
            raise AssertionError(
                f"generation argument '{arg_name}' of model '{self.name}' is not set: set_gen_arg('{arg_name}', …)"
            )
        return self._gen_args.get(arg_name, DEFAULT_GEN_ARGS.get(arg_name))

    @property
    def temperature(self) -> Any:
        """The sampling temperature; 0.0 means greedy decoding."""
        return self.get_gen_arg("temperature")

    @property
    def max_tokens(self) -> Any:
        """The most tokens that a reply may have."""
        return self.get_gen_arg("max_tokens")

    def get_temperature(self) -> Any:
        """Return the sampling temperature (the name of releases before 3.0)."""
        return self.temperature

    def get_max_tokens(self) -> Any:
        """Return the most tokens that a reply may have (the name of releases before 3.0)."""
        return self.max_tokens

    # -- identity ----------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        """The model's name in the registry."""
        name: str = self.model_spec["model_name"]
        return name

    def get_name(self) -> str:
        """Return the model's name (the name of releases before 3.0)."""
        return self.name

    def __str__(self) -> str:
        """Give the model's name."""
        return self.name

    def __repr__(self) -> str:
        """Give class and model name."""
        return f"<{type(self).__name__} name={self.name!r}>"

    def __eq__(self, other: object) -> bool:
        """Compare by model name, as 3.7.2 did."""
        return self.name == other.name if isinstance(other, Model) else False

    def __hash__(self) -> int:
        """Hash by model name."""
        return hash(self.name)

    @staticmethod
    def to_identifier(player_models: Iterable[Model]) -> str:
        """Name a group of models: joined names for one or two, else a short hash of them."""
        names = [str(model) for model in player_models]
        joined = "--".join(names)
        if len(names) <= 2:  # noqa: PLR2004 - the folder naming of the results layout
            return joined
        digest = hashlib.sha1(joined.encode("utf-8"), usedforsecurity=False).hexdigest()[:8]
        return f"group-{len(names)}p-{digest}"

    @staticmethod
    def to_infos(player_models: Iterable[Model]) -> dict[int, dict[str, Any]]:
        """Describe models by specification, what was overridden in it, and generation arguments, keyed by index."""
        return {
            index: {
                "model_spec": mask_fields(model.model_spec.to_dict()),
                **({"overridden": changes} if (changes := changes_of(model.model_spec)) else {}),
                "gen_args": dict(model.gen_args),
            }
            for index, model in enumerate(player_models)
        }

    # -- capabilities ------------------------------------------------------------------------------------------
    def reset(self) -> None:  # noqa: B027 - a hook: most models have nothing to do
        """Do what is necessary after an interaction; nothing by default."""

    def supports_batching(self) -> bool:
        """Tell whether the model answers several dialogues in one call."""
        return isinstance(self, BatchGenerativeModel)

    @staticmethod
    def all_support_batching(player_models: Iterable[Model]) -> bool:
        """Tell whether all models answer several dialogues in one call."""
        return all(model.supports_batching() for model in player_models)


# -- around a call ---------------------------------------------------------------------------------------------
# Models whose call is running in this context: a subclass that calls super() is one call, not two.
_running: ContextVar[frozenset[int]] = ContextVar("clemcore_running_models", default=frozenset())

_Method = TypeVar("_Method", bound=Callable[..., Any])


def records_each_call(method: _Method) -> _Method:
    """Say of a method that answers that it records every call by itself, when the call is answered.

    Such a method makes a :class:`~clemcore.calls.Call` of each item of a batch, or repeats one that was recorded
    before. Without this mark the items of a batch are recorded together, when the batch is done.
    """
    method.records_each_call = True  # type: ignore[attr-defined]
    return method


def _around_one(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def generate_response(self: Model, messages: Messages, *args: Any, **kwargs: Any) -> Any:
        if id(self) in _running.get():
            return method(self, messages, *args, **kwargs)
        check_messages(messages)
        if getattr(method, "records_each_call", False):
            with _marked_running(self):
                return method(self, messages, *args, **kwargs)
        with _marked_running(self), Call(self, messages) as call:
            return call.answered(method(self, messages, *args, **kwargs))

    return generate_response


def _around_async(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def agenerate_response(self: Model, messages: Messages, *args: Any, **kwargs: Any) -> Any:
        if id(self) in _running.get():
            return await method(self, messages, *args, **kwargs)
        check_messages(messages)
        if getattr(method, "records_each_call", False):
            with _marked_running(self):
                return await method(self, messages, *args, **kwargs)
        with _marked_running(self), Call(self, messages) as call:
            reply = call.put(await method(self, messages, *args, **kwargs))
            await recorder.flushed()
            call.check()
            return reply

    return agenerate_response


def _around_batch(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def generate_batch_response(
        self: Model, batch_messages: list[Messages], *args: Any, **kwargs: Any
    ) -> list[Any]:
        if id(self) in _running.get():
            nested: list[Any] = method(self, batch_messages, *args, **kwargs)
            return nested
        for index, messages in enumerate(batch_messages):
            check_messages(messages, where=f"batch_messages[{index}]")
        if getattr(method, "records_each_call", False):
            with _marked_running(self):
                recorded: list[Any] = method(self, batch_messages, *args, **kwargs)
            return recorded
        size = len(batch_messages)
        calls = [Call(self, messages, batch=(index, size)) for index, messages in enumerate(batch_messages)]
        with _marked_running(self):
            try:
                results = method(self, batch_messages, *args, **kwargs)
            except BaseException as error:
                for call in calls:
                    call.failed(error)
                raise
        try:
            replies = [call.put(result) for call, result in zip(calls, results, strict=True)]
        finally:
            recorder.flush()
        for call in calls:
            call.check()
        return replies

    return generate_batch_response


class _marked_running:  # noqa: N801 - used as a statement
    def __init__(self, model: Model) -> None:
        self._model = model

    def __enter__(self) -> None:
        self._token = _running.set(_running.get() | {id(self._model)})

    def __exit__(self, *_: object) -> None:
        _running.reset(self._token)


# After the functions above: making a subclass of Model wraps its calls with them.
class BatchGenerativeModel(Model):
    """A model that answers several dialogues in one call."""

    @abc.abstractmethod
    def generate_batch_response(self, batch_messages: list[Messages]) -> list[Reply]:
        """Answer several dialogues; the answers come in the order of the dialogues."""
