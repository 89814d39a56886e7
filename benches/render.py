"""How fast chat templates render, from Python dicts to a Python string.

Every figure is the minimum thread CPU time over many calls in one process, so other work on the machine does not
count. ``--markdown`` writes the table of docs/performance.md.

* HF: ``tokenizer.apply_chat_template(tokenize=False)`` of the installed transformers
* jinja2: the raw compiled template of transformers' environment, no preparation of messages
* ours: ``clemcore.prompts.templates.ChatTemplate.render``
* by hand: ChatML as a dozen lines of Rust, from the same objects to the same string, where the package
  was built with it (``maturin develop --release --uv --features handwritten``)
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = [
    "trl-llama3",
    "microsoft-Phi-3.5-mini-instruct",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "google-gemma-2-2b-it",
    "openai-gpt-oss-120b",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "mistralai-Ministral-3-14B-Reasoning-2512",
    "unsloth-zephyr",
    "HuggingFaceTB-SmolLM3-3B",
    "hfjs-CohereLabs-c4ai-command-a-03-2025",
    "unsloth-mistral-Devstral-Small-2507",
]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody knows why it does so again. "


def conversation(turns: int) -> list[dict[str, str]]:
    """User and assistant in turn, about 200 characters each."""
    roles = ("user", "assistant")
    return [
        {"role": roles[i % 2], "content": f"{i}: " + (SENTENCE * 3)[:200]} for i in range(turns + 1 - turns % 2)
    ]


def fastest(call: Callable[[], Any], seconds: float) -> float:
    """Minimum thread CPU time of one call, in microseconds."""
    call()
    best, spent = math.inf, 0.0
    while spent < seconds:
        rounds = max(1, min(200, int(0.002 / best))) if best < math.inf else 1
        start = time.thread_time()
        for _ in range(rounds):
            call()
        used = time.thread_time() - start
        best, spent = min(best, used / rounds), spent + used + 1e-5
    return best * 1e6


def tokenizer(source: str) -> Any:
    """A real tokenizer object with this template."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")),  # noqa: S106
        chat_template=source,
        **TOKENS,
    )


def rows(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """Measure every template at every length."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    from clemcore.prompts.templates import ChatTemplate

    sources = {"ChatML": CHATML}
    for name in TEMPLATES:
        path = folder / f"{name}.jinja"
        if path.exists():
            sources[name] = path.read_bytes().decode()
    found = []
    for name, source in sources.items():
        real, raw, own = tokenizer(source), _compile_jinja_template(source), ChatTemplate(source, TOKENS)
        for turns in (3, 20, 200):
            chat = conversation(turns)
            context = {"messages": chat, "tools": None, "documents": None, "add_generation_prompt": True, **TOKENS}

            def hf(real: Any = real, chat: Any = chat) -> str:
                return str(real.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

            def ours(own: Any = own, chat: Any = chat) -> str:
                return str(own.render(chat, add_generation_prompt=True))

            def plain(raw: Any = raw, context: Any = context) -> str:
                return str(raw.render(**context))

            assert hf() == ours() == plain(), name  # noqa: S101 - a wrong text needs no time
            row: dict[str, Any] = {"name": name, "turns": turns, "bytes": len(ours().encode())}
            row |= {"hf": fastest(hf, seconds), "jinja2": fastest(plain, seconds), "ours": fastest(ours, seconds)}
            found.append(row)
    return found


def compile_times(folder: Path) -> tuple[float, float]:
    """Seconds to compile every template of the folder: jinja2, ours."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    from clemcore.prompts.templates import ChatTemplate

    sources = [path.read_bytes().decode() for path in sorted(folder.glob("*.jinja"))] or [CHATML]
    environment = _compile_jinja_template("").environment
    times = []
    for build in (environment.from_string, ChatTemplate):
        start = time.thread_time()
        for source in sources:
            build(source)
        times.append(time.thread_time() - start)
    return times[0], times[1]


def batch(count: int, turns: int, seconds: float) -> tuple[float, float]:
    """Milliseconds for ChatML conversations together: transformers' loop, ours."""
    from clemcore.prompts.templates import ChatTemplate

    source = CHATML
    chats = [conversation(turns) for _ in range(count)]
    real, own = tokenizer(source), ChatTemplate(source, TOKENS)
    assert real.apply_chat_template(chats, tokenize=False) == own.render_batch(chats)  # noqa: S101
    hf = fastest(lambda: real.apply_chat_template(chats, tokenize=False), seconds)
    return hf / 1000, fastest(lambda: own.render_batch(chats), seconds) / 1000


def by_hand(turns: int, seconds: float) -> tuple[float, float] | None:
    """Microseconds for a conversation in ChatML: a function written by hand in Rust, ours."""
    from clemcore import _core
    from clemcore.prompts.templates import ChatTemplate

    chatml = getattr(_core, "_chatml", None)
    if chatml is None:
        return None
    own, chat = ChatTemplate(CHATML, TOKENS), conversation(turns)
    assert chatml(chat, True) == own.render(chat, add_generation_prompt=True)  # noqa: S101
    hand = fastest(lambda: str(chatml(chat, True)), seconds)
    return hand, fastest(lambda: str(own.render(chat, add_generation_prompt=True)), seconds)


def mean(values: list[float]) -> float:
    """Geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the corpora")
    parser.add_argument("--seconds", type=float, default=0.15, help="CPU time for each figure")
    parser.add_argument("--markdown", action="store_true", help="write a Markdown table")
    options = parser.parse_args()
    folder = options.shared / "corpus" / "chat-templates" / "templates"
    found = rows(folder, options.seconds)
    edge, head = ("| ", " | ") if options.markdown else ("", "  ")
    tail = " |" if options.markdown else ""

    def write(cells: list[str]) -> None:
        width = (42, 6, 7, 9, 9, 9, 8, 10)
        padded = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, width, strict=True)))
        sys.stdout.write(edge + head.join(padded) + tail + "\n")

    write(["template", "turns", "bytes", "HF us", "jinja2 us", "ours us", "HF/ours", "jinja2/ours"])
    if options.markdown:
        write(["---"] + ["---:"] * 7)
    for row in found:
        ratio, raw = row["hf"] / row["ours"], row["jinja2"] / row["ours"]
        times = [f"{row[key]:.1f}" for key in ("hf", "jinja2", "ours")]
        write([row["name"], str(row["turns"]), str(row["bytes"]), *times, f"{ratio:.1f}", f"{raw:.1f}"])
    by_hf, by_raw = [r["hf"] / r["ours"] for r in found], [r["jinja2"] / r["ours"] for r in found]
    sys.stdout.write(
        f"\nHF/ours: least {min(by_hf):.1f}, geometric mean {mean(by_hf):.1f}; "
        f"jinja2/ours: least {min(by_raw):.1f}, geometric mean {mean(by_raw):.1f}\n"
    )
    for turns in (3, 20, 200):
        if both := by_hand(turns, options.seconds):
            hand, own = both
            sys.stdout.write(
                f"ChatML written by hand in Rust, {turns} turns: {hand:.2f} us, ours {own:.2f} us, "
                f"{own / hand:.2f} times as long\n"
            )
    for count, turns in ((1000, 5), (100, 101)):
        together, own = batch(count, turns, options.seconds)
        sys.stdout.write(
            f"batch of {count:,} x {turns} turns, ChatML: HF {together:.1f} ms, ours {own:.2f} ms, "
            f"{together / own:.1f}x\n"
        )
    slow, fast = compile_times(folder)
    sys.stdout.write(f"compiling: jinja2 {slow:.3f} s, ours {fast:.4f} s, {slow / fast:.0f}x\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
