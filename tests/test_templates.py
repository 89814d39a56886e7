"""The Python face of chat templates: layers A and B of transformers, errors, the fallback, the clock."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import inspect
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clemcore.errors import TemplateError
from clemcore.prompts.templates import ChatTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator

CHATML = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ECHO = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}|{{ x }}")
HELLO = [{"role": "user", "content": "Hello!"}]


def test_a_conversation_becomes_the_prompt() -> None:
    template = ChatTemplate(CHATML)
    assert template.render(HELLO) == "<|im_start|>user\nHello!<|im_end|>\n"
    assert template.render(HELLO, add_generation_prompt=True).endswith("<|im_start|>assistant\n")
    assert (template.engine, template.engine_reason) == ("clemcore", "")
    assert template.fingerprint == hashlib.sha256(CHATML.encode()).hexdigest()
    assert template.variables == {"messages", "add_generation_prompt"}


def test_special_tokens_are_variables_that_keywords_override() -> None:
    template = ChatTemplate("{{ bos_token }}{{ eos_token is defined }}", special_tokens={"bos_token": "<s>"})
    assert template.render(HELLO) == "<s>False"
    tokens: dict[str, Any] = {"bos_token": "<b>", "eos_token": "</s>"}
    assert template.render(HELLO, **tokens) == "<b>True"


def test_tools_and_documents_are_always_defined() -> None:
    template = ChatTemplate("{{ tools is defined }} {{ tools }} {{ documents }} {{ add_generation_prompt }}")
    assert template.render(HELLO) == "True None None False"
    assert template.render(HELLO, tools=[{"a": 1}], documents=[]) == "True [{'a': 1}] [] False"


def test_a_prompt_flag_that_is_none_reaches_the_template_as_it_is() -> None:
    template = ChatTemplate("{{ add_generation_prompt }}")
    assert (template.render(HELLO), template.render(HELLO, add_generation_prompt=None)) == ("False", "None")
    assert template.render(HELLO, None, None, None) == "None"
    assert template.render(HELLO, add_generation_prompt=None, odd=object()) == "None"
    assert template.render_batch([HELLO]) == ["False"]
    assert template.render_batch([HELLO], add_generation_prompt=None) == ["None"]


def test_keys_without_a_value_are_dropped_from_messages_but_not_inside_them() -> None:
    template = ChatTemplate("{{ messages }}", transformers="5.23.0")
    messages = [{"role": "user", "content": None, "x": {"y": None}}]
    assert template.render(messages) == "[{'role': 'user', 'x': {'y': None}}]"
    assert messages[0]["content"] is None


def test_reasoning_is_given_under_the_names_that_templates_read() -> None:
    template = ChatTemplate("{{ messages[0] }}", transformers="5.23.0")
    message = {"role": "assistant", "content": "4", "reasoning": "2+2"}
    assert template.render([message]) == (
        "{'thinking': '2+2', 'role': 'assistant', 'content': '4', 'reasoning': '2+2', 'reasoning_content': '2+2'}"
    )


class _Colour(str, enum.Enum):
    RED = "red"


@dataclasses.dataclass
class _Point:
    x: int
    y: tuple[int, ...]


LOOK = (
    "{% for m in messages %}{{ loop.index0 }}{{ m.role }}{{ m['content'] }}{{ m.name is defined }}{{ m.thinking }}"
    "{{ m.reasoning_content == m['thinking'] }}{{ 'tool_calls' in m }}{{ m.get('name') }}{{ m.items is callable }}"
    "{{ m['content'].strip('x') if m['content'] is string }}{{ messages[-1].role }}{{ m }}\n{% endfor %}"
)
KEYS = st.sampled_from(["role", "content", "name", "tool_calls", "thinking", "reasoning", "items", "a", "b", "c"])
VALUES = st.none() | st.text("x Aé😀", max_size=4) | st.integers(-2, 2) | st.lists(st.booleans(), max_size=2)


@pytest.mark.parametrize("transformers", ["4.57.0", "5.23.0"])
@given(messages=st.lists(st.dictionaries(KEYS, VALUES, max_size=10), min_size=1, max_size=8))
@settings(deadline=None, max_examples=40)
def test_messages_of_any_shape_are_read_as_the_slow_way_reads_them(
    messages: list[dict[str, Any]], transformers: str
) -> None:
    template = ChatTemplate(LOOK, transformers=transformers)
    # Keys that are equal, but not the same objects, are another kind of message to the quick way.
    twice = messages + [{"".join(key): value for key, value in message.items()} for message in messages]
    assert template.render(twice) == template._render_slowly(twice, None, None, False, False, None)


def test_rich_objects_become_plain_data() -> None:
    template = ChatTemplate("{{ value }}", transformers="5.23.0")

    def text(value: Any) -> str:
        return template.render(HELLO, value=value)

    assert text(_Colour.RED) == "red"
    assert text(_Point(1, (2,))) == "{'x': 1, 'y': (2,)}"
    assert text(MappingProxyType({"a": [1.0]})) == "{'a': [1.0]}"
    assert text(object()) == "<object>"
    assert text(10**30) == "1" + "0" * 30


def test_the_final_message_is_continued() -> None:
    template = ChatTemplate(CHATML)
    messages = [*HELLO, {"role": "assistant", "content": "Hello! How "}]
    expected = "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\nHello! How "
    assert template.render(messages, continue_final_message=True) == expected
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "Yes"}, {"type": "image"}]}]
    by_parts = ChatTemplate("{% for p in messages[0].content %}{{ p.text }}{% endfor %}END")
    assert by_parts.render(parts, continue_final_message=True) == "Yes"
    with pytest.raises(TemplateError, match="not compatible"):
        template.render(messages, continue_final_message=True, add_generation_prompt=True)
    with pytest.raises(TemplateError, match='has no "content"'):
        template.render([{"role": "user"}], continue_final_message=True)
    with pytest.raises(TemplateError, match="conversation is empty"):
        template.render({}, continue_final_message=True)  # type: ignore[arg-type]
    with pytest.raises(TemplateError, match="does not appear"):
        ChatTemplate("content {{ messages[0].role }}").render(HELLO, continue_final_message=True)


def test_an_error_has_its_place_in_the_template() -> None:
    with pytest.raises(TemplateError) as syntax:
        ChatTemplate("line one\n{% for x in %}")
    assert (syntax.value.line, syntax.value.column, syntax.value.excerpt) == (2, 13, "{% for x in %}")
    template = ChatTemplate("a\n  {{ raise_exception('No ' ~ messages[0].role ~ '!') }}")
    with pytest.raises(TemplateError) as raised:
        template.render(HELLO)
    assert str(raised.value) == "No user!"
    assert raised.value.args == ("No user!",)
    assert raised.value.line == 2


def test_the_clock_can_be_pinned() -> None:
    template = ChatTemplate("{{ strftime_now('%d %b %Y %H:%M') }}", now="2026-03-07T14:05:09")
    assert template.render(HELLO) == "07 Mar 2026 14:05"


def test_what_the_core_does_not_cover_is_rendered_by_jinja2_visibly() -> None:
    template = ChatTemplate(
        "{% autoescape true %}{{ '<' }}{% endautoescape %}{{ strftime_now('%Y') }}",
        now="2026-01-01",
    )
    assert template.engine == "jinja2"
    assert "autoescape" in template.engine_reason
    assert template.variables == {"strftime_now"}
    assert template.render(HELLO) == "&lt;2026"
    template = ChatTemplate("{{ messages[0].content }}")
    assert template.engine == "clemcore"
    assert template.render([{"role": "user", "content": "\ud800"}]) == "\ud800"
    assert (template.engine, template.engine_reason) == ("jinja2", "a string with a lone surrogate")


def test_the_assistants_part_is_known_by_character() -> None:
    source = "{% for m in messages %}é{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    template = ChatTemplate(source)
    messages = [{"role": "assistant", "content": "añb"}, {"role": "assistant", "content": "c"}]
    assert template.render(messages) == "éañbéc"
    assert template.assistant_spans(messages) == [(1, 4), (5, 6)]


@given(st.lists(st.sampled_from(["a", "a" * 15, "a" * 16, "é", "ÿ", "Ā", "\uffff", "\U00010000", "👍", "中文"])))
def test_texts_of_every_width_are_the_strings_that_python_would_make(parts: list[str]) -> None:
    text = "".join(parts)
    made = ECHO.render([{"role": "user", "content": text}], x=text)
    expected = f"{text}|{text}"
    assert made == expected
    # The narrowest form that holds the text, as Python has it: otherwise equal strings would not be equal.
    assert sys.getsizeof(made) == sys.getsizeof(f"{text}|{text}")
    assert hash(made) == hash(expected)
    assert {expected: 1}[made] == 1


def test_render_is_called_as_any_method_of_python() -> None:
    render: Any = ECHO.render
    assert render(HELLO) == render(messages=HELLO) == render(HELLO, **{"".join(["to", "ols"]): None})
    assert str(inspect.signature(render)).endswith("continue_final_message=False, **kwargs)")
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'messages'"):
        render(tools=[])
    with pytest.raises(TypeError, match=r"got multiple values for argument 'tools'"):
        render(HELLO, None, tools=[])
    with pytest.raises(TypeError, match=r"takes from 1 to 5 positional arguments but 6 were given"):
        render(HELLO, None, None, None, None, None)
    unbound: Any = ChatTemplate.render
    with pytest.raises(TypeError, match="TemplateCore"):
        unbound(7, HELLO)


@pytest.mark.parametrize(
    "source",
    [
        "x{% filter upper %}y{% generation %}ß{{ messages[0].content }}{% endgeneration %}{% endfilter %}z",
        "xé{% set t %}y{% generation %}{{ messages[0].content }}{% endgeneration %}{% endset %}z",
        "x{% macro f(a) %}[{% generation %}{{ a }}{% endgeneration %}]{% endmacro %}y{{ f('é') }}{{ f('rr') }}",
        "{% generation %}a{% generation %}b{{ messages[0].content }}{% endgeneration %}c{% endgeneration %}",
        "{% for x in [messages[0].content] recursive %}q{% generation %}{{ x }}{% endgeneration %}"
        "{{ loop(['é']) if loop.depth < 3 }}{% endfor %}",
    ],
)
@pytest.mark.slow
def test_the_assistants_part_is_where_transformers_counts_it(source: str) -> None:
    utils = pytest.importorskip("transformers.utils.chat_template_utils")
    messages = [{"role": "user", "content": "héllo 😀"}]
    _, spans = utils.render_jinja_template([messages], chat_template=source, return_assistant_tokens_mask=True)
    assert ChatTemplate(source).assistant_spans(messages) == spans[0]


def test_a_batch_is_as_its_members() -> None:
    template = ChatTemplate(CHATML)
    odd: list[Any] = [{"role": "user", "content": "Hi", "x": object()}, *HELLO]
    chats: list[Any] = [[{"role": "user", "content": f"é{number}"}] * (number % 5 + 1) for number in range(400)]
    chats[0] = chats[150] = chats[399] = odd
    expected = [template.render(chat) for chat in chats]
    assert template.render_batch(chats) == template.render_batch(tuple(chats)) == expected
    assert template.render_batch(iter(chats)) == expected
    assert template.render_batch([]) == []
    settings: dict[str, Any] = {"add_generation_prompt": True, "tools": [{"a": "b"}], "x": ["y"]}
    source = CHATML + "{{ tools }}{{ x }}{{ bos_token }}{{ strftime_now('%Y') }}"
    template = ChatTemplate(source, {"bos_token": "<s>"}, now="2024-07-26")
    assert template.render_batch(chats, **settings) == [template.render(chat, **settings) for chat in chats]
    final: Any = {"continue_final_message": True}
    assert template.render_batch(chats[1:9], **final) == [template.render(chat, **final) for chat in chats[1:9]]


def test_a_batch_may_be_made_of_one_list_that_grows() -> None:
    def turns() -> Iterator[Any]:
        chat = []
        for number in range(300):
            chat.append({"role": "user", "content": str(number)})
            yield chat

    texts = ChatTemplate("{{ messages | length }}").render_batch(turns())
    assert texts == [str(number) for number in range(1, 301)]


def test_what_the_core_finds_out_late_is_rendered_by_jinja2_in_a_batch_too() -> None:
    template = ChatTemplate("{{ messages[0].content | urlize }}")
    texts = ["a", "see https://example.org", "b"]
    linked = template.render([{"role": "user", "content": texts[1]}])
    assert "<a href" in linked
    assert template.render_batch([[{"role": "user", "content": text}] for text in texts]) == ["a", linked, "b"]


@pytest.mark.parametrize("wrong", [3, 140, 299])
def test_the_failure_of_a_batch_names_the_conversation(wrong: int) -> None:
    template = ChatTemplate("{% if messages[0].content == 'x' %}{{ raise_exception('No x!') }}{% endif %}")
    chats: list[Any] = [[{"role": "user", "content": "y"}] for _ in range(300)]
    chats[wrong] = [{"role": "user", "content": "x"}]
    if wrong < 299:
        chats[299] = None
    with pytest.raises(TemplateError) as caught:
        template.render_batch(chats)
    assert str(caught.value) == "No x!"
    assert caught.value.conversation == wrong
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == [f"in conversation {wrong}, counted from 0"]


def test_the_bounds_of_a_render_hold_for_each_conversation_of_a_batch() -> None:
    source = (
        "{% for i in range(100000) %}{% for m in messages %}{% if m.content == 'x' %}{{ i }}{% endif %}{% endfor %}"
    )
    template = ChatTemplate(source + "{% endfor %}")
    few = [[{"role": "user", "content": "y"}]] * 3
    assert template.render_batch(few) == [""] * 3
    with pytest.raises(TemplateError, match="too many steps") as caught:
        template.render_batch([*few, [{"role": "user", "content": "y"}] * 40, *few])
    assert caught.value.conversation == 3


@pytest.mark.slow
def test_conversations_may_change_while_a_batch_is_rendered() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m.content }};{% endfor %}")
    chats = [[{"role": "user", "content": f"{'é' * 50}{place}"} for place in range(20)] for _ in range(2_000)]
    stop = threading.Event()

    def change() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            chat = chats[number * 7 % len(chats)]
            # The old texts go, and new ones may come to lie where they were.
            for place, message in enumerate(chat):
                message["content"] = "".join(["ü" * 50, str(place)])
            chat[0].pop("role", None)
            chat[0]["role"] = "user"

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        texts = [text for _ in range(5) for text in template.render_batch(chats)]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert len(texts) == 5 * len(chats)
    for text in texts:
        for place, part in enumerate(text.split(";")[:-1]):
            assert part in (f"{'é' * 50}{place}", f"{'ü' * 50}{place}")
    assert any("ü" in text for text in texts)


@pytest.mark.slow
def test_other_threads_run_while_a_batch_is_rendered() -> None:
    template = ChatTemplate(CHATML)
    chats = [[{"role": "user", "content": "Hello!"}] * 20] * 20_000
    turns, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            turns[0] += 1
            time.sleep(0.0001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = turns[0]
        texts = template.render_batch(chats)
        during = turns[0] - before
    finally:
        stop.set()
        thread.join()
    assert len(texts) == len(chats)
    # At the beginning and at the end of the call a thread may have its turn in any case.
    assert during > 4


class _Unreadable:
    def __reduce__(self) -> Any:
        return (int, ("no number",))


@pytest.mark.slow
def test_data_that_cannot_be_handed_to_jinja2_is_an_error() -> None:
    template = ChatTemplate("{% autoescape false %}{% endautoescape %}{{ x }}", transformers="4.57.6")
    for value in (lambda: 1, _Unreadable()):
        with pytest.raises(TemplateError, match="cannot be handed over"):
            template.render(HELLO, x=value)
    assert template.render(HELLO, x=1) == "1"


def test_a_conversation_is_a_list_of_messages() -> None:
    wrongs: list[Any] = [None, 7, object()]
    for wrong in wrongs:
        with pytest.raises(TemplateError, match="must be a list of messages"):
            ChatTemplate("{{ messages }}").render(wrong)


def test_templates_are_read_from_files(tmp_path: Path) -> None:
    config = {
        "bos_token": {"content": "<s>"},
        "eos_token": None,
        "chat_template": [{"name": "default", "template": "D{{ bos_token }}"}, {"name": "rag", "template": "R"}],
    }
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(config))
    assert ChatTemplate.from_file(path).render(HELLO) == "D<s>"
    assert ChatTemplate.from_file(tmp_path, name="rag").render(HELLO) == "R"
    with pytest.raises(TemplateError, match="named 'tool_use'"):
        ChatTemplate.from_file(path, name="tool_use")
    (tmp_path / "chat_template.jinja").write_bytes(b"J\r\n{{ bos_token }}")
    assert ChatTemplate.from_file(tmp_path).render(HELLO) == "J\n<s>"


def test_older_transformers_prepared_less() -> None:
    message = {"role": "assistant", "content": None, "reasoning": "r"}
    source = "{{ messages }}"
    old, new = (ChatTemplate(source, transformers=version).render([message]) for version in ("4.57.6", "5.23.0"))
    assert old == "[{'role': 'assistant', 'content': None, 'reasoning': 'r'}]"
    assert new == "[{'thinking': 'r', 'role': 'assistant', 'reasoning': 'r', 'reasoning_content': 'r'}]"


def test_importing_templates_is_light() -> None:
    heavy = "('jinja2', 'transformers', 'numpy')"
    code = f"import sys, clemcore.prompts.templates; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99999) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{{ 'x' * 9999999999 }}",
        "{{ '%9999999999d' % 1 }}{{ 9 ** 9999999 }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=[], y=[]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}"
        "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% if true %}" * 5000,
        "{{ 1" + " + 1" * 50000 + " }}",
        "{% for i in range(100001) %}{% endfor %}",
        "{% for a in range(99999) %}{{ range(99999)|sum }}{{ range(99999)|join|length }}{% endfor %}",
        "{{ range(99999)|list|tojson(indent='x' * 99999) }}",
        "{{ range(99999)|list|tojson(separators=('x' * 99999, '')) }}",
        "{{ ('a' * 4000000)|wordwrap(1, wrapstring='x' * 99) }}",
        "{{ ('a' * 999999).translate({97: 'b' * 999999}) }}",
        "{% for i in range(99999) %}{{ ('a b ' * 99999)|title|length }}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = [ns.x]|string %}{% endfor %}",
        "{% set ns = namespace(x=()) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% endfor %}"
        "{{ {ns.x: 1} }}",
        "{% macro f() %}{{ kwargs|length }}{% endmacro %}{% for i in range(99999) %}"
        "{{ f(**dict.fromkeys(range(99999)|map('string'))) }}{% endfor %}",
        "{{ strftime_now('%Y' * 9999999) }}",
        "{{ " + "9" * 999_999 + " }}",
    ],
    ids=lambda source: source[:60],
)
def test_hostile_templates_end_in_a_clear_error(source: str) -> None:
    with pytest.raises(TemplateError):
        ChatTemplate(source).render(HELLO)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", r"0\.5 s of processor"),
        (
            "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "200 MiB",
        ),
        ("{{ 'x' * 20000000 }}", "the text has more than 16 Mi characters"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "recursion"),
    ],
)
def test_hostile_templates_end_in_jinja2_too(source: str, message: str) -> None:
    template = ChatTemplate("{% autoescape messages[0].hostile %}{% endautoescape %}" + source)
    assert template.engine == "jinja2"
    with pytest.raises(TemplateError, match=message):
        template.render([{**HELLO[0], "hostile": True}])


@pytest.mark.slow
def test_a_template_of_very_many_names_ends_in_an_error_too() -> None:
    names = ", ".join(f"a{number}" for number in range(50_000))
    with pytest.raises(TemplateError, match=r"0\.5 s of processor time"):
        ChatTemplate("{% macro f(" + names + ") %}{% endmacro %}")


@pytest.mark.slow
def test_jinja2_is_started_again_after_a_bound_was_broken() -> None:
    template = ChatTemplate(
        "{% autoescape false %}{% endautoescape %}{% for i in range(messages[0].n) %}{% for j in range(99999) %}"
        "{% endfor %}{% endfor %}{{ messages[0].n }}{{ strftime_now('%Y') }}",
        now="2026-01-01",
    )
    assert template.render([{"role": "user", "n": 1}]) == "12026"
    with pytest.raises(TemplateError, match="processor time"):
        template.render([{"role": "user", "n": 99999}])
    assert template.render([{"role": "user", "n": 2}]) == "22026"
