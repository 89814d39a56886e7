"""Backend ``human``: a person at the terminal answers.

It does not know games; a game's player may ask the person in its own way.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends.base import Backend, refuse_misspelt_arguments, refuse_other_backends
from clemcore.calls.conversation import state_of
from clemcore.messages import Messages
from clemcore.model import Model, Reply
from clemcore.registry.spec import ModelSpec
from clemcore.visible import visible


class Human(Backend):
    """Makes models that ask a person."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model.

        Raises:
            SpecError: the specification is that of a model of another backend.
        """
        if type(self) is Human:
            refuse_other_backends(model_spec, ("human", "_player_human"), is_ours=model_spec.is_human())
        return HumanModel(model_spec)

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


class HumanModel(Model):
    """Shows what is new in the dialogue on standard error and reads one line from standard input."""

    def __init__(self, model_spec: ModelSpec | None = None) -> None:
        """Take the specification; by default that of the name ``human``."""
        super().__init__(model_spec if model_spec is not None else ModelSpec(model_name="human"))
        self.set_default_gen_args({"temperature": 0.0})

    def generate_response(self, messages: Messages) -> Reply:
        """Ask the person.

        Raises:
            GenerationArgumentError: the name of an argument is misspelt.
            EOFError: standard input has ended.
        """
        refuse_misspelt_arguments(self.name, self.gen_args)
        dialogue = [(message["role"], message["content"]) for message in messages]
        shown = state_of(self, list[tuple[str, Any]])
        seen = shown if dialogue[: len(shown)] == shown else []
        for role, content in dialogue[len(seen) :]:
            # The words may come from a model: on a terminal they must not do more than be read.
            print(visible(f"[{role}] {content}"), file=sys.stderr)
        print(visible(f"[{self.name}] your answer: "), end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise EOFError(f"'{self.name}' was asked for an answer, but standard input has ended")
        text = line.rstrip("\r\n")
        shown[:] = [*dialogue, ("assistant", text)]
        return Reply(messages, {"text": line}, text)
