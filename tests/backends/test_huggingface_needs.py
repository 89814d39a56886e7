"""What a model needs in memory, found without weights: equal to the byte to what a loaded one takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.local.entry import LocalEntry, read_entry
from clemcore.backends.local.needs import LayerState, Needs
from clemcore.backends.local.transformers.formats import in_other_formats, needs_of
from clemcore.backends.local.transformers.skeleton import Skeleton, state_bytes
from clemcore.backends.local.transformers.states import returned_cache
from clemcore.registry.spec import ModelSpec
from support.architectures import ARCHITECTURES, build, config_of

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

LENGTHS = (2, 15, 16, 17, 24, 60)  # below, at and above the windows of those that have some


def bytes_of(model: Any) -> int:
    tensors = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


@pytest.mark.parametrize("kind", ARCHITECTURES)
class TestEqualToTheRealOne:
    def test_weights(self, kind: str) -> None:
        import torch

        for dtype in (torch.float32, torch.bfloat16):
            skeleton = Skeleton(config_of(kind), dtype)
            model = build(kind, dtype=str(dtype).removeprefix("torch."))
            assert model.dtype == dtype
            assert skeleton.weight_bytes() == bytes_of(model)
            assert skeleton.parameters() == model.num_parameters()

    def test_states(self, kind: str) -> None:
        import torch

        model, layers = build(kind), Skeleton(config_of(kind), torch.float32).layers()
        for length in LENGTHS:
            ids = torch.ones(1, length, dtype=torch.long)
            with torch.no_grad():
                output = model(input_ids=ids, use_cache=True)
            state = returned_cache(output)
            assert [layer.bytes(length) for layer in layers] == [state_bytes(layer) for layer in state.layers]


def test_weights_that_stay_in_float32() -> None:
    """A model may insist on float32 for some of its weights."""
    import torch
    from transformers import LlamaForCausalLM

    class Insists(LlamaForCausalLM):  # type: ignore[misc]
        _keep_in_fp32_modules_strict = ("mlp.gate_proj",)

    config = config_of("llama")
    plain = Skeleton(config, torch.bfloat16)
    more = 4 * 64 * 96 * 2  # two bytes more for each weight of four layers
    insisting = Skeleton.__new__(Skeleton)
    with torch.device("meta"):
        insisting.model = Insists._from_config(config, dtype=torch.bfloat16)
    insisting._quantizer = None
    insisting._formats = insisting.model._get_dtype_plan(torch.bfloat16)
    assert insisting.weight_bytes() == plain.weight_bytes() + more


class TestSums:
    NEEDS = Needs(
        weights=1000,
        format="float32",
        layers=(LayerState("full_attention", 0, 10), LayerState("sliding_attention", 4, 2, window=5)),
        working=100,
    )

    def test_all_together(self) -> None:
        assert self.NEEDS.state(3) == 30 + 4 + 6
        assert self.NEEDS.total(100, dialogues=2) == 1000 + 2 * (1000 + 4 + 10) + 100
        assert self.NEEDS.by_kind() == {"full_attention": 10, "sliding_attention": 2}

    @pytest.mark.parametrize("room", [1100, 1104, 1126, 1214, 5000])
    def test_the_longest_context_that_fits(self, room: int) -> None:
        tokens = self.NEEDS.tokens_within(room)
        assert tokens == 0 or self.NEEDS.total(tokens) <= room
        assert self.NEEDS.total(tokens + 1) > room

    def test_states_that_do_not_grow_are_no_limit(self) -> None:
        assert Needs(10, "float32", (LayerState("linear_attention", 5, 0),)).tokens_within(15) == 1 << 40


@pytest.mark.filterwarnings("ignore")  # of bitsandbytes, about kernels
@pytest.mark.parametrize("kind", ["llama", "gpt2", "mixtral"])
@pytest.mark.parametrize(
    "settings",
    [
        {"load_in_8bit": True},
        {"load_in_4bit": True},
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    ],
    ids=["8 bits", "4 bits", "4 bits twice"],
)
def test_quantized_weights(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.quantizers.auto import get_hf_quantizer

    build(kind, dtype="bfloat16").save_pretrained(tmp_path)
    wanted = BitsAndBytesConfig(**settings)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=wanted)
    scales = 0
    for module in model.modules():
        weight: Any = getattr(module, "weight", None)
        if getattr(weight, "SCB", None) is not None:
            scales += state_bytes([weight.SCB])
        scales += state_bytes(getattr(weight, "quant_state", None))
    quantizer = get_hf_quantizer(config_of(kind), wanted, None, True, {})[0]
    assert Skeleton(config_of(kind), torch.bfloat16, quantizer).weight_bytes() == bytes_of(model) + scales


@pytest.mark.filterwarnings("ignore")  # of bitsandbytes, about kernels
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("setting", ["load_in_8bit", "load_in_4bit"])
def test_other_formats_are_what_the_entry_would_need(tiny_chat: Path, dtype: str, setting: str) -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(tiny_chat)

    def entry(**settings: Any) -> LocalEntry:
        fields = {"premade_chat_template": True, "dtype": dtype, **settings}
        return read_entry(ModelSpec(model_name="tiny", huggingface_id=str(tiny_chat), model_config=fields))

    plain, quantized = needs_of(entry(), config), needs_of(entry(**{setting: True}), config)
    # Without the scales of 8 bits, of which a tiny model has many.
    suggested = in_other_formats(entry(), config)[setting]
    assert suggested == pytest.approx(quantized.weights, rel=0.05)
    # Also those whose modules cannot compute without values.
    assert quantized.layers == plain.layers is not None
    assert quantized.working is not None
    assert plain.working is not None
    assert quantized.working >= plain.working


@pytest.mark.parametrize("odd", ["model.embed_tokens.weight", "model.norm.weight"])
def test_a_configuration_that_names_no_format(odd: str, tmp_path: Path) -> None:
    """The format is then that of the first tensor in the file, which is the embedding here."""
    import json

    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM

    build("llama", dtype="bfloat16").save_pretrained(tmp_path)
    file, described = tmp_path / "model.safetensors", tmp_path / "config.json"
    tensors = load_file(file)
    tensors[odd] = tensors[odd].to(torch.float32)
    save_file(tensors, file, metadata={"format": "pt"})
    fields = json.loads(described.read_text())
    described.write_text(json.dumps({name: value for name, value in fields.items() if name != "dtype"}))
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    entry = read_entry(ModelSpec(model_name="m", huggingface_id=str(tmp_path)))
    assert needs_of(entry, AutoConfig.from_pretrained(tmp_path)).weights == bytes_of(model)
