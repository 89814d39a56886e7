"""Builds a chat model of 100 thousand weights that knows a few dialogues by heart, in seconds and offline.

Llama architecture, byte-level BPE tokenizer, ChatML template, float32, context of 512 tokens. The same
versions of torch, transformers and tokenizers always build the same weights. It can do no more
than give the right answers to the dialogues below; anything else gives arbitrary text, which is enough to test
how text is made, cut and counted.

    OMP_NUM_THREADS=1 python tests/models/tiny_chat.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SPECIAL_TOKENS = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
CONTEXT_SIZE = 512
STEPS = 150
TEMPLATE = (
    "{%- for m in messages %}"
    "{{- '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
GREETING = ("Hello!", "Hello! How can I help you?")
HELPFUL = "You are a helpful assistant."
# Each line: the system text or None, then user and assistant in turns. The model learns the last text.
DIALOGUES: list[tuple[str | None, ...]] = [
    (None, *GREETING),
    (
        None,
        *GREETING,
        "Tell me the name of the capital of Australia.",
        "The capital of Australia is Canberra.",
    ),
    (
        HELPFUL,
        "Who won the world series in 2020?",
        "The Los Angeles Dodgers won the World Series in 2020.",
        "Where was it played?",
        "It was played in Arlington, Texas.",
    ),
    (None, "What is two plus two?", "Two plus two is four."),
    (HELPFUL, "What is two plus two?", "Two plus two is four."),
    (None, "Think first. What is three plus one?", "<think>Three plus one is four.</think>It is four."),
]


def messages_of(dialogue: tuple[str | None, ...]) -> list[dict[str, str]]:
    """The dialogue as chat messages, the learnt answer included."""
    system, *turns = dialogue
    messages = [] if system is None else [{"role": "system", "content": system}]
    for index, text in enumerate(turns):
        messages.append({"role": ("user", "assistant")[index % 2], "content": str(text)})
    return messages


def build(folder: Path) -> None:
    """Train the model and write it to a folder that `from_pretrained` loads."""
    import torch

    torch.manual_seed(0)
    tokenizer = _tokenizer()
    model = _untrained(tokenizer)
    ids, mask, labels = _training_batch(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(STEPS):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"{folder}: {model.num_parameters()} weights, {len(tokenizer)} tokens, loss {loss.item():.4f}")


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([text for dialogue in DIALOGUES for text in dialogue if text is not None], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|im_start|>",  # noqa: S106 - not that kind of token
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|pad|>",  # noqa: S106
        padding_side="left",
        model_max_length=CONTEXT_SIZE,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _untrained(tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    # Heads of 32, because other engines that load this folder have no attention for smaller ones.
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=CONTEXT_SIZE,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def _training_batch(tokenizer: Any) -> tuple[Any, Any, Any]:
    """Token ids, attention mask and labels: each (dialogues, tokens of the longest), padded on the left."""
    import torch

    rows = []
    for dialogue in DIALOGUES:
        *before, answer = messages_of(dialogue)
        prompt = tokenizer.apply_chat_template(before, add_generation_prompt=True, tokenize=False)
        asked = tokenizer(prompt, add_special_tokens=False).input_ids
        told = tokenizer(answer["content"] + "<|im_end|>", add_special_tokens=False).input_ids
        rows.append((asked, told))
    longest = max(len(asked) + len(told) for asked, told in rows)
    ids, mask, labels = [], [], []
    for asked, told in rows:
        padding = longest - len(asked) - len(told)
        ids.append([tokenizer.pad_token_id] * padding + asked + told)
        mask.append([0] * padding + [1] * (longest - padding))
        labels.append([-100] * (padding + len(asked)) + told)
    return torch.tensor(ids), torch.tensor(mask), torch.tensor(labels)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
