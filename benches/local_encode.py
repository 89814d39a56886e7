"""The last turn of a 16,000-token dialogue, encoded after the others were, against all of it.

``--tokens 4000`` takes another length. The tokenizer is that of the demo's model.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = ("the", "capital", "of", "Australia", "is", "Canberra", "and", "people", "like", "games", "very", "much")
ROUNDS = 15


def main(arguments: list[str]) -> None:
    """Print both times and their ratio."""
    from transformers import AutoTokenizer

    from clemcore.backends.local.cuts import PieceEncoder

    options = argparse.ArgumentParser(prog="local.py encode")
    options.add_argument("--tokens", type=int, default=16000)
    options.add_argument("--model", default="~/.cache/clemcore/models/SmolLM2-135M-Instruct-f32")
    asked = options.parse_args(arguments)
    tokenizer = AutoTokenizer.from_pretrained(Path(asked.model).expanduser())
    before, whole = dialogue(tokenizer, asked.tokens)
    last, first = [], []
    for _ in range(ROUNDS):
        encoder = PieceEncoder(tokenizer)
        first.append(seconds(lambda: encoder.encode(before)))  # noqa: B023 - called at once
        last.append(seconds(lambda: encoder.encode(whole)))  # noqa: B023
        if encoder.encode(whole) != encoded(tokenizer, whole):
            raise SystemExit("the ids differ from those of the whole text")
    at_once = min(seconds(lambda: encoded(tokenizer, whole)) for _ in range(ROUNDS))
    print(f"{len(encoded(tokenizer, whole))} tokens: {at_once * 1000:.2f} ms as a whole")
    print(f"the first time in pieces: {min(first) * 1000:.2f} ms ({min(first) / at_once:.2f} of it)")
    print(f"its last turn: {min(last) * 1000:.2f} ms (1/{at_once / min(last):.0f} of it)")


def dialogue(tokenizer: Any, tokens: int) -> tuple[str, str]:
    """Return a dialogue of about so many tokens, without and with its last turn of 40 words."""
    draw = random.Random(0)  # noqa: S311 - the same words each time

    def turn(role: str) -> str:
        return f"<|im_start|>{role}\n{' '.join(draw.choices(WORDS, k=40))}<|im_end|>\n"

    each = len(encoded(tokenizer, turn("user")))
    before = "".join(turn(("user", "assistant")[number % 2]) for number in range(tokens // each))
    return before, before + turn("user") + "<|im_start|>assistant\n"


def encoded(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text as transformers makes them."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return ids


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a piece of work; tokenizers compute one text in the thread that asks."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin
