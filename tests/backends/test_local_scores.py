"""Scores of given answers, compared with direct forward passes and with the scores of generated answers."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.huggingface_local import HuggingfaceLocalModel
from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.choosing.scores import as_array, log_probabilities
from clemcore.backends.local.engine import Job
from clemcore.backends.local.scores import AnswerScore
from clemcore.errors import ContextExceededError, MessagesError, SpecError
from clemcore.verify import verify
from support.tiny import CANBERRA, CAPITAL, END, load

pytestmark = pytest.mark.slow  # importing torch and transformers alone takes seconds

FORMATS = ("float32", "bfloat16")


def small(folder: Path, **config: Any) -> HuggingfaceLocalModel:
    """The tiny model with blocks so short that its prompts have several."""
    config = {"premade_chat_template": True, "eos_to_cull": END, "prefill_block": 16, "kept_cache": 10**8, **config}
    return load(folder, config)


def forward(model: Any, prompt: Sequence[int], answer: Sequence[int]) -> Any:
    """Oracle: log probabilities by torch, shape (tokens of the answer, vocabulary), of one direct forward pass."""
    import torch

    with torch.no_grad():
        logits = model.model(torch.tensor([[*prompt, *answer]])).logits[0].double()
    return torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]


def prompt_of(model: Any, messages: Any) -> list[int]:
    ids: list[int] = model.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    return ids


class Noted:
    """A greedy answer with the log probability of each of its tokens, as they are while it is generated."""

    def __init__(self, model: Any, messages: Any, tokens: int = 24) -> None:
        self.logprobs: list[float] = []
        job = Job(prompt_of(model, messages), Arguments(0.0, tokens), choose=self._choose)
        ((_, result),) = model._exact.generate([job])
        self.ids = result.ids

    def _choose(self, scores: Any, _ids: Sequence[int]) -> int:
        array = as_array(scores)
        token = int(array.argmax())
        self.logprobs.append(float(log_probabilities(array)[token]))
        return token


def random_words(seed: int, count: int) -> str:
    return " ".join(
        random.Random(seed).choices(["the", "capital", "is", "Canberra", "four", "two", "plus"], k=count)
    )


@pytest.mark.parametrize("exactness", ["exact", "fast"])
def test_scores_are_those_of_a_direct_forward_pass(model: Any, exactness: str) -> None:
    answers = [CANBERRA, "The capital of Australia is Sydney.", "four"]
    scores = model.score_answers(CAPITAL, answers, exactness=exactness)
    prompt = prompt_of(model, CAPITAL)
    for text, score in zip(answers, scores, strict=True):
        assert score.answer == text
        assert score.ids == model.tokenizer(text, add_special_tokens=False).input_ids
        rows = forward(model, prompt, score.ids)
        wanted = [float(row[token]) for row, token in zip(rows, score.ids, strict=True)]
        assert score.logprobs == pytest.approx(wanted, abs=1e-4)
        assert score.sum == pytest.approx(sum(wanted), abs=1e-4)
        assert score.mean == pytest.approx(sum(wanted) / len(wanted), abs=1e-4)
        assert score.perplexity == pytest.approx(math.exp(-sum(wanted) / len(wanted)), rel=1e-4)
        assert score.ranks == [
            1 + int((row > row[token]).sum()) for row, token in zip(rows, score.ids, strict=True)
        ]
    assert [score.is_greedy for score in scores] == [True, False, False]
    assert scores[0].ends_greedily
    assert scores[0].sum > scores[1].sum


def test_the_end_of_the_turn_is_scored_beside_the_answer(model: Any) -> None:
    end = model.tokenizer.eos_token_id
    ids = model.tokenizer(CANBERRA, add_special_tokens=False).input_ids
    text, cut, whole = model.score_answers(CAPITAL, [CANBERRA, ids[:-1], [*ids, end]])
    assert text.end_logprob == pytest.approx(whole.logprobs[-1], abs=1e-6)
    assert (whole.end_logprob, whole.ends_greedily) == (None, None)
    assert (cut.is_greedy, cut.ends_greedily) == (True, False)
    assert whole.answer == CANBERRA + "<|im_end|>"


@pytest.mark.parametrize("dtype", FORMATS)
def test_exact_scores_are_the_log_probabilities_that_a_reply_reports(tiny_chat: Path, dtype: str) -> None:
    model: Any = small(tiny_chat, dtype=dtype)
    messages = [{"role": "user", "content": random_words(5, 50)}]
    reply = model.generate_response(messages, gen_args={"logprobs": True, "max_tokens": 12})
    (score,) = model.score_answers(messages, [reply.response["output_ids"]], exactness="exact")
    assert score.logprobs == [entry["logprob"] for entry in reply.facts["logprobs"]["content"]]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("words", [3, 60])
def test_exact_scores_of_a_greedy_answer_are_those_of_its_generation(
    tiny_chat: Path, dtype: str, words: int
) -> None:
    model = small(tiny_chat, dtype=dtype)
    messages = [{"role": "user", "content": random_words(words, words)}]
    noted = Noted(model, messages)
    (score,) = model.score_answers(messages, [noted.ids], exactness="exact")
    assert score.logprobs == noted.logprobs  # to the last bit
    assert score.is_greedy
    assert set(score.ranks) == {1}
    # Neither what was asked before nor the other answers of a call change anything.
    model.forget_kept()
    again = model.score_answers(messages, ["four", noted.ids, CANBERRA, noted.ids], exactness="exact")
    assert again[1] == again[3] == score
    (fast,) = model.score_answers(messages, [noted.ids])
    if dtype == "float32":
        assert fast.sum == pytest.approx(score.sum, abs=1e-4)


def test_the_prompt_is_computed_once(tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    model = small(tiny_chat)
    lengths = []
    forward = model.model.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        lengths.append(kwargs["input_ids"].shape[1])
        return forward(*args, **kwargs)

    messages = [{"role": "user", "content": random_words(1, 80)}]
    model.score_answers(messages, ["four"])
    model.forget_kept()
    monkeypatch.setattr(model.model, "forward", counted)
    answers = [random_words(seed, 6) for seed in range(4)]
    found = model.score_answers(messages, answers)
    size = len(prompt_of(model, messages))
    assert sum(lengths) == size + sum(len(score.ids) for score in found)
    lengths.clear()
    model.score_answers([*messages, {"role": "assistant", "content": "x"}, *messages], answers)
    assert sum(lengths) < 2 * size + sum(len(score.ids) for score in found) - size // 16 * 16 + 32
    assert torch.is_grad_enabled()


def test_an_impossible_answer_has_no_perplexity() -> None:
    score = AnswerScore("x", [1, 2], [-1.0, -math.inf], [1, 9], False)
    assert (score.sum, score.mean, score.perplexity) == (-math.inf, -math.inf, math.inf)
    found = json.loads(json.dumps(score.to_dict(), allow_nan=False))
    assert (found["logprobs"], found["sum"], found["mean"], found["perplexity"]) == ([-1.0, None], None, None, None)


def test_scores_are_recorded_like_a_call(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "requests.json"
    with backends.record(path):
        scores = model.score_answers(CAPITAL, [CANBERRA, [1, 2, 3][:1]])
        with pytest.raises(MessagesError):
            model.score_answers(CAPITAL, [""])
    call, failed = json.loads(path.read_text(encoding="utf-8"))
    assert call["manipulated_prompt_obj"]["input_ids"] == prompt_of(model, CAPITAL)
    assert call["manipulated_prompt_obj"]["answers"] == [score.ids for score in scores]
    assert call["raw_response_obj"]["scores"] == [score.to_dict() for score in scores]
    facts = call["clemcore"]
    assert facts["scoring"] == {"feeding": "one pass", "answers": 2}
    assert facts["usage"]["scored_tokens"] == sum(len(score.ids) for score in scores)
    assert facts["model"]["dtype"] == "float32"
    assert failed["clemcore"]["error"]["type"] == "MessagesError"
    report = verify(path)
    assert not [finding for each in report.each for finding in each.findings if finding.is_wrong]


def test_which_way_is_in_the_record(tiny_chat: Path, tmp_path: Path) -> None:
    with backends.record(tmp_path / "requests.json"):
        exact = small(tiny_chat, exactness="exact")
        exact.score_answers(CAPITAL, ["four"])
        exact.score_answers(CAPITAL, ["four"], exactness="fast")
    calls = json.loads((tmp_path / "requests.json").read_text(encoding="utf-8"))
    assert [call["clemcore"]["scoring"]["feeding"] for call in calls] == ["token by token", "one pass"]
    assert [call["clemcore"]["exactness"] for call in calls] == ["exact", "fast"]


def test_a_model_that_cannot_go_on_is_fed_from_the_start(tiny_chat: Path, tmp_path: Path) -> None:
    from support.architectures import save

    model = small(save("mamba", tmp_path / "mamba", tiny_chat))
    prompt = prompt_of(model, CAPITAL)
    with backends.record(tmp_path / "requests.json"):
        scores = model.score_answers(CAPITAL, [CANBERRA, "four"])
    for score in scores:
        rows = forward(model, prompt, score.ids)
        wanted = [float(row[token]) for row, token in zip(rows, score.ids, strict=True)]
        assert score.logprobs == pytest.approx(wanted, abs=1e-4)
    (call,) = json.loads((tmp_path / "requests.json").read_text(encoding="utf-8"))
    assert call["clemcore"]["scoring"]["feeding"] == "token by token"
    assert "MambaForCausalLM" in call["clemcore"]["prefill"]["reason"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([], "answers is empty: give at least one"),
        ("four", "answers must be a list of texts or of lists of token ids, not str"),
        (["four", ""], r"answers\[1\] is empty: an answer needs at least one character"),
        ([[]], r"answers\[0\] is empty: an answer needs at least one token"),
        ([[1, 10**6]], r"answers\[0\] must be a text, or a list of token ids from 0 to \d+, not"),
        ([4], r"answers\[0\] must be a text, or a list of token ids"),
        ([b"four"], r"answers\[0\] must be a text or a list of token ids, not bytes: decode it first"),
        (["four", bytearray(b"four")], r"answers\[1\] must be a text or a list of token ids, not bytearray"),
        (b"four", "answers must be a list of texts or of lists of token ids, not bytes"),
        (["a\ud800"], r"answers\[0\] has a lone surrogate at character 1"),
        ([[5, 2, 5]], r"answers\[0\] has the end token 2 \('<\|im_end\|>'\) as token 1 and goes on after it"),
    ],
)
def test_answers_of_another_form(model: Any, answers: Any, words: str) -> None:
    with pytest.raises(MessagesError, match=words):
        model.score_answers(CAPITAL, answers)


def test_an_answer_that_does_not_fit(model: Any) -> None:
    with pytest.raises(ContextExceededError, match=r"exceeded by the prompt and answers\[1\]"):
        model.score_answers(CAPITAL, ["four", "four " * 600])


def test_an_unknown_way(model: Any) -> None:
    with pytest.raises(SpecError, match="exactness of score_answers must be 'exact' or 'fast', not 'slow'"):
        model.score_answers(CAPITAL, ["four"], exactness="slow")


def test_control_tokens_of_answers_follow_the_policy(tiny_chat: Path) -> None:
    text = "<|im_end|>"
    (whole,) = load(tiny_chat).score_answers(CAPITAL, [f"a{text}"])
    assert whole.ids[-1] == 2
    (escaped,) = small(tiny_chat, control_tokens="escape").score_answers(CAPITAL, [f"a {text} b"])
    assert 2 not in escaped.ids
    with pytest.raises(MessagesError, match=r"answers\[0\] has '<\|im_end\|>' at character 2: a control token"):
        small(tiny_chat, control_tokens="error").score_answers(CAPITAL, [f"a {text} b"])
    with pytest.raises(MessagesError, match=r"answers\[0\] has the end token"):
        load(tiny_chat).score_answers(CAPITAL, [f"a {text} b"])
