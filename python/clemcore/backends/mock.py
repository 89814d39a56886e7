"""Backend ``mock``: answers by a script, by echo, or by the game's own player. No model, no network.

It does not know games: inside one, the framework puts the players into ``CustomResponseModel.players``.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from clemcore.backends.base import Backend, refuse_misspelt_arguments, refuse_other_backends
from clemcore.calls.batch import Batch, Item
from clemcore.calls.conversation import state_of
from clemcore.calls.scope import Membership
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, Model, Reply
from clemcore.registry.spec import ModelSpec


class Mock(Backend):
    """Makes models that answer without a model."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model; see :class:`CustomResponseModel` for what the specification may say.

        Raises:
            SpecError: the specification is that of a model of another backend.
        """
        if type(self) is Mock:
            refuse_other_backends(model_spec, ("mock", "_player_programmed"), is_ours=model_spec.is_programmatic())
        return CustomResponseModel(model_spec)

    @classmethod
    def render(
        cls,
        model_spec: ModelSpec,
        messages: Messages,
        gen_args: Mapping[str, Any],  # noqa: ARG003 - their values play no role
        asked: Collection[str],
    ) -> Any:
        """Return the messages themselves: no template and no server is between."""
        refuse_misspelt_arguments(model_spec["model_name"], asked)
        return messages


class _Script:
    """What a mock keeps for one conversation.

    Attributes:
        responses: what it answers, in order.
        players: players of a game that answer in its place.
        numbers: counts its answers; threads may ask at once.
    """

    def __init__(self, responses: list[str]) -> None:
        """Begin the script."""
        self.responses = responses
        self.players: list[Any] = []
        self.numbers = itertools.count()


class CustomResponseModel(BatchGenerativeModel):
    """Answers with the next of ``model_config.responses``; without any, with the last message's content.

    ``model_config.on_exhausted`` says what happens after the last response: ``"error"`` (default), ``"cycle"`` or
    ``"repeat"`` (the last one again).

    Examples:
        >>> model = CustomResponseModel(ModelSpec(model_name="mock", model_config={"responses": ["one", "two"]}))
        >>> ask = [{"role": "user", "content": "count"}]
        >>> model.generate_response(ask)[2], model.generate_response(ask)[2]
        ('one', 'two')
    """

    conversations: ClassVar[int | None] = None

    def __init__(self, model_spec: ModelSpec | None = None) -> None:
        """Take the specification; by default that of the name ``programmatic``."""
        super().__init__(model_spec if model_spec is not None else ModelSpec(model_name="programmatic"))
        self.set_default_gen_args({"temperature": 0.0})
        config = self.model_spec.get("model_config") or {}
        self._script: list[str] = list(self.model_spec.get("responses") or config.get("responses") or [])
        self.on_exhausted: str = config.get("on_exhausted", "error")
        if self.on_exhausted not in ("error", "cycle", "repeat"):
            raise ValueError(
                f"model_config.on_exhausted of '{self.name}' must be 'error', 'cycle' or 'repeat', "
                f"not {self.on_exhausted!r}"
            )

    @property
    def has_script(self) -> bool:
        """Whether its specification has responses, which it gives in every conversation from the first on."""
        return bool(self._script)

    @property
    def players(self) -> list[Any]:
        """The players of the current conversation, which answer themselves; one for each dialogue of a batch."""
        return self._state().players

    @players.setter
    def players(self, players: list[Any]) -> None:
        self._state().players = players

    @property
    def responses(self) -> list[str]:
        """The script of the current conversation."""
        return self._state().responses

    @responses.setter
    def responses(self, responses: list[str]) -> None:
        self._state().responses = responses

    def _state(self, belongs: Membership | None = None) -> _Script:
        return state_of(self, lambda: _Script(list(self._script)), belongs)

    def generate_response(self, messages: Messages) -> Reply:
        """Answer one dialogue.

        Raises:
            GenerationArgumentError: the name of an argument is misspelt.
        """
        refuse_misspelt_arguments(self.name, self.gen_args)
        state = self._state()
        return self._answer(state, state.players[0] if state.players else None, messages)

    def _answer_items(self, batch: Batch) -> None:
        """Answer several dialogues, each by its own player where the game gave players."""
        together: dict[int, list[Item]] = {}
        for item in batch.pending:
            together.setdefault(id(self._state(item.request.scope)), []).append(item)
        for items in together.values():
            state = self._state(items[0].request.scope)
            players = state.players or [None] * len(items)
            if len(players) != len(items):
                raise ValueError(f"{len(items)} dialogues for {len(players)} players")
            for item, player in zip(items, players, strict=True):
                try:
                    refuse_misspelt_arguments(self.name, {**self.gen_args, **item.request.gen_args})
                    result: Any = self._answer(state, player, item.request.messages)
                except Exception as error:  # noqa: BLE001 - one item fails alone
                    result = error
                batch.finish(item, result)

    def _answer(self, state: _Script, player: Any, messages: Messages) -> Reply:
        if player is not None:
            context = messages[-1]
            text: str = player._custom_response(context)
            return Reply(context, {"clem_player": {"response": text, "model_name": self.name}}, text)
        text = self._next(state, messages)
        return Reply(messages, {"text": text}, text)

    def _next(self, state: _Script, messages: Messages) -> str:
        responses = state.responses
        if not responses:
            return str(messages[-1]["content"])
        index = next(state.numbers)
        if index >= len(responses):
            if self.on_exhausted == "error":
                raise IndexError(
                    f"the script of '{self.name}' has {len(responses)} responses and was asked once more; "
                    "add responses or set model_config.on_exhausted to 'cycle' or 'repeat'"
                )
            index = index % len(responses) if self.on_exhausted == "cycle" else -1
        return responses[index]
