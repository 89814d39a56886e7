"""Constrained answers of local models: forms, what is taken away, thinking before them, and errors."""

from __future__ import annotations

import importlib
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clemcore.backends.local.constraints.forms import read_constraint
from clemcore.backends.local.constraints.schemas import fault_of_schema
from clemcore.backends.local.constraints.widths import least_tokens
from clemcore.errors import GenerationArgumentError, GenerationError
from clemcore.model import Model
from support.tiny import CAPITAL, THINK, copy_of, load, think

pytest.importorskip("llguidance")
slow = pytest.mark.slow
REGEX = r"[a-c]{3,9}(,[0-9]{1,3}){0,2}"
CHOICES = ["Canberra", "Sydney", "I do not know."]
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "maxLength": 10}, "word": {"type": "string", "maxLength": 5}},
    "required": ["answer", "word"],
    "additionalProperties": False,
}
TAGS: dict[str, Any] = {"cot_output": True, "cot_start_tag": "<think>", "cot_end_tag": "</think>"}


def satisfies(kind: str, text: str) -> bool:
    """Judge an answer by other means than the library that forced it."""
    if kind == "regex":
        return re.fullmatch(REGEX, text) is not None
    if kind == "choices":
        return text in CHOICES
    jsonschema: Any = importlib.import_module("jsonschema")
    jsonschema.validate(json.loads(text), SCHEMA)
    return True


class TestForms:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("yes|no", "must be an object with one of choices, regex, json_schema, grammar"),
            ({"regex": "a", "choices": ["a"]}, "must be an object with one of"),
            ({"regexp": "a"}, "must be an object with one of"),
            ({"choices": []}, "'choices' must be a list of texts that are not empty"),
            ({"choices": ["a", ""]}, "'choices' must be a list of texts that are not empty"),
            ({"choices": "ab"}, "'choices' must be a list of texts that are not empty"),
            ({"regex": 3}, "'regex' must be a text"),
            ({"json_schema": "{}"}, "'json_schema' must be a JSON schema"),
            ({"grammar": ""}, "'grammar' must be a text"),
        ],
    )
    def test_what_is_none(self, value: Any, message: str) -> None:
        with pytest.raises(ValueError, match=re.escape(message)):
            read_constraint(value)

    def test_a_misspelt_keyword_of_a_schema(self) -> None:
        fault = fault_of_schema({"type": "object", "properties": {"a": {"type": "string", "maxLenght": 3}}})
        assert fault == "'properties.a.maxLenght' is not a keyword of JSON schemas: did you mean 'maxLength'?"
        assert fault_of_schema({"properties": {"maxLenght": {"type": "string"}}, "x-own": 1}) is None

    @pytest.mark.parametrize(
        ("schema", "fault"),
        [
            ({"type": "string", "nullable": True}, "'nullable' is of OpenAPI 3.0 and does not allow null here"),
            ({"allOf": [{"enum": ["a"], "nullable": True}]}, "'allOf.0.nullable' is of OpenAPI"),
            ({"anyOf": [{"type": "string"}], "nullable": True}, "'nullable' is of OpenAPI"),
            ({"$defs": 5}, "'$defs' must be an object of schemas by their names, not 5"),
            ({"definitions": {"a": "b"}}, "'definitions.a' must be a schema (an object), not 'b'"),
        ],
    )
    def test_what_a_schema_says_in_vain(self, schema: dict[str, Any], fault: str) -> None:
        assert str(fault_of_schema(schema)).startswith(fault)

    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "string", "nullable": False},
            {"type": ["string", "null"], "nullable": True},
            {"enum": ["a", None], "nullable": True},
            {"anyOf": [{"type": "null"}, {"type": "string"}], "nullable": True},
            {"nullable": True},
            {"$defs": {"a": True, "b": {}}},
        ],
    )
    def test_what_is_said_twice_is_no_fault(self, schema: dict[str, Any]) -> None:
        assert fault_of_schema(schema) is None

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("propertys", "properties"),
            ("requried", "required"),
            ("additional_properties", "additionalProperties"),
            ("any_of", "anyOf"),
            ("$reff", "$ref"),
            ("uniqueItem", "uniqueItems"),
        ],
    )
    def test_a_misspelt_keyword_is_refused_with_the_one_that_was_meant(self, name: str, meant: str) -> None:
        fault = fault_of_schema({"allOf": [{name: 1}]})
        assert fault == f"'allOf.0.{name}' is not a keyword of JSON schemas: did you mean '{meant}'?"

    @pytest.mark.parametrize(
        "name",
        # of JSON Schema (draft 4 too), OpenAPI, VS Code, Google's API, and of one's own
        [
            "$comment",
            "examples",
            "title",
            "id",
            "example",
            "nullable",
            "discriminator",
            "xml",
            "markdownDescription",
            "errorMessage",
            "enumNames",
            "propertyOrdering",
            "x-order",
            "$own",
            "ui:order",
            "unit",
        ],
    )
    def test_notes_and_extensions_are_not(self, name: str) -> None:
        assert fault_of_schema({"type": "object", "properties": {"a": {name: "a"}}, name: 1}) is None

    def test_a_blank_that_the_tokenizer_drops_when_it_decodes(self) -> None:
        """As SentencePiece does at the beginning of a text."""
        from clemcore.backends.local.engine import Generated
        from clemcore.backends.local.text import TextCutter

        pieces = [b"", b" yes", b"\xc3", b"\xa9 "]

        def decode(ids: list[int]) -> str:
            return b"".join(pieces[token] for token in ids).decode(errors="replace").removeprefix(" ")

        engine: Any = SimpleNamespace(decode=decode, bytes_of=pieces.__getitem__)
        entry: Any = SimpleNamespace(output_split_prefix="e", eos_to_cull="s", eos_is_literal=True)
        generated = Generated([1, 2, 3, 0], "stop", frozenset([0]))
        assert TextCutter(entry, engine, ()).cut(generated, (), None, is_exact=True).text == " yes\u00e9 "

    @pytest.mark.parametrize(
        ("value", "least"),
        [
            ({"choices": ["abcabc", "bb"]}, 2),
            ({"choices": ["abcab"]}, 2),  # abc, ab
            ({"choices": ["xyz"]}, math.inf),
            ({"regex": "[a-z]{7}"}, 3),
            ({"regex": "a*"}, 0),
            ({"json_schema": {"type": "string", "minLength": 10}}, 4),
            ({"json_schema": {"enum": ["abc", "abcdefg"]}}, 2),
            ({"json_schema": {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}}, 4),
            ({"json_schema": {"$ref": "#"}}, 1),
            ({"grammar": 'start: "abcabcabc"'}, 0),
        ],
    )
    def test_the_shortest_answer(self, value: dict[str, Any], least: float) -> None:
        assert least_tokens(read_constraint(value), {b"a", b"b", b"c", b"ab", b"abc"}) == least


