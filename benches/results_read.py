"""Reads 10,000 episodes with Python's json and with clemcore: see `python benches/results.py read`.

The episodes have the six files of 3.7.2 with the calls of two models: ``instance.json``, ``interactions.json``,
``player_1.requests.json``, ``player_2.requests.json``, ``scores.json`` and ``completed.json``. Together they take
70,000 inodes and 480 MB of a disk. Each side begins with a folder, finds the episodes in it, and reads all of them:

* json: ``json.loads`` of the content of each file that ``os.walk`` finds.
* clemcore: ``read_episodes``, and of each episode what its page is made of. That is its state; scores, instance and
  the time of its end as Python has them; the interactions, parsed by the core; and its calls, each with player,
  round, answer and the bytes of its record. From a store, the scores are read from the store, too.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

from least_cpu import least_cpu

from clemcore._core import transcript_images
from clemcore.clemgame.layout.episodes import read_episodes
from clemcore.clemgame.plan import PlannedEpisode
from clemcore.clemgame.store import RunStore

ROUNDS, CALLS = 3, 7
STAMP = "2026-01-02T03:04:05.678901"
ROLES = {"Player 1": "Describer", "Player 2": "Guesser"}
MODELS = {
    str(number): {
        "model_spec": {"model_name": "m", "backend": "openai", "model_id": "m-2026-01-02"},
        "gen_args": {"temperature": 0.0, "max_tokens": 300},
    }
    for number in range(2)
}
PLAYERS = {"GM": {"game_role": "Game Master", "model_name": "programmatic"}}
PLAYERS |= {name: {"game_role": role, "model_name": "m"} for name, role in ROLES.items()}


def read(folder: Path, episodes: int) -> tuple[float, float, float]:
    """Return CPU seconds to read episodes: with json, with clemcore from files, and from a store.

    Args:
        folder: where they are written.
        episodes: how many.
    """
    classic, run = folder / "classic", folder / "store" / "mock"
    write_classic(classic, episodes)
    write_store(classic, run)
    return (
        least_cpu(lambda: _by_json(classic), ROUNDS),
        least_cpu(lambda: _by_clemcore(classic), ROUNDS),
        least_cpu(lambda: _by_clemcore(run), ROUNDS),
    )


def write_classic(results: Path, count: int) -> None:
    """Write the files of episodes as 3.7.2 does."""
    luck = random.Random(1)  # noqa: S311 - texts of a benchmark
    for number in range(count):
        about = {"game_name": f"game_{number % 10}", "experiment_name": f"level_{number // 10 % 5}"}
        folder = results / "mock" / about["game_name"] / about["experiment_name"]
        folder /= f"instance_{number // 50:05d}"
        folder.mkdir(parents=True)
        for name, content in _files({**about, "game_id": number // 50}, luck).items():
            (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=2))


def _files(about: dict[str, Any], luck: random.Random) -> dict[str, Any]:
    words = [f"word{number}" for number in range(500)]
    calls: dict[str, list[Any]] = {name: [] for name in ROLES}
    dialogues: dict[str, list[dict[str, str]]] = {name: [] for name in ROLES}
    turns = []
    for turn in range(CALLS):
        player = f"Player {turn % 2 + 1}"
        prompt, answer = (" ".join(luck.choices(words, k=size)) for size in (120 if turn < 2 else 25, 15))
        dialogues[player].append({"role": "user", "content": prompt})
        calls[player].append({"round": turn, "call": _call(dialogues[player], answer)})
        dialogues[player].append({"role": "assistant", "content": answer})
        events = [("GM", player, "send message", prompt), (player, "GM", "get message", answer)]
        events += [("GM", "GM", "parse", answer[:20]), ("GM", "GM", "valid move", "yes")]
        turns.append(
            [
                {"from": one, "to": other, "timestamp": STAMP, "action": {"type": kind, "content": said}}
                for one, other, kind, said in events
            ]
        )
    meta = {**about, "results_folder": "mock", "clem_version": "3.7.2", "round_count": CALLS, "completed": True}
    counts = {name: [1] * CALLS for name in ("Request Count", "Violated Request Count", "Parsed Request Count")}
    metrics = {
        "Accuracy": luck.random(),
        "Request Count": 1,
        "Parsed Request Count": 1,
        "Violated Request Count": 0,
    }
    ended = {"Aborted": 0, "Lose": 0, "Success": 1}
    common = {"player_models": MODELS, "players": PLAYERS}
    return {
        "instance.json": {
            "game_id": about["game_id"],
            "prompt": " ".join(luck.choices(words, k=150)),
            "language": "en",
        },
        "interactions.json": {"meta": meta, **common, "turns": turns, **counts, **ended},
        "scores.json": {
            "meta": meta,
            **common,
            "round scores": {str(turn): metrics for turn in range(CALLS)},
            "episode scores": {**ended, "Main Score": round(luck.uniform(0, 100), 2)},
        },
        "completed.json": {"timestamp": STAMP},
        **{
            f"player_{number}.requests.json": {
                "meta": {**about, "player_name": name, "model_name": "m", "round_count": CALLS, "completed": True},
                "calls": calls[name],
            }
            for number, name in enumerate(ROLES, 1)
        },
    }


def _call(dialogue: list[dict[str, str]], answer: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer, "refusal": None}
    response = {
        "id": "chatcmpl-123",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m-2026-01-02",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 30, "total_tokens": 330},
        "clem_player": {"call_start": STAMP, "call_duration": 1.234567, "response": answer, "model_name": "m"},
    }
    return {"timestamp": STAMP, "manipulated_prompt_obj": list(dialogue), "raw_response_obj": response}


def write_store(results: Path, run: Path) -> None:
    """Write episodes into the store of a run."""
    run.mkdir(parents=True)
    with RunStore.open(run) as store:
        found = list(read_episodes(results))
        store.plan(
            PlannedEpisode(each.key, each.experiment, each.instance, place) for place, each in enumerate(found)
        )
        for each in found:
            episode = store.begin(each.key)
            for call in each.calls():
                episode.call(call)
            episode.finish("played", json.dumps(each.interactions).encode())
            store.keep_scores(each.key, json.dumps(each.scores).encode())


def _by_json(path: Path) -> None:
    for folder, _, files in os.walk(path):
        for name in files:
            with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123 - as quick as it gets
                json.loads(file.read())


def _by_clemcore(path: Path) -> None:
    for episode in read_episodes(path):
        found = (episode.calls(), transcript_images(episode.interactions_json()) == [], episode.scores)
        if not all((*found, episode.instance, episode.ended)) or len(found[0]) != CALLS:
            raise SystemExit(f"{episode} was not read")
