"""What a call costs on top of ``generate`` with the same ids: at most 0.5 ms or 3 %, and nothing on standard error.

The least of 50 calls each, taken in turns.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from typing import Any

from support.models import built_model
from support.tiny import CAPITAL, load

CALLS = 50


def main(_arguments: list[str]) -> None:
    """Print the least and the median time of both, and their difference."""
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
        ours, theirs = alternately(lambda: model.generate_response(CAPITAL), bare)
    if written.getvalue():
        raise SystemExit(f"on standard error: {written.getvalue()}")
    for name, pick in (("least", min), ("median", lambda found: sorted(found)[CALLS // 2])):
        one, two = 1e3 * pick(ours), 1e3 * pick(theirs)
        share = 100 * (one - two) / two
        print(
            f"{name:6}  generate {two:.3f} ms, generate_response {one:.3f} ms: +{one - two:.3f} ms ({share:.1f} %)"
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
