"""Messages: their check, and merging neighbours of one role."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clemcore.errors import MessagesError
from clemcore.messages import Messages, check_messages, ensure_alternating_roles


def _say(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([], "an empty list"),
        (None, "not NoneType"),
        ("Hello", "not str"),
        ({"role": "user", "content": "x"}, "not dict"),
        (["Hello"], r"messages\[0\] must be a dict"),
        ([{"content": "x"}], r"messages\[0\]\['role'\] .* but is missing"),
        ([_say("", "x")], r"messages\[0\]\['role'\] .* but is empty"),
        ([_say("user", "x"), {"role": "user"}], r"messages\[1\]\['content'\] .* but is missing"),
        ([_say("user", 5)], r"messages\[0\]\['content'\] must be a string, not int"),
        ([_say("user", None)], r"messages\[0\]\['content'\]"),
        ([_say("user", ["x"])], r"messages\[0\]\['content'\]\[0\] must be a dict"),
    ],
)
def test_what_is_wrong_is_named(messages: Any, fault: str) -> None:
    with pytest.raises(MessagesError, match=fault) as caught:
        check_messages(messages)
    assert isinstance(caught.value, ValueError)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(MessagesError, match=r"messages\[0\].*messages\[2\]\['role'\].*messages\[2\]\['content'\]"):
        check_messages([1, _say("user", "x"), {}])


def test_what_models_can_read_is_accepted() -> None:
    check_messages(
        [
            _say("system", ""),
            _say("user", [{"type": "text", "text": "x"}], image="a.png"),
            _say("assistant", None, tool_calls=[]),
        ]
    )


def test_neighbours_are_merged_and_nothing_is_lost() -> None:
    merged = ensure_alternating_roles(
        [
            _say("system", ""),
            _say("user", "a", image="1.png"),
            _say("user", "b", image=["2.png"]),
            _say("user", "c"),
            _say("assistant", "d"),
        ]
    )
    assert merged == [_say("user", "a\n\nb\n\nc", image=["1.png", "2.png"]), _say("assistant", "d")]


def test_a_single_image_keeps_its_form() -> None:
    merged = ensure_alternating_roles([_say("user", "a"), _say("user", "b", image="1.png")])
    assert merged == [_say("user", "a\n\nb", image="1.png")]
    merged = ensure_alternating_roles([_say("user", "a"), _say("user", "b", image=["1.png"])])
    assert merged == [_say("user", "a\n\nb", image=["1.png"])]


@pytest.mark.parametrize(
    "neighbours",
    [
        [_say("user", "a", name="Ann"), _say("user", "b", name="Ben")],
        [_say("user", "a"), _say("user", "b", name="Ben")],
        [_say("user", "a", name="Ann"), _say("user", "b")],
        [_say("tool", "18", tool_call_id="1"), _say("tool", "21", tool_call_id="2")],
        [_say("tool", "18"), _say("tool", "18")],
        [_say("assistant", None, tool_calls=[{"id": "1"}]), _say("assistant", None, tool_calls=[{"id": "1"}])],
        [_say("assistant", "a", reasoning_content="r"), _say("assistant", "b", reasoning_content="s")],
    ],
)
def test_a_field_belongs_to_its_own_message(neighbours: Messages) -> None:
    assert ensure_alternating_roles(neighbours) == neighbours


def test_equal_fields_do_not_keep_messages_apart() -> None:
    merged = ensure_alternating_roles([_say("user", "a", name="Ann"), _say("user", "b", name="Ann")])
    assert merged == [_say("user", "a\n\nb", name="Ann")]


def test_text_and_parts_merge_into_parts() -> None:
    part = {"type": "image"}
    merged = ensure_alternating_roles([_say("user", "a"), _say("user", [part])])
    assert merged == [_say("user", [{"type": "text", "text": "a"}, part])]


def test_an_empty_system_message_stays_when_asked() -> None:
    assert len(ensure_alternating_roles([_say("system", ""), _say("user", "a")], cull_system_message=False)) == 2
    assert ensure_alternating_roles([]) == []


dialogues = st.lists(
    st.builds(_say, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=4)), max_size=8
)


@given(dialogues)
def test_properties(messages: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(messages)
    merged = ensure_alternating_roles(messages, cull_system_message=False)
    assert messages == before
    assert all(a["role"] != b["role"] for a, b in itertools.pairwise(merged))
    assert ensure_alternating_roles(merged, cull_system_message=False) == merged
    assert "\n\n".join(m["content"] for m in merged) == "\n\n".join(m["content"] for m in messages)
    for message in merged:
        message["content"] = "changed"
    assert messages == before
