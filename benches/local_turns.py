"""30 turns of one dialogue: kept prefixes against one ``generate`` from scratch per turn.

40 words and 16 new tokens a turn. The answers of all turns are compared with those of a loop of plain ``generate``
calls. ``--dtype bfloat16`` uses another number format, ``--turns 8`` fewer turns, ``--block 128`` other blocks.

``--bitwise`` compares with the same model without kept prefixes (``kept_cache: 0``) instead: the answers, and the
logits of each of their tokens, bit by bit.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

from support.models import REPOSITORY, load_script

WORDS = ["apple", "river", "stone", "cloud", "green", "seven", "walk", "under", "light", "paper", "music", "winter"]


def main(arguments: list[str]) -> None:
    """Print a line per turn and the ratios."""
    options = argparse.ArgumentParser(prog="local.py turns")
    options.add_argument("--turns", type=int, default=30)
    options.add_argument("--dtype", default="float32")
    options.add_argument("--block", type=int)
    options.add_argument("--bitwise", action="store_true")
    asked = options.parse_args(arguments)
    if asked.bitwise:
        compare_bitwise(asked.dtype, asked.block, asked.turns)
        return
    ours, plain = models(asked.dtype, asked.block)
    clock = FirstToken(plain)
    messages: list[dict[str, str]] = []
    times: tuple[list[float], list[float]] = ([], [])
    firsts: tuple[list[float], list[float]] = ([], [])
    equal = before = 0
    for turn in range(asked.turns):
        messages.append(question(turn))
        reply, seconds, first = timed(ours, clock, messages)
        facts = reply.facts["prefill"]
        if facts["computed"] > len(reply.prompt["input_ids"]) - before + facts["block"]:
            raise SystemExit(f"more was computed than is new, plus a block: {facts}")
        before = len(reply.prompt["input_ids"])
        other, other_seconds, other_first = scratch(plain, clock, reply.prompt["input_ids"])
        equal += other == reply.response["output_ids"]
        for found, pair in ((times, (seconds, other_seconds)), (firsts, (first, other_first))):
            for one, value in zip(found, pair, strict=True):
                one.append(value)
        print(f"{turn + 1:3} {before:6} tokens, {facts['kept']:6} kept  {seconds:7.2f} s, {other_seconds:7.2f} s")
        messages.append({"role": "assistant", "content": reply[2] or "-"})
    print(f"all turns:            {sum(times[0]) / sum(times[1]):.3f}")
    print(f"to the first token:   {sum(firsts[0]) / sum(firsts[1]):.3f}")
    print(f"  the last five:      {sum(firsts[0][-5:]) / sum(firsts[1][-5:]):.3f}")
    print(f"equal answers:        {equal} of {asked.turns}")


def question(turn: int) -> dict[str, str]:
    """Return the message of a turn: 40 words."""
    words = random.Random(turn).choices(WORDS, k=40)  # noqa: S311 - no secret
    return {"role": "user", "content": " ".join(words)}


def compare_bitwise(dtype: str, block: int | None, turns: int) -> None:
    """Print in how many turns the answer and all its logits are those without kept prefixes."""
    import torch

    kept, inner = models(dtype, block)
    scratch, same_weights = models(dtype, block, kept_cache=0)
    if inner is not same_weights:
        raise SystemExit("the models do not share their weights")
    rows: list[Any] = []
    inner.register_forward_hook(lambda _module, _args, made: rows.append(made.logits[0, -1].clone()))

    def asked(model: Any, messages: list[dict[str, str]]) -> tuple[Any, list[Any]]:
        rows.clear()
        reply = model.generate_response(messages)
        return reply, rows[-len(reply.response["output_ids"]) :]

    messages: list[dict[str, str]] = []
    equal_answers = equal_logits = steps = tokens = 0
    for turn in range(turns):
        messages.append(question(turn))
        one, logits = asked(kept, messages)
        other, other_logits = asked(scratch, messages)
        if other.facts["prefill"]["kept"]:
            raise SystemExit("a prefix was kept although kept_cache is 0")
        tokens += one.facts["prefill"]["kept"]
        steps += len(logits)
        equal_answers += one.response["output_ids"] == other.response["output_ids"]
        equal_logits += len(logits) == len(other_logits) and all(map(torch.equal, logits, other_logits))
        messages.append({"role": "assistant", "content": one[2] or "-"})
    print(f"{turns} turns, {dtype}, blocks of {one.facts['prefill']['block']}, {tokens} tokens from kept prefixes")
    print(f"equal answers:             {equal_answers} of {turns}")
    print(f"all logits equal bitwise:  {equal_logits} of {turns} ({steps} tokens)")


def models(dtype: str, block: int | None, **more: Any) -> tuple[Any, Any]:
    """Return our model, and the transformers model that it computes with."""
    from support.tiny import load

    folder = load_script(REPOSITORY / "examples" / "demo" / "model.py").ensure_model()
    config: dict[str, Any] = {"premade_chat_template": True, "dtype": dtype, **more}
    if block is not None:
        config["prefill_block"] = block
    model = load(folder, config)
    model.set_gen_args(temperature=0.0, max_tokens=16)
    return model, model.model


def timed(model: Any, clock: FirstToken, messages: list[dict[str, str]]) -> tuple[Any, float, float]:
    """Return a reply, and the CPU seconds to its end and to its first token."""
    begin = time.thread_time()
    with clock:
        reply = model.generate_response(messages)
    return reply, time.thread_time() - begin, clock.first - begin


def scratch(model: Any, clock: FirstToken, ids: list[int]) -> tuple[list[int], float, float]:
    """Return the new tokens of one ``generate`` over everything, and the same times."""
    import torch
    from transformers import GenerationConfig

    row, own = torch.tensor([ids]), model.generation_config
    config = GenerationConfig(
        max_new_tokens=16, do_sample=False, pad_token_id=own.pad_token_id, eos_token_id=own.eos_token_id
    )
    begin = time.thread_time()
    with clock:
        made = model.generate(row, attention_mask=torch.ones_like(row), generation_config=config)
    return made[0, len(ids) :].tolist(), time.thread_time() - begin, clock.first - begin


class FirstToken:
    """Notes when the model is first called with one token, that is after the whole prompt.

    Its hook stays: nothing is kept of a prompt when the hooks of a model change.
    """

    def __init__(self, model: Any) -> None:
        self.first = 0.0
        self._is_running = False
        model.register_forward_pre_hook(self._called, with_kwargs=True)

    def __enter__(self) -> FirstToken:
        self.first, self._is_running = 0.0, True
        return self

    def __exit__(self, *_: object) -> None:
        self._is_running = False
        self.first = self.first or time.thread_time()

    def _called(self, _module: Any, _args: Any, kwargs: Any) -> None:
        if self._is_running and not self.first and kwargs["input_ids"].shape[-1] == 1:
            self.first = time.thread_time()
