"""Scores of four answers after one prompt of 1,000 tokens, against one; in one pass, against token by token.

``--dtype bfloat16`` uses another number format.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from typing import Any

from local_turns import models

WORDS = ("the", "capital", "of", "Australia", "is", "Canberra", "and", "people", "like", "games", "very", "much")
ROUNDS = 2


def main(arguments: list[str]) -> None:
    """Print the ratios, and how far apart the two ways are."""
    options = argparse.ArgumentParser(prog="local.py scores")
    options.add_argument("--tokens", type=int, default=1000)
    options.add_argument("--dtype", default="float32")
    asked = options.parse_args(arguments)
    model, _ = models(asked.dtype, None)
    draw = random.Random(0)  # noqa: S311 - the same words each time
    messages = [{"role": "user", "content": " ".join(draw.choices(WORDS, k=asked.tokens - 10))}]
    answers = [" ".join(draw.choices(WORDS, k=20)) for _ in range(4)]
    took = {}
    for exactness in ("fast", "exact"):
        for count in (1, 4):
            took[exactness, count] = min(
                seconds(model, messages, answers[:count], exactness) for _ in range(ROUNDS)
            )
    size, least = model.count_tokens(messages), took["fast", 1]
    print(f"{size} tokens, {asked.dtype}, one answer in one pass: {least:.2f} s of CPU")
    for exactness in ("fast", "exact"):
        print(f"{exactness}: four answers take {took[exactness, 4] / took[exactness, 1]:.2f} times as long as one")
    fast, exact = (model.score_answers(messages, answers, exactness=way) for way in ("fast", "exact"))
    apart = max(abs(one.sum - other.sum) for one, other in zip(fast, exact, strict=True))
    print(f"largest difference of two sums: {apart:.2g}")


def seconds(model: Any, messages: Any, answers: Sequence[str], exactness: str) -> float:
    """Return the CPU seconds of scoring, with nothing kept from before."""
    model.forget_kept()
    begin = time.thread_time()
    model.score_answers(messages, answers, exactness=exactness)
    return time.thread_time() - begin
