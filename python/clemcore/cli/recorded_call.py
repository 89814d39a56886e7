"""A call of an episode, to be asked again: its model, its messages and its generation arguments.

It knows where records keep them, and nothing of how a model is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from clemcore.errors import MessagesError
from clemcore.messages import Messages, check_messages
from clemcore.registry.spec import ModelSpec


@dataclass(frozen=True)
class RecordedQuestion:
    """What was asked.

    Attributes:
        model: the model, by its name.
        messages: the messages.
        gen_args: the generation arguments that were asked for.
    """

    model: ModelSpec
    messages: Messages
    gen_args: dict[str, Any]


def read_question(episode: Path, number: int) -> RecordedQuestion:
    """Return what a call of an episode asked.

    Args:
        episode: the folder of the episode in its run; with ``--layout store``, where it would be.
        number: the number of the call, from 0.

    Raises:
        MessagesError: there is no such call, or its record does not hold messages.
        StoreError: the run cannot be read.
    """
    record = _record(episode, number)
    facts = record.get("clemcore") or {}
    messages = _messages(record.get("manipulated_prompt_obj"))
    where = f"call {number} of {episode}"
    if messages is None:
        raise MessagesError(
            f"{where}: the record holds the prompt as it was sent, and not as messages. Write the messages into a "
            ".json file and name that file instead"
        )
    check_messages(messages, where=f"{where}: messages")
    name = (facts.get("model_spec") or {}).get("model_name")
    if not isinstance(name, str):
        raise MessagesError(f"{where}: no model was asked; the answer came from a program")
    return RecordedQuestion(ModelSpec(model_name=name), messages, (facts.get("gen_args") or {}).get("asked") or {})


def asked_again(episode: Path, number: int | None, *others: object) -> RecordedQuestion:
    """Return what ``--again`` and ``--call`` stand for; ``others`` are what they take the place of.

    Raises:
        click.UsageError: ``--call`` is missing, or messages are given, too.
    """
    if number is None:
        raise click.UsageError("--again needs --call, the number of the call.")
    if any(others):
        raise click.UsageError(
            "--again takes the messages from a record; leave out other messages, --system and --image."
        )
    return read_question(episode, number)


def _record(episode: Path, number: int) -> dict[str, Any]:
    from clemcore.clemgame.layout.episodes import read_episodes
    from clemcore.clemgame.store.marks import is_run

    place = episode.absolute()
    run = next((folder for folder in place.parents if is_run(folder)), None)
    if run is None:
        raise MessagesError(
            f"{episode} is not in a run. Name the folder of an episode, such as RUN/GAME/EXPERIMENT/…"
        )
    for found in read_episodes(run):
        if found.folder.absolute() == place:
            for call in found.calls():
                if call.number == number:
                    value: dict[str, Any] = json.loads(call.record)
                    return value
            raise MessagesError(f"{episode} has no call {number}; it has {len(found.calls())}, numbered from 0")
    raise MessagesError(f"{run} has no episode {place.relative_to(run)}")


def _messages(prompt: Any) -> Messages | None:
    """Return the messages of a request that has messages in the form of a dialogue."""
    if isinstance(prompt, list):
        return prompt
    if not isinstance(prompt, dict):
        return None
    if "role" in prompt and "content" in prompt:
        return [prompt]
    found = prompt.get("messages")
    if not isinstance(found, list):
        return None
    system = prompt.get("system")
    return [{"role": "system", "content": system}, *found] if isinstance(system, str) else found


again_option = click.option(
    "again",
    "--again",
    metavar="EPISODE",
    type=click.Path(path_type=Path),
    help="Ask a recorded call again: the folder of its episode; needs --call. -m and arguments replace its own.",
)
call_option = click.option(
    "call", "--call", metavar="N", type=click.IntRange(0), help="With --again: the call, from 0."
)
