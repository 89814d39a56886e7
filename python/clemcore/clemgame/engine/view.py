"""An episode's own view of a model that many episodes share.

A view has everything of the model but the generation arguments: what a game sets on it applies to its episode only.
Its calls give up the baton, and go to the model itself. It does not know where answers are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clemcore.messages import Messages
from clemcore.model import DEFAULT_GEN_ARGS, Model, Reply

if TYPE_CHECKING:
    from clemcore.clemgame.engine.asking import Asking

# The classes of views, by the class of the model.
_classes: dict[type[Model], type[Model]] = {}


def view_of(model: Model, asking: Asking) -> Model:
    """Return the view that an episode has of a model.

    Args:
        model: the model, which other episodes use too.
        asking: asks models for the episode.
    """
    cls = _classes.get(type(model))
    if cls is None:
        cls = _classes[type(model)] = _class_of(type(model))
    view: Any = object.__new__(cls)
    # One dict for both: what the model keeps is the same for all. The slots of the view hide what is in them.
    view.__dict__ = model.__dict__
    view._gen_args = dict(model._gen_args)
    view._defaulted = model._defaulted
    view._asking = asking
    view._model = model
    return view  # type: ignore[no-any-return]


def model_of(view: Model) -> Model:
    """Return the model that a view shows; a model that is not a view is returned itself."""
    found = getattr(type(view), "_model", None)
    return view if found is None else found.__get__(view)


def arguments_that_differ(view: Any, gen_args: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the generation arguments of a call that are not those of the model itself."""
    shared: Mapping[str, Any] = view._model._gen_args
    own: Mapping[str, Any] = view._gen_args
    if own == shared and not gen_args:
        return {}
    found = {name: value for name, value in own.items() if name not in shared or not _is_same(shared[name], value)}
    # The game has replaced all arguments, and left these out.
    found.update({name: DEFAULT_GEN_ARGS.get(name) for name in shared if name not in own})
    return {**found, **(gen_args or {})}


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _class_of(cls: type[Model]) -> type[Model]:
    """Make the class of the views of a class of models."""
    make: Any = type(cls)
    members: dict[str, Any] = {
        "__module__": cls.__module__,
        "__doc__": cls.__doc__,
        "__slots__": ("_asking", "_defaulted", "_gen_args", "_model"),
        "__deepcopy__": _itself,
        "__copy__": _itself,
        "__reduce_ex__": lambda self, version: self._model.__reduce_ex__(version),
        "__hash__": Model.__hash__,
    }
    if hasattr(cls, "__del__"):  # what the model has opened is not the view's to close
        members["__del__"] = _nothing
    made: Any = make(cls.__name__, (cls,), members)
    # Set afterwards: methods that a class brings along are wrapped as the implementation of a model.
    for name, method in _METHODS.items():
        setattr(made, name, method)
    return made  # type: ignore[no-any-return]


def _itself(self: Any, *_: Any) -> Any:
    return self


def _nothing(self: Any) -> None:
    pass


# -- the methods of a view -----------------------------------------------------------------------------------------
def _generate_response(
    self: Any, messages: Messages, *_: Any, gen_args: Mapping[str, Any] | None = None, **__: Any
) -> Reply:
    """Ask the model for this episode; see ``Model.generate_response``."""
    asking: Asking = self._asking
    return asking.one(self, messages, gen_args)


async def _agenerate_response(
    self: Any, messages: Messages, *_: Any, gen_args: Mapping[str, Any] | None = None, **__: Any
) -> Reply:
    """Ask the model for this episode. Only this episode waits; its own event loop stands still meanwhile."""
    asking: Asking = self._asking
    return asking.one(self, messages, gen_args)


def _generate_batch_response(
    self: Any,
    batch_messages: Iterable[Messages],
    return_exceptions: bool = False,
    *_: Any,
    gen_args: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
    **__: Any,
) -> list[Any]:
    """Ask the model several questions for this episode; see ``Model.generate_batch_response``."""
    asking: Asking = self._asking
    return asking.several(self, list(batch_messages), gen_args, return_exceptions=return_exceptions)


def _stream_response(
    self: Any, messages: Messages, *_: Any, gen_args: Mapping[str, Any] | None = None, **__: Any
) -> Any:
    """Ask the model for this episode, piece by piece; see ``Model.stream_response``."""
    asking: Asking = self._asking
    return asking.stream(self, messages, gen_args)


def _reset(self: Any) -> None:
    """Forget what the model keeps for this episode."""
    asking: Asking = self._asking
    asking.reset(self)


def _answer_for_player(self: Any, player: Any, context: Any, ask: Callable[[Any], Any]) -> Any:  # noqa: ARG001
    """Let a program or a person answer for a player; see ``clemcore.clemgame.player``."""
    asking: Asking = self._asking
    return asking.for_player(self, context, ask)


_METHODS: Mapping[str, Callable[..., Any]] = {
    "generate_response": _generate_response,
    "agenerate_response": _agenerate_response,
    "generate_batch_response": _generate_batch_response,
    "stream_response": _stream_response,
    "reset": _reset,
    "answer_for_player": _answer_for_player,
}
