"""Replays: whole runs without a network, byte for byte; the first difference; failures; older records."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, errors
from clemcore.errors import BadRequestError, ContextExceededError, RecordError, ReplayError, SpecError
from support.remote import DIALOGUE, HELLO, open_model
from support.wire_server import Answer, Received, WireServer, completion, refusal

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def question(number: int) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "Antworte mit einem Wört."},
        {"role": "user", "content": f"What follows {number}? " + "…" * (number % 7)},
    ]


def answering(received: Received) -> Answer:
    text = received.json["messages"][-1]["content"]
    number = int(text.split()[2].rstrip("?"))
    if number % 50 == 13:
        return refusal(400, f"not {number}, it is unlucky", param="messages")
    if number % 100 == 77:
        return refusal(
            400,
            "This model's maximum context length is 100 tokens. However, your messages resulted in 222 tokens.",
            code="context_length_exceeded",
        )
    return completion(f"{number + 1} ✓", logprobs={"content": [{"logprob": -1e-07, "bytes": [226]}]})


def run(model: Any) -> list[str]:
    """500 calls, as a game makes them: dialogues that grow, a batch, single calls, some of which fail."""
    seen = []
    dialogue = question(0)
    for number in range(1, 100):
        try:
            text = model.generate_response(dialogue)[2]
        except (BadRequestError, ContextExceededError) as error:
            text = f"{type(error).__name__}: {error}"
        seen.append(text)
        dialogue = [*dialogue[-4:], {"role": "assistant", "content": text}, *question(number)[1:]]
        dialogue = dialogue if dialogue[0]["role"] != "assistant" else dialogue[1:]
    batch = [question(number) for number in range(1000, 1400)]
    results = model.generate_batch_response(batch, return_exceptions=True)
    seen += [result[2] if isinstance(result, tuple) else f"{type(result).__name__}: {result}" for result in results]
    model.set_gen_arg("temperature", 0.5)
    seen.append(model.generate_response(question(5))[2])
    return seen


@pytest.fixture(scope="module")
def recorded_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run of 500 calls against a server that is gone afterwards, and what it answered."""
    path = tmp_path_factory.mktemp("run") / "requests.json"
    with WireServer() as server:
        server.script = [answering]
        model = open_model(server.url, {"max_tokens": 20}, max_connections=20)
        with backends.record(path) as recorder:
            seen = run(model)
        assert recorder.count == len(server.requests) == 500
    return path, seen


def test_a_replayed_run_of_500_calls_is_byte_equal(recorded_run: tuple[Path, list[str]]) -> None:
    path, seen = recorded_run
    model: Any = backends.get_model_for(f"replay:{path}")
    assert model.name == "remote-model"
    assert model.gen_args == {"max_tokens": 20, "temperature": 0.0}
    with backends.record("again.json"):
        assert run(model) == seen
    assert model.remaining == 0
    # Times too: a call that was recorded is repeated as it was.
    assert Path("again.json").read_bytes() == path.read_bytes()
    assert sum("BadRequestError" in text for text in seen) == 10
    assert sum("ContextExceededError" in text for text in seen) > 3
    with pytest.raises(ReplayError, match="all of its 500 recorded calls were answered"):
        model.generate_response(HELLO)


@pytest.mark.parametrize("place", ["single", "batch"])
def test_one_changed_character_is_found_at_its_message(recorded_run: tuple[Path, list[str]], place: str) -> None:
    path, _ = recorded_run
    calls = json.loads(path.read_text())
    changed = next(
        index
        for index, call in enumerate(calls)
        if ("batch" in call["clemcore"]) == (place == "batch") and index % 100 == 42
    )
    message = calls[changed]["manipulated_prompt_obj"]["messages"][-1]
    where = len(message["content"]) - len("follows 1?")
    message["content"] = message["content"][:where] + "~" + message["content"][where + 1 :]
    Path("changed.json").write_text(json.dumps(calls))
    with backends.record("again.json") as recorder, pytest.raises(ReplayError) as caught:
        run(backends.get_model_for("replay:changed.json"))
    error = caught.value
    assert error.place == f"changed.json[{changed}]"
    assert error.message_index == len(calls[changed]["manipulated_prompt_obj"]["messages"]) - 1
    assert (error.field, error.position) == ("content", where)
    assert f"character {where}:" in str(error)
    assert "~" in str(error)
    # Nothing after the difference was answered: of a batch nothing at all.
    assert recorder.count == (changed if place == "single" else 99)


