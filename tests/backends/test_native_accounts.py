"""The account of generation arguments is true for formats of their own: whatever is asked, the body agrees."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clemcore.backends._remote.ledger import value_at
from clemcore.errors import GenerationArgumentError
from clemcore.model import DEFAULT_GEN_ARGS
from support import anthropic_wire, google_wire
from support.wire_server import WireServer

EFFORTS = st.sampled_from(["none", "minimal", "low", "medium", "high", "max", "huge"])
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(-0.5, 2.5) | st.integers(-1, 3),
    "max_tokens": st.integers(0, 9000),
    "top_p": st.floats(0, 1.2),
    "top_k": st.integers(-1, 100),
    "stop": st.text(max_size=2) | st.lists(st.text(max_size=2), max_size=2),
    "seed": st.integers(0, 9),
    "min_p": st.floats(0, 1),
    "presence_penalty": st.floats(-3, 3),
    "logprobs": st.booleans() | st.integers(0, 3),
    "top_logprobs": st.integers(0, 25),
    "reasoning": st.fixed_dictionaries({"effort": EFFORTS})
    | st.fixed_dictionaries({"budget": st.integers(0, 5000)}),
    "reasoning_effort": EFFORTS,
}
NATIVE: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "anthropic": {
        "stop_sequences": st.just(["END"]),
        "service_tier": st.just("auto"),
        "thinking": st.sampled_from(
            [{"type": "disabled"}, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2000}]
        ),
        "output_config": st.just({"effort": "low"}),
    },
    "google": {
        "stop_sequences": st.just(["END"]),
        "maxOutputTokens": st.integers(1, 50),
        "responseMimeType": st.just("text/plain"),
        "thinking_config": st.sampled_from(
            [{"thinkingBudget": 0}, {"thinkingBudget": 100}, {"thinkingLevel": "LOW"}]
        ),
        "safety_settings": st.sampled_from([[], google_wire.SAFETY[:1]]),
    },
}
THINKING = st.fixed_dictionaries(
    {"supported": st.just(True), "style": st.sampled_from(["budget", "adaptive", "level"])},
    optional={"always": st.booleans(), "efforts": st.just(["low", "high"])},
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "sampling_parameters": st.sampled_from([[], ["temperature", "top_p"]]),
        "max_output_tokens": st.just(4000),
        "thinking": THINKING,
    },
)
CONFIGS = st.fixed_dictionaries(
    {"on_unsupported": st.sampled_from(["error", "drop", "nearest"])}, optional={"thinking_mode": st.booleans()}
)
CASES = st.sampled_from(sorted(NATIVE)).flatmap(
    lambda backend: st.tuples(
        st.just(backend), st.fixed_dictionaries({}, optional={**COMMON, **NATIVE[backend]}), ENTRIES, CONFIGS
    )
)
OURS = {"anthropic": {"model", "messages"}, "google": {"contents"}}
PLACES = {"anthropic": ("max_tokens",), "google": ("generationConfig", "maxOutputTokens")}
BUDGETS = {
    "anthropic": ("thinking", "budget_tokens"),
    "google": ("generationConfig", "thinkingConfig", "thinkingBudget"),
}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=CASES)
def test_what_the_account_says_is_what_the_server_got(
    wire_server: WireServer, case: tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]
) -> None:
    backend, gen_args, entry, config = case
    wire_server.requests.clear()
    wire_server.script = [anthropic_wire.message() if backend == "anthropic" else google_wire.generated()]
    make = anthropic_wire.claude if backend == "anthropic" else google_wire.gemini
    model = make(wire_server, gen_args, **entry, model_config=config)
    try:
        reply = model.generate_response([{"role": "user", "content": "Hello!"}])
    except GenerationArgumentError:
        assert not wire_server.requests
        return
    body, parameters = wire_server.only.json, reply.facts["parameters"]
    assert reply.prompt == body
    assert {name: value for name, value in body.items() if name not in OURS[backend]} == reply.facts["sent"]
    for name, value in gen_args.items():
        _check(name, value, backend, body, parameters)
    if config["on_unsupported"] == "error":
        assert not parameters["dropped"].keys() & gen_args.keys()
        assert parameters["clamped"].keys() & gen_args.keys() <= {"max_tokens"}
    for name in DEFAULT_GEN_ARGS.keys() - gen_args.keys() & parameters["dropped"].keys():
        assert parameters["dropped"][name].startswith("default")


def _check(
    name: str, value: Any, backend: str, body: dict[str, Any], parameters: dict[str, dict[str, Any]]
) -> None:
    """Hold what the account says of an argument against the body."""
    if name in parameters["dropped"]:
        assert name not in parameters["clamped"]
        assert name not in parameters["renamed"]
        return
    if name in parameters["clamped"]:
        change = parameters["clamped"][name]
        assert change["asked"] == value or name == "reasoning_effort"
        if name == "max_tokens":
            assert value_at(body, PLACES[backend]) == change["sent"]
            budget = value_at(body, BUDGETS[backend], 0)
            assert change["sent"] in (value + budget, 1, 1 + budget, 4000)
        return
    if name in ("reasoning", "reasoning_effort"):
        words = [value] if isinstance(value, str) else list(value.values())
        said = [value_at(body, tuple(place.split("."))) for place in parameters["renamed"][name].split(", ")]
        off = {"disabled", 0} if words[0] in ("none", 0) else set()
        assert {str(words[0]).lower()} | off & {
            str(each).lower() if isinstance(each, str) else each for each in said
        }
        return
    place = tuple(parameters["renamed"].get(name, name).split("."))
    sent = value_at(body, place, "nothing")
    if place == ("safetySettings",) and value == []:
        assert sent == "nothing"
    else:
        assert sent == ([value] if name == "stop" and isinstance(value, str) else value)
