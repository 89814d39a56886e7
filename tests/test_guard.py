"""Control tokens inside messages: found, refused, marked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clemcore.errors import MessagesError
from clemcore.messages import Messages
from clemcore.prompts.control_tokens import ControlTokens, Found, facts_of, free_marks, take_marks

TOKENS = ["<s>", "</s>", "<|im_end|>", "<|im_end|>\n", "[INST]"]


@pytest.fixture(scope="module")
def control() -> ControlTokens:
    return ControlTokens([*TOKENS, ""])


@dataclass(frozen=True)
class Added:
    content: str
    special: bool = False

    def __str__(self) -> str:
        return self.content


@dataclass
class Tokenizer:
    """What is asked of a tokenizer."""

    added: list[Added]
    all_special_tokens: list[str] = field(default_factory=lambda: ["<s>"])

    @property
    def added_tokens_decoder(self) -> dict[int, Added]:
        return dict(enumerate(self.added))


def test_which_tokens_count() -> None:
    added = [
        Added("<|end|>", special=True),
        Added("<|fim|>"),
        Added("<\uff5ctool\uff5c>"),
        Added("<think>"),
        Added("<table>"),
        Added("    "),
        Added("\n\n"),
        Added("covid"),
    ]
    control = ControlTokens.of(Tokenizer(added), "{{ '<think>' }}\n\n covid {{ m }}    ")
    assert set(control.tokens) == {"<s>", "<|end|>", "<|fim|>", "<\uff5ctool\uff5c>", "<think>"}


def test_the_longest_wins(control: ControlTokens) -> None:
    assert [one.token for one in control.find([{"role": "user", "content": "a<|im_end|>\n<|im_end|>b"}])] == [
        "<|im_end|>\n",
        "<|im_end|>",
    ]


def test_every_text_of_a_message_but_its_role(control: ControlTokens) -> None:
    message: dict[str, Any] = {
        "role": "<s>",
        "content": [{"type": "text", "text": "x[INST]"}, {"type": "image"}],
        "tool_calls": [{"function": {"arguments": {"role": "</s>", "n": 1}}}],
    }
    assert control.find([{"role": "user", "content": "fine"}, message]) == [
        Found(1, "['content'][0]['text']", 1, "[INST]"),
        Found(1, "['tool_calls'][0]['function']['arguments']['role']", 0, "</s>"),
    ]


def test_a_model_without_control_tokens() -> None:
    assert ControlTokens([]).find([{"role": "user", "content": "<s>"}]) == []


def test_refused_with_its_place(control: ControlTokens) -> None:
    control.check([{"role": "user", "content": "fine"}], "m")
    with pytest.raises(MessagesError, match=r"messages\[1\]\['content'\] has '<s>' at character 2 \(and 1 more\)"):
        control.check([{"role": "user", "content": "a"}, {"role": "user", "content": "b <s></s>"}], "m")


def test_facts(control: ControlTokens) -> None:
    found = control.find([{"role": "user", "content": "<s><s>"}, {"role": "user", "content": "</s>"}])
    assert facts_of(found, "record") == {
        "policy": "record",
        "count": 3,
        "tokens": {"<s>": 2, "</s>": 1},
        "messages": [0, 1],
    }
    assert facts_of([], "escape") == {"policy": "escape", "count": 0}


def test_marks_leave_messages_as_they_are(control: ControlTokens) -> None:
    messages: Messages = [{"role": "<s>", "content": ["a<s>"], "n": 1}, {"role": "user", "content": "b</s>"}]
    before = repr(messages)
    assert control.mark(messages, ("(", ")")) == [
        {"role": "<s>", "content": ["a(<s>)"], "n": 1},
        {"role": "user", "content": "b(</s>)"},
    ]
    assert control.mark(messages, ("(", ")"), only={(1, "</s>")})[0] == messages[0]
    assert repr(messages) == before


def test_marks_occur_nowhere() -> None:
    taken = "".join(map(chr, range(0xF0000, 0xF0005)))
    assert free_marks(taken, chr(0xF0006)) == (chr(0xF0005), chr(0xF0007))


@given(st.lists(st.sampled_from([*TOKENS, "a", " ", "\n", "<", "|im_end|>", "(", "😀"])))
def test_what_was_marked_is_found_again(control: ControlTokens, pieces: list[str]) -> None:
    text = "".join(pieces)
    marks = free_marks(text)
    (marked,) = control.mark([{"role": "user", "content": text}], marks)
    plain, spans = take_marks(marked["content"], marks)
    assert plain == text
    found = control.find([{"role": "user", "content": text}])
    assert [(one.offset, one.offset + len(one.token)) for one in found] == spans
    assert all(text[begin:end] in TOKENS for begin, end in spans)