def _record(*dialogues: list[dict[str, Any]], path: str = "requests.json", **spec: Any) -> None:
    model = backends.get_model_for({"model_name": "mock", **spec})
    with backends.record(path):
        for dialogue in dialogues:
            model.generate_response(dialogue)


def _difference(asked: list[dict[str, Any]], record: str = "requests.json") -> ReplayError:
    with pytest.raises(ReplayError) as caught:
        backends.get_model_for(f"replay:{record}").generate_response(asked)
    return caught.value


def test_what_differs_is_named() -> None:
    _record(DIALOGUE)
    changed = [dict(message) for message in DIALOGUE]
    changed[2]["content"] = changed[2]["content"].replace("Australia", "Austria")
    error = _difference(changed)
    assert str(error) == (
        "replay of requests.json, model 'mock': the call differs from the recorded requests.json[0], at "
        "messages[2]['content'], character 40:\n"
        "  recorded: …e name of the capital of Australia.\n"
        "  asked:    …e name of the capital of Austria.\n"
        "                                           ^"
    )
    assert _difference(DIALOGUE[:2]).field == "messages"
    longer = _difference([*DIALOGUE, {"role": "assistant", "content": "Sydney"}])
    assert (longer.field, longer.message_index) == ("messages", 3)
    other_role = [{**DIALOGUE[0], "role": "system"}, *DIALOGUE[1:]]
    assert (_difference(other_role).field, _difference(other_role).message_index) == ("role", 0)
    # Neighbours of one role are sent as one message; the diff still names the one that differs.
    _record([*HELLO, *HELLO, {"role": "user", "content": "third"}], path="merged.json")
    error = _difference([*HELLO, *HELLO, {"role": "user", "content": "thirst"}], "merged.json")
    assert (error.message_index, error.position) == (2, 4)


def test_generation_arguments_are_compared_and_taken_over() -> None:
    _record(HELLO, temperature=0.7)
    assert backends.get_model_for("replay:requests.json").temperature == 0.7
    model = backends.get_model_for("replay:requests.json", {"temperature": 0.8})
    with pytest.raises(ReplayError, match=r"gen_args\.temperature:\n  recorded: 0\.7\n  asked:    0\.8"):
        model.generate_response(HELLO)
    model = backends.get_model_for("replay:requests.json", {"temperature": 0.7, "top_p": 1})
    with pytest.raises(ReplayError, match=r"gen_args\.top_p:\n  recorded: \(not given\)"):
        model.generate_response(HELLO)
    model.set_gen_args(temperature=0.7)
    with pytest.raises(ReplayError, match=r"gen_args\.top_p"):  # stopped for good
        model.generate_response(HELLO)
    model = backends.get_model_for("replay:requests.json", {"temperature": 0.7})
    assert model.generate_response(HELLO)[2] == "Hello!"


def test_calls_come_in_order_unless_they_were_under_way_together() -> None:
    one, two = question(1), question(2)
    _record(one, two)
    assert _difference(two).place == "requests.json[0]"
    calls = json.loads(Path("requests.json").read_text())
    calls[0]["clemcore"]["duration_seconds"] = 60.0
    Path("together.json").write_text(json.dumps(calls))
    model = backends.get_model_for("replay:together.json")
    assert [model.generate_response(ask)[2] for ask in (two, one)] == [ask[1]["content"] for ask in (two, one)]


def test_threads_and_event_loops_are_answered() -> None:
    _record(*[question(number) for number in range(30)])
    calls = json.loads(Path("requests.json").read_text())
    for call in calls:
        call["clemcore"]["duration_seconds"] = 60.0
    Path("together.json").write_text(json.dumps(calls))
    model: Any = backends.get_model_for("replay:together.json")
    together = threading.Barrier(10)

    def ask(number: int) -> str:
        together.wait(20)
        text: str = model.generate_response(question(number))[2]
        return text

    with backends.record("again.json"), ThreadPoolExecutor(10) as pool:
        assert list(pool.map(ask, range(10))) == [question(number)[1]["content"] for number in range(10)]

    async def several() -> list[Any]:
        return await asyncio.gather(*(model.agenerate_response(question(number)) for number in range(10, 30)))

    assert [reply.text for reply in asyncio.run(several())] == [question(n)[1]["content"] for n in range(10, 30)]
    assert model.remaining == 0
    assert len(json.loads(Path("again.json").read_text())) == 10


def test_two_players_of_one_record_share_its_order_and_two_models_are_named() -> None:
    _record(question(1), question(2), question(3))
    first, second = backends.load_models(["replay:requests.json"] * 2)
    for model, number in ((first, 1), (second, 2), (first, 3)):
        model.generate_response(question(number))
    fresh = backends.get_model_for("replay:requests.json")
    assert fresh.generate_response(question(1))
    _record(question(1), model_name="another", backend="mock")
    with pytest.raises(SpecError, match=r"2 models: name one of replay:requests\.json#mock, replay:.*#another"):
        backends.get_model_for("replay:requests.json")
    with pytest.raises(SpecError, match="no calls of a model 'anothr': did you mean 'another'"):
        backends.get_model_for("replay:requests.json#anothr")
    other = backends.get_model_for("replay:requests.json#another")
    assert other.name == "another"
    assert other.generate_response(question(1))
    entry = {"model_name": "mine", "backend": "replay", "path": "requests.json", "model": "another"}
    assert backends.get_model_for(entry).name == "mine"


def test_failures_are_raised_again_with_what_they_knew(wire_server: WireServer) -> None:
    wire_server.script = [answering]
    model = open_model(wire_server.url)
    raised = []
    with backends.record("requests.json"):
        for number in (13, 77):
            with pytest.raises(errors.ClemcoreError) as caught:
                model.generate_response(question(number))
            raised.append(caught.value)
    again = backends.get_model_for("replay:requests.json")
    for number, was in zip((13, 77), raised, strict=True):
        with pytest.raises(type(was)) as caught:
            again.generate_response(question(number))
        error: Any = caught.value
        for name in ("status", "provider_message", "prompt", "response", "request_id", "kind", "retryable"):
            assert getattr(error, name) == getattr(was, name)
        assert str(error) == str(was)
    assert isinstance(raised[0], BadRequestError)
    assert isinstance(raised[1], ContextExceededError)
    assert (error.tokens_used, error.context_size) == (raised[1].tokens_used, 100)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("KeyError", "'city'"), ("TimeoutError", "too late"), ("TheirOwnError", "x"), ("OSError", "")],
)
def test_failures_of_any_class_keep_their_name(kind: str, message: str) -> None:
    _record(HELLO)
    (call,) = json.loads(Path("requests.json").read_text())
    call["clemcore"].update(error={"type": kind, "message": message}, response_text=None)
    Path("requests.json").write_text(json.dumps([call]))
    model = backends.get_model_for("replay:requests.json")
    with backends.record("again.json"), pytest.raises(Exception) as caught:  # noqa: PT011
        model.generate_response(HELLO)
    assert (type(caught.value).__name__, str(caught.value)) == (kind, message)
    assert json.loads(Path("again.json").read_text()) == [call]


def test_an_interrupted_call_has_no_answer() -> None:
    _record(HELLO)
    (call,) = json.loads(Path("requests.json").read_text())
    call["clemcore"]["error"] = {"type": "KeyboardInterrupt", "message": ""}
    Path("requests.json").write_text(json.dumps([call]))
    assert "was interrupted" in str(_difference(HELLO))


def test_images_are_compared_by_their_bytes(wire_server: WireServer) -> None:
    import base64

    Path("a.png").write_bytes(base64.b64decode(PIXEL))
    Path("b.png").write_bytes(base64.b64decode(PIXEL))
    ask = [{"role": "user", "content": "What is <image> this?", "image": "a.png"}]
    model = open_model(wire_server.url, multimodality={"single_image": True})
    with backends.record("requests.json"):
        model.generate_response(ask)
    assert backends.get_model_for("replay:requests.json").generate_response([{**ask[0], "image": ["b.png"]}])
    Path("b.png").write_bytes(b"another")
    assert _difference([{**ask[0], "image": "b.png"}]).field == "images"
    assert _difference([{"role": "user", "content": "What is <image> this?"}]).field in ("images", "content")


# -- records of older releases ------------------------------------------------------------------------------------
def _old(prompt: Any, response: Any) -> dict[str, Any]:
    return {
        "timestamp": "2025-03-01T12:00:00.000001",
        "manipulated_prompt_obj": prompt,
        "raw_response_obj": response,
    }


def _player(response: dict[str, Any], text: str) -> dict[str, Any]:
    player = {"call_start": "2025-03-01 12:00:00", "call_duration": "0:00:01", "response": text, "model_name": "m"}
    return {**response, "clem_player": player}


