"""Backend ``mock``: answers by a script, by echo, or by the game's own player. No model, no network.

It does not know games: inside one, the framework puts the players into ``CustomResponseModel.players``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends.base import Backend
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, Model, Reply
from clemcore.registry.spec import ModelSpec


class Mock(Backend):
    """Makes models that answer without a model."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model; see :class:`CustomResponseModel` for what the specification may say."""
        return CustomResponseModel(model_spec)

    @classmethod
    def render(
        cls,
        model_spec: ModelSpec,  # noqa: ARG003 - what it says plays no role
        messages: Messages,
        gen_args: Mapping[str, Any],  # noqa: ARG003
        asked: Collection[str],  # noqa: ARG003
    ) -> Any:
        """Return the messages themselves: no template and no server is between."""
        return messages


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

    def __init__(self, model_spec: ModelSpec | None = None) -> None:
        """Take the specification; by default that of the name ``programmatic``."""
        super().__init__(model_spec if model_spec is not None else ModelSpec(model_name="programmatic"))
        self.set_default_gen_args({"temperature": 0.0})
        self.players: list[Any] = []
        config = self.model_spec.get("model_config") or {}
        self.responses: list[str] = list(self.model_spec.get("responses") or config.get("responses") or [])
        self.on_exhausted: str = config.get("on_exhausted", "error")
        if self.on_exhausted not in ("error", "cycle", "repeat"):
            raise ValueError(
                f"model_config.on_exhausted of '{self.name}' must be 'error', 'cycle' or 'repeat', "
                f"not {self.on_exhausted!r}"
            )
        self._answered = 0

    def generate_response(self, messages: Messages) -> Reply:
        """Answer one dialogue."""
        return self._answer(self.players[0] if self.players else None, messages)

    def generate_batch_response(self, batch_messages: list[Messages]) -> list[Reply]:
        """Answer several dialogues, each by its own player where the game gave players."""
        players = self.players or [None] * len(batch_messages)
        if len(players) != len(batch_messages):
            raise ValueError(f"{len(batch_messages)} dialogues for {len(players)} players")
        return [self._answer(player, messages) for player, messages in zip(players, batch_messages, strict=True)]

    def reset(self) -> None:
        """Start the script again."""
        self._answered = 0

    def _answer(self, player: Any, messages: Messages) -> Reply:
        if player is not None:
            context = messages[-1]
            text: str = player._custom_response(context)
            return Reply(context, {"clem_player": {"response": text, "model_name": self.name}}, text)
        text = self._next(messages)
        return Reply(messages, {"text": text}, text)

    def _next(self, messages: Messages) -> str:
        if not self.responses:
            return str(messages[-1]["content"])
        index = self._answered
        if index >= len(self.responses):
            if self.on_exhausted == "error":
                raise IndexError(
                    f"the script of '{self.name}' has {len(self.responses)} responses and was asked once more; "
                    "add responses or set model_config.on_exhausted to 'cycle' or 'repeat'"
                )
            index = index % len(self.responses) if self.on_exhausted == "cycle" else -1
        self._answered += 1
        return self.responses[index]
