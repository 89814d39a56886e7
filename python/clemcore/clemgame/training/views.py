"""What each player saw in an episode: its messages, and the prompt of each of its answers.

The messages come from the events of the episode. The hash of each stored request tells whether they are what was
sent. It does not know scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clemcore.calls.encoding import FACTS, dumped
from clemcore.clemgame.layout.episodes import Episode
from clemcore.clemgame.store.contents import StoredCall

Message = dict[str, Any]
SENT, GOT, FORGET = "send message", "get message", "forget"
PROGRAM = "program"
_LINE = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=repr)


@dataclass(frozen=True)
class Turn:
    """One answer of a player.

    Attributes:
        prompt: what the player remembered, and the message that it answered.
        answer: the text of the answer.
        round: the round, from 0.
        as_sent: whether the stored request has exactly this prompt; None if the results do not say.
        call: the call that gave the answer, or None if no stored call has this text.
    """

    prompt: list[Message]
    answer: str
    round: int
    as_sent: bool | None
    call: StoredCall | None


@dataclass
class View:
    """The view of one player.

    Attributes:
        player: the name, such as "Player 1".
        role: the role in the game.
        model: the name of the model.
        messages: all messages up to the last answer, also those that the player forgets.
        turns: its answers.
    """

    player: str
    role: str
    model: str
    messages: list[Message] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    @property
    def as_sent(self) -> bool | None:
        """Whether each answer was given to exactly the messages before it; None if the results do not say."""
        places = [place for place, message in enumerate(self.messages) if message["role"] == "assistant"]
        if [self.messages[:place] for place in places] != [turn.prompt for turn in self.turns]:
            return False
        known = [turn.as_sent for turn in self.turns]
        return False if False in known else None if None in known else True


def views_of(episode: Episode) -> list[View]:
    """Return the view of each player that answered, in the order of their first events.

    Raises:
        StoreError: the episode cannot be read.
    """
    interactions = episode.interactions
    players = interactions.get("players") or {}
    calls = episode.calls()
    views: dict[str, View] = {}
    memories: dict[str, _Memory] = {}
    for round_, event in _events(interactions):
        action = event.get("action") or {}
        kind, player = action.get("type"), event.get("to") if event.get("from") == "GM" else event.get("from")
        if kind not in (SENT, GOT) or not isinstance(player, str) or player == "GM":
            continue
        if player not in views:
            about = players.get(player)
            views[player] = View(player, *_role_and_model(about, player, calls))
            memories[player] = _Memory([call for call in calls if call.player == player and call.text is not None])
        memories[player].take(views[player], action, round_)
    for view in views.values():
        while view.messages and view.messages[-1]["role"] != "assistant":
            view.messages.pop()
    return [view for view in views.values() if view.turns]


class _Memory:
    """What one player remembers while the events of an episode go by."""

    def __init__(self, calls: Sequence[StoredCall]) -> None:
        self._calls = list(calls)
        self._kept: list[Message] = []
        self._asked: list[Message] = []

    def take(self, view: View, action: Mapping[str, Any], round_: int) -> None:
        is_kept = action.get("label") != FORGET
        if action["type"] == SENT:
            message = {"role": "user", "content": action.get("content")}
            if "image" in action:
                message["image"] = action["image"]
            view.messages.append(message)
            self._asked = [*self._kept, message]
            if is_kept:
                self._kept.append(message)
            return
        answer = str(action.get("content"))
        message = {"role": "assistant", "content": answer}
        view.messages.append(message)
        call = self._next_call(answer)
        prompt, as_sent = _compared(self._asked, call)
        view.turns.append(Turn(prompt, answer, round_, as_sent, call))
        if is_kept:
            self._kept.append(message)
        self._asked = list(self._kept)

    def _next_call(self, answer: str) -> StoredCall | None:
        for place, call in enumerate(self._calls):
            if call.text == answer:
                del self._calls[: place + 1]
                return call
        return None


def _events(interactions: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for round_, events in enumerate(interactions.get("turns") or ()):
        for event in events:
            yield round_, event


def _compared(messages: list[Message], call: StoredCall | None) -> tuple[list[Message], bool | None]:
    """Return the prompt of a call, and whether its request has it."""
    if call is None or not call.request:
        return messages, None
    if call.kind == PROGRAM:  # its request is the last message only, so that the others are not known to be right
        is_other = not messages or hashlib.sha256(dumped(messages[-1])).hexdigest() != call.request
        return messages, False if is_other else None
    facts = facts_of(call)
    arguments = (facts.get("gen_args") or {}).get("all")
    if arguments is None:
        return messages, None
    without_images = [{key: value for key, value in each.items() if key != "image"} for each in messages[:-1]]
    # A player may forget images, or everything, without a label in the events.
    for prompt in (messages, [*without_images, *messages[-1:]], messages[-1:]):
        if _request_of(prompt, arguments) == call.request:
            return prompt, True
    return messages, False


def _request_of(messages: Sequence[Message], arguments: Mapping[str, Any]) -> str:
    """Return the hash that the engine stores for a request."""
    digest = hashlib.sha256()
    for message in messages:
        digest.update(_LINE.encode(message).encode("utf-8", "surrogatepass") + b"\n")
    digest.update(dumped(dict(sorted(arguments.items()))))
    return digest.hexdigest()


def facts_of(call: StoredCall) -> dict[str, Any]:
    """Return what the record of a call has in ``clemcore``; empty for a program."""
    record = json.loads(call.record)
    facts = record.get(FACTS) if isinstance(record, dict) else None
    return facts if isinstance(facts, dict) else {}


def _role_and_model(about: Any, player: str, calls: Sequence[StoredCall]) -> tuple[str, str]:
    known = about if isinstance(about, Mapping) else {}
    model = known.get("model_name")
    if model is None:
        specs = (facts_of(call).get("model_spec") or {} for call in calls if call.player == player)
        model = next((spec["model_name"] for spec in specs if "model_name" in spec), None)
    return str(known.get("game_role") or player), str(model or "")