SYSTEM = [{"role": "system", "content": "Be brief."}, *DIALOGUE]
CHATML = (
    "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in DIALOGUE) + "<|im_start|>assistant\n"
)
FORMS: dict[str, tuple[Any, Any, str]] = {
    "openai": (DIALOGUE, {"choices": [{"message": {"role": "assistant", "content": " Canberra. "}}]}, "Canberra."),
    "openai with an image": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Hello!"},
                ],
            },
            *DIALOGUE[1:],
        ],
        {"choices": [{"message": {"content": None}}]},
        "",
    ),
    "anthropic": (
        [{"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in DIALOGUE],
        {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Canberra."}]},
        "Canberra.",
    ),
    "google": (
        [
            {"role": {"assistant": "model"}.get(m["role"], m["role"]), "parts": [{"text": m["content"]}]}
            for m in DIALOGUE
        ],
        {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}, {"text": "Canberra."}]}}]},
        "Canberra.",
    ),
    "cohere": (DIALOGUE, {"message": {"content": [{"type": "text", "text": "Canberra."}]}}, "Canberra."),
    "huggingface": (
        {"inputs": CHATML, "max_new_tokens": 100, "temperature": 0.0, "return_full_text": False},
        {"response": CHATML + "Canberra.<|im_end|>"},
        "Canberra.",
    ),
    "a player of the game's own": ({"role": "user", "content": DIALOGUE[-1]["content"]}, _player({}, "c"), "c"),
    "a batch of such players": ({}, _player({}, "c"), "c"),
}


@pytest.mark.parametrize("form", FORMS)
def test_records_of_older_releases(form: str) -> None:
    prompt, response, text = FORMS[form]
    item = _old(prompt, response)
    Path("requests.json").write_text(json.dumps([item], indent=2))
    meta = {"game_name": "g", "player_name": "Player 1", "model_name": "m"}
    calls = [{"round": 0, "call": item}, {"round": 1, "call": item}]
    Path("player_1.requests.json").write_text(json.dumps({"meta": meta, "calls": calls}, indent=2))
    for path in ("requests.json", "player_1.requests.json"):
        model = backends.get_model_for(f"replay:{path}")
        with backends.record(f"again-{path}") as recorder:
            reply = model.generate_response(DIALOGUE)
        assert (reply[0], reply[1], reply[2]) == (prompt, response, text)
        assert json.loads(Path(recorder.path).read_text()) == [item]
    assert backends.get_model_for("replay:player_1.requests.json").name == "m"
    if prompt:
        changed = [
            *DIALOGUE[:2],
            {"role": "user", "content": DIALOGUE[2]["content"].replace("Australia", "Austria")},
        ]
        error = _difference(changed)
        assert (error.message_index, error.field, error.position) == (2, "content", 40)
        if form not in ("a player of the game's own", "huggingface"):
            assert _difference(DIALOGUE[1:]).field == "role"


def test_a_text_prompt_that_goes_on_is_another() -> None:
    longer = CHATML + "It is Sydney.<|im_end|>\n<|im_start|>user\nNo.<|im_end|>\n<|im_start|>assistant\n"
    items = [_old({"inputs": text}, {"response": text + "Yes."}) for text in (CHATML, longer)]
    Path("requests.json").write_text(json.dumps(items))
    model = backends.get_model_for("replay:requests.json")
    model.generate_response(DIALOGUE)
    with pytest.raises(ReplayError, match=r"messages\[3\]:\n  recorded: .*Sydney"):
        model.generate_response(DIALOGUE)


def test_system_texts_that_3_7_2_left_out_of_its_prompt() -> None:
    Path("requests.json").write_text(json.dumps([_old(DIALOGUE, _player({}, "Canberra."))]))
    assert backends.get_model_for("replay:requests.json").generate_response(SYSTEM)[2] == "Canberra."


