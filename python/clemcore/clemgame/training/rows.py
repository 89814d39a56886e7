"""Rows of conversations and of rollouts: what one player said in one episode, for a trainer.

Token ids are those of the record. Nothing is tokenised here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from clemcore.calls.encoding import FACTS, PROMPT, RESPONSE, sha256_of_value
from clemcore.clemgame.training.scores import reward_of, turn_reward_of
from clemcore.clemgame.training.selection import Selected
from clemcore.clemgame.training.views import PROGRAM, Turn
from clemcore.errors import StoreError

Row = dict[str, Any]


def labels_of(selected: Selected) -> Row:
    """Return the columns that say where a row comes from."""
    key, view = selected.episode.key, selected.view
    return {
        "run": selected.episode.line_up,
        "game": key.game,
        "experiment": key.experiment,
        "game_id": key.game_id,
        "epoch": key.epoch,
        "player": view.player,
        "role": view.role,
        "model": view.model,
        "outcome": selected.outcome,
    }


def conversation(selected: Selected, metric: str) -> Row:
    """Return the row of ``sft``."""
    score, _ = reward_of(selected.scores, metric)
    view = selected.view
    return {"messages": view.messages, **labels_of(selected), "score": score, "as_sent": view.as_sent}


def rollouts(selected: Selected, reward: float | None, turn_metric: str | None) -> Iterator[Row]:
    """Give a row for each turn of a player.

    Args:
        selected: what the player saw.
        reward: the reward of the episode.
        turn_metric: the metric of a round that is the reward of a turn, or None.

    Raises:
        StoreError: the token ids differ from their hash in the record.
    """
    for turn in selected.view.turns:
        turn_reward = turn_why = None
        if turn_metric is not None:
            turn_reward, turn_why = turn_reward_of(selected.scores, turn_metric, turn.round)
        yield {
            **ids_of(turn, f"{selected.episode.folder}, {selected.view.player}, round {turn.round}"),
            "completion": turn.answer,
            "reward": reward,
            "turn_reward": turn_reward,
            "why_no_turn_reward": turn_why,
            "round": turn.round,
            "call": None if turn.call is None else turn.call.number,
            "as_sent": turn.as_sent,
            **labels_of(selected),
        }


def ids_of(turn: Turn, where: str) -> Row:
    """Return the columns of a turn that come from its record.

    Args:
        turn: the answer.
        where: how errors name it.

    Raises:
        StoreError: ids differ from their hash, or the log probabilities do not fit the ids.
    """
    row: Row = dict.fromkeys(
        ("prompt_ids", "completion_ids", "assistant_mask", "logprobs", "why_no_ids", "finish_reason", "scope")
    )
    call = turn.call
    if call is None:
        return {**row, "why_no_ids": "no stored call has this answer"}
    record = json.loads(call.record)
    facts = record.get(FACTS) or {}
    row |= {"finish_reason": facts.get("finish_reason"), "scope": _scope_of(facts)}
    if call.kind == PROGRAM:
        return {**row, "why_no_ids": "a program gave the answer"}
    prompt, completion = _of_record(record)
    if prompt is None or completion is None:
        return {**row, "why_no_ids": "the record of the model has no token ids"}
    _check_hashes(facts, {"input_ids": prompt, "output_ids": completion}, where)
    logprobs = _logprobs_of(record.get(RESPONSE))
    if logprobs is not None and len(logprobs) != len(completion):
        raise StoreError(
            f"{where}: the record has {len(logprobs)} log probabilities for {len(completion)} tokens, so they "
            "cannot be assigned. Leave these episodes out"
        )
    return {
        **row,
        "prompt_ids": prompt,
        "completion_ids": completion,
        "assistant_mask": [0] * len(prompt) + [1] * len(completion),
        "logprobs": logprobs,
    }


def _of_record(record: Mapping[str, Any]) -> tuple[list[int] | None, list[int] | None]:
    """Return the ids of prompt and completion: of a local model, or of a vLLM server with ``return_token_ids``."""
    sent, got = _mapping(record.get(PROMPT)), _mapping(record.get(RESPONSE))
    choice = _choice_of(got)
    prompt = sent.get("input_ids") or got.get("prompt_token_ids")
    return _ids(prompt), _ids(got.get("output_ids", choice.get("token_ids")))


def _choice_of(response: Any) -> Mapping[str, Any]:
    choices = _mapping(response).get("choices")
    return _mapping(choices[0]) if isinstance(choices, list) and choices else {}


def _logprobs_of(response: Any) -> list[float] | None:
    """Return the log probability of each token of the answer, as OpenAI's format has them, or None."""
    content = _mapping(_choice_of(response).get("logprobs")).get("content")
    if not isinstance(content, list):
        return None
    values = [_mapping(each).get("logprob") for each in content]
    return [float(value) for value in values if isinstance(value, (int, float))]


def _check_hashes(facts: Mapping[str, Any], ids: Mapping[str, list[int]], where: str) -> None:
    for name, values in ids.items():
        known = _mapping(facts.get("hashes")).get(name)
        if known is not None and known != sha256_of_value(values):
            raise StoreError(
                f"{where}: the record's {name} differ from their hash: the record was changed after the call. "
                "Check it with `clem verify`"
            )


def _scope_of(facts: Mapping[str, Any]) -> str | None:
    """Return the labels as JSON text: their names and types differ from run to run."""
    scope = facts.get("scope")
    return None if scope is None else json.dumps(scope, ensure_ascii=False, sort_keys=True)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _ids(value: Any) -> list[int] | None:
    is_list = isinstance(value, list) and all(isinstance(each, int) for each in value)
    return value if is_list else None
