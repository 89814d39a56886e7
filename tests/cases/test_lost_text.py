"""What a message says is in the prompt of a local model, or the call is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import MessagesError
from clemcore.messages import Messages
from clemcore.prompts.lost_text import Form, changed_texts, form_of, is_reasoning_removed
from clemcore.prompts.templates import ChatTemplate
from support.tiny import load

TURN = "<|im_start|>{{ m.role }}\n"
PARTS = (
    "{% for m in messages %}" + TURN + "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
# Texts for the assistant, parts for everybody else.
MIXED = (
    "{% for m in messages %}" + TURN + "{% if m.role == 'assistant' %}{{ m.content | trim }}{% else %}"
    "{{ m.content | map(attribute='text') | join }}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
NO_SYSTEM = (
    "{% for m in messages if m.role != 'system' %}" + TURN + "{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
NO_THOUGHTS = (
    "{% for m in messages %}" + TURN + "{% if m.role == 'assistant' and '</think>' in m.content %}"
    "{{ m.content.split('</think>')[-1].strip() }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
DIALOGUE = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "user"},
    {"role": "assistant", "content": "<think>Hm.</think> Yes."},
    {"role": "user", "content": "Why?"},
]


def found(source: str, messages: Messages) -> tuple[Form, list[int], str]:
    """Return the form of a dialogue, the texts that are changed in it, and the prompt."""
    template = ChatTemplate(source)
    form = form_of(messages, template.render, source)
    prompt = template.render(form.apply(messages))
    return form, changed_texts(messages, prompt), prompt


class TestForms:
    def test_texts_where_a_template_takes_them(self) -> None:
        form, changed, _ = found("{% for m in messages %}" + TURN + "{{ m.content }}{% endfor %}", DIALOGUE)
        assert (form, changed) == (Form(), [])

    def test_parts_where_a_template_iterates_over_them(self) -> None:
        form, changed, prompt = found(PARTS, DIALOGUE)
        assert (form, changed) == (Form(parts=frozenset(range(4))), [])
        assert "<|im_start|>user\nuser<|im_end|>" in prompt

    def test_both_in_one_template(self) -> None:
        form, changed, prompt = found(MIXED, DIALOGUE)
        assert (form, changed) == (Form(parts=frozenset({0, 1, 3})), [])
        assert "Hm.</think> Yes." in prompt

    def test_a_template_that_refuses_texts(self) -> None:
        source = "{% if messages[0].content is string %}{{ raise_exception('parts!') }}{% endif %}" + PARTS
        assert found(source, DIALOGUE)[0] == Form(parts=frozenset(range(4)))

    def test_parts_that_are_written_as_they_are_do_not_count(self) -> None:
        source = "{% for m in messages %}{% if m.content is not string %}{{ m.content }}{% endif %}{% endfor %}x"
        assert found(source, DIALOGUE)[0] == Form(lost=frozenset(range(4)))

    def test_a_text_that_occurs_by_chance_is_lost_all_the_same(self) -> None:
        source = "{% for m in messages %}" + TURN + "{% endfor %}"
        assert found(source, [{"role": "user", "content": "user"}])[0] == Form(lost=frozenset({0}))


class TestChanges:
    @pytest.mark.parametrize(
        "writes",
        [
            "m.content | trim",
            "m.content | tojson",
            "m.content | e",
            "m.content | replace('\\r\\n', '\\n') | replace('\\n\\n', '\\n')",
            "m.content | indent(2)",
        ],
    )
    @pytest.mark.parametrize("text", ["  a\n\nb ", "<b> & \"c\" 'd' \\ é\r\n\r\nf\t"])
    def test_blanks_and_escapes_are_no_loss(self, writes: str, text: str) -> None:
        messages = [{"role": "user", "content": text}]
        assert found("{% for m in messages %}{{ " + writes + " }}{% endfor %}", messages)[1] == []

    @pytest.mark.parametrize("writes", ["m.content[:10]", "m.content | upper", "m.content | replace('o', '0')"])
    def test_other_changes_are(self, writes: str) -> None:
        messages = [{"role": "user", "content": "A long enough question?"}, {"role": "user", "content": "B"}]
        assert found("{% for m in messages %}{{ " + writes + " }}{% endfor %}", messages)[1] == [0]

    def test_reasoning_may_be_removed_by_a_template_that_looks_for_it(self) -> None:
        render = ChatTemplate(NO_THOUGHTS).render
        assert found(NO_THOUGHTS, DIALOGUE)[1] == [2]
        assert is_reasoning_removed(DIALOGUE, 2, render, NO_THOUGHTS)

    def test_a_cut_is_not_the_removal_of_reasoning(self) -> None:
        source = NO_THOUGHTS.replace(".strip()", ".strip()[:2]").replace("{{ m.content }}", "{{ m.content[:12] }}")
        assert not is_reasoning_removed(DIALOGUE, 2, ChatTemplate(source).render, source)

    def test_only_the_assistant_reasons(self) -> None:
        source = NO_THOUGHTS.replace("m.role == 'assistant' and ", "")
        messages = [{"role": "user", "content": "What is </think>?"}]
        assert found(source, messages)[1] == [0]
        assert not is_reasoning_removed(messages, 0, ChatTemplate(source).render, source)


@pytest.mark.slow
class TestCalls:
    def ask(self, folder: Path, template: str, messages: Messages, **config: Any) -> Any:
        model = load(folder, {"custom_chat_template": template, "premade_chat_template": False, **config})
        model.set_gen_args(max_tokens=3)
        return model.generate_response(messages)

    def test_parts(self, tiny_chat: Path) -> None:
        reply = self.ask(tiny_chat, PARTS, DIALOGUE)
        assert "user\nuser<|im_end|>\n" in reply.prompt["inputs"]
        assert reply.facts["template"]["content"] == "parts"
        assert self.ask(tiny_chat, PARTS, DIALOGUE, control_tokens="escape").prompt == reply.prompt

    @pytest.mark.parametrize(
        ("template", "place"), [(NO_SYSTEM, 1), (NO_SYSTEM.replace("m.content", "m.content[:4]"), 1)]
    )
    def test_a_loss_is_an_error_unless_it_is_allowed(self, tiny_chat: Path, template: str, place: int) -> None:
        # Two neighbours are one message of the prompt; the error counts as the caller does.
        messages = [
            {"role": "user", "content": "Hey."},
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Why"},
            {"role": "user", "content": "me?"},
        ]
        with pytest.raises(
            MessagesError, match=rf"messages\[{place}\] is not in .*'tiny'.*missing_text to 'record'"
        ):
            self.ask(tiny_chat, template, messages)
        facts = self.ask(tiny_chat, template, messages, missing_text="record").facts["template"]
        assert facts["missing_text"][0] == place

    def test_removed_reasoning_is_recorded(self, tiny_chat: Path) -> None:
        reply = self.ask(tiny_chat, NO_THOUGHTS, DIALOGUE)
        assert reply.facts["template"]["shortened"] == [2]
        assert "missing_text" not in reply.facts["template"]

    def test_an_assistant_that_only_calls_tools_has_no_text(self, tiny_chat: Path) -> None:
        template = (
            "{% for m in messages %}" + TURN + "{{ m.tool_call_id }} {{ m.content }}{{ m.tool_calls | length }}\n"
            "{% endfor %}"
        )
        calls = [{"id": n, "type": "function", "function": {"name": "f", "arguments": {}}} for n in "12"]
        messages: Messages = [
            {"role": "user", "content": "Add."},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": "18", "tool_call_id": "1"},
            {"role": "tool", "content": "21", "tool_call_id": "2"},
        ]
        prompt = self.ask(tiny_chat, template, messages).prompt["inputs"]
        assert "tool\n1 180" in prompt
        assert "tool\n2 210" in prompt


def test_real_templates_keep_every_text(shared: Path) -> None:
    """Each template of the corpus takes a plain dialogue, or leaves out a whole message."""
    messages = [{"role": "user", "content": " Is 1 < 2?\n"}, {"role": "assistant", "content": "Yes & no."}]
    messages.append({"role": "user", "content": "Why?"})
    parts: list[str] = []
    lost: list[str] = []
    for path in sorted((shared / "corpus" / "chat-templates" / "templates").iterdir()):
        try:
            form, changed, _ = found(path.read_bytes().decode(), messages)
        except ValueError:
            continue  # it refuses the dialogue, or needs a token
        assert set(changed) <= form.lost, path.name
        (lost if form.lost else parts).extend([path.stem] * bool(form.lost or form.parts))
    assert {"trl-smolvlm", "trl-idefics3", "trl-llava_next"} <= set(parts)
    # Judges and rankers of other people's dialogues.
    assert len(lost) < 10, lost