@pytest.fixture(scope="module")
def tiny(tiny_chat: Path) -> Model:
    return load(tiny_chat)


@slow
class TestAnswers:
    @pytest.mark.parametrize(
        ("constraint", "text"),
        [
            ({"choices": CHOICES}, None),
            ({"regex": r"The capital of \w+ is [A-C]\w+\."}, "The capital of Australia is Canberra."),
            ({"json_schema": SCHEMA}, None),
            ({"grammar": 'start: "The capital is " town "."\ntown: "Canberra" | "Sydney"'}, None),
        ],
    )
    def test_greedy(self, tiny: Model, constraint: dict[str, Any], text: str | None) -> None:
        reply = tiny.generate_response(CAPITAL, gen_args={"constraint": constraint})
        facts = reply.facts["constraint"]
        (kind,) = constraint
        assert (facts["kind"], facts["complete"], reply.facts["finish_reason"]) == (kind, True, "stop")
        assert reply.facts["sent"]["constraint"] == constraint
        if kind in ("choices", "json_schema"):
            assert satisfies(kind, reply.text)
        if kind == "grammar":
            assert reply.text in ("The capital is Canberra.", "The capital is Sydney.")
        if text is not None:  # as without the constraint
            assert reply.text == text
            assert facts["changed"] == 0

    @pytest.mark.parametrize(("kind", "content"), [("regex", REGEX), ("choices", CHOICES), ("json_schema", SCHEMA)])
    def test_sampled(self, tiny_chat: Path, kind: str, content: Any) -> None:
        """At temperature 2 nearly all are complete; all of these satisfy the constraint, the others say so."""
        model = load(tiny_chat)
        model.set_gen_args(temperature=2.0, max_tokens=60, constraint={kind: content})
        count = 60
        replies = model.generate_batch_response([CAPITAL] * count, gen_args=[{"seed": n} for n in range(count)])
        whole = [reply for reply in replies if reply.facts["finish_reason"] == "stop"]
        assert len(whole) >= 0.9 * count
        assert all(satisfies(kind, reply.text) for reply in whole)
        assert all(reply.facts["constraint"]["complete"] for reply in whole)
        for reply in replies:
            if reply not in whole:
                assert reply.facts["finish_reason"] == "length"
        assert len({reply.text for reply in whole}) > 1

    def test_the_probability_taken_away_is_that_of_a_computation_by_hand(self, tiny: Model) -> None:
        import torch

        constraint = {"choices": ["Canberra", "Sydney"]}
        reply = tiny.generate_response(CAPITAL, gen_args={"constraint": constraint})
        prompt, new = reply.prompt["input_ids"], reply.response["output_ids"]
        tokenizer, weights = tiny.tokenizer, tiny.model  # type: ignore[attr-defined]
        with torch.no_grad():
            logits = weights(torch.tensor([[*prompt, *new]])).logits[0, len(prompt) - 1 : -1].double()
        texts = {token: tokenizer.decode([token]) for token in range(logits.shape[1])}
        kept, changed = [], 0
        for step, row in enumerate(logits):
            begun = tokenizer.decode(new[:step])
            allowed = [
                token
                for token, text in texts.items()
                if (begun in constraint["choices"] and token == 2)
                or (text and token > 2 and any(choice.startswith(begun + text) for choice in constraint["choices"]))
            ]
            kept.append(row.softmax(0)[allowed].sum().item())
            changed += int(row.argmax()) not in allowed
        facts = reply.facts["constraint"]
        assert facts["log_kept"] == pytest.approx(sum(map(math.log, kept)), rel=1e-5)
        assert facts["least"]["token"] == kept.index(min(kept))
        assert facts["least"]["mass"] == pytest.approx(min(kept), rel=1e-4)
        assert facts["changed"] == changed > 0

    @pytest.mark.parametrize("text", [" yes ", "\tno\n", " ", "no  "])
    def test_blanks_at_the_ends_of_a_choice_belong_to_it(self, tiny: Model, text: str) -> None:
        asked = {"constraint": {"choices": [text]}, "max_tokens": 20}
        assert tiny.generate_response(CAPITAL, gen_args=asked).text == text
        stream = tiny.stream_response(CAPITAL, gen_args=asked)
        assert "".join(stream) == stream.reply.text == text
        assert tiny.generate_batch_response([CAPITAL], gen_args=[asked])[0].text == text

    def test_an_answer_that_is_cut_says_so(self, tiny: Model) -> None:
        reply = tiny.generate_response(CAPITAL, gen_args={"constraint": {"regex": "(ab )*c"}, "max_tokens": 2})
        assert (reply.facts["finish_reason"], reply.facts["constraint"]["complete"]) == ("length", False)
        reply = tiny.generate_response(
            CAPITAL, gen_args={"constraint": {"choices": ["Canberra is it"]}, "stop": [" is"]}
        )
        assert (reply.text, reply.facts["constraint"]["complete"]) == ("Canberra", False)

    def test_in_a_batch_each_has_its_own(self, tiny_chat: Path) -> None:
        model = load(tiny_chat)
        asked: list[dict[str, Any]] = [
            {"constraint": {"choices": ["Sydney"]}},
            {},
            {"constraint": {"regex": "[0-9]{40}"}},
        ]
        batch = model.generate_batch_response([CAPITAL] * 3, gen_args=asked)
        alone = [model.generate_batch_response([CAPITAL], gen_args=[gen_args])[0] for gen_args in asked]
        assert [reply.text for reply in batch] == [reply.text for reply in alone]
        assert batch[0].text == "Sydney"
        assert "constraint" not in batch[1].facts
        assert re.fullmatch("[0-9]{40}", batch[2].text)
        assert batch[0].facts["constraint"]["log_kept"] == pytest.approx(
            alone[0].facts["constraint"]["log_kept"], rel=1e-5
        )


@slow
class TestThinking:
    def test_the_mask_starts_after_the_thinking(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        free = model.generate_response(THINK)
        reply = model.generate_response(THINK, gen_args={"constraint": {"regex": r"It is [0-9]\."}})
        assert reply.response["cot_content"] == free.response["cot_content"]
        assert re.fullmatch(r"It is [0-9]\.", reply.text)
        assert reply.facts["constraint"]["complete"]
        assert reply.facts["thinking"]["ended"] == "model"

    def test_blanks_after_a_thought_belong_to_the_choice(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        asked = {"constraint": {"choices": ["\n four "]}, "reasoning": {"budget": 2}}
        reply = model.generate_response(THINK, gen_args=asked)
        assert (reply.text, reply.facts["usage"]["reasoning_tokens"]) == ("\n four ", 2)
        at_once = model.generate_response(CAPITAL, gen_args={"constraint": {"choices": [" Perth "]}})
        assert at_once.text == " Perth "

    def test_with_a_budget(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        asked = {"constraint": {"choices": ["four", "five"]}, "reasoning": {"budget": 2}}
        reply = model.generate_response(THINK, gen_args=asked)
        assert reply.text in ("four", "five")
        assert reply.facts["usage"]["reasoning_tokens"] == 2
        assert reply.facts["thinking"]["ended"] == "budget"

    def test_a_model_that_answers_at_once(self, tiny_chat: Path) -> None:
        model: Model = think(tiny_chat, **TAGS)
        reply = model.generate_response(CAPITAL, gen_args={"constraint": {"choices": ["Perth", "Sydney"]}})
        assert reply.text in ("Perth", "Sydney")
        assert reply.facts["constraint"]["complete"]

    def test_a_thought_must_end(self, tiny_chat: Path) -> None:
        """The model would end its reply without the tag that the entry names."""
        model: Model = think(tiny_chat, cot_end_tag="<never>")
        asked = {"constraint": {"choices": ["four"]}, "reasoning": {"budget": 30}, "max_tokens": 20}
        reply = model.generate_response(THINK, gen_args=asked)
        assert (reply.text, reply.facts["thinking"]["ended"]) == ("four", "budget")


@slow
class TestErrors:
    @pytest.mark.parametrize(
        ("constraint", "message"),
        [
            ("yes", r"constraint: must be an object with one of choices"),
            ({"regex": "[a-"}, r"constraint.regex cannot be used: .*unclosed character class"),
            ({"regex": "(?=a)b"}, r"constraint.regex cannot be used: .*look-around"),
            ({"grammar": "start: foo"}, r"constraint.grammar cannot be used: line 1, column 8: unknown name"),
            ({"grammar": 'a: "x"\nstart: ((a'}, r"cannot be used: line 2, column 11: Expected token '\)'"),
            ({"grammar": "begin: /a/"}, r"cannot be used: no start rule found"),
            (
                {"json_schema": {"type": "string", "pattern": "(a"}},
                r"cannot be used: '\(a': unclosed group; correct",
            ),
            ({"json_schema": {"type": "strin"}}, r"constraint.json_schema cannot be used: .*strin"),
            ({"json_schema": {"type": "array", "uniqueItems": True}}, r"json_schema cannot be used: .*uniqueItems"),
            ({"json_schema": {"type": "string", "maxLenght": 3}}, r"maxLenght.*did you mean 'maxLength'"),
            ({"json_schema": {"type": "integer", "minimum": 5, "maximum": 3}}, r"Unsatisfiable schema"),
            ({"regex": r"a[^\s\S]"}, r"constraint.regex cannot be satisfied by any tokens"),
            ({"regex": "[a-z]{4000}"}, r"its shortest answer has at least \d+ tokens, but max_tokens is 300"),
            ({"regex": r"\bno\b"}, r"word boundaries \(\\b, \\B\) cannot be enforced; correct it$"),
            ({"regex": "a^b"}, r"\^ and \$ may stand at the beginning and the end of the whole pattern only"),
            ({"regex": "no\\"}, r"constraint.regex: it ends with a single backslash"),
            ({"regex": "(" * 300 + "a" + ")" * 300}, r"'\({60}…': exceed the maximum number of nested"),
            ({"json_schema": {"$ref": "http://x/y"}}, r"'http://x/y' is outside of the schema"),
            ({"json_schema": {"$ref": "#/$defs/x"}}, r"\$ref '/\$defs/x' points to nothing in the schema"),
            ({"json_schema": {"$schema": "draft"}}, r"\$ref or \$schema 'draft' is outside of the schema"),
            ({"json_schema": {"type": "integer", "maximum": -(10**18)}}, r"limits of a number are too large"),
            ({"grammar": 'start: a\na[temperature=2]: "x"'}, r"temperature of a rule would have no effect"),
            ({"choices": ["x" * 4000]}, r"constraint.choices: its shortest answer has at least"),
        ],
    )
    def test_what_cannot_be(self, tiny: Model, constraint: Any, message: str) -> None:
        with pytest.raises(GenerationArgumentError, match=message) as caught:
            tiny.generate_response(CAPITAL, gen_args={"constraint": constraint})
        assert "'tiny'" in str(caught.value)
        assert not re.search(r"%|x-guidance|\d \||at \d+\(|\n", str(caught.value)), "what we put around it"

    def test_one_of_names_the_option_that_helps(self, tiny: Model) -> None:
        schema = {"oneOf": [{"type": "integer"}, {"type": "number"}]}
        with pytest.raises(GenerationArgumentError, match=r"oneOf .* to \{\"coerce_one_of\": true\}, which reads"):
            tiny.generate_response(CAPITAL, gen_args={"constraint": {"json_schema": schema}})
        asked = {"json_schema": {**schema, "x-guidance": {"coerce_one_of": True}}}
        reply = tiny.generate_response(CAPITAL, gen_args={"constraint": asked, "max_tokens": 20})
        float(reply.text)

    def test_a_keyword_that_says_nothing(self, tiny: Model) -> None:
        schema = {"type": "array", "items": {"type": "null"}, "maxItems": 2, "uniqueItems": False}
        reply = tiny.generate_response(CAPITAL, gen_args={"constraint": {"json_schema": schema}})
        assert json.loads(reply.text) in ([], [None], [None, None])

    def test_many_choices(self, tiny: Model) -> None:
        """As a rule of a grammar, each would be an item of the parser, which takes 2,000."""
        choices = [f"answer {number}" for number in range(3000)]
        reply = tiny.generate_response(CAPITAL, gen_args={"constraint": {"choices": choices}})
        assert reply.text in choices

    def test_a_grammar_that_is_too_large_for_the_library(self, tiny: Model) -> None:
        grammar = "start: " + " | ".join(f'"{number}"' for number in range(2001))
        said = (
            r"model 'tiny': the constraint is too large for llguidance \(Current row has \d+ items; max is 2000\)"
        )
        with pytest.raises(GenerationError, match=said):
            tiny.generate_response(CAPITAL, gen_args={"constraint": {"grammar": grammar}})

    def test_beams(self, tiny_chat: Path, tmp_path: Path) -> None:
        model: Model = load(copy_of(tiny_chat, tmp_path / "tiny", generation_config={"num_beams": 2}))
        with pytest.raises(GenerationArgumentError, match=r"model's generation_config.json .* searched for"):
            model.generate_response(CAPITAL, gen_args={"constraint": {"choices": ["a"]}})
        plain: Model = load(tiny_chat)
        for name in ("num_beams", "prompt_lookup_num_tokens"):
            with pytest.raises(GenerationArgumentError, match=rf"{name} of the call has the whole answer searched"):
                plain.generate_response(CAPITAL, gen_args={"constraint": {"choices": ["a"]}, name: 2})

    def test_without_the_library(self, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from clemcore.errors import MissingExtraError

        model: Model = load(tiny_chat)
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        with pytest.raises(MissingExtraError, match=r"clemcore\[constraints\]"):
            model.generate_response(CAPITAL, gen_args={"constraint": {"choices": ["a"]}})
