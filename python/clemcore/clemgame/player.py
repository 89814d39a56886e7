"""Players: who answers in a game, be it a model, a person or a program.

A player keeps its side of the dialogue. It does not know the game master, and it works without one.
"""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

from clemcore import backends
from clemcore.clemgame.events import GameEventLogger, GameEventSource
from clemcore.clemgame.exchanges import PlayerEvents
from clemcore.visible import visible

__all__ = ["Player", "shown_model", "speaking"]

Message = dict[str, Any]

# The name of the player whose call is under way. The engine labels the calls of models with it.
speaking: ContextVar[str | None] = ContextVar("speaking", default=None)
# Returns what a player gets in the place of a model. The engine sets it, so that it sees the calls of models, too,
# that a game makes itself.
shown_model: ContextVar[Callable[[Any], Any] | None] = ContextVar("shown_model", default=None)


class Player(GameEventSource):
    """A participant of a game. Calling it with a context returns its response.

    A subclass says in ``_custom_response`` how the player answers when a program plays it. A person is asked by
    ``_terminal_response``. Any other model answers by its ``generate_response``.

    Examples:
        >>> class Echo(Player):
        ...     def _custom_response(self, context):
        ...         return context["content"]
        >>> player = Echo(backends.CustomResponseModel(), name="Player 1")
        >>> player({"role": "user", "content": "Hello!"})
        'Hello!'
        >>> [message["role"] for message in player.get_perspective()]
        ['user', 'assistant']
    """

    _takes_history = False  # whether _custom_response is that of a game written before 2.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_custom_response" in cls.__dict__:
            cls._takes_history = _takes_history(cls)

    def __init__(  # noqa: PLR0917 - games give them by position
        self,
        model: backends.Model,
        name: str | None = None,
        game_role: str | GameEventLogger | None = None,
        game_recorder: Any = None,
        initial_prompt: Any = None,
        forget_extras: list[str] | None = None,
    ) -> None:
        """Make a player.

        Args:
            model: the model that answers.
            name: the name in the game; a game master names its players "Player 1", "Player 2" and so on.
            game_role: the role in the game; by default the name of the class.
            game_recorder: a logger for the events of this player, as games for 2.x give it.
            initial_prompt: a message, or its text, that comes before the first context (2.x).
            forget_extras: keys of a context, such as "image", that the player does not keep in its memory.
        """
        super().__init__()
        self._early = None  # without a listener, nobody will ever ask for the events
        if game_role is not None and not isinstance(game_role, str):
            # Until 2.4, the recorder was the third argument, and everything after it came one earlier.
            game_role, game_recorder, initial_prompt, forget_extras = None, game_role, game_recorder, initial_prompt
        shown = shown_model.get()
        self._model = model if shown is None else shown(model)
        self._name = name
        self._game_role: str = game_role or type(self).__name__
        self._forget_extras: list[str] = forget_extras or []
        self._first_message = _as_message(initial_prompt)
        self._messages: list[Message] = []
        self._last_context: Message | None = None
        self._last_call: tuple[Any, Any] = (None, None)
        self._game_recorder: Any = None
        if game_recorder is not None:
            self.game_recorder = game_recorder

    def reset(self) -> None:
        """Let the model forget the current conversation."""
        self._model.reset()

    def __deepcopy__(self, memo: dict[int, Any]) -> Player:
        """Copy the player, but keep its model and drop its listeners."""
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        for key, value in self.__dict__.items():
            if key not in ("_model", "_loggers", "_game_recorder"):
                setattr(copy, key, deepcopy(value, memo))
        copy._model = memo.get(id(self._model), self._model)
        copy._loggers = []
        copy._game_recorder = None
        return copy

    @property
    def name(self) -> Any:
        """The name in the game, such as "Player 1"."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    @property
    def game_role(self) -> str:
        """The role in the game."""
        return self._game_role

    @property
    def model(self) -> backends.Model:
        """The model that answers."""
        return self._model

    @property
    def last_context(self) -> Message | None:
        """A copy of the latest context."""
        return self._last_context

    @property
    def game_recorder(self) -> Any:
        """The logger that was given to the player itself."""
        return self._game_recorder

    @game_recorder.setter
    def game_recorder(self, game_recorder: Any) -> None:
        self._loggers = [logger for logger in self._loggers if logger is not self._game_recorder]
        self._game_recorder = game_recorder
        if game_recorder is not None:
            self.register(game_recorder)
            if isinstance(game_recorder, PlayerEvents):
                game_recorder.adopt(self)

    def get_description(self) -> str:
        """Return name, class and model in one line."""
        return f"{self.name} ({type(self).__name__}): {self.model}"

    def get_perspective(self) -> list[Message]:
        """Return the messages that the player remembers."""
        return self._messages

    def get_last_call_info(self) -> tuple[Any, Any]:
        """Return prompt and response object of the latest call."""
        return self._last_call

    def perceive_context(self, context: Message, *, log_event: bool = True, memorize: bool = True) -> list[Message]:
        """Take in a context, without answering it.

        Args:
            context: the message; its role is "user".
            log_event: log it.
            memorize: remember it.

        Returns:
            What the player remembers, and the context after it.
        """
        if context["role"] != "user":
            raise AssertionError(f"a context has the role 'user', not {context['role']!r}")
        self._last_context = _copied(context)
        if self._first_message is not None:
            self._take_first_message(self._first_message, log_event)
        if log_event:
            action = {
                "type": "send message",
                "content": context["content"],
                "label": "context" if memorize else "forget",
            }
            if "image" in context:
                action["image"] = context["image"]
            self.log_event("GM", self._name, action)  # type: ignore[arg-type]
        perspective = [*self.get_perspective(), context]
        if memorize:
            kept = _copied(context)
            for extra in self._forget_extras:
                kept.pop(extra, None)
            self._messages.append(kept)
        return perspective

    def _take_first_message(self, prompt: Message, log_event: bool) -> None:
        self._first_message = None
        self._messages.append(prompt)
        if log_event:
            action = {"type": "send message", "content": prompt["content"], "label": "initial prompt"}
            self.log_event("GM", self._name, action)  # type: ignore[arg-type]

    def perceive_response(
        self,
        response: str,
        *,
        log_event: bool = True,
        memorize: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> list[Message]:
        """Take in the player's own response.

        Args:
            response: the text.
            log_event: log it.
            memorize: remember it.
            metadata: "prompt" and "response_object" of the call that gave it.

        Returns:
            What the player remembers.
        """
        if log_event:
            action = {"type": "get message", "content": response, "label": "response" if memorize else "forget"}
            call = None if metadata is None else (metadata["prompt"], metadata["response_object"])
            self.log_event(self._name, "GM", action, call)  # type: ignore[arg-type]
        self.count_request()
        if memorize:
            self._messages.append({"role": "assistant", "content": response})
        return self.get_perspective()

    def __call__(self, context: Message, memorize: bool = True) -> str:
        """Answer a context.

        Args:
            context: the message; its role is "user".
            memorize: remember context and response.

        Returns:
            The text of the response.
        """
        before = speaking.set(self._name)
        try:
            perspective = self.perceive_context(context, memorize=memorize)
            prompt, response, text = self._answer(context, perspective)
            self._last_call = (prompt, response)
            self.perceive_response(
                text, memorize=memorize, metadata={"prompt": prompt, "response_object": response}
            )
            return text
        finally:
            speaking.reset(before)

    def _answer(self, context: Message, perspective: list[Message]) -> tuple[Any, Any, str]:
        model = self._model
        if _is_program(model):
            ask = self._ask_program(perspective)
        elif isinstance(model, backends.HumanModel):
            ask = self._terminal_response
        else:
            prompt, response, text = model.generate_response(perspective)
            return prompt, response, text
        # The engine's view of a model takes part in answers that do not come from the model.
        around: Callable[..., str] | None = getattr(model, "answer_for_player", None)
        text = ask(context) if around is None else around(self, context, ask)
        return context, {"clem_player": {"response": text, "model_name": model.name}}, text

    def _ask_program(self, perspective: list[Message]) -> Callable[[Message], str]:
        respond = self._custom_response
        if self._takes_history:
            turn = sum(1 for message in perspective if message["role"] == "assistant")
            return lambda _context: respond(perspective, turn)  # type: ignore[call-arg,arg-type]
        return respond

    def _terminal_response(self, context: Message) -> str:
        """Ask the person at the terminal.

        Args:
            context: the message to answer.

        Returns:
            The line that the person typed.
        """
        said = "Nothing has been said yet." if context is None else str(context["content"])
        print(f"\n{visible(said)}")  # models said it: on a terminal it must not do more than be read
        return input(f"Your response as {type(self).__name__}:\n")

    @abc.abstractmethod
    def _custom_response(self, context: Message) -> str:
        """Answer as a program.

        Args:
            context: the message to answer.

        Returns:
            The text of the response.
        """

    @staticmethod
    def batch_response(
        players: Sequence[Player], contexts: Sequence[Message], *, row_ids: Sequence[int] | None = None
    ) -> dict[int, tuple[Message, str]]:
        """Let several players answer at once; players of the same model share one batch.

        Args:
            players: the players.
            contexts: a context for each.
            row_ids: a number for each, by which the result is keyed; by default 0, 1, 2 and so on.

        Returns:
            Context and response of each player.
        """
        rows = list(range(len(players))) if row_ids is None else list(row_ids)
        if len(rows) != len(players):
            raise AssertionError(f"row_ids and players must have the same length: {len(rows)} != {len(players)}")
        if len(players) != len(contexts):
            raise AssertionError(
                f"players and contexts must have the same length: {len(players)} != {len(contexts)}"
            )
        together: dict[int, list[int]] = {}
        for index, player in enumerate(players):
            if not hasattr(player.model, "generate_batch_response"):
                raise AssertionError(
                    f"model '{player.model}' of player '{player.name}' has no generate_batch_response()"
                )
            together.setdefault(id(player.model), []).append(index)
        results: dict[int, tuple[Message, str]] = {}
        for indices in together.values():
            model = players[indices[0]].model
            perspectives = {index: players[index].perceive_context(contexts[index]) for index in indices}
            if _is_program(model) or isinstance(model, backends.HumanModel):
                answers = [players[index]._answer(contexts[index], perspectives[index]) for index in indices]
            else:
                answers = model.generate_batch_response(list(perspectives.values()))
            if len(answers) != len(indices):
                raise AssertionError(
                    f"model '{model.name}' returned {len(answers)} responses to {len(indices)} dialogues"
                )
            for index, (prompt, response, text) in zip(indices, answers, strict=True):
                metadata = {"prompt": prompt, "response_object": response}
                players[index].perceive_response(text, metadata=metadata)
                results[rows[index]] = (contexts[index], text)
        return results


def _is_program(model: Any) -> bool:
    """Tell whether the player's own program answers; responses that the model's entry has take precedence."""
    return isinstance(model, backends.CustomResponseModel) and not model.has_script


_EXACT = frozenset((str, int, float, bool, type(None)))


def _copied(message: Message) -> Message:
    """Copy a message; its values are nearly always text, which needs no deep copy."""
    return {key: value if type(value) in _EXACT else deepcopy(value) for key, value in message.items()}


def _as_message(prompt: Any) -> Message | None:
    if prompt is None or isinstance(prompt, str):
        return None if prompt is None else {"role": "user", "content": prompt}
    if not isinstance(prompt, dict) or prompt.get("role") != "user" or "content" not in prompt:
        raise AssertionError(f"an initial prompt is a text or a message with the role 'user', not {prompt!r:.80}")
    return deepcopy(prompt)


def _takes_history(kind: type) -> bool:
    """Tell whether a player's program takes messages and a turn index, as before 2.0."""
    try:
        parameters = list(inspect.signature(kind._custom_response).parameters.values())[1:]  # type: ignore[attr-defined]
    except (TypeError, ValueError):  # not written in Python
        return False
    needed = [each for each in parameters if each.kind <= each.POSITIONAL_OR_KEYWORD and each.default is each.empty]
    return len(needed) == 2  # noqa: PLR2004 - messages and turn index
