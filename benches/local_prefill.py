"""The prefill of 2,000 tokens in blocks of several lengths, against one piece.

``--dtype bfloat16`` uses another number format, ``--tokens 1000`` another length.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

from local_turns import models

BLOCKS = (64, 128, 256, 512)
ROUNDS = 2


def main(arguments: list[str]) -> None:
    """Print the table."""
    options = argparse.ArgumentParser(prog="local.py prefill")
    options.add_argument("--tokens", type=int, default=2000)
    options.add_argument("--dtype", default="float32")
    asked = options.parse_args(arguments)
    model, _ = models(asked.dtype, None)
    ids = random.Random(0).choices(range(100, 20000), k=asked.tokens)  # noqa: S311 - no secret
    least = {block: min(seconds(model, ids, block) for _ in range(ROUNDS)) for block in (0, *BLOCKS)}
    print(f"{asked.tokens} tokens, {asked.dtype}, one piece: {least[0]:.2f} s of CPU")
    print("| block | ratio |\n|---|---|")
    for block in BLOCKS:
        print(f"| {block} | {least[block] / least[0]:.2f} |")


def seconds(model: Any, ids: list[int], block: int) -> float:
    """Return the CPU seconds to the first token."""
    from clemcore.backends.local.arguments import Arguments
    from clemcore.backends.local.engine import Job
    from clemcore.backends.local.modes.exact import Exact
    from clemcore.backends.local.prefixes import Prefixes

    mode = Exact(model._engine, Prefixes(), block, 0)
    begin = time.thread_time()
    list(mode.generate([Job(ids, Arguments(temperature=0.0, max_tokens=1))]))
    return time.thread_time() - begin
