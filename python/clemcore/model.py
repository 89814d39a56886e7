"""Models: the one call that every backend answers, and what happens around it.

Whatever class implements ``generate_response``, also one written for 3.7.2 in a file of the user's, gets its
messages checked before the call, and the call timed and recorded. It does not know any provider.
"""

from __future__ import annotations

import abc
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from clemcore.abilities import Abilities
from clemcore.calls import execution
from clemcore.calls.batch import Batch
from clemcore.calls.call import ReceivedBody, Reply
from clemcore.calls.conversation import end_conversation
from clemcore.calls.request import running
from clemcore.calls.scope import Scope
from clemcore.messages import Messages
from clemcore.registry.override import changes_of
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import mask_fields

if TYPE_CHECKING:
    from typing_extensions import Self

    from clemcore.calls.stream import Stream

__all__ = ["DEFAULT_GEN_ARGS", "BatchGenerativeModel", "Model", "ReceivedBody", "Reply"]

DEFAULT_GEN_ARGS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 300}


class Model(Abilities, abc.ABC):
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
        """Lead the calls that the subclass implements along the one path of every call."""
        super().__init_subclass__(**kwargs)
        for name, around in _AROUND.items():
            home = next((each for each in cls.__mro__ if name in each.__dict__), Model)
            if home is not cls and issubclass(home, Model):
                continue  # led along it already
            method = home.__dict__[name]  # its own, or that of a mixin that is not a model
            if callable(method) and not getattr(method, "__isabstractmethod__", False):
                setattr(cls, name, around(method))

    if TYPE_CHECKING:
        # For type checkers: a subclass need not repeat the arguments that are dealt with before it is called.
        @abc.abstractmethod
        def generate_response(self, *args: Any, **kwargs: Any) -> Reply:
            """Answer a dialogue."""

        async def agenerate_response(self, *args: Any, **kwargs: Any) -> Reply:
            """Answer a dialogue without blocking the event loop."""

        def generate_batch_response(self, *args: Any, **kwargs: Any) -> list[Any]:
            """Answer several dialogues."""

    else:

        @abc.abstractmethod
        def generate_response(
            self, messages: Messages, *, gen_args: Mapping[str, Any] | None = None, scope: Scope | None = None
        ) -> Reply:
            """Answer a dialogue.

            A subclass implements ``generate_response(self, messages)``. It finds the generation arguments of the
            call in ``self.gen_args``, ``self.temperature`` and ``self.get_gen_arg(name)``.

            Args:
                messages: non-empty list of ``{"role": "system" | "user" | "assistant", "content": str}``; for
                    models that see images also ``"image"``: path, URL or a list of them.
                gen_args: generation arguments of this call only; they take precedence over those of the model.
                scope: the scope of the call; by default the current one (``backends.scope``).

            Returns:
                The exact object sent to the model, the exact object received, and the text of the answer. A
                subclass may return a plain tuple of the three; callers get a :class:`Reply`.

            Raises:
                MessagesError: the messages do not have this form.
                ContextExceededError: prompt and reply do not fit the context window; nothing was generated.
            """

        async def agenerate_response(
            self, messages: Messages, *, gen_args: Mapping[str, Any] | None = None, scope: Scope | None = None
        ) -> Reply:
            """Answer a dialogue without blocking the event loop; the model of a service needs no thread for it.

            Args:
                messages: as for :meth:`generate_response`, which this calls in a thread.
                gen_args: as for :meth:`generate_response`.
                scope: as for :meth:`generate_response`.
            """
            import asyncio

            return await asyncio.to_thread(self.generate_response, messages, gen_args=gen_args, scope=scope)

        def generate_batch_response(
            self,
            batch_messages: Iterable[Messages],
            return_exceptions: bool = False,
            progress: bool | None = None,
            *,
            scopes: Sequence[Scope | None] | None = None,
            gen_args: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        ) -> list[Any]:
            """Answer several dialogues. Each is recorded as it is answered; a failed one does not stop the others.

            A subclass may implement ``generate_batch_response(self, batch_messages)``.

            Args:
                batch_messages: the dialogues; any finite iterable.
                return_exceptions: return the exception of a failed dialogue in place of its answer.
                progress: show a progress bar if standard error is a terminal; None: if ``CLEMCORE_PROGRESS`` is 1.
                scopes: a scope (or None) for each dialogue; by default all belong to the current scope.
                gen_args: generation arguments of this batch: one dict for all, or one (or None) per dialogue.

            Returns:
                The answers, in the order of the dialogues.

            Raises:
                Exception: the first failure in the order of the dialogues, unless ``return_exceptions``; all others
                    were answered and recorded before, and are in its ``batch_results``.
            """
            return execution.run_batch(
                self,
                batch_messages,
                None,
                return_exceptions=return_exceptions,
                progress=progress,
                scopes=scopes,
                gen_args=gen_args,
            )

    def stream_response(
        self, messages: Messages, *, gen_args: Mapping[str, Any] | None = None, scope: Scope | None = None
    ) -> Stream:
        """Answer a dialogue piece by piece.

        Args:
            messages: as for :meth:`generate_response`.
            gen_args: as for :meth:`generate_response`.
            scope: as for :meth:`generate_response`.

        Returns:
            An iterator over the pieces of the answer's text as they arrive. At the end, ``reply`` is the whole
            reply. A model that cannot stream gives one piece, and so does an answer that is already known.
        """
        from clemcore.calls.stream import Stream

        return Stream(self, messages, gen_args, scope)

    def _answer_items(self, batch: Batch) -> None:
        """Answer the items of a batch; a backend whose models answer many at once overrides this."""
        execution.answer_one_by_one(self, batch)

    # -- generation arguments ----------------------------------------------------------------------------------
    @property
    def gen_args(self) -> dict[str, Any]:
        """The generation arguments, defaults included; during a call, with those of this call alone."""
        what = running(self)
        if what is None or not what.gen_args:
            return self._gen_args
        return {**self._gen_args, **what.gen_args}

    @property
    def asked_gen_args(self) -> dict[str, Any]:
        """The generation arguments that were asked for, without the defaults."""
        what = running(self)
        of_this_call = {} if what is None else what.gen_args
        asked = {name: value for name, value in self._gen_args.items() if name not in self._defaulted}
        return {**asked, **of_this_call} if of_this_call else asked

    def set_gen_args(self, **gen_args: Any) -> None:
        """Replace all generation arguments."""
        self._gen_args = dict(gen_args)
        self._defaulted = frozenset()

    def set_gen_arg(self, arg_name: str, arg_value: Any) -> None:
        """Set one generation argument."""
        self._gen_args[arg_name] = arg_value
        self._defaulted -= {arg_name}

    def set_default_gen_args(self, defaults: Mapping[str, Any] = DEFAULT_GEN_ARGS) -> None:
        """Fill in generation arguments that were not given; they count as not asked for."""
        missing = {name: value for name, value in defaults.items() if name not in self._gen_args}
        self._gen_args.update(missing)
        self._defaulted |= missing.keys()

    def get_gen_arg(self, arg_name: str) -> Any:
        """Return one generation argument; ``temperature`` and ``max_tokens`` have defaults (0.0 and 300).

        Raises:
            AssertionError: it was never set and has no default (the type that 3.7.2 raised).
        """
        gen_args = self.gen_args
        if arg_name not in gen_args and arg_name not in DEFAULT_GEN_ARGS:
            raise AssertionError(
                f"generation argument '{arg_name}' of model '{self.name}' is not set: set_gen_arg('{arg_name}', …)"
            )
        return gen_args.get(arg_name, DEFAULT_GEN_ARGS.get(arg_name))

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
        name: str = self.model_spec.model_name
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
    def to_identifier(player_models: Iterable[Model | str]) -> str:
        """Name a group of models, or of models' names: joined names for one or two, else a short hash of them."""
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
    # How many conversations the model can have at once; further callers wait. None: any number. 3.7.2 never
    # called a model from two threads, so a class of a user has 1 unless it says more.
    conversations: ClassVar[int | None] = 1
    # Whether the model hands over the pieces of an answer as they arrive; others give the answer as one piece.
    streams: ClassVar[bool] = False
    # Whether several dialogues in one call cost less than one by one, as where one device computes them.
    gains_by_batches: ClassVar[bool] = False
    # Whether each call ends by itself, because the model has time limits of its own.
    ends_calls: ClassVar[bool] = False
    # Whether the model itself computes calls together that several threads make at the same time.
    collects_calls: ClassVar[bool] = False

    @property
    def useful_calls(self) -> int | None:
        """How many calls at once the model can use now; None: it does not know."""
        return self.conversations

    def knows_argument(self, name: str) -> bool:  # noqa: ARG002 - a model with parameters of its own needs it
        """Tell whether the model passes a generation argument of this name on."""
        return False

    def reset(self) -> None:
        """Forget what the model keeps for the current conversation."""
        end_conversation(self)

    def close(self) -> None:
        """Give back what the model holds, such as the memory of weights; it cannot answer afterwards."""

    def __enter__(self) -> Self:
        """Use the model in a block, at whose end it is closed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the model."""
        self.close()

    def supports_batching(self) -> bool:
        """Tell whether the model answers several dialogues in one call."""
        return isinstance(self, BatchGenerativeModel)

    @staticmethod
    def all_support_batching(player_models: Iterable[Model]) -> bool:
        """Tell whether all models answer several dialogues in one call."""
        return all(model.supports_batching() for model in player_models)


# -- around a call ---------------------------------------------------------------------------------------------
def _around_one(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def generate_response(
        self: Model, messages: Messages, *args: Any, gen_args: Any = None, scope: Scope | None = None, **kwargs: Any
    ) -> Any:
        return execution.run(self, messages, lambda: method(self, messages, *args, **kwargs), gen_args, scope)

    return generate_response


def _around_async(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def agenerate_response(
        self: Model, messages: Messages, *args: Any, gen_args: Any = None, scope: Scope | None = None, **kwargs: Any
    ) -> Any:
        return await execution.run_async(
            self, messages, lambda: method(self, messages, *args, **kwargs), gen_args, scope
        )

    return agenerate_response


def _around_batch(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def generate_batch_response(
        self: Model,
        batch_messages: Iterable[Messages],
        return_exceptions: bool = False,
        progress: bool | None = None,
        **given: Any,
    ) -> list[Any]:
        return execution.run_batch(
            self,
            batch_messages,
            functools.partial(method, self),
            return_exceptions=return_exceptions,
            progress=progress,
            **given,
        )

    return generate_batch_response


_AROUND: Mapping[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "generate_response": _around_one,
    "agenerate_response": _around_async,
    "generate_batch_response": _around_batch,
}


# After the functions above: making a subclass of Model calls them.
class BatchGenerativeModel(Model):
    """A model that answers several dialogues in one call."""
