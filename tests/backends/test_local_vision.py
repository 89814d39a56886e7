"""Vision-language models: their prompts are those of their processor, and answers as exact as of text models."""

from __future__ import annotations

import base64
import copy
import importlib.util
import io
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.huggingface_local import (
    HuggingfaceLocal,
    HuggingfaceLocalModel,
    HuggingfaceLocalMultimodalModel,
)
from clemcore.backends.local.entry import read_entry
from clemcore.backends.local.fitting import fits
from clemcore.errors import (
    ContextExceededError,
    MessagesError,
    MissingExtraError,
    ModelLoadError,
    SpecError,
    TemplateError,
)
from clemcore.images import Image
from clemcore.registry.spec import ModelSpec
from support.models import REPOSITORY
from support.tiny import copy_of, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

SEES = {"single_image": True, "multiple_images": True}
BLOCK = 16
HELPFUL = {
    "role": "system",
    "content": "You are a helpful assistant who describes what is to be seen, in few words.",
}
NEW = {"temperature": 0.0, "max_tokens": 6}
OLD = tuple(map(int, version("transformers").split(".")[:2])) < (5, 23)


def png(colour: str, width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.new("RGB", (width, height), colour).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def red(tmp_path: Path) -> str:
    path = tmp_path / "red.png"
    path.write_bytes(png("red"))
    return str(path)


@pytest.fixture
def blue(tmp_path: Path) -> str:
    path = tmp_path / "blue.jpg"
    path.write_bytes(png("blue", 20, 50, "JPEG"))
    return str(path)


def skip_if_in_one_piece(facts: dict[str, Any]) -> None:
    """Skip where an old transformers computes images otherwise after a state: the model is tried, and fed whole."""
    if OLD and facts.get("reason") == "Gemma3ForConditionalGeneration gives other scores to images after a state":
        pytest.skip(f"transformers {version('transformers')} computes images of Gemma 3 otherwise after a state")


def seeing(folder: Path, config: dict[str, Any] | None = None, **fields: Any) -> HuggingfaceLocalMultimodalModel:
    config = {"multimodal": True, "prefill_block": BLOCK, **(config or {})}
    model = load(folder, config, **{"multimodality": SEES, **fields})
    assert isinstance(model, HuggingfaceLocalMultimodalModel)
    model.set_gen_args(**NEW)
    return model


@pytest.fixture(scope="module")
def vision(tiny_vision: Path) -> HuggingfaceLocalMultimodalModel:
    return seeing(tiny_vision)


@pytest.fixture(scope="module")
def llava(tiny_llava: Path) -> HuggingfaceLocalMultimodalModel:
    return seeing(tiny_llava)


def user(text: str, *images: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **({"image": list(images)} if images else {})}


def dialogues(red: str, blue: str) -> dict[str, list[dict[str, Any]]]:
    reply = {"role": "assistant", "content": "A red area."}
    return {
        "text": [HELPFUL, user("Hello! How are you?")],
        "one": [HELPFUL, user("What is this?", red)],
        "two": [user("Compare them: Größe, 東京, 🙂.", red, blue)],
        "turns": [HELPFUL, user("What is this?", red), reply, user("And this?", blue), reply, user("Why?")],
    }


def of_processor(model: HuggingfaceLocalMultimodalModel, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What the processor makes of a dialogue in its own form, images given as paths."""
    conversation = [
        {
            "role": message["role"],
            "content": [
                *({"type": "image", "path": path} for path in message.get("image", [])),
                {"type": "text", "text": message["content"]},
            ],
        }
        for message in messages
    ]
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    return dict(model.processor.apply_chat_template(conversation, **options))


class TestPrompts:
    @pytest.mark.parametrize("case", ["text", "one", "two", "turns"])
    def test_ids_and_pixels_are_those_of_the_processor(
        self, vision: HuggingfaceLocalMultimodalModel, case: str, red: str, blue: str
    ) -> None:
        import torch

        messages = dialogues(red, blue)[case]
        theirs = of_processor(vision, messages)
        encoded = vision._front.encode_guarded(vision._front.write(messages))
        assert encoded.ids == theirs.pop("input_ids")[0].tolist()
        theirs.pop("attention_mask")
        if case == "text":
            assert encoded.media is None
            return
        assert encoded.media is not None
        assert encoded.media.inputs.keys() == theirs.keys()
        assert all(torch.equal(encoded.media.inputs[name], value) for name, value in theirs.items())

    @pytest.mark.parametrize("case", ["text", "one", "two", "turns"])
    def test_answers_are_those_of_generate(
        self, vision: HuggingfaceLocalMultimodalModel, case: str, red: str, blue: str
    ) -> None:
        messages = dialogues(red, blue)[case]
        _, response, _ = vision.generate_response(messages)
        made = vision.model.generate(**of_processor(vision, messages), max_new_tokens=6, do_sample=False)
        assert response["output_ids"] == made[0, -len(response["output_ids"]) :].tolist()

    def test_the_record_names_images_and_the_engine_of_the_template(
        self, llava: HuggingfaceLocalMultimodalModel, red: str
    ) -> None:
        facts = llava.generate_response([user("What is this?", red)]).facts
        (image,) = facts["images"]
        assert (image["place"], image["type"], image["width"]) == ("messages[0]['image'][0]", "image/png", 40)
        assert facts["template"]["engine"] == "clemcore"
        assert facts["usage"]["input_tokens"] > 16

    @pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG"])
    def test_the_first_frame_of_an_animated_image_is_seen_and_the_record_says_so(
        self, llava: HuggingfaceLocalMultimodalModel, name: str
    ) -> None:
        from PIL import Image as Pillow

        frames = [Pillow.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
        moving, still = io.BytesIO(), io.BytesIO()
        frames[0].save(moving, name, save_all=True, append_images=frames[1:], lossless=True)
        frames[0].save(still, name, lossless=True)
        one, other = (llava._front.write([user("What?", each.getvalue())]).pictures[0] for each in (moving, still))
        assert (one.facts["frames"], one.facts["frames_seen"]) == (3, 1)
        assert "frames" not in other.facts
        assert one.pixels.tobytes() == other.pixels.tobytes()

    def test_an_image_may_be_a_path_bytes_or_a_data_url_and_may_stand_alone(
        self, llava: HuggingfaceLocalMultimodalModel, red: str
    ) -> None:
        data = Path(red).read_bytes()
        url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        prompts = [
            llava.generate_response([{"role": "user", "content": "What?", "image": image}])[0]
            for image in (red, Path(red), data, url, [red])
        ]
        assert all(prompt == prompts[0] for prompt in prompts)

    def test_other_pixels_give_other_scores(
        self, vision: HuggingfaceLocalMultimodalModel, red: str, blue: str
    ) -> None:
        one, other = (vision.score_answers([user("What?", image)], ["A red area."])[0] for image in (red, blue))
        assert one.sum != other.sum

    def test_a_placeholder_of_3_7_2_becomes_a_space(self, llava: HuggingfaceLocalMultimodalModel, red: str) -> None:
        prompt, _, _ = llava.generate_response([user("Look <image> here", red)])
        assert "Look here" in prompt["inputs"]

    def test_a_turn_as_exif_says_is_made_as_by_the_processor(
        self, llava: HuggingfaceLocalMultimodalModel, tmp_path: Path
    ) -> None:
        import torch
        from PIL import Image as Pillow

        picture = Pillow.new("RGB", (40, 20), "red")
        picture.paste("blue", (0, 0, 20, 20))
        exif = Pillow.Exif()
        exif[0x0112] = 6  # to be turned by 90°
        path = tmp_path / "turned.jpg"
        picture.save(path, exif=exif)
        messages = [user("What?", str(path))]
        media = llava._front.encode_guarded(llava._front.write(messages)).media
        assert media is not None
        assert torch.equal(media.inputs["pixel_values"], of_processor(llava, messages)["pixel_values"])

    def test_a_tokenizer_that_adds_a_first_token_is_asked_as_the_processor_asks_it(
        self, tiny_llava: Path, tmp_path: Path, red: str
    ) -> None:
        folder = with_added_bos(tiny_llava, tmp_path / "adds")
        model = seeing(folder, {"custom_chat_template": PLAIN, "premade_chat_template": False})
        for messages in ([user("Hello!")], [user("What?", red)]):
            prompt, _, _ = model.generate_response(messages)
            texts = [{"type": "image", "path": red}] if "image" in messages[0] else []
            content = [*texts, {"type": "text", "text": messages[0]["content"]}]
            theirs = model.processor.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=PLAIN,
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
            )
            assert prompt["input_ids"] == theirs["input_ids"][0]
        assert prompt["input_ids"][0] == model.tokenizer.bos_token_id

    def test_a_prompt_that_is_not_the_processors_stops_the_load(
        self, tiny_llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from clemcore.backends.local.transformers.sight import ProcessorSight

        folder = with_added_bos(tiny_llava, tmp_path / "adds")
        monkeypatch.setattr(ProcessorSight, "adds_tokens", lambda _self, _text: False)
        with pytest.raises(
            TemplateError, match="not be those of its own processor: with no image, input_ids differ"
        ):
            seeing(folder, {"custom_chat_template": PLAIN, "premade_chat_template": False})


# A template that writes no first token, as that of llava-1.5.
PLAIN = (
    "{% for m in messages %}{{ m.role }}: {% if m.content is string %}{{ m.content }}{% else %}"
    "{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}"
    "{% endif %} {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def with_added_bos(folder: Path, to: Path) -> Path:
    """Copy a model, and have its tokenizer put a first token before each text."""
    copy_of(folder, to)
    path = to / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    number = next(token["id"] for token in content["added_tokens"] if token["content"] == "<|im_start|>")
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [number], "tokens": ["<|im_start|>"]}},
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return to


class TestExactAnswers:
    @pytest.mark.parametrize("case", ["one", "turns"])
    def test_cold_and_warm_scores_are_equal_bit_by_bit(
        self, vision: HuggingfaceLocalMultimodalModel, case: str, red: str, blue: str
    ) -> None:
        messages = dialogues(red, blue)[case]
        vision.set_gen_args(**NEW, logprobs=True)
        vision.forget_kept()
        cold = vision.generate_response(messages)
        warm = vision.generate_response(messages)
        vision.set_gen_args(**NEW)
        first = len(vision.tokenizer(cold[0]["inputs"].partition("<")[0], add_special_tokens=False).input_ids)
        kept = warm.facts["prefill"]["kept"]
        skip_if_in_one_piece(warm.facts["prefill"])
        assert cold.facts["prefill"]["kept"] == 0
        assert kept >= BLOCK > first
        assert warm.facts["prefill"]["in_one_piece_from"] == kept
        assert warm.facts["logprobs"] == cold.facts["logprobs"]
        assert warm[1] == cold[1]

    def test_a_dialogue_without_images_warms_one_with_images(
        self, vision: HuggingfaceLocalMultimodalModel, red: str
    ) -> None:
        messages = [HELPFUL, user("What is this?", red)]
        vision.forget_kept()
        cold = vision.generate_response(messages)
        vision.forget_kept()
        vision.generate_response([HELPFUL, user("Hello!")])
        warm = vision.generate_response(messages)
        skip_if_in_one_piece(warm.facts["prefill"])
        assert warm.facts["prefill"]["kept"] >= BLOCK
        assert warm[1] == cold[1]

    def test_no_block_reaches_into_an_image(self, vision: HuggingfaceLocalMultimodalModel, red: str) -> None:
        messages = [user("What is this? " * 9, red)]
        facts = vision.generate_response(messages).facts["prefill"]
        skip_if_in_one_piece(facts)
        assert (facts["kept"], facts["in_one_piece_from"]) == (0, 0)

    def test_a_model_that_reads_images_otherwise_after_a_state_is_fed_in_one_piece(
        self, tiny_llava: Path, red: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from clemcore.backends.local.transformers import feeding

        model = seeing(tiny_llava, {"own_weights": True})
        monkeypatch.setattr(feeding, "is_close", lambda *_: False)
        facts = model.generate_response([HELPFUL, user("What is this?", red)]).facts["prefill"]
        assert facts["reason"] == "LlavaForConditionalGeneration gives other scores to images after a state"

    def test_scores_of_answers_are_the_log_probabilities_of_the_answer(
        self, vision: HuggingfaceLocalMultimodalModel, red: str, blue: str
    ) -> None:
        for messages in dialogues(red, blue).values():
            vision.set_gen_args(**NEW, logprobs=True)
            reply = vision.generate_response(messages)
            vision.set_gen_args(**NEW)
            said = [token["logprob"] for token in reply.facts["logprobs"]["content"]]
            (score,) = vision.score_answers(messages, [reply[1]["output_ids"]], exactness="exact")
            assert score.logprobs == pytest.approx(said, abs=1e-4)
            assert score.is_greedy


class TestBatches:
    def test_items_of_a_batch_have_the_answers_that_they_have_alone(
        self, vision: HuggingfaceLocalMultimodalModel, red: str, blue: str
    ) -> None:
        found = dialogues(red, blue)
        asked = [*found.values(), [HELPFUL, user("And this?", blue)], [user("Hello!")]]
        alone = [vision.generate_response(messages)[2] for messages in asked]
        replies = vision.generate_batch_response(asked)
        assert [reply[2] for reply in replies] == alone

    def test_prompts_with_images_are_computed_together(
        self, vision: HuggingfaceLocalMultimodalModel, red: str, blue: str
    ) -> None:
        asked = [[user(f"What is number {n}?", image)] for n, image in enumerate((red, blue, red))]
        sizes = [reply.facts["grouping"]["size"] for reply in vision.generate_batch_response(asked)]
        assert sizes == [3, 3, 3]

    def test_where_rows_disturb_each_other_each_is_computed_alone(
        self, tiny_llava: Path, red: str, blue: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from clemcore.backends.local.transformers import media

        model = seeing(tiny_llava, {"own_weights": True})
        monkeypatch.setattr(media, "is_close", lambda *_: False)
        replies = model.generate_batch_response([[user("What?", red)], [user("What?", blue)]])
        assert [reply.facts["grouping"]["size"] for reply in replies] == [1, 1]


class TestBadInput:
    def test_an_image_for_a_text_model(self, tiny_chat: Path, red: str) -> None:
        model = load(tiny_chat)
        with pytest.raises(
            MessagesError, match=r"messages\[0\] has an 'image', but 'tiny' is loaded as a text model"
        ):
            model.generate_response([user("What?", red)])

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"hello", r"cannot be sent: no image: its first bytes are of no known type"),
            (b"\x89PNG\r\n\x1a\n" + b"x" * 50, r"cannot be decoded as an image \(image/png, 58 bytes\)"),
            (b"", r"must be a path"),
        ],
    )
    def test_an_image_that_is_not_one(
        self, llava: HuggingfaceLocalMultimodalModel, data: bytes, message: str
    ) -> None:
        with pytest.raises(MessagesError, match=r"messages\[0\]\['image'\].*" + message):
            llava.generate_response([user("What?", data)])

    @pytest.mark.parametrize(
        ("kind", "name", "mode"),
        [
            ("uint16", "PNG", "I(;16)?"),
            ("uint16", "TIFF", "I;16"),
            ("int32", "TIFF", "I"),
            ("float32", "TIFF", "F"),
        ],
    )
    def test_pixels_that_would_be_cut_off_at_255(
        self, llava: HuggingfaceLocalMultimodalModel, kind: str, name: str, mode: str
    ) -> None:
        import numpy as np
        from PIL import Image as Pillow

        buffer = io.BytesIO()
        Pillow.fromarray(np.arange(0, 48_000, 40).reshape(30, 40).astype(kind)).save(buffer, name)
        with pytest.raises(
            MessagesError,
            match=rf"messages\[0\]\['image'\]\[0\] has pixels of .*\(Pillow's mode {mode}\).*save the image with 8",
        ):
            llava.generate_response([user("What?", buffer.getvalue())])

    def test_the_error_names_the_place_and_not_an_object(self, llava: HuggingfaceLocalMultimodalModel) -> None:
        with pytest.raises(MessagesError) as caught:
            llava.generate_response([user("What?", b"GIF89a")])
        assert "BytesIO" not in str(caught.value)
        words = "cannot identify image file messages[0]['image'][0]. Copy it again, or save it anew; "
        assert str(caught.value).endswith(f"{words}make it smaller if it is too large")

    def test_an_image_that_is_cut_off(self, llava: HuggingfaceLocalMultimodalModel, tmp_path: Path) -> None:
        import random

        from PIL import Image as Pillow

        path = tmp_path / "cut.png"
        noise = Pillow.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
        noise.save(path)
        path.write_bytes(path.read_bytes()[:4000])
        with pytest.raises(MessagesError, match=r"messages\[0\]\['image'\]\[0\] cannot be decoded as an image"):
            llava.generate_response([user("What?", str(path))])

    def test_a_file_that_is_not_there(self, llava: HuggingfaceLocalMultimodalModel) -> None:
        with pytest.raises(MessagesError, match=r"none\.png \(in .*\) cannot be sent: No such file"):
            llava.generate_response([user("What?", "none.png")])

    def test_an_address(self, llava: HuggingfaceLocalMultimodalModel) -> None:
        with pytest.raises(MessagesError, match=r"is an address, but 'tiny' runs here, .*give its path"):
            llava.generate_response([user("What?", "https://example.org/a.png")])

    def test_more_images_than_the_entry_allows(self, tiny_llava: Path, red: str) -> None:
        model = seeing(tiny_llava, multimodality={**SEES, "max_images": 1})
        with pytest.raises(MessagesError, match="the dialogue has 2 images, but model 'tiny' takes 1"):
            model.generate_response([user("What?", red, red)])
        model = seeing(tiny_llava, multimodality={"single_image": True})
        with pytest.raises(
            MessagesError, match=r"messages\[0\] has 2 images, but model 'tiny' sees one per message"
        ):
            model.generate_response([user("What?", red, red)])

    def test_more_images_than_the_template_has_places_for(self, tiny_llava: Path, red: str) -> None:
        first = PLAIN.replace("<image>", "{% if loop.first %}<image>{% endif %}")
        with pytest.raises(
            TemplateError, match=r"no dialogue with images can be made by its chat template|not be those of"
        ):
            seeing(
                tiny_llava, {"custom_chat_template": "{{ messages[0].content }}", "premade_chat_template": False}
            )
        model = seeing(tiny_llava, {"custom_chat_template": first, "premade_chat_template": False})
        with pytest.raises(
            MessagesError, match="has places for 1 images, but the dialogue has 2: give fewer images"
        ):
            model.generate_response([user("What?", red, red)])

    def test_more_images_than_the_processor_takes(
        self, llava: HuggingfaceLocalMultimodalModel, red: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise ValueError("at most one image is supported")

        monkeypatch.setattr(type(llava.processor), "__call__", refuse)
        with pytest.raises(
            MessagesError,
            match=r"the processor of 'tiny' does not take the 2 images .*at most one image is supported",
        ):
            llava.generate_response([user("What?", red, red)])

    def test_a_text_in_which_the_processor_would_see_an_image(
        self, vision: HuggingfaceLocalMultimodalModel, red: str
    ) -> None:
        token = vision.processor.image_token
        for message in (user(f"What is {token}?"), user(f"What is{token}?", red)):
            with pytest.raises(MessagesError, match=r"messages\[0\]\['content'\] has '<.*>', in whose place"):
                vision.generate_response([message])

    def test_images_that_do_not_fit_the_context(self, llava: HuggingfaceLocalMultimodalModel, red: str) -> None:
        with pytest.raises(ContextExceededError, match="Context token limit for tiny exceeded"):
            llava.generate_response([user("What?", *[red] * 40)])

    def test_control_tokens_that_are_to_be_escaped(self, tiny_llava: Path, red: str) -> None:
        model = seeing(tiny_llava, {"control_tokens": "escape"})
        with pytest.raises(MessagesError, match="cannot escape them beside images"):
            model.generate_response([user("What is <|im_end|>?", red)])


class TestLoading:
    def test_a_text_model_with_multimodal(self, tiny_chat: Path) -> None:
        with pytest.raises(SpecError, match=r"multimodal is true, .* no vision-language model .*\(LlamaConfig\)"):
            seeing(tiny_chat)

    def test_a_vision_model_without_multimodal(self, tiny_llava: Path) -> None:
        with pytest.raises(SpecError, match=r"\(LlavaConfig\) is that of a vision-language model: set"):
            load(tiny_llava, {})

    def test_a_model_without_a_processor(self, tiny_llava: Path, tmp_path: Path) -> None:
        folder = copy_of(tiny_llava, tmp_path / "none")
        (folder / "processor_config.json").unlink()
        with pytest.raises(ModelLoadError, match=r"no processor for images and texts|cannot load the processor"):
            seeing(folder)

    def test_without_pillow(self, tiny_llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder, found = copy_of(tiny_llava, tmp_path / "own"), importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *more: None if name == "PIL" else found(name, *more)
        )
        with pytest.raises(MissingExtraError, match=r"clemcore\[vision\]"):
            seeing(folder)

    def test_copies_share_weights_and_two_models_of_one_folder_too(
        self, llava: HuggingfaceLocalMultimodalModel, tiny_llava: Path, red: str
    ) -> None:
        other, third = copy.deepcopy(llava), seeing(tiny_llava)
        assert other.model is llava.model is third.model
        assert other.generate_response([user("What?", red)])[2] == llava.generate_response([user("What?", red)])[2]

    def test_a_prompt_is_rendered_without_weights(self, tiny_llava: Path, red: str, tmp_path: Path) -> None:
        folder = copy_of(tiny_llava, tmp_path / "light")
        (folder / "model.safetensors").unlink()
        spec = ModelSpec(
            model_name="m",
            huggingface_id=str(folder),
            multimodality=SEES,
            model_config={"multimodal": True},
        )
        text = HuggingfaceLocal.render(spec, [user("What?", red)], NEW, {"max_tokens"})
        assert text == "<|im_start|>user\n<image>What?<|im_end|>\n<|im_start|>assistant\n"

    def test_what_a_model_needs_counts_its_vision_tower(self, vision: HuggingfaceLocalMultimodalModel) -> None:
        spec = ModelSpec(
            model_name="m",
            backend="huggingface_local",
            huggingface_id=vision._entry.source,
            model_config={"multimodal": True},
        )
        own = fits(spec)[0].verdict
        assert own.needs.parameters == sum(weight.numel() for weight in vision.model.parameters())
        assert own.needs.layers is not None


def test_every_packaged_entry_can_be_read_and_measured() -> None:
    entries = json.loads((REPOSITORY / "model_registry.json").read_text(encoding="utf-8"))
    found = [entry for entry in entries if (entry.get("model_config") or {}).get("multimodal")]
    for entry in found:
        spec = ModelSpec.from_dict(entry)
        settings = read_entry(spec)
        assert settings.multimodal
        assert settings.multimodality
        assert fits(spec)[0].verdict.needs.weights > 10**9
    assert len(found) == 29


def test_isinstance_checks_of_3_7_2_hold(
    llava: HuggingfaceLocalMultimodalModel, loaded: HuggingfaceLocalModel
) -> None:
    assert isinstance(llava, HuggingfaceLocalMultimodalModel)
    assert not isinstance(loaded, HuggingfaceLocalMultimodalModel)


def test_the_repr_of_an_image_shows_no_data() -> None:
    assert "aGVsbG8" not in repr(Image("messages[0]['image'][0]", None, "image/png", "aGVsbG8="))
