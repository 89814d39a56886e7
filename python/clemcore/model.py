"""Models: the one call that every backend answers, and what happens around it.

Whatever class implements ``generate_response``, also one written for 3.7.2 in a file of the user's, gets its
messages checked before the call, and the call timed and recorded. It does not know any provider.
"""

from __future__ import annotations

import abc
import functools
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Any, cast

from clemcore import recording
from clemcore.messages import Messages, check_messages
from clemcore.secrets import mask_fields
from clemcore.spec import ModelSpec

DEFAULT_GEN_ARGS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 300}

# Fields of a specification that are sampling parameters, and so become generation arguments of the model.
SAMPLING_FIELDS = (
    "temperature",
    "max_tokens",
    "seed",
    "top_p",
    "top_k",
    "min_p",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
)


class ReceivedBody(dict[str, Any]):
    """A response body exactly as received, which also answers ``["clem_player"]``.

    3.7.2 stored its own bookkeeping under ``clem_player`` inside the received body. Here the body stays what came
    back (length, iteration, equality and JSON are the body's), and the bookkeeping is found when asked for.
    """

    clem_player: dict[str, Any] | None = None

    def __missing__(self, name: str) -> Any:
        """Answer ``clem_player``; anything else is missing."""
        if name == "clem_player" and self.clem_player is not None:
            return self.clem_player
        raise KeyError(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field of that name, ``clem_player`` included, or the default."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        """Tell whether ``[name]`` would answer."""
        return dict.__contains__(self, name) or (name == "clem_player" and self.clem_player is not None)


class Reply(tuple[Any, Any, str]):
    """The tuple ``(prompt, response, response_text)``, with the facts that go into the record beside it.

    Examples:
        >>> prompt, response, text = Reply({"q": 1}, {"a": 2}, "two", facts={"usage": {"output_tokens": 1}})
        >>> text
        'two'
    """

    facts: dict[str, Any]

    def __new__(cls, prompt: Any, response: Any, text: str, facts: Mapping[str, Any] | None = None) -> Reply:
        """Build the tuple.

        Args:
            prompt: the exact object that was sent to the model.
            response: the exact object that came back.
            text: the model's answer alone.
            facts: whatever else is known (``sent`` generation arguments, ``usage``, versions, timings, …), JSON.
        """
        self = super().__new__(cls, cast("Any", (prompt, response, text)))
        self.facts = dict(facts or {})
        return self

    def __getnewargs__(self) -> Any:
        """Copy and pickle by parts."""
        return (*self, self.facts)

    @property
    def prompt(self) -> Any:
        """The exact object that was sent."""
        return self[0]

    @property
    def response(self) -> Any:
        """The exact object that came back."""
        return self[1]

    @property
    def text(self) -> str:
        """The model's answer alone."""
        return self[2]


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
        for name, around in (("generate_response", _around_one), ("generate_batch_response", _around_batch)):
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
        """Describe models by specification and generation arguments, keyed by player index."""
        return {
            index: {"model_spec": mask_fields(model.model_spec.to_dict()), "gen_args": dict(model.gen_args)}
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


def _around_one(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def generate_response(self: Model, messages: Messages, *args: Any, **kwargs: Any) -> Any:
        if id(self) in _running.get():
            return method(self, messages, *args, **kwargs)
        check_messages(messages)
        clock = _Clock()
        with _marked_running(self):
            try:
                result = method(self, messages, *args, **kwargs)
            except BaseException as error:
                _record_failure(self, messages, error, clock)
                raise
        return _finish(self, result, clock)

    return generate_response


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
        clock = _Clock()
        with _marked_running(self):
            try:
                results = method(self, batch_messages, *args, **kwargs)
            except BaseException as error:
                for messages in batch_messages:
                    _record_failure(self, messages, error, clock)
                raise
        size = len(results)
        return [
            _finish(self, result, clock, {"batch": {"index": index, "size": size}})
            for index, result in enumerate(results)
        ]

    return generate_batch_response


class _marked_running:  # noqa: N801 - used as a statement
    def __init__(self, model: Model) -> None:
        self._model = model

    def __enter__(self) -> None:
        self._token = _running.set(_running.get() | {id(self._model)})

    def __exit__(self, *_: object) -> None:
        _running.reset(self._token)


class _Clock:
    def __init__(self) -> None:
        self.started = datetime.now(timezone.utc).astimezone()
        self._begin = time.perf_counter()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._begin


def _finish(model: Model, result: Any, clock: _Clock, more: Mapping[str, Any] | None = None) -> Reply:
    if not isinstance(result, tuple) or len(result) != 3:  # noqa: PLR2004 - the documented tuple
        raise TypeError(
            f"{type(model).__name__} must answer with (prompt, response, response_text), "
            f"but gave {type(result).__name__}"
        )
    prompt, response, text = result
    elapsed = clock.elapsed
    if isinstance(response, dict) and not isinstance(response, ReceivedBody) and "clem_player" not in response:
        response = ReceivedBody(response)
        response.clem_player = {
            "call_start": str(clock.started.replace(tzinfo=None)),
            "call_duration": f"{elapsed:.6f}",
            "response": text,
            "model_name": model.name,
        }
    facts = {**getattr(result, "facts", {}), **(more or {})}
    recording.add_call(
        started=clock.started,
        duration=elapsed,
        prompt=prompt,
        response=response,
        text=text,
        facts=_facts(model, facts) if recording.is_recording() else {},
    )
    return Reply(prompt, response, text, facts)


def _record_failure(model: Model, messages: Messages, error: BaseException, clock: _Clock) -> None:
    if not recording.is_recording():
        return
    prompt = getattr(error, "prompt", None)
    known = getattr(error, "facts", None)
    recording.add_call(
        started=clock.started,
        duration=clock.elapsed,
        prompt=messages if prompt is None else prompt,
        response=getattr(error, "response", None),
        text=None,
        facts=_facts(model, known if isinstance(known, Mapping) else {}),
        error=error,
    )


def _facts(model: Model, facts: Mapping[str, Any]) -> dict[str, Any]:
    from clemcore import __version__

    rest = dict(facts)
    gen_args = {"asked": model.asked_gen_args, "defaults": sorted(model._defaulted)}
    gen_args = {"all": dict(model.gen_args), **gen_args, "sent": rest.pop("sent", None)}
    versions = {"clemcore": __version__, **rest.pop("versions", {})}
    return {
        "model_spec": mask_fields(model.model_spec.to_dict()),
        "gen_args": gen_args,
        "versions": versions,
        **rest,
    }


# After the functions above: making a subclass of Model wraps its calls with them.
class BatchGenerativeModel(Model):
    """A model that answers several dialogues in one call."""

    @abc.abstractmethod
    def generate_batch_response(self, batch_messages: list[Messages]) -> list[Reply]:
        """Answer several dialogues; the answers come in the order of the dialogues."""
