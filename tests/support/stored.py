"""Episodes as a game of two players makes them, for tests and benchmarks of stores and layouts."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from clemcore.calls import recorder
from clemcore.calls.encoding import JsonText, encoded_once, to_json
from clemcore.clemgame.plan import EpisodeKey, PlannedEpisode
from clemcore.clemgame.store import EpisodeWriter, StoredCall

MODELS = {
    str(number): {
        "model_spec": {"model_name": "mock", "backend": "_player_programmed"},
        "gen_args": {"temperature": 0.0, "max_tokens": 300},
    }
    for number in range(2)
}
_STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
_RULES = """You are playing a word guessing game: you describe a target word, and another player guesses it.

Rules:
(a) Reply in the form CLUE: <some text>. Guesses of the other player begin with GUESS.
(b) Do not use the target word itself, parts of it, or a word that is derived from it.
(c) The same rules hold for the related words below.

End conditions:
(i) If you use the target word or a related word in your description, you lose.
(ii) If the other player guesses the target word in {rounds} tries, you both win.

This is the target word that you describe:

{word}

Related words are:

- {word}s
- {word}ing
- un{word}

Give short descriptions that are to the point. Do not explain what you do, and do not add anything to the form
above. The other player sees nothing but your clue, and knows neither the target word nor the related words."""


def planned(count: int, *, game: str = "taboo", epochs: int = 1) -> list[PlannedEpisode]:
    """Return a plan of instances of one experiment."""
    experiment = {"name": "high_en", "max_turns": 3, "describer_initial_prompt": _RULES}
    return [
        PlannedEpisode(
            EpisodeKey(game, "high_en", number, epoch),
            experiment,
            {"game_id": number, "target_word": f"word{number}", "related_word": [f"a{number}", f"b{number}"]},
            (epoch - 1) * count + number,
        )
        for epoch in range(1, epochs + 1)
        for number in range(count)
    ]


def record_of(prompt: Any, response: Any, text: str | None, *, number: int = 0, usd: float | None = None) -> bytes:
    """Return a record as every call makes it."""
    facts: dict[str, Any] = {
        "model_spec": encoded_once(MODELS["0"]["model_spec"]),
        "gen_args": encoded_once({"all": MODELS["0"]["gen_args"], "asked": {}, "defaults": [], "sent": None}),
        "versions": encoded_once({"clemcore": "4.0.0"}),
    }
    if usd is not None:
        facts["cost"] = {"usd": usd}
    return recorder.finished(
        started=_STARTED,
        duration=0.001 * number,
        prompt=prompt,
        response=response,
        text=text,
        facts=facts,
        labels={"game": "taboo", "experiment": "high_en", "episode": 0, "call": number},
    ).to_json()


def program_record(prompt: Any, response: Any) -> bytes:
    """Return a record as the engine makes it for a programmatic player."""
    return to_json(
        {"timestamp": _STARTED.isoformat(), "manipulated_prompt_obj": prompt, "raw_response_obj": response}
    )


def wire(value: Any) -> JsonText:
    """Return a body as it goes over a wire."""
    return JsonText(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@dataclass
class Script:
    """What happens in one episode: events and calls in order, and the interactions at its end."""

    steps: list[bytes | StoredCall] = field(default_factory=list)
    interactions: dict[str, Any] = field(default_factory=dict)

    @property
    def calls(self) -> list[StoredCall]:
        return [step for step in self.steps if isinstance(step, StoredCall)]

    def play(self, writer: EpisodeWriter, *, finish: bool = True) -> None:
        for step in self.steps:
            if isinstance(step, StoredCall):
                writer.call(step)
            else:
                writer.event(step)
        if finish:
            writer.finish("played", json.dumps(self.interactions).encode())


def script(key: EpisodeKey, *, rounds: int = 3, stamp: str | None = None) -> Script:
    """Return an episode of a game like taboo: with three rounds, 25 events and 6 calls."""
    made = Script()
    luck = random.Random(ascii(str(key)))
    turns: list[list[dict[str, Any]]] = [[]]
    dialogue: dict[str, list[dict[str, str]]] = {"Player 1": [], "Player 2": []}

    def event(from_: str, to: str, **action: Any) -> None:
        happened = {"from": from_, "to": to, "timestamp": stamp or "2026-01-02T03:04:05.678901", "action": action}
        turns[-1].append(happened)
        made.steps.append(json.dumps(happened, ensure_ascii=False).encode())

    def call(player: str, content: str, answer: str, round_: int) -> None:
        event("GM", player, type="send message", content=content, label="context")
        dialogue[player].append({"role": "user", "content": content})
        number = len(made.calls)
        prompt = {"role": "user", "content": content}
        response = {"clem_player": {"response": answer, "model_name": "mock"}}
        made.steps.append(
            StoredCall(
                number,
                player,
                round_,
                "program",
                hashlib.sha256(repr(dialogue[player]).encode()).hexdigest(),
                answer,
                program_record(prompt, response),
                1,
            )
        )
        dialogue[player].append({"role": "assistant", "content": answer})
        event(player, "GM", type="get message", content=answer, label="response")
        event("GM", "GM", type="parse", content=answer.partition(": ")[2])

    for round_ in range(rounds):
        if round_:
            turns.append([])
        word = f"word{key.game_id}"
        clue = f"CLUE: it is number {luck.randrange(10**6)}, and nothing like the {round_}th"
        prompt = _RULES.format(rounds=rounds, word=word) if not round_ else "GUESS: wrong. Try another clue."
        call("Player 1", prompt, clue, round_)
        call("Player 2", f"{clue}\nYour guess?", f"GUESS: {luck.randrange(10**6)}", round_)
        event("GM", "GM", type="metadata", content=f"round {round_} ends")
        event("GM", "GM", type="invalid format", content="no")
    event("GM", "GM", type="end", content="lost")
    made.interactions = {
        "meta": {
            "game_name": key.game,
            "experiment_name": key.experiment,
            "game_id": key.game_id,
            "results_folder": "mock",
            "clem_version": "4.0.0",
            "round_count": rounds,
            "completed": True,
        },
        "player_models": MODELS,
        "players": {
            "GM": {"game_role": "Game Master", "model_name": "programmatic"},
            "Player 1": {"game_role": "WordDescriber", "model_name": "mock"},
            "Player 2": {"game_role": "WordGuesser", "model_name": "mock"},
        },
        "turns": turns,
        "Request Count": [2] * rounds,
    }
    return made


def dialogues(kind: str, *, turns: int = 5, seed: int = 0) -> Iterator[bytes]:
    """Give the records of one growing dialogue with a service or a local model, as its backend records them."""
    luck = random.Random(seed)
    words = [
        "über",
        "naïve",
        'a "quoted" word',
        "back\\slash",
        "line\nbreak",
        "\ud800",
        "🦊",
        "{",
        "}",
        '{"role": "x"}',
    ]
    messages: list[dict[str, str]] = [{"role": "system", "content": "Be short. " * 30}]
    for number in range(turns):
        messages.append({"role": "user", "content": " ".join(luck.choices(words, k=luck.randrange(1, 40)))})
        answer = " ".join(luck.choices(words, k=luck.randrange(0, 40)))
        if kind == "local":
            text = "".join(f"<|{each['role']}|>{each['content']}" for each in messages) + "<|assistant|>"
            prompt: Any = {
                "inputs": text,
                "max_new_tokens": 300,
                "temperature": 0.0,
                "input_ids": [ord(letter) % 1000 for letter in text],
            }
            response: Any = {"response": text + answer, "output_ids": [1, 2, 3]}
        elif kind == "mock":
            prompt, response = messages, {"text": answer}
        else:
            prompt, response = (
                {"model": "m", "messages": messages, "temperature": 0.0},
                {"id": str(number), "a": answer},
            )
        yield record_of(json.loads(json.dumps(prompt)), response, answer, number=number)
        messages.append({"role": "assistant", "content": answer})
