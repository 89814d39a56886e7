"""Prompts fed in one piece (``prefill_block: 0``) against a bare ``generate``: are the answers equal?

Run: python benches/local.py whole [--dtype float32 | bfloat16 | int8] [--new N]

``generate`` is that of transformers, on a model that was loaded without clemcore; prompts of 300 to 1,500 tokens.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

from local_turns import question

from support.models import REPOSITORY, load_script

TURNS = (6, 12, 20, 27)


def main(arguments: list[str]) -> None:
    """Print a line per prompt."""
    options = argparse.ArgumentParser(prog="local.py whole")
    options.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "int8"])
    options.add_argument("--new", type=int, default=24)
    asked = options.parse_args(arguments)
    warnings.simplefilter("ignore")  # bitsandbytes, about kernels
    equal = 0
    ours, bare = models(asked.dtype, asked.new)
    for turns in TURNS:
        reply = ours.generate_response(dialogue(turns))
        ids = reply.prompt["input_ids"]
        if reply.facts["prefill"] != {"block": 0, "kept": 0, "computed": len(ids)}:
            raise SystemExit(f"the prompt was not fed in one piece: {reply.facts['prefill']}")
        is_equal = reply.response["output_ids"] == generated(bare, ids, asked.new)
        equal += is_equal
        print(f"{len(ids):6} tokens: {'equal' if is_equal else 'DIFFERENT'}")
    print(f"{asked.dtype}: {equal} of {len(TURNS)} answers of {asked.new} tokens equal those of a bare generate")


def dialogue(turns: int) -> list[dict[str, str]]:
    """Return a dialogue of that many questions of 40 words, with short answers between them."""
    answer = {"role": "assistant", "content": "I see."}
    return [each for turn in range(turns) for each in (question(turn), answer)][:-1]


def models(dtype: str, new: int) -> tuple[Any, Any]:
    """Return the demo's model, loaded by clemcore and by transformers alone."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    from support.tiny import load

    folder = load_script(REPOSITORY / "examples" / "demo" / "model.py").ensure_model()
    format_: dict[str, Any] = {"load_in_8bit": True} if dtype == "int8" else {"dtype": dtype}
    theirs = format_ if dtype != "int8" else {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    ours = load(folder, {"premade_chat_template": True, "prefill_block": 0, **format_})
    ours.set_gen_args(temperature=0.0, max_tokens=new)
    return ours, AutoModelForCausalLM.from_pretrained(folder, **theirs)


def generated(bare: Any, ids: list[int], new: int) -> list[int]:
    """Return what a bare ``generate`` answers to a prompt, greedily."""
    import torch

    row = torch.tensor([ids])
    made = bare.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=new, do_sample=False)
    answer: list[int] = made[0, len(ids) :].tolist()
    return answer