def test_a_folder_of_records_is_one_run() -> None:
    for name, dialogue in (("a", HELLO), ("b", DIALOGUE)):
        Path(f"run/{name}").mkdir(parents=True)
        _record(dialogue, HELLO, path=f"run/{name}/requests.json")
    model = backends.get_model_for("replay:run")
    # Each file in its order, the files in any.
    for dialogue in (DIALOGUE, HELLO, HELLO, HELLO):
        model.generate_response(dialogue)
    assert model.remaining == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[{]", r"requests\.json:1:3: is not valid JSON"),
        ("{}", "must hold a JSON list of calls"),
        ("[7]", r"requests\.json\[0\] must be an object"),
        ('[{"timestamp": 1}]', r"requests\.json\[0\] lacks manipulated_prompt_obj, raw_response_obj"),
        ('{"calls": [7]}', r"calls\[0\] must be an object with 'call'"),
        ("\udcff", "byte 0 is not UTF-8"),
    ],
)
def test_what_is_no_record(text: str, fault: str) -> None:
    Path("requests.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(RecordError, match=fault):
        backends.get_model_for("replay:requests.json")


def test_selectors_that_name_no_record() -> None:
    with pytest.raises(RecordError, match=r"nothing\.json: the record cannot be read: No such file"):
        backends.get_model_for("replay:nothing.json")
    with pytest.raises(SpecError, match="needs a record"):
        backends.get_model_for({"model_name": "m", "backend": "replay"})
    Path("empty.json").write_text("[]")
    with pytest.raises(SpecError, match="holds no calls"):
        backends.get_model_for("replay:empty.json")
    with pytest.raises(SpecError, match="path must be a string, not an integer"):
        backends.get_model_for({"model_name": "m", "backend": "replay", "path": 7})
    Path("folder").mkdir()
    with pytest.raises(RecordError, match="no file below this folder"):
        backends.get_model_for("replay:folder")


# -- every format that is recorded today --------------------------------------------------------------------------
SPEAKING: dict[str, dict[str, Any]] = {
    "openai": {"model_id": "gpt-4o"},
    "openai, responses": {"backend": "openai", "model_id": "gpt-4o", "api": "responses"},
    "openrouter": {"model_id": "a/b"},
    "azure": {"model_id": "gpt-4o"},
    "anthropic": {"model_id": "claude-x", "api_version": "2023-06-01"},
    "google": {"model_id": "gemini-x"},
    "mistral": {"model_id": "mistral-x"},
    "cohere": {"model_id": "command-x"},
}


@pytest.mark.parametrize("speaking", SPEAKING)
def test_the_prompts_of_every_provider_are_compared(speaking: str) -> None:
    import base64

    from clemcore.backends import BackendRegistry, ModelSpec

    spec = {
        "model_name": "m",
        "backend": speaking,
        "model_config": {"multimodality": {"single_image": True, "multiple_images": True}},
        **SPEAKING[speaking],
    }
    Path("a.png").write_bytes(base64.b64decode(PIXEL))
    ask: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello!"},
        {"role": "user", "content": "What is this?", "image": "a.png"},
        {"role": "assistant", "content": "A pixel."},
        {"role": "user", "content": "Of which colour?"},
    ]
    cls = BackendRegistry.from_packaged_and_cwd_files().get_backend_class(spec["backend"])
    arguments = {"temperature": 0.0, "max_tokens": 300}
    prompt = cls.render(ModelSpec.from_dict(spec), ask, arguments, ())
    _record(HELLO)
    (call,) = json.loads(Path("requests.json").read_text())
    call["manipulated_prompt_obj"] = prompt
    call["clemcore"]["model_spec"] = spec
    Path("requests.json").write_text(json.dumps([call]))
    assert backends.get_model_for("replay:requests.json").generate_response(ask)[2] == "Hello!"
    for index, message in enumerate(ask):
        changed = [dict(other) for other in ask]
        changed[index]["content"] = message["content"][:3] + "~" + message["content"][4:]
        error = _difference(changed)
        assert (error.message_index, error.field, error.position) == (index, "content", 3)
    Path("a.png").write_bytes(base64.b64decode(PIXEL)[:-1] + b"x")
    assert _difference(ask).field == "images"
    assert _difference(ask[1:]).field in ("role", "messages")


@pytest.mark.slow
def test_a_local_model_is_replayed_without_its_libraries(tiny_chat: Path) -> None:
    import subprocess
    import sys

    entry = {"model_name": "tiny", "backend": "huggingface_local", "huggingface_id": str(tiny_chat)}
    model: Any = backends.get_model_for(entry, {"max_tokens": 5})
    with backends.record("requests.json"):
        model.generate_response(DIALOGUE)
        model.generate_batch_response([HELLO, DIALOGUE])
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers')));"
        "from clemcore import backends; from support.remote import HELLO, DIALOGUE;"
        "model = backends.get_model_for('replay:requests.json');"
        "recorder = backends.record('again.json'); recorder.__enter__();"
        "model.generate_response(DIALOGUE); model.generate_batch_response([HELLO, DIALOGUE]); recorder.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, env=_with_support()
    )
    assert done.returncode == 0, done.stderr
    assert Path("again.json").read_bytes() == Path("requests.json").read_bytes()
    changed = [*DIALOGUE[:2], {"role": "user", "content": DIALOGUE[2]["content"].replace("Australia", "Austria")}]
    error = _difference(changed)
    assert (error.message_index, error.field, error.position) == (2, "content", 40)
    # The words are all there: the roles are not, which the SHA-256 shows.
    assert _difference([{**DIALOGUE[0], "role": "system"}, *DIALOGUE[1:]]).field == "messages"


def _with_support() -> dict[str, str]:
    import os

    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
