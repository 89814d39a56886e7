"""The account of generation arguments is true, for every format: held against the body that a server received.

Both ways: whatever was asked for is on the wire as the account says, or the account says why not; and whatever is
on the wire was asked for, is a default, or is the entry's. Where an argument belongs is written here by hand, from
the descriptions of the services.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clemcore.errors import GenerationArgumentError
from clemcore.model import DEFAULT_GEN_ARGS
from support.formats import FORMATS, Values
from support.remote import HELLO
from support.wire_server import WireServer

EFFORTS = ("none", "minimal", "low", "medium", "high", "max", "huge")
# The uniform names, with values that services take and some that they do not.
COMMON: Values = {
    "temperature": st.floats(-0.5, 2.5) | st.integers(-1, 3),
    "max_tokens": st.integers(0, 9000),
    "top_p": st.floats(0, 1.2),
    "top_k": st.integers(-1, 600),
    "min_p": st.floats(0, 1),
    "stop": st.text(max_size=2) | st.lists(st.text(max_size=2), max_size=6),
    "seed": st.integers(-1, 9),
    "presence_penalty": st.floats(-3, 3),
    "frequency_penalty": st.floats(-3, 3),
    "repetition_penalty": st.floats(0.5, 2),
    "logit_bias": st.dictionaries(st.sampled_from("123"), st.integers(-100, 100), max_size=2),
    "logprobs": st.booleans() | st.integers(0, 3),
    "top_logprobs": st.integers(0, 25),
    "reasoning": st.sampled_from([{"effort": effort} for effort in EFFORTS])
    | st.fixed_dictionaries({"budget": st.integers(0, 20000)}),
    "reasoning_effort": st.sampled_from(EFFORTS),
    "temprature": st.just(1),
}


# Services that want a list of what stops an answer.
LISTS_STOPS = ("anthropic", "azure-claude", "anthropic-2026", "google", "cohere")
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "sampling_parameters": st.sampled_from([[], ["temperature", "top_p"]]),
        "sampling_parameters_without_thinking": st.just(["temperature", "top_p", "logprobs"]),
        "max_output_tokens": st.just(4000),
        "token_limit_parameter": st.sampled_from(["max_tokens", "max_completion_tokens"]),
        "thinking": st.fixed_dictionaries(
            {"supported": st.booleans(), "style": st.sampled_from(["budget", "adaptive", "level", "effort"])},
            optional={"always": st.booleans(), "efforts": st.just(["low", "high"])},
        ),
    },
)
EXTRA = st.dictionaries(st.sampled_from(["zz", "seed", "stop"]), st.integers(0, 5), max_size=2)
CONFIGS = st.fixed_dictionaries(
    {"on_unsupported": st.sampled_from(["error", "drop", "nearest"])},
    optional={"reasoning_model": st.booleans(), "extra_body": EXTRA},
)


@pytest.mark.parametrize("name", FORMATS)
def test_what_the_account_says_is_what_the_server_got(wire_server: WireServer, name: str) -> None:
    form = FORMATS[name]
    known = {**COMMON, **form.natives, "extra_body": EXTRA}
    # Few at a time: most pairs contradict each other, and what is refused shows little.
    arguments = st.sets(st.sampled_from(sorted(known)), max_size=4).flatmap(
        lambda names: st.fixed_dictionaries({name: known[name] for name in sorted(names)})
    )
    sent = []

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(gen_args=arguments, entry=ENTRIES, config=CONFIGS)
    def holds(gen_args: dict[str, Any], entry: dict[str, Any], config: dict[str, Any]) -> None:
        wire_server.requests.clear()
        wire_server.script = [form.answer()]
        model = form.model(wire_server.url, gen_args, **entry, model_config=config)
        try:
            reply: Any = model.generate_response(HELLO)
        except GenerationArgumentError:
            assert not wire_server.requests
            return
        sent.append(gen_args)
        assert reply.prompt == wire_server.only.json
        account = Account(name, gen_args, config, wire_server.only.json, reply.facts)
        account.check()

    holds()
    assert sent


class Account:
    """What a call asked for, what the server got, and what the record says of it."""

    def __init__(
        self,
        name: str,
        gen_args: dict[str, Any],
        config: dict[str, Any],
        body: dict[str, Any],
        facts: Mapping[str, Any],
    ) -> None:
        self.name, self.form, self.body = name, FORMATS[name], body
        self.config = config
        self.asked = {**gen_args, **gen_args.get("extra_body", {})}
        self.asked.pop("extra_body", None)
        self.native = gen_args.get("extra_body", {}).keys()
        self.renamed, self.dropped, self.clamped = (
            facts["parameters"][part] for part in ("renamed", "dropped", "clamped")
        )
        self.sent = facts["sent"]

    def check(self) -> None:
        """Hold all three against each other."""
        arguments = {name: value for name, value in self.body.items() if name not in self.form.own}
        assert _text(arguments) == _text(self.sent), "what is said to be sent is what came, in its order"
        for name, value in self.asked.items():
            self.check_asked(name, value)
        policy = self.config["on_unsupported"]
        if policy == "error":
            changed = (self.dropped.keys() | self.clamped.keys()) & self.asked.keys()
            # What the model may think is added to its limit; and a format may say "none" by not saying "some".
            allowed = {"max_tokens"} if "max_tokens" in self.clamped else set()
            allowed |= {"logprobs"} if self.asked.get("logprobs") is False else set()
            assert changed <= allowed, "nothing is changed that was not allowed"
        for name in DEFAULT_GEN_ARGS.keys() - self.asked.keys() & self.dropped.keys():
            assert self.dropped[name].startswith("default")
        told = [*self.explained()]
        for place in _leaves(arguments):
            assert any(place == each or place.startswith(f"{each}.") for each in told), f"{place} is unexplained"

    def check_asked(self, name: str, value: Any) -> None:
        """An argument is in one place of the account, and the body agrees."""
        if name in self.dropped:
            assert self.dropped[name]
            assert name not in self.clamped
            assert name not in self.renamed
            return
        found = [self.at(place) for place in self.places(name)]
        if name in self.clamped:
            change = self.clamped[name]
            assert _text(change["asked"]) == _text(value)
            assert change["why"]
            assert _text(change["sent"]) != _text(value)
            value = change["sent"]
        if name in ("reasoning", "reasoning_effort"):
            (wish,) = value.values() if isinstance(value, dict) else [value]
            off = ("disabled", 0, "none", False) if wish in ("none", 0) else ()
            words = [each.lower() if isinstance(each, str) else each for each in _values(found)]
            assert any(each == wish or each in off for each in words)
        elif name == "logprobs" and self.form.place(name) == "include":
            assert "message.output_text.logprobs" in found[0]
        elif name == "stop" and name not in self.native and self.name in LISTS_STOPS and isinstance(value, str):
            assert found == [[value]]
        elif name == "safety_settings" and value == []:
            assert found == [_NOTHING]
        else:
            assert [_text(each) for each in found] == [_text(value)]

    def places(self, name: str) -> list[str]:
        """Where the account says that an argument stands; it is where the service looks for it."""
        said: list[str] = self.renamed.get(name, name).split(", ")
        if name in self.native:
            assert said == [name]
        elif name in ("max_tokens", "max_completion_tokens"):
            assert said[0] in self.form.limit
        elif name not in ("reasoning", "reasoning_effort"):
            assert said == [self.form.place(name)]
        return said

    def explained(self) -> Iterator[str]:
        """Every place of the body that the account gives a reason for."""
        yield from self.form.by_itself
        yield from self.config.get("extra_body", {})
        for name in {**DEFAULT_GEN_ARGS, **self.asked}:
            if name not in self.dropped:
                yield from self.renamed.get(name, name).split(", ")

    def at(self, place: str) -> Any:
        """What stands at a place of the body."""
        value: Any = self.body
        for step in place.split("."):
            value = value.get(step, _NOTHING) if isinstance(value, dict) else _NOTHING
        return value


_NOTHING = "<nothing>"


def _text(value: Any) -> str:
    """JSON tells 1 from 1.0 and true, as `==` does not."""
    return json.dumps(value)


def _leaves(value: Any, at: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inside in value.items():
            yield from _leaves(inside, f"{at}.{name}" if at else name)
    elif at:
        yield at


def _values(value: Any) -> Iterator[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inside is None:
        yield value
    else:
        for each in inside:
            yield from _values(each)
