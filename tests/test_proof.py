"""Proofs: planted faults are found with case and byte, proofs are kept, and are used for nothing else."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import MessagesError, TemplateError
from clemcore.prompts import proof
from clemcore.prompts.proof import Case, Proof, Subject, compare, corpus, prove, read_cases
from clemcore.prompts.proof.cases import adapted
from clemcore.prompts.proof.compare import RefusalError, first_difference
from clemcore.prompts.proof.make import OurEngine
from clemcore.prompts.proof.subject import engine_files
from clemcore.prompts.templates import ChatTemplate
from support.templates import FAULTS, RIGHT

NOW = datetime(2026, 7, 26, 12)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

slow = pytest.mark.slow  # importing transformers alone takes seconds


def engine(source: str) -> OurEngine:
    return OurEngine(source, TOKENS, NOW)


def official(case: Case) -> str:
    """The right template, as the side whose refusals count to the letter."""
    try:
        return engine(RIGHT)(case)
    except TemplateError as refusal:
        raise RefusalError(str(refusal)) from None


class TestCompare:
    """Without transformers: two renderers of our own."""

    def test_equal(self) -> None:
        result = compare(engine(RIGHT), engine(RIGHT), corpus())
        assert (result.differing, result.first) == ([], None)
        assert result.cases == len(corpus())
        assert result.rendered == len(result.agreed) > 100

    @pytest.mark.parametrize("name", FAULTS)
    def test_a_planted_fault_is_found_at_its_byte(self, name: str) -> None:
        old, new, case, ours, theirs = FAULTS[name]
        assert RIGHT.count(old) == 1
        result = compare(engine(RIGHT.replace(old, new)), official, corpus())
        first = result.first
        assert first is not None
        assert (first.case, first.case in result.differing) == (case, True)
        assert first.ours.startswith(ours)
        assert first.theirs.startswith(theirs)
        assert first.ours[:1] != first.theirs[:1]
        if first.byte is not None:
            side = outcome(RIGHT, case)
            assert side[: first.byte].endswith(first.before.encode())
            assert side[first.byte :].startswith(first.theirs.encode())
            assert first.line == side[: first.byte].count(b"\n") + 1

    def test_the_text_of_floats(self) -> None:
        right = engine(RIGHT)
        result = compare(lambda case: right(case).replace("1e-07", "1.0e-7"), right, corpus())
        assert result.first is not None
        assert result.first.case == "tool-numbers"
        assert (result.first.ours[:6], result.first.theirs[:5]) == (".0e-7,", "e-07,")

    def test_a_renderer_that_breaks_is_found(self) -> None:
        def broken(case: Case) -> str:
            raise ZeroDivisionError(case.id)

        result = compare(broken, engine(RIGHT), corpus()[:1])
        assert result.first is not None
        assert (result.first.what, result.first.ours) == ("error", "error: ZeroDivisionError: user")
        assert result.first.theirs.startswith("text: <s><|im_start|>")

    @pytest.mark.parametrize(
        ("one", "other", "place"), [("", "", 0), ("ab", "ab", 2), ("ab", "abc", 2), ("äb", "äc", 1), ("x", "", 0)]
    )
    def test_first_difference(self, one: str, other: str, place: int) -> None:
        assert first_difference(one, other) == first_difference(other, one) == place


def outcome(source: str, case: str) -> bytes:
    """The right text of a case, or the right error."""
    found = next(item for item in corpus() if item.id == case)
    try:
        return engine(source)(found).encode()
    except TemplateError as refusal:
        return str(refusal).encode()


class TestCases:
    def test_ids_are_unique_and_ours(self) -> None:
        ids = [case.id for case in corpus()]
        assert len(ids) == len(set(ids)) > 100

    def test_a_templates_own_words_become_cases(self) -> None:
        cases = {case.id: case for case in adapted("{{ 'think:' }}{{ mood }}{{ messages }}", ["mood", "messages"])}
        assert cases["words-within"].messages[0]["content"] == "a think: b"
        assert cases["words-last-swapped"].messages[1] == {"role": "assistant", "content": "athink:"}
        assert cases['mood="word"+prompt'].arguments() == {"add_generation_prompt": True, "mood": "word"}
        assert not any("messages" in case.kwargs for case in cases.values())

    @pytest.mark.parametrize(
        ("content", "ids"),
        [
            ([{"role": "user", "content": "a"}], ["c.json", "c.json+prompt"]),
            ({"messages": [{"role": "user", "content": "a"}], "add_generation_prompt": True}, ["c.json"]),
            ([{"id": "x", "messages": [{"role": "user", "content": "a"}]}] * 2, ["x", "x+prompt"] * 2),
        ],
    )
    def test_cases_of_a_file(self, content: Any, ids: list[str]) -> None:
        Path("c.json").write_text(json.dumps(content))
        assert [case.id for case in read_cases(Path("c.json"))] == ids

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("[", "c.json:1:2: no valid JSON"),
            ("[]", "c.json: no case in it"),
            ("3", "c.json: case 0: neither messages nor"),
            ('{"messages": [{"role": "user"}]}', r"c.json: case 0: messages\[0\]\['content'\] must be a string"),
            ('{"messages": [], "tool": []}', "c.json: case 0: unknown key 'tool'; known are"),
            ('{"messages": {}}', "c.json: case 0: 'messages' has the wrong type: dict"),
        ],
    )
    def test_files_that_hold_no_case(self, content: str, message: str) -> None:
        Path("c.json").write_text(content)
        with pytest.raises(MessagesError, match=message):
            read_cases(Path("c.json"))
        with pytest.raises(MessagesError, match="cannot be read"):
            read_cases(Path("none.json"))


class TestFeatures:
    """A conversation is covered when the corpus, taken together, had all that is peculiar about it."""

    PLAIN = (
        {"role": "system", "content": "Play."},
        {"role": "user", "content": "Grüße 👍 \r\n"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "x"},
    )

    @pytest.fixture
    def unseen(self) -> Callable[..., set[str]]:
        find = proof.Features(CHATML).of
        cases = (*corpus(), *adapted(CHATML, []))
        covered = set().union(*(find(case.messages, case.arguments(), NOW) for case in cases))
        return lambda messages, **arguments: (
            find(messages, {"add_generation_prompt": True, **arguments}, NOW) - covered
        )

    def test_what_games_send_is_covered(self, unseen: Callable[..., set[str]]) -> None:
        assert unseen(self.PLAIN) == set()
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"anything": {"of": ["this"]}}}}]
        assert unseen(self.PLAIN, tools=tools) <= {"tools[].function.parameters.*:list"}

    @pytest.mark.parametrize(
        ("message", "feature"),
        [
            ({"role": "wizard", "content": "x"}, "role user>wizard"),
            ({"role": "assistant", "content": "x", "mood": 1}, "message.mood:int"),
            ({"role": "assistant", "content": ("x",)}, "message.content:tuple"),
            ({"role": "assistant", "content": "x", "weight": 2**70}, "message.weight:bigint"),
            ({"role": "assistant", "content": "\ud800"}, "message lone surrogate"),
            ({"role": "assistant", "content": "x", "weight": float("nan")}, "message.weight:nan"),
        ],
    )
    def test_what_the_corpus_never_had(
        self, unseen: Callable[..., set[str]], message: dict[str, Any], feature: str
    ) -> None:
        assert feature in unseen([*self.PLAIN, message])

    def test_variables_by_value(self, unseen: Callable[..., set[str]]) -> None:
        assert unseen(self.PLAIN, enable_thinking=False) == set()
        assert unseen(self.PLAIN, enable_thinking="no") == {"enable_thinking='no'"}

    def test_the_date_is_a_feature_where_the_template_has_a_clock(self) -> None:
        find = proof.Features("{{ strftime_now('%Y') }}").of
        assert "date 2026-07-26" in find(self.PLAIN, {}, NOW)


@slow
class TestAgainstTransformers:
    def test_a_right_template(self) -> None:
        made = prove(Subject.of_template(RIGHT, TOKENS))
        assert made.holds
        assert (made.engine, made.engine_reason, made.reason, made.first) == ("clemcore", "", "", None)
        assert made.rendered > 100
        assert Proof.from_dict(json.loads(json.dumps(made.to_dict()))) == made

    @pytest.mark.parametrize("name", FAULTS)
    def test_planted_faults(self, name: str) -> None:
        old, new, case, *_ = FAULTS[name]
        made = prove(Subject.of_template(RIGHT, TOKENS), ours=engine(RIGHT.replace(old, new)))
        assert not made.holds
        assert made.first is not None
        assert made.first.case == case
        assert made.reason.startswith(f"case {case} differs (")
        assert Proof.from_dict(json.loads(json.dumps(made.to_dict()))) == made

    def test_token_ids(self, tiny_chat: Path) -> None:
        tokenizer = tokenizer_of(tiny_chat)
        made = prove(Subject.of_model(tokenizer.chat_template, tokenizer))
        assert made.holds
        assert made.tokenizer
        real = tokenizer.apply_chat_template

        def other(messages: Any, *, tokenize: bool, **arguments: Any) -> Any:
            found = real(messages, tokenize=tokenize, **arguments)
            return {"input_ids": [*found["input_ids"][:3], 7, *found["input_ids"][3:]]} if tokenize else found

        tokenizer.apply_chat_template = other
        made = prove(Subject.of_model(tokenizer.chat_template, tokenizer))
        assert made.first is not None
        assert (made.first.case, made.first.what, made.first.token) == ("user", "token ids", 3)
        assert made.first.byte is not None

    def test_the_clock_stands_still_on_both_sides(self) -> None:
        source = "{{ strftime_now('%d %B %Y %H:%M') }}" + CHATML
        theirs = Subject.of_template(source)
        made = prove(theirs, now=NOW)
        assert (made.holds, made.clock, made.clock_is_pinned) == (True, "2026-07-26T12:00:00", True)
        text = proof.Transformers(theirs.tokenizer, source, NOW).render([{"role": "user", "content": "x"}], {})
        assert text.startswith("26 July 2026 12:00<|im_start|>user")
        # Elsewhere time goes on.
        text = proof.Transformers(theirs.tokenizer, source).render([{"role": "user", "content": "x"}], {})
        assert not text.startswith("26 July 2026 12:00")
        made = prove(theirs, now=NOW, ours=OurEngine(source, {}, datetime(2026, 7, 27)))
        assert made.first is not None
        assert (made.first.byte, made.first.ours[0], made.first.theirs[0]) == (1, "7", "6")

    def test_other_names_of_tokens_are_variables(self) -> None:
        made = prove(Subject.of_template("{{ turn_token }}" + CHATML, {"turn_token": "<t>"}))
        assert made.holds
        assert made.template_kwargs == {"turn_token": "<t>"}

    def test_a_template_that_refuses_all_is_not_proven(self) -> None:
        made = prove(Subject.of_template("{{ raise_exception('no') }}"))
        assert (made.holds, made.reason) == (False, "the template refuses every conversation of the proof")

    def test_what_is_in_hand_while_it_is_made_is_let_go(self) -> None:
        """jinja2's errors hold their callers: a model whose template is proven would outlive its deletion."""

        class InHand:
            pass

        def make() -> weakref.ref[InHand]:
            in_hand = InHand()
            made = prove(Subject.of_template(CHATML))
            assert made.rendered < made.cases  # there were errors
            return weakref.ref(in_hand)

        make()
        gc.disable()
        try:
            assert make()() is None
        finally:
            gc.enable()

    def test_a_template_that_nobody_can_read(self) -> None:
        with pytest.raises(TemplateError) as caught:
            prove(Subject.of_template("one\n{% for %}"))
        assert caught.value.line is not None

    def test_a_template_that_only_transformers_can_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any, **__: Any) -> ChatTemplate:
            raise TemplateError("unknown tag")

        monkeypatch.setattr("clemcore.prompts.proof.make.ChatTemplate", refuse)
        made = prove(Subject.of_template(CHATML))
        assert made.first is not None
        assert made.first.ours == "error: the template cannot be read: unknown tag"


