"""How fast a local model answers batches, and whether the answers are those of each dialogue alone.

Run: python benches/local.py batches [prompts | lockstep | awaited | certified | all] [--model FOLDER] [--dtype D]

One thread of torch. Times are seconds of processor time of this process, so that other programs matter less; ratios
are taken within one run. Without --model, the demo's model is used (examples/demo/model.py).
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import runpy
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clemcore import backends
from clemcore.backends.local.asking import Ask

REPOSITORY = Path(__file__).resolve().parents[1]
WORDS = (
    "river",
    "market",
    "window",
    "garden",
    "teacher",
    "letter",
    "morning",
    "bridge",
    "yellow",
    "forest",
    "kitchen",
)
Messages = list[dict[str, str]]


def text(words: int, start: int) -> str:
    """Return so many words, other ones for each start."""
    return " ".join(WORDS[(start * 7 + n * (start % 5 + 1)) % len(WORDS)] for n in range(words))


def prompts(count: int, least: int = 4, most: int = 200) -> list[Messages]:
    """Return dialogues of one message of different lengths, in no order of length."""
    lengths = [least + (most - least) * ((n * 7) % count) // max(1, count - 1) for n in range(count)]
    return [[{"role": "user", "content": f"Continue: {text(size, n)}"}] for n, size in enumerate(lengths)]


def load(folder: Path, dtype: str, **config: Any) -> Any:
    """Load the model with one thread."""
    return backends.get_model_for(
        {
            "model_name": "bench",
            "backend": "huggingface_local",
            "huggingface_id": str(folder),
            "model_config": {"premade_chat_template": True, "dtype": dtype, "torch_num_threads": 1, **config},
        }
    )


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time that something takes, and what it returns."""
    begin = time.process_time()
    found = do()
    return time.process_time() - begin, found


def equal(one: Sequence[Any], other: Sequence[Any]) -> str:
    """Say how many answers have the same tokens."""
    same = sum(a.response["output_ids"] == b.response["output_ids"] for a, b in zip(one, other, strict=True))
    return f"{same} of {len(one)} answers equal"


def answers(model: Any, dialogues: Sequence[Messages], mode: str, **gen_args: Any) -> list[Any]:
    """Answer dialogues in a mode."""
    found = dict(model.answer_all([Ask(messages, gen_args) for messages in dialogues], model._modes[mode]))
    return [found[index] for index in range(len(dialogues))]


def padded(model: Any, dialogues: Sequence[Messages], new: int) -> list[list[int]]:
    """Answer dialogues by one padded call of transformers, written as its documentation has it."""
    import torch

    tokenizer = model.tokenizer
    texts = [tokenizer.apply_chat_template(each, add_generation_prompt=True, tokenize=False) for each in dialogues]
    tokenizer.padding_side = "left"
    inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        found = model.model.generate(**inputs, max_new_tokens=new, do_sample=False)
    ends = {tokenizer.eos_token_id}
    rows = []
    for row in found[:, inputs.input_ids.shape[1] :].tolist():
        end = next((n for n, token in enumerate(row) if token in ends), len(row) - 1)
        rows.append(row[: end + 1])
    return rows


def bench_prompts(folder: Path, dtype: str) -> None:
    """16 prompts of different lengths, 24 new tokens: one by one, padded, fast."""
    model = load(folder, dtype)
    model.set_gen_args(max_tokens=24)
    dialogues = prompts(16)
    answers(model, dialogues[:2], "fast", max_tokens=2)
    lengths = [model.count_tokens(each) for each in dialogues]
    fast, together = timed(lambda: answers(model, dialogues, "fast"))
    alone, exact = timed(lambda: answers(model, dialogues, "exact"))
    filled, _ = timed(lambda: padded(model, dialogues, 24))
    print(f"16 prompts of {min(lengths)}-{max(lengths)} tokens, 24 new, {dtype}")
    print(f"  one by one {alone:.1f} s; padded {filled:.1f} s ({alone / filled:.2f}x)")
    print(f"  fast {fast:.1f} s ({alone / fast:.2f}x); {equal(together, exact)} to those one by one")


