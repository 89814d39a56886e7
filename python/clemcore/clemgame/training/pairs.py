"""Preference pairs: two answers to the same prompt, in episodes of one instance with different rewards.

Episodes of several epochs, and branches of one episode, share a prefix until their first different answer. It does
not know files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from clemcore.clemgame.training.rows import Row, labels_of
from clemcore.clemgame.training.selection import Selected, instance_of
from clemcore.errors import StoreError


class _Prompt:
    """A prompt, and the rewards of the episodes that went on with each answer."""

    def __init__(self, messages: list[dict[str, Any]], labels: Row, split: str) -> None:
        self.messages, self.labels, self.split = messages, labels, split
        self.answers: dict[str, list[float]] = {}


class Pairs:
    """Collects answers, and gives the pairs."""

    def __init__(self) -> None:
        self._prompts: dict[tuple[str, ...], _Prompt] = {}
        self._first: dict[tuple[str, ...], Counter[str]] = {}
        self.not_as_sent = 0

    def add(self, selected: Selected, reward: float) -> None:
        """Add the answers of a player.

        Args:
            selected: what the player saw.
            reward: the reward of its episode.
        """
        labels = labels_of(selected)
        scene = (labels["run"], instance_of(selected.episode), labels["player"], labels["model"])
        first = json.dumps(selected.view.turns[0].prompt, sort_keys=True, default=repr)
        self._first.setdefault(scene, Counter())[first] += 1
        for turn in selected.view.turns:
            if turn.as_sent is False:
                self.not_as_sent += 1
                continue
            key = (*scene, json.dumps(turn.prompt, sort_keys=True, default=repr))
            kept = {name: labels[name] for name in labels if name not in ("epoch", "outcome")}
            prompt = self._prompts.setdefault(key, _Prompt(turn.prompt, kept, selected.split))
            prompt.answers.setdefault(turn.answer, []).append(reward)

    def rows(self, min_margin: float) -> Iterator[tuple[str, Row]]:
        """Give the split and the row of each pair.

        Args:
            min_margin: the least difference of the mean rewards; pairs without a difference are never given.

        Raises:
            StoreError: there is no pair; the message says why.
        """
        count = 0
        for prompt in self._prompts.values():
            means = {answer: sum(rewards) / len(rewards) for answer, rewards in prompt.answers.items()}
            for pair in combinations(means, 2):
                chosen, rejected = sorted(pair, key=lambda answer: -means[answer])
                margin = means[chosen] - means[rejected]
                if margin <= 0 or margin < min_margin:
                    continue
                count += 1
                yield prompt.split, _row(prompt, chosen, rejected, means)
        if not count:
            raise StoreError(self._why_none(min_margin))

    def _why_none(self, min_margin: float) -> str:
        several = [first for first in self._first.values() if first.total() > 1]
        if not several:
            return (
                "no instance has two episodes of the same player and model, so there is nothing to compare. Play "
                "it with `clem run --epochs 2` or more, at a temperature above 0, or with the branching runner"
            )
        if all(max(first.values()) == 1 for first in several):
            return (
                "the episodes have no common prefix: in all instances with several episodes, the "
                "first prompt differs from episode to episode. Pairs need equal prompts: check that the game draws "
                "nothing at random outside of its instances, and that branches begin where this player answers"
            )
        if all(len(prompt.answers) == 1 for prompt in self._prompts.values()):
            return (
                "all answers to equal prompts are equal, so there is nothing to prefer. Play at a temperature "
                "above 0"
            )
        least = f" of at least {min_margin:g}" if min_margin else ""
        return f"answers to equal prompts differ, but their rewards have no difference{least}"


def _row(prompt: _Prompt, chosen: str, rejected: str, means: dict[str, float]) -> Row:
    return {
        "prompt": prompt.messages,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "margin": means[chosen] - means[rejected],
        "chosen_reward": means[chosen],
        "rejected_reward": means[rejected],
        "chosen_episodes": len(prompt.answers[chosen]),
        "rejected_episodes": len(prompt.answers[rejected]),
        **prompt.labels,
    }
