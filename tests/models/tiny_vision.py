"""Builds vision-language models of some 150 thousand random weights, in a second or two and offline.

They can see: other pixels give other scores. What they write means nothing, which is enough to test prompts,
places of pixels, states and batches. Two architectures, which differ in what tests are about:

* ``llava``: an image is a run of equal tokens; its patches see each other in the vision tower alone.
* ``gemma3``: an image stands between tokens of its own, its tokens see each other in the language model, too, and
  layers have sliding windows.

They need the folder of a text model, whose tokenizer they extend. torchvision is not needed.

    OMP_NUM_THREADS=1 python tests/models/tiny_vision.py llava TEXT_MODEL FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Images are squares of so many pixels on a side, cut into patches.
SIDE, PATCH = 32, 8
PATCHES = (SIDE // PATCH) ** 2
# Tokens of one image of gemma3, which averages patches.
POOLED = 4
CONTEXT_SIZE = 512
_WIDTH, _DEPTH, _HEADS = 64, 2, 2


def build(kind: str, text_model: Path, folder: Path) -> None:
    """Write a model to a folder that ``from_pretrained`` loads.

    Args:
        kind: ``llava`` or ``gemma3``.
        text_model: a folder with a tokenizer.
        folder: where the model is written.
    """
    import torch

    torch.manual_seed(0)
    model, processor = KINDS[kind](text_model)
    if kind == "gemma3":  # it begins with zeros, with which the model is blind
        torch.nn.init.normal_(model.model.multi_modal_projector.mm_input_projection_weight, std=0.2)
    model.eval()
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    print(f"{folder}: {type(model).__name__}, {model.num_parameters()} weights, {len(processor.tokenizer)} tokens")


def template(image: str) -> str:
    """Return a chat template that takes contents as texts or as parts.

    Args:
        image: the text that an image becomes.
    """
    return (
        "{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\n' }}"
        "{%- if m['content'] is string %}{{- m['content'] }}"
        "{%- else %}{%- for part in m['content'] %}"
        f"{{%- if part['type'] == 'image' %}}{{{{- '{image}' }}}}{{%- else %}}{{{{- part['text'] }}}}{{%- endif %}}"
        "{%- endfor %}{%- endif %}{{- '<|im_end|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
    )


def _llava(text_model: Path) -> tuple[Any, Any]:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = _tokenizer(text_model, {"image_token": "<image>"})
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>"),
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_tower()),
        text_config=LlamaConfig(**_language(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_seq_length=PATCHES,
    )
    return LlavaForConditionalGeneration(config), processor


def _gemma3(text_model: Path) -> tuple[Any, Any]:
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )
    from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

    marks = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = _tokenizer(text_model, marks)
    images = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE}, image_seq_length=POOLED)
    processor = Gemma3Processor(
        image_processor=images,
        tokenizer=tokenizer,
        image_seq_length=POOLED,
        chat_template=template(marks["boi_token"]),
    )
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in marks.items()}
    config = Gemma3Config(
        text_config=Gemma3TextConfig(**_language(tokenizer), sliding_window=128),
        vision_config=SiglipVisionConfig(**_tower(), vision_use_head=False),
        mm_tokens_per_image=POOLED,
        boi_token_index=ids["boi_token"],
        eoi_token_index=ids["eoi_token"],
        image_token_index=ids["image_token"],
    )
    return Gemma3ForConditionalGeneration(config), processor


KINDS: Mapping[str, Callable[[Path], tuple[Any, Any]]] = {"llava": _llava, "gemma3": _gemma3}


def _tokenizer(text_model: Path, marks: Mapping[str, str]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(text_model, extra_special_tokens=dict(marks))


def _tower() -> dict[str, Any]:
    """Return what both vision towers are made of."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": _DEPTH,
        "num_attention_heads": _HEADS,
        "image_size": SIDE,
        "patch_size": PATCH,
    }


def _language(tokenizer: Any) -> dict[str, Any]:
    """Return what both language models are made of."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": _WIDTH,
        "intermediate_size": 2 * _WIDTH,
        "num_hidden_layers": _DEPTH,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": 1,
        "head_dim": _WIDTH // _HEADS,
        "max_position_embeddings": CONTEXT_SIZE,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


if __name__ == "__main__":
    build(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