def bench_lockstep(folder: Path, dtype: str) -> None:
    """Six dialogues of six turns: fast and one padded call per turn."""
    model = load(folder, dtype)
    model.set_gen_args(max_tokens=16)
    seconds = {"fast": 0.0, "padded": 0.0}
    same = 0
    dialogues: list[Messages] = [[] for _ in range(6)]
    answers(model, prompts(2), "fast", max_tokens=2)
    for turn in range(6):
        for number, dialogue in enumerate(dialogues):
            size = 15 + 12 * ((number * 5 + turn) % 6)
            dialogue.append({"role": "user", "content": f"Next: {text(size, 10 * turn + number)}"})
        took, replies = timed(lambda: answers(model, dialogues, "fast"))
        seconds["fast"] += took
        took, rows = timed(lambda: padded(model, dialogues, 16))
        seconds["padded"] += took
        same += sum(reply.response["output_ids"] == row for reply, row in zip(replies, rows, strict=True))
        for dialogue, reply in zip(dialogues, replies, strict=True):
            dialogue.append({"role": "assistant", "content": reply.text})
    ratio = seconds["fast"] / seconds["padded"]
    print(f"six dialogues in lockstep, six turns, 16 new, {dtype}")
    print(f"  padded {seconds['padded']:.1f} s; fast {seconds['fast']:.1f} s ({ratio:.2f}x); {same} of 36 equal")


def bench_awaited(folder: Path, dtype: str) -> None:
    """16 awaited calls at once, and one batch."""
    model = load(folder, dtype, exactness="fast")
    model.set_gen_args(max_tokens=24)
    dialogues = prompts(16, 1, 20)

    async def ask() -> list[Any]:
        return list(await asyncio.gather(*(model.agenerate_response(each) for each in dialogues)))

    model.generate_batch_response(dialogues)
    asyncio.run(ask())
    times: dict[str, list[float]] = {"batch": [], "awaited": []}
    for _ in range(9):
        times["batch"].append(timed(lambda: model.generate_batch_response(dialogues))[0])
        times["awaited"].append(timed(lambda: asyncio.run(ask()))[0])
    batch, awaited = (statistics.median(times[name]) for name in ("batch", "awaited"))
    print(f"16 calls, 24 new, {dtype}: one batch {batch:.4f} s, awaited {awaited:.4f} s ({awaited / batch:.2f}x)")


def bench_certified(folder: Path, options: argparse.Namespace) -> None:
    """Certified and exact answers of many prompts, greedy and sampled."""
    dtype, count, new = options.dtype, options.count, options.new
    model = load(folder, dtype)
    if options.shift is not None:
        model._modes["certified"]._shift = lambda: options.shift
    dialogues = prompts(count)
    sampled: dict[str, Any] = {"temperature": 1.0, "top_p": 0.9, "seed": 7}
    ways: dict[str, dict[str, Any]] = {"greedy": {}, "top_p 0.9 at temperature 1": sampled}
    for words, gen_args in ways.items():
        if options.only not in (None, "sampled" if gen_args else "greedy"):
            continue
        asked = functools.partial(answers, model, dialogues, max_tokens=new, **gen_args)
        took, certified = timed(functools.partial(asked, mode="certified"))
        alone, exact = timed(functools.partial(asked, mode="exact"))
        failed = [reply for reply in (*certified, *exact) if isinstance(reply, Exception)]
        if failed:
            raise failed[0]
        facts = [reply.facts["certified"] for reply in certified]
        again = sum(each["recomputed"] for each in facts)
        least = min(each["margin"] for each in facts if each["margin"] is not None)
        print(
            f"{count} prompts, {new} new, {dtype}, {words}: {equal(certified, exact)}; {again} computed again "
            f"({again / count:.0%}); smallest margin {least:.3g}, bound {facts[0]['bound']:.3g}; "
            f"certified {took:.1f} s, exact {alone:.1f} s"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benches that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="all")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--count", type=int, default=64, help="prompts of 'certified'")
    parser.add_argument("--new", type=int, default=24, help="new tokens of 'certified'")
    parser.add_argument("--shift", type=float, help="in place of that of the stored audit")
    parser.add_argument("--only", choices=["greedy", "sampled"], help="one half of 'certified'")
    asked = parser.parse_args(arguments)
    folder = asked.model or runpy.run_path(str(REPOSITORY / "examples" / "demo" / "model.py"))["ensure_model"]()
    benches: dict[str, Callable[[], None]] = {
        "prompts": lambda: bench_prompts(folder, asked.dtype),
        "lockstep": lambda: bench_lockstep(folder, asked.dtype),
        "awaited": lambda: bench_awaited(folder, asked.dtype),
        "certified": lambda: bench_certified(folder, asked),
    }
    for name, bench in benches.items():
        if asked.what in (name, "all"):
            bench()


if __name__ == "__main__":
    main()