def tokenizer_of(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@slow
class TestStore:
    @pytest.fixture
    def count(self, monkeypatch: pytest.MonkeyPatch) -> list[Subject]:
        made: list[Subject] = []

        def counted(subject: Subject, **arguments: Any) -> Proof:
            made.append(subject)
            return prove(subject, **arguments)

        monkeypatch.setattr("clemcore.prompts.proof.store.prove", counted)
        return made

    def test_made_once(self, count: list[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLEMCORE_CACHE", str(tmp_path / "cache"))
        subject = Subject.of_template(CHATML)
        made = proof.proof_for(subject)
        assert proof.proof_for(Subject.of_template(CHATML)) == made
        assert len(count) == 1
        files = list((tmp_path / "cache" / "proofs").iterdir())
        assert [file.name for file in files] == [f"{made.id}.json"]

    def test_another_subject_is_another_proof(self, tiny_chat: Path) -> None:
        tokenizer = tokenizer_of(tiny_chat)
        subjects = [
            Subject.of_template(CHATML),
            Subject.of_template(CHATML + " "),
            Subject.of_template(CHATML, {"bos_token": "<s>"}),
            Subject.of_template(CHATML, template_kwargs={"a": 1}),
            Subject.of_model(CHATML, tokenizer),
        ]
        assert len({subject.id for subject in subjects}) == len(subjects)

    def test_other_versions_are_another_proof(self, monkeypatch: pytest.MonkeyPatch) -> None:
        subject = Subject.of_template(CHATML)
        before = subject.id
        monkeypatch.setattr("jinja2.__version__", "9.9")
        assert subject.id != before

    def test_another_build_of_the_engine_is_another_proof(self) -> None:
        names = {path.name.partition(".")[0] for path in engine_files()}
        assert names >= {"_core", "jinja", "template", "isolation", "cases", "cover"}

    @pytest.mark.parametrize("content", [b"", b"[]", b'{"format": 0}', b'{"format": 1}', b"\xff"])
    def test_a_damaged_file_is_made_anew(self, count: list[Subject], content: bytes) -> None:
        from clemcore.prompts.proof.store import path_of

        subject = Subject.of_template(CHATML)
        path = path_of(subject.id)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        assert proof.proof_for(subject).holds
        assert len(count) == 1
        assert json.loads(path.read_bytes())["holds"] is True

    def test_a_result_that_was_changed_by_hand_is_not_believed(self) -> None:
        made = prove(Subject.of_template(CHATML), ours=engine(RIGHT))
        assert not made.holds
        with pytest.raises(ValueError, match="contradicts itself"):
            Proof.from_dict({**made.to_dict(), "holds": True})

    def test_a_cache_that_cannot_be_written_stops_nothing(
        self, count: list[Subject], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("CLEMCORE_CACHE", str(tmp_path / "file"))
        assert proof.proof_for(Subject.of_template(CHATML)).holds
        assert proof.proof_for(Subject.of_template(CHATML)).holds
        assert len(count) == 2

    def test_a_clock_is_proven_each_day(self, count: list[Subject]) -> None:
        for source, times in ((CHATML, 1), ("{{ strftime_now('%d') }}" + CHATML, 2)):
            count.clear()
            subject = Subject.of_template(source)
            for day in (26, 26, 27):
                assert proof.proof_for(subject, datetime(2026, 7, day)).holds
            assert len(count) == times


def test_features_of_remembered_messages_are_those_of_new_ones() -> None:
    source = "{% if '<tag>' in messages[0].content %}{% endif %}"
    find = proof.Features(source).of
    dialogue = [{"role": "user", "content": "Hi <tag>"}, {"role": "assistant", "content": " é"}]
    now = datetime(2026, 1, 1)
    first = find(dialogue, {}, now)
    assert find(dialogue, {}, now) == first == proof.Features(source).of(dialogue, {}, now)
    assert find([*dialogue, {"role": "user", "content": "Ho"}], {}, now) - first == {
        "role assistant>user",
        "role user>$",
    }
    # A type of its own is not taken for the text that it equals.
    named = type("Named", (str,), {})("Hi <tag>")
    assert "message.content:Named" in find([{"role": "user", "content": named}, dialogue[1]], {}, now)


@pytest.mark.slow
def test_transformers_is_not_asked_about_a_template_that_breaks_a_bound() -> None:
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{{ messages }}"
    with pytest.raises(TemplateError, match="too many steps"):
        prove(Subject.of_template(loops, {}))
