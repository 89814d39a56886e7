"""What a call costs on top of ``generate`` with the same ids: at most 0.5 ms or 3 %, and nothing on standard error.

The least of 50 calls each, taken in turns; of nine such rounds, the one in the middle. A single round differs from
the next by up to 0.3 ms on a shared machine.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from typing import Any

from support.models import built_model
from support.tiny import CAPITAL, load

CALLS = 50
ROUNDS = 9


def main(_arguments: list[str]) -> None:
    """Print the least and the median time of ``generate``, and what a call costs on top of it."""
    import torch

    model = load(built_model("tiny_chat"))
    reply = model.generate_response(CAPITAL)
    row = torch.tensor([reply.prompt["input_ids"]])
    config = model.model.generation_config
    config.max_new_tokens, config.do_sample = 300, False

    def bare() -> Any:
        return model.model.generate(row, attention_mask=torch.ones_like(row), generation_config=config)

    written = io.StringIO()
    with contextlib.redirect_stderr(written):
        rounds = [alternately(lambda: model.generate_response(CAPITAL), bare) for _ in range(ROUNDS)]
    if written.getvalue():
        raise SystemExit(f"on standard error: {written.getvalue()}")
    for name, pick in (("least", min), ("median", statistics.median)):
        costs = sorted(1e3 * (pick(ours) - pick(theirs)) for ours, theirs in rounds)
        base = 1e3 * statistics.median(pick(theirs) for _, theirs in rounds)
        cost = statistics.median(costs)
        print(
            f"{name:6}  generate {base:.3f} ms, generate_response +{cost:.3f} ms ({100 * cost / base:.1f} %), "
            f"rounds from +{costs[0]:.3f} to +{costs[-1]:.3f}"
        )


def alternately(one: Callable[[], Any], two: Callable[[], Any]) -> tuple[list[float], list[float]]:
    """Return the thread CPU times of two functions, called in turns, so that a busy machine disturbs both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(CALLS):
        for function, found in zip((one, two), times, strict=True):
            begin = time.thread_time()
            function()
            found.append(time.thread_time() - begin)
    return times
