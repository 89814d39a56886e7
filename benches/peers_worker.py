"""Answers prompts with one of clemcore, inspect_ai and lm-evaluation-harness; see local_peers.py, which starts it.

It reads an order as JSON from standard input, and writes the seconds of processor time, the texts and the version.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import sys
import time
from typing import Any

Dialogues = list[list[dict[str, str]]]


def clemcore(order: dict[str, Any]) -> Any:
    """Return what answers dialogues with fast answers of clemcore."""
    from clemcore import backends

    config = {"premade_chat_template": True, "dtype": order["dtype"], "torch_num_threads": 1, "exactness": "fast"}
    spec = {"model_name": "bench", "backend": "huggingface_local", "huggingface_id": order["folder"]}
    model = backends.get_model_for({**spec, "model_config": config})
    model.set_gen_args(temperature=0.0, max_tokens=order["new"])
    return lambda dialogues: [text for _, _, text in model.generate_batch_response(dialogues)]


def inspect(order: dict[str, Any]) -> Any:
    """Return what answers dialogues with the backend hf of inspect_ai."""
    import torch
    from inspect_ai.model import ChatMessageUser, GenerateConfig, get_model

    model = get_model(
        "hf/bench",
        config=GenerateConfig(max_tokens=order["new"], max_connections=16),
        model_path=order["folder"],
        device="cpu",
        do_sample=False,
        dtype=getattr(torch, order["dtype"]),
    )

    async def ask(dialogues: Dialogues) -> list[str]:
        messages = [[ChatMessageUser(content=message["content"]) for message in each] for each in dialogues]
        outputs = await asyncio.gather(*(model.generate(each) for each in messages))
        return [output.completion for output in outputs]

    return lambda dialogues: asyncio.run(ask(dialogues))


def harness(order: dict[str, Any]) -> Any:
    """Return what answers dialogues with the model hf of lm-evaluation-harness."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=order["folder"], device="cpu", dtype=order["dtype"], batch_size=16)
    gen_args = {"until": [], "max_gen_toks": order["new"], "do_sample": False}

    def ask(dialogues: Dialogues) -> list[str]:
        texts = [model.apply_chat_template(each) for each in dialogues]
        asked = [Instance("generate_until", {}, (text, gen_args), n) for n, text in enumerate(texts)]
        return list(model.generate_until(asked, disable_tqdm=True))

    return ask


PACKAGES = {"clemcore": "clemcore", "inspect": "inspect_ai", "harness": "lm_eval"}


def main() -> None:
    """Warm up with two short prompts, answer all, and write the result."""
    import torch

    torch.set_num_threads(1)
    name, order = sys.argv[1], json.load(sys.stdin)
    ask = globals()[name](order)
    ask([[{"role": "user", "content": text}] for text in ("one", "two and three")])
    begin = time.process_time()
    texts = ask(order["dialogues"])
    seconds = time.process_time() - begin
    version = f"{PACKAGES[name]} {importlib.metadata.version(PACKAGES[name])}"
    print(json.dumps({"seconds": seconds, "texts": texts, "version": version}))


if __name__ == "__main__":
    main()
